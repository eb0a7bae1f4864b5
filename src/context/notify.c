/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small things done to a VPS from outside: its readiness socket, its host name, device nodes. */
#include "context/context.h"

#include "context/priv.h"
#include "util/fd.h"
#include "util/proc.h"
#include "util/userns.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

int ctx_notify_open(const struct ctx_start *s, uint64_t uid_base, struct vz_error *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	VZ_FD int fd = vz_socket(AF_UNIX, SOCK_DGRAM, 0);

	if (fd < 0)
		return vz_fail(err, VZ_EXIT_WAIT, -fd, "socket");
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/%d/root" CTX_NOTIFY_PATH,
		       (int)s->init_pid);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    fchownat(AT_FDCWD, sa.sun_path, (uid_t)uid_base, (gid_t)uid_base, AT_SYMLINK_NOFOLLOW) <
		    0)
		return vz_fail(err, VZ_EXIT_WAIT, errno, "bind %s", sa.sun_path);
	return vz_take_fd(&fd);
}

/* Poll @fd until @take says that what came is what we wait for. */
static int wait_until(int fd, int init_pidfd, int timeout_ms, bool (*take)(int fd))
{
	uint64_t until = vz_now_ms() + (uint64_t)timeout_ms;

	for (;;) {
		struct pollfd p[] = { { .fd = fd, .events = POLLIN },
				      { .fd = init_pidfd, .events = POLLIN } };
		uint64_t now = vz_now_ms();

		if (now >= until)
			return -ETIMEDOUT;
		if (poll(p, 2, (int)(until - now)) < 0)
			return -errno;
		if (p[0].revents && take(fd))
			return 0;
		if (p[1].revents)
			return -ESRCH;
	}
}

static bool take_ready(int fd)
{
	char text[4097];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return !strncmp(text, "READY=1", 7) || strstr(text, "\nREADY=1");
}

int ctx_notify_wait(int notify, int init_pidfd, int timeout_ms)
{
	return wait_until(notify, init_pidfd, timeout_ms, take_ready);
}

static bool take_anything(int fd)
{
	char text[64];

	return read(fd, text, sizeof(text)) > 0;
}

int ctx_fifo_wait(int fd, int init_pidfd, int timeout_ms)
{
	return wait_until(fd, init_pidfd, timeout_ms, take_anything);
}

int ctx_set_hostname(const struct vps_state *st, const char *name)
{
	VZ_FD int pidfd = vps_state_pidfd(st);
	pid_t pid;
	int r;

	if (pidfd < 0)
		return pidfd;
	pid = fork();
	if (pid == 0)
		_exit(setns(pidfd, CLONE_NEWUTS) < 0 || sethostname(name, strlen(name)) < 0 ? errno
											    : 0);
	r = pid < 0 ? -errno : vz_wait(pid);
	return r > 0 ? -r : r;
}

int ctx_make_devs(const struct vps_state *st, const struct ctx_dev *devs, size_t n)
{
	char path[64];
	pid_t pid = fork();
	int r;

	if (pid == 0) {
		VZ_FD int root = -EBADF, dev = -EBADF;

		(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)st->init_pid);
		root = vz_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
		dev = root < 0 ? root : vz_open_nolink(root, "dev", O_PATH | O_DIRECTORY, 0);
		(void)umask(0);
		r = dev < 0 ? dev : vz_fs_as(st->uid_base);
		for (size_t i = 0; r == 0 && i < n; i++)
			r = rootfs_dev_node(dev, &devs[i]);
		_exit(-r);
	}
	r = pid < 0 ? -errno : vz_wait(pid);
	return r > 0 ? -r : r;
}
