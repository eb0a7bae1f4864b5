/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LIB_TAP_H
#define TESTS_LIB_TAP_H

#include <stdbool.h>
#include <stdio.h>

static int tap_count, tap_failed;

/* One test point: prints the TAP line. */
static inline bool tap_ok(bool good, const char *name, const char *file, int line)
{
	tap_count++;
	(void)printf("%sok %d - %s\n", good ? "" : "not ", tap_count, name);
	if (!good) {
		tap_failed++;
		(void)printf("# at %s:%d\n", file, line);
	}
	return good;
}

#define OK(cond)	    tap_ok((cond), #cond, __FILE__, __LINE__)
#define OK_NAME(cond, name) tap_ok((cond), (name), __FILE__, __LINE__)

static inline int tap_done(void)
{
	(void)printf("1..%d\n", tap_count);
	return tap_failed != 0;
}

#endif
