/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UTIL_FD_H
#define UTIL_FD_H

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

/* Cleanup attributes: every owning local is initialised where it is declared. */

static inline void vz_closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd); /* not retried on EINTR: Linux has freed the number */
	*fd = -EBADF;
	errno = saved;
}

static inline void vz_freep(void *p)
{
	free(*(void **)p);
	*(void **)p = NULL;
}

static inline void vz_fclosep(FILE **f)
{
	if (*f)
		(void)fclose(*f);
	*f = NULL;
}

static inline void vz_closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
	*d = NULL;
}

static inline int vz_take_fd(int *fd)
{
	int r = *fd;

	*fd = -EBADF;
	return r;
}

static inline void *vz_take_ptr(void *pp)
{
	void *r = *(void **)pp;

	*(void **)pp = NULL;
	return r;
}

#define VZ_FD	__attribute__((cleanup(vz_closep)))
#define VZ_FREE __attribute__((cleanup(vz_freep)))
#define VZ_FILE __attribute__((cleanup(vz_fclosep)))
#define VZ_DIR	__attribute__((cleanup(vz_closedirp)))

/* All of these return -errno on failure and give close-on-exec descriptors the caller owns. */

/** vz_openat - openat(2) with O_CLOEXEC; EINTR is retried. Return: fd or -errno. */
int vz_openat(int dirfd, const char *path, int flags, mode_t mode)
	__attribute__((warn_unused_result));

/**
 * vz_open_in - open @path inside the tree @rootfd (openat2, RESOLVE_IN_ROOT): a symlink made by the
 * tenant cannot lead outside, nor can a magic link.
 * Return: fd; -ENOENT; -ELOOP; -EAGAIN if somebody inside renames faster than we look.
 */
int vz_open_in(int rootfd, const char *path, int flags, mode_t mode)
	__attribute__((warn_unused_result));

/** vz_open_nolink - like vz_open_in, but any symlink on the way is -ELOOP. */
int vz_open_nolink(int rootfd, const char *path, int flags, mode_t mode)
	__attribute__((warn_unused_result));

/** vz_opendirat - fdopendir on openat; NULL with errno set. Free with closedir (VZ_DIR). */
DIR *vz_opendirat(int dirfd, const char *path);

/** vz_fopen - stdio stream by vz_openat; @mode is "r", "w" or "a". NULL with errno set. */
FILE *vz_fopen(const char *path, const char *mode);

/** vz_seqpacket - a connected SOCK_SEQPACKET pair. Return: 0 or -errno. */
int vz_seqpacket(int ret_sk[2]) __attribute__((warn_unused_result));

/** vz_streampair - a connected SOCK_STREAM pair. Return: 0 or -errno. */
int vz_streampair(int ret_sk[2]) __attribute__((warn_unused_result));

/**
 * vz_unix_listen - bound, listening SOCK_STREAM unix socket at @path, mode 0600. Return: fd or
 * -errno.
 */
int vz_unix_listen(const char *path) __attribute__((warn_unused_result));

/** vz_unix_connect - connected SOCK_STREAM unix socket. Return: fd or -errno. */
int vz_unix_connect(const char *path) __attribute__((warn_unused_result));

/** vz_socket - socket(2) with SOCK_CLOEXEC. Return: fd or -errno. */
int vz_socket(int domain, int type, int protocol) __attribute__((warn_unused_result));

/** vz_pipe - pipe2 O_CLOEXEC. Return: 0 or -errno. */
int vz_pipe(int ret_p[2]) __attribute__((warn_unused_result));

/**
 * vz_memfd - sealed, read-only memory file holding @len bytes. Return: fd at offset 0 or -errno.
 */
int vz_memfd(const char *name, const void *data, size_t len) __attribute__((warn_unused_result));

/** vz_write_all - all of @len bytes, or -errno. */
int vz_write_all(int fd, const void *data, size_t len) __attribute__((warn_unused_result));

/**
 * vz_read_all - read until end of file, at most @max bytes; NUL added after them.
 * @ret_data: malloc'ed, the caller frees. Return: length; -EFBIG above @max; -errno.
 */
ssize_t vz_read_all(int fd, size_t max, char **ret_data) __attribute__((warn_unused_result));

/**
 * vz_read_file - vz_read_all on a path relative to @dirfd (AT_FDCWD allowed). Never waits.
 * Return: length; -ENOTSUP for what is no regular file (FIFO, device); -EISDIR; as vz_read_all.
 */
ssize_t vz_read_file(int dirfd, const char *path, size_t max, char **ret_data)
	__attribute__((warn_unused_result));

/** vz_read_u64 - a file that holds one decimal number. Return: 0, -EINVAL if it is none, -errno. */
int vz_read_u64(int dirfd, const char *path, uint64_t *ret) __attribute__((warn_unused_result));

/** vz_write_value - one write(2) of @value to an existing file (proc, sysfs, cgroupfs). */
int vz_write_value(int dirfd, const char *path, const char *value)
	__attribute__((warn_unused_result));

/**
 * vz_write_atomic - replace or make @path: temporary file beside it, fsync, rename, fsync of the
 * directory. A crash leaves the old or the new content, never a mixture. A symlink at @path is
 * followed, its target replaced.
 * Return: 0 or -errno (then the old file stands).
 */
int vz_write_atomic(const char *path, const void *data, size_t len, mode_t mode)
	__attribute__((warn_unused_result));
/** vz_fsync_dir_of - make a rename to @path outlive a power cut: fsync of its directory. Return: 0 or -errno. */
int vz_fsync_dir_of(const char *path) __attribute__((warn_unused_result));

/** vz_write_volatile - the same without fsync, for /run and caches: what need not outlive a crash. */
int vz_write_volatile(const char *path, const void *data, size_t len, mode_t mode)
	__attribute__((warn_unused_result));

/** vz_send_fds - one record with up to 24 descriptors. Return: 0 or -errno. */
int vz_send_fds(int sk, const void *data, size_t len, const int *fds, size_t nfds)
	__attribute__((warn_unused_result));

/**
 * vz_recv_fds - one record. Descriptors beyond *@nfds are closed; *@nfds tells how many came.
 * Return: bytes (0 = end of file) or -errno; -EMSGSIZE for a record longer than @len.
 */
ssize_t vz_recv_fds(int sk, void *data, size_t len, int *ret_fds, size_t *nfds)
	__attribute__((warn_unused_result));

/** vz_mkdir_p - every missing part of @path, with @mode. Return: 0; -ENOTDIR when a file is there. */
int vz_mkdir_p(const char *path, mode_t mode) __attribute__((warn_unused_result));

/** vz_rm_rf - remove a tree below @dirfd without following symlinks or crossing mounts. */
int vz_rm_rf(int dirfd, const char *name) __attribute__((warn_unused_result));

/** vz_mountinfo_unescape - \\040 and friends, as in mountinfo, back to their characters, in place. */
void vz_mountinfo_unescape(char *s);
/**
 * vz_drop_mounts - in a mount namespace of our own: off with each mount whose line in mountinfo has @mark, but the
 * one at @keep (NULL: none). An overlay that is mounted anywhere can be mounted nowhere else.
 */
void vz_drop_mounts(const char *mark, const char *keep);

/** vz_is_mountpoint - whether @path is the root of a mount (statx). Return: 1, 0, -ENOSYS if it
 * cannot be told, -errno. */
int vz_is_mountpoint(const char *path) __attribute__((warn_unused_result));

#endif
