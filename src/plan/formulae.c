/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Use, promise and limit of a VPS as parts of the node.
 *
 * Source of the formulae: OpenVZ wiki, "UBC systemwide configuration", as vzcalc and vzmemcheck of vzctl 4 apply them.
 * K is kernel memory and the four kinds of socket buffers, page 4096:
 *
 *	quantity       current (held)             promised                  max
 *	low memory     K                          K.limit                   K.limit
 *	RAM            physpages x page + K       -                         -
 *	RAM + swap     oomguarpages x page + K    oomguar.barrier x page + K.limit    -
 *	allocated      privvmpages x page + K     vmguar.barrier x page + K.limit     privvm.limit x page + K.limit
 *	processes      numproc                    -                         numproc.barrier
 *
 * Low memory is 0.4 of what /proc/meminfo says: the rest is the kernel's own and a reserve.
 *
 * Ours: in a VSwap VPS kernel memory lies within physpages. Its limits then promise nothing beside RAM, and what has
 * no limit of its own ends at RAM + swap. Where physpages counts kernel memory too, it is not counted twice.
 */
#include "plan/plan.h"

#include <math.h>

static const enum vps_param_id kernel_rows[] = { VP_KMEMSIZE, VP_TCPRCVBUF, VP_TCPSNDBUF,
						 VP_DGRAMRCVBUF, VP_OTHERSOCKBUF };
enum { KERNEL_ROWS = sizeof(kernel_rows) / sizeof(*kernel_rows) };

static double amount(uint64_t v, double unit)
{
	return v >= PLAN_NONE ? HUGE_VAL : (double)v * unit;
}

static double kernel_held(const struct plan_vps *v)
{
	double sum = 0;

	for (int i = 0; i < KERNEL_ROWS; i++)
		sum += (double)v->row[kernel_rows[i]].held;
	return sum;
}

/* K.limit; of a VSwap VPS without such limits 0: it is promised nothing beside its RAM. */
static double kernel_limit(const struct plan_vps *v)
{
	double sum = 0;

	for (int i = 0; i < KERNEL_ROWS; i++) {
		double limit = amount(v->row[kernel_rows[i]].limit, 1);

		sum += v->vswap && isinf(limit) ? 0 : limit;
	}
	return sum;
}

static void current(const struct plan_vps *v, struct plan_sums *s)
{
	const struct plan_row *r = v->row;
	double k = kernel_held(v), beside = v->kernel_in_ram ? 0 : k;

	s->v[PLAN_LOWMEM][PLAN_CURRENT] = k;
	s->v[PLAN_RAM][PLAN_CURRENT] = (double)r[VP_PHYSPAGES].held * PLAN_PAGE + beside;
	s->v[PLAN_MEMSWAP][PLAN_CURRENT] = (double)r[VP_OOMGUARPAGES].held * PLAN_PAGE + beside;
	s->v[PLAN_ALLOC][PLAN_CURRENT] = (double)r[VP_PRIVVMPAGES].held * PLAN_PAGE + k;
	s->v[PLAN_PROCS][PLAN_CURRENT] = (double)r[VP_NUMPROC].held;
}

void plan_sums_of(const struct plan_vps *v, const struct plan_node *node, struct plan_sums *ret)
{
	double k = kernel_limit(v), beside = v->vswap ? 0 : k, ends;
	const struct plan_row *r = v->row;

	for (int q = 0; q < PLAN_QUANTITIES; q++)
		for (int c = 0; c < PLAN_COLUMNS; c++)
			ret->v[q][c] = NAN;
	if (v->running)
		current(v, ret);
	ret->v[PLAN_LOWMEM][PLAN_PROMISED] = ret->v[PLAN_LOWMEM][PLAN_MAX] = k;
	ret->v[PLAN_MEMSWAP][PLAN_PROMISED] =
		amount(r[VP_OOMGUARPAGES].barrier, PLAN_PAGE) + beside;
	ret->v[PLAN_ALLOC][PLAN_PROMISED] = amount(r[VP_VMGUARPAGES].barrier, PLAN_PAGE) + beside;
	ends = amount(r[VP_PRIVVMPAGES].limit, PLAN_PAGE);
	if (v->vswap && isinf(ends))
		ends = amount(r[VP_PHYSPAGES].limit, PLAN_PAGE) +
		       amount(r[VP_SWAPPAGES].limit, PLAN_PAGE);
	ret->v[PLAN_ALLOC][PLAN_MAX] = ends + beside;
	ret->v[PLAN_PROCS][PLAN_MAX] = (double)plan_procs_limit(v, node);
}

void plan_sums_add(struct plan_sums *sums, const struct plan_sums *more)
{
	for (int q = 0; q < PLAN_QUANTITIES; q++)
		for (int c = 0; c < PLAN_COLUMNS; c++)
			if (!isnan(more->v[q][c]))
				sums->v[q][c] += more->v[q][c];
}

