/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESOURCES_PRIV_H
#define RESOURCES_PRIV_H

#include "resources/cgroup.h"
#include "resources/resources.h"
#include "util/str.h"
#include "vps/vps.h"

#include <limits.h>

/* What a VPS sees as the root of cgroup2, below its group. */
#define CG_PAYLOAD "payload"
/* In it: where exec and enter begin, the node's own (context/exec.c). */
#define CG_EXEC ".croft"

enum {
	RES_EXIT_CPU = 2, /* vzctl 4: "unable to set CPU parameters" */
	CG_PERIOD_US = 100000, /* of the CPU quota */
	CG_PIDS_CEILING = 4194304, /* PID_MAX_LIMIT: pids.max refuses more */
	CG_TREE_DEPTH = 64, /* how deep a tenant may nest groups (cgroup.max.depth) */
	/*
	 * How many groups a VPS may have, and all VPSes together. A kernel has 65535 ids for groups
	 * with memory control; when they are gone, nobody on the node can make such a group.
	 */
	CG_TREE_GROUPS = 1024,
	CG_SLICE_GROUPS = 49152,
};

/* Hierarchies that a VPS has a group in. */
enum cg_ctl {
	CTL_V2,
	CTL_SYSTEMD, /* v1's name=systemd: out of the session that ran vzctl, or it ends with it */
	CTL_CPU,
	CTL_CPUACCT,
	CTL_CPUSET,
	CTL_MEMORY,
	CTL_DEVICES,
	CTL_PIDS,
	CTL_BLKIO,
	CTL_MAX
};

/** struct cg_dirs - a directory in each hierarchy, owned; NULL = not there */
struct cg_dirs {
	char *v[CTL_MAX];
};

void cg_dirs_clear(struct cg_dirs *d);
#define CG_DIRS __attribute__((cleanup(cg_dirs_clear)))

/** cg_ctl_name - "v2", "systemd", "memory"...: the word in the state file */
const char *cg_ctl_name(enum cg_ctl c);
/** cg_dirs_add - take "NAME=/dir". Return: 0; -EINVAL (unknown names too); -ENOMEM. */
int cg_dirs_add(struct cg_dirs *d, const char *line) __attribute__((warn_unused_result));
/** cg_dirs_known_before - a lower v1 row has the same directory (controllers mounted together). */
bool cg_dirs_known_before(const struct cg_dirs *d, enum cg_ctl c);

/* ---- files.c: knob files; @dir is an absolute directory ---- */

/** cg_join - @dir/@file in @dst. Return: @dst. */
const char *cg_join(char dst[PATH_MAX], const char *dir, const char *file);
/** cg_write - Return: 0; -EOPNOTSUPP the group has no such file; -ENOENT no such group; -errno. */
int cg_write(const char *dir, const char *file, const char *value)
	__attribute__((warn_unused_result));
/** cg_read - whole file, malloc'ed. Return: as cg_write. */
int cg_read(const char *dir, const char *file, char **ret) __attribute__((warn_unused_result));
/** cg_read_u64 - a number; "max" and negative ones are UINT64_MAX. Return: as cg_write; -EINVAL. */
int cg_read_u64(const char *dir, const char *file, uint64_t *ret)
	__attribute__((warn_unused_result));
/** cg_key - number after @key in lines of "key number". Return: 0 or -EOPNOTSUPP. */
int cg_key(const char *text, const char *key, uint64_t *ret) __attribute__((warn_unused_result));
/** cg_read_key - cg_key on a file. */
int cg_read_key(const char *dir, const char *file, const char *key, uint64_t *ret)
	__attribute__((warn_unused_result));
/** cg_read_place - the number there. Return: as cg_read_u64, cg_read_key. */
int cg_read_place(const struct cg_place *p, uint64_t *ret) __attribute__((warn_unused_result));
/**
 * cg_wait_event - wait until @key in cgroup.events of v2 group @dir is @want.
 * @timeout_ms: -1 = for ever. Return: 0; -ETIMEDOUT; -EINTR; -errno.
 */
int cg_wait_event(const char *dir, const char *key, uint64_t want, int timeout_ms)
	__attribute__((warn_unused_result));
/**
 * cg_rmdir_tree - remove @dir and every group below it, however deep. 0 also when there is none.
 */
