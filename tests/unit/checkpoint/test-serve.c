/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A dump whose memory is read out of the file while CRIU restores: what CRIU asks for it gets, whatever the order, or it fails. */
#include "checkpoint/checkpoint.h"
#include "checkpoint/priv.h"
#include "tests/lib/tap.h"
#include "util/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BIG = 3 << 20 | 4096, TMPFS = 300000 };

static char dir[] = "/tmp/croft-serve.XXXXXX";

static char *in_dir(const char *name)
{
	static char path[4][300];
	static int n;

	n = (n + 1) % 4;
	(void)snprintf(path[n], sizeof(path[n]), "%s/%s", dir, name);
	return path[n];
}

static char byte_at(int image, size_t at)
{
	return (char)(at * 7 + at / 4096 + (size_t)image);
}

static void fill(struct cpt_desc *d)
{
	*d = (struct cpt_desc){
		.ctid = 101, .init_pid = 7, .init_start = 9, .uid_base = 6619136, .uid_count = 65536
	};
	strcpy(d->croft, "0.1.0");
	strcpy(d->tty, "tty[8800:1a]");
	d->config = strdup("NAME=\"x\"\n");
	d->cpu = strdup("fpu vme");
}

/* ---- a dump ---- */

/* Part @part of image @name, whose bytes are those of @image. Return: whether more follows. */
static bool put_part(int fd, const char *name, int image, uint32_t part, size_t len,
		     uint64_t *bytes)
{
	static char frame[CPT_PART_HEAD + CPT_PART_BYTES + CPT_PART_TAIL];
	size_t at = (size_t)part * CPT_PART_BYTES,
	       n = len - at < CPT_PART_BYTES ? len - at : CPT_PART_BYTES;

	for (size_t i = 0; i < n; i++)
		frame[CPT_PART_HEAD + i] = byte_at(image, at + i);
	if (cpt_part_put(fd, frame, name, part, n, at + n == len) < 0)
		abort();
	*bytes += n;
	return at + n < len;
}

