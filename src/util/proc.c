/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/proc.h"

#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The @want-th field of /proc/PID/stat, from 3 on. 0 or -errno. */
static int stat_field(pid_t pid, int want, uint64_t *ret)
{
	char path[64];
	VZ_FREE char *text = NULL;
	char *p, *save = NULL;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	n = vz_read_file(AT_FDCWD, path, 8192, &text);
	if (n < 0)
		return (int)n;
	p = strrchr(text, ')'); /* the name may hold blanks and parentheses */
	if (!p)
		return -EINVAL;
	p = strtok_r(p + 1, " ", &save);
	for (int field = 3; p && field < want; field++)
		p = strtok_r(NULL, " ", &save);
	if (!p)
		return -EINVAL;
	*ret = strtoull(p, NULL, 10);
	return 0;
}

int vz_proc_starttime(pid_t pid, uint64_t *ret)
{
	return stat_field(pid, 22, ret);
}

bool vz_proc_ending(pid_t pid)
{
	enum { PF_EXITING = 4 }; /* include/linux/sched.h; not in a header for programs */
	uint64_t flags;

	return stat_field(pid, 9, &flags) < 0 || flags & PF_EXITING;
}

int vz_proc_pidfd(pid_t pid, uint64_t start)
{
	VZ_FD int fd = -EBADF;
	uint64_t now;

	if (pid <= 0)
		return -ESRCH;
	fd = pidfd_open(pid, 0);
	if (fd < 0)
		return -errno;
	if (start && (vz_proc_starttime(pid, &now) < 0 || now != start))
		return -ESRCH;
	return vz_take_fd(&fd);
}

bool vz_proc_lives(pid_t pid, uint64_t start)
{
	VZ_FD int fd = vz_proc_pidfd(pid, start);
	uint64_t now;

	if (fd == -ENOSYS || fd == -EPERM) /* a sandbox: rather alive than taken for dead */
		return vz_proc_starttime(pid, &now) == 0 && (!start || now == start);
	return fd >= 0 && vz_pidfd_poll(fd, 0) < 0;
}

int vz_pidfd_signal(int pidfd, int sig)
{
	return pidfd_send_signal(pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

int vz_pidfd_poll(int pidfd, int timeout_ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int r = poll(&p, 1, timeout_ms);

	if (r < 0)
		return -errno;
	return r ? 0 : -ETIMEDOUT;
}

bool vz_proc_takes_signal(pid_t pid, int sig)
{
	static const char *const keys[] = { "\nSigBlk:\t", "\nSigCgt:\t" };
	VZ_FREE char *text = NULL;
	unsigned long long mask = 0;
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (vz_read_file(AT_FDCWD, path, 16384, &text) < 0)
		return false;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		const char *at = strstr(text, keys[i]);

		mask |= at ? strtoull(at + strlen(keys[i]), NULL, 16) : 0;
	}
	return mask >> (sig - 1) & 1;
}

int vz_wait(pid_t pid)
{
	int st;

	while (waitpid(pid, &st, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
}

int vz_boot_id(char ret[37])
{
	VZ_FREE char *text = NULL;
	ssize_t n = vz_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text);

	if (n < 36)
		return n < 0 ? (int)n : -EINVAL;
	memcpy(ret, text, 36);
	ret[36] = '\0';
	return 0;
}

void vz_nopipe_begin(struct vz_nopipe *p)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	p->on = sigaction(SIGPIPE, &ignore, &p->was) == 0;
}

void vz_nopipe_end(struct vz_nopipe *p)
{
	if (p->on)
		(void)sigaction(SIGPIPE, &p->was, NULL);
	p->on = false;
}

static void run_child(const char *const argv[], const struct vz_run *how)
{
	static const char *const plain[] = { "HOME=/", "TERM=linux", VZ_PATH_ENV, NULL };
	const char *const *env = how->env ? how->env : plain;
	sigset_t none;
	int in = how->stdin_fd;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
	if (in == 0)
		in = vz_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0);
	if (in < 0 || dup2(in, 0) < 0)
		_exit(127);
	if (how->stdout_fd > 0 && dup2(how->stdout_fd, 1) < 0)
		_exit(127);
	if (how->stderr_fd > 0 && dup2(how->stderr_fd, 2) < 0)
		_exit(127);
	if (how->silent) {
		int null = vz_openat(AT_FDCWD, "/dev/null", O_WRONLY, 0);

		if (null < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
			_exit(127);
	}
	if (how->pass_fd > 0)
		(void)fcntl(how->pass_fd, F_SETFD, 0);
	(void)execve(argv[0], (char *const *)argv, (char *const *)env);
	_exit(127);
}

pid_t vz_fork_into(int group)
{
	struct clone_args a = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)group,
	};
	pid_t pid = group < 0 ? fork() : (pid_t)syscall(SYS_clone3, &a, sizeof(a));

	return pid < 0 ? -errno : pid;
}

pid_t vz_spawn(const char *const argv[], const struct vz_run *how)
{
	static const struct vz_run plain;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		run_child(argv, how ? how : &plain);
	return pid;
}

int vz_run(const char *const argv[], const struct vz_run *how)
{
	VZ_FD int pidfd = -EBADF;
	pid_t pid = vz_spawn(argv, how);

	if (pid < 0)
		return pid;
	if (how && how->timeout_ms > 0) {
		pidfd = pidfd_open(pid, 0);
		if (pidfd >= 0 && vz_pidfd_poll(pidfd, how->timeout_ms) == -ETIMEDOUT) {
			(void)kill(pid, SIGKILL);
			(void)vz_wait(pid);
			return -ETIMEDOUT;
		}
	}
	return vz_wait(pid);
}

uint64_t vz_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
