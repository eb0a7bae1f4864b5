/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of the node that a VPS reads and that are written when it does. The kernel asks us before each
 * open, and before each read where files are kept open (fanotify); the first one starts a program that
 * writes them, and is answered when that has ended. Then nobody is asked for half a second, or twenty
 * times as long as the program worked: a tenant that reads in a loop costs the node two programs a second
 * and a twentieth of a CPU at most. With our end all that waits is let through.
 */
#include "context/fresh.h"

#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

enum {
	OLD_MS = 500,
	REST = 20, /* a tenant with a million descriptors makes long work of it, and it is not he who pays */
	REST_MAX_MS = 60000,
	HUNG_MS = 5000, /* after which the program is killed: readers must not wait for ever */
	GROUPS = 65536, /* the kernel's default is 128, for all of root together */
};

struct fresh_kind {
	const char *dir; /* where they lie, from RUN/CTID */
	const char *verb; /* of the program that writes them */
	uint64_t mask;
	int n;
	const char *names[FRESH_FILES];
};

#define UBC "internal-ubc", FAN_OPEN_PERM
static const struct fresh_kind ubc = { "inside", UBC, 2, { "user_beancounters", "failures" } };
static const struct fresh_kind node = { "..", UBC, 1, { "user_beancounters" } };
/* procps opens /proc/stat once and reads it again and again */
#define VIEW "internal-view", FAN_OPEN_PERM | FAN_ACCESS_PERM
static const struct fresh_kind view = { "proc", VIEW, 3, { "stat", "vmstat", "diskstats" } };

static const char *path_of(const struct fresh *f, int i, char dst[300])
{
	(void)snprintf(dst, 300, "%s/%s/%s", f->dir, f->kind->dir, f->kind->names[i]);
	return dst;
}

static const char *guard_path(const struct fresh *f, char dst[300])
{
	(void)snprintf(dst, 300, "%s/../ubc.guard", f->dir);
	return dst;
}

static int watch(const struct fresh *f, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(f->ep, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static void unwatch(const struct fresh *f, int fd)
{
	(void)epoll_ctl(f->ep, EPOLL_CTL_DEL, fd, NULL);
}

static void set_timer(const struct fresh *f, long ms)
{
	const struct itimerspec in = {
		.it_value = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 },
	};

	(void)timerfd_settime(f->timer, 0, &in, NULL);
}

/* ---- the watch ---- */

static int arm(const struct fresh *f)
{
	for (int i = 0; i < f->kind->n; i++) {
		if (fanotify_mark(f->fan, FAN_MARK_ADD, f->kind->mask, f->fds[i], NULL) < 0)
			return -errno;
		(void)fanotify_mark(f->fan, FAN_MARK_REMOVE | FAN_MARK_IGNORED_MASK, f->kind->mask,
				    f->fds[i], NULL);
	}
	return 0;
}

static void forget(const struct fresh *f)
{
	(void)fanotify_mark(f->fan, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL);
}

/*
 * Nobody is asked. The mark stays: of a file that was opened when nobody wanted to know of reads, kernels from
 * 6.14 on never tell any.
 */
static void disarm(const struct fresh *f)
{
	const unsigned int ignore = FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY;

	for (int i = 0; i < f->kind->n; i++)
		if (fanotify_mark(f->fan, FAN_MARK_ADD | ignore, f->kind->mask, f->fds[i], NULL) <
		    0)
			forget(f);
}

/* Everybody who waits may go on. */
static void let_through(const struct fresh *f)
{
	_Alignas(struct fanotify_event_metadata) char buf[2048];
	ssize_t n;

	while ((n = read(f->fan, buf, sizeof(buf))) > 0) {
		const struct fanotify_event_metadata *e = (const void *)buf;

		for (; FAN_EVENT_OK(e, n); e = FAN_EVENT_NEXT(e, n)) {
			struct fanotify_response yes = { .fd = e->fd, .response = FAN_ALLOW };

			if (e->fd < 0)
				continue; /* more than the kernel keeps: let through without us */
			if (e->mask & (FAN_OPEN_PERM | FAN_ACCESS_PERM))
				(void)!write(f->fan, &yes, sizeof(yes));
			(void)close(e->fd);
		}
	}
}

/* ---- the program ---- */

static void begin(struct fresh *f)
{
	pid_t pid = fork();

	if (pid == 0)
		fresh_execute(f, f->kind->verb, f->kind->n);
	f->pid = pid;
	f->pidfd = pid < 0 ? -1 : vz_proc_pidfd(pid, 0);
	if (f->pidfd < 0 || watch(f, f->pidfd) < 0) {
		if (pid > 0) {
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, NULL, 0);
		}
		vz_closep(&f->pidfd);
		disarm(f);
		let_through(f);
		set_timer(f, OLD_MS);
		return;
	}
	unwatch(f, f->fan); /* who else comes waits in the kernel's queue */
	set_timer(f, HUNG_MS);
}

