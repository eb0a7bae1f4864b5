/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "template/template.h"

#include "util/fd.h"
#include "util/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/*
 * tpl_unpack() and tpl_check() on the archives of tests/data/make-zoo, by the real vz-unpack: in
 * CROFT_LIBEXEC, by default the current directory. srcdir as automake gives it.
 */

enum { DIR_FD = 3, SHIFT = 100000, TIME = 1000000000 };

static char work[] = "/var/tmp/croft-untar.XXXXXX";
static int count, failed;

static void ok(bool good, const char *what, const char *of)
{
	printf("%sok %d - %s %s\n", good ? "" : "not ", ++count, of, what);
	failed += !good;
}

static int fresh_dir(int zoo)
{
	int fd;

	(void)!vz_rm_rf(zoo, "out");
	if (mkdirat(zoo, "out", 0700) < 0)
		return -errno;
	fd = vz_openat(zoo, "out", O_RDONLY | O_DIRECTORY, 0);
	return fd;
}

static bool printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static void try_archive(int zoo, const char *name)
{
	bool want = !strncmp(name, "good-", 5);
	char path[PATH_MAX];
	struct vz_error err = { 0 };
	VZ_FD int dir = fresh_dir(zoo);
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", work, name);
	r = tpl_unpack(path, dir, 0, &err);
	if (want)
		ok(r == 0, "is unpacked", name);
	else
		ok(r < 0 && err.exit == VZ_EXIT_BAD_TEMPLATE && printable(err.msg) && err.msg[0],
		   "is refused", name);
	if ((r == 0) != want)
		printf("# %s\n", err.msg);
	memset(&err, 0, sizeof(err));
	r = tpl_check(path, &err);
	ok((r == 0) == want && (want || err.exit == VZ_EXIT_BAD_TEMPLATE),
	   "is judged alike by check", name);
}

static void check_good(int zoo, uint64_t shift)
{
	const char *of = shift ? "shifted" : "plain";
	struct vfs_ns_cap_data cap = { 0 };
	char path[PATH_MAX], text[16];
	struct vz_error err = { 0 };
	VZ_FD int dir = fresh_dir(zoo);
	VZ_FD int fd = -EBADF;
	struct stat st = { 0 };
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/good-plain.tar", work);
	ok(tpl_unpack(path, dir, shift, &err) == 0, "unpacked", of);
	ok(fstatat(dir, "bin/ash", &st, 0) == 0 && st.st_nlink == 2 &&
		   (st.st_mode & 07777) == 04755 && st.st_uid == shift,
	   "set-user-id program with a hard link", of);
	ok(st.st_mtim.tv_sec == TIME, "time of a file", of);
	ok(fstatat(dir, "var/deep", &st, 0) == 0 && (st.st_mode & 07777) == 01777 &&
		   st.st_mtim.tv_sec == TIME,
	   "mode and time of a directory", of);
	ok(fstatat(dir, "var/deep/er/file", &st, 0) == 0 && st.st_uid == shift + 1000 &&
		   st.st_gid == shift + 100,
	   "owner", of);
	ok(fstatat(dir, "sparse", &st, 0) == 0 && st.st_size == 64 << 20 && st.st_blocks < 2048,
	   "holes stay holes", of);
	ok(fstatat(dir, "dev/null", &st, 0) < 0, "no device is made", of);
	ok(fstatat(dir, "fifo", &st, 0) == 0 && S_ISFIFO(st.st_mode), "a FIFO is", of);
	ok(fstat(dir, &st) == 0 && (st.st_mode & 07777) == 0755 && st.st_uid == shift,
	   "owner and mode of the root", of);
	fd = vz_openat(dir, "caps", O_RDONLY, 0);
	n = fgetxattr(fd, "security.capability", &cap, sizeof(cap));
	/* unshifted revision 2; shifted revision 3, which names the root it is for */
	ok(shift ? n == XATTR_CAPS_SZ_3 && cap.rootid == shift : n == XATTR_CAPS_SZ_2,
	   "file capabilities", of);
	vz_closep(&fd);
	fd = vz_openat(dir, "note", O_RDONLY, 0);
	n = fgetxattr(fd, "user.note", text, sizeof(text));
	ok((n == 5 && !memcmp(text, "hello", 5)) || errno == EOPNOTSUPP, "user attribute", of);
	vz_closep(&fd);
	fd = vz_openat(dir, "label", O_RDONLY, 0);
	ok(fgetxattr(fd, "trusted.overlay.opaque", text, sizeof(text)) < 0, "no trusted attribute",
	   of);
	vz_closep(&fd);
	fd = vz_openat(dir, "acl", O_RDONLY, 0);
	n = fgetxattr(fd, "system.posix_acl_access", NULL, 0);
	ok(n == 4 + 5 * 8 || errno == EOPNOTSUPP, "access list", of);
}

