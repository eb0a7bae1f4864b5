/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef RESOURCES_RESOURCES_H
#define RESOURCES_RESOURCES_H

#include "resources/cgroup.h"
#include "util/str.h"
#include "vps/vps.h"

/*
 * Layout (decision 10): SLICE is vps_paths()->slice; in cgroup2 it is the group of
 * vz-payload.service when that runs (home.c). In cgroup2 (always, also without controllers;
 * mounted privately under /run/vz/cgroup2 when the host has it nowhere) SLICE/CTID/ holds the
 * limits and is host-owned, SLICE/CTID/payload is delegated to the VPS's root and becomes its
 * cgroup namespace root, SLICE/CTID/host is where enter and exec start; vzmon lives in SLICE/mon.
 * In each v1 controller there is one group SLICE/CTID, host-owned.
 */

/**
 * res_create - make every group of VPS @ctid and open it; existing empty groups are used again
 * @base: host id of the VPS's root, owner of the delegated files of payload
 * @ret_paths: "v2=/dir", "memory=/dir"...: goes into the state file, lets others open the groups
 * without
 *	looking for hierarchies; the caller clears it
 * Return: 0; -EOPNOTSUPP when the host has no cgroup2 and none can be mounted; -errno. @err exit 5
 * or 6.
 */
int res_create(uint32_t ctid, uid_t base, struct vz_list *ret_paths, struct cg **ret_cg,
	       struct vz_error *err) __attribute__((warn_unused_result));

/** res_open - groups from the list in the state file; no search, no libcgroup. 0 or -errno. */
int res_open(const struct vz_list *paths, struct cg **ret_cg, struct vz_error *err)
	__attribute__((warn_unused_result));

/** res_open_ctid - what there is of groups of @ctid in the hierarchies that commands of this boot have used. As res_open. */
int res_open_ctid(uint32_t ctid, struct cg **ret_cg, struct vz_error *err)
	__attribute__((warn_unused_result));

void res_closep(struct cg **cg);
#define RES_CG __attribute__((cleanup(res_closep)))

/**
 * res_apply - bring the groups to @cfg for the parameter groups in @mask (bit 1 << AG_CPU,
 * AG_CPUSET, AG_IO, AG_MEM, AG_PIDS, AG_DEV, AG_UBC: TCP buffers). Idempotent. Knobs this host does not have are named in
 * @ret_missing ("
 * --swappages:
 * no swap accounting on this kernel"), one sentence each, ready to print after "WARNING: ".
 * Memory: when usage is above a new lower limit, fails with -EBUSY before anything is killed
 * inside.
 * Return: 0; -errno with @err (exit 2 CPU, 1 memory and processes, 86 devices, 148 I/O).
 */
