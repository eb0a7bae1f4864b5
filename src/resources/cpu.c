/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU parameters to knobs: level one of the two-level scheduler, docs/cpu.md. */
#include "resources/priv.h"

#include "util/fd.h"
#include "util/parse.h"

#include <inttypes.h>
#include <string.h>

enum {
	CPUUNITS_DEFAULT = 1000,
	NODES_MAX = 1024,
	CPUS_MAX = 8192,
	US_PER_PCT = CG_PERIOD_US / 100, /* quota of one percent of a CPU */
};

#define NODE_DIR "/sys/devices/system/node"
#define CPU_DIR	 "/sys/devices/system/cpu"

/* ---- share, limit, burst ---- */

/* The kernel's range is smaller than ours: say so when what it took is another thing. */
static int tell_if_clamped(struct cg_apply *a, uint64_t want)
{
	struct vz_error unused;
	uint64_t got;
	char text[160];

	if (a->cg->drv->get(a->cg, CG_CPU_WEIGHT, &got, &unused) < 0 ||
	    (got * 10 >= want * 9 && got * 10 <= want * 11))
		return 0;
	(void)snprintf(text, sizeof(text),
		       "--cpuunits: the nearest that this kernel offers to %" PRIu64 " is %" PRIu64,
		       want, got);
	return cg_apply_tell(a, text);
}

/* The burst that goes with a limit of @pct: the kernel takes none above the quota of one period. */
static int burst_for(struct cg_apply *a, uint64_t pct, uint64_t *ret_us)
{
	uint64_t most, want = vps_is_set(a->cfg, VP_CPUBURST) ? a->cfg->cpuburst * 1000 : 0;
	char text[160];

	*ret_us = 0;
	if (!want)
		return 0;
	if (pct == UINT64_MAX)
		return cg_apply_tell(a,
				     "--cpuburst: there is no --cpulimit to burst above; stored");
	most = pct * US_PER_PCT;
	*ret_us = want < most ? want : most;
	if (want <= most)
		return 0;
	(void)snprintf(text, sizeof(text),
		       "--cpuburst: %" PRIu64 " ms are more than a limit of %" PRIu64
		       "%% gives in %d ms; %" PRIu64 " ms are in force",
		       want / 1000, pct, CG_PERIOD_US / 1000, most / 1000);
	return cg_apply_tell(a, text);
}

/* A quota below the burst is refused by the kernel, so a smaller burst goes first and a larger one last. */
static int apply_limit(struct cg_apply *a, uint64_t pct)
{
	static const char no_quota[] =
		"--cpulimit, --cpus: no CPU quota on this kernel; stored, not enforced";
	static const char no_burst[] =
		"--cpuburst: no CPU burst on this kernel; stored, not enforced";
	struct vz_error unused;
	uint64_t burst, now = 0;
	int r = burst_for(a, pct, &burst);

	if (r < 0)
		return r;
	if (a->cg->drv->get(a->cg, CG_CPU_BURST_US, &now, &unused) == 0 && burst < now)
		r = cg_apply_knob(a, CG_CPU_BURST_US, burst, true, no_burst);
	if (r == 0)
		r = cg_apply_knob(a, CG_CPU_MAX_PCT, pct, pct != UINT64_MAX, no_quota);
	if (r == 0 && burst > now)
		r = cg_apply_knob(a, CG_CPU_BURST_US, burst, true, no_burst);
	return r;
}

int cg_apply_cpu(struct cg_apply *a)
{
	const struct vps_config *c = a->cfg;
	bool units_set = vps_is_set(c, VP_CPUUNITS) && c->cpuunits > 0;
	uint64_t units = units_set ? c->cpuunits : CPUUNITS_DEFAULT;
	int r = cg_apply_knob(a, CG_CPU_WEIGHT, units, units_set,
			      "--cpuunits: no cpu controller on this kernel; stored, not enforced");

	if (r == 0 && units_set)
		r = tell_if_clamped(a, units);
	return r < 0 ? r : apply_limit(a, vps_cpu_pct(c));
}

/* ---- nodes ---- */

/* List file of node @n, without its line end. Return: as cg_read, -ENODEV when there is no such node. */
static int node_list(const char *nodedir, unsigned int n, char **ret)
{
	char file[32];
	int r;

	(void)snprintf(file, sizeof(file), "node%u/cpulist", n);
	r = cg_read(nodedir, file, ret);
	if (r < 0)
		return r == -EOPNOTSUPP ? -ENODEV : r;
	(*ret)[strcspn(*ret, "\n")] = '\0';
	return 0;
}

