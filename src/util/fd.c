/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/fd.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum { OPEN_TRIES = 64, FDS_MAX = 24 };

int vz_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	do
		fd = openat(dirfd, path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd >= 0 ? fd : -errno;
}

static int open_resolve(int rootfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)flags | O_CLOEXEC,
		.resolve = resolve | RESOLVE_NO_MAGICLINKS,
	};

	if (!(flags & O_PATH))
		how.flags |= O_NOCTTY; /* openat2 refuses extra bits beside O_PATH */
	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)
		how.mode = mode; /* and a mode without a creation */
	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		int fd = (int)syscall(SYS_openat2, rootfd, path, &how, sizeof(how));

		if (fd >= 0 || (errno != EINTR && errno != EAGAIN))
			return fd >= 0 ? fd : -errno;
	}
	return -EAGAIN;
}

int vz_open_in(int rootfd, const char *path, int flags, mode_t mode)
{
	return open_resolve(rootfd, path, flags, mode, RESOLVE_IN_ROOT);
}

int vz_open_nolink(int rootfd, const char *path, int flags, mode_t mode)
{
	return open_resolve(rootfd, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
}

DIR *vz_opendirat(int dirfd, const char *path)
{
	int fd = vz_openat(dirfd, path, O_RDONLY | O_DIRECTORY, 0);
	DIR *d;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	d = fdopendir(fd);
	if (!d)
		vz_closep(&fd);
	return d;
}

FILE *vz_fopen(const char *path, const char *mode)
{
	int flags = *mode == 'r'   ? O_RDONLY
		    : *mode == 'a' ? O_WRONLY | O_CREAT | O_APPEND
				   : O_WRONLY | O_CREAT | O_TRUNC;
	int fd = vz_openat(AT_FDCWD, path, flags, 0644);
	FILE *f;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	f = fdopen(fd, mode);
	if (!f)
		vz_closep(&fd);
	return f;
}

int vz_seqpacket(int ret_sk[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_sk) < 0 ? -errno : 0;
}

int vz_streampair(int ret_sk[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_sk) < 0 ? -errno : 0;
}

static int unix_address(const char *path, struct sockaddr_un *ret_sa)
{
	*ret_sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret_sa->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret_sa->sun_path, path, strlen(path));
	return 0;
}

int vz_unix_listen(const char *path)
{
	struct sockaddr_un sa;
	VZ_FD int fd = -EBADF;
	int r = unix_address(path, &sa);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)unlink(path);
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(fd, 8) < 0)
		return -errno;
	return vz_take_fd(&fd);
}

int vz_unix_connect(const char *path)
{
	struct sockaddr_un sa;
	VZ_FD int fd = -EBADF;
	int r = unix_address(path, &sa);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	return vz_take_fd(&fd);
}

int vz_socket(int domain, int type, int protocol)
{
	int fd = socket(domain, type | SOCK_CLOEXEC, protocol);

	return fd >= 0 ? fd : -errno;
}

int vz_pipe(int ret_p[2])
{
	return pipe2(ret_p, O_CLOEXEC) < 0 ? -errno : 0;
}

int vz_memfd(const char *name, const void *data, size_t len)
{
	VZ_FD int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	r = vz_write_all(fd, data, len);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return vz_take_fd(&fd);
}

int vz_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd pf = { .fd = fd, .events = POLLOUT };

			(void)poll(&pf, 1, -1);
			continue;
		}
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t vz_read_all(int fd, size_t max, char **ret_data)
{
	size_t size = 0, room = 4096;
	VZ_FREE char *buf = malloc(room);

	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t n;

		if (size + 1 >= room) {
			char *more = realloc(buf, room * 2);

			if (!more)
				return -ENOMEM;
			buf = more;
			room *= 2;
		}
		n = read(fd, buf + size, room - size - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		size += (size_t)n;
		if (size > max)
			return -EFBIG;
	}
	buf[size] = '\0';
	*ret_data = vz_take_ptr(&buf);
	return (ssize_t)size;
}

