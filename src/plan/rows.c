/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/plan.h"

#include "util/fd.h"
#include "util/parse.h"

#include <limits.h>
#include <string.h>

/* Rows by the names that tables of OpenVZ give them: the key in lower case. */
static int by_name(const char *name)
{
	for (int id = 0; id < VP_MAX; id++) {
		const struct vps_param *p = vps_param((enum vps_param_id)id);

		if (p->type == PT_UBC && p->option && vz_streq(p->option, name))
			return id;
	}
	return -1;
}

/* LONG_MAX of 32 bit is no limit either. */
static uint64_t unless_none(uint64_t v)
{
	return v >= PLAN_NONE || v == INT_MAX ? PLAN_NONE : v;
}

static void no_limits(struct plan_vps *v)
{
	for (int id = 0; id < VP_MAX; id++)
		v->row[id] = (struct plan_row){ .barrier = PLAN_NONE, .limit = PLAN_NONE };
}

void plan_limits(const struct vps_config *c, struct plan_vps *ret)
{
	*ret = (struct plan_vps){ .ctid = c->ctid, .vswap = vps_is_vswap(c) };
	no_limits(ret);
	for (int id = 0; id < VP_MAX; id++) {
		const struct vps_param *p = vps_param((enum vps_param_id)id);
		const struct vps_pair *pair = (const void *)((const char *)c + p->offset);

		if (p->type != PT_UBC || !vps_is_set(c, (enum vps_param_id)id))
			continue;
		ret->row[id].barrier = unless_none(pair->bar);
		ret->row[id].limit = unless_none(pair->lim);
	}
}

/* ---- a table as text ---- */

struct table {
	struct plan_vps *v;
	size_t n;
	bool skip; /* rows of the node itself */
};

static struct plan_vps *begin_vps(struct table *t, uint64_t ctid)
{
	struct plan_vps *more;

	t->skip = ctid == 0;
	if (t->skip)
		return NULL;
	more = reallocarray(t->v, t->n + 1, sizeof(*more));
	if (!more)
		return NULL;
	t->v = more;
	more += t->n++;
	*more = (struct plan_vps){ .ctid = (uint32_t)ctid, .running = true };
	no_limits(more);
	return more;
}

/* "101:" alone or before "kmemsize". Return: 1 and the words behind it; 0 no such word; -errno. */
static int take_id(struct table *t, struct vz_list *words)
{
	char *colon = strchr(words->v[0], ':');
	uint64_t ctid;

	if (!colon)
		return 0;
	*colon = '\0';
	if (vz_parse_u64(words->v[0], 0, VPS_CTID_MAX, &ctid) < 0)
		return -EINVAL;
	if (!begin_vps(t, ctid) && !t->skip)
		return -ENOMEM;
	if (colon[1])
		memmove(words->v[0], colon + 1, strlen(colon + 1) + 1);
	else
		vz_list_del(words, 0);
	return 1;
}

static int take_row(struct table *t, const struct vz_list *words)
{
	uint64_t n[5];
	int id;

	if (t->skip)
		return 0;
	if (words->n != 6 || t->n == 0)
		return -EINVAL;
	for (int i = 0; i < 5; i++)
		if (vz_parse_u64(words->v[i + 1], 0, UINT64_MAX, &n[i]) < 0)
			return -EINVAL;
	id = by_name(words->v[0]);
	if (id < 0)
		return 0; /* dummy, or a counter of another kernel */
	t->v[t->n - 1].row[id] =
		(struct plan_row){ n[0], n[1], unless_none(n[2]), unless_none(n[3]), n[4] };
	return 0;
}

static int take_line(struct table *t, char *line)
{
	VZ_LIST struct vz_list words = { 0 };
	int r = vz_list_split(&words, line, " \t\r");

	if (r < 0 || words.n == 0 || vz_streq(words.v[0], "uid"))
		return r;
	if (vz_streq(words.v[0], "Version:"))
		return words.n == 2 && vz_streq(words.v[1], "2.5") ? 0 : -EINVAL;
	r = take_id(t, &words);
	if (r < 0 || words.n == 0)
		return r;
	return take_row(t, &words);
}

ssize_t plan_parse_table(const char *text, struct plan_vps **ret, size_t *ret_line)
{
	VZ_FREE char *copy = strdup(text);
	struct table t = { 0 };
	char *line = copy, *end;
	int r = copy ? 0 : -ENOMEM;

	*ret_line = 0;
	for (; r == 0 && line && *line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		++*ret_line;
		r = take_line(&t, line);
	}
	if (r < 0) {
		free(t.v);
		return r;
	}
	for (size_t i = 0; i < t.n; i++) {
		uint64_t ram = t.v[i].row[VP_PHYSPAGES].limit;

		t.v[i].vswap = ram > 0 && ram != PLAN_NONE;
	}
	*ret = t.v;
	return (ssize_t)t.n;
}