int cg_node_cpus(const char *nodedir, const char *nodes, char **ret)
{
	uint64_t bits[NODES_MAX / 64];
	VZ_BUF struct vz_buf b = { 0 };
	int r = vz_parse_cpulist(nodes, bits, NODES_MAX);

	for (unsigned int n = 0; r == 0 && n < NODES_MAX; n++) {
		VZ_FREE char *cpus = NULL;

		if (!(bits[n / 64] & UINT64_C(1) << n % 64))
			continue;
		r = node_list(nodedir, n, &cpus);
		if (r < 0)
			return r;
		if (*cpus && b.len)
			vz_buf_str(&b, ",");
		vz_buf_str(&b, cpus);
	}
	if (r < 0)
		return r;
	if (b.failed)
		return -ENOMEM;
	if (!b.len)
		return -ENODEV; /* nodes with memory only */
	*ret = vz_take_ptr(&b.s);
	return 0;
}

/** struct node - one with CPUs; bytes */
struct node {
	unsigned int n;
	uint64_t total, free;
	bool chosen;
};

/* "Node 0 MemFree:   123 kB" in bytes; 0 when there is no such line. */
static uint64_t node_memory(const char *nodedir, unsigned int n, const char *key)
{
	VZ_FREE char *text = NULL;
	char file[32], number[24];
	const char *p;
	uint64_t kib = 0;

	(void)snprintf(file, sizeof(file), "node%u/meminfo", n);
	p = cg_read(nodedir, file, &text) == 0 ? strstr(text, key) : NULL;
	if (!p)
		return 0;
	p += strcspn(p, "0123456789\n");
	(void)snprintf(number, sizeof(number), "%.*s", (int)strspn(p, "0123456789"), p);
	return vz_parse_u64(number, 0, UINT64_MAX >> 10, &kib) == 0 ? kib << 10 : 0;
}

/* Nodes with CPUs, of all or only with some of @cpus. Return: how many; -errno. */
static int read_nodes(const char *nodedir, const char *cpus, struct node ret[NODES_MAX])
{
	uint64_t online[NODES_MAX / 64], want[CPUS_MAX / 64] = { 0 }, have[CPUS_MAX / 64];
	VZ_FREE char *list = NULL;
	int r = cg_read(nodedir, "online", &list), count = 0;

	if (r == 0) {
		list[strcspn(list, "\n")] = '\0';
		r = vz_parse_cpulist(list, online, NODES_MAX);
	}
	if (r == 0 && cpus)
		r = vz_parse_cpulist(cpus, want, CPUS_MAX);
	for (unsigned int n = 0; r == 0 && n < NODES_MAX; n++) {
		VZ_FREE char *own = NULL;
		bool any = !cpus;

		if (!(online[n / 64] & UINT64_C(1) << n % 64))
			continue;
		r = node_list(nodedir, n, &own);
		if (r < 0 || !*own || vz_parse_cpulist(own, have, CPUS_MAX) < 0)
			continue;
		for (size_t i = 0; !any && i < CPUS_MAX / 64; i++)
			any = want[i] & have[i];
		if (any)
			ret[count++] = (struct node){ .n = n,
						      .total = node_memory(nodedir, n, "MemTotal:"),
						      .free = node_memory(nodedir, n, "MemFree:") };
	}
	return r < 0 ? r : count;
}

static void choose(struct node *nodes, int count, uint64_t ram_bytes)
{
	uint64_t held = 0;

	while (held < ram_bytes) {
		struct node *best = NULL;

		for (int i = 0; i < count; i++)
			if (!nodes[i].chosen && (!best || nodes[i].free > best->free))
				best = &nodes[i];
		if (!best)
			return;
		best->chosen = true;
		held += best->total;
	}
}

