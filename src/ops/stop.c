/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/cpt.h"

#include "ops/steps.h"
#include "util/fd.h"
#include "util/kernel.h"
#include "util/log.h"
#include "util/proc.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

/* STOP_TIMEOUT; 0 and what poll(2) cannot count stand for the default and a long time. */
static int stop_timeout_ms(const struct op *o)
{
	uint64_t s = o->cfg.stop_timeout ? o->cfg.stop_timeout : 120;

	return s < INT_MAX / 1000 ? (int)s * 1000 : INT_MAX;
}

/* How each init is told to halt: a signal, or 0 for the command `halt` inside. */
static int halt_signal(const char *kind)
{
	if (!strcmp(kind, "systemd"))
		return SIGRTMIN + 3;
	if (!strcmp(kind, "busybox"))
		return SIGUSR2;
	if (!strcmp(kind, "openrc-init"))
		return SIGTERM;
	return 0;
}

/*
 * A shell inside that reads @script, or runs @command. By a vzctl of its own: what joins a VPS does
 * so from a sealed copy of the binary, which replaces the process that asks for it. It is the
 * tenant's program: after @timeout_ms it is left alone.
 */
static int run_inside(const struct op *o, int script, const char *command, int timeout_ms)
{
	const char *root = secure_getenv("CROFT_ROOT"), *lib = secure_getenv("CROFT_LIBEXEC");
	char path[PATH_MAX], ctid[16], own_root[PATH_MAX + 16], own_lib[PATH_MAX + 16];
	const char *argv[] = { path, "--quiet", "exec2", ctid, command ? command : "-", NULL };
	const char *env[4] = { VZ_PATH_ENV };
	struct vz_run how = { .env = env,
			      .stdin_fd = script >= 0 ? script : 0,
			      .silent = true,
			      .timeout_ms = timeout_ms };

	if (root) {
		(void)snprintf(own_root, sizeof(own_root), "CROFT_ROOT=%s", root);
		(void)snprintf(own_lib, sizeof(own_lib), "CROFT_LIBEXEC=%s",
			       lib ? lib : vps_paths()->libexec);
		env[1] = own_root;
		env[2] = own_lib;
	}
	(void)vps_path(path, "%s/vzctl-admin", vps_paths()->libexec);
	(void)snprintf(ctid, sizeof(ctid), "%u", o->ctid);
	return vz_run(argv, &how);
}

/* Of the time that the VPS has for its shutdown; at least 1, since 0 means no limit to some. */
static int left_ms(uint64_t until)
{
	uint64_t now = vz_now_ms();

	return now < until ? (int)(until - now) : 1;
}

/*
 * An init that has only just begun ignores a signal that it has no handler for yet, and its `halt`
 * finds no one to talk to: told again until it has surely heard. (One that waits in sigtimedwait(2)
 * hears without showing it; being told more than once does no harm to it.)
 */
static int tell_to_halt(const struct op *o, const struct vps_state *st, int pidfd, uint64_t until)
{
	enum { SIGNAL_MS = 50, COMMAND_MS = 200 };
	int sig = halt_signal(st->init_kind), r;
	bool heard;

	do {
		if (sig) {
			heard = vz_proc_takes_signal(st->init_pid, sig);
			r = vz_pidfd_signal(pidfd, sig);
		} else {
			r = run_inside(o, -1, "halt", left_ms(until));
			heard = r <= 0 || r >= 126; /* 127: there is no such command */
		}
	} while (!heard && vz_now_ms() < until &&
		 vz_pidfd_poll(pidfd, sig ? SIGNAL_MS : COMMAND_MS) == -ETIMEDOUT);
	return r;
}

static int ask_to_halt(const struct op *o, const struct vps_state *st, int pidfd, uint64_t until,
		       struct vz_error *err)
{
	VZ_FD int script = op_script_inside(o, "stop");
	int r;

