/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The line in which a migration tells how far it is. */
#include "migrate/migrate.h"

#include "util/str.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { BAR = 20, MATURE_MS = 1000 };

/* @part of @whole as a bar with its percentage. */
static void put_bar(struct vz_buf *b, uint64_t part, uint64_t whole)
{
	unsigned int pct = part >= whole ? 100 : (unsigned int)((double)part * 100 / (double)whole);
	unsigned int full = pct * BAR / 100;

	vz_buf_fmt(b, "[%.*s%.*s] %3u%%", (int)full, "####################", (int)(BAR - full),
		   "....................", pct);
}

static void put_time(struct vz_buf *b, uint64_t s)
{
	if (s < 3600)
		vz_buf_fmt(b, "%" PRIu64 ":%02" PRIu64, s / 60, s % 60);
	else
		vz_buf_fmt(b, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60,
			   s % 60);
}

int mig_progress_line(char *dst, size_t size, const struct mig_progress *p, uint64_t sent,
		      uint64_t now_ms, unsigned int columns)
{
	uint64_t ms = now_ms > p->since_ms ? now_ms - p->since_ms : 0;
	uint64_t part = sent > p->sent ? sent - p->sent : 0;
	double rate = ms ? (double)part * 1000 / (double)ms : 0;

	for (int bar = p->whole > 0; bar >= 0; bar--) {
		VZ_BUF struct vz_buf b = { 0 };

		vz_buf_fmt(&b, "%s ", p->stage);
		if (bar)
			put_bar(&b, part, p->whole);
		vz_buf_fmt(&b, " %" PRIu64 " MiB %.1f MiB/s ", sent >> 20, rate / (1 << 20));
		if (p->whole && part < p->whole && rate >= 1 && ms >= MATURE_MS) {
			put_time(&b, (uint64_t)((double)(p->whole - part) / rate) + 1);
			vz_buf_str(&b, " left");
		} else {
			put_time(&b, now_ms > p->begun_ms ? (now_ms - p->begun_ms) / 1000 : 0);
		}
		if (b.failed || b.len >= size)
			return -ENOSPC;
		/* in the last column a terminal goes to the next line */
		if (bar && b.len >= columns)
			continue;
		return snprintf(dst, size, "%.*s", (int)columns - 1, b.s);
	}
	return 0;
}
