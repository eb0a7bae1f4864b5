/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Apply groups of the parameter table bound to the rooms: what a live change means. */
#include "ops/priv.h"

#include "context/context.h"
#include "dist/dist.h"
#include "net/net.h"
#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct applying {
	struct op *o;
	const struct vps_state *st;
	const struct vps_config *old;
	const bool *changed;
	struct vz_list missing;
};

static int apply_res(struct applying *a, enum vps_group group, struct vz_error *err)
{
	RES_CG struct cg *cg = NULL;
	int r = res_open(&a->st->cgroups, &cg, err);

	return r < 0 ? r : res_apply(cg, &a->o->cfg, 1U << group, &a->missing, err);
}

static int apply_cpu(struct applying *a, struct vz_error *err)
{
	const struct vps_config *c = &a->o->cfg;
	int r;

	if (a->changed[VP_CPULIMIT])
		vz_say("Setting CPU limit: %" PRIu64, c->cpulimit);
	if (a->changed[VP_CPUUNITS])
		vz_say("Setting CPU units: %" PRIu64, c->cpuunits);
	if (a->changed[VP_CPUS])
		vz_say("Setting CPUs: %" PRIu64, c->cpus);
	r = apply_res(a, AG_CPU, err);
	if (r == 0 && a->changed[VP_CPUUNITS])
		op_node_share(c);
	return r;
}

static int apply_cpuset(struct applying *a, struct vz_error *err)
{
	return apply_res(a, AG_CPUSET, err);
}

static int apply_io(struct applying *a, struct vz_error *err)
{
	return apply_res(a, AG_IO, err);
}

static int apply_mem(struct applying *a, struct vz_error *err)
{
	return apply_res(a, AG_MEM, err);
}

static int apply_pids(struct applying *a, struct vz_error *err)
{
	return apply_res(a, AG_PIDS, err);
}

static int apply_ubc(struct applying *a, struct vz_error *err)
{
	int r = op_limits_apply(a->o, err);

	if (r == 0)
		r = apply_res(a, AG_UBC, err);
	if (r == 0)
		op_limits_live(a->o, a->st, a->old);
	return r;
}

int op_devnode(const char *word, struct ctx_dev *ret, struct vz_error *err)
{
	size_t n = (size_t)(strrchr(word, ':') - word);
	struct ctx_dev d = { .name = "" };
	char path[PATH_MAX];
	struct stat st;

	if (n >= sizeof(d.name))
		return vz_fail(err, VZ_EXIT_DEVICES, ENAMETOOLONG, "device node %s", word);
	memcpy(d.name, word, n);
	if (stat(vps_path(path, "/dev/%s", d.name), &st) < 0 ||
	    (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)))
		return vz_fail(err, VZ_EXIT_DEVICES, ENODEV, "%s of --devnodes", path);
	d.mode = (st.st_mode & S_IFMT) | 0666;
	d.major = major(st.st_rdev);
	d.minor = minor(st.st_rdev);
	*ret = d;
	return 0;
}

static int apply_dev(struct applying *a, struct vz_error *err)
{
	const struct vz_list *l = &a->o->cfg.devnodes;
	struct ctx_dev devs[CTX_DEVS];
	size_t n = 0;
	int r = apply_res(a, AG_DEV, err);

	for (; r == 0 && n < l->n && n < CTX_DEVS; n++)
		r = op_devnode(l->v[n], &devs[n], err);
	if (r < 0 || n == 0)
		return r;
	r = ctx_make_devs(a->st, devs, n);
	return r < 0 ? vz_fail(err, VZ_EXIT_DEVICES, -r, "make the device nodes in VPS %u",
			       a->o->ctid)
		     : 0;
}

static int netns_of(const struct vps_state *st, struct vz_error *err)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)st->init_pid);
	fd = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
	return fd < 0 ? vz_fail(err, VZ_EXIT_CANT_ADDIP, -fd, "open %s", path) : fd;
}

int op_addr_add_all(const struct op *o, const char *ifname, int netns, struct vz_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->cfg.ip_address.n; i++) {
		const char *addr = o->cfg.ip_address.v[i];

		if (strchr(addr, ':') && !o->cfg.ipv6) {
			vz_info("IPV6=no in vz.conf: address %s is left out", addr);
			continue;
		}
		r = net_addr_add(ifname, netns, addr, err);
	}
	return r;
}

