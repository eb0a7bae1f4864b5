/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames, streams, verbs, journals: everything of a migration that needs no VPS. */
#include "migrate/migrate.h"
#include "tests/lib/tap.h"
#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- frames ---- */

static void heads(void)
{
	static const unsigned char golden[MIG_HEAD] = { 'V', 'Z', 'M', '1', 0, 0, 0, 7,
							0,   0,	  0,   4,   0, 0, 0, 3 };
	unsigned char head[MIG_HEAD];
	struct mig_frame f = { 0 };

	mig_frame_head(7, MIG_DATA, "abc", 3, head);
	OK_NAME(memcmp(head, golden, 16) == 0,
		"a head is magic, number, type, length, big end first");
	OK(mig_frame_parse(head, &f) == 0 && f.seq == 7 && f.type == MIG_DATA && f.len == 3);
	OK(mig_frame_intact(head, "abc", 3));
	OK_NAME(!mig_frame_intact(head, "abd", 3), "a changed payload is noticed");
	head[7] = 8;
	OK_NAME(!mig_frame_intact(head, "abc", 3), "a changed number is noticed");
	mig_frame_head(0, MIG_CALL, NULL, 0, head);
	head[12] = 0x7f;
	OK_NAME(mig_frame_parse(head, &f) == -EMSGSIZE, "a length above the limit is refused");
	mig_frame_head(0, MIG_CALL, NULL, 0, head);
	head[11] = MIG_TYPES;
	OK(mig_frame_parse(head, &f) == -EBADMSG);
	head[11] = 0;
	OK(mig_frame_parse(head, &f) == -EBADMSG);
	mig_frame_head(0, MIG_PING, "x", 1, head);
	OK_NAME(mig_frame_parse(head, &f) == -EMSGSIZE, "a ping has no payload");
	head[0] = 'X';
	OK(mig_frame_parse(head, &f) == -EBADMSG);
}

/* ---- the line that tells how far it is ---- */

static bool line_is(const struct mig_progress *p, uint64_t sent, uint64_t now, unsigned int columns,
		    const char *want)
{
	char line[256] = "";
	int r = mig_progress_line(line, sizeof(line), p, sent, now, columns);

	if (r == (int)strlen(want) && !strcmp(line, want))
		return true;
	(void)printf("# %d: \"%s\"\n", r, line);
	return false;
}

static void progress(void)
{
	/* began at 1 s, this stage at 11 s, when 50 MiB had gone */
	struct mig_progress p = { "Copying files", 1000, 11000, 50 << 20, 100 << 20 };
	char line[256];

	OK_NAME(line_is(&p, 75 << 20, 16000, 80,
			"Copying files [#####...............]  25% 75 MiB 5.0 MiB/s 0:16 left"),
		"rate and rest are of the stage, bytes of all");
	OK_NAME(line_is(&p, 50 << 20, 16000, 80,
			"Copying files [....................]   0% 50 MiB 0.0 MiB/s 0:15"),
		"nothing went: the time that it took");
	OK_NAME(line_is(&p, 51 << 20, 11400, 80,
			"Copying files [....................]   1% 51 MiB 2.5 MiB/s 0:10"),
		"nobody guesses from less than a second");
	OK_NAME(line_is(&p, 999 << 20, 16000, 80,
			"Copying files [####################] 100% 999 MiB 189.8 MiB/s 0:15"),
		"more than was thought");
	OK_NAME(line_is(&p, (50 << 20) + 10240, 12000, 80,
			"Copying files [....................]   0% 50 MiB 0.0 MiB/s 2:50:40 left"),
		"hours");
	OK_NAME(line_is(&p, 75 << 20, 16000, 60, "Copying files  75 MiB 5.0 MiB/s 0:16 left"),
		"no room for a bar");
	OK_NAME(line_is(&p, 75 << 20, 16000, 20, "Copying files  75 M"),
		"never in the last column");
	OK_NAME(line_is(&p, 75 << 20, 500, 80,
			"Copying files [#####...............]  25% 75 MiB 0.0 MiB/s 0:00"),
		"a clock that is behind");
	p.whole = 0;
	OK_NAME(line_is(&p, 75 << 20, 16000, 80, "Copying files  75 MiB 5.0 MiB/s 0:15"),
		"a stage without an end that is known");
	OK(mig_progress_line(line, 10, &p, 0, 0, 80) == -ENOSPC);
}

