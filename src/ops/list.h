/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_LIST_H
#define OPS_LIST_H

#include "ops/ubc.h"
#include "resources/cgroup.h"
#include "vps/vps.h"

/* What a list can ask for. No lock is taken: files are replaced by rename, so each is whole. */
enum op_need {
	OP_NEED_CONF = 1, /* the configuration */
	OP_NEED_RUNNING = 2, /* whether init lives, and since when */
	OP_NEED_STATUS = 4, /* of one that does not run: mounted, suspended or stopped */
	OP_NEED_PIDS = 8, /* counters of a running one */
	OP_NEED_MEM = 16,
	OP_NEED_SWAP = 32,
	OP_NEED_LIVE = 64, /* of a running one: limits in force over those of the configuration */
	OP_NEED_UBC = 256, /* this << enum ubc_counter: what a running one holds of it */
};

/* In the order in which a sorted list shows them. "mounted" wins over "suspended". */
enum op_status { OP_RUNNING, OP_STOPPED, OP_MOUNTED, OP_SUSPENDED };

/**
 * struct op_facts - what was asked for about one VPS
 * @has_conf: @cfg is valid; false also when the file went away or cannot be read
 * @status: OP_RUNNING or OP_STOPPED when OP_NEED_STATUS was not asked
 * @uptime_ms: 0 unless running
 * @addrs: addresses that are up, when running and OP_NEED_LIVE was asked
 * @ubc: counters asked for by OP_NEED_UBC; with OP_NEED_CONF and OP_NEED_LIVE their limits, too
 * @known: which numbers of @stat the kernel gave, bit 1 << CG_STAT_*
 */
struct op_facts {
	uint32_t ctid;
	bool has_conf;
	struct vps_config cfg;
	enum op_status status;
	uint64_t uptime_ms;
	struct vz_list addrs;
	struct op_ubc ubc;
	unsigned int known;
	uint64_t stat[CG_STAT_MAX];
};

/**
 * op_list_ctids - every VPS that has a configuration, and those that run without one, ascending
 * @ret: malloc'ed, the caller frees
 * Return: how many, or -errno with @err.
 */
ssize_t op_list_ctids(uint32_t **ret, struct vz_error *err) __attribute__((warn_unused_result));

/**
 * op_list_facts - gather what @needs (enum op_need) names; what cannot be known stays zero
 * @global: vz.conf, read once for a thousand VPSes; @rd: likewise, NULL without OP_NEED_UBC
 * @ret: cleared with op_facts_clear
 */
void op_list_facts(uint32_t ctid, unsigned int needs, const struct vps_config *global,
		   struct op_ubc_reader *rd, struct op_facts *ret);

/** op_list_known - does the VPS have a configuration, or does it run */
bool op_list_known(uint32_t ctid);

/** op_facts_clear - free what @f owns. */
void op_facts_clear(struct op_facts *f);
#define OP_FACTS __attribute__((cleanup(op_facts_clear)))

#endif
