/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vzubc's reading and printing, apart from where it reads and prints. */
#include "cli/vzubc.h"

#include "util/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES = 4096 };

/* The largest number of a 32-bit node's kernel meant "unlimited" there. */
#define UNLIMITED_32 UINT64_C(2147483647)

void vzubc_groups_clear(struct vzubc_groups *g)
{
	free(g->v);
	*g = (struct vzubc_groups){ 0 };
}

/* ---- reading ---- */

static int add_group(struct vzubc_groups *g, const char *id)
{
	struct op_ubc *more;
	size_t len = strlen(id);
	char number[16];
	uint32_t ctid;

	if (len < 2 || len > sizeof(number) || id[len - 1] != ':')
		return -EINVAL;
	(void)snprintf(number, sizeof(number), "%.*s", (int)len - 1, id);
	if (vps_parse_ctid(number, &ctid) < 0)
		return -EINVAL;
	more = reallocarray(g->v, g->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	g->v = more;
	g->v[g->n++] = (struct op_ubc){ .ctid = ctid };
	return 0;
}

static int add_row(struct vzubc_groups *g, char *const *words)
{
	uint64_t v[5];
	int c = ubc_by_name(words[0]);

	for (int i = 0; i < 5; i++)
		if (vz_parse_u64(words[1 + i], 0, UINT64_MAX, &v[i]) < 0)
			return -EINVAL;
	if (g->n == 0)
		return -EINVAL;
	if (c < 0)
		return 0; /* a placeholder, or of another kernel */
	g->v[g->n - 1].row[c] = (struct ubc_row){ v[0], v[1], v[2], v[3], v[4] };
	g->v[g->n - 1].known |= OP_UBC_BIT(c);
	return 0;
}

static int parse_line(struct vzubc_groups *g, const char *line)
{
	VZ_LIST struct vz_list w = { 0 };
	int r;

	if (vz_list_split(&w, line, " \t") < 0)
		return -ENOMEM;
	if (w.n == 0 || (w.n == 2 && vz_streq(w.v[0], "Version:")) ||
	    (w.n == 7 && vz_streq(w.v[0], "uid")))
		return 0;
	if (w.n == 7) {
		r = add_group(g, w.v[0]);
		return r < 0 ? r : add_row(g, w.v + 1);
	}
	return w.n == 6 ? add_row(g, w.v) : -EINVAL;
}

int vzubc_parse(const char *text, struct vzubc_groups *ret)
{
	VZ_LIST struct vz_list lines = { 0 };
	struct vzubc_groups g = { 0 };
	int r = vz_list_split(&lines, text, "\n") < 0 ? -ENOMEM : 0;

	for (size_t i = 0; r == 0 && i < lines.n; i++)
		r = parse_line(&g, lines.v[i]);
	if (r == 0 && g.n == 0)
		r = -EINVAL;
	if (r < 0) {
		vzubc_groups_clear(&g);
		return r;
	}
	*ret = g;
	return 0;
}

/* ---- printing ---- */

static bool unlimited(uint64_t v)
{
	return v >= INT64_MAX || v == UNLIMITED_32;
}

static uint64_t unit_of(enum ubc_counter c)
{
	static const enum vps_unit none = PU_NONE;
	enum vps_unit unit = none;

	for (int id = 0; id < VP_MAX; id++) {
		const struct vps_param *p = vps_param((enum vps_param_id)id);

		if (p->option && vz_streq(p->option, ubc_name(c)))
			unit = p->unit;
	}
	return unit == PU_PAGES ? PAGE_BYTES : 1;
}

/* At most five characters: "12345", "1.23M", "999G"; "-" for nothing and for no limit. */
static const char *amount(char dst[16], uint64_t v, uint64_t unit)
{
	static const char letters[] = "KMGTPE";
	double x = (double)v * (double)unit;
	size_t i = 0;

	if (v == 0 || unlimited(v))
		return "-";
	if (x < 100000 && unit == 1) {
		(void)snprintf(dst, 16, "%.0f", x);
		return dst;
	}
	for (x /= 1024; x >= 999.5 && i + 2 < sizeof(letters); i++)
		x /= 1024;
	(void)snprintf(dst, 16, "%.*f%c", x < 9.995 ? 2 : x < 99.95 ? 1 : 0, x, letters[i]);
	return dst;
}

static const char *difference(char dst[16], uint64_t now, uint64_t then, uint64_t unit)
{
	char plain[16];

	if (now == then)
		return "-";
	(void)snprintf(dst, 16, "%c%s", now > then ? '+' : '-',
		       amount(plain, now > then ? now - then : then - now, unit));
	return dst;
}

static const char *percent(char dst[16], uint64_t part, uint64_t of)
{
	double x;

	if (of == 0 || unlimited(of))
		return "-";
	x = (double)part * 100 / (double)of;
	if (x > 999)
		return ">999%";
	(void)snprintf(dst, 16, "%.0f%%", x);
	return dst;
}

/* The barrier, or the limit where there is no barrier (VSwap: 0:N); 0 = nothing to be near to. */
static uint64_t edge_of(const struct ubc_row *r)
{
	uint64_t edge = r->barrier ? r->barrier : r->limit;

	return unlimited(edge) ? 0 : edge;
}

static bool above(uint64_t v, double ratio, uint64_t edge)
{
	return edge && (double)v > ratio * (double)edge;
}

static bool notable(const struct vzubc_view *view, const struct ubc_row *r, uint64_t fails)
{
	uint64_t edge = edge_of(r);

	return fails > 0 || above(r->held, view->near_held, edge) ||
	       above(r->maxheld, view->near_max, edge);
}

static void print_head(struct vz_buf *b, const struct op_ubc *u, bool inc, bool rel)
{
	static const char dashes[] = "------------------------";
	int held = inc ? 24 : 17;

	vz_buf_fmt(b, "--------------------------------------------------------------------%s%s\n",
		   inc ? "-------" : "", rel ? "------" : "");
	vz_buf_fmt(b, "CT %-10u| HELD%s  Bar%%  Lim%%| MAXH  Bar%%  Lim%%| BAR | LIM | FAIL%s\n",
		   u->ctid, inc ? "    +/-" : "", rel ? "|+FAIL" : "");
	vz_buf_fmt(b, "-------------+%.*s+-----------------+-----+-----+-----%s\n", held, dashes,
		   rel ? "+------" : "-");
}

static void print_row(struct vz_buf *b, const struct vzubc_view *view, enum ubc_counter c,
		      const struct ubc_row *r, const struct ubc_row *rel, const struct ubc_row *inc)
{
	char t[10][16];
	uint64_t unit = unit_of(c), fails = rel ? r->failcnt - rel->failcnt : r->failcnt;
	bool mark = view->colour && notable(view, r, fails);

	vz_buf_fmt(b, "%s%13s|%5s", mark ? "\033[1;31m" : "", ubc_name(c),
		   amount(t[0], r->held, unit));
	if (inc)
		vz_buf_fmt(b, " %6s", difference(t[1], r->held, inc->held, unit));
	vz_buf_fmt(b, " %5s %5s|%5s %5s %5s|%5s|%5s|%5s", percent(t[2], r->held, r->barrier),
		   percent(t[3], r->held, r->limit), amount(t[4], r->maxheld, unit),
		   percent(t[5], r->maxheld, r->barrier), percent(t[6], r->maxheld, r->limit),
		   amount(t[7], r->barrier, unit), amount(t[8], r->limit, unit),
		   amount(t[9], r->failcnt, 1));
	if (rel)
		vz_buf_fmt(b, "|%6s", difference(t[1], r->failcnt, rel->failcnt, 1));
	vz_buf_str(b, mark ? "\033[0m\n" : "\n");
}

void vzubc_print(struct vz_buf *b, const struct vzubc_view *view, const struct op_ubc *u,
		 const struct op_ubc *rel, const struct op_ubc *inc)
{
	bool begun = false;

	for (int c = 0; c < UBC_NR; c++) {
		const struct ubc_row *r = &u->row[c];
		/* a VPS that was started anew counts from 0 */
		bool restarted = rel && rel->row[c].failcnt > r->failcnt;
		const struct ubc_row zero = { 0 }, *then = rel ? &rel->row[c] : NULL;
		uint64_t fails;

		if (restarted)
			then = &zero;
		fails = then ? r->failcnt - then->failcnt : r->failcnt;
		if (!(u->known & OP_UBC_BIT(c)) ||
		    (view->quiet ? !notable(view, r, fails) : !view->all && unlimited(r->limit)))
			continue;
		if (!begun)
			print_head(b, u, inc, rel);
		begun = true;
		print_row(b, view, (enum ubc_counter)c, r, then, inc ? &inc->row[c] : NULL);
	}
}
