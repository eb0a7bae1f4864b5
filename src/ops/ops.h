/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_OPS_H
#define OPS_OPS_H

#include "util/error.h"
#include "vps/vps.h"

/*
 * Use cases: the only orchestrators. Each takes the lock, calls the rooms in order, undoes on
 * failure. They say (vz_say) what vzctl says; errors come back in @err and are told once, by the
 * command line.
 */

/** struct op_env - the global flags of the command line */
struct op_env {
	bool skiplock;
	int lock_wait_ms; /* 0: a held lock is an error at once */
	bool migrating; /* the journal of a migration is the caller's own */
};

struct op_create {
	const char *ostemplate, *sample, *layout, *root, *private_dir;
	const struct vps_config
		*extra; /* rows given on the command line, source VS_CLI; NULL none */
	enum vps_mode ram_said; /* by which option @extra has PHYSPAGES */
};

struct op_start {
	bool force, wait, skip_setup, skip_remount;
	bool bare; /* no init: a process 1 of ours that waits; no network, nothing said */
};

struct op_stop {
	bool fast, skip_umount;
};

enum op_setmode { OP_SETMODE_NONE, OP_SETMODE_RESTART, OP_SETMODE_IGNORE };

/** struct op_set - what `set` was asked; @changed rows of @want were given on the command line */
struct op_set {
	bool save, force, reset_ub;
	enum op_setmode setmode;
	const char *applyconfig; /* sample to merge, NULL none */
	const char *userpasswd; /* user:password, NULL none */
	/* options in the order given: row, how, text */
	struct op_change {
		enum vps_param_id id;
		enum vps_mode mode;
		const char *text;
	} * changes;
	size_t nchanges;
};

int op_create(const struct op_env *env, uint32_t ctid, const struct op_create *a,
	      struct vz_error *err) __attribute__((warn_unused_result));
int op_destroy(const struct op_env *env, uint32_t ctid, struct vz_error *err)
	__attribute__((warn_unused_result));
int op_mount(const struct op_env *env, uint32_t ctid, struct vz_error *err)
	__attribute__((warn_unused_result));
int op_umount(const struct op_env *env, uint32_t ctid, struct vz_error *err)
	__attribute__((warn_unused_result));
int op_start(const struct op_env *env, uint32_t ctid, const struct op_start *a,
	     struct vz_error *err) __attribute__((warn_unused_result));
int op_stop(const struct op_env *env, uint32_t ctid, const struct op_stop *a, struct vz_error *err)
	__attribute__((warn_unused_result));
int op_restart(const struct op_env *env, uint32_t ctid, const struct op_start *start,
	       const struct op_stop *stop, struct vz_error *err)
	__attribute__((warn_unused_result));
