/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running something in a VPS that is not booted: its context without its init. */
#include "ops/priv.h"

#include "context/context.h"
#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <sys/wait.h>

static int run(const struct vps_state *st, uint32_t ctid, const struct ctx_exec *x,
	       struct vz_error *err)
{
	int r = ctx_exec_run(st, ctid, x, err);

	if (r < 0)
		return r;
	return WIFEXITED(r) ? WEXITSTATUS(r)
			    : vz_fail(err, VZ_EXIT_SYSTEM, 0, "Got signal %d", WTERMSIG(r));
}

/* Start the context with a process 1 of ours that only waits, run, and take it down again. */
static int run_bare(struct op *o, const struct ctx_exec *x, struct vz_error *err)
{
	const struct op_start start = {
		.force = true, .skip_setup = true, .bare = true, .skip_remount = true
	};
	VPS_STATE struct vps_state st = { 0 };
	/* without the lock we run for a script, in the middle of a mount that is not ours */
	bool was = sto_mounted(o->cfg.ve_root) &&
		   (o->lock.fd < 0 || op_mount_note(o->ctid) == OP_MOUNT_KEPT);
	struct vz_error ignored;
	int r = op_do_start(o, &start, err);

	if (r < 0)
		return r;
	r = vps_running(o->ctid, &st)
		    ? run(&st, o->ctid, x, err)
		    : vz_fail(err, VZ_EXIT_NOT_RUNNING, 0, "Container is not running");
	if (op_cleanup_dead(o, &ignored) < 0)
		vz_warn("WARNING: %s", ignored.msg);
	if (!was && sto_mounted(o->cfg.ve_root) && op_do_umount(o, &ignored) < 0)
		vz_warn("WARNING: %s", ignored.msg);
	return r;
}

int op_runscript(const struct op_env *env, uint32_t ctid, const char *file, struct vz_error *err)
{
	const struct ctx_exec x = { .flags = CTX_EXEC_STDIN };
	VPS_STATE struct vps_state st = { 0 };
	VZ_FD int fd = vz_openat(AT_FDCWD, file, O_RDONLY, 0);
	OP struct op o;
	int r;

	if (fd < 0)
		return vz_fail(err, VZ_EXIT_NOSCRIPT, -fd, "Unable to open script %s", file);
	r = op_open(&o, env, ctid, "running-script", err);
	if (r < 0)
		return r;
	if (dup2(fd, 0) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "script as standard input");
	return vps_running(ctid, &st) ? run(&st, ctid, &x, err) : run_bare(&o, &x, err);
}

int op_on_root(uint32_t ctid, char *const *argv, struct vz_error *err)
{
	const struct op_env env = { .skiplock = true }; /* the script's caller holds the lock */
	const struct ctx_exec x = { .argv = argv };
	VPS_STATE struct vps_state st = { 0 };
	OP struct op o;
	int r = op_open(&o, &env, ctid, "running-command", err);

	if (r < 0)
		return r;
	if (vps_running(ctid, &st))
		return run(&st, ctid, &x, err);
	if (!sto_mounted(
		    o.cfg.ve_root)) /* mounting would run the premount script that perhaps called us */
		return vz_fail(err, VZ_EXIT_NOT_MOUNTED, 0, "VPS is not mounted");
	return run_bare(&o, &x, err);
}
