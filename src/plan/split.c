/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The node in n equal parts. Source: the algorithm of vzsplit of vzctl 4; its numbers are kept, since people know what
 * they give. Three levels of commitment are tried, from generous to scarce; below them processes are halved until what
 * they need in the kernel fits.
 */
#include "plan/plan.h"

#include <inttypes.h>

#define MIB (UINT64_C(1) << 20)

enum { LEVELS = 3 };

/** struct level - how generous */
struct level {
	double nproc, kmem; /* times an equal part of the node's processes and low memory */
	uint64_t low_min; /* bytes of low memory that a part needs at least */
	uint64_t buffer, per_socket; /* bytes of TCP buffers: these and so many a process */
	uint64_t per_process; /* kernel memory of a process */
	uint64_t procs_most; /* processes for each of the average number */
	double dcache, privvm;
	uint64_t siginfo, locked; /* locked: pages for each 200 K of kernel memory */
};

static const struct level levels[LEVELS] = {
	{ 1, 1, 10 * MIB, 262144, 4096, 81920, 8, 1.5, 6, 1024, 10 },
	{ 1.5, 1.2, 2 * MIB, 131072, 3036, 65536, 5, 1.2, 3, 512, 3 },
	{ 2, 1.8, 0, 65536, 2560, 53248, 3, 1, 1.5, 256, 1 },
};

enum {
	RESERVE_BYTES = 52428800, /* of the system itself */
	MIN_BYTES = 5542912, /* of a part */
	MIN_LOW_BYTES = 1348608,
	MIN_PROCS = 30,
	MIN_GUARANTEED = 1024, /* pages */
	TCP_MIN = 65536,
	DATAGRAM_MIN = 32768,
	SOCKET_MIN = 2560
};

/** struct part - one part while it is computed, bytes and items */
struct part {
	uint64_t total, low, guaranteed_pages, kmem, procs, average, buffers, per_socket;
	bool scarce; /* buffers as small as the rules allow */
};

