/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What counting costs: each call, outside and inside the VPS, with no programs attached and with all. For bench/ubc: in a
 * node whose clock counts instructions (QEMU -icount shift=0) a nanosecond is an instruction.
 */
#include "tests/ubc/drive.h"

#include "util/fd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { ROUNDS = 7 };

static int fixed = -1; /* what some of them work on */

static void do_getppid(void)
{
	(void)syscall(SYS_getppid);
}

static void do_open(void)
{
	(void)close(open("/dev/null", O_RDONLY));
}

static char program[PATH_MAX];

static void do_file(void)
{
	(void)close(open(program, O_RDONLY));
}

static void do_tcp(void)
{
	(void)close(socket(AF_INET, SOCK_STREAM, 0));
}

static void do_unix(void)
{
	(void)close(socket(AF_UNIX, SOCK_STREAM, 0));
}

static void do_flock(void)
{
	(void)flock(fixed, LOCK_EX);
	(void)flock(fixed, LOCK_UN);
}

static void do_mmap(void)
{
	(void)munmap(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 65536);
}

/* A page of shared memory, given back */
static void do_shared(void)
{
	static char page[4096];

	(void)!pwrite(fixed, page, sizeof(page), 0);
	(void)!ftruncate(fixed, 0);
}

static void do_accept(void)
{
	const struct linger at_once = { 1, 0 };
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int c = socket(AF_INET, SOCK_STREAM, 0), s;

	(void)getsockname(fixed, (struct sockaddr *)&a, &len);
	(void)setsockopt(c, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	(void)connect(c, (struct sockaddr *)&a, sizeof(a));
	s = accept(fixed, NULL, NULL);
	(void)close(c);
	(void)close(s);
}

static void do_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	(void)waitpid(pid, NULL, 0);
}

static void do_exec(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)execl("/proc/self/exe", "drive", (char *)NULL);
		_exit(1);
	}
	(void)waitpid(pid, NULL, 0);
}

static const struct {
	const char *name;
	void (*run)(void);
	int times;
} calls[] = {
	{ "getppid", do_getppid, 2000 }, { "open+close", do_open, 500 },   { "the same of a file", do_file, 500 },
	{ "TCP socket", do_tcp, 300 },
	{ "unix socket", do_unix, 300 }, { "flock pair", do_flock, 500 },  { "mmap+munmap", do_mmap, 500 },
	{ "page of tmpfs", do_shared, 500 }, { "accept", do_accept, 100 }, { "fork+exit", do_fork, 30 },	   { "fork+exec", do_exec, 20 },
};
enum { CALLS = sizeof(calls) / sizeof(*calls) };

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double least(int i)
{
	double best = 1e18;

	for (int r = 0; r < ROUNDS; r++) {
		double begin = now(), took;

		for (int n = 0; n < calls[i].times; n++)
			calls[i].run();
		took = (now() - begin) / calls[i].times;
		best = took < best ? took : best;
	}
	return best;
}

static double *results; /* shared with the children */

/* @column of the table */
static void measure(struct told *t, int column)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int file = memfd_create("lock", 0), listener = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	t->err = bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 16) < 0 ? errno : 0;
	for (int i = 0; i < CALLS; i++) {
		fixed = calls[i].run == do_flock || calls[i].run == do_shared ? file : listener;
		calls[i].run();
		results[column * CALLS + i] = least(i);
	}
}

static void outside(int column)
{
	struct told t = { 0 };
	pid_t pid = fork();

	if (pid == 0) {
		measure(&t, column);
		_exit(t.err);
	}
	(void)waitpid(pid, NULL, 0);
}

void case_cost(struct vps *v)
{
	enum { OUT_NONE, IN_NONE, OUT_ALL, IN_ALL, COLUMNS };
	uint64_t limits[UBC_NR];
	struct vz_error err = { 0 };
	struct told t;

	if (!check(readlink("/proc/self/exe", program, sizeof(program) - 1) > 0, "our own path"))
		return;
	results = mmap(NULL, COLUMNS * CALLS * sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!check(results != MAP_FAILED, "memory"))
		return;
	limit(v, UBC_NR, 0);
	outside(OUT_NONE);
	finish(inside(v, measure, IN_NONE, &t));
	for (int i = 0; i < UBC_NR; i++)
		limits[i] = ubc_group_of(i) < 0 ? INT64_MAX : 1 << 28;
	check(ubc_limits(v->ctid, limits, limits, &err) == 0, "limits %s", err.msg);
	outside(OUT_ALL);
	finish(inside(v, measure, IN_ALL, &t));
	(void)printf("| call | none, outside | none, inside | all, outside | all, inside |\n|---|---|---|---|---|\n");
	for (int i = 0; i < CALLS; i++) {
		const double base = results[i];

		(void)printf("| %s | %.0f |", calls[i].name, base);
		for (int c = IN_NONE; c < COLUMNS; c++)
			(void)printf(" %+.1f %% |", (results[c * CALLS + i] / base - 1) * 100);
		(void)printf("\n");
	}
}
