/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_MOVING_H
#define OPS_MOVING_H

#include "checkpoint/preflight.h"
#include "ops/migrate.h"
#include "ops/priv.h"

/* What both sides of a migration share, inside this room. */

/**
 * struct op_side - the files of a VPS, as they are copied
 * @root: top directory; @userns: ids are those inside (overlay), -1: as on disk (simfs)
 * @at: a directory that the cage of rsync may mount over
 */
struct op_side {
	int root, userns;
	bool mounted; /* by us, at @at/tree */
	char at[PATH_MAX], mount[PATH_MAX];
};

#define OP_SIDE_NONE ((struct op_side){ .root = -EBADF, .userns = -1 })

/**
 * op_side_open - the tree of private area @private_dir: simfs: the directory; overlay: the mounted root if
 * it is mounted, else a mount of our own
 * An overlay is copied as its files are seen, not layer by layer: the upper layer refers to the lower by
 * file handles, which mean nothing elsewhere.
 */
int op_side_open(struct op *o, const char *private_dir, struct op_side *ret, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * op_side_close - what was written is on disk then, what was mounted unmounted
 * @c: connection to keep alive meanwhile, NULL none. Return: 0; -errno with exit 6.
 */
int op_side_close(struct op_side *s, struct mig_conn *c, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_sync - syncfs of @fd with @c kept alive. */
int op_sync(int fd, struct mig_conn *c, struct vz_error *err) __attribute__((warn_unused_result));
/** op_side_unmount_stale - a mount that a migration left which died. */
int op_side_unmount_stale(uint32_t ctid, struct vz_error *err) __attribute__((warn_unused_result));

/** op_moving_hush - in a child: warnings only, the stages are told by us. */
void op_moving_hush(void);
/** op_moving_exit - give @err the exit status @exit, unless it is one of a held lock, which becomes 20. */
int op_moving_exit(struct vz_error *err, int r, int exit);

/* moving-mode.c */

/** op_move_possible - can this node do what is asked for, before it looks at the VPS: 0; -errno, exit 1 or 57 */
int op_move_possible(const struct op_migrate *a, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_move_choose - the mode that a running VPS with @load moves by, never OP_MOVE_AUTO; says why if that was asked for. */
enum op_move_mode op_move_choose(const struct op *o, const struct op_migrate *a,
				 const struct cpt_load *load);

/* moving-mem.c: memory of a VPS that moves. Context: lock and journal are the caller's. Errors are of vzctl. */

/** op_mem_check - what keeps the VPS from being dumped, a line each; what it has to carry. 0; -errno, exit 17: there is no CRIU. */
int op_mem_check(const struct op *o, struct vz_list *ret, struct cpt_load *ret_load,
		 struct vz_error *err) __attribute__((warn_unused_result));
/**
 * op_mem_dump - it stands still, and DUMPDIR/Dump.CTID holds its memory; with rounds in @c Dump.CTID.rest what changed
 * since. @level: of zstd, 0 not compressed
 * @pages: a stream over which memory is handed out after op_mem_serve, and which is not in the file then; -1 none
 */
int op_mem_dump(const struct op *o, const struct op_chain *c, int pages, int level,
		struct vz_error *err) __attribute__((warn_unused_result));
/** op_mem_suspend - all of it, and it is killed. */
int op_mem_suspend(uint32_t ctid, int level, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_mem_serve - source: hand it out. Close the stream before op_mem_goes_on or op_mem_kill, which wait for CRIU. */
int op_mem_serve(uint32_t ctid, struct vz_error *err) __attribute__((warn_unused_result));
/** op_mem_goes_on - source: after either of them, as if nothing had been. */
int op_mem_goes_on(uint32_t ctid, struct vz_error *err) __attribute__((warn_unused_result));
/** op_mem_kill - source: after op_mem_dump and the commit. */
int op_mem_kill(uint32_t ctid, struct vz_error *err) __attribute__((warn_unused_result));
/** op_mem_undump - target: restored from its dump and the stream @pages (0 none), and nothing of it runs. */
int op_mem_undump(uint32_t ctid, int pages, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_mem_go - target: it runs, from where op_mem_undump left it or from its dump. */
int op_mem_go(uint32_t ctid, struct vz_error *err) __attribute__((warn_unused_result));
/** op_mem_drop - target: what op_mem_undump restored is killed; the dump stays. */
int op_mem_drop(uint32_t ctid, struct vz_error *err) __attribute__((warn_unused_result));
/** op_mem_there - can it go on: restored and waiting, or a dump from which it can be: 1, 0 */
int op_mem_there(const struct op *o);
/** op_mem_lazy - is its dump one that lacks memory, which came over a stream? */
bool op_mem_lazy(const struct op *o);
/** op_mem_forget - remove its dump. */
void op_mem_forget(const struct op *o);

/* moving-room.c */

/**
 * op_moving_room - target, before it promises: room for what a start or resume writes is set aside, on every file system it
 * writes to; with @dump bytes where the dump is unpacked. Return: 0; -errno, exit 31 for -ENOSPC, and op_moving_room_back is
 * to be called.
 */
int op_moving_room(const struct op *o, const struct mig_journal *j, uint64_t dump,
		   struct vz_error *err) __attribute__((warn_unused_result));
/** op_moving_room_back - that room is free again; nothing if there is none. */
void op_moving_room_back(const struct op *o, const struct mig_journal *j);

/**
 * op_moving_end_stop - source: a VPS that an offline migration was stopping, and that still runs, is stopped: it may have
 * been told to halt, and would do so sooner or later. Context: lock held. Return: 0, also where none was; as op_do_stop.
 */
int op_moving_end_stop(struct op *o, const struct mig_journal *j, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * op_moving_undo - source: our VPS is thawed; the journal then says aborted, and @j->frozen whether it is still to be made
 * to run again, from its dump or by a start. Context: lock held.
 */
int op_moving_undo(struct op *o, struct mig_journal *j, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * op_moving_drop_memory - target: what was restored and does not run is killed, its mount goes; its dump stays, from
 * which it can be resumed. Context: lock held by @o.
 */
int op_moving_drop_memory(struct op *o, struct vz_error *err) __attribute__((warn_unused_result));
/**
 * op_moving_drop - target: all that was taken is removed, unless it is to be kept for a next try; the journal
 * last. Context: lock held, @o loaded as far as it goes.
 */
int op_moving_drop(struct op *o, const struct mig_journal *j, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * op_moving_promise - target: all is in its place: set aside what op_moving_take and op_moving_run need on disk, make the
 * note that it ran, and have the journal say so. @dump: as op_moving_room. Return: 0; -errno with exit 31 or 6.
 */
int op_moving_promise(struct op *o, struct mig_journal *j, uint64_t dump, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_moving_take - target: it is ours now, by the word of the source; what was promised is kept. Needs no room on disk. */
int op_moving_take(struct op *o, struct mig_journal *j, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_moving_run - target, after op_moving_take: start or resume it. 0; -errno with exit 7. */
int op_moving_run(struct op *o, const struct mig_journal *j, struct mig_conn *c,
		  struct vz_error *err) __attribute__((warn_unused_result));
/** op_moving_clean - source, committed: our copy goes (or gets names with .migrated); the journal follows. */
int op_moving_clean(struct op *o, struct mig_journal *j, struct vz_error *err)
	__attribute__((warn_unused_result));

/** struct op_link - a connection to a receiver that has been greeted */
struct op_link {
	struct mig_peer peer;
	struct mig_conn conn;
	bool up;
};

int op_link_open(const struct vz_list *transport, const char *host, int timeout_ms,
		 struct op_link *ret, struct vz_error *err) __attribute__((warn_unused_result));
void op_link_close(struct op_link *l);

/**
 * op_moving_tell - tell the target of @j over a new connection what became of it: commit, abort or forget
 * Return: 0 it knows; -errno with @err.
 */
int op_moving_tell(const struct mig_journal *j, const char *what, int timeout_ms,
		   struct vz_error *err) __attribute__((warn_unused_result));

/** op_private_staged - where a target keeps a private area until it is whole. Return: @ret. */
const char *op_private_staged(const char *private_dir, char ret[PATH_MAX]);

/** op_dump_staged - where a target keeps a dump until all is whole. Return: @ret. */
const char *op_dump_staged(const struct op *o, char ret[PATH_MAX]);

/** small files that go along, by the names they have in verb FILE; NULL past the end */
struct op_moving_file {
	const char *name, *suffix; /* CTID.SUFFIX in ETC/conf */
};
const struct op_moving_file *op_moving_files(size_t i);

#endif