double plan_whole(const struct plan_node *node, enum plan_quantity q)
{
	switch (q) {
	case PLAN_LOWMEM:
		return 0.4 * (double)node->lowmem_bytes;
	case PLAN_RAM:
		return (double)node->ram_bytes;
	case PLAN_PROCS:
		return (double)node->threads;
	default:
		return (double)node->ram_bytes + (double)(node->swap_bytes ? node->swap_bytes : 1);
	}
}

/* ---- limits as vzoversell and vzplan see them ---- */

/* ADR 22: an eighth of the node's, and one for 256 KiB of the VPS's memory, at least 64 */
uint64_t plan_procs_limit(const struct plan_vps *v, const struct plan_node *node)
{
	uint64_t most = node->threads / 8, by_ram;

	if (v->row[VP_NUMPROC].limit < PLAN_NONE)
		return v->row[VP_NUMPROC].limit;
	if (!v->vswap)
		return most;
	by_ram = v->row[VP_PHYSPAGES].limit / (256 * 1024 / PLAN_PAGE);
	if (by_ram < 64)
		by_ram = 64;
	return by_ram < most ? by_ram : most;
}

struct plan_ram plan_ram_of(const struct plan_vps *v)
{
	struct plan_ram ram = { v->row[VP_PHYSPAGES].limit, v->row[VP_SWAPPAGES].limit, !v->vswap };

	if (v->vswap)
		return ram;
	ram.ram_pages = v->row[VP_PRIVVMPAGES].limit;
	if (ram.ram_pages < PLAN_NONE)
		ram.ram_pages /= 2;
	return ram;
}

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t bytes(uint64_t pages)
{
	return pages > UINT64_MAX / PLAN_PAGE ? UINT64_MAX : pages * PLAN_PAGE;
}

struct plan_use plan_use_limit(const struct plan_vps *v, const struct plan_node *node)
{
	uint64_t most = node->ram_bytes / 8 * 7, swap = node->swap_bytes;
	struct plan_ram ram = plan_ram_of(v);
	struct plan_use use = { 0 };

	if (v->row[VP_NUMPROC].limit < PLAN_NONE)
		use.procs = v->row[VP_NUMPROC].limit;
	use.ram_bytes = ram.ram_pages < PLAN_NONE ? bytes(ram.ram_pages) : most;
	if (ram.swap_pages < PLAN_NONE && bytes(ram.swap_pages) < swap)
		swap = bytes(ram.swap_pages); /* swap that the node has not cannot be taken */
	use.memswap_bytes = add(use.ram_bytes, swap);
	return use;
}

struct plan_use plan_use_peak(const struct plan_vps *v)
{
	struct plan_use use = { .ram_bytes = bytes(v->row[VP_PHYSPAGES].maxheld),
				.procs = v->row[VP_NUMPROC].maxheld };

	use.memswap_bytes = add(use.ram_bytes, bytes(v->row[VP_SWAPPAGES].maxheld));
	return use;
}

static uint64_t times(uint64_t a, uint64_t n)
{
	uint64_t r;

	return __builtin_mul_overflow(a, n, &r) ? UINT64_MAX : r;
}

struct plan_use plan_use_add(struct plan_use sum, struct plan_use one, uint64_t n)
{
	return (struct plan_use){ add(sum.ram_bytes, times(one.ram_bytes, n)),
				  add(sum.memswap_bytes, times(one.memswap_bytes, n)),
				  add(sum.procs, times(one.procs, n)) };
}

struct plan_use plan_use_node(const struct plan_node *node)
{
	return (struct plan_use){ node->ram_bytes, add(node->ram_bytes, node->swap_bytes),
				  node->threads };
}

static uint64_t fits(uint64_t whole, uint64_t taken, uint64_t one)
{
	if (one == 0)
		return UINT64_MAX;
	return taken >= whole ? 0 : (whole - taken) / one;
}

uint64_t plan_room(const struct plan_node *node, struct plan_use sum, struct plan_use one,
		   const char **ret_by)
{
	const struct plan_use whole = plan_use_node(node);
	const struct {
		const char *name;
		uint64_t n;
	} each[] = {
		{ "RAM", fits(whole.ram_bytes, sum.ram_bytes, one.ram_bytes) },
		{ "RAM+swap", fits(whole.memswap_bytes, sum.memswap_bytes, one.memswap_bytes) },
		{ "processes", fits(whole.procs, sum.procs, one.procs) },
	};
	uint64_t least = UINT64_MAX;
	const char *by = "";

	for (size_t i = 0; i < sizeof(each) / sizeof(*each); i++)
		if (each[i].n < least) {
			least = each[i].n;
			by = each[i].name;
		}
	if (ret_by)
		*ret_by = by;
	return least;
}