	if (script >= 0) {
		r = run_inside(o, script, NULL, left_ms(until));
		if (r == -ETIMEDOUT)
			return vz_fail(err, VZ_EXIT_EXEC_TIMEOUT, 0,
				       "stop script of VPS %u did not end in %d s (STOP_TIMEOUT)",
				       o->ctid, stop_timeout_ms(o) / 1000);
		/* ending: it takes the script along, and what the script was to halt has ended */
		if (r != 0 && !vz_proc_ending(st->init_pid))
			return vz_fail(err, VZ_EXIT_SCRIPT, 0, "stop script of VPS %u failed (%d)",
				       o->ctid, r);
	}
	r = tell_to_halt(o, st, pidfd, until);
	vz_debug("asked %s to halt: %d", st->init_kind, r);
	return 0;
}

static int wait_end(struct op *o, const struct vps_state *st, int pidfd, uint64_t until, bool fast,
		    struct vz_error *err)
{
	RES_CG struct cg *cg = NULL;
	int r = -ETIMEDOUT;

	if (!fast)
		r = vz_pidfd_poll(pidfd, left_ms(until));
	if (r == 0)
		return 0;
	if (r == -EINTR)
		return vz_fail(err, VZ_EXIT_STOP, EINTR, "stop of VPS %u was interrupted", o->ctid);
	if (!fast)
		vz_say("Killing VPS ...");
	r = res_open(&st->cgroups, &cg, err);
	if (r == 0)
		r = res_kill_all(cg, stop_timeout_ms(o) / 2, err);
	if (r < 0) {
		err->exit = VZ_EXIT_STOP;
		return vz_wrap(err, r, "Unable to stop VPS: operation timed out");
	}
	return 0;
}

/* ---- the steps: forward only ---- */

/* By an order to stop, or by itself. What a migration stops runs on, as far as the next boot is concerned. */
void op_record_stopped(const struct op *o)
{
	if (o->env->migrating)
		return;
	vps_record_forget(o->ctid);
	op_moving_settle(o->ctid);
}

struct stopping {
	struct op *o;
	const struct op_stop *a;
	struct vps_state st;
	bool running;
	int pidfd; /* of init; -1: it ended just now, or nobody knows it */
	uint64_t until; /* STOP_TIMEOUT from the beginning */
};

static int step_halt(void *arg, struct vz_error *err)
{
	struct stopping *s = arg;

	return s->pidfd < 0 || s->a->fast ? 0 : ask_to_halt(s->o, &s->st, s->pidfd, s->until, err);
}

static int step_end(void *arg, struct vz_error *err)
{
	struct stopping *s = arg;

	return s->pidfd < 0 ? 0 : wait_end(s->o, &s->st, s->pidfd, s->until, s->a->fast, err);
}

static int step_groups(void *arg, struct vz_error *err)
{
	struct stopping *s = arg;
	int r = op_cleanup_dead(s->o, err);

	if (r < 0)
		return r;
	op_record_stopped(s->o);
	vz_say("Container was stopped");
	return 0;
}

static int step_umount(void *arg, struct vz_error *err)
{
	struct stopping *s = arg;
	int r;

	/* what is not ours was there before the start, which was told to use it (--skip-remount) */
	if (!sto_mounted(s->o->cfg.ve_root) || !op_mount_is_ours(s->o) ||
	    (!s->running && op_mount_note(s->o->ctid) == OP_MOUNT_KEPT))
		return 0;
	if (s->a->skip_umount)
		return op_mount_keep(s->o, err);
	r = op_do_umount(s->o, err);
	if (r == 0)
		vz_say("VPS is unmounted");
	return r;
}

/* Where it is cut off, vzmon cleans up once init has ended, else the next command (op_mend). */
static const struct op_step stop_steps[] = {
	{ "halt", step_halt, NULL },
	{ "end", step_end, NULL },
	{ "groups", step_groups, NULL },
	{ "umount", step_umount, NULL },
};

