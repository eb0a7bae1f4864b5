/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_CPT_H
#define OPS_CPT_H

#include "ops/priv.h"

#include "checkpoint/checkpoint.h"

/* What suspend and resume share: where a dump is, and the note that a VPS stands still. */

/** op_dump_path - DUMPDIR/Dump.CTID; borrowed @dst of PATH_MAX. */
char *op_dump_path(const struct op *o, char *dst);

enum op_hold {
	OP_HOLD_NONE,
	OP_HOLD_ROUND, /* its memory is copied while it runs, CRIU freezes it for moments; or that was cut off */
	OP_HOLD_WORKING, /* a suspend is at work, or was cut off */
	OP_HOLD_STAGE, /* suspend --suspend or --dump left it so, on purpose */
	OP_HOLD_RESTORING, /* a resume is at work, or was cut off */
	OP_HOLD_RESTORED, /* resume --undump did: restored, and nothing runs yet */
};

/**
 * struct op_held - the note RUNDIR/held of a VPS whose processes stand still
 * @file: dump file that the command under way makes, or has made; the one restored from; "" none yet
 * @link: node's end of the link that a resume has made, "" none
 * @ping: what net.ipv4.ping_group_range was, "" = not touched
 * @server, @server_start: CRIU, which hands out memory of the dump (OP_STAGE_SERVE); 0 none. The VPS's link is down then
 */
struct op_held {
	enum op_hold hold;
	char file[PATH_MAX], ping[48], link[16];
	pid_t server;
	uint64_t server_start;
};

/* rounds.c: memory of a VPS that runs. DUMPDIR/Dump.CTID.sent/N, then Dump.CTID.rest; never the name of a dump */

/** op_rounds_sent - where the rounds are; op_rest_path - the dump of the rest. Return: @dst. */
char *op_rounds_sent(const struct op *o, char *dst);
char *op_rest_path(const struct op *o, char *dst);
/** op_rounds_beside - where the rounds that a dump @file stands on are kept until it is used up. Return: @dst. */
char *op_rounds_beside(const char *file, char *dst);
/**
 * op_round - make round @c->n of VPS @ctid, which runs on; the first has all of its memory
 * CRIU that was cut off finishes by itself; op_thaw() waits for it. A round that failed ends the chain: what had
 * changed before it is not known any more.
 * Context: VPS lock held by the caller. Return: 0; -errno with @err, exit 16.
 */
int op_round(const struct op_env *env, uint32_t ctid, const struct op_chain *c,
	     struct vz_error *err) __attribute__((warn_unused_result));
/** op_round_settle - wait until a CRIU that copies memory of @ctid has ended, if there is one. */
void op_round_settle(uint32_t ctid);
/** op_rounds_forget - all that rounds have left on the node they were made on. */
void op_rounds_forget(const struct op *o);

/**
 * op_freeze_all - freeze VPS @ctid at a moment when nobody in it waits in vfork(2), which CRIU could not stop
 * Return: 0; -errno with @err, and then it runs.
 */
int op_freeze_all(const struct vps_state *st, struct cg *cg, uint32_t ctid, struct vz_error *err)
	__attribute__((warn_unused_result));

/** op_dump_space - has the directory of @file room for the VPS's memory, @times? 0; -errno with @err, exit 16. */
int op_dump_space(const struct op *o, struct cg *cg, const char *file, unsigned int times,
		  struct vz_error *err) __attribute__((warn_unused_result));

/** op_held_read - hold is OP_HOLD_NONE when there is no note. */
void op_held_read(uint32_t ctid, struct op_held *ret);
/** op_held_write - before the thing is done. Return: 0; -errno with @err, exit 16. */
int op_held_write(uint32_t ctid, const struct op_held *h, struct vz_error *err)
	__attribute__((warn_unused_result));
void op_held_forget(uint32_t ctid);

/**
 * op_thaw - let a frozen VPS run again: CRIU, if it waits, takes everything back first; a dump that was made of it
 * is removed, since what it holds of the disk is not true any more
 * Return: 0; -errno with @err, exit 16.
 */
