/* SPDX-License-Identifier: GPL-2.0-or-later */
/* start: one table of host steps, each with its undo. */
#include "ops/boot.h"

#include "context/context.h"
#include "dist/dist.h"
#include "net/net.h"
#include "ops/steps.h"
#include "ops/ubc.h"
#include "ubc/ubc.h"
#include "util/fd.h"
#include "util/kernel.h"
#include "util/log.h"
#include "util/proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the steps ---- */

int op_boot_mount(void *arg, struct vz_error *err)
{
	struct starting *s = arg;
	int r = op_do_mount(s->o, !s->a->skip_remount, &s->was_mounted, err);

	if (r == 0 && !s->a->bare)
		vz_say("VPS is mounted");
	return r;
}

void op_boot_umount(void *arg)
{
	struct starting *s = arg;
	struct vz_error err;

	if (!s->was_mounted && sto_mounted(s->o->cfg.ve_root) && op_do_umount(s->o, &err) < 0)
		vz_warn("WARNING: %s", err.msg);
}

int op_boot_root(void *arg, struct vz_error *err)
{
	struct starting *s = arg;

	return op_root_fd(s->o, &s->root, err);
}

int op_boot_groups(void *arg, struct vz_error *err)
{
	struct starting *s = arg;
	VZ_LIST struct vz_list missing = { 0 };
	unsigned int all = 1 << AG_CPU | 1 << AG_CPUSET | 1 << AG_MEM | 1 << AG_PIDS | 1 << AG_DEV |
			   1 << AG_UBC;
	int r = res_create(s->o->ctid, (uid_t)s->o->base, &s->st.cgroups, &s->cg, err);

	if (res_io_wanted(&s->o->cfg))
		all |= 1 << AG_IO; /* else nothing to be done for groups that are new */
	if (r == 0)
		r = res_apply(s->cg, &s->o->cfg, all, &missing, err);
	if (r == 0)
		op_node_share(&s->o->cfg);
	for (size_t i = 0; i < missing.n; i++)
		vz_info("%s", missing.v[i]); /* `set` said it; stderr of start stays empty */
	if (r == 0) {
		r = res_birthplace(s->cg, &s->fds.group, s->fds.procs, CTX_PROCS, err);
		s->fds.nprocs = r > 0 ? (size_t)r : 0;
		r = r < 0 ? r : 0;
	}
	return r;
}

void op_boot_groups_remove(void *arg)
{
	struct starting *s = arg;
	struct vz_error err;

	if (s->cg && (res_kill_all(s->cg, 10000, &err) < 0 || res_remove(s->cg, &err) < 0))
		vz_warn("WARNING: %s", err.msg);
	op_node_share(&s->o->cfg);
	ubc_forget(s->o->ctid);
}

int op_boot_counters(void *arg, struct vz_error *err)
{
	struct starting *s = arg;

	return op_limits_begin(s->o, &s->st, err);
}

/*
 * Without systemd the boot tells its end through a FIFO; it is opened before anything of the
 * tenant's runs.
 */
static int prepare_fifo(struct starting *s, struct vz_error *err)
{
	struct stat st;
	int r = dist_apply(s->root, s->o->userns, &s->o->cfg, DIST_WAIT, NULL, err);

	if (r < 0)
		return vz_wrap(err, r, "--wait cannot be had for an init of kind \"%s\"",
			       s->st.init_kind);
	s->notify = vz_open_nolink(s->root, &DIST_FIFO[1], O_RDWR | O_NONBLOCK, 0);
	if (s->notify < 0)
		return vz_fail(err, VZ_EXIT_WAIT, -s->notify, "open " DIST_FIFO);
	if (fstat(s->notify, &st) < 0 || !S_ISFIFO(st.st_mode))
		return vz_fail(err, VZ_EXIT_WAIT, 0, DIST_FIFO " is no FIFO");
	return 0;
}

