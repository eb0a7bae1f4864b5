/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Beancounters by BPF, tried from outside: drive CTID GROUP CASE... A child born in the group of a running VPS counts
 * as the VPS's; everything happens in this one program, since starting programs is what costs in an emulated node.
 * drive CTID GROUP begin: makes the group and its slot; without a VPS.
 * drive CTID GROUP plant COUNTER N: adds N to held. drive CTID GROUP ghost: a file that is counted and not there. drive CTID GROUP version N: the programs are of version N.
 */
#include "tests/ubc/drive.h"

#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { WAIT_MS = 15000 };

static int failures;

bool check(bool good, const char *what, ...)
{
	va_list ap;

	(void)printf("%s: ", good ? "ok" : "FAILED");
	va_start(ap, what);
	(void)vprintf(what, ap);
	va_end(ap);
	(void)printf("\n");
	(void)fflush(stdout);
	failures += !good;
	return good;
}

int64_t held(const struct vps *v, enum ubc_counter c)
{
	return (int64_t)__atomic_load_n(&v->slot->row[c].held, __ATOMIC_RELAXED);
}

bool settle(const struct vps *v, enum ubc_counter c, int64_t want)
{
	const uint64_t until = vz_now_ms() + WAIT_MS;

	while (held(v, c) != want && vz_now_ms() < until)
		(void)poll(NULL, 0, 10);
	return check(held(v, c) == want, "%s held %lld, back to %lld", ubc_name(c), (long long)held(v, c), (long long)want);
}

void limit(const struct vps *v, enum ubc_counter c, uint64_t n)
{
	uint64_t limits[UBC_NR];
	struct vz_error err = { 0 };

	for (int i = 0; i < UBC_NR; i++)
		limits[i] = INT64_MAX;
	if (c < UBC_NR)
		limits[c] = n;
	check(ubc_limits(v->ctid, limits, limits, &err) == 0, "limit %s %s", ubc_name(c), err.msg);
}

pid_t inside(const struct vps *v, void (*body)(struct told *t, int arg), int arg, struct told *ret)
{
	struct told t = { 0 };
	int status = 0;
	ssize_t got;
	int p[2];
	pid_t pid;

	if (vz_pipe(p) < 0)
		return -1;
	pid = vz_fork_into(v->group);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* as all of a VPS; what the node itself opens in its group is not counted */
		if (unshare(CLONE_NEWUSER) < 0)
			_exit(1);
		t.fd = p[1];
		body(&t, arg);
		(void)!write(p[1], &t, sizeof(t));
		for (;;)
			(void)pause();
	}
	(void)close(p[1]);
	got = pid > 0 ? read(p[0], &t, sizeof(t)) : pid;
	if (got != (ssize_t)sizeof(t)) {
		(void)waitpid(pid, &status, 0);
		check(false, "a process inside: %d, status %x", (int)pid, status);
		exit(1);
	}
	(void)close(p[0]);
	if (ret)
		*ret = t;
	return pid;
}

/*
 * One by one, again until none is left: once cgroup.kill was used on a group, kernels of Debian 12 and 13 kill at birth
 * what is cloned into it.
 */