static void ended(struct fresh *f)
{
	struct rusage cost = { 0 };
	struct timeval cpu;
	long rest;

	while (wait4(f->pid, NULL, 0, &cost) < 0 && errno == EINTR)
		;
	timeradd(&cost.ru_utime, &cost.ru_stime, &cpu);
	rest = REST * (cpu.tv_sec * 1000 + cpu.tv_usec / 1000);
	unwatch(f, f->pidfd);
	vz_closep(&f->pidfd);
	disarm(f);
	let_through(f);
	(void)!watch(f, f->fan);
	rest = rest < OLD_MS ? OLD_MS : rest > REST_MAX_MS ? REST_MAX_MS : rest;
	set_timer(f, rest);
}

static void on_timer(struct fresh *f)
{
	uint64_t times;

	(void)!read(f->timer, &times, sizeof(times));
	if (f->pidfd >= 0)
		(void)vz_pidfd_signal(f->pidfd, SIGKILL);
	else if (arm(f) < 0)
		forget(f);
}

/* ---- one for all ---- */

/* Become the one who watches the node's file, if nobody is. Return: 0; -EWOULDBLOCK; -errno. */
static int try_to_lead(struct fresh *f)
{
	char path[300];

	if (flock(f->guard, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	f->lead = vz_openat(AT_FDCWD, guard_path(f, path), O_WRONLY, 0);
	if (f->lead < 0) {
		(void)flock(f->guard, LOCK_UN);
		return f->lead;
	}
	forget(f);
	return arm(f);
}

/* The one who led has ended. */
static void follow(struct fresh *f)
{
	let_through(f);
	(void)!try_to_lead(f);
}

bool fresh_event(struct fresh *f, int fd)
{
	if (f->fan < 0)
		return false;
	if (fd == f->timer)
		on_timer(f);
	else if (fd == f->pidfd)
		ended(f);
	else if (fd == f->fan && f->guard >= 0 && f->lead < 0)
		follow(f);
	else if (fd == f->fan)
		begin(f);
	else
		return false;
	return true;
}

/* ---- at the start ---- */

static int init_group(void)
{
	const unsigned int flags = FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK;
	const unsigned int files = O_RDONLY | O_CLOEXEC | O_LARGEFILE;
	char text[16];
	int fd = fanotify_init(flags, files);

	if (fd >= 0 || errno != EMFILE)
		return fd < 0 ? -errno : fd;
	(void)snprintf(text, sizeof(text), "%d", GROUPS);
	(void)!vz_write_value(AT_FDCWD, "/proc/sys/fs/fanotify/max_user_groups", text);
	fd = fanotify_init(flags, files);
	return fd < 0 ? -errno : fd;
}

static int open_files(struct fresh *f)
{
	for (int i = 0; i < f->kind->n; i++) {
		char path[300];

		f->fds[i] = vz_openat(AT_FDCWD, path_of(f, i, path), O_RDWR | O_NOFOLLOW, 0);
		if (f->fds[i] < 0)
			return f->fds[i];
	}
	return 0;
}

static int open_watch(struct fresh *f)
{
	int r = open_files(f);

	if (r == 0)
		r = f->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r >= 0)
		r = f->fan = init_group();
	if (r >= 0)
		r = watch(f, f->fan);
	return r < 0 ? r : watch(f, f->timer);
}

static void give_up(struct fresh *f)
{
	vz_closep(&f->fan);
	vz_closep(&f->timer);
	vz_closep(&f->guard);
	vz_closep(&f->lead);
	for (int i = 0; i < FRESH_FILES; i++)
		vz_closep(&f->fds[i]);
}

static void nothing(struct fresh *f, const struct fresh_kind *kind, int ep, const char *dir,
		    const char *program)
{
	*f = (struct fresh){ .ep = ep, .fan = -1, .timer = -1, .pidfd = -1, .fds = { -1, -1, -1 } };
	f->guard = f->lead = -1;
	f->kind = kind;
	f->dir = dir;
	f->program = program;
}

void fresh_open(struct fresh *f, int ep, const char *rundir, const char *program, uint32_t ctid)
{
	VZ_FD int told = -EBADF;
	char path[300];
	int r;

	nothing(f, &ubc, ep, rundir, program);
	f->ctid = ctid;
	(void)snprintf(path, sizeof(path), "%s/fresh", rundir);
	(void)unlink(path);
	r = open_watch(f);
	if (r == 0)
		r = arm(f);
	if (r == 0)
		r = told = vz_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (r < 0)
		give_up(f);
}

bool fresh_open_view(struct fresh *f, int ep, const char *rundir, const char *program,
		     uint32_t ctid)
{
	nothing(f, &view, ep, rundir, program);
	f->ctid = ctid;
	if (open_watch(f) < 0 || arm(f) < 0)
		give_up(f);
	return f->fan >= 0;
}

void fresh_open_node(struct fresh *f, int ep, const char *rundir, const char *program)
{
	char path[300];
	int r;

	nothing(f, &node, ep, rundir, program);
	r = open_watch(f);
	if (r == 0)
		r = f->guard = vz_openat(AT_FDCWD, guard_path(f, path), O_RDONLY, 0);
	/* before the look whether somebody leads, so that no end is missed */
	if (r >= 0)
		r = fanotify_mark(f->fan, FAN_MARK_ADD, FAN_CLOSE_WRITE, AT_FDCWD, path) < 0
			    ? -errno
			    : 0;
	if (r == 0)
		r = try_to_lead(f);
	if (r < 0 && r != -EWOULDBLOCK)
		give_up(f);
}