static int step_dist(void *arg, struct vz_error *err)
{
	const unsigned int files = DIST_HOSTNAME | DIST_DNS | DIST_NETWORK | DIST_BOOT | DIST_KEYS;
	struct starting *s = arg;
	VZ_FREE char *resolv = op_host_resolv();
	struct vz_error told, ignored;
	int r = dist_start(s->root, s->o->userns, &s->o->cfg, s->a->skip_setup ? 0 : files, resolv,
			   &s->init, &told, err);

	if (r < 0 && !s->a->skip_setup) { /* killed over a file, perhaps: look at the init alone */
		told = *err;
		r = dist_start(s->root, s->o->userns, &s->o->cfg, 0, NULL, &s->init, &ignored, err);
	}
	if (r < 0)
		return r;
	/*
	 * a tenant's broken /etc must not keep the VPS from starting: it is reachable without these
	 * files
	 */
	if (told.exit)
		vz_warn("WARNING: %s", told.msg);
	memcpy(s->st.init_kind, s->init.kind, sizeof(s->st.init_kind));
	if (!s->init.path[0] && !s->a->bare)
		return vz_fail(err, VZ_EXIT_BAD_TEMPLATE, ENOENT,
			       "no init in the VPS (/sbin/init, /etc/init, /bin/init)");
	return s->a->wait && strcmp(s->st.init_kind, "systemd") != 0 ? prepare_fifo(s, err) : 0;
}

/* Nodes that every VPS has, then those of --devnodes as they are on the host. */
static int fill_devs(struct starting *s, struct vz_error *err)
{
	static const struct ctx_dev plain[] = {
		{ "null", S_IFCHR | 0666, 1, 3 },    { "zero", S_IFCHR | 0666, 1, 5 },
		{ "full", S_IFCHR | 0666, 1, 7 },    { "random", S_IFCHR | 0666, 1, 8 },
		{ "urandom", S_IFCHR | 0666, 1, 9 }, { "tty", S_IFCHR | 0666, 5, 0 },
	};
	struct ctx_orders *o = &s->orders;
	const struct vz_list *l = &s->o->cfg.devnodes;

	memcpy(o->devs, plain, sizeof(plain));
	o->ndevs = sizeof(plain) / sizeof(*plain);
	if (l->n + o->ndevs > CTX_DEVS)
		return vz_fail(err, VZ_EXIT_DEVICES, E2BIG, "too many device nodes");
	for (size_t i = 0; i < l->n; i++) {
		int r = op_devnode(l->v[i], &o->devs[o->ndevs++], err);

		if (r < 0)
			return r;
	}
	return 0;
}

int op_boot_orders(struct starting *s, struct vz_error *err)
{
	struct ctx_orders *o = &s->orders;
	const struct vps_config *c = &s->o->cfg;
	uint64_t ram = vps_ram_bytes(c);
	char path[PATH_MAX];
	int r = fill_devs(s, err);

	if (r < 0)
		return r;
	o->version = CTX_ORDERS_VERSION;
	o->ctid = s->o->ctid;
	o->generation = s->st.generation;
	o->uid_base = s->o->base;
	o->uid_count = s->o->count;
	o->caps = s->st.caps = vps_caps_mask(c);
	/* half of the VPS's memory, as the kernel's own default does for a host */
	o->run_bytes = ram == UINT64_MAX ? UINT64_C(512) << 20 : ram / 2;
	if (o->run_bytes < 1 << 20)
		o->run_bytes = 1 << 20;
	o->run_inodes = 100000;
	op_limits_orders(c, o);
	o->oom_adj = res_oom_adj(s->cg, c);
	o->bare = s->a->bare;
	o->notify = s->a->wait && !strcmp(s->st.init_kind, "systemd");
	o->service_rules =
		!strcmp(s->st.init_kind, "systemd") && vps_onoff(&c->features, "checkpoint", true);
	o->nesting = vps_onoff(&c->features, "nesting", false);
	o->has_seccomp = s->fds.seccomp >= 0;
	o->has_script = s->fds.start_script >= 0;
	o->nprocs = (uint8_t)s->fds.nprocs;
	r = vz_copy(o->hostname, sizeof(o->hostname), c->hostname ? c->hostname : "localhost");
	if (r < 0)
		return vz_fail(err, VZ_EXIT_BAD_HOSTNAME, 0,
			       "host name %s is longer than 64 characters, which Linux cannot set",
			       c->hostname);
	if (r == 0)
		r = vz_copy(o->init, sizeof(o->init), s->init.path);
	if (r == 0)
		r = vz_copy(o->rundir, sizeof(o->rundir),
			    vps_path(path, "%s/%u", vps_paths()->run, s->o->ctid));
	if (r == 0)
		r = vz_copy(o->vzctl, sizeof(o->vzctl),
			    vps_path(path, "%s/vzctl-admin", vps_paths()->libexec));
	if (r == 0 && c->logging && c->logfile)
		r = vz_copy(o->log, sizeof(o->log), c->logfile);
	return r < 0 ? vz_fail(err, VZ_EXIT_ENVCREATE, -r, "orders for vzmon") : 0;
}

