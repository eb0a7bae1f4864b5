/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "template/priv.h"

#include "util/fd.h"
#include "util/parse.h"
#include "util/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { HEX_LEN = 64, RECORD_MAX = 256 };

/* What the remembered hash holds for: "SIZE MTIME_NS INODE". */
static void stat_words(const struct stat *st, char *ret, size_t size)
{
	(void)snprintf(ret, size, "%lld %lld %llu", (long long)st->st_size,
		       (long long)st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec,
		       (unsigned long long)st->st_ino);
}

bool tpl_hash_valid(const char *hex)
{
	return strlen(hex) == HEX_LEN && strspn(hex, "0123456789abcdef") == HEX_LEN;
}

static void record_path(const char *archive, char ret[PATH_MAX])
{
	(void)snprintf(ret, PATH_MAX, "%s.sha256", archive);
}

/* Return: 1 and the hash when it is remembered for just this file; else 0. */
static int recall(const char *archive, const struct stat *st, char ret_hex[65])
{
	char path[PATH_MAX], words[RECORD_MAX];
	VZ_FREE char *text = NULL;
	size_t len;

	record_path(archive, path);
	if (vz_read_file(AT_FDCWD, path, RECORD_MAX, &text) <= HEX_LEN || text[HEX_LEN] != ' ')
		return 0;
	text[HEX_LEN] = '\0';
	stat_words(st, words, sizeof(words));
	len = strlen(words);
	if (!tpl_hash_valid(text) || strncmp(text + HEX_LEN + 1, words, len) != 0 ||
	    !vz_streq(text + HEX_LEN + 1 + len, "\n"))
		return 0;
	memcpy(ret_hex, text, HEX_LEN + 1);
	return 1;
}

/* A read-only template area is no reason to fail: the next call counts again. */
static void remember(const char *archive, const struct stat *st, const char *hex)
{
	char path[PATH_MAX], words[RECORD_MAX], line[RECORD_MAX + HEX_LEN + 2];
	int n;

	record_path(archive, path);
	stat_words(st, words, sizeof(words));
	n = snprintf(line, sizeof(line), "%s %s\n", hex, words);
	(void)!vz_write_volatile(path, line, (size_t)n, 0600);
}

static const char *find_sha256sum(void)
{
	static const char *const places[] = { "/usr/bin/sha256sum", "/bin/sha256sum",
					      "/usr/local/bin/sha256sum" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

/* coreutils' sha256sum, since no library that we link has the sum; it prints "HEX  -". */
static int compute(const char *archive, int fd, char ret_hex[65], struct vz_error *err)
{
	const char *argv[] = { find_sha256sum(), NULL };
	VZ_FD int from = -EBADF;
	VZ_FD int to = -EBADF;
	VZ_FD int in = -EBADF;
	VZ_FREE char *text = NULL;
	struct vz_run how = { 0 };
	int p[2], r;

	if (!argv[0])
		return vz_fail(err, VZ_EXIT_SYSTEM, 0, "sha256sum not found: install coreutils");
	if (lseek(fd, 0, SEEK_SET) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "%s", archive);
	in = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* never 0, which would mean /dev/null */
	if (in < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "%s", archive);
	r = vz_pipe(p);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "pipe");
	from = p[0];
	to = p[1];
	how.stdin_fd = in;
	how.stdout_fd = to;
	r = vz_run(argv, &how); /* one short line fits into the pipe */
	if (r != 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, r < 0 ? -r : EIO, "%s: sha256sum", archive);
	vz_closep(&to);
	if (vz_read_all(from, RECORD_MAX, &text) < HEX_LEN)
		return vz_fail(err, VZ_EXIT_SYSTEM, EIO, "%s: sha256sum", archive);
	text[HEX_LEN] = '\0';
	if (!tpl_hash_valid(text))
		return vz_fail(err, VZ_EXIT_SYSTEM, EIO, "%s: sha256sum", archive);
	memcpy(ret_hex, text, HEX_LEN + 1);
	return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_ino == b->st_ino &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int count_and_keep(const char *archive, int fd, const struct stat *before, char ret_hex[65],
			  struct vz_error *err)
{
	char hex[HEX_LEN + 1];
	struct stat after;
	int r = compute(archive, fd, hex, err);

	if (r < 0)
		return r;
	if (fstat(fd, &after) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "%s", archive);
	if (!same_file(before, &after))
		return vz_fail(err, VZ_EXIT_SYSTEM, EAGAIN, "%s is being written", archive);
	remember(archive, &after, hex);
	memcpy(ret_hex, hex, sizeof(hex));
	return 0;
}

int tpl_hash_fd(const char *archive, int fd, char ret_hex[65], struct vz_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "%s", archive);
	if (recall(archive, &st, ret_hex))
		return 0;
	return count_and_keep(archive, fd, &st, ret_hex, err);
}

int tpl_hash(const char *archive, char ret_hex[65], struct vz_error *err)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, archive, O_RDONLY, 0);

	if (fd < 0)
		return vz_fail(err, VZ_EXIT_NO_TEMPLATE, -fd, "%s", archive);
	return tpl_hash_fd(archive, fd, ret_hex, err);
}

int tpl_verify(const char *archive, struct vz_error *err)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, archive, O_RDONLY, 0);
	char old[HEX_LEN + 1], now[HEX_LEN + 1];
	struct stat st;
	int r;

	if (fd < 0)
		return vz_fail(err, VZ_EXIT_NO_TEMPLATE, -fd, "%s", archive);
	if (fstat(fd, &st) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "%s", archive);
	if (recall(archive, &st, old)) {
		r = compute(archive, fd, now, err);
		if (r == 0 && !vz_streq(old, now))
			r = vz_fail(err, VZ_EXIT_BAD_TEMPLATE, 0,
				    "%s: content is not that of the remembered SHA-256", archive);
	} else {
		r = count_and_keep(archive, fd, &st, now, err);
	}
	return r < 0 ? r : tpl_unpack_fd(archive, fd, -1, 0, err);
}