/* Memory of two processes whose parts are mixed, and an image that no pipe holds. */
static void make_dump(const char *second, const char *third)
{
	CPT_DESC struct cpt_desc d = { 0 };
	VZ_FD int fd = vz_openat(AT_FDCWD, in_dir("Dump"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	uint64_t bytes = 0, n = 1;
	bool more = true;

	fill(&d);
	if (lseek(fd, CPT_HEAD_BYTES, SEEK_SET) < 0 || cpt_desc_put(fd, &d, &bytes) < 0)
		abort();
	for (uint32_t part = 0; more; part++, n += 2) {
		(void)put_part(fd, "pages-1.img", 1, part, BIG, &bytes);
		more = put_part(fd, second, 2, part, BIG, &bytes);
	}
	(void)put_part(fd, third, 3, 0, 0, &bytes);
	(void)put_part(fd, "core-1.img", 4, 0, 9, &bytes);
	(void)put_part(fd, "tmpfs-dev-1.tar.gz.img", 5, 0, TMPFS, &bytes);
	if (cpt_end_put(fd, n + 3) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
	    cpt_streamed_head_put(fd, false, bytes) < 0)
		abort();
}

static int open_dump(struct cpt_memory **ret)
{
	CPT_DESC struct cpt_desc d = { 0 };
	struct vz_error err;

	return cpt_open(in_dir("Dump"), in_dir("out"), getuid(), &d, ret, &err);
}

/* ---- as CRIU does ---- */

static int criu; /* its connection */

static void say(const char *name)
{
	unsigned char msg[100] = { (unsigned char)(strlen(name) + 2), 0, 0, 0, 0x0a,
				   (unsigned char)strlen(name) };

	memcpy(msg + 6, name, strlen(name));
	if (vz_write_all(criu, msg, 6 + strlen(name)) < 0)
		_exit(2);
}

static bool heard(void)
{
	char reply[6];

	if (recv(criu, reply, sizeof(reply), MSG_WAITALL) != (ssize_t)sizeof(reply) ||
	    memcmp(reply, "\2\0\0\0\10", 5) != 0)
		_exit(3);
	return reply[5];
}

/* Return: the end of the pipe to read from. */
static int ask(const char *name)
{
	int p[2];

	say(name);
	if (!heard() || vz_pipe(p) < 0 || vz_send_fds(criu, "", 1, &p[1], 1) < 0)
		_exit(4);
	(void)close(p[1]);
	return p[0];
}

/* Return: how much of it is as it should be, and no byte more came. */
static size_t read_image(int fd, int image)
{
	static char got[100000];
	size_t at = 0;
	ssize_t n;

	while ((n = read(fd, got, sizeof(got))) > 0)
		for (ssize_t i = 0; i < n; i++)
			if (got[i] != byte_at(image, at++))
				_exit(5);
	(void)close(fd);
	return at;
}

static void must(bool good)
{
	if (!good)
		_exit(6);
}

static void in_any_order(void)
{
	int a, b, t;

	say("none.img");
	must(!heard());
	must(read_image(ask("core-1.img"), 4) == 9);
	must(read_image(ask("pages-3.img"), 3) == 0);
	t = ask("tmpfs-dev-1.tar.gz.img");
	a = ask("pages-1.img");
	b = ask("pages-2.img");
	/* the one that is asked for last is read first, and the others wait, full */
	must(read_image(b, 2) == BIG);
	must(read_image(t, 5) == TMPFS);
	must(read_image(a, 1) == BIG);
	must(read_image(ask("pages-1.img"), 1) == BIG);
}

static void in_pieces(void)
{
	static const char msg[] = { 12,	 0,   0,   0,	0x0a, 10,  'c', 'o',
				    'r', 'e', '-', '1', '.',  'i', 'm', 'g' };
	int p[2];

	for (size_t i = 0; i < sizeof(msg); i++)
		must(write(criu, msg + i, 1) == 1 && poll(NULL, 0, 2) == 0);
	must(heard() && vz_pipe(p) == 0 && vz_send_fds(criu, "", 1, &p[1], 1) == 0);
	(void)close(p[1]);
	must(read_image(p[0], 4) == 9);
}

static void not_to_the_end(void)
{
	int a = ask("pages-1.img"), t = ask("tmpfs-dev-1.tar.gz.img");
	char some[4096];

	must(read(a, some, sizeof(some)) > 0 && read(t, some, sizeof(some)) > 0);
	(void)close(a);
	(void)close(t);
	must(read_image(ask("pages-2.img"), 2) == BIG);
}

static void cut_off(void)
{
	must(read_image(ask("pages-2.img"), 2) < BIG);
}

static void leaves_some(void)
{
	(void)ask("pages-1.img");
}

static void asks_no_more(void)
{
	int a = ask("pages-1.img");

	(void)close(criu);
	must(read_image(a, 1) == BIG);
}

static const struct {
	char msg[16];
	size_t len;
	const char *what;
} garbage[] = {
	{ "\5\0\0\0\12\3x.y", 9, "no name of an image" },
	{ "\6\0\0\0\12\4/img", 10, "a path" },
	{ "\12\0\0\0\12\10../x.img", 14, "a path that leads out" },
	{ "\7\0\0\0\12\5a.img", 11, "it is fine" },
	{ "\7\0\0\0\22\5a.img", 11, "another field" },
	{ "\10\0\0\0\12\5a.img", 11, "two lengths" },
	{ "\2\0\0\0\12\0", 6, "an empty name" },
	{ "\142\0\0\0\12\140", 6, "a long one" },
	{ "\7\0\0\1\12\5a.img", 11, "a very long one" },
	{ "\7\0\0\0\12\5a\0.im", 11, "half a name" },
};
static size_t which;

static void says_garbage(void)
{
	must(write(criu, garbage[which].msg, garbage[which].len) == (ssize_t)garbage[which].len);
}

static void sends_no_pipe(void)
{
	say("core-1.img");
	must(heard() && write(criu, "", 1) == 1);
}

/* Says when it is through, as the gate does; then it waits. */
static pid_t begin_criu(const struct cpt_server *s, void (*as)(void), int *ret_ready,
			int *ret_until)
{
	int ready[2], until[2];
	char path[100], end;
	pid_t pid;

	if (vz_pipe(ready) < 0 || vz_pipe(until) < 0)
		abort();
	(void)snprintf(path, sizeof(path), "%s/streamer-serve.sock", cpt_server_dir(s));
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		(void)close(until[1]);
		criu = vz_unix_connect(path);
		if (criu < 0)
			_exit(1);
		as();
		must(write(ready[1], "!", 1) == 1);
		(void)!read(until[0], &end, 1);
		_exit(0);
	}
	(void)close(ready[1]);
	(void)close(until[0]);
	*ret_ready = ready[0];
	*ret_until = until[1];
	return pid;
}

/* Return: what serving said; *@ret_status: of the one that is CRIU. @stop: end once so much was sent, 0: do not. */
static int serve(const struct cpt_memory *m, void (*as)(void), uint64_t stop, int *ret_status)
{
	struct cpt_server *s = NULL;
	struct pollfd p[2];
	struct vz_error err;
	int until, r = 0;
	pid_t pid;

	if (cpt_server_open(dir, in_dir("out"), m, &s, &err) < 0)
		abort();
	p[0] = (struct pollfd){ .fd = cpt_server_fd(s), .events = POLLIN };
	p[1] = (struct pollfd){ .events = POLLIN };
	pid = begin_criu(s, as, &p[1].fd, &until);
	while (r == 0 && !p[1].revents && (!stop || cpt_server_sent(s) < stop)) {
		if (poll(p, 2, 10000) <= 0)
			r = -ETIME;
		else if (p[0].revents)
			r = cpt_server_step(s);
	}
	while (r == 0 && !stop && poll(p, 1, 0) > 0)
		r = cpt_server_step(s);
	if (r == 0 && !stop)
		r = cpt_server_finish(s);
	cpt_server_closep(&s);
	(void)close(p[1].fd);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)close(until);
	(void)waitpid(pid, ret_status, 0);
	return r;
}

