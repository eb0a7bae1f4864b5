/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a command on a VPS makes of the journal of a migration that is there. No connection is made here:
 * vzctl has no part in that.
 */
#include "ops/cpt.h"
#include "ops/moving.h"

#include "util/log.h"

#include <errno.h>
#include <string.h>

int op_side_unmount_stale(uint32_t ctid, struct vz_error *err)
{
	char path[PATH_MAX];

	(void)vps_path(path, "%s/%u/migrate-root", vps_paths()->run, ctid);
	return sto_mounted(path) ? sto_umount(path, err) : 0;
}

/* What stands still for the sake of the migration goes on. */
static int thaw(struct op *o, struct vz_error *err)
{
	VPS_STATE struct vps_state st = { 0 };
	struct op_held h;

	op_held_read(o->ctid, &h);
	if (h.hold == OP_HOLD_NONE || !vps_running(o->ctid, &st))
		return 0;
	return op_thaw(o, &st, &h, err);
}

int op_moving_end_stop(struct op *o, const struct mig_journal *j, struct vz_error *err)
{
	const struct op_env *was = o->env;
	struct op_env own = *was;
	const struct op_stop stop = { 0 };
	int r;

	if (!j->frozen || strcmp(j->mode, op_move_way(OP_MOVE_OFFLINE)->name) != 0 ||
	    !vps_running(o->ctid, NULL))
		return 0;
	own.migrating = true;
	o->env = &own;
	r = op_do_stop(o, &stop, err);
	o->env = was;
	return r;
}

int op_moving_undo(struct op *o, struct mig_journal *j, struct vz_error *err)
{
	int r = op_side_unmount_stale(o->ctid, err);

	if (r == 0)
		r = thaw(o, err);
	if (r == 0)
		r = op_moving_end_stop(o, j, err);
	if (r < 0)
		return r;
	op_rounds_forget(o);
	j->step = MIG_S_ABORTED;
	j->frozen = j->frozen && !vps_running(o->ctid, NULL);
	r = mig_journal_save(j);
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "write the journal of VPS %u", o->ctid) : 0;
}

/* Is it ours, and to be made to run again? */
static bool halted(uint32_t ctid, struct mig_journal *j)
{
	return mig_journal_there(ctid) && mig_journal_load(ctid, j) == 0 &&
	       mig_role(j->step) == MIG_SOURCE && mig_owner(j->step) == MIG_OURS && j->frozen &&
	       j->was_running;
}

bool op_halted_to_move(uint32_t ctid)
{
	MIG_JOURNAL struct mig_journal j = { 0 };

	return halted(ctid, &j) && j.step == MIG_S_COPYING;
}

void op_moving_settle(uint32_t ctid)
{
	MIG_JOURNAL struct mig_journal j = { 0 };

	if (!halted(ctid, &j))
		return;
	j.frozen = false;
	if (mig_journal_save(&j) < 0)
		vz_info("the journal of VPS %u still says that it is to run", ctid);
}

int op_guard(struct op *o, struct vz_error *err)
{
	MIG_JOURNAL struct mig_journal j = { 0 };
	char dir[PATH_MAX];
	int r;

	if (o->env->migrating || !mig_journal_there(o->ctid))
		return 0;
	r = mig_journal_load(o->ctid, &j);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return vz_fail(err, VZ_EXIT_LOCKED, 0,
			       "VPS %u: the journal of its migration, %s/%u.journal, cannot be "
			       "read: whose it "
			       "is, is not known",
			       o->ctid, mig_dir(dir), o->ctid);
	if (mig_owner(j.step) == MIG_OURS) {
		/* with the lock held by us: whoever moved it is dead */
		if (j.step != MIG_S_COPYING || o->lock.fd < 0)
			return 0;
		vz_warn("WARNING: VPS %u: its migration to %s was cut off before it moved; it "
			"stays here",
			o->ctid, j.host);
		return op_moving_undo(o, &j, err);
	}
	if (mig_role(j.step) == MIG_SOURCE)
		return vz_fail(err, VZ_EXIT_LOCKED, 0,
			       "VPS %u has moved to %s (`vzmigrate --recover %u` completes that)",
			       o->ctid, j.host, o->ctid);
	if (j.step == MIG_S_TAKING)
		return vz_fail(err, VZ_EXIT_LOCKED, 0,
			       "VPS %u is not whole: its migration to this node was cut off, it is "
			       "where it "
			       "came from (`vzmigrate --recover %u` removes what is here)",
			       o->ctid, o->ctid);
	return vz_fail(
		err, VZ_EXIT_LOCKED, 0,
		"VPS %u came from %s, which alone knows whether it has moved: run `vzmigrate "
		"--recover %u` there",
		o->ctid, j.host[0] ? j.host : "another node", j.peer_ctid);
}
