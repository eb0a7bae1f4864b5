/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of a VPS that runs, in rounds: CRIU's pre-dump takes hold of what changed since the round before,
 * thaws it, and writes. No gate: it ends by itself, whoever began it.
 */
#include "ops/cpt.h"

#include "ops/steps.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/proc.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { THAW_MS = 10000, SETTLE_MS = 120000 };

static const char log_name[] = "round.log";

char *op_rounds_sent(const struct op *o, char *dst)
{
	return vps_path(dst, "%s/Dump.%u.sent", o->cfg.dumpdir ? o->cfg.dumpdir : "", o->ctid);
}

char *op_rest_path(const struct op *o, char *dst)
{
	return vps_path(dst, "%s/Dump.%u.rest", o->cfg.dumpdir ? o->cfg.dumpdir : "", o->ctid);
}

char *op_rounds_beside(const char *file, char *dst)
{
	return vps_path(dst, "%s.rounds", file);
}

void op_rounds_forget(const struct op *o)
{
	static const char *const files[] = { "", ".part" };
	char path[PATH_MAX], rest[PATH_MAX];

	(void)!vz_rm_rf(AT_FDCWD, op_rounds_sent(o, path));
	(void)op_rest_path(o, rest);
	(void)!vz_rm_rf(AT_FDCWD, vps_path(path, "%s.tmp", rest));
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		(void)unlink(vps_path(path, "%s%s", rest, files[i]));
}

static char *note_path(uint32_t ctid, char *dst)
{
	return vps_path(dst, "%s/%u/round.pid", vps_paths()->run, ctid);
}

/* Not killed: in the middle of it processes of the VPS run code of CRIU's. */
void op_round_settle(uint32_t ctid)
{
	VZ_FREE char *text = NULL;
	VZ_LIST struct vz_list words = { 0 };
	VZ_FD int pidfd = -EBADF;
	char path[PATH_MAX];
	uint64_t pid, start;

	if (vz_read_file(AT_FDCWD, note_path(ctid, path), 64, &text) > 0 &&
	    vz_list_split(&words, text, " \n") == 0 && words.n == 2 &&
	    vz_parse_u64(words.v[0], 1, INT32_MAX, &pid) == 0 &&
	    vz_parse_u64(words.v[1], 1, INT64_MAX, &start) == 0)
		pidfd = vz_proc_pidfd((pid_t)pid, start);
	if (pidfd >= 0)
		while (vz_pidfd_poll(pidfd, SETTLE_MS) == -EINTR)
			;
	(void)unlink(path);
}

static int round_fail(struct vz_error *err, int r, const char *what)
{
	return vz_fail(err, VZ_EXIT_CHKPNT, -r, "%s", what);
}

static int make_dir(const struct op *o, const struct op_chain *c, char images[PATH_MAX])
{
	char sent[PATH_MAX];
	int r = 0;

	(void)op_rounds_sent(o, sent);
	if (c->n == 1) {
		r = vz_rm_rf(AT_FDCWD, sent);
		r = r < 0 && r != -ENOENT ? r : vz_mkdir_p(sent, 0700);
	}
	(void)vps_path(images, "%s/%u", sent, c->n);
	return r < 0 ? r : mkdir(images, 0700) < 0 ? -errno : 0;
}

static int run_criu(const struct op *o, const struct vps_state *st, const struct op_chain *c,
		    const char *images, struct vz_error *err)
{
	VZ_LIST struct vz_list argv = { 0 }, env = { 0 };
	struct cpt_criu criu;
	char freezer[PATH_MAX], rundir[PATH_MAX], note[PATH_MAX], why[300], parent[16];
	const char *group = vps_state_cgroup(st, "v2");
	const struct cpt_run run = { .criu = &criu,
				     .images = images,
				     .rundir = op_cpt_rundir(o->ctid, rundir),
				     .root = o->cfg.ve_root,
				     .log = log_name,
				     .owner = st->uid_base,
				     .parent = c->n > 1 ? parent : NULL };
	pid_t pid;
	int r = cpt_criu_find(VZ_EXIT_CHKPNT, &criu, err), fault;

	if (r < 0)
		return r;
	(void)snprintf(parent, sizeof(parent), "../%u", c->n - 1);
	(void)vps_path(freezer, "%s/payload", group ? group : "");
	r = cpt_predump_args(&run, st->init_pid, freezer, &argv, &env);
	if (r < 0)
		return round_fail(err, r, "prepare CRIU");
	pid = cpt_criu_start(&argv, &env, o->cfg.ve_root, note_path(o->ctid, note), -1);
	if (pid < 0)
		return round_fail(err, (int)pid, "start CRIU");
	fault = op_steps_fault("predump", c->n, err);
	do
		r = vz_wait(pid);
	while (r == -EINTR);
	(void)unlink(note);
	if (r == 0)
		return fault;
	return vz_fail(err, VZ_EXIT_CHKPNT, 0,
		       "CRIU could not copy the memory of VPS %u while it runs: %s (status %d, log "
		       "%s/%s; vzmigrate --noiter does without)",
		       o->ctid, cpt_criu_why(rundir, log_name, why, sizeof(why)), r, rundir,
		       log_name);
}

int op_round(const struct op_env *env, uint32_t ctid, const struct op_chain *c,
	     struct vz_error *err)
{
	VPS_STATE struct vps_state st = { 0 };
	RES_CG struct cg *cg = NULL;
	struct op_held h = { .hold = OP_HOLD_ROUND };
	struct vz_error later;
	char images[PATH_MAX];
	OP struct op o;
	int r = op_open(&o, env, ctid, "copying", err), thawed;

	if (r < 0)
		return r;
	if (!vps_running(ctid, &st))
		return vz_fail(err, VZ_EXIT_NOT_RUNNING, 0, "VPS %u does not run any more", ctid);
	r = res_open(&st.cgroups, &cg, err);
	if (r == 0 && c->n == 1)
		r = op_dump_space(&o, cg, op_rounds_sent(&o, images), 2, err);
	if (r < 0)
		return r;
	r = make_dir(&o, c, images);
	if (r < 0)
		return round_fail(err, r, images);
	r = op_held_write(ctid, &h, err);
	if (r == 0)
		r = op_freeze_all(&st, cg, ctid, err);
	if (r == 0)
		r = res_thaw_host(&st.cgroups, THAW_MS, err);
	if (r == 0)
		r = run_criu(&o, &st, c, images, err);
	/* CRIU has thawed it; one that failed has perhaps not */
	thawed = res_freeze(&st.cgroups, false, THAW_MS, &later);
	if (r == 0 && thawed < 0) {
		*err = later;
		r = thawed;
	}
	if (thawed == 0)
		op_held_forget(ctid);
	if (r < 0)
		return r;
	r = cpt_round_trim(images);
	return r < 0 ? round_fail(err, r, images) : 0;
}