/** struct pair - two ends of a link */
struct pair {
	struct mig_conn a, b;
};

static bool pair_up(struct pair *p, int timeout_ms)
{
	int sk[2];

	return vz_streampair(sk) == 0 && mig_conn_init(&p->a, sk[0], sk[0], timeout_ms) == 0 &&
	       mig_conn_init(&p->b, sk[1], sk[1], timeout_ms) == 0;
}

static void pair_down(struct pair *p)
{
	mig_conn_end(&p->a);
	mig_conn_end(&p->b);
}

static void links(void)
{
	struct vz_error err = { 0 };
	struct mig_frame f;
	struct pair p;
	unsigned char head[MIG_HEAD];

	OK(pair_up(&p, 60000));
	OK(mig_send(&p.a, MIG_DATA, "one", 3, &err) == 0 &&
	   mig_send(&p.a, MIG_PING, NULL, 0, &err) == 0 &&
	   mig_send(&p.a, MIG_DATA, "two", 3, &err) == 0);
	OK(mig_recv(&p.b, &f, &err) == 0 && f.len == 3 && !memcmp(f.payload, "one", 3));
	OK_NAME(mig_recv(&p.b, &f, &err) == 0 && !memcmp(f.payload, "two", 3),
		"pings are passed over");
	mig_frame_head(9, MIG_DATA, "x", 1, head);
	OK(vz_write_all(p.a.out, head, MIG_HEAD) == 0 && vz_write_all(p.a.out, "x", 1) == 0);
	OK_NAME(mig_recv(&p.b, &f, &err) == -EBADMSG && err.exit == MIG_EXIT_PROTOCOL &&
			strstr(err.msg, "missing"),
		"a frame out of order ends the connection");
	pair_down(&p);

	OK(pair_up(&p, 60000));
	mig_frame_head(0, MIG_DATA, "abc", 3, head);
	OK(vz_write_all(p.a.out, head, MIG_HEAD) == 0 && vz_write_all(p.a.out, "abX", 3) == 0);
	OK_NAME(mig_recv(&p.b, &f, &err) == -EBADMSG && strstr(err.msg, "damaged"),
		"a damaged frame");
	pair_down(&p);

	OK(pair_up(&p, 60000));
	OK(vz_write_all(p.a.out, head, MIG_HEAD) == 0);
	mig_conn_end(&p.a);
	OK_NAME(mig_recv(&p.b, &f, &err) == -EPIPE && strstr(err.msg, "within a frame") &&
			mig_link_broken(&err),
		"a link that ends within a frame");
	pair_down(&p);

	OK(pair_up(&p, 60000));
	OK(vz_write_all(p.a.out, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27) == 0);
	OK(mig_recv(&p.b, &f, &err) == -EBADMSG);
	pair_down(&p);

	OK(pair_up(&p, 1));
	OK_NAME(mig_recv(&p.b, &f, &err) == -ETIMEDOUT && err.exit == MIG_EXIT_CONNECT,
		"silence is a cut link");
	pair_down(&p);
}

/* The other end answers one call in a child. */
static pid_t answer_once(struct mig_conn *c, bool good)
{
	pid_t pid = fork();

	if (pid == 0) {
		const struct vz_error why = { .sys = ENOSPC,
					      .exit = MIG_EXIT_SPACE,
					      .msg = "full" };
		struct vz_error err;
		struct mig_frame f;
		int r = mig_recv(c, &f, &err);

		if (r == 0)
			r = good ? mig_answer(c, json_pack("{si}", "n", 5), &err)
				 : mig_refuse(c, &why, &err);
		_exit(r < 0);
	}
	return pid;
}