int res_apply(struct cg *cg, const struct vps_config *cfg, unsigned int mask,
	      struct vz_list *ret_missing, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * res_restore_room - for a restore: as many processes as the largest VPS of this node, and those that CRIU has in it for a
 * while; and memory for these above the limit of @cfg (measured: some 150 KiB for each process that is restored, and what tar
 * and a pipe take). AG_PIDS and AG_MEM of res_apply() set the limits again. Return: 0; -errno with @err.
 */
int res_restore_room(struct cg *cg, const struct vps_config *cfg, struct vz_error *err)
	__attribute__((warn_unused_result));

/** res_bounds_tcp - this node has CG_TCP_MAX_BYTES */
bool res_bounds_tcp(void);

/** res_io_wanted - @cfg has an I/O parameter: without one a new group needs no AG_IO. */
bool res_io_wanted(const struct vps_config *cfg);

/**
 * res_io_check - what this host cannot enforce of the I/O parameters of @cfg, one sentence each as in
 * res_apply; for a VPS that does not run. Return: 0 or -ENOMEM.
 */
int res_io_check(const struct vps_config *cfg, struct vz_list *ret_missing)
	__attribute__((warn_unused_result));

/**
 * res_node_share - VE0CPUUNITS: weigh the group that holds all VPSes as the sum of their cpuunits is to
 * @ve0_cpuunits (0: 1000), beside which stand, each with that share, on cgroup v1 every process in the
 * root group, on v2 every other group at its level. To be called when a VPS has come, gone or got another
 * weight. Links no libcgroup. Failures are ignored: the kernel's default is a share of 1000.
 * @ret_unit: of NAME_MAX + 1; the systemd unit whose group it is, and which writes its own idea of the
 * weight there again and again; "" when there is none, or v1 has the cpu controller, which systemd leaves
 * Return: the weight; 0 when there is nothing to weigh.
 */
uint64_t res_node_share(uint64_t ve0_cpuunits, char *ret_unit);

/**
 * res_ptys_share - the most ptys that a VPS without a number of its own gets in its /dev/pts: an eighth of
 * what all VPSes of a node with this memory may have
 */
uint64_t res_ptys_share(void);

/**
 * res_stats - the numbers in @want (bits 1 << CG_STAT_*), each file read once
 * Return: bits of those that the kernel gave; the others are untouched.
 */
unsigned int res_stats(struct cg *cg, unsigned int want, uint64_t ret[CG_STAT_MAX]);

/**
 * struct res_usage - what the processes of a VPS hold, by a look at each: for nodes where nothing
 * counts it exactly
 * @files: open descriptors, those that processes share by fork counted for each
 * @private_bytes: data and stacks; @signals: queued ones; @locks: but those of open file
 * descriptions (F_OFD_SETLK), which no process owns; @other_sockets: TCP ones that are neither
 * connected nor listening among them
 */
struct res_usage {
	uint64_t files, ptys, private_bytes, signals, locks, tcp, other_sockets;
};

enum res_want {
	RES_WANT_FILES = 1,
	RES_WANT_PTYS = 2,
	RES_WANT_PRIVATE = 4,
	RES_WANT_SIGNALS = 8,
};

/**
 * res_walk - the members of @ret that @want (enum res_want) names, and locks
 * @locks: text of the node's /proc/locks, NULL: not wanted; one reading serves many VPSes
 * Return: 0; -errno when its processes cannot be listed.
 */
int res_walk(struct cg *cg, unsigned int want, const char *locks, struct res_usage *ret)
	__attribute__((warn_unused_result));
/**
 * res_pids - every process in the VPS's groups, those of exec and enter too, nested groups included
 * Return: 0, the caller frees @ret; -errno with @err, exit 3.
 */
int res_pids(struct cg *cg, pid_t **ret, size_t *ret_n, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * struct res_rlimit - a resource limit that every process of a VPS gets
 * @what: RLIMIT_*; @from: what was given before; @to: from now on; UINT64_MAX = none
 */
struct res_rlimit {
	int what;
	uint64_t from, to;
};
/**
 * res_rlimit_all - change it in every process of the running VPS; those born meanwhile are found too. A process that has
 * less by its own will keeps that; a limit that goes up reaches those that have @from.
 * @base: host id of the VPS's root, who may lower it where this node's root may not
 * Return: 0; -EPERM a limit goes up and we may not (CAP_SYS_RESOURCE); -ESRCH it goes up and nobody had @from;
 * -EAGAIN processes are born without end; -errno.
 */
int res_rlimit_all(struct cg *cg, const struct res_rlimit *l, uint64_t base)
	__attribute__((warn_unused_result));

/**
 * res_tree_read - the groups that a VPS made in cgroup2, with owners, limits and attributes, as JSON
 * @groups: of the state; @base, @count: the VPS's ids. Return: 0, the caller frees @ret; -E2BIG; -errno.
 */
int res_tree_read(const struct vz_list *groups, uint64_t base, uint64_t count, char **ret)
	__attribute__((warn_unused_result));
/**
 * res_tree_make - make them again from @text, which may come from another node: a word that is out of place is
 * refused, a value that this kernel does not take is left out
 * @late: false: groups, owners, controllers, before a process is there; true: their limits, after
 * Context: forks; groups of the VPS are made. Return: 0; -EINVAL; -errno, with @err exit 17.
 */
int res_tree_make(const struct vz_list *groups, uint64_t base, uint64_t count, const char *text,
		  bool late, struct vz_error *err) __attribute__((warn_unused_result));

/** res_sockets - tcp and other_sockets of the network namespace that process @init is in. 0 or -errno. */
int res_sockets(pid_t init, struct res_usage *ret) __attribute__((warn_unused_result));

/**
 * res_oom_adj - oom_score_adj for the processes of a starting VPS: below 0 for --oomguarpages where
 * the kernel has no memory.min
 */
int res_oom_adj(struct cg *cg, const struct vps_config *cfg);

/**
 * res_birthplace - where a starting init has its place
 * @ret_group: directory of v2's payload, for vz_fork_into(); @ret_tasks: `tasks` file of each v1
 * group, for the process itself to write "0" into, at most @max
 * Return: how many in @ret_tasks, or -errno; the caller closes all.
 */
int res_birthplace(struct cg *cg, int *ret_group, int *ret_tasks, size_t max, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * res_monitor_place - the same for a monitor: SLICE/mon of v2 and of systemd's v1 hierarchy, and the
 * root group of each v1 hierarchy where we ourselves are in a VPS's
 */
int res_monitor_place(int *ret_group, int *ret_tasks, size_t max, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * res_freeze - stop all processes of the VPS, or let them go on; waits for it by events
 * @paths: groups as in struct vps_state. Return: 0; -ETIMEDOUT (then they run); -errno with @err.
 */
int res_freeze(const struct vz_list *paths, bool on, int timeout_ms, struct vz_error *err)
	__attribute__((warn_unused_result));
/** res_thaw_host - of a frozen VPS let what `exec` and `enter` began go on. Return: as res_freeze. */
int res_thaw_host(const struct vz_list *paths, int timeout_ms, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * res_kill_all - kill every process of the VPS (cgroup.kill) and wait until the groups are empty,
 * by events.
 * Return: 0; -ETIMEDOUT; -errno.
 */
int res_kill_all(struct cg *cg, int timeout_ms, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * res_remove - rmdir every group, nested ones made by the tenant too. They must be empty of
 * processes.
 */
int res_remove(struct cg *cg, struct vz_error *err) __attribute__((warn_unused_result));

/**
 * struct res_view - where the server of a VPS's view lives, and what it reads
 * @group: directory in cgroup2; @tasks: `tasks` of v1 groups
 * @hierarchies: mount points of those that tell of CPU, memory and I/O
 * @v1_swap: swap is limited together with memory, by v1
 */
struct res_view {
	int group, tasks[3];
	size_t ntasks;
	struct vz_list hierarchies;
	bool v1_swap;
};

/**
 * res_view_create - a group SLICE/view/CTID for the process that serves the view from inside of VPS
 * @ctid: beside the VPS's own, so that its counters and limits are the VPS's alone, with limits of its
 * own: a tenant who has it work without end takes a small part of one CPU and no more memory.
 * Return: 0, clear @ret by res_view_clear(); -errno with @err.
 */
int res_view_create(uint32_t ctid, struct res_view *ret, struct vz_error *err)
	__attribute__((warn_unused_result));
void res_view_clear(struct res_view *v);
/** res_view_remove - kill who is in it, remove it. 0 also when there is none; -errno with @err. */
int res_view_remove(uint32_t ctid, struct vz_error *err) __attribute__((warn_unused_result));
/** res_view_seen - 1 when any group of @ctid's view exists; links no libcgroup. */
int res_view_seen(uint32_t ctid);

/** enum res_tells - what the groups of a VPS would tell on this node */
enum res_tells {
	RES_TELLS_MEMORY = 1 << 0,
	RES_TELLS_IO = 1 << 1,
	RES_TELLS_V1_CPU = 1 << 2, /* lxcfs can read CPU times; the v2 group has them always */
};
/** res_view_tells - set of enum res_tells; 0 where the hierarchies cannot be found */
unsigned int res_view_tells(void);

/* ---- inside.c: what files of /proc say of a VPS ---- */

/** struct res_disk_io - what a VPS has read, written and discarded on a block device since it began */
struct res_disk_io {
	unsigned int major, minor;
	uint64_t bytes[3], ios[3];
	char name[32]; /* as in /dev */
};

/**
 * struct res_inside - numbers of the groups of one VPS, since the groups were made
 * @cpus: as many as the VPS has by its limits, like lxcfs's --enable-cfs: those of its cpuset, at most
 * --cpulimit rounded up
 * @memory: text of memory.stat, NULL when the node has no memory controller; @memory_v1: its names are v1's
 * @free_bytes: limit less use; without a limit what the node has free
 */
struct res_inside {
	unsigned int cpus;
	uint64_t user_usec, nice_usec, system_usec;
	uint64_t
		throttled_usec; /* that processes waited for --cpulimit, on all of the node's CPUs */
	char *memory;
	bool memory_v1;
	uint64_t free_bytes, oom_kills;
	struct res_disk_io *disks;
	size_t ndisks;
};

/**
 * res_inside_read - a few files of the groups, no process is looked at
 * Return: 0, clear @ret by res_inside_clear(); -EOPNOTSUPP the kernel tells no CPU times; -errno.
 */
int res_inside_read(struct cg *cg, struct res_inside *ret) __attribute__((warn_unused_result));
void res_inside_clear(struct res_inside *i);
#define RES_INSIDE __attribute__((cleanup(res_inside_clear)))

/**
 * struct res_idle - what was not used, as far as it was counted; all zero: nothing yet. Microseconds.
 * @elapsed, @used, @throttled: as they were then; @steal: the part in which the VPS would have worked, and its limit
 * did not let it
 */
struct res_idle {
	uint64_t elapsed, used, throttled, idle, steal;
};

/**
 * res_idle_add - what passed since @idle was last brought up to date, on @i->cpus CPUs, less what was used; never
 * negative, so that another limit does not make a clock of the VPS go back
 * @elapsed: microseconds since the VPS began
 */
void res_idle_add(struct res_idle *idle, const struct res_inside *i, uint64_t elapsed);

/*
 * The files in the kernel's format (Documentation/filesystems/proc.rst, admin-guide/iostats.rst). Each line has blanks
 * at its end, so that lines keep their place when numbers grow: who reads in pieces while the file is written anew
 * gets whole lines.
 */

/** res_stat_text - /proc/stat; @btime: when the VPS began, seconds since 1970. What no group counts is 0. */
void res_stat_text(struct vz_buf *b, const struct res_inside *i, const struct res_idle *idle,
		   uint64_t btime);
/** res_vmstat_text - /proc/vmstat, those lines that memory.stat has numbers for */
void res_vmstat_text(struct vz_buf *b, const struct res_inside *i);
/** res_diskstats_text - /proc/diskstats, devices with traffic; times are 0 */
void res_diskstats_text(struct vz_buf *b, const struct res_inside *i);

/**
 * res_home_here - from now on groups in cgroup2 are made below the caller's own one (run by
 * vz-payload.service); a caller in the root group changes nothing. Return: 0; -errno with @err.
 */
int res_home_here(struct vz_error *err) __attribute__((warn_unused_result));

/** res_whose - CTID of the VPS that process @pid is in, 0 = the node. 0; -ESRCH; -errno. */
int res_whose(pid_t pid, uint32_t *ret) __attribute__((warn_unused_result));

/** res_leftovers - 1 when any group of @ctid still exists in any hierarchy; removes nothing. */
int res_leftovers(uint32_t ctid);

/**
 * res_seen - as res_leftovers, in the hierarchies that commands of this boot have used; links no
 * libcgroup.
 */
int res_seen(uint32_t ctid);

/** res_remove_stale - remove groups left by a dead VPS (killing what is in them). 0 or -errno. */
int res_remove_stale(uint32_t ctid, struct vz_error *err) __attribute__((warn_unused_result));

#endif
