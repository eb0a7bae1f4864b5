/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmguarpages and oomguarpages. In cgroup2 they are memory.low and memory.min of the VPS's group. A
 * group has no more protection than those above it let through, and what they have too much is given
 * to all their children (memory_recursiveprot, which systemd mounts with): so our own group gets
 * exactly the sum of its VPSes. v1 has neither; there the OOM killer is told to look elsewhere.
 */
#include "resources/resources.h"

#include "resources/priv.h"
#include "util/fd.h"
#include "util/parse.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>

enum {
	PAGE_BYTES = 4096, /* of beancounters, whatever the kernel's are */
	ADJ_MOST = 900, /* 1000 would be: never; a VPS may go before the node's own services do */
};

uint64_t cg_guarantee_bytes(const struct vps_config *c, enum vps_param_id id)
{
	const struct vps_pair *v = (const void *)((const char *)c + vps_param(id)->offset);

	/* what vzctl assumes for a VPS with --ram is no promise that somebody made */
	if (c->source[id] < VS_GLOBAL)
		return 0;
	return v->bar >= INT64_MAX / PAGE_BYTES ? UINT64_MAX : v->bar * PAGE_BYTES;
}

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Sum of @file over the groups in @fd, which is @dir. */
static uint64_t sum_of_children(int fd, const char *dir, const char *file)
{
	VZ_DIR DIR *d = vz_opendirat(fd, ".");
	uint64_t sum = 0, one;
	char path[PATH_MAX];
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.' &&
		    cg_read_u64(cg_join(path, dir, e->d_name), file, &one) == 0)
			sum = add(sum, one);
	return sum;
}

void cg_guarantee_sum(const char *dir, const char *file, uint64_t most)
{
	VZ_FD int fd = -EBADF;
	char parent[PATH_MAX], text[24];
	uint64_t own, above, sum;

	(void)vps_path(parent, "%.*s", (int)(strrchr(dir, '/') - dir), dir);
	if (cg_read_u64(dir, file, &own) < 0)
		own = 0; /* it has been removed */
	if (cg_read_u64(parent, file, &above) < 0 || (own == 0 && above == 0))
		return; /* the usual case; a thousand groups are not read for nothing */
	fd = vz_openat(AT_FDCWD, parent, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return;
	sum = sum_of_children(fd, parent, file);
	sum = sum < most ? sum : most;
	if (sum == UINT64_MAX)
		(void)snprintf(text, sizeof(text), "max");
	else
		(void)snprintf(text, sizeof(text), "%" PRIu64, sum);
	(void)!cg_write(parent, file, text);
}

int cg_oom_adj(uint64_t guarantee, uint64_t node)
{
	if (guarantee == 0 || node == 0)
		return 0;
	if (guarantee >= node / 1000 * ADJ_MOST)
		return -ADJ_MOST;
	return -(int)(guarantee / (node / 1000 ? node / 1000 : 1));
}

int res_oom_adj(struct cg *cg, const struct vps_config *cfg)
{
	struct vz_error unused;
	uint64_t v;

	if (cg->drv->get(cg, CG_MEM_MIN_BYTES, &v, &unused) == 0)
		return 0;
	return cg_oom_adj(cg_guarantee_bytes(cfg, VP_OOMGUARPAGES), cg_node_ram());
}

/* Those that come later have it from their parents. */
int cg_oom_adj_all(struct cg *cg, int adj)
{
	const struct cg_dirs *d = cg_composite_dirs(cg);
	VZ_FREE char *text = NULL;
	VZ_LIST struct vz_list pids = { 0 };
	char value[16], path[64];
	int r;

	if (!d || !d->v[CTL_MEMORY])
		return 0;
	r = cg_read(d->v[CTL_MEMORY], "cgroup.procs", &text);
	if (r == 0)
		r = vz_list_split(&pids, text, "\n");
	(void)snprintf(value, sizeof(value), "%d", adj);
	for (size_t i = 0; r == 0 && i < pids.n; i++) {
		uint64_t pid;

		if (vz_parse_u64(pids.v[i], 1, INT32_MAX, &pid) < 0)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
		/* it may have ended; to go below 0 takes CAP_SYS_RESOURCE */
		if (vz_write_value(AT_FDCWD, path, value) == -EACCES)
			r = -EACCES;
	}
	return r;
}