static uint64_t within(uint64_t v, uint64_t lo, uint64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static void split_low(struct part *p, const struct plan_node *node, double times, uint64_t n)
{
	p->low = (uint64_t)(0.4 * (double)node->lowmem_bytes * times / (double)n);
	if (p->low > p->total)
		p->low = p->total;
	p->guaranteed_pages = (p->total - p->low) / PLAN_PAGE;
	if (p->guaranteed_pages < MIN_GUARANTEED) {
		p->guaranteed_pages = MIN_GUARANTEED;
		p->low = p->total - MIN_GUARANTEED * PLAN_PAGE;
	}
}

static bool try_level(const struct level *l, const struct plan_node *node, uint64_t n,
		      struct part *p)
{
	split_low(p, node, l->kmem, n);
	if (p->low < l->low_min)
		return false;
	p->kmem = p->low / 2;
	p->average = p->kmem / l->per_process;
	if (p->average < MIN_PROCS / 2)
		return false;
	p->procs = (uint64_t)(l->nproc * (double)node->threads / (double)n);
	p->procs = within(p->procs, 2 * p->average, l->procs_most * p->average);
	if (p->procs < MIN_PROCS)
		p->procs = MIN_PROCS;
	p->per_socket = l->per_socket;
	p->buffers = (p->low - p->kmem) / 3;
	return p->buffers >= l->buffer + l->per_socket * p->procs;
}

/* Below the last level: socket buffers at their least, processes halved until the kernel's part of them fits. */
static bool try_shortage(const struct plan_node *node, uint64_t n, struct part *p)
{
	const struct level *l = &levels[LEVELS - 1];

	split_low(p, node, 2, n);
	p->scarce = true;
	p->per_socket = SOCKET_MIN;
	p->procs = (uint64_t)(l->nproc * (double)node->threads / (double)n);
	do {
		uint64_t buffers, rest;

		p->procs = p->procs / 2 > MIN_PROCS ? p->procs / 2 : MIN_PROCS;
		p->average = p->procs / 2;
		p->buffers = TCP_MIN + SOCKET_MIN * p->procs;
		buffers = 2 * p->buffers + 2 * DATAGRAM_MIN + SOCKET_MIN * p->procs;
		rest = p->low > buffers ? p->low - buffers : 0;
		p->kmem = rest;
		if (rest >= p->average * l->per_process)
			return true;
	} while (p->procs > MIN_PROCS);
	return false;
}

static void put(struct vps_config *c, enum vps_param_id id, uint64_t bar, uint64_t lim)
{
	const struct plan_finding f = { .id = id,
					.pair = { bar < PLAN_NONE ? bar : PLAN_NONE,
						  lim < PLAN_NONE ? lim : PLAN_NONE } };

	plan_mend(c, &f);
}

static void put_one(struct vps_config *c, enum vps_param_id id, uint64_t v)
{
	put(c, id, v, v);
}

static void put_sockets(struct vps_config *c, const struct part *p)
{
	uint64_t delta = p->per_socket * p->procs, rest = p->buffers - delta;
	uint64_t datagram = p->scarce ? DATAGRAM_MIN : rest / 2;

	put_one(c, VP_NUMTCPSOCK, p->procs);
	put_one(c, VP_NUMOTHERSOCK, p->procs);
	put(c, VP_TCPSNDBUF, rest, p->buffers);
	put(c, VP_TCPRCVBUF, rest, p->buffers);
	put_one(c, VP_DGRAMRCVBUF, datagram);
	put(c, VP_OTHERSOCKBUF, datagram, datagram + delta);
}

static void put_files(struct vps_config *c, const struct part *p, const struct level *l)
{
	uint64_t files = 32 * p->average, ends = 2 * p->procs + p->procs / 10 + 4;
	uint64_t cache, locks;

	if (files < ends) /* few on the average, many at most: sockets are files too */
		files = ends;
	cache = (uint64_t)((double)files * l->dcache * 384);
	locks = within(files / 10, 1, 1000);
	put_one(c, VP_NUMFILE, files);
	put(c, VP_DCACHESIZE, (uint64_t)((double)cache / 1.03), cache);
	put(c, VP_NUMFLOCK, locks, locks + locks / 10);
	put_one(c, VP_NUMPTY, within(p->procs / 10, 4, 512));
}

/* Private memory in pages: a multiple of what is guaranteed, at most 60 % of RAM unless it is alone. */
static uint64_t private_pages(const struct plan_node *node, const struct level *l, uint64_t n,
			      struct part *p)
{
	uint64_t most = (uint64_t)(0.6 * (double)node->ram_bytes / PLAN_PAGE);
	uint64_t pages = (uint64_t)((double)p->guaranteed_pages * l->privvm);

	if (n == 1 || pages <= most)
		return pages;
	if (p->guaranteed_pages > most)
		p->guaranteed_pages = most;
	return most;
}

/* Half of it in @n parts: the other half is for those who need more. */
static uint64_t part_of(uint64_t whole, uint64_t n)
{
	return whole / 2 / n;
}

static void put_disk(struct vps_config *c, const struct plan_disk *disk, uint64_t n)
{
	const uint64_t system_kib = 10 * MIB, system_inodes = 100000;
	uint64_t kib = disk->kib / 2, inodes = disk->inodes / 2;

	if (disk->kib > 2 * system_kib)
		kib = disk->kib - system_kib;
	if (disk->inodes > 2 * system_inodes)
		inodes = disk->inodes - system_inodes;
	kib = part_of(kib, n);
	inodes = part_of(inodes, n);
	if (kib)
		put(c, VP_DISKSPACE, kib, kib + kib / 10);
	if (inodes) /* some file systems make them as they need them and tell none */
		put(c, VP_DISKINODES, inodes, inodes + inodes / 10);
}

static int check_room(const struct plan_node *node, uint64_t n, struct vz_error *err)
{
	uint64_t all = node->ram_bytes + node->swap_bytes, low = node->lowmem_bytes;
	uint64_t most = all > RESERVE_BYTES ? (all - RESERVE_BYTES) / MIN_BYTES : 0;
	uint64_t most_low = low > RESERVE_BYTES ? (low - RESERVE_BYTES) / MIN_LOW_BYTES : 0;

	if (most_low < most)
		most = most_low;
	if (n <= most)
		return 0;
	return vz_fail(err, 1, 0, "%" PRIu64 " VPSes do not fit on this node, at most %" PRIu64, n,
		       most);
}

static void put_beancounters(struct vps_config *c, const struct part *p, const struct level *l,
			     uint64_t pages, uint64_t n)
{
	uint64_t locked = p->kmem * l->locked / 204800;

	put_one(c, VP_NUMPROC, p->procs);
	put_one(c, VP_AVNUMPROC, p->average);
	put(c, VP_VMGUARPAGES, p->guaranteed_pages, PLAN_NONE);
	put_sockets(c, p);
	put_files(c, p, l);
	put(c, VP_OOMGUARPAGES, p->guaranteed_pages, PLAN_NONE);
	put(c, VP_PRIVVMPAGES, pages, pages + pages / 10);
	put_one(c, VP_LOCKEDPAGES, locked < 4 ? 4 : locked);
	put_one(c, VP_SHMPAGES, pages / 10);
	put(c, VP_PHYSPAGES, 0, PLAN_NONE);
	put_one(c, VP_NUMSIGINFO, l->siginfo);
	put_one(c, VP_NUMIPTENT, within(2000 / n, 4, 200));
	put(c, VP_KMEMSIZE, p->kmem, p->kmem + p->kmem / 10);
}

int plan_split(const struct plan_node *node, const struct plan_disk *disk, uint64_t n, bool vswap,
	       struct vps_config *ret, enum plan_level *ret_level, struct vz_error *err)
{
	struct part p = { 0 };
	int r = check_room(node, n, err), at = 0;
	const struct level *l;
	uint64_t pages;

	if (r < 0)
		return r;
	p.total = (node->ram_bytes + node->swap_bytes - RESERVE_BYTES) / n;
	while (at < LEVELS && !try_level(&levels[at], node, n, &p))
		at++;
	if (at == LEVELS && !try_shortage(node, n, &p))
		return vz_fail(err, 1, 0, "%" PRIu64 " VPSes do not fit on this node, try fewer",
			       n);
	l = &levels[at < LEVELS ? at : LEVELS - 1];
	pages = private_pages(node, l, n, &p);
	if (vswap) {
		put(ret, VP_PHYSPAGES, 0, pages);
		put(ret, VP_SWAPPAGES, 0, 2 * pages);
	} else {
		put_beancounters(ret, &p, l, pages, n);
	}
	put_disk(ret, disk, n);
	ret->cpuunits = 1000;
	ret->source[VP_CPUUNITS] = VS_VPS;
	*ret_level = (enum plan_level)at;
	return 0;
}

const char *plan_level_text(enum plan_level level)
{
	static const char *const texts[] = {
		"Free resource distribution: any limit can be raised",
		"Normal resource distribution: buffers and kernel memory can be raised",
		"Partial resource shortage: only auxiliary limits can be raised",
		"Overall resource shortage: raise nothing",
	};

	return texts[level];
}
