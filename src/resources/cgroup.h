/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESOURCES_CGROUP_H
#define RESOURCES_CGROUP_H

#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Driver interface; it speaks cgroup v2's words, v1 is an adapter behind it. */

enum cg_knob {
	CG_CPU_WEIGHT, /* cpuunits, 8...500000; the driver converts (v1 shares, v2 weight) */
	CG_CPU_MAX_PCT, /* percent of one CPU; UINT64_MAX = none */
	CG_MEM_MAX_BYTES, /* UINT64_MAX = none */
	CG_SWAP_MAX_BYTES, /* swap alone, not memory+swap; UINT64_MAX = none */
	CG_PIDS_MAX, /* UINT64_MAX = none */
	CG_MEM_LOW_BYTES, /* not taken from the VPS while others have more than theirs; 0 = none */
	CG_MEM_MIN_BYTES, /* never taken from it; UINT64_MAX = all it has */
	CG_CPU_BURST_US, /* CPU time that may be saved up for above the limit; 0 = none */
	CG_IO_WEIGHT, /* 1...1000, 100 = what everybody has */
	CG_TCP_MAX_BYTES, /* of buffers of TCP sockets, both ways; v1 only; UINT64_MAX = none */
	CG_KNOB_MAX
};

enum cg_stat {
	CG_STAT_PIDS, /* tasks now */
	CG_STAT_PIDS_PEAK, /* most tasks ever; -EOPNOTSUPP on older kernels */
	CG_STAT_PIDS_FAIL, /* refused forks */
	CG_STAT_MEM, /* bytes now */
	CG_STAT_MEM_PEAK,
	CG_STAT_MEM_FAIL, /* how often it had no memory left: before the OOM killer looked for something */
	CG_STAT_OOM_KILL, /* processes killed for memory */
	CG_STAT_SWAP, /* bytes of swap now */
	CG_STAT_SWAP_PEAK, /* 6.5; v2 only */
	CG_STAT_SWAP_FAIL,
	CG_STAT_KERNEL, /* bytes of kernel memory: stacks, page tables, slab, sockets */
	CG_STAT_RECLAIMABLE, /* bytes of its slab that can be freed: dentries, inodes; v2 only */
	CG_STAT_SHMEM, /* bytes of shared memory and tmpfs */
	CG_STAT_SOCK, /* bytes in network buffers */
	CG_STAT_TCP_FAIL, /* how often there was no room in CG_TCP_MAX_BYTES; v1 only */
	CG_STAT_UNEVICTABLE, /* bytes that cannot be reclaimed: locked, and ramfs */
	CG_STAT_CPU_USEC, /* CPU time used */
	CG_STAT_MAX
};

/**
 * struct cg_dev_rule - one allowed device. @type 'b', 'c' or 'a'; major/minor -1 = any; @access of
 * "rwm"
 */
struct cg_dev_rule {
	char type;
	int64_t major, minor;
	char access[4];
};

/**
 * struct cg_place - file that holds a number, below the absolute directory @dir; @key: in lines of
 * "key number", NULL: the number is all there is. Borrowed from the driver.
 */
struct cg_place {
	const char *dir, *file, *key;
};

/** struct cg_io_max - most of one disk, reading and writing each; UINT64_MAX = none */
struct cg_io_max {
	unsigned int major, minor;
	uint64_t bps, iops; /* bytes and operations a second */
};

/** struct cg - the groups of one VPS as a driver sees them; made and freed by the driver */
struct cg;

/**
 * struct cg_driver - one kind of cgroup hierarchy. All int members: 0, -EOPNOTSUPP for a knob not
 * there, -errno.
 */
struct cg_driver {
	const char *name; /* "v2", "v1", "composite", "fake" */
	int (*set)(struct cg *cg, enum cg_knob knob, uint64_t value, struct vz_error *err);
	int (*get)(struct cg *cg, enum cg_knob knob, uint64_t *ret_value, struct vz_error *err);
	int (*stat)(struct cg *cg, enum cg_stat what, uint64_t *ret_value);
	/* where @stat would read it; -EOPNOTSUPP also when there is more to it than one number */
	int (*place)(struct cg *cg, enum cg_stat what, struct cg_place *ret);
	/* a list as "0-3,5"; NULL = all that the parent has */
	int (*cpuset)(struct cg *cg, const char *cpus, const char *mems, struct vz_error *err);
	int (*io_max)(struct cg *cg, const struct cg_io_max *max, struct vz_error *err);
	int (*devices)(struct cg *cg, const struct cg_dev_rule *rules, size_t n,
		       struct vz_error *err);
	int (*attach)(struct cg *cg, pid_t pid, bool payload, struct vz_error *err);
	int (*freeze)(struct cg *cg, bool on, int timeout_ms, struct vz_error *err);
	int (*kill)(struct cg *cg, struct vz_error *err);
	int (*remove)(struct cg *cg, struct vz_error *err);
	void (*close)(struct cg *cg);
};

struct cg {
	const struct cg_driver *drv;
};

#endif