ssize_t vz_read_file(int dirfd, const char *path, size_t max, char **ret_data)
{
	/* O_NONBLOCK: the open itself would wait where a FIFO stands in the file's place */
	VZ_FD int fd = vz_openat(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTSUP;
	return vz_read_all(fd, max, ret_data);
}

int vz_read_u64(int dirfd, const char *path, uint64_t *ret)
{
	char buf[64], *end;
	ssize_t n;
	unsigned long long v;
	VZ_FD int fd = vz_openat(dirfd, path, O_RDONLY | O_NONBLOCK, 0);

	if (fd < 0)
		return fd;
	n = read(fd, buf, sizeof(buf) - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	if (buf[0] < '0' || buf[0] > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(buf, &end, 10);
	if (errno || (*end != '\n' && *end != '\0'))
		return -EINVAL;
	*ret = v;
	return 0;
}

int vz_write_value(int dirfd, const char *path, const char *value)
{
	VZ_FD int fd = vz_openat(dirfd, path, O_WRONLY, 0);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = write(fd, value, strlen(value));
	return n < 0 ? -errno : 0;
}

int vz_fsync_dir_of(const char *path)
{
	char dir[PATH_MAX];
	char *slash;
	VZ_FD int fd = -EBADF;

	(void)snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash)
		(void)snprintf(dir, sizeof(dir), ".");
	else if (slash == dir)
		dir[1] = '\0';
	else
		*slash = '\0';
	fd = vz_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	return fsync(fd) < 0 ? -errno : 0;
}

static int replace(const char *path, const void *data, size_t len, mode_t mode, bool durable)
{
	char real[PATH_MAX], tmp[PATH_MAX + 32];
	VZ_FD int fd = -EBADF;
	int r;

	if (!realpath(path, real))
		(void)snprintf(real, sizeof(real), "%s", path);
	(void)snprintf(tmp, sizeof(tmp), "%s.%d.tmp", real, (int)getpid());
	(void)unlink(tmp);
	fd = vz_openat(AT_FDCWD, tmp, O_WRONLY | O_CREAT | O_EXCL, mode);
	if (fd < 0)
		return fd;
	r = vz_write_all(fd, data, len);
	if (r == 0 && (fchmod(fd, mode) < 0 || (durable && fsync(fd) < 0) || rename(tmp, real) < 0))
		r = -errno;
	if (r < 0) {
		(void)unlink(tmp);
		return r;
	}
	return durable ? vz_fsync_dir_of(real) : 0;
}

int vz_write_atomic(const char *path, const void *data, size_t len, mode_t mode)
{
	return replace(path, data, len, mode, true);
}

int vz_write_volatile(const char *path, const void *data, size_t len, mode_t mode)
{
	return replace(path, data, len, mode, false);
}

int vz_send_fds(int sk, const void *data, size_t len, const int *fds, size_t nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} c = { 0 };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (nfds > FDS_MAX)
		return -E2BIG;
	if (nfds > 0) {
		struct cmsghdr *cm;

		mh.msg_control = c.buf;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, nfds * sizeof(int));
	}
	do
		n = sendmsg(sk, &mh, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

ssize_t vz_recv_fds(int sk, void *data, size_t len, int *ret_fds, size_t *nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} c = { 0 };
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = c.buf,
			     .msg_controllen = sizeof(c.buf) };
	size_t want = *nfds, got = 0;
	ssize_t n;

	do
		n = recvmsg(sk, &mh, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(&mh); cm; cm = CMSG_NXTHDR(&mh, cm)) {
		size_t have;

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		have = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < have; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(fd));
			if (got < want)
				ret_fds[got++] = fd;
			else
				(void)close(fd);
		}
	}
	*nfds = got;
	if (mh.msg_flags & MSG_TRUNC) {
		for (size_t i = 0; i < got; i++)
			(void)close(ret_fds[i]);
		*nfds = 0;
		return -EMSGSIZE;
	}
	return n;
}

/* 0 when @path is a directory now, ours or one that was there. */
static int make_dir(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno; /* a symlink to nowhere */
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int vz_mkdir_p(const char *path, mode_t mode)
{
	char buf[PATH_MAX];
	size_t len = strlen(path);
	int r;

	if (len == 0 || len >= sizeof(buf))
		return len ? -ENAMETOOLONG : -EINVAL;
	r = make_dir(path, mode); /* most often only the last part is missing, or none */
	if (r != -ENOENT)
		return r;
	memcpy(buf, path, len + 1);
	for (char *p = buf + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(buf, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return make_dir(buf, mode);
}

/* Depth is bounded by a loop, not by our stack: a tenant may nest 100 000 directories. Each deep
 * directory is moved up to @dirfd's level before it is entered. */
static int rm_entries(int topfd, int fd, dev_t dev, unsigned int depth, unsigned int *serial)
{
	DIR *d = fdopendir(dup(fd));
	struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	rewinddir(d);
	while (r == 0 && (e = readdir(d))) {
		struct stat st;
		int sub;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (unlinkat(fd, e->d_name, 0) == 0 || errno == ENOENT)
			continue;
		if (errno != EISDIR && errno != EPERM) {
			r = -errno;
			break;
		}
		if (unlinkat(fd, e->d_name, AT_REMOVEDIR) == 0)
			continue;
		if (depth >= 32) {
			char moved[64];

			(void)snprintf(moved, sizeof(moved), ".vzrm.%u", (*serial)++);
			if (renameat(fd, e->d_name, topfd, moved) < 0)
				r = -errno;
			continue;
		}
		sub = vz_openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (sub < 0) {
			r = sub;
			break;
		}
		if (fstat(sub, &st) < 0)
			r = -errno;
		else if (st.st_dev != dev)
			r = -EBUSY;
		else
			r = rm_entries(topfd, sub, dev, depth + 1, serial);
		(void)close(sub);
		if (r == 0 && unlinkat(fd, e->d_name, AT_REMOVEDIR) < 0)
			r = -errno;
	}
	(void)closedir(d);
	return r;
}

static bool dir_empty(int fd)
{
	DIR *d = fdopendir(dup(fd));
	struct dirent *e;
	int n = 0;

	if (!d)
		return true;
	rewinddir(d);
	while (n < 3 && (e = readdir(d)))
		n++;
	(void)closedir(d);
	return n <= 2;
}

int vz_rm_rf(int dirfd, const char *name)
{
	VZ_FD int fd = -EBADF;
	unsigned int serial = 0;
	struct stat st;
	int r;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	fd = vz_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	do
		r = rm_entries(fd, fd, st.st_dev, 0, &serial);
	while (r == 0 && !dir_empty(fd));
	if (r < 0)
		return r;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int vz_is_mountpoint(const char *path)
{
	struct statx sx;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &sx) < 0)
		return -errno;
	if (!(sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
		return -ENOSYS; /* libc's stand-in for a refused statx does not know */
	return !!(sx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}
