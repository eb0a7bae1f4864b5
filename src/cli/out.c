/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *out_row(const struct out_column *const *cols, size_t n, const struct out_column *extra,
		const void *row)
{
	json_t *cells = json_array();

	for (size_t i = 0; cells && i < n + (extra ? 1 : 0); i++) {
		const struct out_column *c = i < n ? cols[i] : extra;

		if (json_array_append_new(cells, c->get(c, row)) < 0) {
			json_decref(cells);
			cells = NULL;
		}
	}
	return cells;
}

/* ---- text ---- */

/* Length of what must not reach a terminal: C0, DEL, C1, marks that turn the writing direction. */
static size_t hazard(const unsigned char *s)
{
	if (s[0] < 0x20 || s[0] == 0x7f)
		return 1;
	if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0)
		return 2;
	if (s[0] == 0xe2 && s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae)
		return 3;
	if (s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9)
		return 3;
	return 0;
}

static void add_safe(struct vz_buf *b, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	while (*s) {
		const unsigned char *begin = s;
		size_t bad = 0;

		while (*s && !(bad = hazard(s)))
			s++;
		vz_buf_add(b, (const char *)begin, (size_t)(s - begin));
		for (; bad; bad--)
			vz_buf_fmt(b, "\\x%02x", *s++);
	}
}

static void add_list(struct vz_buf *b, const json_t *list, bool whole)
{
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n && (i == 0 || whole); i++) {
		if (i)
			vz_buf_str(b, " ");
		add_safe(b, json_string_value(json_array_get(list, i)));
	}
}

static void add_flags(struct vz_buf *b, const json_t *flags)
{
	const char *name, *sep = "";
	json_t *on;

	json_object_foreach ((json_t *)flags, name, on) {
		vz_buf_str(b, sep);
		add_safe(b, name);
		vz_buf_str(b, json_is_true(on) ? ":on" : ":off");
		sep = ",";
	}
}

static void add_uptime(struct vz_buf *b, const json_t *v)
{
	uint64_t s = (uint64_t)json_number_value(v);

	vz_buf_fmt(b, "%03" PRIu64 "d%02uh:%02um:%02us", s / 86400, (unsigned int)(s / 3600 % 24),
		   (unsigned int)(s / 60 % 60), (unsigned int)(s % 60));
}

static void add_loadavg(struct vz_buf *b, const json_t *v)
{
	for (size_t i = 0; i < json_array_size(v); i++)
		vz_buf_fmt(b, "%s%.2f", i ? "/" : "", json_number_value(json_array_get(v, i)));
}

