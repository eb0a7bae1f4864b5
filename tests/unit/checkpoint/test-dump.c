/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one file of a dump: what goes in comes out, and nothing else does. */
#include "checkpoint/checkpoint.h"
#include "checkpoint/priv.h"
#include "tests/lib/tap.h"
#include "util/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/croft-dump.XXXXXX";

static char *in_dir(const char *name)
{
	static char path[4][300];
	static int n;

	n = (n + 1) % 4;
	(void)snprintf(path[n], sizeof(path[n]), "%s/%s", dir, name);
	return path[n];
}

static void put(const char *name, const char *text)
{
	FILE *f = vz_fopen(in_dir(name), "w");

	(void)fputs(text, f);
	(void)fclose(f);
}

static void fill(struct cpt_desc *d)
{
	*d = (struct cpt_desc){ .ctid = 101,
				.init_pid = 7,
				.init_start = 9,
				.uid_base = 6619136,
				.uid_count = 65536,
				.caps = 5,
				.seccomp = true };
	strcpy(d->croft, "0.1.0");
	strcpy(d->tty, "tty[8800:1a]");
	strcpy(d->ping, "0 65535");
	d->config = strdup("NAME=\"x\"\n# caf\xc3\xa9\n");
	d->cpu = strdup("fpu vme");
	if (vz_list_add(&d->view, "/proc/meminfo") < 0 || vz_list_add(&d->addrs, "10.0.0.1") < 0)
		abort();
	d->devs = calloc(1, sizeof(*d->devs));
	d->ndevs = 1;
	d->devs[0] = (struct cpt_dev){ .path = strdup("a \"b\n/c"),
				       .kind = 'f',
				       .mode = 0644,
				       .text = strdup("x\xff y"),
				       .len = 4 };
	strcpy(d->counters[0].name, "numproc");
	d->counters[0].maxheld = 12;
	d->counters[0].failcnt = 3;
	d->ncounters = 1;
	d->ran_ms = 5000;
	d->refusals[0] = (struct cpt_refusal){ .counter = "numproc",
					       .comm = "a\xff b",
					       .time_ms = 1795670499000,
					       .held = 9,
					       .limit = UINT64_MAX,
					       .asked = 1 };
	d->nrefusals = 1;
	d->given.v[0] = (struct cpt_given){
		.kind = 'd', .dev = "8:1", .options = "rw,nodev", .path = strdup("/srv/a \"b\"")
	};
	d->given.n = 1;
}

static void test_round(int level)
{
	CPT_DESC struct cpt_desc d = { 0 };
	CPT_DESC struct cpt_desc back = { 0 };
	struct vz_error err = { 0 };
	VZ_FREE char *a = NULL;
	VZ_FREE char *b = NULL;
	VZ_FREE char *got = NULL;
	uint64_t bytes = 0;

	fill(&d);
	d.lazy = level > 0;
	OK_NAME(cpt_pack(in_dir("images"), in_dir("Dump"), &d, level, &err) == 0, "packed");
	OK_NAME(cpt_peek(in_dir("Dump"), &back, &bytes, &err) == 0 &&
			(level ? bytes > 14 : bytes == 0),
		"peek");
	OK_NAME(back.lazy == d.lazy, "a dump without its memory says so");
	OK_NAME(cpt_unpack(in_dir("Dump"), in_dir("out"), getuid(), &back, &err) == 0, "unpacked");
	a = cpt_desc_text(&d);
	b = cpt_desc_text(&back);
	OK_NAME(a && b && !strcmp(a, b), "the descriptor is the same");
	OK_NAME(vz_read_file(AT_FDCWD, in_dir("out/core-1.img"), 100, &got) == 9 &&
			!strcmp(got, "the image"),
		"an image is the same");
	OK_NAME(access(in_dir("out/stats-dump"), F_OK) < 0, "what is no image is left out");
	OK_NAME(vz_rm_rf(AT_FDCWD, in_dir("out")) == 0, "removed");
}

