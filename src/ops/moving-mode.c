/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ways to move a VPS, a row each; and which of them `auto` takes. */
#include "ops/moving.h"

#include "ops/cpt.h"
#include "util/fd.h"
#include "util/log.h"

#include <inttypes.h>
#include <string.h>

static const struct op_move_way ways[OP_MOVES] = {
	[OP_MOVE_OFFLINE] = { .name = "offline", .halt = "Stopping VPS", .still = "Down" },
	[OP_MOVE_WARM] = { .name = "warm",
			   .halt = "Suspending VPS",
			   .still = "Frozen",
			   .memory = true },
	[OP_MOVE_STOP_AND_COPY] = { .name = "stop-and-copy",
				    .halt = "Freezing VPS",
				    .still = "Frozen",
				    .memory = true,
				    .live = true },
	[OP_MOVE_PRE_COPY] = { .name = "pre-copy",
			       .halt = "Freezing VPS",
			       .still = "Frozen",
			       .memory = true,
			       .live = true,
			       .rounds = true },
	[OP_MOVE_POST_COPY] = { .name = "post-copy",
				.halt = "Freezing VPS",
				.still = "Frozen",
				.memory = true,
				.live = true,
				.lazy = true },
	[OP_MOVE_HYBRID] = { .name = "hybrid",
			     .halt = "Freezing VPS",
			     .still = "Frozen",
			     .memory = true,
			     .live = true,
			     .rounds = true,
			     .lazy = true },
	[OP_MOVE_AUTO] = { .name = "auto",
			   .halt = "Freezing VPS",
			   .still = "Frozen",
			   .memory = true,
			   .live = true },
};

const struct op_move_way *op_move_way(enum op_move_mode m)
{
	return &ways[m];
}

int op_move_by_name(const char *name, enum op_move_mode *ret)
{
	if (!strcmp(name, "online")) /* as OpenVZ has it */
		name = ways[OP_MOVE_AUTO].name;
	for (int m = 0; m < OP_MOVES; m++)
		if (!strcmp(name, ways[m].name)) {
			*ret = (enum op_move_mode)m;
			return 0;
		}
	return -ENOENT;
}

/*
 * How long stop-and-copy stands still: each byte of the memory is written by CRIU, packed, sent to a file there,
 * unpacked, and read into its place, and it passes the link.
 */
static uint64_t still_ms(const struct op *o, const struct cpt_load *load, uint64_t limit)
{
	enum { PASSES = 5 };
	uint64_t rate = 0, ms;

	if (o->cfg.dumpdir && vz_mkdir_p(o->cfg.dumpdir, 0700) == 0 &&
	    cpt_write_rate(o->cfg.dumpdir, &rate) < 0)
		rate = 0;
	ms = cpt_frozen_ms(load, rate / PASSES);
	return limit ? ms + (uint64_t)((double)load->memory_bytes * 1000 / (double)limit) : ms;
}

/* Never a lazy one: a link that is cut would cost the VPS its memory. */
static enum op_move_mode pick(const struct op *o, const struct op_migrate *a,
			      const struct cpt_load *load)
{
	enum { LONG_MS = 1000 };
	bool rounds;
	uint64_t ms;

	if (a->nostart) {
		vz_say("Mode stop-and-copy: it is not started there");
		return OP_MOVE_STOP_AND_COPY;
	}
	if (!cpt_dirty_tracked()) {
		vz_say("Mode stop-and-copy: this kernel does not track what is written to memory");
		return OP_MOVE_STOP_AND_COPY;
	}
	if (load->shared_bytes > load->memory_bytes / 2) {
		vz_say("Mode stop-and-copy: most of its memory is shared, which goes at once");
		return OP_MOVE_STOP_AND_COPY;
	}
	ms = still_ms(o, load, a->limit);
	rounds = ms > LONG_MS;
	vz_say("Mode %s: by stop-and-copy it would stand still for about %.1f s",
	       ways[rounds ? OP_MOVE_PRE_COPY : OP_MOVE_STOP_AND_COPY].name, (double)ms / 1000);
	return rounds ? OP_MOVE_PRE_COPY : OP_MOVE_STOP_AND_COPY;
}

int op_move_possible(const struct op_migrate *a, struct vz_error *err)
{
	const struct op_move_way *w = &ways[a->mode];

	if ((w->rounds || w->lazy) && a->nostart)
		return vz_fail(err, MIG_EXIT_USAGE, 0,
			       "mode %s is for a VPS that goes on there: --nostart goes with "
			       "offline, warm, stop-and-copy and auto",
			       w->name);
	if (w->rounds && !cpt_dirty_tracked())
		return vz_fail(err, MIG_EXIT_FEATURES, 0,
			       "mode %s: this node's kernel does not track what is written to "
			       "memory (CONFIG_MEM_SOFT_DIRTY); auto and stop-and-copy do without",
			       w->name);
	return 0;
}

enum op_move_mode op_move_choose(const struct op *o, const struct op_migrate *a,
				 const struct cpt_load *load)
{
	if (ways[a->mode].lazy)
		vz_say("Mode %s: a link that is cut before all of its memory is there ends what "
		       "runs "
		       "in the VPS; it is started anew there, with all of its files",
		       ways[a->mode].name);
	return a->mode == OP_MOVE_AUTO ? pick(o, a, load) : a->mode;
}