/* The filter is kept beside the state, for commands that enter later. */
int op_boot_seccomp(struct starting *s, struct vz_error *err)
{
	const struct vz_list *features = &s->o->cfg.features;
	unsigned int allow = 0;
	VZ_FREE char *bytes = NULL;
	char path[PATH_MAX];
	ssize_t n;
	int r;

	if (vps_onoff(features, "nesting", false))
		allow |= CTX_ALLOW_NESTING;
	if (vps_onoff(features, "io_uring", false))
		allow |= CTX_ALLOW_IO_URING;
	if (vps_onoff(features, "socketcall", true))
		allow |= CTX_ALLOW_SOCKETCALL;
	s->fds.seccomp = ctx_seccomp(allow, err);
	if (s->fds.seccomp < 0)
		return s->fds.seccomp;
	n = vz_read_all(s->fds.seccomp, 65536, &bytes);
	(void)vps_path(path, "%s/%u/seccomp.bpf", vps_paths()->run, s->o->ctid);
	r = n < 0 ? (int)n : vz_write_volatile(path, bytes, (size_t)n, 0600);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "write %s", path);
	s->st.seccomp = true;
	return 0;
}

/*
 * --features nesting:on on an overlay: an overlay cannot be the upper layer of another, so the
 * engines' directories come from PRIVATE/volumes, idmapped; they are moved and backed up with the
 * VPS.
 */
int op_boot_volumes(struct starting *s, struct vz_error *err)
{
	static const char *const names[CTX_VOLUMES] = { "docker", "containerd", "containers" };
	char path[PATH_MAX];

	if (!s->orders.nesting || !s->o->layout->needs_template)
		return 0;
	for (size_t i = 0; i < CTX_VOLUMES; i++) {
		int r = vz_mkdir_p(vps_path(path, "%s/volumes/%s", s->o->cfg.ve_private, names[i]),
				   0755);
		int fd = r < 0 ? r : sto_volume(path, s->o->userns);

		if (fd < 0)
			return vz_fail(err, VZ_EXIT_MOUNT, -fd, "volume %s", path);
		s->fds.volumes[s->fds.nvolumes++] = fd;
	}
	return 0;
}

/* Early: it is loaded on one processor while we work on another; so is the server of the view. */
int op_boot_monitor(void *arg, struct vz_error *err)
{
	struct starting *s = arg;
	int group, tasks[CTX_PROCS], n, r;
	struct vz_error ignored;

	n = res_monitor_place(&group, tasks, CTX_PROCS, &ignored);
	if (n < 0)
		vz_info("%s", ignored.msg); /* in our own groups, then */
	r = ctx_monitor(group, tasks, n < 0 ? 0 : (size_t)n, &s->ctx, err);
	vz_closep(&group);
	while (n > 0)
		vz_closep(&tasks[--n]);
	if (r == 0 && !s->a->bare)
		s->view = op_view_begin(s->o, s->covered, &s->ctx);
	return r;
}

void op_boot_monitor_abort(void *arg)
{
	struct starting *s = arg;
	struct vz_error err;

	ctx_abort(&s->ctx);
	if (res_view_remove(s->o->ctid, &err) < 0)
		vz_warn("WARNING: %s", err.msg);
}

static int step_spawn(void *arg, struct vz_error *err)
{
	struct starting *s = arg;
	int r = op_boot_seccomp(s, err);

	if (r < 0)
		return r;
	s->fds.root = s->root;
	s->fds.start_script = s->a->bare ? -ENOENT : op_script_inside(s->o, "start");
	if (s->fds.start_script < 0 && s->fds.start_script != -ENOENT)
		return vz_fail(err, VZ_EXIT_SCRIPT, -s->fds.start_script, "read the start script");
	r = op_boot_orders(s, err);
	if (r == 0)
		r = op_ubc_prepare(s->o->ctid, s->o->base, err);
	if (r == 0)
		r = op_boot_volumes(s, err);
	s->orders.nvolumes = (uint8_t)s->fds.nvolumes;
	if (r == 0)
		r = ctx_spawn(&s->orders, &s->fds, &s->ctx, err);
	return r;
}

