/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/priv.h"

#include "context/context.h"
#include "net/net.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* How each init is told to halt: a signal, or 0 for the command `halt` inside. */
static int halt_signal(const char *kind)
{
	if (!strcmp(kind, "systemd"))
		return SIGRTMIN + 3;
	if (!strcmp(kind, "busybox"))
		return SIGUSR2;
	return 0;
}

/* Run a shell inside with @script on its standard input (or a command), nothing of ours attached. */
static int run_inside(const struct op *o, const struct vps_state *st, int script, const char *command)
{
	const char *argv[] = { command, NULL };
	struct ctx_exec x = { .flags = command ? CTX_EXEC_SHELL : CTX_EXEC_STDIN,
			      .argv = (char *const *)argv };
	struct vz_error err;
	pid_t pid = fork();
	int r, null;

	if (pid == 0) {
		null = vz_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);
		if (dup2(script >= 0 ? script : null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
			_exit(126);
		r = ctx_exec_run(st, o->ctid, &x, &err);
		_exit(r < 0 ? 125 : (WIFEXITED(r) ? WEXITSTATUS(r) : 128));
	}
	return pid < 0 ? -errno : vz_wait(pid);
}

static int ask_to_halt(const struct op *o, const struct vps_state *st, int pidfd,
		       struct vz_error *err)
{
	VZ_FD int script = op_script_inside(o, "stop");
	int sig, r;

	if (script >= 0) {
		r = run_inside(o, st, script, NULL);
		if (r != 0)
			return vz_fail(err, VZ_EXIT_SCRIPT, 0, "stop script of VPS %u failed (%d)", o->ctid,
				       r);
	}
	sig = halt_signal(st->init_kind);
	r = sig ? vz_pidfd_signal(pidfd, sig) : run_inside(o, st, -1, "halt");
	vz_debug("asked %s to halt: %d", st->init_kind, r);
	return 0;
}

static int wait_end(struct op *o, const struct vps_state *st, int pidfd, bool fast,
		    struct vz_error *err)
{
	uint64_t timeout = o->cfg.stop_timeout ? o->cfg.stop_timeout : 120;
	RES_CG struct cg *cg = NULL;
	int r = -ETIMEDOUT;

	if (!fast)
		r = vz_pidfd_poll(pidfd, (int)timeout * 1000);
	if (r == 0)
		return 0;
	if (r == -EINTR)
		return vz_fail(err, VZ_EXIT_STOP, EINTR, "stop of VPS %u was interrupted", o->ctid);
	if (!fast)
		vz_say("Killing VPS ...");
	r = res_open(&st->cgroups, &cg, err);
	if (r == 0)
		r = res_kill_all(cg, (int)timeout * 500, err);
	if (r < 0) {
		err->exit = VZ_EXIT_STOP;
		return vz_wrap(err, r, "Unable to stop VPS: operation timed out");
	}
	return 0;
}

int op_cleanup_dead(struct op *o, struct vz_error *err)
{
	VPS_STATE struct vps_state st = { 0 };
	RES_CG struct cg *cg = NULL;
	int r = vps_state_load(o->ctid, &st);

	if (r == -ENOENT || r == -ESTALE) {
		vps_state_forget(o->ctid);
		return res_leftovers(o->ctid) > 0 ? res_remove_stale(o->ctid, err) : 0;
	}
	if (r < 0) /* damaged: the groups are found by name */
		r = res_remove_stale(o->ctid, err);
	else
		r = res_open(&st.cgroups, &cg, err);
	if (r == 0 && cg)
		r = res_kill_all(cg, 10000, err);
	if (r == 0 && cg)
		r = res_remove(cg, err);
	if (r == 0)
		vps_state_forget(o->ctid);
	return r;
}

int op_do_stop(struct op *o, const struct op_stop *a, struct vz_error *err)
{
	VPS_STATE struct vps_state st = { 0 };
	VZ_FD int pidfd = -EBADF;
	int r;

	if (!vps_running(o->ctid, &st)) {
		vz_say("Unable to stop: Container is not running");
		return 0;
	}
	vz_say("Stopping VPS ...");
	pidfd = vps_state_pidfd(&st);
	if (pidfd >= 0 && !a->fast) {
		r = ask_to_halt(o, &st, pidfd, err);
		if (r < 0)
			return r;
	}
	r = pidfd >= 0 ? wait_end(o, &st, pidfd, a->fast, err) : 0;
	if (r == 0)
		r = op_cleanup_dead(o, err);
	if (r < 0)
		return r;
	vz_say("Container was stopped");
	if (a->skip_umount || !sto_mounted(o->cfg.ve_root))
		return 0;
	r = op_do_umount(o, err);
	if (r == 0)
		vz_say("VPS is unmounted");
	return r;
}

int op_stop(const struct op_env *env, uint32_t ctid, const struct op_stop *a, struct vz_error *err)
{
	OP struct op o;
	int r = op_open(&o, env, ctid, "stopping", err);

	return r < 0 ? r : op_do_stop(&o, a, err);
}

int op_start(const struct op_env *env, uint32_t ctid, const struct op_start *a, struct vz_error *err)
{
	OP struct op o;
	int r = op_open(&o, env, ctid, "starting", err);

	return r < 0 ? r : op_do_start(&o, a, err);
}

int op_restart(const struct op_env *env, uint32_t ctid, const struct op_start *start,
	       const struct op_stop *stop, struct vz_error *err)
{
	OP struct op o;
	int r = op_open(&o, env, ctid, "restarting", err);

	if (r < 0)
		return r;
	vz_say("Restarting VPS");
	if (vps_running(ctid, NULL)) {
		r = op_do_stop(&o, stop, err);
		if (r < 0)
			return r;
	}
	return op_do_start(&o, start, err);
}

int op_after_end(uint32_t ctid, bool reboot, struct vz_error *err)
{
	const struct op_env env = { .lock_wait_ms = 120000 };
	const struct op_start start = { 0 };
	VPS_STATE struct vps_state st = { 0 };
	OP struct op o;
	int r = op_open(&o, &env, ctid, reboot ? "restarting" : "unmounting", err);

	if (r < 0)
		return r;
	/* whoever held the lock may have cleaned up, or started it anew */
	if (vps_running(ctid, NULL) || vps_state_load(ctid, &st) < 0)
		return 0;
	r = op_cleanup_dead(&o, err);
	if (r == 0 && sto_mounted(o.cfg.ve_root))
		r = op_do_umount(&o, err);
	if (r == 0 && reboot)
		r = op_do_start(&o, &start, err);
	return r;
}
