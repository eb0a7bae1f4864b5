/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values in force that CTID.conf does not hold: what `set` without --save left behind. */
#include "vps/vps.h"

#include "util/fd.h"

#include <errno.h>
#include <string.h>

static bool kept(const struct vps_param *p, unsigned int groups)
{
	return p->key && p->when == PW_LIVE && (groups & 1U << p->group);
}

/* Place of row @p in the list, -1: none. */
static ssize_t find(const struct vz_list *l, const struct vps_param *p)
{
	size_t n = strlen(p->key);

	for (size_t i = 0; i < l->n; i++)
		if (!strncmp(l->v[i], p->key, n) && l->v[i][n] == '=')
			return (ssize_t)i;
	return -1;
}

int vps_live_note(struct vps_state *s, const struct vps_config *c, const bool changed[VP_MAX],
		  unsigned int groups, bool saved)
{
	for (int id = 0; id < VP_MAX; id++) {
		const struct vps_param *p = vps_param((enum vps_param_id)id);
		VZ_FREE char *value = NULL;
		VZ_FREE char *text = NULL;
		ssize_t at;

		if (!changed[id] || !kept(p, groups))
			continue;
		at = find(&s->live, p);
		if (at >= 0)
			vz_list_del(&s->live, (size_t)at);
		if (saved || c->source[id] == VS_IMPLIED)
			continue;
		value = vps_param_print(c, (enum vps_param_id)id);
		text = value ? vz_fmt("%s=%s", p->key, value) : NULL;
		if (!text || vz_list_add(&s->live, text) < 0)
			return -ENOMEM;
	}
	return 0;
}

void vps_live_over(const struct vps_state *s, struct vps_config *c, unsigned int groups)
{
	struct vz_error err;

	for (int id = 0; id < VP_MAX; id++) {
		const struct vps_param *p = vps_param((enum vps_param_id)id);
		ssize_t at = kept(p, groups) ? find(&s->live, p) : -1;

		/* a value that this version cannot read is none */
		if (at >= 0 &&
		    vps_param_parse(c, (enum vps_param_id)id, PM_SET,
				    s->live.v[at] + strlen(p->key) + 1, VS_GLOBAL, &err) == 0)
			c->source[id] = VS_CLI;
	}
	vps_imply(c);
}
