/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Holds one object, for the tests of checkpoints: what is found in the way, and what is not.
 * Usage: hold KIND...; says "held" once it has them all, and keeps them until it is killed.
 * Exit status 3: this kernel or the VPS's filter refuses KIND, and which.
 */
#include "escape.h"

#include <linux/landlock.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int io_uring(void)
{
	char params[256] = { 0 };

	return (int)syscall(SYS_io_uring_setup, 4, params);
}

/* a page mapped, the descriptor closed: only the maps tell */
static int io_uring_mapped(void)
{
	int fd = io_uring();

	if (fd < 0 || mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
		return -1;
	return close(fd);
}

static int secret(void)
{
	int fd = (int)syscall(SYS_memfd_secret, 0);

	return fd < 0 ? -1 : ftruncate(fd, 4096);
}

static int mqueue(void)
{
	return mq_open("/held", O_CREAT | O_RDWR, 0600, NULL) < 0 ? -1 : 0;
}

static int semaphore(void)
{
	return eventfd(1, EFD_SEMAPHORE);
}

static int uts(void)
{
	return unshare(CLONE_NEWUTS);
}

static int user(void)
{
	return unshare(CLONE_NEWUSER);
}

static int traced(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid < 0 || ptrace(PTRACE_SEIZE, pid, 0, 0) < 0 ? -1 : 0;
}

static int mptcp(void)
{
	return socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
}

static int vsock(void)
{
	return socket(AF_VSOCK, SOCK_STREAM, 0);
}

static int ruleset(void)
{
	struct landlock_ruleset_attr a = { .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE };

	return (int)syscall(SYS_landlock_create_ruleset, &a, sizeof(a), 0);
}

static int overlay(void)
{
	mkdir("/tmp/l", 0700);
	mkdir("/tmp/u", 0700);
	mkdir("/tmp/w", 0700);
	mkdir("/tmp/m", 0700);
	return mount("none", "/tmp/m", "overlay", 0,
		     "lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w");
}

/* all that a usual program has and CRIU carries */
static int usual(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int p[2], sv[2], ep = epoll_create1(0), s = socket(AF_INET6, SOCK_STREAM, 0);
	sigset_t set;
	bool ok;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ok = pipe(p) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, sv) == 0 && ep >= 0 && s >= 0 &&
	     listen(s, 8) == 0 && epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev) == 0 &&
	     eventfd(7, 0) >= 0 && timerfd_create(CLOCK_MONOTONIC, 0) >= 0 && inotify_init() >= 0 &&
	     signalfd(-1, &set, 0) >= 0 && socket(AF_INET, SOCK_DGRAM, 0) >= 0 &&
	     socket(AF_NETLINK, SOCK_RAW, 0) >= 0 && memfd_create("held", 0) >= 0 &&
	     open("/dev/null", O_RDWR) >= 0 && open("/dev/urandom", O_RDONLY) >= 0 &&
	     open("/etc/passwd", O_RDONLY) >= 0 && open("/dev/ptmx", O_RDWR | O_NOCTTY) >= 0 &&
	     shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) >= 0 &&
	     syscall(SYS_pidfd_open, getpid(), 0) >= 0;
	return ok ? 0 : -1;
}

static const struct {
	const char *name;
	int (*make)(void);
} kinds[] = {
	{ "io_uring", io_uring },   { "io_uring_mapped", io_uring_mapped },
	{ "secret", secret },	    { "mqueue", mqueue },
	{ "semaphore", semaphore }, { "uts", uts },
	{ "user", user },	    { "traced", traced },
	{ "mptcp", mptcp },	    { "vsock", vsock },
	{ "ruleset", ruleset },	    { "overlay", overlay },
	{ "usual", usual },
};

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		size_t k = 0;

		while (k < sizeof(kinds) / sizeof(*kinds) && strcmp(kinds[k].name, argv[i]) != 0)
			k++;
		if (k == sizeof(kinds) / sizeof(*kinds))
			return 2;
		if (kinds[k].make() < 0) {
			printf("refused %s: %s\n", argv[i], strerror(errno));
			return 3;
		}
	}
	printf("held\n");
	fflush(stdout);
	for (;;)
		pause();
}
