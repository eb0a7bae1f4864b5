/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which ids of the host a VPS has: 65536 each, never shared. */
#include "vps/vps.h"

#include "util/fd.h"
#include "util/parse.h"

#include <fcntl.h>
#include <string.h>

enum { SLOT = 65536, FIRST_SLOT = 100, LAST_SLOT = 65534 };

struct range {
	uint64_t base, count;
};

struct ranges {
	struct range *v;
	size_t n;
};

static void rangesp(struct ranges *l)
{
	free(l->v);
}

static int add_range(struct ranges *l, uint64_t base, uint64_t count)
{
	struct range *more = reallocarray(l->v, l->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	l->v = more;
	l->v[l->n++] = (struct range){ base, count };
	return 0;
}

static bool clashes(const struct ranges *l, uint64_t base, uint64_t count)
{
	for (size_t i = 0; i < l->n; i++)
		if (base < l->v[i].base + l->v[i].count && l->v[i].base < base + count)
			return true;
	return false;
}

/*
 * Fields @base_field (and @count_field, or 1 id) of a colon-separated file; unreadable lines are
 * skipped.
 */
static int read_ids(struct ranges *l, const char *path, int base_field, int count_field)
{
	VZ_FREE char *text = NULL;
	char *line, *save = NULL;
	int r = 0;

	if (vz_read_file(AT_FDCWD, path, 16 << 20, &text) < 0)
		return 0;
	for (line = strtok_r(text, "\n", &save); r == 0 && line;
	     line = strtok_r(NULL, "\n", &save)) {
		uint64_t base = 0, count = count_field < 0;
		int field = 0;

		for (char *p = line; p; field++) {
			char *next = strchr(p, ':');

			if (next)
				*next++ = '\0';
			if (field == base_field && vz_parse_u64(p, 0, UINT32_MAX, &base) < 0)
				base = 0;
			if (field == count_field && vz_parse_u64(p, 0, UINT32_MAX, &count) < 0)
				count = 0;
			p = next;
		}
		/* 65534 and below are ordinary users; only slots from FIRST_SLOT up matter */
		if (count > 0 && base + count > (uint64_t)FIRST_SLOT * SLOT)
			r = add_range(l, base, count);
	}
	return r;
}

/* Only LOCAL_UID and LOCAL_UID_COUNT of every other VPS: read cheaply, no whole configuration. */
static int read_other_vpses(struct ranges *l, uint32_t self)
{
	VZ_FREE uint32_t *ids = NULL;
	ssize_t n = vps_list_ctids(&ids);
	int r = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; r == 0 && i < n; i++) {
		VPS_CONFIG struct vps_config c = { 0 };
		VZ_FREE char *text = NULL;
		char path[PATH_MAX];

		if (ids[i] == self)
			continue;
		(void)vps_path(path, "%s/%u.conf", vps_paths()->conf, ids[i]);
		if (vz_read_file(AT_FDCWD, path, 4 << 20, &text) < 0)
			continue;
		/* most have no such line: hundreds of files are not worth parsing */
		if (strstr(text, "LOCAL_UID") && vps_load_file(&c, path, VS_VPS, NULL) < 0)
			continue;
		if (vps_is_set(&c, VP_LOCAL_UID))
			r = add_range(l, c.local_uid, c.local_uid_count ? c.local_uid_count : SLOT);
		else if (ids[i] >= FIRST_SLOT && ids[i] <= LAST_SLOT)
			r = add_range(l, (uint64_t)ids[i] << 16,
				      c.local_uid_count ? c.local_uid_count : SLOT);
	}
	return r;
}

int vps_idbase(struct vps_config *c, uint64_t *ret_base, uint64_t *ret_count, bool *ret_save,
	       struct vz_error *err)
{
	__attribute__((cleanup(rangesp))) struct ranges used = { 0 };
	uint64_t count = vps_is_set(c, VP_LOCAL_UID_COUNT) ? c->local_uid_count : SLOT, base = 0;
	int r;

	*ret_save = false;
	r = read_ids(&used, "/etc/subuid", 1, 2);
	if (r == 0)
		r = read_ids(&used, "/etc/subgid", 1, 2);
	if (r == 0)
		r = read_ids(&used, "/etc/passwd", 2, -1);
	if (r == 0)
		r = read_other_vpses(&used, c->ctid);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "looking for free ids");
	if (vps_is_set(c, VP_LOCAL_UID)) {
		base = c->local_uid;
		if (base == 0 && !secure_getenv("CROFT_I_GIVE_UP_ISOLATION"))
			return vz_fail(err, VZ_EXIT_VALUE, EPERM,
				       "LOCAL_UID=0 would make root of VPS %u root of the node",
				       c->ctid);
		if (base + count > UINT32_MAX || clashes(&used, base, count))
			return vz_fail(err, VZ_EXIT_VALUE, EADDRINUSE,
				       "LOCAL_UID=%llu of VPS %u overlaps ids that are in use",
				       (unsigned long long)base, c->ctid);
	} else if (c->ctid >= FIRST_SLOT && c->ctid <= LAST_SLOT &&
		   !clashes(&used, (uint64_t)c->ctid << 16, count)) {
		base = (uint64_t)c->ctid << 16;
	} else {
		for (uint64_t slot = LAST_SLOT; slot >= FIRST_SLOT && !base; slot--)
			if ((slot << 16) + count <= UINT32_MAX &&
			    !clashes(&used, slot << 16, count))
				base = slot << 16;
		if (!base)
			return vz_fail(err, VZ_EXIT_RESOURCE, ENOSPC, "no free range of %llu ids",
				       (unsigned long long)count);
		c->local_uid = base;
		c->source[VP_LOCAL_UID] = VS_VPS;
		*ret_save = true;
	}
	*ret_base = base;
	*ret_count = count;
	return 0;
}