static int change_addrs(struct applying *a, const struct vz_list *from, const struct vz_list *to,
			bool add, struct vz_error *err)
{
	VZ_LIST struct vz_list todo = { 0 };
	VZ_FREE char *text = NULL;
	VZ_FD int netns = -EBADF;
	int r = 0;

	for (size_t i = 0; r == 0 && i < to->n; i++)
		if (vz_list_find(from, to->v[i]) < 0)
			r = vz_list_add(&todo, to->v[i]);
	if (r < 0 || todo.n == 0)
		return r;
	text = vz_list_join(&todo, " ");
	vz_say("%s IP address(es): %s", add ? "Adding" : "Deleting", text ? text : "");
	netns = netns_of(a->st, err);
	if (netns < 0)
		return netns;
	for (size_t i = 0; r == 0 && i < todo.n; i++)
		r = add ? net_addr_add(a->st->ifname, netns, todo.v[i], err)
			: net_addr_del(a->st->ifname, netns, todo.v[i], err);
	return r;
}

static int dist_running(struct applying *a, unsigned int what, struct vz_error *err)
{
	VZ_FREE char *resolv = op_host_resolv();
	VZ_FD int root = -EBADF, userns = -EBADF;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)a->st->init_pid);
	root = vz_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)a->st->init_pid);
	userns = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (root < 0 || userns < 0)
		return vz_fail(err, VZ_EXIT_NOT_RUNNING, -(root < 0 ? root : userns), "open %s",
			       path);
	return dist_apply(root, userns, &a->o->cfg, what, resolv, err);
}

static int apply_net(struct applying *a, struct vz_error *err)
{
	const struct vz_list *old = &a->old->ip_address, *now = &a->o->cfg.ip_address;
	int r = change_addrs(a, now, old, false, err);

	if (r == 0)
		r = change_addrs(a, old, now, true, err);
	return r < 0 ? r : dist_running(a, DIST_NETWORK, err);
}

static int apply_host(struct applying *a, struct vz_error *err)
{
	/* as start names it; files inside are left when no name is configured */
	const char *name = a->o->cfg.hostname ? a->o->cfg.hostname : "localhost";
	int r;

	if (strlen(name) > 64)
		return vz_fail(err, VZ_EXIT_BAD_HOSTNAME, 0,
			       "host name %s is longer than 64 characters", name);
	r = ctx_set_hostname(a->st, name);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "set host name %s", name);
	vz_say("Set hostname: %s", name);
	return dist_running(a, DIST_HOSTNAME, err);
}

static int apply_dns(struct applying *a, struct vz_error *err)
{
	int r = dist_running(a, DIST_DNS, err);

	if (r == 0)
		vz_say("File resolv.conf was modified");
	return r;
}

/* Order of the table is the order of application. */
static const struct {
	enum vps_group group;
	int (*run)(struct applying *a, struct vz_error *err);
} appliers[] = {
	{ AG_MEM, apply_mem }, { AG_PIDS, apply_pids },	    { AG_UBC, apply_ubc },
	{ AG_CPU, apply_cpu }, { AG_CPUSET, apply_cpuset }, { AG_IO, apply_io },
	{ AG_DEV, apply_dev }, { AG_NET, apply_net },	    { AG_HOST, apply_host },
	{ AG_DNS, apply_dns },
};

static bool group_changed(enum vps_group group, const bool changed[VP_MAX])
{
	for (int id = 0; id < VP_MAX; id++)
		if (changed[id] && vps_param(id)->group == group)
			return true;
	return false;
}

/* The old values again, for the groups up to and with @last; its own failures are only said. */
static void roll_back(const struct applying *a, size_t last)
{
	VPS_CONFIG struct vps_config wanted = { 0 };
	struct applying back = { .o = a->o, .st = a->st, .old = &wanted, .changed = a->changed };
	struct vz_error err;

	if (vps_config_copy(&wanted, &a->o->cfg) < 0)
		return;
	for (int id = 0; id < VP_MAX; id++)
		if (a->changed[id] && vps_param_copy(&a->o->cfg, a->old, id) < 0)
			return;
	for (size_t i = 0; i <= last; i++)
		if (group_changed(appliers[i].group, a->changed) &&
		    appliers[i].run(&back, &err) < 0)
			vz_warn("WARNING: going back: %s", err.msg);
	vz_list_clear(&back.missing);
}

void op_apply_back(struct op *o, const struct vps_state *st, const struct vps_config *old,
		   const bool changed[VP_MAX])
{
	const struct applying a = { .o = o, .st = st, .old = old, .changed = changed };

	roll_back(&a, sizeof(appliers) / sizeof(*appliers) - 1);
}

int op_apply_running(struct op *o, const struct vps_state *st, const struct vps_config *old,
		     const bool changed[VP_MAX], struct vz_error *err)
{
	struct applying a = { .o = o, .st = st, .old = old, .changed = changed };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(appliers) / sizeof(*appliers); i++) {
		if (!group_changed(appliers[i].group, changed))
			continue;
		r = appliers[i].run(&a, err);
		if (r < 0)
			roll_back(&a, i);
	}
	if (r == 0)
		op_warn_said(o, &a.missing);
	vz_list_clear(&a.missing);
	return r;
}
