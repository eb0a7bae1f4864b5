/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long would it stand still? Arithmetic only. */
#include "checkpoint/preflight.h"

/*
 * What does not hang on memory: CRIU's own start, its helper programs, the packing; then a visit to
 * each process. Read off suspends of small VPSes (bench/results/checkpoint.md).
 */
enum { BASE_MS = 90, PROCESS_MS = 6, ROUNDS_MAX = 16 };

/* Rounds are worth it as long as each leaves less than this part of the one before. */
enum { SHRINK_PCT = 80 };

static uint64_t fixed_ms(const struct cpt_load *l)
{
	return BASE_MS + (uint64_t)l->processes * PROCESS_MS;
}

static uint64_t copy_ms(uint64_t bytes, uint64_t rate)
{
	return rate ? (uint64_t)((double)bytes * 1000 / (double)rate) : 0;
}

uint64_t cpt_frozen_ms(const struct cpt_load *l, uint64_t rate)
{
	return fixed_ms(l) + copy_ms(l->memory_bytes, rate);
}

uint64_t cpt_rounds_ms(const struct cpt_load *l, uint64_t rate, uint64_t dirty,
		       unsigned int *ret_rounds)
{
	const uint64_t all = l->memory_bytes - l->shared_bytes;
	uint64_t rest = all;
	unsigned int rounds = 0;

	while (rate && rounds < ROUNDS_MAX && rest > 0) {
		/* while @rest is sent, so much is written anew; never more than there is */
		double next = (double)rest / (double)rate * (double)dirty;

		if (rounds && next * 100 > (double)rest * SHRINK_PCT)
			break;
		rest = next < (double)all ? (uint64_t)next : all;
		rounds++;
	}
	*ret_rounds = rounds;
	return fixed_ms(l) + copy_ms(rest + l->shared_bytes, rate);
}