static void test_good(void)
{
	struct cpt_memory *m = NULL;
	int status;

	make_dump("pages-2.img", "pages-3.img");
	OK_NAME(open_dump(&m) == 0 && m, "its memory stays in the file");
	OK_NAME(access(in_dir("out/core-1.img"), F_OK) == 0 &&
			access(in_dir("out/pages-1.img"), F_OK) < 0 &&
			access(in_dir("out/pages-2.img"), F_OK) < 0,
		"and nowhere else");
	OK_NAME(serve(m, in_any_order, 0, &status) == 0 && status == 0,
		"all that it asks for, whatever it reads first");
	OK_NAME(access(in_dir("streamer-serve.sock"), F_OK) < 0, "nothing is left beside it");
	OK_NAME(serve(m, in_pieces, 0, &status) == 0 && status == 0, "a message in pieces");
	OK_NAME(serve(m, not_to_the_end, 0, &status) == 0 && status == 0,
		"images that are not read to the end");
	OK_NAME(serve(m, asks_no_more, 0, &status) == 0 && status == 0,
		"what it has asked for comes after it has hung up");
	OK_NAME(serve(m, cut_off, 1, &status) == 0 && status == 0,
		"the server ends: an image ends too early");
	OK_NAME(serve(m, leaves_some, 0, &status) == -EPROTO, "at the gate without its memory");
	for (which = 0; which < sizeof(garbage) / sizeof(*garbage); which++)
		OK_NAME(serve(m, says_garbage, 0, &status) ==
				(strcmp(garbage[which].what, "it is fine") ? -EPROTO : 0),
			garbage[which].what);
	OK_NAME(serve(m, sends_no_pipe, 0, &status) == -EPROTO, "no pipe");
	cpt_memory_closep(&m);
}

