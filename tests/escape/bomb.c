/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class: using up what the node has once: processes, ids of control groups, inodes, ptys, inotify
 * instances, mounts, namespaces, links, timers, sockets, pipes, keys, queues, memory.
 * Wall: limits of the VPS's groups, ucounts that are charged to the VPS's own id, limits of its
 * tmpfs; a kind without a limit of its own is memory, which the memory limit counts.
 * Usage: bomb KIND MAX [PATH]: makes up to MAX, says "KIND N (why it ended)", holds them until the end
 * of its input. It is killed when it runs out of memory, which is an end too.
 */
#include "escape.h"

#include <mqueue.h>
#include <net/if.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

static long n_made;
static const char *place;
static const char *in_place(const char *otherwise)
{
	return place ? place : otherwise;
}

/* fork(), the child dies with us whenever that is. */
static pid_t bound_fork(void)
{
	pid_t us = getpid(), pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != us)
			_exit(0);
	}
	return pid;
}

static void wait_for_ever(void)
{
	for (;;)
		pause();
}

static int one_fork(void)
{
	pid_t pid = bound_fork();

	if (pid == 0)
		wait_for_ever();
	return pid < 0 ? -1 : 0;
}

static int one_inode(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/inode.%ld", in_place("/tmp"), n_made);
	return mknod(path, S_IFREG | 0600, 0);
}

/* a lock each, on files of one name */
static int one_lock(void)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/lock.%ld", in_place("/tmp"), n_made);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	return fd < 0 ? -1 : flock(fd, LOCK_EX);
}

static int one_block(void)
{
	static char buf[1 << 20];
	static int fd = -1;
	char path[256];

	if (fd < 0) {
		snprintf(path, sizeof(path), "%s/block", in_place("/tmp"));
		fd = open(path, O_CREAT | O_WRONLY, 0600);
	}
	memset(buf, 1, sizeof(buf));
	return write(fd, buf, sizeof(buf)) == sizeof(buf) ? 0 : -1;
}

static int one_pty(void)
{
	return open(in_place("/dev/ptmx"), O_RDWR | O_NOCTTY) < 0 ? -1 : 0;
}

static int one_inotify(void)
{
	return inotify_init1(0) < 0 ? -1 : 0;
}

static int one_group(void)
{
	char path[256];

	snprintf(path, sizeof(path), "/sys/fs/cgroup/bomb.%ld", n_made);
	return mkdir(path, 0755);
}

/* Each at a place of its own: one upon the other they would be walked through again each time. */
static int one_mount(void)
{
	char path[64];

	if (n_made == 0 && unshare(CLONE_NEWNS) < 0)
		return -1;
	snprintf(path, sizeof(path), "/run/mount.%ld", n_made);
	mkdir(path, 0755);
	return mount("/tmp", path, NULL, MS_BIND, NULL);
}

/* Kept by a descriptor: the next unshare leaves it. */
static int one_namespace(int flag, const char *file)
{
	return unshare(flag) < 0 || open(file, O_RDONLY) < 0 ? -1 : 0;
}

static int one_netns(void)
{
	return one_namespace(CLONE_NEWNET, "/proc/self/ns/net");
}

static int one_utsns(void)
{
	return one_namespace(CLONE_NEWUTS, "/proc/self/ns/uts");
}

static int one_link(void)
{
	struct {
		unsigned int len;
		unsigned short type, flags;
		unsigned int seq, pid;
		unsigned char family, pad;
		unsigned short kind;
		int index;
		unsigned int iff, change;
		unsigned short l_len, l_type, k_len, k_type;
		char name[8];
	} __attribute__((packed)) m = {
		.len = sizeof(m),
		.type = 16,
		.flags = 0x605,
		.l_len = 16,
		.l_type = 18,
		.k_len = 9,
		.k_type = 1,
		.name = "dummy",
	};
	static int sk = -1;
	char answer[4096];
	ssize_t n;

	if (sk < 0)
		sk = socket(AF_NETLINK, SOCK_RAW, 0);
	memcpy(m.name, "veth\0\0\0", 8);
	if (send(sk, &m, sizeof(m), 0) < 0)
		return -1;
	n = recv(sk, answer, sizeof(answer), 0);
	if (n < 20)
		return -1;
	errno = -*(int *)(void *)(answer + 16);
	return errno ? -1 : 0;
}

