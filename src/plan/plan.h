/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "util/error.h"
#include "vps/vps.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Planning: how much of the node VPSes use, are promised and may take, and whether a configuration makes sense.
 * Arithmetic only: no VPS is looked at here (ops/plan.h does that). Sources: the formulae of OpenVZ's systemwide
 * configuration, its rules between beancounters and the algorithm of vzsplit, each named where it is used.
 */

enum { PLAN_PAGE = 4096 };

/** PLAN_NONE - no limit, in all units */
#define PLAN_NONE ((uint64_t)INT64_MAX)

/* ---- node.c ---- */

/**
 * struct plan_node - what the node has
 * @lowmem_bytes: memory that the kernel can address at any time; all of it where there is no LowTotal (64 bit)
 * @threads: processes and threads that can exist (threads-max, pid_max)
 */
struct plan_node {
	uint64_t ram_bytes, swap_bytes, lowmem_bytes, threads;
};

/** plan_node_read - from @proc ("/proc"). Return: 0; -EINVAL when MemTotal is not to be found; -errno. */
int plan_node_read(const char *proc, struct plan_node *ret) __attribute__((warn_unused_result));

/* ---- rows.c: one VPS, and VPSes of a table ---- */

/** struct plan_row - one beancounter in its own unit; PLAN_NONE = no limit */
struct plan_row {
	uint64_t held, maxheld, barrier, limit, failcnt;
};

/**
 * struct plan_vps - what is known of one VPS
 * @running: held, maxheld and failcnt are valid
 * @vswap: memory is limited by physpages
 * @kernel_in_ram: physpages counts kernel memory and socket buffers too (control groups do, OpenVZ's legacy counter
 *	did not)
 * @row: by enum vps_param_id, only those of type PT_UBC mean anything
 */
struct plan_vps {
	uint32_t ctid;
	bool running, vswap, kernel_in_ram;
	struct plan_row row[VP_MAX];
};

/** plan_limits - barriers and limits of @c, a row that is not set has none; @ret is a stopped VPS */
void plan_limits(const struct vps_config *c, struct plan_vps *ret);

/**
 * plan_parse_table - VPSes of a text as /proc/user_beancounters or /proc/bc/resources has it; the node's own group 0
 * is left out
 * @ret: malloc'ed, the caller frees; @ret_line: the line that could not be understood
 * Return: how many; -EINVAL another version or a bad line; -ENOMEM.
 */
ssize_t plan_parse_table(const char *text, struct plan_vps **ret, size_t *ret_line)
	__attribute__((warn_unused_result));

/* ---- formulae.c ---- */

enum plan_quantity {
	PLAN_LOWMEM, /* kernel memory and socket buffers, of low memory */
	PLAN_RAM, /* of RAM */
	PLAN_MEMSWAP, /* of RAM and swap */
	PLAN_ALLOC, /* what programs may have allocated, of RAM and swap */
	PLAN_PROCS,
	PLAN_QUANTITIES
};

enum plan_column { PLAN_CURRENT, PLAN_PROMISED, PLAN_MAX, PLAN_COLUMNS };

/** struct plan_sums - bytes (processes: items); NAN: there is no such figure; HUGE_VAL: no limit */
struct plan_sums {
	double v[PLAN_QUANTITIES][PLAN_COLUMNS];
};

/** plan_sums_of - all figures of one VPS */
void plan_sums_of(const struct plan_vps *v, const struct plan_node *node, struct plan_sums *ret);

/** plan_sums_add - add @more to @sums; a figure that is missing in @more counts nothing. */
void plan_sums_add(struct plan_sums *sums, const struct plan_sums *more);

/** plan_whole - what a quantity is a part of: bytes, or items for PLAN_PROCS; never 0 */
double plan_whole(const struct plan_node *node, enum plan_quantity q);

/** plan_procs_limit - processes that VPS may have: numproc, without a limit what Croft gives then (ADR 22) */
uint64_t plan_procs_limit(const struct plan_vps *v, const struct plan_node *node);

/** struct plan_ram - RAM and swap that a VPS may take, in pages; PLAN_NONE = no limit */
struct plan_ram {
	uint64_t ram_pages, swap_pages;
	bool guessed; /* no VSwap: half of privvmpages.limit */
};
/** plan_ram_of - source: vzoversell of OpenVZ. @node is not asked: what has no limit has none. */
struct plan_ram plan_ram_of(const struct plan_vps *v);

/** struct plan_use - what VPSes take of the node, in bytes and items */
struct plan_use {
	uint64_t ram_bytes, memswap_bytes, procs;
};
/**
 * plan_use_limit - @v at its limits; memory without one as Croft holds it, 7/8 of the node's (ADR 22). Processes without
 * one count nothing: each VPS ends at an eighth of the node's, which is a fence and no promise.
 */
struct plan_use plan_use_limit(const struct plan_vps *v, const struct plan_node *node);
/** plan_use_peak - @v at the most it was seen to use */
struct plan_use plan_use_peak(const struct plan_vps *v);
/** plan_use_add - @sum + @n times @one, as much as a number holds */
struct plan_use plan_use_add(struct plan_use sum, struct plan_use one, uint64_t n);
/** plan_use_node - what the node has to give */
struct plan_use plan_use_node(const struct plan_node *node);
/**
 * plan_room - how many more of @one fit beside @sum; UINT64_MAX when @one takes nothing
 * @ret_by: what there is least of: "RAM", "RAM+swap", "processes", or ""; may be NULL
 */
uint64_t plan_room(const struct plan_node *node, struct plan_use sum, struct plan_use one,
		   const char **ret_by);

/* ---- rules.c: vzcfgvalidate ---- */

enum plan_class { PLAN_ERROR, PLAN_WARNING, PLAN_RECOMMENDATION, PLAN_CLASSES };

/**
 * struct plan_finding - one broken rule
 * @text: what should be and what is, one line
 * @mended: rule can be satisfied by giving row @id the value @pair
 */
struct plan_finding {
	enum plan_class class;
	char text[200];
	bool mended;
	enum vps_param_id id;
	struct vps_pair pair;
};

/** plan_rules - how many rules there are */
size_t plan_rules(void);
/**
 * plan_rule - check rule @i (0 ... plan_rules() - 1) of @c; in order: mending one never breaks one before it
 * @vswap: the rules of VSwap, else those between barriers and limits
 * @node: for limits of a VSwap VPS
 * Return: whether it is broken, then @ret is filled.
 */
bool plan_rule(size_t i, const struct vps_config *c, bool vswap, const struct plan_node *node,
	       struct plan_finding *ret);
/** plan_mend - give the row of @f its value in @c. */
void plan_mend(struct vps_config *c, const struct plan_finding *f);

/* ---- split.c: vzsplit ---- */

/** struct plan_disk - what the file system for private areas has: KiB and inodes */
struct plan_disk {
	uint64_t kib, inodes;
};

enum plan_level { PLAN_FREE, PLAN_NORMAL, PLAN_PARTIAL, PLAN_SHORTAGE };

/**
 * plan_split - limits for one of @n equal VPSes that together fill the node
 * @vswap: PHYSPAGES and SWAPPAGES alone, else all beancounters
 * @ret: rows are set with source VS_VPS; the caller clears it
 * Return: 0; negative with @err (exit 1): so many do not fit.
 */
int plan_split(const struct plan_node *node, const struct plan_disk *disk, uint64_t n, bool vswap,
	       struct vps_config *ret, enum plan_level *ret_level, struct vz_error *err)
	__attribute__((warn_unused_result));
/** plan_level_text - what a commit level means, one line; borrowed */
const char *plan_level_text(enum plan_level level);

#endif
