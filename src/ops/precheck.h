/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_PRECHECK_H
#define OPS_PRECHECK_H

#include "checkpoint/preflight.h"
#include "ops/ops.h"

/** struct op_precheck - what op_precheck() found; numbers of a moment */
struct op_precheck {
	struct cpt_findings found;
	struct cpt_load load;
	uint64_t rate; /* bytes a second that the memory leaves with; 0 = unknown */
	bool tracked; /* this kernel tells what is written to */
	uint64_t dirty; /* bytes a second, when @tracked */
	uint64_t
		frozen_ms; /* when all is copied while it is frozen; without @rate without memory */
	uint64_t rounds_ms; /* when rounds go before, if @tracked and @rate */
	unsigned int rounds;
};

/**
 * op_precheck - could VPS @ctid be checkpointed now, and how long would it stand still
 * @rate: bytes a second of the way that the memory takes, 0 = measure writing to DUMPDIR
 * @look_ms: how long to look at what it writes, 0 = not at all
 * Holds the VPS's lock: looking resets the bits that a checkpoint in rounds stands on. It runs on.
 * Return: 0, also with blockers; -errno with @err: exit 31 not running, 9 locked, 16.
 */
int op_precheck(const struct op_env *env, uint32_t ctid, uint64_t rate, unsigned int look_ms,
		struct op_precheck *ret, struct vz_error *err) __attribute__((warn_unused_result));

#endif
