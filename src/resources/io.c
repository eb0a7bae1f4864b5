/* SPDX-License-Identifier: GPL-2.0-or-later */
/* I/O parameters to knobs, and what of them this host does not hold: docs/cpu.md. */
#include "resources/resources.h"

#include "resources/priv.h"
#include "util/fd.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	DISKS_MAX = 32,
	WEIGHT_STEP = 20, /* of one --ioprio; 4, the default, is the kernel's default of 100 */
	IOPRIO_DEFAULT = 4,
};

/** struct disks - where the files of a VPS lie */
struct disks {
	struct cg_disk v[DISKS_MAX];
	size_t n;
	char fs[32]; /* kind of the file system that lies on none */
};

bool res_io_wanted(const struct vps_config *cfg)
{
	return vps_is_set(cfg, VP_IOPRIO) || vps_is_set(cfg, VP_IOLIMIT) ||
	       vps_is_set(cfg, VP_IOPSLIMIT);
}

static bool limits(const struct vps_config *c)
{
	return (vps_is_set(c, VP_IOLIMIT) && c->iolimit) ||
	       (vps_is_set(c, VP_IOPSLIMIT) && c->iopslimit);
}

/* The private area; on an overlay the files of the template are read as well. */
static int find_disks(const struct vps_config *c, struct disks *ret)
{
	bool overlay = c->ve_layout && vz_streq(c->ve_layout, "overlay") && c->template_dir;
	struct cg_disk more[DISKS_MAX];
	size_t n = 0;
	char fs[32];
	int r;

	*ret = (struct disks){ .n = 0 };
	if (!c->ve_private)
		return 0;
	r = cg_disks_of(c->ve_private, ret->v, DISKS_MAX, &ret->n, ret->fs);
	if (r < 0 || !overlay)
		return r;
	r = cg_disks_of(c->template_dir, more, DISKS_MAX, &n, fs);
	for (size_t i = 0; r == 0 && i < n; i++) {
		bool known = false;

		for (size_t k = 0; k < ret->n; k++)
			known |= ret->v[k].major == more[i].major &&
				 ret->v[k].minor == more[i].minor;
		if (!known && ret->n < DISKS_MAX)
			ret->v[ret->n++] = more[i];
	}
	return r;
}

/* ---- what is not held ---- */

/* io.cost works on a disk for which an administrator has enabled it in the root group. */
static bool has_iocost(const char *v2, const struct cg_disk *d)
{
	char dir[PATH_MAX], key[32], *slash;
	VZ_FREE char *qos = NULL;
	const char *line;

	if (!v2)
		return false;
	(void)vps_path(dir, "%s", v2);
	while (cg_read(dir, "io.cost.qos", &qos) < 0) {
		slash = strrchr(dir, '/');
		if (!slash || slash == dir)
			return false;
		*slash = '\0';
	}
	(void)snprintf(key, sizeof(key), "%u:%u ", d->major, d->minor);
	for (line = qos; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (!strncmp(line, key, strlen(key)))
			return !strncmp(line + strlen(key), "enable=1", 8);
	return false;
}

static int tell_weight(struct vz_list *missing, const struct disks *d, const char *v2)
{
	VZ_FREE char *text = NULL;

	for (size_t i = 0; i < d->n; i++) {
		char now[32];

		cg_disk_scheduler(&d->v[i], now);
		if (vz_streq(now, "bfq") || has_iocost(v2, &d->v[i]))
			continue;
		text = vz_fmt("--ioprio: the I/O scheduler of device %u:%u is %s, and only bfq and "
			      "io.cost know priorities; not enforced until that is changed",
			      d->v[i].major, d->v[i].minor, now[0] ? now : "unknown");
		return !text || vz_list_add(missing, text) < 0 ? -ENOMEM : 0;
	}
	return 0;
}

/* @v1: blkio is v1's; @v2: a group of cgroup2, NULL if there is none */
static int tell(const struct vps_config *c, const struct disks *d, bool v1, const char *v2,
		struct vz_list *missing)
{
	bool weight = vps_is_set(c, VP_IOPRIO) && c->ioprio != IOPRIO_DEFAULT;
	VZ_FREE char *text = NULL;
	int r = 0;

	if (d->n == 0 && (weight || limits(c))) {
		text = vz_fmt(
			"--ioprio, --iolimit, --iopslimit: the private area is on %s, under which "
			"there is no disk; stored, not enforced",
			d->fs);
		return !text || vz_list_add(missing, text) < 0 ? -ENOMEM : 0;
	}
	if (weight)
		r = tell_weight(missing, d, v2);
	if (r == 0 && limits(c) && v1)
		r = vz_list_add(missing,
				"--iolimit, --iopslimit: on cgroup v1 the kernel limits reads, "
				"and direct and synchronous writes; others not");
	return r;
}

int res_io_check(const struct vps_config *cfg, struct vz_list *ret_missing)
{
	CG_DIRS struct cg_dirs mounts = { 0 };
	struct vz_error unused;
	struct disks d;

	if (!res_io_wanted(cfg) || cg_find(false, &mounts, &unused) < 0 || find_disks(cfg, &d) < 0)
		return 0;
	return tell(cfg, &d, mounts.v[CTL_BLKIO], mounts.v[CTL_V2], ret_missing);
}

/* ---- the knobs ---- */

static uint64_t or_none(bool set, uint64_t value)
{
	return set && value ? value : UINT64_MAX;
}

static int apply_limits(struct cg_apply *a, const struct disks *d)
{
	const struct vps_config *c = a->cfg;
	struct cg_io_max m = { .bps = or_none(vps_is_set(c, VP_IOLIMIT), c->iolimit),
			       .iops = or_none(vps_is_set(c, VP_IOPSLIMIT), c->iopslimit) };

	for (size_t i = 0; i < d->n; i++) {
		int r;

		m.major = d->v[i].major;
		m.minor = d->v[i].minor;
		r = a->cg->drv->io_max(a->cg, &m, a->err);
		if (r == -EOPNOTSUPP && limits(c))
			return cg_apply_tell(
				a, "--iolimit, --iopslimit: no I/O limits on this kernel; "
				   "stored, not enforced");
		if (r == -EOPNOTSUPP)
			break;
		if (r < 0)
			return r;
	}
	*a->err = (struct vz_error){ 0 };
	return 0;
}

int cg_apply_io(struct cg_apply *a)
{
	const struct cg_dirs *dirs = cg_composite_dirs(a->cg);
	uint64_t prio = vps_is_set(a->cfg, VP_IOPRIO) ? a->cfg->ioprio : IOPRIO_DEFAULT;
	struct disks d;
	int r = find_disks(a->cfg, &d);

	if (r < 0)
		return vz_fail(a->err, VZ_EXIT_IO, -r, "find the disk under %s",
			       a->cfg->ve_private);
	r = cg_apply_knob(a, CG_IO_WEIGHT, (prio + 1) * WEIGHT_STEP, prio != IOPRIO_DEFAULT,
			  "--ioprio: no I/O weights on this kernel; stored, not enforced");
	if (r == 0)
		r = apply_limits(a, &d);
	if (r < 0 || !a->missing)
		return r;
	r = tell(a->cfg, &d, dirs && dirs->v[CTL_BLKIO], dirs ? dirs->v[CTL_V2] : NULL, a->missing);
	return r < 0 ? vz_fail(a->err, VZ_EXIT_RESOURCE, ENOMEM, "limits") : 0;
}