int op_thaw(struct op *o, const struct vps_state *st, const struct op_held *h, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * op_end_server - wait until the CRIU that hands out memory has let go of the VPS, which stays frozen; it does once its
 * stream is closed. One that does not is killed: by then it has no code of its own in the VPS any more.
 */
void op_end_server(const struct op_held *h);

/**
 * op_memory_back - after a restore has been let go: the limit of memory is its own again (res_restore_room()). Tries for a
 * second, until what CRIU had in the VPS is gone; then it warns
 */
void op_memory_back(struct op *o, const struct vps_state *st);

/**
 * op_drop_restored - kill what was restored and was not let go; its dump is what it was before
 * Return: 0; -errno with @err.
 */
int op_drop_restored(struct op *o, const struct vps_state *st, const struct op_held *h,
		     struct vz_error *err) __attribute__((warn_unused_result));

/**
 * op_cpt_mend - what a suspend or resume that was cut off left: the VPS is thawed when there is no whole
 * dump of it, killed when there is; one that was restored but not let go is killed, and its dump kept
 * Context: VPS lock held. Nothing is done for what stands still on purpose. Return: 0; -errno with @err.
 */
int op_cpt_mend(struct op *o, struct vz_error *err) __attribute__((warn_unused_result));

/**
 * op_let_stop - before a running VPS is stopped: one that stands still on purpose goes on first, so that it can shut
 * down, or with @fast as it is; its dump is of no use then. One that was restored but not let go is refused.
 * Return: 0; -errno with @err.
 */
int op_let_stop(struct op *o, const struct vps_state *st, bool fast, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * op_start_or_resume - start, but a default dump is restored when there is one; when that fails it is put aside,
 * since what it says of the disk will not be true any more, and the VPS starts anew. Return: as op_do_start.
 */
int op_start_or_resume(struct op *o, const struct op_start *a, struct vz_error *err)
	__attribute__((warn_unused_result));

/** op_images_forget - what was unpacked of dump @file. */
void op_images_forget(const char *file);
/** op_dump_used_up - remove a dump with its name for use, DUMP.used, and what it stood on. */
void op_dump_used_up(const char *used);

/** op_dumps_forget - every file that a suspend or resume of the VPS may have left in DUMPDIR. */
void op_dumps_forget(const struct op *o);
/**
 * op_dumps_mend - of these, what a command that was cut off has left, and no other can use: half a dump, what was unpacked
 * of one, one from which the VPS has gone on. A power cut leaves them, with no note of them in RUNDIR.
 * Context: lock held, the VPS down and op_cpt_mend done.
 */
void op_dumps_mend(const struct op *o);

/** op_do_resume - op_resume under the lock, the VPS down and nothing left over. Return: as op_resume. */
int op_do_resume(struct op *o, const struct op_resume *a, struct vz_error *err)
	__attribute__((warn_unused_result));

/* given.c: mounts that are made again by the node, and by action scripts */

/** op_given_find - those of the running VPS whose init is @init; @ret is empty before. 0; -errno with @err, exit 16. */
int op_given_find(const struct op *o, pid_t init, struct cpt_givens *ret, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_given_look - again, when it stands still: how much is in memory. 0; -errno with @err, exit 16. */
int op_given_look(pid_t init, struct cpt_givens *g, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * op_given_check - for a resume, mounted: have the action scripts made what they had made before?
 * Return: 0; -errno with @err, exit 17: which they have not.
 */
int op_given_check(const struct op *o, const struct cpt_givens *g, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * op_given_words - for struct ctx_criu; malloc'ed, NULL without memory. @o: says how large file systems in memory are,
 * at least; more where more was in them.
 */
char **op_given_words(const struct cpt_givens *g, const struct ctx_orders *o);
void op_given_words_free(char **words);
/** op_given_verify - has the restored VPS the node's mounts? 0; -errno with @err, exit 17. */
int op_given_verify(const struct op *o, pid_t init, const struct cpt_givens *g,
		    struct vz_error *err) __attribute__((warn_unused_result));

/* refusals.c */

/** op_refusals_save - those of VPS @ctid that are still kept, into @d; none when they cannot be read. */
void op_refusals_save(uint32_t ctid, struct cpt_desc *d);
struct ubc_slot;
/** op_refusals_carry - those of @d become the first of @slot. Context: table opened for writing, nothing runs in the VPS. */
void op_refusals_carry(struct ubc_slot *slot, const struct cpt_desc *d);

/** op_cpt_rundir - /run/vz/CTID; borrowed @dst of PATH_MAX. */
char *op_cpt_rundir(uint32_t ctid, char *dst);

#endif
