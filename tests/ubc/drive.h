/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_UBC_DRIVE_H
#define TESTS_UBC_DRIVE_H

#include "ubc/priv.h"
#include "ubc/ubc.h"

#include <stdbool.h>
#include <sys/types.h>

/* The VPS that is tried: its processes are our children in its group; we ourselves stay outside. */
struct vps {
	uint32_t ctid;
	const char *dir; /* of its group in cgroup2 */
	int group; /* below its payload: where our children are */
	struct ubc_table *t;
	struct ubc_slot *slot;
};

/* What a child inside tells: how many it took, and which errno ended it. */
struct told {
	int n, err;
	int fd; /* where it tells it */
};

/* say - a line for who reads the failure; check - says it and counts a failure unless @good */
bool check(bool good, const char *what, ...) __attribute__((format(printf, 2, 3)));
int64_t held(const struct vps *v, enum ubc_counter c);
/* settle - wait until held of @c is @want. Return: whether it became so. */
bool settle(const struct vps *v, enum ubc_counter c, int64_t want);
/* limit - all unlimited but @c; UBC_NR: all */
void limit(const struct vps *v, enum ubc_counter c, uint64_t n);
/* inside - run @body in a child in the group; it stays there until it is killed. Return: pid. */
pid_t inside(const struct vps *v, void (*body)(struct told *t, int arg), int arg, struct told *ret);
/* ghost - the record of a file that is not there, counted. 0 or -errno. */
int ghost(const struct vps *v);
/* finish - kill -9 and wait */
void finish(pid_t pid);
/* kill_all - every process of ours inside */
void kill_all(const struct vps *v);

/* cases; the failures are counted by check() */
void case_numfile(struct vps *v);
void case_numflock(struct vps *v);
void case_numtcpsock(struct vps *v);
void case_numothersock(struct vps *v);
void case_numpty(struct vps *v);
void case_accept(struct vps *v);
void case_inherit(struct vps *v);
void case_passed(struct vps *v);
void case_cycles(struct vps *v);
void case_nested(struct vps *v);
void case_adopt(struct vps *v);
void case_sweep(struct vps *v);
void case_accepted(struct vps *v);
void case_pid(struct vps *v);
void case_layout(struct vps *v);
void case_privvmpages(struct vps *v);
void case_fork(struct vps *v);
void case_lockedpages(struct vps *v);
void case_shmpages(struct vps *v);
void case_storm(struct vps *v);
/* cost.c: for bench/ubc */
void case_cost(struct vps *v);

#endif