int op_do_stop(struct op *o, const struct op_stop *a, struct vz_error *err)
{
	struct stopping s = { .o = o, .a = a, .pidfd = -EBADF };
	int r = vz_kernel_check(VZ_NEED_END | VZ_NEED_JOIN, err);

	if (r < 0)
		return r;
	s.until = vz_now_ms() + (uint64_t)stop_timeout_ms(o);
	s.running = vps_running(o->ctid, &s.st);
	/* groups without a readable state: it runs, and nobody knows its init any more */
	if (!s.running && res_leftovers(o->ctid) <= 0) {
		vz_say("Unable to stop: Container is not running");
		op_record_stopped(o);
		return op_mend(o, err);
	}
	vz_say("Stopping VPS ...");
	if (s.running)
		r = op_let_stop(o, &s.st, a->fast, err);
	if (s.running && r == 0)
		s.pidfd = vps_state_pidfd(&s.st);
	if (r < 0) {
		vps_state_clear(&s.st);
		return r;
	}
	r = op_steps_run("stop", OP_STEPS(stop_steps), &s, err);
	vz_closep(&s.pidfd);
	vps_state_clear(&s.st);
	return r;
}

int op_stop(const struct op_env *env, uint32_t ctid, const struct op_stop *a, struct vz_error *err)
{
	OP struct op o;
	int r = op_open(&o, env, ctid, "stopping", err);

	return r < 0 ? r : op_do_stop(&o, a, err);
}

int op_start(const struct op_env *env, uint32_t ctid, const struct op_start *a,
	     struct vz_error *err)
{
	OP struct op o;
	int r = op_open(&o, env, ctid, "starting", err);

	if (r == 0)
		r = op_start_or_resume(&o, a, err);
	if (r == 0 && !env->migrating)
		op_moving_settle(ctid);
	return r;
}

/* ---- restart: two tables in a row ---- */

struct restarting {
	struct op *o;
	const struct op_start *start;
	const struct op_stop *stop;
};

static int step_stop(void *arg, struct vz_error *err)
{
	struct restarting *s = arg;

	return vps_running(s->o->ctid, NULL) ? op_do_stop(s->o, s->stop, err) : 0;
}

static int step_start(void *arg, struct vz_error *err)
{
	struct restarting *s = arg;

	return op_do_start(s->o, s->start, err);
}

static const struct op_step restart_steps[] = {
	{ "stop", step_stop, NULL },
	{ "start", step_start, NULL },
};

int op_do_restart(struct op *o, const struct op_start *start, const struct op_stop *stop,
		  struct vz_error *err)
{
	struct restarting s = { .o = o, .start = start, .stop = stop };

	return op_steps_run("restart", OP_STEPS(restart_steps), &s, err);
}

int op_restart(const struct op_env *env, uint32_t ctid, const struct op_start *start,
	       const struct op_stop *stop, struct vz_error *err)
{
	OP struct op o;
	int r = op_open(&o, env, ctid, "restarting", err);

	if (r == 0)
		r = vz_kernel_check(VZ_NEED_BUILD, err); /* before it is stopped */
	if (r < 0)
		return r;
	vz_say("Restarting VPS");
	return op_do_restart(&o, start, stop, err);
}

/* Whoever holds the lock may clean up, or start it anew. */
static bool taken_care_of(uint32_t ctid)
{
	VPS_STATE struct vps_state st = { 0 };

	return vps_running(ctid, NULL) || vps_state_load(ctid, &st) < 0;
}

int op_after_end(uint32_t ctid, bool reboot, struct vz_error *err)
{
	/* stopped by a migration that may be dead: --recover or the next command makes it run again */
	const struct op_env env = { .migrating = !reboot && op_halted_to_move(ctid) };
	const struct op_start start = { 0 };
	const uint64_t until = vz_now_ms() + 120000;
	OP struct op o = { .lock = { .fd = -1 }, .userns = -1 };
	int r;

	for (;;) {
		/*
		 * asked without the lock: one taken after a stop would be in the next command's way
		 */
		if (taken_care_of(ctid))
			return 0;
		r = op_open(&o, &env, ctid, reboot ? "restarting" : VPS_LOCK_REAPER, err);
		if (r == 0 || err->exit != VZ_EXIT_LOCKED || vz_now_ms() > until)
			break;
		op_close(&o);
		(void)poll(NULL, 0, 20);
	}
	if (r < 0)
		return r;
	if (taken_care_of(ctid))
		return 0;
	if (!reboot)
		op_record_stopped(&o);
	r = op_mend(&o, err);
	if (r == 0 && reboot)
		r = op_do_start(&o, &start, err);
	return r;
}
