/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tree, copied by rsync: each side's runs in a cage, what they say goes as DATA frames. */
#include "migrate/priv.h"

#include "util/fd.h"
#include "util/parse.h"
#include "util/proc.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define RSYNC "/usr/bin/rsync"
enum {
	ARGS_MAX = 16 << 10,
	WORDS_MAX = 40,
	DEPTH_MAX = 1000,
	RSYNC_PARTIAL = 23,
	RSYNC_VANISHED = 24
};

/* ---- what must be compared by content ---- */

/** struct walk - names of files below a directory, as they are gathered */
struct walk {
	int64_t since;
	dev_t dev;
	char path[PATH_MAX];
	struct vz_buf *out; /* NULL: they are only counted */
	uint64_t bytes, inodes;
	struct mig_conn *conn; /* NULL none */
	struct vz_error *err; /* of the connection; exit 0: the error is of the tree */
};

static int walk_dir(struct walk *w, int fd, size_t len, unsigned int depth);

static int walk_entry(struct walk *w, int dir, const char *name, size_t len, unsigned int depth)
{
	size_t n = strlen(name);
	struct stat st;

	if (len + n + 2 > sizeof(w->path))
		return -ENAMETOOLONG;
	if (w->conn && w->inodes % 1024 == 1023 && mig_alive(w->conn, w->err) < 0)
		return -EPIPE;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	memcpy(w->path + len, name, n + 1);
	w->inodes++;
	w->bytes += (uint64_t)st.st_blocks * 512 / (S_ISDIR(st.st_mode) ? 1 : st.st_nlink);
	if (S_ISDIR(st.st_mode)) {
		int fd = vz_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

		if (fd < 0)
			return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? 0 : fd;
		w->path[len + n] = '/';
		return st.st_dev == w->dev ? walk_dir(w, fd, len + n + 1, depth + 1)
					   : (close(fd), 0);
	}
	if (w->out && S_ISREG(st.st_mode) && st.st_ctim.tv_sec >= w->since)
		vz_buf_add(w->out, w->path, len + n + 1);
	return w->out && w->out->failed ? -ENOMEM : 0;
}

