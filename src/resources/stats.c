/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Many numbers at once: memory.stat holds five of them, and its reading is what costs. */
#include "resources/resources.h"

#include "resources/priv.h"
#include "util/fd.h"

#include <string.h>

struct memo {
	const char *dir, *file;
	char *text; /* NULL: it cannot be read */
};

static int from_memo(struct memo *m, const struct cg_place *p, uint64_t *ret)
{
	if (!m->file || m->dir != p->dir || !vz_streq(m->file, p->file)) {
		vz_freep(&m->text);
		m->dir = p->dir;
		m->file = p->file;
		if (cg_read(p->dir, p->file, &m->text) < 0)
			m->text = NULL;
	}
	return m->text ? cg_key(m->text, p->key, ret) : -EOPNOTSUPP;
}

unsigned int res_stats(struct cg *cg, unsigned int want, uint64_t ret[CG_STAT_MAX])
{
	struct memo memo = { 0 };
	unsigned int known = 0;

	for (int what = 0; what < CG_STAT_MAX; what++) {
		struct cg_place p;
		int r;

		if (!(want & 1U << what))
			continue;
		if (cg->drv->place(cg, what, &p) == 0 && p.key && what != CG_STAT_PIDS_FAIL)
			r = from_memo(&memo, &p, &ret[what]);
		else
			r = cg->drv->stat(cg, what, &ret[what]);
		if (r == 0)
			known |= 1U << what;
	}
	vz_freep(&memo.text);
	return known;
}
