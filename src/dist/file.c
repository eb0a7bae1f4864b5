/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading and replacing one file of the tenant's. Caged child; "/" is the VPS's root. */
#include "dist/priv.h"

#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { NAME_TRIES = 16 };

/* The directory is held, so that it cannot become another one between reading and renaming. */
static int open_parent(const char *path, struct dist_file *f)
{
	const char *slash = strrchr(path, '/');
	VZ_FREE char *dir = strndup(path, (size_t)(slash - path) + 1);
	int r;

	if (!dir)
		return -ENOMEM;
	r = vz_copy(f->base, sizeof(f->base), slash + 1);
	if (r < 0)
		return r;
	f->dirfd = vz_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	return f->dirfd < 0 ? f->dirfd : 0;
}

/* 1: regular and now in @f; 0: anything else, which is never opened for real. */
static int read_regular(struct dist_file *f)
{
	VZ_FD int fd = -EBADF;
	ssize_t n;

	if (!S_ISREG(f->st.st_mode))
		return 0;
	/* It may have been exchanged since: O_NONBLOCK so that a FIFO does not hang. */
	fd = vz_openat(f->dirfd, f->base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	if (fd == -ENOENT || fd == -ELOOP)
		return 0;
	if (fd < 0)
		return fd;
	if (fstat(fd, &f->st) < 0)
		return -errno;
	if (!S_ISREG(f->st.st_mode))
		return 0;
	n = vz_read_all(fd, DIST_FILE_MAX, &f->text);
	if (n < 0)
		return (int)n;
	f->len = (size_t)n;
	return 1;
}

int dist_load(const char *path, struct dist_file *ret)
{
	struct dist_file f = { .dirfd = -EBADF };
	int r = open_parent(path, &f);

	if (r == 0 && fstatat(f.dirfd, f.base, &f.st, AT_SYMLINK_NOFOLLOW) == 0) {
		f.exists = true;
		r = read_regular(&f);
		f.there = r == 1;
	} else if (r == 0 && errno != ENOENT) {
		r = -errno;
	}
	if (r == 0 && !(f.text = strdup("")))
		r = -ENOMEM;
	if (r < 0) {
		dist_file_clear(&f);
		return r;
	}
	*ret = f;
	return 0;
}

void dist_file_clear(struct dist_file *f)
{
	vz_closep(&f->dirfd);
	vz_freep(&f->text);
}

bool dist_is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int dist_random_hex(char *ret, size_t n)
{
	unsigned char raw[32];

	if (n > 2 * sizeof(raw))
		return -EINVAL;
	if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		return -EIO;
	for (size_t i = 0; i < n; i++)
		ret[i] = "0123456789abcdef"[(raw[i / 2] >> (i % 2 ? 0 : 4)) & 15];
	ret[n] = '\0';
	return 0;
}

static int open_fresh(const struct dist_file *f, char name[32])
{
	for (int i = 0; i < NAME_TRIES; i++) {
		char hex[17];
		int fd, r = dist_random_hex(hex, 16);

		if (r < 0)
			return r;
		(void)snprintf(name, 32, ".vps-%s", hex);
		fd = vz_openat(f->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
		if (fd != -EEXIST)
			return fd;
	}
	return -EEXIST;
}

static int fill(int fd, const struct dist_file *f, const char *text, size_t len, mode_t mode,
		bool sync)
{
	int r = vz_write_all(fd, text, len);

	if (r < 0)
		return r;
	if (f->there && fchown(fd, f->st.st_uid, f->st.st_gid) < 0)
		return -errno;
	if (fchmod(fd, f->there ? f->st.st_mode & 07777 : mode) < 0 || (sync && fsync(fd) < 0))
		return -errno;
	return 0;
}

int dist_store(const struct dist_file *f, const char *text, size_t len, mode_t mode, bool sync)
{
	char name[32];
	int fd, r;

	if (f->there && len == f->len && !memcmp(text, f->text, len))
		return 0;
	if (len > DIST_FILE_MAX)
		return -EFBIG;
	fd = open_fresh(f, name);
	if (fd < 0)
		return fd;
	r = fill(fd, f, text, len, mode, sync);
	(void)close(fd);
	if (r == 0 && renameat(f->dirfd, name, f->dirfd, f->base) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(f->dirfd, name, 0);
	return r;
}

bool dist_line(const struct dist_file *f, size_t *pos, const char **ret_line, size_t *ret_len)
{
	const char *nl;

	if (*pos >= f->len)
		return false;
	*ret_line = f->text + *pos;
	nl = memchr(*ret_line, '\n', f->len - *pos);
	*ret_len = nl ? (size_t)(nl - *ret_line) : f->len - *pos;
	*pos += *ret_len + 1;
	return true;
}