/* vz-unpack with a limit. Return: its exit status. */
static int limited(int zoo, const char *name, const char *option, const char *value)
{
	char program[PATH_MAX];
	const char *argv[] = { vps_path(program, "%s/vz-unpack", vps_paths()->libexec), option,
			       value, NULL };
	VZ_FD int in = vz_openat(zoo, name, O_RDONLY, 0);
	VZ_FD int dir = fresh_dir(zoo);
	VZ_FD int null = vz_openat(AT_FDCWD, "/dev/null", O_WRONLY, 0);
	VZ_FD int moved = in < 0 ? -EBADF : fcntl(in, F_DUPFD_CLOEXEC, 10);
	int saved = fcntl(2, F_DUPFD_CLOEXEC, 10), r;

	(void)dup3(null, 2, 0);
	vz_closep(&in);
	(void)dup3(dir, DIR_FD, O_CLOEXEC);
	r = vz_run(argv, &(struct vz_run){ .stdin_fd = moved, .pass_fd = DIR_FD });
	(void)dup3(saved, 2, 0);
	(void)close(saved);
	return r;
}

static void check_limits(int zoo)
{
	ok(limited(zoo, "limit-entries.tar", "--max-entries", "1000") == 0, "is enough",
	   "--max-entries 1000");
	ok(limited(zoo, "limit-entries.tar", "--max-entries", "999") == VZ_EXIT_BAD_TEMPLATE,
	   "is too few", "--max-entries 999");
	ok(limited(zoo, "limit-content.tar", "--max-bytes", "1048576") == 0, "is enough",
	   "--max-bytes 1048576");
	ok(limited(zoo, "limit-content.tar", "--max-bytes", "1048575") == VZ_EXIT_BAD_TEMPLATE,
	   "is too few", "--max-bytes 1048575");
	ok(limited(zoo, "limit-sparse.tar", "--max-bytes", "1048576") == VZ_EXIT_BAD_TEMPLATE,
	   "counts holes", "--max-bytes");
	ok(limited(zoo, "good-plain.tar", "--shift", "-1") == VZ_EXIT_USAGE, "is no number",
	   "--shift -1");
}

static void check_full(int zoo)
{
	struct vz_error err = { 0 };
	char path[PATH_MAX], out[PATH_MAX];
	VZ_FD int dir = fresh_dir(zoo);
	int r;

	vz_closep(&dir);
	(void)snprintf(path, sizeof(path), "%s/limit-content.tar", work);
	(void)snprintf(out, sizeof(out), "%s/out", work);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", out, "tmpfs", 0, "size=64k") < 0) {
		printf("ok %d - full file system # SKIP no tmpfs\n", ++count);
		return;
	}
	dir = vz_openat(AT_FDCWD, out, O_RDONLY | O_DIRECTORY, 0);
	r = tpl_unpack(path, dir, 0, &err);
	ok(r == -ENOSPC && err.exit == VZ_EXIT_NO_SPACE, "is said", "full file system");
	vz_closep(&dir);
	(void)umount2(out, MNT_DETACH);
}

static int make_zoo(void)
{
	const char *src = getenv("srcdir");
	char make[PATH_MAX];
	const char *argv[] = { make, work, NULL };

	(void)snprintf(make, sizeof(make), "%s/tests/data/make-zoo", src ? src : ".");
	return vz_run(argv, NULL);
}

int main(void)
{
	VZ_FD int zoo = -EBADF;
	VZ_FD int low = -EBADF;
	VZ_DIR DIR *d = NULL;
	struct dirent *e;

	if (geteuid() != 0) {
		puts("1..0 # SKIP needs root");
		return 0;
	}
	if (setenv("CROFT_LIBEXEC", ".", 0) < 0 || !mkdtemp(work) || make_zoo() != 0) {
		puts("Bail out! cannot make the archives");
		return 1;
	}
	low = vz_openat(AT_FDCWD, work, O_RDONLY | O_DIRECTORY, 0);
	zoo = fcntl(low, F_DUPFD_CLOEXEC, 10);
	(void)dup3(zoo, DIR_FD, O_CLOEXEC); /* kept for limited(), whatever took it before */
	d = vz_opendirat(AT_FDCWD, work);
	while (d && (e = readdir(d)))
		if (!strncmp(e->d_name, "good-", 5) || !strncmp(e->d_name, "bad-", 4))
			try_archive(zoo, e->d_name);
	check_good(zoo, 0);
	check_good(zoo, SHIFT);
	check_limits(zoo);
	ok(access("/tmp/croft-zoo-escaped", F_OK) < 0 &&
		   access("/var/tmp/croft-zoo-escaped", F_OK) < 0,
	   "escaped", "nothing");
	check_full(zoo);
	(void)!vz_rm_rf(AT_FDCWD, work);
	printf("1..%d\n", count);
	return failed ? 1 : 0;
}
