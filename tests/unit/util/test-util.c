/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lib/tap.h"
#include "util/error.h"
#include "util/fd.h"
#include "util/json.h"
#include "util/parse.h"
#include "util/proc.h"
#include "util/str.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void test_error(void)
{
	struct vz_error e;

	OK(vz_fail(&e, 21, ENOENT, "file %s", "x") == -ENOENT);
	OK(!strcmp(e.msg, "file x: No such file or directory") && e.exit == 21 && e.sys == ENOENT);
	OK(vz_wrap(&e, -5, "start %d", 42) == -5);
	OK(!strcmp(e.msg, "start 42: file x: No such file or directory"));
	OK(vz_fail(&e, 3, 0, "plain") == -EPROTO && !strcmp(e.msg, "plain"));
	for (int i = 0; i < 20; i++)
		(void)vz_wrap(&e, -1, "%0100d", i);
	OK_NAME(strnlen(e.msg, sizeof(e.msg)) < sizeof(e.msg), "wrapping for ever never overruns");
}

static void test_numbers(void)
{
	static const char *const bad[] = { "", " 1", "1 ", "-1", "+1", "0x10", "1a", "1.5", "1e3" };
	uint64_t v = 77;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		OK_NAME(vz_parse_u64(bad[i], 0, UINT64_MAX, &v) == -EINVAL && v == 77, bad[i]);
	OK(vz_parse_u64("18446744073709551615", 0, UINT64_MAX, &v) == 0 && v == UINT64_MAX);
	v = 1;
	OK(vz_parse_u64("18446744073709551616", 0, UINT64_MAX, &v) == -ERANGE && v == 1);
	OK(vz_parse_u64("8", 8, 10, &v) == 0 && vz_parse_u64("7", 8, 10, &v) == -ERANGE);
	OK(vz_parse_u64("11", 8, 10, &v) == -ERANGE && v == 8);
}