static void calls(void)
{
	struct vz_error err = { 0 };
	json_t *j = NULL;
	struct pair p;
	pid_t pid;

	OK(pair_up(&p, 60000));
	pid = answer_once(&p.b, true);
	OK(mig_call(&p.a, "HELLO", NULL, &j, &err) == 0 && vz_json_int(j, "n", 0) == 5);
	json_decref(j);
	OK(vz_wait(pid) == 0);
	pair_down(&p);
	OK(pair_up(&p, 60000));
	pid = answer_once(&p.b, false);
	OK_NAME(mig_call(&p.a, "HELLO", NULL, NULL, &err) == -ENOSPC &&
			err.exit == MIG_EXIT_SPACE && !strcmp(err.msg, "full") &&
			!mig_link_broken(&err),
		"what went wrong there comes back with its numbers");
	OK(vz_wait(pid) == 0);
	pair_down(&p);
}

/* ---- streams ---- */

enum { STREAM_BYTES = 3 << 20 };

/* Writes a pattern and reads the same back; its end of a relay in a child. */
static pid_t talker(int fd, int other)
{
	pid_t pid = fork();

	if (pid == 0) {
		pid_t writer = fork();
		char buf[5000];
		size_t got = 0;
		ssize_t n;
		bool good = true;

		(void)close(other);
		if (writer == 0) {
			for (size_t i = 0; i < STREAM_BYTES; i += sizeof(buf)) {
				for (size_t k = 0; k < sizeof(buf); k++)
					buf[k] = (char)((i + k) * 7 >> 3);
				if (vz_write_all(fd, buf, sizeof(buf)) < 0)
					_exit(1);
			}
			(void)shutdown(fd, SHUT_WR);
			_exit(0);
		}
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			for (ssize_t k = 0; k < n; k++, got++)
				good = good && buf[k] == (char)(got * 7 >> 3);
		_exit(!(good && got >= STREAM_BYTES && vz_wait(writer) == 0));
	}
	return pid;
}

/* An end of one direction ends both, after all that came before it. */
static void one_end(void)
{
	struct pair p;
	struct vz_error err = { 0 };
	int l[2], m[2];
	char got[8] = "";
	pid_t relay;

	OK(pair_up(&p, 60000) && vz_streampair(l) == 0 && vz_streampair(m) == 0);
	relay = fork();
	if (relay == 0) {
		(void)close(l[0]);
		_exit(mig_relay_one(&p.b, m[1], &err) < 0);
	}
	(void)close(m[1]);
	OK(vz_write_all(l[0], "last", 4) == 0);
	(void)close(l[0]);
	OK_NAME(mig_relay_one(&p.a, l[1], &err) == 0, "a relay ends with the stream here");
	(void)close(l[1]);
	OK_NAME(vz_wait(relay) == 0, "and so does the one there, whose stream was open");
	OK_NAME(read(m[0], got, sizeof(got)) == 4 && !memcmp(got, "last", 4) &&
			read(m[0], got, sizeof(got)) == 0,
		"nothing of before the end is lost");
	(void)close(m[0]);
	pair_down(&p);
}

static void streams(void)
{
	struct vz_error err = { 0 };
	struct pair p;
	int l[2], m[2];
	pid_t left, right, relay;

	one_end();
	OK(pair_up(&p, 60000) && vz_streampair(l) == 0 && vz_streampair(m) == 0);
	p.a.limit = 64 << 20;
	left = talker(l[0], l[1]);
	right = talker(m[0], m[1]);
	(void)close(l[0]);
	(void)close(m[0]);
	relay = fork();
	if (relay == 0)
		_exit(mig_relay(&p.b, m[1], &err) < 0);
	(void)close(m[1]);
	OK_NAME(mig_relay(&p.a, l[1], &err) == 0, "megabytes in both directions at once");
	(void)close(l[1]);
	OK(vz_wait(relay) == 0);
	OK(vz_wait(left) == 0);
	OK(vz_wait(right) == 0);
	OK(p.a.sent >= STREAM_BYTES && p.a.heard >= STREAM_BYTES);
	pair_down(&p);
}

