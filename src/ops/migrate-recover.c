/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vzmigrate --recover: what the journal says is brought to its end. */
#include "ops/moving.h"

#include "util/fd.h"
#include "util/log.h"

#include <string.h>

enum { LOCK_WAIT_MS = 60000 };

/* Committed: theirs. They are told, then our copy goes, then they forget. */
static int complete(struct op *o, struct mig_journal *j, int timeout_ms, struct vz_error *err)
{
	int r = 0;

	if (j->step == MIG_S_COMMITTED) {
		r = op_moving_tell(j, "commit", timeout_ms, err);
		if (r == 0)
			r = op_moving_clean(o, j, err);
	}
	if (r == 0)
		r = op_moving_tell(j, "forget", timeout_ms, err);
	if (r == 0 && mig_journal_remove(o->ctid) < 0)
		r = vz_fail(err, MIG_EXIT_COPY, EIO, "remove the journal of VPS %u", o->ctid);
	if (r == 0)
		vz_say("VPS %u: its migration to %s is complete", o->ctid, j->host);
	return r;
}

static int take_back(struct op *o, struct mig_journal *j, int timeout_ms, struct vz_error *err)
{
	int r = j->step == MIG_S_COPYING ? op_moving_undo(o, j, err) : 0;

	if (r == 0 && j->frozen && j->was_running && !vps_running(o->ctid, NULL)) {
		const struct op_start start = { 0 };

		r = op_mem_there(o) ? op_mem_goes_on(o->ctid, err) : op_do_start(o, &start, err);
	}
	if (r < 0)
		return r;
	op_moving_settle(o->ctid);
	vz_say("VPS %u stays here", o->ctid);
	r = op_moving_tell(j, "abort", timeout_ms, err);
	if (r == 0 && mig_journal_remove(o->ctid) < 0)
		r = vz_fail(err, MIG_EXIT_COPY, EIO, "remove the journal of VPS %u", o->ctid);
	return r;
}

/*
 * Ours already. The source may not know yet, and keeps its copy until it has heard so: without a journal here it would be told
 * that nobody knows of this migration.
 */
static int taken(const struct op *o, const struct mig_journal *j, enum op_recover how,
		 struct vz_error *err)
{
	int r = 0;

	if (how == OP_RECOVER_THEIRS)
		return vz_fail(err, MIG_EXIT_USAGE, 0,
			       "VPS %u has been taken by this node: --theirs is too late", o->ctid);
	op_moving_room_back(o, j);
	if (how == OP_RECOVER_OURS)
		r = mig_journal_remove(o->ctid);
	if (r < 0)
		return vz_fail(err, MIG_EXIT_NODE, -r, "remove the journal of VPS %u", o->ctid);
	vz_say("VPS %u is this node's now", o->ctid);
	if (how == OP_RECOVER_ASK)
		vz_say("Its source%s%s%s removes its copy by `vzmigrate --recover %u` there (if "
		       "that node "
		       "is lost for good: --ours here)",
		       j->host[0] ? ", " : "", j->host, j->host[0] ? "," : "", j->peer_ctid);
	return 0;
}

static int as_target(struct op *o, struct mig_journal *j, enum op_recover how, struct vz_error *err)
{
	struct vz_error ignored;
	int r;

	if (j->step == MIG_S_TAKEN)
		return taken(o, j, how, err);
	if (vps_load_over(&o->cfg, o->ctid, NULL, &ignored) < 0)
		o->cfg.ctid = o->ctid;
	if (j->step == MIG_S_TAKING || how == OP_RECOVER_THEIRS) {
		j->keep = false;
		r = op_moving_drop(o, j, err);
		if (r == 0)
			vz_say("VPS %u: what was here of its migration is removed", o->ctid);
		return r;
	}
	if (how == OP_RECOVER_ASK)
		return vz_fail(err, MIG_EXIT_CONNECT, 0,
			       "VPS %u: only its source%s%s knows whether it has moved; run "
			       "`vzmigrate --recover "
			       "%u` there (if that node is lost for good: --ours or --theirs here)",
			       o->ctid, j->host[0] ? ", " : "", j->host, j->peer_ctid);
	r = op_moving_take(o, j, err);
	if (r == 0)
		r = op_moving_run(o, j, NULL, err);
	if (r == 0)
		vz_say("VPS %u is this node's now", o->ctid);
	return r;
}

int op_migrate_recover(const struct op_env *env, uint32_t ctid, enum op_recover how, int timeout_ms,
		       struct vz_error *err)
{
	struct op_env own = *env;
	MIG_JOURNAL struct mig_journal j = { 0 };
	OP struct op o;
	int r;

	own.migrating = true;
	if (own.lock_wait_ms == 0)
		own.lock_wait_ms = LOCK_WAIT_MS;
	r = op_open_new(&o, &own, ctid, "recovering", err);
	if (r < 0)
		return op_moving_exit(err, r, MIG_EXIT_NODE);
	r = mig_journal_load(ctid, &j);
	if (r == -ENOENT)
		return vz_fail(err, MIG_EXIT_ABSENT, 0, "VPS %u: no journal of a migration", ctid);
	if (r < 0)
		return vz_fail(err, MIG_EXIT_NODE, -r, "the journal of VPS %u cannot be read",
			       ctid);
	if (mig_role(j.step) == MIG_TARGET)
		return as_target(&o, &j, how, err);
	if (how != OP_RECOVER_ASK)
		return vz_fail(err, MIG_EXIT_USAGE, 0,
			       "VPS %u: this node is the source, its journal says \"%s\"", ctid,
			       mig_step_name(j.step));
	if (j.step != MIG_S_CLEANED) {
		r = vps_load_over(&o.cfg, ctid, &o.bad, err);
		if (r < 0 && mig_owner(j.step) == MIG_OURS)
			return op_moving_exit(err, r, MIG_EXIT_ABSENT);
	}
	return mig_owner(j.step) == MIG_OURS ? take_back(&o, &j, timeout_ms, err)
					     : complete(&o, &j, timeout_ms, err);
}