static void test_sizes(void)
{
	static const struct {
		const char *text;
		uint64_t unit, want;
		int r;
	} t[] = {
		{ "10", 4096, 40960, 0 },
		{ "10K", 4096, 10240, 0 },
		{ "1.5G", 1, 1610612736, 0 },
		{ "2p", 1, 8192, 0 },
		{ "7B", 4096, 7, 0 },
		{ "unlimited", 1, INT64_MAX, 0 },
		{ "1T", 1, UINT64_C(1) << 40, 0 },
		{ "99999999999999999999", 1, INT64_MAX, -ERANGE },
		{ "9999999T", 1, INT64_MAX, -ERANGE },
	};
	static const char *const bad[] = { "",	  "K",	 "1.5", "1.G",	 "1GG",
					   "-1K", "1 K", "1Q",	"1.5.5G" };
	uint64_t v;

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		v = 1;
		OK_NAME(vz_parse_size(t[i].text, t[i].unit, &v) == t[i].r && v == t[i].want,
			t[i].text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		OK_NAME(vz_parse_size(bad[i], 1, &v) == -EINVAL, bad[i]);
}

static void test_cpulist(void)
{
	uint64_t b[2];

	OK(vz_parse_cpulist("0-3,5,64", b, 128) == 0 && b[0] == 0x2f && b[1] == 1);
	OK(vz_parse_cpulist("3-1", b, 128) == -EINVAL);
	OK(vz_parse_cpulist("1,", b, 128) == -EINVAL);
	OK(vz_parse_cpulist("128", b, 128) == -ERANGE);
	OK(vz_parse_cpulist("", b, 128) == -EINVAL);
}

static void test_lists(void)
{
	VZ_LIST struct vz_list l = { 0 };
	VZ_FREE char *all = NULL;
	char q[64];

	OK(vz_list_split(&l, "  a b,c  ", " ,") == 0 && l.n == 3);
	all = vz_list_join(&l, "+");
	OK(all && !strcmp(all, "a+b+c"));
	vz_list_del(&l, 1);
	OK(l.n == 2 && vz_list_find(&l, "c") == 1 && vz_list_find(&l, "b") == -1);
	OK(!strcmp(vz_quote(q, sizeof(q), "a\033[2Jb\n"), "a\\x1b[2Jb\\x0a"));
	OK(!strcmp(vz_quote(q, sizeof(q), "\xc3\x84 \xc2\x9b \xff"), "\xc3\x84 \\xc2\\x9b \\xff"));
	OK(strlen(vz_quote(q, 8, "aaaaaaaaaaaaaaaaaaaaa")) < 8);
}

static void test_files(void)
{
	char dir[] = "/tmp/croft-util-XXXXXX", path[128], deep[128];
	VZ_FREE char *text = NULL;
	VZ_FD int root = -EBADF;
	struct stat st;

	OK(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/a/b/c", dir);
	OK(vz_mkdir_p(path, 0755) == 0);
	(void)snprintf(path, sizeof(path), "%s/file", dir);
	OK(vz_write_atomic(path, "one\n", 4, 0640) == 0);
	OK(vz_read_file(AT_FDCWD, path, 100, &text) == 4 && !strcmp(text, "one\n"));
	OK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640);
	OK(vz_read_file(AT_FDCWD, path, 3, &text) == -EFBIG);
	(void)snprintf(deep, sizeof(deep), "%s/link", dir);
	OK(symlink("file", deep) == 0 && vz_write_atomic(deep, "two\n", 4, 0600) == 0);
	OK_NAME(lstat(deep, &st) == 0 && S_ISLNK(st.st_mode),
		"a symlink stays, its target is replaced");
	root = vz_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	OK(root >= 0 && symlinkat("/etc/passwd", root, "out") == 0);
	OK_NAME(vz_open_in(root, "out", O_RDONLY, 0) == -ENOENT, "an absolute link stays inside");
	OK(vz_open_in(root, "../../etc/passwd", O_RDONLY, 0) == -ENOENT);
	OK(vz_open_nolink(root, "link", O_RDONLY, 0) == -ELOOP);
	OK(vz_rm_rf(AT_FDCWD, dir) == 0 && stat(dir, &st) < 0);
	OK(vz_is_mountpoint("/proc") == 1 && vz_is_mountpoint("/proc/self") == 0);
}

/* 5000 directories below each other: more than any stack or descriptor table holds. */
static void test_rm_deep(void)
{
	char dir[] = "/tmp/croft-deep-XXXXXX";
	VZ_FD int fd = -EBADF;
	struct stat st;
	int r = 0;

	OK(mkdtemp(dir) != NULL);
	fd = vz_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	for (int i = 0; r == 0 && i < 5000; i++) {
		int sub;

		r = mkdirat(fd, "d", 0755);
		sub = vz_openat(fd, "d", O_RDONLY | O_DIRECTORY, 0);
		(void)close(fd);
		fd = sub;
	}
	OK(r == 0 && fd >= 0);
	OK(vz_rm_rf(AT_FDCWD, dir) == 0 && stat(dir, &st) < 0);
}

static void test_fds(void)
{
	int sk[2], got[2] = { -1, -1 };
	size_t n = 1;
	char buf[8];

	OK(vz_seqpacket(sk) == 0);
	OK(vz_send_fds(sk[0], "hello", 5, sk, 2) == 0);
	OK(vz_recv_fds(sk[1], buf, sizeof(buf), got, &n) == 5 && n == 1);
	OK_NAME(fcntl(got[0], F_GETFD) == FD_CLOEXEC, "descriptors arrive close-on-exec");
	OK(vz_send_fds(sk[0], "too long for it", 15, NULL, 0) == 0);
	n = 0;
	OK(vz_recv_fds(sk[1], buf, sizeof(buf), NULL, &n) == -EMSGSIZE);
	(void)close(got[0]);
	(void)close(sk[0]);
	OK_NAME(vz_recv_fds(sk[1], buf, sizeof(buf), NULL, &n) == 0, "a hang-up is 0 bytes");
	(void)close(sk[1]);
}

static void test_nopipe(void)
{
	static const char *const hit[] = { "/bin/sh", "-c", "kill -PIPE $$; exit 3", NULL };
	struct sigaction now = { 0 };
	struct vz_nopipe alone = { 0 }, never = { 0 };
	int p[2];

	if (vz_pipe(p) < 0)
		abort();
	(void)close(p[0]);
	vz_nopipe_begin(&alone);
	OK_NAME(vz_write_all(p[1], "x", 1) == -EPIPE, "SIGPIPE is ignored");
	OK_NAME(vz_run(hit, NULL) == 128 + SIGPIPE, "a program that is started has it as usual");
	vz_nopipe_end(&never);
	vz_nopipe_end(&alone);
	(void)sigaction(SIGPIPE, NULL, &now);
	OK_NAME(now.sa_handler == SIG_DFL, "afterwards it is as before");
	(void)close(p[1]);
}

static void test_proc(void)
{
	static const char *const ok[] = { "/bin/true", NULL },
				 *const seven[] = { "/bin/sh", "-c", "exit 7", NULL },
				 *const none[] = { "/no/such", NULL },
				 *const slow[] = { "/bin/sleep", "60", NULL };
	const struct vz_run limit = { .timeout_ms = 50 };
	uint64_t start = 0;
	int fd;

	OK(vz_run(ok, NULL) == 0 && vz_run(seven, NULL) == 7 && vz_run(none, NULL) == 127);
	OK(vz_run(slow, &limit) == -ETIMEDOUT);
	test_nopipe();
	OK(vz_proc_starttime(getpid(), &start) == 0 && start > 0);
	fd = vz_proc_pidfd(getpid(), start);
	OK(fd >= 0 && vz_pidfd_poll(fd, 0) == -ETIMEDOUT);
	(void)close(fd);
	OK_NAME(vz_proc_pidfd(getpid(), start + 1) == -ESRCH,
		"a number used again is another process");
}

static void test_json(void)
{
	VZ_JSON json_t *j = vz_json_text("bad \xff utf");

	OK(j && !strcmp(json_string_value(j), "bad \xef\xbf\xbd utf"));
}

int main(void)
{
	test_error();
	test_numbers();
	test_sizes();
	test_cpulist();
	test_lists();
	test_files();
	test_rm_deep();
	test_fds();
	test_proc();
	test_json();
	return tap_done();
}