static int one_timer(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_NONE };
	timer_t t;

	return timer_create(CLOCK_MONOTONIC, &ev, &t);
}

static int one_timerfd(void)
{
	return timerfd_create(CLOCK_MONOTONIC, 0) < 0 ? -1 : 0;
}

static int one_socket(void)
{
	static char buf[65536];
	int sk[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, sk) < 0)
		return -1;
	while (send(sk[0], buf, 4096, 0) > 0)
		;
	return 0;
}

static int one_epoll(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(0);

	if (ep < 0)
		return -1;
	for (int fd = 3; fd < ep && fd < 40; fd++)
		(void)epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	return 0;
}

static int one_pipe(void)
{
	static char buf[65536];
	int p[2];

	if (pipe2(p, O_NONBLOCK) < 0)
		return -1;
	fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
	while (write(p[1], buf, sizeof(buf)) > 0)
		;
	return 0;
}

static int one_key(void)
{
	char name[32];

	snprintf(name, sizeof(name), "bomb.%ld", n_made);
	return syscall(SYS_add_key, "user", name, name, 8, -4) < 0 ? -1 : 0;
}

static int one_queue(void)
{
	struct mq_attr attr = { .mq_maxmsg = 10, .mq_msgsize = 8192 };
	char name[32];

	snprintf(name, sizeof(name), "/bomb.%ld", n_made);
	return mq_open(name, O_CREAT | O_RDWR, 0600, &attr) < 0 ? -1 : 0;
}

static int one_semaphore(void)
{
	return semget(IPC_PRIVATE, 1000, 0600) < 0 ? -1 : 0;
}

static int one_signal(void)
{
	static bool blocked;
	union sigval v = { 0 };
	sigset_t all;

	if (!blocked) {
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		blocked = true;
	}
	return sigqueue(getpid(), SIGRTMIN, v);
}

static int one_userns(void)
{
	int ok[2];
	char c = 0;
	pid_t pid;

	if (pipe(ok) < 0)
		return -1;
	pid = bound_fork();
	if (pid == 0) {
		c = unshare(CLONE_NEWUSER) == 0;
		(void)!write(ok[1], &c, 1);
		wait_for_ever();
	}
	if (pid > 0)
		(void)!read(ok[0], &c, 1);
	close(ok[0]);
	close(ok[1]);
	return c ? 0 : -1;
}

static int one_megabyte(void)
{
	char *p = malloc(1 << 20);

	if (p)
		memset(p, 1, 1 << 20);
	return p ? 0 : -1;
}

static const struct {
	const char *name;
	int (*one)(void);
} kinds[] = {
	{ "fork", one_fork },	  { "inode", one_inode },     { "block", one_block },
	{ "pty", one_pty },	  { "inotify", one_inotify }, { "group", one_group },
	{ "mount", one_mount },	  { "netns", one_netns },     { "utsns", one_utsns },
	{ "link", one_link },	  { "timer", one_timer },     { "timerfd", one_timerfd },
	{ "socket", one_socket }, { "epoll", one_epoll },     { "pipe", one_pipe },
	{ "key", one_key },	  { "queue", one_queue },     { "semaphore", one_semaphore },
	{ "signal", one_signal }, { "userns", one_userns },   { "memory", one_megabyte },
	{ "lock", one_lock },
};

int main(int argc, char **argv)
{
	struct rlimit many = { 1 << 20, 1 << 20 };
	char c;

	if (argc < 3)
		return 2;
	if (argc > 3)
		place = argv[3];
	if (setrlimit(RLIMIT_NOFILE, &many) < 0 && getrlimit(RLIMIT_NOFILE, &many) == 0) {
		many.rlim_cur = many.rlim_max;
		setrlimit(RLIMIT_NOFILE, &many);
	}
	/*
	 * So that it is killed at the memory limit, or told: else each page of this program is given back and
	 * read again without end, and it stands still (pipes under Linux 6.12: for minutes).
	 */
	(void)mlockall(MCL_CURRENT);
	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		if (strcmp(kinds[k].name, argv[1]) != 0)
			continue;
		errno = 0;
		while (n_made < atol(argv[2]) && kinds[k].one() == 0)
			n_made++;
		printf("%s %ld (%s)\n", argv[1], n_made, strerror(errno));
		fflush(stdout);
		(void)!read(0, &c, 1);
		return 0;
	}
	return 2;
}
