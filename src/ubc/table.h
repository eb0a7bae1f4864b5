/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UBC_TABLE_H
#define UBC_TABLE_H

/* The table of all beancounters: shared with the BPF programs, which bring the fixed-width types themselves. */
#ifndef __bpf__
#include <stdint.h>
#endif

/* In the order of OpenVZ's /proc/user_beancounters, without its placeholders (reference: 24 rows, swappages last). */
enum ubc_counter {
	UBC_KMEMSIZE,
	UBC_LOCKEDPAGES,
	UBC_PRIVVMPAGES,
	UBC_SHMPAGES,
	UBC_NUMPROC,
	UBC_PHYSPAGES,
	UBC_VMGUARPAGES,
	UBC_OOMGUARPAGES,
	UBC_NUMTCPSOCK,
	UBC_NUMFLOCK,
	UBC_NUMPTY,
	UBC_NUMSIGINFO,
	UBC_TCPSNDBUF,
	UBC_TCPRCVBUF,
	UBC_OTHERSOCKBUF,
	UBC_DGRAMRCVBUF,
	UBC_NUMOTHERSOCK,
	UBC_DCACHESIZE,
	UBC_NUMFILE,
	UBC_NUMIPTENT,
	UBC_SWAPPAGES,
	UBC_NR
};

/* How the limit of a counter is held up on this node, right now. */
enum ubc_mode {
	UBC_STORED, /* neither counted nor enforced */
	UBC_ACCOUNTED, /* counted, exactly or by samples; nothing is refused */
	UBC_GUARANTEE, /* the barrier is what the VPS is sure to get */
	UBC_ENFORCED, /* a request above the limit is refused */
	UBC_MODES
};

/**
 * struct ubc_row - one counter of one VPS, in its own unit (items, bytes, pages); INT64_MAX = unlimited
 * @held: read it as int64_t: what was freed may be subtracted before what was taken is added
 */
struct ubc_row {
	uint64_t held, maxheld, barrier, limit, failcnt;
};

enum {
	UBC_SLOTS = 2048, /* VPSes that run at once */
	UBC_RING = 32, /* refusals kept of each VPS */
	UBC_COMM = 16, /* TASK_COMM_LEN */
	UBC_LEVELS = 4, /* different depths of VPSes' groups */
};

/** struct ubc_refusal - why something failed; @seq counts from 1, the oldest are overwritten */
struct ubc_refusal {
	uint64_t seq, time_ns; /* CLOCK_BOOTTIME */
	uint64_t held, limit, asked;
	uint32_t counter, pid; /* pid as the VPS sees it */
	char comm[UBC_COMM]; /* chosen by the tenant: quote it */
};

/** struct ubc_slot - all of one VPS; the layout of the map's values and of the file */
struct ubc_slot {
	uint32_t ctid; /* 0 = free */
	uint32_t flags; /* UBC_LIVE...; bits from UBC_NEEDS up: 1 << group, see enum ubc_group */
	uint64_t cgroup; /* id of its group in cgroup2 */
	uint64_t refusals; /* how many so far: the newest is ring[(refusals - 1) % UBC_RING] */
	struct ubc_row row[UBC_NR];
	uint64_t carried
		[UBC_NR]; /* part of failcnt from before a resume: control groups begin at 0 then */
	struct ubc_refusal ring[UBC_RING];
};

enum ubc_flag {
	UBC_LIVE =
		1, /* the VPS runs; without it something that it opened is still held elsewhere */
	UBC_WAS = 2, /* was used at some time: a search goes on behind it */
	UBC_NEEDS = 8, /* first bit of the groups that its limits need */
};

/*
 * Places by key: of a VPS's group by its id, of an object by its address. 0 = free. UBC_HOME says where a search begins.
 */
struct ubc_owner {
	uint32_t slot, counter;
};
struct ubc_place {
	uint64_t key;
	struct ubc_owner o;
};
#define UBC_HOME(key)                                                                              \
	((uint32_t)((uint64_t)(key)*0x9e3779b97f4a7c15ULL >> 32)) /* 2^64 / golden ratio */

enum {
	UBC_WAYS = 4, /* places of a cell, a line of the CPU's cache */
	UBC_GROUP_PLACES = 8192, /* four times UBC_SLOTS, a power of two */
	UBC_GROUP_TRIES = 16, /* a key is at most so far from its home */
	UBC_GROUP_GONE = 1, /* key of a place that is free again: a search goes on behind it */
};
struct ubc_cell {
	struct ubc_place at[UBC_WAYS];
};
/** struct ubc_dead - records of what is not there any more, as it_sweep finds them; a group of programs, and the key */
enum { UBC_DEAD = 1024 };
struct ubc_dead {
	uint32_t n, pad; /* may be more than there is room for */
	struct {
		uint64_t key;
		uint64_t group; /* enum ubc_group */
	} at[UBC_DEAD];
};
/** struct ubc_groups - what programs look at first, without a search for the map: it is their global variable */
struct ubc_groups {
	uint64_t
		node; /* address of the node's own user namespace, from it_tasks; 0: not known, then all are looked up */
	uint64_t
		spilled; /* objects that found no place in their cell and are in the hash `spill` */
	uint8_t level[UBC_LEVELS]; /* copy of the head's */
	uint32_t pad;
	struct ubc_place at[UBC_GROUP_PLACES];
};

/* Programs that are attached together, while some VPS that runs has a limit on what they count. */
enum ubc_group { UBC_G_FILE, UBC_G_LOCK, UBC_G_SOCK, UBC_G_PTY, UBC_G_MM, UBC_G_SHM, UBC_GROUPS };

/* How counting is done on this node: what the canaries proved, best first. */
enum ubc_method {
	UBC_BY_NOTHING, /* control groups alone */
	UBC_BY_CGROUP, /* programs on socket creation and release */
	UBC_BY_FMOD, /* fmod_ret on the security_* functions */
	UBC_BY_LSM, /* BPF LSM */
	UBC_METHODS
};

/**
 * struct ubc_head - what lies in slot 0, which no VPS gets
 * @ctid: 0, so that whoever walks the slots takes it for a free one
 * @slot_size: and the four after it: the layout, for a later version of Croft
 */
struct ubc_head {
	uint32_t ctid, magic;
	uint32_t slot_size, slots, nr, ring;
	uint32_t version; /* UBC_VERSION of who loaded the programs, or tried to */
	uint32_t method; /* enum ubc_method */
	uint32_t attached; /* bit n: programs of group n */
	uint8_t level
		[UBC_LEVELS]; /* how deep in cgroup2 groups of VPSes are, the root being 0; the first 0 ends them */
	uint32_t users[UBC_GROUPS]; /* running VPSes that need the group */
	uint32_t modes[UBC_NR]; /* enum ubc_mode, as proved */
	char why[200]; /* why the method is no better one */
};

#define UBC_MAGIC UINT32_C(0x32425556)
#define UBC_MAGIC_OLD                                                                              \
	UINT32_C(0x31425556) /* one group less; what comes before `users` is the same */

#endif