static int step_network(void *arg, struct vz_error *err)
{
	struct starting *s = arg;
	const struct vz_list *ips = &s->o->cfg.ip_address;
	bool v6 = false;
	int r;

	if (s->a->bare)
		return 0;
	for (size_t i = 0; i < ips->n; i++)
		v6 = v6 || strchr(ips->v[i], ':');
	net_ifname(s->o->ctid, s->st.generation, s->st.ifname);
	r = net_link_create(s->st.ifname, s->ctx.netns, v6 && s->o->cfg.ipv6, err);
	if (r == 0)
		r = op_addr_add_all(s->o, s->st.ifname, s->ctx.netns, err);
	return r;
}

void op_boot_unlink(void *arg)
{
	struct starting *s = arg;
	struct vz_error err;

	if (s->st.ifname[0] && net_link_delete(s->st.ifname, &err) < 0)
		vz_warn("WARNING: %s", err.msg);
}

static int step_ready(void *arg, struct vz_error *err)
{
	struct starting *s = arg;
	int r = ctx_rooted(&s->ctx, err);

	if (r < 0)
		return r;
	if (s->view)
		ctx_view_show(&s->ctx);
	if (s->orders.notify) {
		s->notify = ctx_notify_open(&s->ctx, s->o->base, err);
		if (s->notify < 0)
			return s->notify;
	}
	r = ctx_network_ready(&s->ctx, err);
	if (r == 0 && s->view)
		op_view_shown(&s->ctx, &s->st.view);
	return r;
}

int op_boot_state(void *arg, struct vz_error *err)
{
	struct starting *s = arg;
	struct vps_state *st = &s->st;
	int r = vz_boot_id(st->boot_id);

	st->init_pid = s->ctx.init_pid;
	st->mon_pid = s->ctx.mon_pid;
	st->started_ms = vz_now_ms();
	st->uid_base = s->o->base;
	st->uid_count = s->o->count;
	if (r == 0)
		r = vz_proc_starttime(st->init_pid, &st->init_start);
	if (r == 0)
		r = vz_proc_starttime(st->mon_pid, &st->mon_start);
	if (r == 0)
		r = vz_copy(st->layout, sizeof(st->layout), s->o->layout->name);
	if (r == 0 && !s->a->bare)
		r = vz_list_copy(&st->addrs, &s->o->cfg.ip_address);
	if (r == 0)
		r = vps_state_save(s->o->ctid, st);
	return r < 0 ? vz_fail(err, VZ_EXIT_ENVCREATE, -r, "save the state of VPS %u", s->o->ctid)
		     : 0;
}

void op_boot_state_forget(void *arg)
{
	struct starting *s = arg;

	vps_state_forget(s->o->ctid);
}

static int step_go(void *arg, struct vz_error *err)
{
	struct starting *s = arg;

	return ctx_go(&s->ctx, err);
}

static const struct op_step start_steps[] = {
	{ "monitor", op_boot_monitor, op_boot_monitor_abort },
	{ "mount", op_boot_mount, op_boot_umount },
	{ "root", op_boot_root, NULL },
	{ "dist", step_dist, NULL },
	{ "resources", op_boot_groups, op_boot_groups_remove },
	{ "counters", op_boot_counters, NULL }, /* with the resources */
	{ "spawn", step_spawn, op_boot_monitor_abort }, /* before the groups are removed */
	{ "network", step_network, op_boot_unlink },
	{ "ready", step_ready, NULL },
	{ "state", op_boot_state, op_boot_state_forget },
	{ "go", step_go, NULL },
};

/* ---- around them ---- */

/*
 * A counter of starts, part of link names: a link of this start never meets a dying one of the
 * last.
 */