void kill_all(const struct vps *v)
{
	const uint64_t until = vz_now_ms() + WAIT_MS;
	bool any = true;

	while (any && vz_now_ms() < until) {
		VZ_FREE char *text = NULL;

		any = vz_read_file(v->group, "cgroup.procs", 65536, &text) > 0;
		for (char *p = any ? strtok(text, "\n") : NULL; p; p = strtok(NULL, "\n"))
			(void)kill(atoi(p), SIGKILL);
		(void)poll(NULL, 0, 5);
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
}

void finish(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static const struct {
	const char *name;
	void (*run)(struct vps *v);
} cases[] = {
	{ "numfile", case_numfile },	   { "numflock", case_numflock },     { "numtcpsock", case_numtcpsock },
	{ "numothersock", case_numothersock }, { "numpty", case_numpty },     { "accept", case_accept },
	{ "inherit", case_inherit },	   { "passed", case_passed },	      { "cycles", case_cycles },
	{ "nested", case_nested },	   { "adopt", case_adopt },	      { "sweep", case_sweep },
	{ "accepted", case_accepted },
	{ "pid", case_pid },		   { "layout", case_layout },
		      { "privvmpages", case_privvmpages },
	{ "fork", case_fork },		   { "lockedpages", case_lockedpages }, { "storm", case_storm },
	{ "shmpages", case_shmpages },	   { "cost", case_cost },
};

static bool run_case(struct vps *v, const char *name)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (!strcmp(cases[i].name, name)) {
			cases[i].run(v);
			limit(v, UBC_NR, 0);
			return true;
		}
	return false;
}

/* A group that no VPS is in, as if one had been started in it: for nodes without Croft. */
static int begin(const struct vps *v)
{
	char path[PATH_MAX];
	uint64_t limits[UBC_NR];
	struct vz_error err = { 0 };

	for (int i = 0; i < UBC_NR; i++)
		limits[i] = INT64_MAX;
	(void)snprintf(path, sizeof(path), "%s/payload", v->dir);
	return !check(vz_mkdir_p(path, 0755) == 0 && ubc_begin(v->ctid, v->dir, limits, limits, &err) == 0, "begin %s",
		      err.msg);
}

/* The record of a file at an address where none can be. */
int ghost(const struct vps *v)
{
	const uint64_t key = UINT64_MAX / 2 - 63;
	VZ_FD int map = ubc_pin_get("files");
	int n = map < 0 ? map : ubc_map_entries(map), r;
	uint32_t home = n > 0 ? UBC_HOME(key) & (uint32_t)(n - 1) : 0;
	struct ubc_cell c;

	r = n < 0 ? n : ubc_map_get(map, &home, &c);
	if (r < 0)
		return r;
	c.at[3] = (struct ubc_place){ key, { (uint32_t)(v->slot - v->t->slot), UBC_NUMFILE } };
	(void)__atomic_add_fetch(&v->slot->row[UBC_NUMFILE].held, 1, __ATOMIC_RELAXED);
	return ubc_map_set(map, &home, &c);
}

int main(int argc, char **argv)
{
	struct vps v = { .group = -1 };
	char path[PATH_MAX];

	if (argc < 4)
		return 2;
	v.ctid = (uint32_t)strtoul(argv[1], NULL, 10);
	v.dir = argv[2];
	if (!strcmp(argv[3], "begin"))
		return begin(&v);
	(void)snprintf(path, sizeof(path), "%s/payload/drive", argv[2]); /* apart from the VPS's own */
	(void)mkdir(path, 0755);
	v.group = vz_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (v.group < 0 || ubc_table_open(true, &v.t) < 0 || !(v.slot = ubc_slot(v.t, v.ctid))) {
		(void)fprintf(stderr, "no group %s, or no slot of %s\n", path, argv[1]);
		return 2;
	}
	if (!strcmp(argv[3], "plant") && argc == 6) {
		(void)__atomic_add_fetch(&v.slot->row[ubc_by_name(argv[4])].held, (uint64_t)atoll(argv[5]), __ATOMIC_RELAXED);
		return 0;
	}
	if (!strcmp(argv[3], "ghost"))
		return !check(ghost(&v) == 0, "a ghost");
	if (!strcmp(argv[3], "version") && argc == 5) {
		ubc_head(v.t)->version = (uint32_t)atoll(argv[4]);
		return 0;
	}
	if (!strcmp(argv[3], "row") && argc == 5) {
		const struct ubc_row *r = &v.slot->row[ubc_by_name(argv[4])];

		(void)printf("%lld %lld %lld %lld\n", (long long)r->held, (long long)r->maxheld, (long long)r->limit,
			     (long long)r->failcnt);
		return 0;
	}
	for (int i = 3; i < argc; i++)
		if (!run_case(&v, argv[i]))
			check(false, "no such case: %s", argv[i]);
	for (int i = 0; i < 100 && rmdir(path) < 0 && errno == EBUSY; i++)
		(void)poll(NULL, 0, 10);
	return failures > 0;
}
