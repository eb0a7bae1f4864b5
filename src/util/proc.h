/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UTIL_PROC_H
#define UTIL_PROC_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** vz_proc_starttime - field 22 of /proc/PID/stat, in clock ticks since boot. 0 or -errno. */
int vz_proc_starttime(pid_t pid, uint64_t *ret) __attribute__((warn_unused_result));

/**
 * vz_proc_pidfd - pidfd of @pid, provided that its start time is @start (0: do not compare).
 * Return: fd the caller closes; -ESRCH when the process is gone or the number was used again.
 */
int vz_proc_pidfd(pid_t pid, uint64_t start) __attribute__((warn_unused_result));

/**
 * vz_proc_lives - is process @pid, begun at @start (0: whenever), there and not dead? A dead one that
 * its parent has not reaped is dead; one whose first thread ended alone is not.
 */
bool vz_proc_lives(pid_t pid, uint64_t start);
/**
 * vz_proc_ending - is the first thread of @pid on its way out, or gone? The first process of a pid namespace
 * kills all others on that way, and is not dead for pidfds before they are.
 */
bool vz_proc_ending(pid_t pid);
/** vz_pidfd_signal - pidfd_send_signal. Return: 0 or -errno (-ESRCH: dead). */
int vz_pidfd_signal(int pidfd, int sig);

/**
 * vz_pidfd_poll - wait until the process is dead. @timeout_ms -1 = for ever. 0, -ETIMEDOUT, -EINTR.
 */
int vz_pidfd_poll(int pidfd, int timeout_ms) __attribute__((warn_unused_result));

/**
 * vz_proc_takes_signal - whether @pid has a handler for @sig or blocks it, to read it later: so that
 * it has an effect on the first process of a pid namespace. False when @pid is gone, and also while
 * it waits in sigtimedwait(2), which unblocks what it waits for.
 */
bool vz_proc_takes_signal(pid_t pid, int sig);

/** vz_wait - wait for our child @pid. Return: exit status 0-255; 128 + signal; -errno. */
int vz_wait(pid_t pid);

/** vz_boot_id - this boot's id, 36 characters and NUL. Return: 0 or -errno. */
int vz_boot_id(char ret[37]) __attribute__((warn_unused_result));

/** struct vz_run - how vz_run starts a program; all zero: everything inherited */
struct vz_run {
	const char *const *env; /* NULL: the environment HOME=/ TERM=linux PATH=standard only */
	int stdin_fd; /* 0: /dev/null */
	int stdout_fd; /* 0: inherited */
	int stderr_fd; /* 0: inherited */
	bool silent; /* standard output and error go to /dev/null */
	int pass_fd; /* > 0: stays open in the program under this same number */
	int timeout_ms; /* 0: none; then the program is killed and -ETIMEDOUT returned */
};

/**
 * vz_run - run argv[0] (a path; no shell, no PATH search) and wait.
 * Return: exit status 0-255; 128 + signal; -errno when it could not be started.
 */
int vz_run(const char *const argv[], const struct vz_run *how);

/**
 * vz_fork_into - fork whose child is born in the cgroup2 group of directory @group (-1: as fork)
 *
 * Moving a process by cgroup.procs waits for all CPUs to pass a quiescent state, 5 to 10 ms; being
 * born there does not. Neither does a process of one thread that writes "0" into `tasks` of v1.
 * Return: pid; 0 in the child; -EAGAIN (a limit of processes), -EBUSY (groups below it have
 * controllers), -ENOSYS, -errno: the caller may fork and move instead.
 */
pid_t vz_fork_into(int group) __attribute__((warn_unused_result));

/**
 * vz_spawn - as vz_run, without waiting; @how->timeout_ms counts for nothing.
 * Return: pid of a child that the caller waits for (vz_wait); -errno.
 */
pid_t vz_spawn(const char *const argv[], const struct vz_run *how)
	__attribute__((warn_unused_result));

/**
 * struct vz_nopipe - from vz_nopipe_begin() to vz_nopipe_end() SIGPIPE is ignored: who writes to a program that has ended
 * gets EPIPE, and can say what that means. Programs started meanwhile by vz_run and vz_spawn have the signal as usual.
 */
struct vz_nopipe {
	struct sigaction was;
	bool on;
};
void vz_nopipe_begin(struct vz_nopipe *p);
/** vz_nopipe_end - as it was before; nothing if it was not begun. */
void vz_nopipe_end(struct vz_nopipe *p);
#define VZ_NOPIPE __attribute__((cleanup(vz_nopipe_end)))

/** vz_now_ms - CLOCK_MONOTONIC in milliseconds. */
uint64_t vz_now_ms(void);

#define VZ_PATH_ENV   "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define VZ_PLAIN_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#endif