int op_set(const struct op_env *env, uint32_t ctid, const struct op_set *a, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * op_after_end - init ended by itself: clean up, and start again when it asked for a reboot. Called
 * by vzmon.
 */
int op_after_end(uint32_t ctid, bool reboot, struct vz_error *err)
	__attribute__((warn_unused_result));

/* ---- suspend and resume: vzctl(8), docs/checkpoint.md ---- */

/**
 * enum op_stage - parts of a suspend or a resume, as bits; a command that names none does all of them
 * Suspend: FREEZE; DUMP: the file is written, CRIU waits; KILL; THAW: as if nothing had been.
 * Resume: UNDUMP: all is restored and nothing runs, CRIU waits at its gate; GO; KILL: as if nothing had been.
 * What waits does so when the command has ended, however it ended.
 */
enum op_stage {
	OP_STAGE_FREEZE = 1 << 0,
	OP_STAGE_DUMP = 1 << 1,
	OP_STAGE_KILL = 1 << 2,
	OP_STAGE_THAW = 1 << 3,
	OP_STAGE_UNDUMP = 1 << 4,
	OP_STAGE_GO = 1 << 5,
	OP_STAGE_SERVE = 1 << 6, /* after a DUMP with pages: hand them out; the link is down */
};

/** struct op_chain - rounds of memory that were copied while it ran: the last is @n of chain @id */
struct op_chain {
	const char *id;
	unsigned int n;
};

/**
 * struct op_suspend - @stages of enum op_stage, FREEZE | DUMP | KILL in all; @dumpfile: NULL DUMPDIR/Dump.CTID
 * @level: of zstd, 0 not compressed; @force: although the pre-flight check names a blocker
 * @chain: only what changed since the last of its rounds, of op_round(); NULL or n = 0: all
 * @pages: DUMP: a stream over which CRIU hands out memory later, which is not in the dump then; 0 none
 */
struct op_suspend {
	unsigned int stages;
	const char *dumpfile;
	int level, pages;
	bool skip_umount, force;
	const struct op_chain *chain;
};

/**
 * struct op_resume - @stages UNDUMP | GO in all; @keep: the dump file stays
 * @arrived: for a migration, which has put the VPS's files here itself: the dump may be of another boot or node
 * @pages: UNDUMP: a stream from which memory comes that the dump does not hold; 0 none
 */
struct op_resume {
	unsigned int stages;
	const char *dumpfile;
	bool keep, skip_remount, arrived;
	int pages;
};

/**
 * op_suspend - into one file. Until that has its name any failure thaws the VPS and nothing has happened; from then on
 * the file is the VPS.
 * Return: 0; -errno with @err: 31 not running, 16 anything else; KILL or THAW of a VPS that does not stand still: 16.
 */
int op_suspend(const struct op_env *env, uint32_t ctid, const struct op_suspend *a,
	       struct vz_error *err) __attribute__((warn_unused_result));
/**
 * op_resume - from such a file. UNDUMP alone leaves all restored and nothing running: this is where a migration
 * commits; then GO or KILL. Until GO the file is the VPS; after it the file is used up, and removed unless @keep.
 * Return: 0; -errno with @err: 32 running, 17 anything else, and then the file is as it was.
 */
int op_resume(const struct op_env *env, uint32_t ctid, const struct op_resume *a,
	      struct vz_error *err) __attribute__((warn_unused_result));

enum { OP_VIEW_FILES = 3 };
/**
 * op_view_refresh - write /proc/stat, vmstat and diskstats as VPS @ctid is to see them, into @fds in this order. No
 * lock, no configuration: its groups and its clock. Called by vzmon when one of them is read.
 * Return: 0; -errno with @err.
 */
int op_view_refresh(uint32_t ctid, const int fds[OP_VIEW_FILES], struct vz_error *err)
	__attribute__((warn_unused_result));

/** struct op_status_words - the words of the status line */
struct op_status_words {
	bool exists, mounted, running, suspended;
};
/**
 * op_status - takes no lock, never fails: what cannot be read counts as not there.
 * @ret_left: a line for each kind of thing that was left over, with what mends it
 */
struct op_status_words op_status(uint32_t ctid, struct vz_list *ret_left);

/* exec, enter, console: take no lock; linked without network and archive libraries */

enum op_exec_kind { OP_EXEC_SHELL, OP_EXEC_PLAIN, OP_EXEC_STDIN };
/**
 * op_exec - run a command in the VPS
 * Return: exit status of the command 0-255; -EPROTO etc. with @err when it could not run or died by
 * a signal.
 */
int op_exec(uint32_t ctid, enum op_exec_kind kind, char *const *argv, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_enter - login shell on a pty; @type: text typed into it first, NULL none. */
int op_enter(uint32_t ctid, const char *type, struct vz_error *err)
	__attribute__((warn_unused_result));
int op_console(uint32_t ctid, struct vz_error *err) __attribute__((warn_unused_result));
/** op_seal - see ctx_seal_self; asks first whether this kernel lets us join a VPS. */
int op_seal(char *const argv[], struct vz_error *err) __attribute__((warn_unused_result));
/**
 * op_runscript - feed a host script to a shell in the VPS, which is started bare for it when it
 * does not run.
 */
int op_runscript(const struct op_env *env, uint32_t ctid, const char *file, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_on_root - run argv on the mounted root of a VPS with its ids (for action scripts: $VZIN). */
int op_on_root(uint32_t ctid, char *const *argv, struct vz_error *err)
	__attribute__((warn_unused_result));

#endif