int cg_node_auto(const char *nodedir, const char *cpus, uint64_t ram_bytes, char **ret)
{
	VZ_FREE struct node *nodes = calloc(NODES_MAX, sizeof(*nodes));
	VZ_BUF struct vz_buf b = { 0 };
	int count;

	*ret = NULL;
	if (!nodes)
		return -ENOMEM;
	if (!cpus && ram_bytes == UINT64_MAX)
		return 0;
	count = read_nodes(nodedir, cpus, nodes);
	if (count == -ENOENT || count == -EOPNOTSUPP)
		return 0; /* a kernel without NUMA */
	if (count <= 0)
		return count < 0 ? count : -ENODEV;
	if (!cpus)
		choose(nodes, count, ram_bytes ? ram_bytes : 1);
	for (int i = 0; i < count; i++)
		if (cpus || nodes[i].chosen)
			vz_buf_fmt(&b, "%s%u", b.len ? "," : "", nodes[i].n);
	if (b.failed)
		return -ENOMEM;
	*ret = vz_take_ptr(&b.s);
	return 0;
}

/* ---- masks ---- */

/* cgroup2 takes CPUs that are not there and then ignores the list: refuse it on both. */
static int check_present(const char *dir, const char *list, unsigned int max)
{
	uint64_t want[CPUS_MAX / 64], have[CPUS_MAX / 64];
	VZ_FREE char *online = NULL;
	int r;

	if (cg_read(dir, "online", &online) < 0)
		return 0;
	online[strcspn(online, "\n")] = '\0';
	r = vz_parse_cpulist(list, want, max);
	if (r < 0 || vz_parse_cpulist(online, have, max) < 0)
		return r;
	for (unsigned int i = 0; i < max / 64; i++)
		if (want[i] & ~have[i])
			return -ENODEV;
	return 0;
}

static const char *unless_all(bool set, const char *s)
{
	return set && s && *s && !vz_streq(s, "all") ? s : NULL;
}

/** struct masks - what the two parameters come to; NULL = all. @auto_*: owned */
struct masks {
	const char *cpus, *mems;
	char *auto_cpus, *auto_mems;
};

static void masks_clear(struct masks *m)
{
	free(m->auto_cpus);
	free(m->auto_mems);
}

/* The CPUs of the nodes, the nodes of the CPUs, or, both automatic, nodes by memory and their CPUs. */
static int resolve(struct cg_apply *a, struct masks *m)
{
	bool auto_cpus = m->cpus && vz_streq(m->cpus, "auto");
	int r = 0;

	if (m->mems && vz_streq(m->mems, "auto")) {
		r = cg_node_auto(NODE_DIR, auto_cpus ? NULL : m->cpus, vps_ram_bytes(a->cfg),
				 &m->auto_mems);
		if (r < 0)
			return vz_fail(a->err, RES_EXIT_CPU, -r,
				       "--nodemask auto: no NUMA node of CPUs %s",
				       m->cpus && !auto_cpus ? m->cpus : "of this node");
		m->mems = m->auto_mems;
	}
	if (auto_cpus) {
		if (m->mems)
			r = cg_node_cpus(NODE_DIR, m->mems, &m->auto_cpus);
		if (r < 0)
			return vz_fail(a->err, RES_EXIT_CPU, -r, "CPUs of the nodes %s", m->mems);
		m->cpus = m->auto_cpus;
	}
	return 0;
}

int cg_apply_cpuset(struct cg_apply *a)
{
	struct masks m __attribute__((cleanup(masks_clear))) = {
		.cpus = unless_all(vps_is_set(a->cfg, VP_CPUMASK), a->cfg->cpumask),
		.mems = unless_all(vps_is_set(a->cfg, VP_NODEMASK), a->cfg->nodemask),
	};
	int r;

	if (m.mems && !vz_streq(m.mems, "auto") && check_present(NODE_DIR, m.mems, NODES_MAX) < 0)
		return vz_fail(a->err, RES_EXIT_CPU, ENODEV,
			       "--nodemask %s: not all of them are online", m.mems);
	if (m.cpus && !vz_streq(m.cpus, "auto") && check_present(CPU_DIR, m.cpus, CPUS_MAX) < 0)
		return vz_fail(a->err, RES_EXIT_CPU, ENODEV,
			       "--cpumask %s: not all of them are online", m.cpus);
	r = resolve(a, &m);
	if (r < 0)
		return r;
	r = a->cg->drv->cpuset(a->cg, m.cpus, m.mems, a->err);
	if (r != -EOPNOTSUPP)
		return r;
	if (m.cpus || m.mems)
		return cg_apply_tell(a,
				     "--cpumask, --nodemask: no cpuset controller on this kernel; "
				     "stored, not enforced");
	*a->err = (struct vz_error){ 0 };
	return 0;
}