/*
 * zstd dies in the middle, here by SIGXFSZ: it says nothing, and we are not taken along. What follows does not fit into the
 * pipe between us.
 */
static void test_zstd_dies(void)
{
	enum { MANY = 4 << 20 };
	VZ_FREE char *noise = malloc(MANY);
	CPT_DESC struct cpt_desc d = { 0 };
	VZ_FD int random = vz_openat(AT_FDCWD, "/dev/urandom", O_RDONLY, 0);
	VZ_FD int fd = vz_openat(AT_FDCWD, in_dir("images/pages-1.img"), O_WRONLY | O_CREAT, 0600);
	struct vz_error err = { 0 };
	struct sigaction now = { 0 };
	struct rlimit was, some;

	for (size_t n = 0; noise && n < MANY;) {
		ssize_t got = read(random, noise + n, MANY - n);

		n += got > 0 ? (size_t)got : 0;
	}
	if (!noise || vz_write_all(fd, noise, MANY) < 0 || getrlimit(RLIMIT_FSIZE, &was) < 0)
		abort();
	fill(&d);
	some = was;
	some.rlim_cur = 64 << 10;
	(void)setrlimit(RLIMIT_FSIZE, &some);
	OK_NAME(cpt_pack(in_dir("images"), in_dir("Short"), &d, 1, &err) == -EIO &&
			err.exit == VZ_EXIT_CHKPNT && strstr(err.msg, "Short: Input/output error"),
		"a zstd that dies is an error of writing");
	(void)setrlimit(RLIMIT_FSIZE, &was);
	(void)sigaction(SIGPIPE, NULL, &now);
	OK_NAME(now.sa_handler == SIG_DFL, "SIGPIPE is as before");
	OK_NAME(access(in_dir("Short"), F_OK) < 0 && access(in_dir("Short.part"), F_OK) < 0,
		"nothing is left");
	OK_NAME(unlink(in_dir("images/pages-1.img")) == 0, "removed");
}