/* After it was opened, and found right. */
static void test_changed(void)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, in_dir("Dump"), O_RDWR, 0);
	struct cpt_memory *m = NULL;
	const struct cpt_mem_image *i;
	int status, r;
	off_t at;
	char c;

	OK_NAME(open_dump(&m) == 0 && m && cpt_memory_file(m) >= 0, "open");
	i = m ? cpt_memory_find(m, "pages-2.img") : NULL;
	OK_NAME(i && i->n == 4 && i->v[3].size == BIG % CPT_PART_BYTES, "where its parts are");
	if (!i)
		return;
	at = (off_t)(i->v[2].at + 77);
	(void)!pread(fd, &c, 1, at);
	c ^= 4;
	(void)!pwrite(fd, &c, 1, at);
	r = serve(m, cut_off, 0, &status);
	/* the byte itself is in it: what it has read of the part before the last bytes came */
	OK_NAME(r == -EBADMSG && WIFEXITED(status) &&
			(WEXITSTATUS(status) == 5 || WEXITSTATUS(status) == 0),
		"a flipped bit: told, and the rest does not come");
	c ^= 4;
	(void)!pwrite(fd, &c, 1, at);
	OK_NAME(serve(m, in_any_order, 0, &status) == 0 && status == 0, "right again");
	if (ftruncate(fd, (off_t)i->v[3].at) < 0)
		abort();
	OK_NAME(serve(m, cut_off, 0, &status) == -EBADMSG && status == 0, "cut off");
	cpt_memory_closep(&m);
	OK_NAME(open_dump(&m) < 0 && !m, "which is seen when it is opened, too");
	make_dump("pages-1.img", "pages-3.img");
	OK_NAME(open_dump(&m) < 0 && !m && access(in_dir("out"), F_OK) < 0,
		"the same part twice: refused, and nothing is left");
	make_dump("pages-2.img", "pages-1.img");
	OK_NAME(open_dump(&m) < 0 && !m && access(in_dir("out"), F_OK) < 0,
		"the same image twice, too");
}

/* Other formats. */
static void test_packed(int level, unsigned int parents)
{
	CPT_DESC struct cpt_desc d = { 0 };
	CPT_DESC struct cpt_desc back = { 0 };
	struct cpt_memory *m = NULL;
	struct vz_error err;
	int status;

	fill(&d);
	d.parents = parents;
	if (parents)
		strcpy(d.chain, "0123456789abcdef0123456789abcdef");
	make_dump("pages-2.img", "pages-3.img");
	OK_NAME(cpt_unpack(in_dir("Dump"), in_dir("images"), getuid(), &back, &err) == 0 &&
			cpt_pack(in_dir("images"), in_dir("Dump"), &d, level, &err) == 0,
		"packed");
	OK_NAME(open_dump(&m) == 0 && !m == (level || parents),
		level	  ? "compressed: all is unpacked"
		: parents ? "on rounds: all is unpacked"
			  : "images in one piece: they stay where they are");
	if (m)
		OK_NAME(serve(m, in_any_order, 0, &status) == 0 && status == 0, "served");
	else
		OK_NAME(access(in_dir("out/pages-1.img"), F_OK) == 0, "memory, too");
	cpt_memory_closep(&m);
}

/* Process 1 has @pages pages, one in each 2 MiB, and @children. */
static bool forks(size_t pages, size_t children)
{
	static char text[CPT_IMAGE_HEAD + 20000 * 16];
	size_t at;

	(void)!vz_rm_rf(AT_FDCWD, in_dir("tree"));
	if (mkdir(in_dir("tree"), 0700) < 0)
		abort();
	at = CPT_IMAGE_HEAD;
	for (size_t i = 0; i <= children; i++, at += 8)
		memcpy(text + at, i ? "\4\0\0\0\10\2\20\1" : "\4\0\0\0\10\1\20\0", 8);
	if (vz_write_volatile(in_dir("tree/pstree.img"), text, at, 0600) < 0)
		abort();
	memcpy(text + CPT_IMAGE_HEAD, "\2\0\0\0\10\1", 6);
	at = CPT_IMAGE_HEAD + 6;
	for (size_t i = 0; i < pages; i++, at += 11) {
		memcpy(text + at, "\7\0\0\0\10\200\200\200\0\20\1", 11);
		/* a varint of four bytes: i << 21 */
		text[at + 8] = (char)(i & 127);
	}
	if (vz_write_volatile(in_dir("tree/pagemap-1.img"), text, at, 0600) < 0)
		abort();
	return cpt_forks_much(in_dir("tree"), 0);
}

static void test_forks(void)
{
	OK_NAME(!forks(1, 40) && forks(1, 100), "many processes");
	OK_NAME(!forks(100, 20) && forks(100, 40), "children of a large one");
	OK_NAME(cpt_forks_much(in_dir("none"), 0) && truncate(in_dir("tree/pstree.img"), 30) == 0 &&
			cpt_forks_much(in_dir("tree"), 0),
		"in doubt");
}

int main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(dir))
		return 1;
	test_good();
	test_changed();
	test_packed(0, 0);
	test_packed(1, 0);
	test_packed(0, 2);
	test_forks();
	(void)!vz_rm_rf(AT_FDCWD, dir);
	return tap_done();
}
