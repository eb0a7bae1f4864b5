/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include "util/str.h"

#include <jansson.h>

/*
 * Tables. A column knows how to make a JSON value from a row; the text is a projection of that
 * value, so the two cannot disagree. A row is kept as a JSON array of cells, one for each column,
 * in their order.
 */

enum out_kind {
	OUT_INT, /* integer */
	OUT_REAL, /* number, "%g" in both views */
	OUT_TEXT, /* string; cut to the width unless last */
	OUT_LIST, /* array of strings; the first one only unless last */
	OUT_YESNO, /* boolean */
	OUT_FLAGS, /* object name -> boolean; text "a:on,b:off" */
	OUT_UPTIME, /* seconds; JSON 3 decimals, text "003d07h:22m:05s"; sorts longest first */
	OUT_LOADAVG, /* array of numbers; JSON with 2 decimals, text "1.23/0.50/0.10" */
	OUT_MEMBER, /* object of integers, in JSON 0 when absent; text is the one called @member */
};

enum out_flag {
	OUT_DASH_ZERO = 1, /* text: "-" for 0 */
	OUT_NULL_ZERO = 2, /* JSON: 0 for an absent value */
	OUT_NO_JSON = 4, /* a view of another column; refused in JSON */
	OUT_HEADER_OPPOSITE = 8, /* the header is aligned the other way (a quirk clients know) */
};

/**
 * struct out_column - one column
 * @width: characters; negative = left-aligned
 * @flags: enum out_flag
 * @needs: what the getter reads, in the caller's bits
 * @member: of OUT_MEMBER
 * @words: NULL, or the order in which values of OUT_TEXT sort; ends with NULL
 * @get: value of this column in @row: a new reference, json_null() when absent, NULL without memory
 * @arg: for the getter
 */
struct out_column {
	const char *name, *header;
	int width;
	enum out_kind kind;
	unsigned int flags, needs;
	const char *member;
	const char *const *words;
	json_t *(*get)(const struct out_column *c, const void *row);
	int arg;
};

/** struct out_layout - @no_trim: trailing blanks stay, lists are shown whole in every place */
struct out_layout {
	bool no_header, no_trim;
};

/** out_row - cells of @row, plus one for @extra (a sort key) unless NULL. NULL: no memory. */
json_t *out_row(const struct out_column *const *cols, size_t n, const struct out_column *extra,
		const void *row);

/** out_text - add the table to @b. @rows: array of rows. A failed allocation is in @b->failed. */
void out_text(struct vz_buf *b, const struct out_column *const *cols, size_t n, const json_t *rows,
	      const struct out_layout *how);

/** out_json - add an array of objects to @b; a repeated column appears once. */
void out_json(struct vz_buf *b, const struct out_column *const *cols, size_t n, const json_t *rows);

/** out_compare - order of two values of a column, as strcmp; absent ones come first. */
int out_compare(const struct out_column *c, const json_t *x, const json_t *y);

#endif