/* Every bit counts. */
static void test_flips(void)
{
	CPT_DESC struct cpt_desc back = { 0 };
	VZ_FREE char *text = NULL;
	struct vz_error err;
	ssize_t n = vz_read_file(AT_FDCWD, in_dir("Dump"), 1 << 20, &text);
	int taken = 0, cut = 0;

	for (ssize_t i = 0; i < n; i++) {
		VZ_FD int fd = -EBADF;

		text[i] ^= (char)(1 << (i % 8));
		fd = vz_openat(AT_FDCWD, in_dir("bad"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (vz_write_all(fd, text, (size_t)n) < 0)
			abort();
		taken += cpt_unpack(in_dir("bad"), NULL, 0, &back, &err) == 0;
		text[i] ^= (char)(1 << (i % 8));
		if (ftruncate(fd, i) < 0)
			abort();
		cut += cpt_unpack(in_dir("bad"), NULL, 0, &back, &err) == 0;
	}
	OK_NAME(n > 200 && taken == 0, "no flipped bit is overlooked");
	OK_NAME(cut == 0, "no missing end is overlooked");
}

/* ---- images in parts ---- */

/* @plan: of each entry image, part, how it ends: "a0 b0 a1." ; bytes are those of the plan. 0 or what cpt_unpack says. */
static int take_plan(const char *plan, uint32_t version, bool into, struct vz_error *err)
{
	CPT_DESC struct cpt_desc d = { 0 };
	CPT_DESC struct cpt_desc back = { 0 };
	char frame[CPT_PART_HEAD + 8 + CPT_PART_TAIL], name[] = "pages-a.img";
	const struct cpt_head h = { .version = version };
	VZ_FD int fd = vz_openat(AT_FDCWD, in_dir("parts"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	uint64_t bytes = 0, n = 1;
	struct cpt_head again;

	fill(&d);
	if (lseek(fd, CPT_HEAD_BYTES, SEEK_SET) < 0 || cpt_desc_put(fd, &d, &bytes) < 0)
		abort();
	for (; *plan; plan += strcspn(plan, " ") + (strchr(plan, ' ') ? 1 : 0), n++) {
		size_t len = strcspn(plan, " ");
		bool last = plan[len - 1] == '.', empty = plan[2] == '-';

		name[6] = plan[0];
		memcpy(frame + CPT_PART_HEAD, plan, 2);
		if (cpt_part_put(fd, frame, name, (uint32_t)(plan[1] - '0'), empty ? 0 : 2, last) <
		    0)
			abort();
		bytes += empty ? 0 : 2;
	}
	again = (struct cpt_head){ .version = h.version, .bytes = bytes };
	if (cpt_end_put(fd, n) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
	    cpt_head_put(fd, "croftdmp", &again) < 0)
		abort();
	err->msg[0] = '\0';
	return cpt_unpack(in_dir("parts"), into ? in_dir("out") : NULL, getuid(), &back, err);
}

static void test_parts(void)
{
	static const char *const good[] = { "a0.", "a0 a1.", "a0 b0 a1 b1 a2. b2.", "a0 b0. a1-.",
					    "a0-." };
	static const struct {
		const char *plan, *what;
	} bad[] = {
		{ "a0", "no last part" },
		{ "a0 b0 a1.", "no last part of one of two" },
		{ "a1.", "the first is missing" },
		{ "a0 a2.", "one is missing" },
		{ "a0 a0 a1.", "one twice" },
		{ "a0 a2 a1 a3.", "two are changed" },
		{ "a0 b1 a1. b0.", "parts of two images are changed" },
		{ "a0. a1.", "more after the last" },
		{ "a0- a1.", "an empty part" },
	};
	VZ_FREE char *got = NULL;
	struct vz_error err;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		OK_NAME(take_plan(good[i], 3, false, &err) == 0, good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		OK_NAME(take_plan(bad[i].plan, 3, false, &err) < 0 && strstr(err.msg, "damaged"),
			bad[i].what);
		OK_NAME(take_plan(bad[i].plan, 3, true, &err) < 0 &&
				access(in_dir("out"), F_OK) < 0,
			"and it leaves nothing");
	}
	OK_NAME(take_plan("a0. a0.", 3, true, &err) < 0, "the same image twice");
	OK_NAME(take_plan("a0 a1.", 1, false, &err) < 0 && strstr(err.msg, "damaged"),
		"parts where there are none");
	OK_NAME(take_plan("a0.", 4, false, &err) < 0 && strstr(err.msg, "newer"), "a newer format");
	OK_NAME(take_plan("a0 b0. a1 a2.", 3, true, &err) == 0 &&
			vz_read_file(AT_FDCWD, in_dir("out/pages-a.img"), 100, &got) == 6 &&
			!strcmp(got, "a0a1a2"),
		"parts come together");
	OK_NAME(vz_rm_rf(AT_FDCWD, in_dir("out")) == 0, "removed");
}

/* ---- a stream ---- */

enum { BIG = 3 << 20 | 12345 };

static unsigned char byte_at(int image, size_t at)
{
	return (unsigned char)(at * 7 + at / 4096 + (size_t)image);
}

/* As CRIU does. Return: the end of the pipe to write into. */
static int ask(int sk, const char *name)
{
	unsigned char msg[100] = { (unsigned char)(strlen(name) + 2), 0, 0, 0, 0x0a,
				   (unsigned char)strlen(name) };
	int p[2];

	memcpy(msg + 6, name, strlen(name));
	if (vz_write_all(sk, msg, 6 + strlen(name)) < 0 || vz_pipe(p) < 0 ||
	    vz_send_fds(sk, "", 1, p, 1) < 0)
		_exit(2);
	(void)close(p[0]);
	return p[1];
}

/* Two big images at a time, a small and an empty one. Exit 0; 3 when nobody reads any more. */
static void be_criu(const char *where, const char *second, int ready, int until)
{
	char path[100], chunk[5000], end;
	int sk, a, b, small;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(path, sizeof(path), "%s/streamer-capture.sock", where);
	sk = vz_unix_connect(path);
	if (sk < 0)
		_exit(2);
	(void)close(ask(sk, "empty.img"));
	a = ask(sk, "pages-1.img");
	b = ask(sk, second);
	for (size_t at = 0; at < BIG; at += sizeof(chunk)) {
		size_t n = BIG - at < sizeof(chunk) ? BIG - at : sizeof(chunk);

		for (int image = 1; image < 3; image++) {
			for (size_t i = 0; i < n; i++)
				chunk[i] = (char)byte_at(image, at + i);
			if (vz_write_all(image == 1 ? a : b, chunk, n) < 0)
				_exit(3);
		}
	}
	(void)close(a);
	(void)close(b);
	small = ask(sk, "core-1.img");
	if (vz_write_all(small, "the image", 9) < 0)
		_exit(3);
	(void)close(small);
	if (write(ready, "!", 1) != 1)
		_exit(2);
	(void)!read(until, &end, 1);
	_exit(0);
}

/* Until it is "at the gate", or something is wrong. */
static int take_all(struct cpt_stream *s, int ready)
{
	struct pollfd p[] = { { .fd = cpt_stream_fd(s), .events = POLLIN },
			      { .fd = ready, .events = POLLIN } };
	int r = 0;

	while (r == 0 && !p[1].revents && poll(p, 2, 10000) > 0)
		r = cpt_stream_step(s);
	return r < 0 ? r : p[1].revents ? cpt_stream_finish(s) : -ETIME;
}

static bool is_big(const char *name, int image)
{
	VZ_FREE char *got = NULL;
	bool same = vz_read_file(AT_FDCWD, in_dir(name), BIG + 1, &got) == BIG;

	for (size_t i = 0; same && i < BIG; i++)
		same = (unsigned char)got[i] == byte_at(image, i);
	return same;
}

/* Return: what taking said; *@ret_status: of the one that is CRIU. */
static int stream_one(int level, const char *second, bool commit, int *ret_status)
{
	CPT_DESC struct cpt_desc d = { 0 };
	struct cpt_stream *s = NULL;
	struct vz_error err;
	int ready[2], until[2], r;
	pid_t pid;

	fill(&d);
	if (vz_pipe(ready) < 0 || vz_pipe(until) < 0 ||
	    cpt_stream_open(in_dir("Streamed"), dir, &s, &err) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		(void)close(until[1]);
		be_criu(cpt_stream_dir(s), second, ready[1], until[0]);
	}
	(void)close(ready[1]);
	(void)close(until[0]);
	r = cpt_stream_begin(s, &d, level);
	if (r == 0)
		r = take_all(s, ready[0]);
	if (r == 0 && access(in_dir("Streamed"), F_OK) == 0)
		r = -EEXIST; /* not before the commit */
	if (r == 0 && commit)
		r = cpt_stream_commit(s);
	cpt_stream_closep(&s);
	(void)close(until[1]);
	(void)close(ready[0]);
	(void)waitpid(pid, ret_status, 0);
	return r;
}

static void test_stream(int level)
{
	CPT_DESC struct cpt_desc back = { 0 };
	struct vz_error err = { 0 };
	uint64_t bytes = 0;
	int status;

	OK_NAME(stream_one(level, "pages-2.img", true, &status) == 0 && status == 0, "a stream");
	OK_NAME(access(in_dir("Streamed.part"), F_OK) < 0 &&
			access(in_dir("streamer-capture.sock"), F_OK) < 0,
		"nothing is left beside it");
	OK_NAME(cpt_peek(in_dir("Streamed"), &back, &bytes, &err) == 0 &&
			(level ? bytes > 2 * BIG : bytes == 0) && back.ctid == 101,
		"peek");
	OK_NAME(cpt_unpack(in_dir("Streamed"), in_dir("out"), getuid(), &back, &err) == 0,
		"unpacked");
	OK_NAME(is_big("out/pages-1.img", 1) && is_big("out/pages-2.img", 2),
		"images whose parts were mixed");
	OK_NAME(access(in_dir("out/empty.img"), F_OK) == 0 &&
			access(in_dir("out/core-1.img"), F_OK) == 0,
		"small ones");
	OK_NAME(vz_rm_rf(AT_FDCWD, in_dir("out")) == 0 && unlink(in_dir("Streamed")) == 0,
		"removed");
	OK_NAME(stream_one(level, "pages-1.img", true, &status) == -EEXIST && WIFEXITED(status) &&
			WEXITSTATUS(status) == 3,
		"the same name twice: refused, and CRIU cannot write any more");
	OK_NAME(stream_one(level, "../pages.img", true, &status) == -EPROTO &&
			stream_one(level, "pages.txt", true, &status) == -EPROTO,
		"names that are none");
	OK_NAME(stream_one(level, "pages-2.img", false, &status) == 0 &&
			access(in_dir("Streamed"), F_OK) < 0 &&
			access(in_dir("Streamed.part"), F_OK) < 0,
		"without the commit nothing is left");
}

static void test_names(void)
{
	static const char *const bad[] = { "", ".x", "a/b", "..", "-x", "a\nb", "a b", "\xc3\xa9" };
	static const char *const paths[] = { "", "/a", "a/", "a//b", "../a", "a/..", "a/./b", "." };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		OK_NAME(!cpt_name_valid(bad[i]), bad[i]);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		OK_NAME(!cpt_dev_path_valid(paths[i]), paths[i]);
	OK_NAME(cpt_name_valid("core-1.img") && cpt_dev_path_valid("a/b") &&
			cpt_dev_path_valid("..a"),
		"and these are not");
	/* RFC 3720, B.4 */
	OK_NAME(cpt_crc(0, "123456789", 9) == 0xe3069283 &&
			cpt_crc(cpt_crc(0, "1234", 4), "56789", 5) == 0xe3069283,
		"CRC-32C");
}

static void test_mounts(void)
{
	static const char good[] = "1 0 0:41 / / rw - overlay none rw\n"
				   "2 1 0:48 / /dev rw - tmpfs none rw\n"
				   "3 1 0:41 /a /b rw - overlay none rw\n"
				   "4 1 0:53 / /proc rw - proc none rw\n"
				   "5 4 0:45 /proc/meminfo /proc/meminfo rw - fuse none rw\n";
	VZ_LIST struct vz_list view = { 0 }, ext = { 0 };
	struct vz_error err;

	OK_NAME(vz_list_add(&view, "/proc/meminfo") == 0 &&
			cpt_mounts(good, &view, NULL, &ext, &err) == 0 && ext.n == 2 &&
			vz_list_find(&ext, "/dev") >= 0 && vz_list_find(&ext, "/proc/meminfo") >= 0,
		"ours are known");
	OK_NAME(cpt_mounts("1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /srv rw - ext4 b rw\n", &view,
			   NULL, &ext, &err) < 0 &&
			strstr(err.msg, "/srv"),
		"one of the node's is named");
}

static void test_cpu(void)
{
	char *missing = NULL;
	uint64_t have = cpt_cpu_caps("fpu cmov sse sse2 rep_good ssse3"),
		 all = cpt_cpu_caps("cmov sse sse2 ssse3 avx pti");

	OK(have && all && have != all && cpt_cpu_caps("") == 0 && cpt_cpu_caps("ss sse22") == 0);
	OK(cpt_cpu_missing(have, all, &missing) == 0 && !missing);
	OK(cpt_cpu_missing(all, have, &missing) == 0 && missing && !strcmp(missing, "avx"));
	free(missing);
}

int main(void)
{
	if (!mkdtemp(dir) || mkdir(in_dir("images"), 0700) < 0)
		return 1;
	put("images/core-1.img", "the image");
	put("images/empty.img", "");
	put("images/stats-dump", "no");
	test_round(3);
	test_round(0);
	test_zstd_dies();
	test_flips();
	test_parts();
	test_stream(0);
	test_stream(1);
	test_names();
	test_mounts();
	(void)!vz_rm_rf(AT_FDCWD, dir);
	test_cpu();
	return tap_done();
}
