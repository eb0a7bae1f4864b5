/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTEXT_SYNC_H
#define CONTEXT_SYNC_H

#include "util/error.h"

#include <stdint.h>
#include <sys/types.h>

/*
 * The start protocol, the one order that both sides walk. One SOCK_SEQPACKET pair; one record = one
 * step. End of file is death, never success, until after GO: then it is exec.
 */
enum start_step {
	STEP_NONE,
	STEP_BORN, /* builder: cgroups joined, root built, user namespace made */
	STEP_MAPPED, /* vzctl: id maps written */
	STEP_SPAWNED, /* builder: init cloned; its pidfd rides along */
	STEP_ROOT, /* init: pivoted, proc, sysfs, cgroup2, devpts mounted */
	STEP_NET, /* vzctl: links are in */
	STEP_CAGED, /* init: capabilities, seccomp */
	STEP_SCRIPTS, /* init: CTID.start ran */
	STEP_CONSOLE, /* init: controlling terminal */
	STEP_GO, /* vzctl: state saved */
};

struct start_msg {
	uint32_t step;
	uint32_t failed; /* 1: @err is valid and the sender is about to _exit() */
	int32_t pid;
	struct vz_error err;
};

/** sync_tell - send @step, with an optional descriptor (-1 none). 0 or -errno. */
int sync_tell(int sk, enum start_step step, pid_t pid, int fd) __attribute__((warn_unused_result));
/** sync_fail - send our error; the caller then exits. */
void sync_fail(int sk, const struct vz_error *err);
/**
 * sync_expect - receive exactly step @want. @ret_pid and @ret_fd may be NULL. The peer's error
 * becomes ours.
 */
int sync_expect(int sk, enum start_step want, pid_t *ret_pid, int *ret_fd, struct vz_error *err)
	__attribute__((warn_unused_result));
/** sync_name - a word for people. */
const char *sync_name(enum start_step step);

#endif