int cg_rmdir_tree(const char *dir) __attribute__((warn_unused_result));
/** cg_populated - v2: a process is in @dir or below. */
bool cg_populated(const char *dir);
/** cg_mkdir_fresh - make @dir; an old one without processes is removed first. 0, -EBUSY, -errno. */
int cg_mkdir_fresh(const char *dir) __attribute__((warn_unused_result));
/** cg_knob_fail - "cannot write VALUE to FILE" with the exit status of the knob. Return: @r. */
int cg_knob_fail(struct vz_error *err, int r, enum cg_knob knob, const char *dir, const char *file,
		 const char *value) __attribute__((cold));

/* ---- find.c ---- */

/** struct cg_mountinfo - what find.c reads from a mountinfo file */
struct cg_mountinfo {
	uint64_t key; /* of the cgroup mounts, independent of the mount namespace */
	bool have_v1; /* some v1 controller is mounted */
	char *v2, *systemd; /* mount points; NULL = none */
};

void cg_mountinfo_clear(struct cg_mountinfo *m);
/** cg_mountinfo_parse - Return: 0 or -ENOMEM. */
int cg_mountinfo_parse(const char *text, struct cg_mountinfo *ret)
	__attribute__((warn_unused_result));
/**
 * cg_find - mount point of each hierarchy, from the cache if it is right
 * @may_mount: mount cgroup2 at RUN/cgroup2 when it is nowhere; else v[CTL_V2] may stay NULL
 * Return: 0; -EOPNOTSUPP (exit 5) cgroup2 cannot be mounted; -errno.
 */