static int grow(void *arg, struct vz_error *err)
{
	return *(int *)arg ? vz_fail(err, 7, ENOENT, "it was %d", *(int *)arg) : 0;
}

static int die(void *arg, struct vz_error *err)
{
	(void)arg;
	(void)err;
	(void)raise(SIGKILL);
	return 0;
}

static void busy(void)
{
	struct vz_error err = { 0 };
	int n = 0;

	OK(mig_busy(NULL, grow, &n, &err) == 0);
	n = 3;
	OK_NAME(mig_busy(NULL, grow, &n, &err) == -ENOENT && err.exit == 7 &&
			strstr(err.msg, "it was 3"),
		"an error comes back from a child");
	OK_NAME(mig_busy(NULL, die, NULL, &err) == -ECHILD, "so does its death");
}

/* ---- verbs ---- */

static void states(void)
{
	static const char *const usual[] = { "HELLO",	"CHECK",  "PREPARE", "FILE",
					     "FILE",	"PLACE",  "TREE",    "TREE",
					     "PROMISE", "COMMIT", "FORGET" };
	/* what must never be, whatever came before */
	static const struct {
		enum mig_state in;
		const char *verb;
	} never[] = {
		{ MIG_NEW, "CHECK" },	    { MIG_GREETED, "PREPARE" }, { MIG_GREETED, "TREE" },
		{ MIG_CHECKED, "FILE" },    { MIG_TAKING, "TREE" },	{ MIG_TAKING, "COMMIT" },
		{ MIG_PLACED, "COMMIT" },   { MIG_PLACED, "CHECK" },	{ MIG_PROMISED, "TREE" },
		{ MIG_PROMISED, "BYE" },    { MIG_PROMISED, "FORGET" }, { MIG_OWNS, "ABORT" },
		{ MIG_OWNS, "TREE" },	    { MIG_OWNS, "COMMIT" },	{ MIG_OVER, "HELLO" },
		{ MIG_CHECKED, "VERDICT" }, { MIG_PLACED, "VERDICT" },	{ MIG_GREETED, "HELLO" },
		{ MIG_NEW, "PAGES" },	    { MIG_TAKING, "PAGES" },	{ MIG_PROMISED, "PAGES" },
	};
	struct vz_error err = { 0 };
	enum mig_state s = MIG_NEW;
	bool good = true;

	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++)
		good = good && mig_verb_legal(s, usual[i], &s, &err) >= 0;
	OK_NAME(good && s == MIG_OVER, "a migration from HELLO to FORGET");
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++) {
		s = never[i].in;
		good = good && mig_verb_legal(s, never[i].verb, &s, &err) < 0 && s == never[i].in &&
		       err.exit == MIG_EXIT_PROTOCOL;
		if (!good)
			(void)printf("# %s in %d\n", never[i].verb, never[i].in);
	}
	OK_NAME(good, "verbs out of place");
	s = MIG_NEW;
	OK(mig_verb_legal(s, "hello", &s, &err) < 0 && mig_verb_legal(s, "", &s, &err) < 0);
	for (int v = 0; v < MIG_VERBS; v++)
		good = good && mig_verb_name((enum mig_verb)v);
	OK(good);
}

/* ---- journals ---- */

static void owners(void)
{
	int both = 0, none = 0;

	/* what pairs of journals can be there at once: never two owners */
	static const enum mig_step pairs[][2] = {
		{ MIG_S_COPYING, MIG_S_TAKING },     { MIG_S_COPYING, MIG_S_PROMISED },
		{ MIG_S_ABORTED, MIG_S_TAKING },     { MIG_S_ABORTED, MIG_S_PROMISED },
		{ MIG_S_COMMITTED, MIG_S_PROMISED }, { MIG_S_COMMITTED, MIG_S_TAKEN },
		{ MIG_S_CLEANED, MIG_S_TAKEN },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		enum mig_owner a = mig_owner(pairs[i][0]), b = mig_owner(pairs[i][1]);

		both += a == MIG_OURS && b == MIG_OURS;
		none += a != MIG_OURS && b == MIG_THEIRS;
	}
	OK_NAME(both == 0, "no two journals both say ours");
	OK_NAME(none == 0, "nor does a source give away what the target says is the source's");
	for (int s = 0; s < MIG_STEPS; s++)
		OK_NAME(mig_owner((enum mig_step)s) != MIG_DOUBT ||
				mig_role((enum mig_step)s) == MIG_TARGET,
			"only a target is in doubt");
}

