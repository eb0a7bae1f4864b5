/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For the programs of tests/escape: each makes attempts to leave a VPS, as its root, and says of each
 * whether it was contained. Written so that a success does no harm to the node.
 * Exit status: 0 all attempts were contained, 1 one of them was not, 2 nothing could be tried.
 */
#ifndef TESTS_ESCAPE_H
#define TESTS_ESCAPE_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int attempts, escapes;

/* One attempt, its result, errno of the refusal. Return: @out. */
__attribute__((format(printf, 2, 3))) static inline bool attempt(bool out, const char *fmt, ...)
{
	int e = errno;
	va_list ap;

	attempts++;
	escapes += out;
	printf(out ? "ESCAPED: " : "contained: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(out ? "\n" : " (%s)\n", strerror(e));
	fflush(stdout);
	return out;
}

static inline int verdict(void)
{
	printf("%d attempts, %d escaped\n", attempts, escapes);
	return escapes ? 1 : attempts ? 0 : 2;
}

/* Is @path a file? Then the attempt that made it visible got out: tests pass a file of the node. */
static inline bool seen(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Run @fn in a child, whose attempts count as ours. */
static inline void in_child(void (*fn)(void))
{
	int p[2], n[2] = { 0, 0 };
	pid_t pid;

	if (pipe(p) < 0)
		return;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		attempts = escapes = 0;
		fn();
		n[0] = attempts;
		n[1] = escapes;
		(void)!write(p[1], n, sizeof(n));
		_exit(0);
	}
	close(p[1]);
	if (read(p[0], n, sizeof(n)) == sizeof(n)) {
		attempts += n[0];
		escapes += n[1];
	}
	close(p[0]);
	waitpid(pid, NULL, 0);
}

/* A user namespace of one's own with all its capabilities, mapped to us alone. Return: 0 or -1. */
static inline int own_userns(int more)
{
	if (unshare(CLONE_NEWUSER | more) < 0)
		return -1;
	int fd = open("/proc/self/setgroups", O_WRONLY);

	(void)!write(fd, "deny", 4);
	close(fd);
	fd = open("/proc/self/uid_map", O_WRONLY);
	(void)!write(fd, "0 0 1", 5);
	close(fd);
	fd = open("/proc/self/gid_map", O_WRONLY);
	(void)!write(fd, "0 0 1", 5);
	close(fd);
	return 0;
}

#endif
