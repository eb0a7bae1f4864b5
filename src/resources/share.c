/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The node's own share of the CPU (VE0CPUUNITS). OpenVZ had the node's processes beside the VPSes on one
 * level; here all VPSes are in one group, which competes with the node's. Its weight is kept at the sum of
 * theirs in proportion to VE0CPUUNITS, so that each has at least what it would have on that one level.
 */
#include "resources/resources.h"

#include "resources/priv.h"
#include "util/fd.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>

enum { VE0_DEFAULT = 1000 };

/** struct share - the group of all VPSes and its knob */
struct share {
	char dir[PATH_MAX];
	const char *file;
	uint64_t min, max; /* that the kernel takes */
};

uint64_t cg_share_of(uint64_t sum, uint64_t ve0, uint64_t min, uint64_t max)
{
	uint64_t v;

	/* what a VPS of 1000 units has, a competitor has as well when VE0CPUUNITS is 1000 */
	if (__builtin_mul_overflow(sum, VE0_DEFAULT, &v))
		return max;
	v /= ve0;
	return v < min ? min : v > max ? max : v;
}

/* Return: whether some command of this boot has used the cpu controller. */
static bool find(struct share *s)
{
	CG_DIRS struct cg_dirs mounts = { 0 };

	if (cg_cache_load(0, &mounts) < 0)
		return false;
	*s = (struct share){ .file = "cpu.shares", .min = 2, .max = 262144 };
	if (mounts.v[CTL_CPU]) {
		(void)vps_path(s->dir, "%s/%s", mounts.v[CTL_CPU], vps_paths()->slice);
		return true;
	}
	s->file = "cpu.weight";
	s->min = 1;
	s->max = 10000;
	if (mounts.v[CTL_V2])
		(void)vps_path(s->dir, "%s/%s", mounts.v[CTL_V2], cg_v2_home());
	return mounts.v[CTL_V2];
}

/* Weights of the VPSes together; counted no further than what no larger weight could answer. */
static uint64_t sum_of(int fd, const struct share *s, uint64_t ve0)
{
	VZ_DIR DIR *d = vz_opendirat(fd, ".");
	uint64_t sum = 0;
	struct dirent *e;

	while (d && (e = readdir(d)) && sum < s->max / VE0_DEFAULT * ve0 + ve0) {
		char name[PATH_MAX];
		uint64_t one;

		if (e->d_type != DT_DIR || !isdigit((unsigned char)e->d_name[0]))
			continue; /* "mon" */
		if (vz_read_u64(fd, vps_path(name, "%s/%s", e->d_name, s->file), &one) == 0)
			sum += one;
	}
	return sum;
}

/* "NAME.service" when the group is that of such a unit. */
static void unit_of(const struct share *s, char *ret)
{
	const char *name = strrchr(s->dir, '/') + 1, *dot = strrchr(name, '.');

	ret[0] = '\0';
	if (vz_streq(s->file, "cpu.weight") && dot && vz_streq(dot, ".service") &&
	    vz_copy(ret, NAME_MAX + 1, name) < 0)
		ret[0] = '\0';
}

uint64_t res_node_share(uint64_t ve0_cpuunits, char *ret_unit)
{
	uint64_t ve0 = ve0_cpuunits ? ve0_cpuunits : VE0_DEFAULT, sum, want, now;
	VZ_FD int fd = -EBADF;
	struct share s;
	char text[24];

	ret_unit[0] = '\0';
	if (!find(&s))
		return 0;
	fd = vz_openat(AT_FDCWD, s.dir, O_RDONLY | O_DIRECTORY, 0);
	/* the lock: who reads last writes last */
	if (fd < 0 || vz_read_u64(fd, s.file, &now) < 0 || flock(fd, LOCK_EX) < 0)
		return 0;
	sum = sum_of(fd, &s, ve0);
	if (sum == 0)
		return 0;
	want = cg_share_of(sum, ve0, s.min, s.max);
	unit_of(&s, ret_unit);
	(void)snprintf(text, sizeof(text), "%" PRIu64, want);
	if (vz_read_u64(fd, s.file, &now) == 0 && now != want)
		(void)!vz_write_value(fd, s.file, text);
	return want;
}