int cg_find(bool may_mount, struct cg_dirs *ret, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * cg_cache_load - what cg_find found last in this boot
 * @key: of the mounts it must be of; 0 = of whatever mounts
 * Return: 0; -ESTALE; -errno.
 */
int cg_cache_load(uint64_t key, struct cg_dirs *ret) __attribute__((warn_unused_result));
/* ---- node.c: what the node has, and the part of it that nobody gets ---- */

/** cg_node_tasks - processes and threads that the node can have at once */
uint64_t cg_node_tasks(void);
/** cg_node_ram - bytes of memory of the node */
uint64_t cg_node_ram(void);
/**
 * cg_node_ptys - ptys that a node with @ram bytes may have: a quarter of it when all their buffers are full,
 * but not below the kernel's default. No memory limit counts what a pty takes: 24 KiB for its line disciplines, and
 * 64 KiB of data each way (tty_buffer.c). At most what the kernel has numbers for.
 */
uint64_t cg_node_ptys(uint64_t ram);
/**
 * cg_raise_ptys - kernel.pty.max to cg_node_ptys(), unless it is higher: the kernel counts those of all
 * VPSes together, and its default is few for many of them. Failures are ignored.
 */
void cg_raise_ptys(void);
/**
 * cg_guard_slice - limit what all VPSes together may take of the processes and groups of the node,
 * so that its administrator still gets in. @dir: SLICE in v2 or in v1's pids. Failures are ignored.
 */
void cg_guard_slice(const char *dir);

/* ---- guarantee.c ---- */

/** cg_guarantee_bytes - barrier of @id in bytes if somebody set it, UINT64_MAX = unlimited, 0 = none */
uint64_t cg_guarantee_bytes(const struct vps_config *c, enum vps_param_id id);
/**
 * cg_guarantee_sum - @file of the group above @dir becomes the sum of its children's, at most @most.
 * Failures are ignored.
 */
void cg_guarantee_sum(const char *dir, const char *file, uint64_t most);
/**
 * cg_oom_adj - oom_score_adj that makes up for @guarantee bytes in use: the kernel's badness is use in
 * thousandths of the memory plus this (Documentation/filesystems/proc.rst). 0 to -900.
 */
int cg_oom_adj(uint64_t guarantee, uint64_t node);
/**
 * cg_oom_adj_all - give it to every process of the VPS.
 * Return: 0; -EACCES we may not (no CAP_SYS_RESOURCE); -errno.
 */
int cg_oom_adj_all(struct cg *cg, int adj) __attribute__((warn_unused_result));

/* ---- walk.c ---- */

/** cg_count_locks - lines of /proc/locks @text that say one of @pids, which are sorted by this */
uint64_t cg_count_locks(const char *text, uint64_t *pids, size_t n);
/** cg_count_sockets - tcp and other_sockets of @u from the text of sockstat and sockstat6 */
void cg_count_sockets(const char *v4, const char *v6, struct res_usage *u);

/* ---- drivers ---- */

/** cg_v2_home - SLICE of cgroup2: group that holds all VPSes, relative to the mount. Borrowed. */
const char *cg_v2_home(void);
int cg_v2_open(const char *dir, struct cg **ret) __attribute__((warn_unused_result));
/** cg_v2_slice - make SLICE below @mount, enabling controllers. @ret_dir: SLICE/@sub, not made. */
int cg_v2_slice(const char *mount, const char *sub, char ret_dir[PATH_MAX])
	__attribute__((warn_unused_result));
/** cg_v2_create - make CTID, CTID/host and CTID/payload (owned by @base). Undone on failure. */
int cg_v2_create(const char *mount, uint32_t ctid, uid_t base, char **ret_dir, struct vz_error *err)
	__attribute__((warn_unused_result));

/** cg_v1_open - @groups: directory of the VPS's group per controller; copied. */
int cg_v1_open(const struct cg_dirs *groups, struct cg **ret) __attribute__((warn_unused_result));
/** cg_v1_create - one group a hierarchy in @mounts; @ret has what was made, also on failure. */
int cg_v1_create(const struct cg_dirs *mounts, uint32_t ctid, struct cg_dirs *ret,
		 struct vz_error *err) __attribute__((warn_unused_result));
/** cg_v1_slice - make SLICE below @mount. @ret_dir: SLICE/@sub, not made. 0 or -errno. */
int cg_v1_slice(const char *mount, const char *sub, char ret_dir[PATH_MAX])
	__attribute__((warn_unused_result));

/** cg_composite_open - driver that asks v1 first, then v2, knob by knob. */
int cg_composite_open(const struct cg_dirs *groups, struct cg **ret)
	__attribute__((warn_unused_result));
/** cg_composite_dirs - its groups, borrowed; NULL when @cg is of another driver. */
const struct cg_dirs *cg_composite_dirs(const struct cg *cg);
/** cg_composite_v1 - the v1 part, NULL if there is none. */
struct cg *cg_composite_v1(struct cg *cg);

/**
 * struct cg_fake - for unit tests. @fail: errno per knob; @calls: "set 2 1048576", "freeze 1"...
 */
struct cg_fake {
	struct cg cg;
	struct vz_list calls;
	uint64_t knob[CG_KNOB_MAX], stat[CG_STAT_MAX];
	int fail[CG_KNOB_MAX];
	int fail_cpuset, fail_devices, fail_io;
};

/** cg_fake_new - NULL without memory; freed by its close. */
struct cg_fake *cg_fake_new(void);

/* ---- device-v1.c, device-bpf.c ---- */

/**
 * cg_v1_devices - allow exactly @rules in the v1 devices group @dir: with processes inside, what
 * is wanted is allowed first and the rest denied after it. Return: 0 or -errno.
 */
int cg_v1_devices(const char *dir, const struct cg_dev_rule *rules, size_t n)
	__attribute__((warn_unused_result));

/** struct cg_bpf - instructions of a device program; owned */
struct cg_bpf {
	struct bpf_insn *insns;
	size_t n;
};

void cg_bpf_clear(struct cg_bpf *p);
/** cg_bpf_build - program that allows exactly @rules. Return: 0 or -ENOMEM. */
int cg_bpf_build(const struct cg_dev_rule *rules, size_t n, struct cg_bpf *ret)
	__attribute__((warn_unused_result));
/**
 * cg_bpf_attach - load and attach to the v2 group @dir in place of the one attached earlier,
 * atomically.
 * Return: 0; -EOPNOTSUPP kernel without device programs; -errno.
 */
int cg_bpf_attach(const char *dir, const struct cg_dev_rule *rules, size_t n, struct vz_error *err)
	__attribute__((warn_unused_result));

/* ---- devices.c ---- */

/** struct cg_dev_rules - growing list; one rule a (type, major, minor) */
struct cg_dev_rules {
	struct cg_dev_rule *v;
	size_t n;
};

void cg_dev_rules_clear(struct cg_dev_rules *r);
/**
 * cg_dev_rules_make - defaults, --devices and --devnodes of @cfg. @devfd: the host's /dev. exit
 * 86.
 */
int cg_dev_rules_make(const struct vps_config *cfg, int devfd, struct cg_dev_rules *ret,
		      struct vz_error *err) __attribute__((warn_unused_result));

/* ---- apply.c, cpu.c, io.c: from the configuration to the knobs ---- */

/** struct cg_apply - what the appliers of one res_apply() share; borrowed */
struct cg_apply {
	struct cg *cg;
	const struct vps_config *cfg;
	struct vz_list *missing; /* sentences for who set it; may be NULL */
	struct vz_error *err;
};

/** cg_apply_tell - one more sentence, in place of an error. Return: 0 or -ENOMEM. */
int cg_apply_tell(struct cg_apply *a, const char *sentence) __attribute__((warn_unused_result));
/**
 * cg_apply_knob - set it; where the host has no such knob, @sentence is told if @wanted: if the
 * configuration wants it to limit something. Return: 0 or -errno with a->err.
 */
int cg_apply_knob(struct cg_apply *a, enum cg_knob knob, uint64_t value, bool wanted,
		  const char *sentence) __attribute__((warn_unused_result));
/** cg_apply_cpu - --cpuunits, --cpulimit, --cpus, --cpuburst. As res_apply. */
int cg_apply_cpu(struct cg_apply *a) __attribute__((warn_unused_result));
/** cg_apply_cpuset - --cpumask, --nodemask. As res_apply. */
int cg_apply_cpuset(struct cg_apply *a) __attribute__((warn_unused_result));
/** cg_apply_io - --ioprio, --iolimit, --iopslimit. As res_apply. */
int cg_apply_io(struct cg_apply *a) __attribute__((warn_unused_result));

/**
 * cg_node_cpus - CPU list of the nodes in @nodes; @nodedir: /sys/devices/system/node. malloc'ed.
 * Return: 0; -ENODEV no such node, or none with a CPU; -errno.
 */
int cg_node_cpus(const char *nodedir, const char *nodes, char **ret)
	__attribute__((warn_unused_result));
/**
 * cg_node_auto - the nodes of `--nodemask auto`: those of the CPUs in @cpus; without a list, as few as
 * hold @ram_bytes of memory, taken in the order of what they have free. *@ret: "0,2", malloc'ed; NULL =
 * all, where memory is not limited or the kernel knows no nodes. Return: 0; -ENODEV; -errno.
 */
int cg_node_auto(const char *nodedir, const char *cpus, uint64_t ram_bytes, char **ret)
	__attribute__((warn_unused_result));

/** struct cg_disk - a block device that I/O can be limited on: never a partition */
struct cg_disk {
	unsigned int major, minor;
};

/**
 * cg_disks_of - the disks that the file system of @path lies on, nearest existing parent if it is not
 * there. @ret_n is 0 and @ret_fs the kind of file system when it lies on none (tmpfs, a network).
 * Return: 0; -E2BIG more than @max; -errno.
 */
int cg_disks_of(const char *path, struct cg_disk *ret, size_t max, size_t *ret_n, char ret_fs[32])
	__attribute__((warn_unused_result));
/** cg_disk_scheduler - "bfq", "none"... of a disk in @ret; "" unknown. */
void cg_disk_scheduler(const struct cg_disk *d, char ret[32]);

/* ---- share.c ---- */

/**
 * cg_share_of - value for the group that holds all VPSes, so that what competes with it (weight @one
 * each) has VE0CPUUNITS = @ve0 beside their cpuunits. @sum: of the VPSes' own weights, in the same unit.
 * Return: in @min...@max.
 */
uint64_t cg_share_of(uint64_t sum, uint64_t ve0, uint64_t min, uint64_t max);

/* ---- inside.c ---- */

/** cg_disk_io_v2 - lines of v2's io.stat. Return: 0 or -ENOMEM. */
int cg_disk_io_v2(struct res_inside *i, const char *text) __attribute__((warn_unused_result));
/** cg_disk_io_v1 - lines of a v1 file "MAJ:MIN Read NUMBER"; @ios: they are operations, else bytes. 0 or -ENOMEM. */
int cg_disk_io_v1(struct res_inside *i, const char *text, bool ios)
	__attribute__((warn_unused_result));
/** cg_cpus - how many of @online CPUs, by the list @set ("0-3,5", NULL none) and @limit_pct (UINT64_MAX none) */
unsigned int cg_cpus(unsigned int online, const char *set, uint64_t limit_pct);

/* open.c */

/**
 * cg_open_groups - the composite driver over @groups; @ret_paths (may be NULL): the list for the
 * state file
 */
int cg_open_groups(const struct cg_dirs *groups, struct vz_list *ret_paths, struct cg **ret,
		   struct vz_error *err) __attribute__((warn_unused_result));

#endif
