/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that goes while the VPS runs: rounds, until they stop getting smaller. */
#include "ops/sending.h"

#include "ops/cpt.h"
#include "ops/steps.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/proc.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	ROUNDS_MAX = 8,
	GOOD_MS = 100, /* what is sent so fast may as well be sent while it stands still */
	SHRINK_PCT = 80, /* as checkpoint/estimate.c has it */
};

static const struct op_env own = { .skiplock = true, .migrating = true };

static int make_child(void *arg, struct vz_error *err)
{
	const struct sending *s = arg;
	const struct op_chain c = { s->chain.id, s->chain.n + 1 };

	op_moving_hush();
	return op_round(&own, s->o->ctid, &c, err);
}

static char *images_of(const struct sending *s, char dst[PATH_MAX])
{
	char sent[PATH_MAX];

	return vps_path(dst, "%s/%u", op_rounds_sent(s->o, sent), s->chain.n + 1);
}

static int send_child(int fd, void *arg, struct vz_error *err)
{
	const struct sending *s = arg;
	char images[PATH_MAX];

	return cpt_round_send(fd, images_of(s, images), s->chain.id, s->chain.n + 1,
			      op_send_level(s), err);
}

static int send_round(struct sending *s, uint64_t bytes, struct vz_error *err)
{
	struct vz_error theirs;
	int mine, r = mig_call(&s->link.conn, "ROUND",
			       json_pack("{sI sI}", "n", (json_int_t)s->chain.n + 1, "bytes",
					 (json_int_t)bytes),
			       NULL, err);

	if (r < 0)
		return r;
	mine = mig_stream(&s->link.conn, send_child, s, err);
	if (mine < 0 && mig_link_broken(err))
		return mine;
	r = op_send_end(s, &theirs);
	/* a stream that we have cut off is damaged there: the reason is here */
	if (mine < 0)
		return op_moving_exit(err, mine, MIG_EXIT_COPY);
	if (r < 0)
		*err = theirs;
	return r;
}

/* One round, from the VPS's memory to the target. *@ret_ms: of sending. */
static int one(struct sending *s, uint64_t *ret_bytes, uint64_t *ret_ms, struct vz_error *err)
{
	char images[PATH_MAX];
	uint64_t begin;
	int r = op_steps_fault("round", s->chain.n + 1, err);

	if (r < 0)
		return op_moving_exit(err, r, MIG_EXIT_COPY);
	r = op_moving_exit(err, mig_busy(&s->link.conn, make_child, s, err), MIG_EXIT_STOP);
	if (r == 0)
		r = op_steps_fault("rounded", s->chain.n + 1, err);
	if (r == 0 && op_steps_cancelled())
		r = vz_fail(err, MIG_EXIT_TERMINATED, EINTR, "interrupted");
	if (r < 0)
		return r;
	r = cpt_round_bytes(images_of(s, images), ret_bytes);
	if (r < 0)
		return vz_fail(err, MIG_EXIT_COPY, -r, "%s", images);
	op_send_whole(s, *ret_bytes);
	begin = vz_now_ms();
	r = send_round(s, *ret_bytes, err);
	*ret_ms = vz_now_ms() - begin;
	if (r < 0)
		return r;
	r = cpt_round_strip(images);
	return r < 0 ? vz_fail(err, MIG_EXIT_COPY, -r, "%s", images) : 0;
}

/* @n rounds are there. @rate: bytes a second of the first, which is the longest. */
static bool enough(const struct sending *s, double rate)
{
	unsigned int n = s->chain.n;
	uint64_t last = s->round_bytes[n - 1];

	if (n == ROUNDS_MAX || (double)last * 1000 < GOOD_MS * rate)
		return true;
	return n > 1 && last * 100 > s->round_bytes[n - 2] * SHRINK_PCT;
}

int op_send_rounds(struct sending *s, struct vz_error *err)
{
	double rate = 0;

	s->chain = (struct op_chain){ .id = s->j.id };
	do {
		uint64_t bytes, ms;
		unsigned int n = s->chain.n + 1;
		int r;

		(void)snprintf(s->stage_text, sizeof(s->stage_text), "Copying memory, round %u", n);
		op_send_stage(s, s->stage_text, 0);
		r = one(s, &bytes, &ms, err);
		if (r < 0)
			return r;
		if (n == 1)
			rate = (double)bytes * 1000 / (double)(ms ? ms : 1);
		vz_info("round %u: %.1f MiB in %.2f s, %.1f MiB/s", n, (double)bytes / (1 << 20),
			(double)ms / 1000,
			(double)bytes * 1000 / (double)(ms ? ms : 1) / (1 << 20));
		s->round_bytes[n - 1] = bytes;
		s->chain.n = n;
	} while (!enough(s, rate));
	return 0;
}