/* Append the value as text, nothing when it is absent. */
static void add_value(struct vz_buf *b, const struct out_column *c, const json_t *v, bool whole)
{
	if (c->kind == OUT_MEMBER)
		v = json_object_get(v, c->member);
	if (!v || json_is_null(v))
		return;
	if ((c->flags & OUT_DASH_ZERO) && json_number_value(v) == 0)
		return;
	switch (c->kind) {
	case OUT_INT:
	case OUT_MEMBER:
		vz_buf_fmt(b, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case OUT_REAL:
		vz_buf_fmt(b, "%g", json_number_value(v));
		break;
	case OUT_TEXT:
		add_safe(b, json_string_value(v));
		break;
	case OUT_LIST:
		add_list(b, v, whole);
		break;
	case OUT_YESNO:
		vz_buf_str(b, json_is_true(v) ? "yes" : "no");
		break;
	case OUT_FLAGS:
		add_flags(b, v);
		break;
	case OUT_UPTIME:
		add_uptime(b, v);
		break;
	case OUT_LOADAVG:
		add_loadavg(b, v);
		break;
	}
}

/* Bytes of the first @max characters of UTF-8; *@ret_n: how many there were. */
static size_t utf8_span(const char *s, size_t max, size_t *ret_n)
{
	size_t bytes = 0, n = 0;

	for (; s[bytes] && n < max; n++)
		do
			bytes++;
		while (((unsigned char)s[bytes] & 0xc0) == 0x80);
	*ret_n = n;
	return bytes;
}

static void add_field(struct vz_buf *b, const char *s, int width, bool cut)
{
	size_t want = (size_t)abs(width), len, chars;

	len = utf8_span(s, cut ? want : SIZE_MAX, &chars);
	if (width > 0 && chars < want)
		vz_buf_fmt(b, "%*s", (int)(want - chars), "");
	vz_buf_add(b, s, len);
	if (width < 0 && chars < want)
		vz_buf_fmt(b, "%*s", (int)(want - chars), "");
}

static void add_cell(struct vz_buf *b, const struct out_column *c, const json_t *v, bool last,
		     bool no_trim)
{
	VZ_BUF struct vz_buf cell = { 0 };
	bool cut = !last && (c->kind == OUT_TEXT || c->kind == OUT_FLAGS);

	add_value(&cell, c, v, last || no_trim);
	if (cell.failed)
		b->failed = true;
	else
		add_field(b, cell.len ? cell.s : "-", c->width, cut);
}

/* Ends a line that began at @start. */
static void end_line(struct vz_buf *b, size_t start, bool no_trim)
{
	while (!no_trim && b->len > start && b->s[b->len - 1] == ' ')
		b->s[--b->len] = '\0';
	vz_buf_str(b, "\n");
}

void out_text(struct vz_buf *b, const struct out_column *const *cols, size_t n, const json_t *rows,
	      const struct out_layout *how)
{
	for (size_t r = 0; r <= json_array_size(rows); r++) {
		size_t start = b->len;

		if (r == 0 && how->no_header)
			continue;
		for (size_t i = 0; i < n; i++) {
			const struct out_column *c = cols[i];
			bool opposite = c->flags & OUT_HEADER_OPPOSITE;

			if (i)
				vz_buf_str(b, " ");
			if (r == 0)
				add_field(b, c->header, opposite ? -c->width : c->width, false);
			else
				add_cell(b, c, json_array_get(json_array_get(rows, r - 1), i),
					 i + 1 == n, how->no_trim);
		}
		end_line(b, start, how->no_trim);
	}
}

/* ---- JSON ---- */

/* jansson prints reals with up to 17 digits; here the column decides. */
static void add_real(struct vz_buf *b, enum out_kind kind, double v)
{
	if (kind == OUT_UPTIME)
		vz_buf_fmt(b, "%.3f", v);
	else if (kind == OUT_LOADAVG)
		vz_buf_fmt(b, "%.2f", v);
	else
		vz_buf_fmt(b, "%g", v);
}

/*
 * JSON is read by people at terminals too. jansson escapes C0 only; outside of strings there is
 * nothing to escape, and readers get the same characters.
 */
static void add_tame(struct vz_buf *b, const char *json)
{
	const unsigned char *s = (const unsigned char *)json;

	while (*s) {
		size_t bad = *s < 0x20 ? 0 : hazard(s);
		unsigned int code = s[0];

		if (bad == 2)
			code = (s[0] & 0x1fU) << 6 | (s[1] & 0x3fU);
		else if (bad == 3)
			code = (s[0] & 0x0fU) << 12 | (s[1] & 0x3fU) << 6 | (s[2] & 0x3fU);
		if (bad)
			vz_buf_fmt(b, "\\u%04X", code);
		else
			vz_buf_add(b, (const char *)s, 1);
		s += bad ? bad : 1;
	}
}

static void add_scalar(struct vz_buf *b, enum out_kind kind, const json_t *v)
{
	char *s;

	if (json_is_real(v)) {
		add_real(b, kind, json_real_value(v));
		return;
	}
	s = json_dumps(v, JSON_ENCODE_ANY);
	if (s)
		add_tame(b, s);
	else
		b->failed = true;
	free(s);
}

static void add_key(struct vz_buf *b, const char *key, int indent, bool first)
{
	json_t *k = json_string(key);

	vz_buf_fmt(b, "%s\n%*s", first ? "" : ",", indent, "");
	add_scalar(b, OUT_TEXT, k);
	vz_buf_str(b, ": ");
	json_decref(k);
}

static void add_json(struct vz_buf *b, const struct out_column *c, const json_t *v, int indent)
{
	const char *name;
	bool first = true;
	json_t *item;
	size_t i;

	if (json_is_array(v) && json_array_size(v) > 0) {
		vz_buf_str(b, "[");
		json_array_foreach (v, i, item) {
			vz_buf_fmt(b, "%s\n%*s", first ? "" : ",", indent + 2, "");
			add_scalar(b, c->kind, item);
			first = false;
		}
		vz_buf_fmt(b, "\n%*s]", indent, "");
	} else if (json_is_object(v) && json_object_size(v) > 0) {
		vz_buf_str(b, "{");
		json_object_foreach ((json_t *)v, name, item) {
			add_key(b, name, indent + 2, first);
			if (c->kind == OUT_MEMBER && json_is_null(item))
				vz_buf_str(b, "0");
			else
				add_scalar(b, c->kind, item);
			first = false;
		}
		vz_buf_fmt(b, "\n%*s}", indent, "");
	} else if (json_is_null(v) && (c->flags & OUT_NULL_ZERO)) {
		vz_buf_str(b, c->kind == OUT_UPTIME ? "0.000" : "0");
	} else {
		add_scalar(b, c->kind, v);
	}
}

static bool repeated(const struct out_column *const *cols, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (vz_streq(cols[k]->name, cols[i]->name))
			return true;
	return false;
}

void out_json(struct vz_buf *b, const struct out_column *const *cols, size_t n, const json_t *rows)
{
	json_t *row;
	size_t r;

	vz_buf_str(b, "[");
	json_array_foreach (rows, r, row) {
		vz_buf_str(b, r ? ",\n  {" : "\n  {");
		for (size_t i = 0; i < n; i++) {
			if (repeated(cols, i))
				continue;
			add_key(b, cols[i]->name, 4, i == 0);
			add_json(b, cols[i], json_array_get(row, i), 4);
		}
		vz_buf_str(b, "\n  }");
	}
	vz_buf_str(b, json_array_size(rows) ? "\n]\n" : "]\n");
}

/* ---- order ---- */

static int word_rank(const char *const *words, const json_t *v)
{
	int i = 0;

	while (words[i] && !vz_streq(words[i], json_string_value(v)))
		i++;
	return i;
}

static int compare_numbers(const json_t *x, const json_t *y)
{
	if (json_is_integer(x) && json_is_integer(y)) {
		json_int_t a = json_integer_value(x), b = json_integer_value(y);

		return (a > b) - (a < b);
	}
	return (json_number_value(x) > json_number_value(y)) -
	       (json_number_value(x) < json_number_value(y));
}

static int compare_text(const struct out_column *c, const json_t *x, const json_t *y)
{
	VZ_BUF struct vz_buf a = { 0 }, b = { 0 };

	add_value(&a, c, x, true);
	add_value(&b, c, y, true);
	return strcmp(a.s ? a.s : "", b.s ? b.s : "");
}

int out_compare(const struct out_column *c, const json_t *x, const json_t *y)
{
	if (c->kind == OUT_UPTIME) /* the earlier start first; what does not run comes last */
		return compare_numbers(y, x);
	if (c->kind == OUT_MEMBER) {
		x = json_object_get(x, c->member);
		y = json_object_get(y, c->member);
	}
	if (!x || !y || json_is_null(x) || json_is_null(y))
		return (x && !json_is_null(x)) - (y && !json_is_null(y));
	switch (c->kind) {
	case OUT_INT:
	case OUT_REAL:
	case OUT_MEMBER:
		return compare_numbers(x, y);
	case OUT_LOADAVG:
		return compare_numbers(json_array_get(x, 0), json_array_get(y, 0));
	case OUT_TEXT:
		if (c->words)
			return word_rank(c->words, x) - word_rank(c->words, y);
		return compare_text(c, x, y);
	default:
		return compare_text(c, x, y);
	}
}