static void write_text(const char *path, const char *text)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	(void)!vz_write_all(fd, text, strlen(text));
}

/* What was laid out becomes the journal by a rename alone: the directory takes no new file. */
static void test_laid_out(const char *root, struct mig_journal *j)
{
	struct mig_journal k = { 0 };
	char path[PATH_MAX];
	struct stat laid, now;

	j->step = MIG_S_TAKEN;
	OK(mig_journal_lay_out(j) == 0);
	(void)snprintf(path, sizeof(path), "%s/etc/vz/migrate/101.next", root);
	OK(stat(path, &laid) == 0);
	j->step = MIG_S_PROMISED;
	OK(mig_journal_save(j) == 0 && mig_journal_load(101, &k) == 0 && k.step == MIG_S_PROMISED);
	mig_journal_clear(&k);
	j->step = MIG_S_TAKEN;
	OK(mig_journal_turn(j) == 0 && mig_journal_load(101, &k) == 0 && k.step == MIG_S_TAKEN);
	mig_journal_clear(&k);
	OK_NAME(access(path, F_OK) < 0, "what was laid out is the journal");
	(void)snprintf(path, sizeof(path), "%s/etc/vz/migrate/101.journal", root);
	OK_NAME(stat(path, &now) == 0 && now.st_ino == laid.st_ino, "the same file");
	/* of another step, or none: as by mig_journal_save */
	OK(mig_journal_lay_out(j) == 0);
	j->step = MIG_S_PROMISED;
	OK(mig_journal_turn(j) == 0 && mig_journal_load(101, &k) == 0 && k.step == MIG_S_PROMISED);
	mig_journal_clear(&k);
	(void)snprintf(path, sizeof(path), "%s/etc/vz/migrate/101.next", root);
	OK(access(path, F_OK) == 0 && mig_journal_remove(101) == 0 && access(path, F_OK) < 0);
}

static void journals(const char *root)
{
	MIG_JOURNAL struct mig_journal j = { .step = MIG_S_PROMISED,
					     .ctid = 101,
					     .peer_ctid = 102,
					     .host = "root@b",
					     .mode = "online",
					     .start = true,
					     .keep = true,
					     .private_dir = "/vz/private/101" };
	MIG_JOURNAL struct mig_journal k = { 0 };
	VZ_FREE uint32_t *ids = NULL;
	VZ_FREE char *text = NULL;
	char path[PATH_MAX];
	ssize_t n;

	OK(mig_new_id(j.id) == 0 && mig_id_valid(j.id) && !mig_id_valid("../x"));
	OK(vz_list_split(&j.transport, "ssh -p 22", " ") == 0);
	OK(!mig_journal_there(101) && mig_journal_load(101, &k) == -ENOENT &&
	   mig_journal_remove(101) == 0);
	test_laid_out(root, &j);
	OK(mig_journal_save(&j) == 0 && mig_journal_there(101));
	OK(mig_journal_load(101, &k) == 0);
	OK(!strcmp(k.id, j.id) && k.step == j.step && k.ctid == 101 && k.peer_ctid == 102 &&
	   k.start && k.keep && !k.remove && !k.shared && !strcmp(k.host, j.host) &&
	   !strcmp(k.private_dir, j.private_dir) && k.transport.n == 3 &&
	   !strcmp(k.transport.v[2], "22"));
	OK(mig_journal_list(&ids) == 1 && ids[0] == 101);
	mig_journal_clear(&k);
	(void)snprintf(path, sizeof(path), "%s/etc/vz/migrate/101.journal", root);
	n = vz_read_file(AT_FDCWD, path, 65536, &text);
	OK(n > 0);
	for (ssize_t cut = 0, taken = 0; cut < n; cut++) {
		char keep = text[cut];

		text[cut] = '\0';
		write_text(path, text);
		text[cut] = keep;
		taken += mig_journal_load(101, &k) != -EBADMSG && cut < n - 1;
		mig_journal_clear(&k);
		if (cut == n - 1)
			OK_NAME(taken == 0, "a journal cut anywhere is no journal");
	}
	write_text(path, "{\"version\": 2}");
	OK_NAME(mig_journal_load(101, &k) == -EBADMSG, "nor is one of a later version");
	OK(mig_journal_remove(101) == 0 && !mig_journal_there(101));
}

