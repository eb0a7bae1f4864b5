/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CLI_VZUBC_H
#define CLI_VZUBC_H

#include "ops/ubc.h"

/** struct vzubc_view - what of the counters is shown, and how */
struct vzubc_view {
	bool all; /* also those without a limit */
	bool quiet; /* only those near their limit or with refusals */
	bool colour, relative, change;
	double near_held, near_max; /* parts of the barrier */
};

/** struct vzubc_groups - counters of many VPSes, in the order read */
struct vzubc_groups {
	struct op_ubc *v;
	size_t n;
};

void vzubc_groups_clear(struct vzubc_groups *g);
/**
 * vzubc_parse - text in the format of user_beancounters, which other tools read by words as well: a line
 * of seven begins a group, one of six goes on; unknown names are passed over.
 * Return: 0; -EINVAL; -ENOMEM.
 */
int vzubc_parse(const char *text, struct vzubc_groups *ret) __attribute__((warn_unused_result));
/**
 * vzubc_print - the table of one VPS; nothing when no row of it is to be shown
 * @rel, @inc: what failcnt and held are compared with, NULL = no such column
 */
void vzubc_print(struct vz_buf *b, const struct vzubc_view *view, const struct op_ubc *u,
		 const struct op_ubc *rel, const struct op_ubc *inc);

#endif