uint32_t op_boot_generation(uint32_t ctid)
{
	char path[PATH_MAX], text[24];
	uint64_t n = 0;

	(void)vps_path(path, "%s/%u/generation", vps_paths()->run, ctid);
	if (vz_read_u64(AT_FDCWD, path, &n) < 0)
		n = 0;
	n = (n + 1) & 0xfffff;
	(void)snprintf(text, sizeof(text), "%" PRIu64 "\n", n);
	if (vz_write_volatile(path, text, strlen(text), 0600) < 0)
		n = (uint64_t)(unsigned int)getpid() & 0xfffff;
	return (uint32_t)n;
}

static void say_settings(const struct op *o)
{
	const struct vps_config *c = &o->cfg;

	if (c->ip_address.n) {
		VZ_FREE char *all = vz_list_join(&c->ip_address, " ");

		vz_say("Adding IP address(es): %s", all ? all : "");
	}
	if (c->source[VP_CPULIMIT] >= VS_GLOBAL && c->cpulimit)
		vz_say("Setting CPU limit: %" PRIu64, c->cpulimit);
	if (c->source[VP_CPUUNITS] >= VS_GLOBAL)
		vz_say("Setting CPU units: %" PRIu64, c->cpuunits);
	if (c->source[VP_CPUS] >= VS_GLOBAL && c->cpus)
		vz_say("Setting CPUs: %" PRIu64, c->cpus);
}

/* systemd tells READY=1, others write into the FIFO. An hour as in vzctl. */
static int wait_booted(const struct starting *s, struct vz_error *err)
{
	const int hour_ms = 3600 * 1000;
	int r = 0;

	if (s->notify >= 0)
		r = s->orders.notify ? ctx_notify_wait(s->notify, s->ctx.init_pidfd, hour_ms)
				     : ctx_fifo_wait(s->notify, s->ctx.init_pidfd, hour_ms);
	if (r == 0) {
		vz_say("VPS started successfully");
		return 0;
	}
	return vz_fail(err, VZ_EXIT_WAIT, 0, "VPS wait failed%s",
		       r == -ETIMEDOUT ? " - timeout expired" : "");
}

void op_boot_release(struct starting *s)
{
	vz_closep(&s->root);
	vz_closep(&s->notify);
	vz_closep(&s->fds.dev);
	vz_closep(&s->fds.group);
	vz_closep(&s->fds.seccomp);
	vz_closep(&s->fds.start_script);
	for (size_t i = 0; i < s->fds.nprocs; i++)
		vz_closep(&s->fds.procs[i]);
	for (size_t i = 0; i < s->fds.nvolumes; i++)
		vz_closep(&s->fds.volumes[i]);
	ctx_start_close(&s->ctx);
	res_closep(&s->cg);
	vps_state_clear(&s->st);
}

static int preconditions(struct op *o, const struct op_start *a, struct vz_error *err)
{
	int r = vz_kernel_check(VZ_NEED_BUILD, err);

	if (r < 0)
		return r;
	if (o->bad)
		return vz_fail(err, VZ_EXIT_INVALID_CONFIG, 0,
			       "%u bad line(s) in the configuration of VPS %u: mend them first",
			       o->bad, o->ctid);
	if (o->cfg.disabled && !a->force)
		return vz_fail(err, VZ_EXIT_DISABLED, 0, "VPS start disabled (--force overrides)");
	if (vps_running(o->ctid, NULL))
		return vz_fail(err, VZ_EXIT_RUNNING, 0, "Container is already running");
	r = vps_run_dir(o->ctid);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "make %s/%u", vps_paths()->run, o->ctid);
	return op_mend(o, err);
}

int op_do_start(struct op *o, const struct op_start *a, struct vz_error *err)
{
	struct starting s = OP_STARTING(o, a);
	int r = preconditions(o, a, err);

	if (r < 0)
		return r;
	if (!a->bare)
		vz_say("Starting VPS ...");
	s.st.generation = op_boot_generation(o->ctid);
	r = op_steps_run("start", OP_STEPS(start_steps), &s, err);
	if (r == 0)
		op_ubc_refresh_unwatched(o->ctid, op_ubc_net);
	if (r == 0 && !a->bare) {
		if (vps_record_running(o->ctid) < 0) /* a full disk must not stop a VPS */
			vz_info("no note in %s/running", vps_paths()->vzdir);
		say_settings(o);
		vz_say(a->wait ? "Container start in progress, waiting ..."
			       : "Container start in progress...");
		if (a->wait)
			r = wait_booted(&s, err);
	}
	op_boot_release(&s);
	return r;
}