/* ---- hosts, words of rsync, names ---- */

static bool words_valid(const char *text)
{
	VZ_LIST struct vz_list l = { 0 };
	VZ_JSON json_t *a = json_array();
	struct vz_error err;

	if (vz_list_split(&l, text, " ") < 0)
		return false;
	for (size_t i = 0; i < l.n; i++)
		if (json_array_append_new(a, json_string(l.v[i])) < 0)
			return false;
	return mig_tree_args_valid(a, &err) == 0;
}

static void words(void)
{
	OK(mig_host_valid("b") && mig_host_valid("root@node-2.example.org") &&
	   mig_host_valid("[2001:db8::1]"));
	OK(!mig_host_valid("") && !mig_host_valid("-oProxyCommand=x") && !mig_host_valid("a b") &&
	   !mig_host_valid("a;b") && !mig_host_valid("@b") && !mig_host_valid("a@"));
	OK(words_valid(
		"--server -lHogDtpAXrxSe.iLsfxCIvu --delete --force -@-1 --numeric-ids . /tree/"));
	OK(words_valid("--server -vlHogDtpAXrSe.iLsfxC --from0 --files-from=- . /tree/"));
	OK_NAME(!words_valid("--server -lHogDtpAXrSe. --temp-dir=/usr . /tree/"),
		"no other directories");
	OK(!words_valid("--server -lHogDtpAXrSe. . /tree/../etc"));
	OK(!words_valid("--server -lHogDtpAXrSe. . /"));
	OK(!words_valid("--server --sender -lHogDtpAXrSe. . /tree/"));
	OK(!words_valid("--daemon -lHogDtpAXrSe. . /tree/"));
	OK_NAME(!words_valid("--server -slHogDtpAXre.iLsfxCIvu . /tree/"),
		"no words that come later in the stream");
	OK(!words_valid("--server --log-file=/tree/x . /tree/") && !words_valid("--server"));
}

static void changed(const char *root)
{
	VZ_BUF struct vz_buf names = { 0 };
	char path[PATH_MAX];
	uint64_t bytes = 0, inodes = 0;
	struct vz_error err = { 0 };
	VZ_FD int dir = -EBADF;

	(void)snprintf(path, sizeof(path), "%s/t/d", root);
	OK(vz_mkdir_p(path, 0755) == 0);
	(void)snprintf(path, sizeof(path), "%s/t/d/f", root);
	write_text(path, "x");
	(void)snprintf(path, sizeof(path), "%s/t/link", root);
	OK(symlink("/etc", path) == 0);
	(void)snprintf(path, sizeof(path), "%s/t", root);
	dir = vz_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	OK(mig_tree_changed(dir, 0, NULL, &names, &err) == 0 && names.len == 4 &&
	   !memcmp(names.s, "d/f", 4));
	OK_NAME(mig_tree_changed(dir, INT64_MAX, NULL, &names, &err) == 0 && names.len == 4,
		"what is older is left out");
	OK(mig_tree_size(dir, NULL, &bytes, &inodes, &err) == 0 && inodes == 3);
}

int main(void)
{
	char root[] = "/tmp/test-migrate.XXXXXX";

	(void)sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
	if (!mkdtemp(root) || setenv("CROFT_ROOT", root, 1) < 0)
		return 1;
	heads();
	progress();
	links();
	calls();
	streams();
	busy();
	states();
	owners();
	journals(root);
	words();
	changed(root);
	(void)!vz_rm_rf(AT_FDCWD, root);
	return tap_done();
}