/* Takes over @fd. */
static int walk_dir(struct walk *w, int fd, size_t len, unsigned int depth)
{
	VZ_DIR DIR *d = fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d || depth > DEPTH_MAX) {
		if (!d)
			(void)close(fd);
		return d ? -ELOOP : -errno;
	}
	while (r == 0 && (errno = 0, e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = walk_entry(w, dirfd(d), e->d_name, len, depth);
	return r < 0 ? r : -errno;
}

static int walk(struct walk *w, int root)
{
	int fd = vz_openat(root, ".", O_RDONLY | O_DIRECTORY, 0), r = fd;
	struct stat st;

	w->err->exit = 0;
	if (fd >= 0 && fstat(fd, &st) < 0) {
		r = -errno;
		(void)close(fd);
	}
	if (r >= 0) {
		w->dev = st.st_dev;
		r = walk_dir(w, fd, 0, 0);
	}
	if (r < 0 && !w->err->exit)
		return vz_fail(w->err, MIG_EXIT_COPY, -r, "look at the files of the VPS");
	return r;
}

int mig_tree_changed(int root, int64_t since_s, struct mig_conn *c, struct vz_buf *ret,
		     struct vz_error *err)
{
	struct walk w = { .since = since_s, .out = ret, .conn = c, .err = err };

	return walk(&w, root);
}

int mig_tree_size(int root, struct mig_conn *c, uint64_t *ret_bytes, uint64_t *ret_inodes,
		  struct vz_error *err)
{
	struct walk w = { .conn = c, .err = err };
	int r = walk(&w, root);

	if (r < 0)
		return r;
	*ret_bytes = w.bytes;
	*ret_inodes = w.inodes;
	return 0;
}

/* ---- the words of rsync's server ---- */

/* Letters with their version and features: "-logDtpHAXSre.iLsfxCIvu". */
static bool bundle_valid(const char *s)
{
	/* s: more words come in the stream; 8: names as they are on a terminal */
	static const char letters[] = "logDtprHAXSIcxzWnvR";
	const char *p = s + 1;

	while (*p && *p != 'e' && strchr(letters, *p))
		p++;
	if (*p == 'e')
		for (p++; isdigit((unsigned char)*p) || *p == '.';)
			p++;
	while (isalpha((unsigned char)*p))
		p++;
	return *p == '\0' && p > s + 1;
}

static bool word_valid(const char *s)
{
	static const char *const words[] = { "--server",
					     "--delete",
					     "--delete-during",
					     "--delete-before",
					     "--numeric-ids",
					     "--force",
					     "--ignore-missing-args",
					     "--files-from=-",
					     "--from0",
					     "-@-1", /* --modify-window=-1 */
					     "--no-r",
					     "--no-i-r",
					     "--old-compress",
					     "--new-compress",
					     "--compress-choice=zstd",
					     "--compress-choice=zstdx",
					     ".",
					     "/tree/" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(s, words[i]))
			return true;
	return s[0] == '-' && s[1] != '-' && bundle_valid(s);
}

int mig_tree_args_valid(const json_t *args, struct vz_error *err)
{
	size_t n = json_array_size(args), i;
	char shown[80];
	json_t *v;

	if (n < 3 || n > WORDS_MAX ||
	    strcmp(json_string_value(json_array_get(args, 0)) ?: "", "--server"))
		return vz_fail(err, MIG_EXIT_PROTOCOL, 0, "bad words for rsync");
	json_array_foreach (args, i, v) {
		const char *s = json_string_value(v);

		if (!s || !word_valid(s))
			return vz_fail(err, MIG_EXIT_PROTOCOL, 0, "bad word for rsync: \"%s\"",
				       vz_quote(shown, sizeof(shown), s ? s : "?"));
	}
	return 0;
}

/* ---- running it ---- */

/** struct rsync - one that runs: our end of its stream, what it complained of */
struct rsync {
	pid_t pid;
	int sk, complaints;
};

static void rsync_closep(struct rsync *r)
{
	vz_closep(&r->sk);
	vz_closep(&r->complaints);
	if (r->pid > 0) {
		(void)kill(r->pid, SIGKILL);
		(void)vz_wait(r->pid);
	}
	r->pid = 0;
}

#define RSYNC_RUN __attribute__((cleanup(rsync_closep)))

/* @list: standard input, -1: the stream itself, as a server has it */
static int rsync_start(struct rsync *ret, const struct mig_tree *t, const char *const *argv,
		       bool writes, int list, struct vz_error *err)
{
	VZ_FD int theirs = -EBADF;
	VZ_FD int complain = -EBADF;
	VZ_FD int null = vz_openat(AT_FDCWD, "/dev/null", O_WRONLY, 0);
	struct mig_cage cage = {
		.tree = t->root, .userns = t->userns, .writes = writes, .at = t->at, .argv = argv
	};
	int sk[2], p[2], r;

	if (access(RSYNC, X_OK) < 0)
		return vz_fail(err, MIG_EXIT_COPY, errno, RSYNC);
	r = vz_streampair(sk);
	if (r == 0) {
		ret->sk = sk[0];
		theirs = sk[1];
		r = vz_pipe(p);
	}
	if (r == 0) {
		ret->complaints = p[0];
		complain = p[1];
		/* read at the end only: what does not fit is lost, nobody waits */
		r = fcntl(complain, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	}
	if (r < 0 || null < 0)
		return vz_fail(err, MIG_EXIT_COPY, r < 0 ? -r : -null, "streams of rsync");
	cage.in = list >= 0 ? list : theirs;
	cage.out = list >= 0 ? null : theirs;
	cage.err = complain;
	cage.extra = list >= 0 ? theirs : -1;
	ret->pid = mig_cage_spawn(&cage);
	return ret->pid < 0 ? vz_fail(err, MIG_EXIT_COPY, -ret->pid, "start rsync") : 0;
}

/* Its exit status, and @err if it is none that passes. */
static int rsync_end(struct rsync *r, bool vanish, struct vz_error *err)
{
	char text[300] = "", shown[400];
	int status = vz_wait(r->pid);
	ssize_t n;

	r->pid = 0;
	vz_closep(&r->sk);
	if (status == 0 || (vanish && (status == RSYNC_PARTIAL || status == RSYNC_VANISHED)))
		return 0;
	n = read(r->complaints, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return vz_fail(err, status == 11 ? MIG_EXIT_SPACE : MIG_EXIT_COPY, 0,
		       "rsync ended with status %d: %s", status,
		       vz_quote(shown, sizeof(shown), *text ? text : "it said nothing"));
}

/* The words that rsync gives to its ssh, which mig_pipe passes on before the stream. */
static int read_words(int sk, json_t **ret, struct vz_error *err)
{
	VZ_FREE char *text = malloc(ARGS_MAX + 1);
	VZ_JSON json_t *a = json_array();
	uint32_t len;
	size_t have = 0;

	if (!text || !a)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "words of rsync");
	if (recv(sk, &len, sizeof(len), MSG_WAITALL) != sizeof(len) || len > ARGS_MAX)
		return vz_fail(err, MIG_EXIT_COPY, 0, "rsync did not start");
	while (have < len) {
		ssize_t n = recv(sk, text + have, len - have, 0);

		if (n <= 0)
			return vz_fail(err, MIG_EXIT_COPY, 0, "rsync did not start");
		have += (size_t)n;
	}
	text[len] = '\0';
	for (size_t i = 0; i < len; i += strlen(text + i) + 1)
		if (json_array_append_new(a, vz_json_text(text + i)) < 0)
			return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "words of rsync");
	*ret = vz_take_ptr(&a);
	return 0;
}

static size_t sender_words(const struct mig_tree *t, const char **argv)
{
	size_t n = 0;

	argv[n++] = RSYNC;
	argv[n++] = "-aHAXS";
	argv[n++] = "--numeric-ids";
	argv[n++] = "--modify-window=-1"; /* nanoseconds count */
	argv[n++] = "--one-file-system";
	argv[n++] = "--no-secluded-args";
	argv[n++] = "--rsh=/pipe --pipe";
	if (t->compress)
		argv[n++] = "--compress";
	if (t->whole)
		argv[n++] = "--whole-file";
	if (t->checksum)
		argv[n++] = "--checksum";
	if (t->again)
		argv[n++] = "--ignore-times";
	if (t->list) {
		argv[n++] = "--from0";
		argv[n++] = "--files-from=-";
		argv[n++] = "--ignore-missing-args";
	} else {
		argv[n++] = "--delete";
		argv[n++] = "--force";
	}
	argv[n++] = "/tree/";
	argv[n++] = "x:/tree/";
	argv[n] = NULL;
	return n;
}

/* A broken link says less than a program that died: what rsync complained of comes first. */
static int worse(int mine, const struct vz_error *mine_err, int r, struct vz_error *err)
{
	if (mine < 0 && (r == 0 || !mig_link_broken(err))) {
		*err = *mine_err;
		return mine;
	}
	return r;
}

int mig_tree_send(struct mig_conn *c, const char *what, const struct mig_tree *t, bool vanish,
		  struct vz_error *err)
{
	RSYNC_RUN struct rsync run = { .sk = -EBADF, .complaints = -EBADF };
	VZ_FD int list = vz_memfd("names", t->list && t->list->len ? t->list->s : "",
				  t->list ? t->list->len : 0);
	const char *argv[WORDS_MAX];
	json_t *words = NULL;
	struct vz_error own;
	struct mig_frame f;
	int r, mine;

	if (list < 0)
		return vz_fail(err, MIG_EXIT_COPY, -list, "list of names");
	(void)sender_words(t, argv);
	r = rsync_start(&run, t, argv, false, list, err);
	if (r == 0)
		r = read_words(run.sk, &words, err);
	if (r < 0) {
		mine = rsync_end(&run, false, &own);
		return worse(mine, &own, r, err);
	}
	r = mig_call(c, "TREE", json_pack("{ss so}", "what", what, "args", words), NULL, err);
	if (r == 0)
		r = mig_relay(c, run.sk, err);
	if (r < 0)
		return r;
	mine = rsync_end(&run, vanish, &own);
	r = mig_recv(c, &f, err);
	if (r == 0 && f.type == MIG_FAIL) {
		VZ_JSON json_t *j = NULL;

		r = mig_frame_json(&f, &j, err);
		if (r == 0)
			r = mig_failure(j, err);
	}
	return worse(mine, &own, r, err);
}

int mig_tree_take(struct mig_conn *c, const json_t *args, const struct mig_tree *t,
		  struct vz_error *err)
{
	RSYNC_RUN struct rsync run = { .sk = -EBADF, .complaints = -EBADF };
	const char *argv[WORDS_MAX + 2] = { RSYNC };
	int r = mig_tree_args_valid(args, err);
	size_t i;
	json_t *v;

	if (r < 0)
		return r;
	json_array_foreach (args, i, v)
		argv[i + 1] = json_string_value(v);
	r = rsync_start(&run, t, argv, true, -1, err);
	if (r == 0)
		r = mig_answer(c, NULL, err);
	if (r == 0)
		r = mig_relay(c, run.sk, err);
	return r < 0 ? r : rsync_end(&run, true, err);
}

/* ---- in place of ssh, in the cage ---- */

enum { STREAM = 3 };

/* One direction, to its end. */
static void pass_all(int from, int to)
{
	char buf[64 << 10];
	ssize_t n;

	do {
		n = read(from, buf, sizeof(buf));
	} while ((n < 0 && errno == EINTR) || (n > 0 && vz_write_all(to, buf, (size_t)n) == 0));
}

int mig_pipe(int argc, char **argv)
{
	VZ_BUF struct vz_buf words = { 0 };
	uint32_t len;
	pid_t pid;

	/* --pipe HOST rsync --server ... */
	for (int i = 3; i < argc; i++)
		vz_buf_add(&words, argv[i], strlen(argv[i]) + 1);
	len = (uint32_t)words.len;
	if (words.failed || argc < 5 || vz_write_all(STREAM, &len, sizeof(len)) < 0 ||
	    vz_write_all(STREAM, words.s, words.len) < 0)
		return 1;
	/* two processes: neither direction may wait for the other */
	pid = fork();
	if (pid < 0)
		return 1;
	if (pid == 0) {
		(void)close(1);
		pass_all(0, STREAM);
		(void)shutdown(STREAM, SHUT_WR);
		_exit(0);
	}
	(void)close(0);
	pass_all(STREAM, 1);
	/* the server has ended: as ssh does then, since rsync waits for us with its end still open */
	(void)kill(pid, SIGKILL);
	(void)vz_wait(pid);
	return 0;
}
