/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_PRIV_H
#define OPS_PRIV_H

#include "ops/ops.h"
#include "resources/resources.h"
#include "storage/storage.h"

struct stat;

/** struct op - one VPS under an operation: its configuration, the lock, where its files are */
struct op {
	const struct op_env *env;
	uint32_t ctid;
	struct vps_config cfg;
	unsigned int bad; /* lines of CTID.conf with a bad value */
	struct vps_lock lock;
	uint64_t base, count; /* ids, after op_ids() */
	char lower[PATH_MAX]; /* template generation under an overlay, "" = none */
	const struct sto_layout *layout;
	int userns; /* that maps these ids, after op_userns(); -1 before */
	uint32_t in_force; /* bits 1 << enum ubc_counter: what op_limits_live has done */
	uint8_t said[VP_MAX]; /* enum vps_mode of the option that wrote a row, for messages */
};

/**
 * op_open - lock (unless --skiplock) and load. @word: what the lock file says. Close with op_close.
 * A lock taken over from a dead command: names it left half changed are put right.
 */
int op_open(struct op *o, const struct op_env *env, uint32_t ctid, const char *word,
	    struct vz_error *err) __attribute__((warn_unused_result));
/** op_open_new - as op_open for a VPS without a configuration: the global one. */
int op_open_new(struct op *o, const struct op_env *env, uint32_t ctid, const char *word,
		struct vz_error *err) __attribute__((warn_unused_result));
/** op_mend_names - op_open's part about names, for a configuration that was loaded otherwise. */
int op_mend_names(struct op *o, struct vz_error *err) __attribute__((warn_unused_result));
void op_close(struct op *o);
#define OP __attribute__((cleanup(op_close)))

/**
 * op_guard - guard.c: refuse a VPS that is another node's by the journal of a migration, or of which that is not
 * known; take back a migration that died. Context: after the lock; o->cfg is loaded.
 * Return: 0; exit 9.
 */
int op_guard(struct op *o, struct vz_error *err) __attribute__((warn_unused_result));
/** op_halted_to_move - a migration that has not committed has stopped or frozen it, and is to make it run again. */
bool op_halted_to_move(uint32_t ctid);
/** op_moving_settle - it runs or was stopped by an order: no journal here is to make it run again. Context: the lock. */
void op_moving_settle(uint32_t ctid);
/** op_record_stopped - stop.c: it is not to run at the next boot, unless a migration has stopped it. */
void op_record_stopped(const struct op *o);

/** op_ids - base and count; a newly allocated LOCAL_UID is saved. */
int op_ids(struct op *o, struct vz_error *err) __attribute__((warn_unused_result));

/** op_userns - o->userns, made once for all that needs one. Return: it, borrowed; -errno. */
int op_userns(struct op *o, struct vz_error *err) __attribute__((warn_unused_result));

/** op_place - what storage needs; looks up the layout and the template generation. */
int op_place(struct op *o, struct sto_place *ret, struct vz_error *err)
	__attribute__((warn_unused_result));

/** op_save_row - write one row of o->cfg to CTID.conf. */
int op_save_row(struct op *o, enum vps_param_id id, struct vz_error *err)
	__attribute__((warn_unused_result));

/* scripts.c: action scripts of /etc/vz/conf, vzctl(8) */

/**
 * op_script - run conf/NAME on the host if it is a regular, executable file. 0; -errno with exit
 * 79.
 */
int op_script(const struct op *o, const char *name, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_scripts - op_script for "vps.WHAT" and "CTID.WHAT", the own one first when @own_first. */
int op_scripts(const struct op *o, const char *what, bool own_first, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * op_script_inside - text of conf/CTID.WHAT as a sealed file for a shell in the VPS; -ENOENT when
 * there is none.
 */
int op_script_inside(const struct op *o, const char *what) __attribute__((warn_unused_result));

/* busy.c */
/**
 * op_mount_when_free - the layout's mount, tried again while the last mount of this VPS is held
 * somewhere; no event tells when it is given back.
 * Return: 0; -EBUSY after two minutes; -errno. Another VPS with this private area was refused before.
 */
int op_mount_when_free(const struct op *o, const struct sto_place *p, int userns,
		       struct vz_error *err) __attribute__((warn_unused_result));

/* mount.c */

/**
 * op_do_mount - premount scripts, mount, mount scripts, then the note of what it was made from: a
 * mount without one did not come to its end. An existing mount is used. *@ret_was: it was there.
 */
int op_do_mount(struct op *o, bool remount, bool *ret_was, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * op_private_release - forget that the VPS mounted its private area last
 * @st: of the private area, which is about to go or has gone: its inode may soon be another's
 */
void op_private_release(const struct op *o, const struct stat *st);
/** op_mount_is_ours - whether what is mounted at VE_ROOT is the VPS's file system (ADR 20). */
bool op_mount_is_ours(const struct op *o);
/** op_do_umount - note that it is not whole any more, umount scripts, umount, postumount scripts. */
int op_do_umount(struct op *o, struct vz_error *err) __attribute__((warn_unused_result));
/** op_mount_keep - note that the mount shall outlive the command (mount, stop --skip-umount). */
int op_mount_keep(struct op *o, struct vz_error *err) __attribute__((warn_unused_result));
/** op_root_fd - detached clone of the mounted root with the ids of the VPS; o->userns is there then. */
int op_root_fd(struct op *o, int *ret_root, struct vz_error *err)
	__attribute__((warn_unused_result));

/* start.c, stop.c */
int op_do_start(struct op *o, const struct op_start *a, struct vz_error *err)
	__attribute__((warn_unused_result));
int op_do_stop(struct op *o, const struct op_stop *a, struct vz_error *err)
	__attribute__((warn_unused_result));
int op_do_restart(struct op *o, const struct op_start *start, const struct op_stop *stop,
		  struct vz_error *err) __attribute__((warn_unused_result));

/* mend.c */

/** op_cleanup_dead - groups, state and links of a VPS whose init is gone. */
int op_cleanup_dead(struct op *o, struct vz_error *err) __attribute__((warn_unused_result));
/**
 * op_mend - what an earlier command or a dying VPS left behind, if the VPS does not run: groups,
 * state, a mount that nobody asked to keep. With
 * --skiplock only the groups and the state: the caller is perhaps a script of a command under way.
 */
int op_mend(struct op *o, struct vz_error *err) __attribute__((warn_unused_result));

/* share.c */

/** op_node_share - res_node_share() with VE0CPUUNITS of @cfg; systemd is told in the background. */
void op_node_share(const struct vps_config *cfg);

/* destroy.c */

/**
 * op_retire - scripts, then CTID.conf get the ending .destroyed: the last of the VPS but its trash.
 */
int op_retire(uint32_t ctid, struct vz_error *err) __attribute__((warn_unused_result));

/* left.c: linked into the light vzctl */

enum op_mount_note {
	OP_MOUNT_NONE, /* what is mounted there is nobody's, or an operator's */
	OP_MOUNT_HALF, /* begun, or being taken down: it is not whole */
	OP_MOUNT_OURS, /* made for a command or for a running VPS */
	OP_MOUNT_KEPT, /* shall stay while the VPS is down */
};
enum op_mount_note op_mount_note(uint32_t ctid);

/* What destroy moves a private area to, beside it: this, the CTID, a dot, its process number. */
#define OP_TRASH ".vzctl-rm-me."
/**
 * op_half_suffix - what create adds to the name of a private area until it is whole; NULL past the
 * last. OP_HALF_OWN: CTID.conf is create's own as well; OP_HALF_KEPT: it was there before.
 */
const char *op_half_suffix(size_t i);
enum { OP_HALF_OWN, OP_HALF_KEPT };
/**
 * op_former - for a VPS without a CTID.conf: VE_ROOT and VE_PRIVATE as the last one of that number
 * had them, else as a new one would. 0 or -ENOMEM.
 */
int op_former(struct vps_config *c, uint32_t ctid) __attribute__((warn_unused_result));
/**
 * op_left_files - half made private areas, and those that destroy moved aside and nobody deletes
 * now. 0 or -ENOMEM.
 */
int op_left_files(uint32_t ctid, const struct vps_config *c, struct vz_list *ret)
	__attribute__((warn_unused_result));
/** op_left - lines for `status`: what is left over, of what, and what mends it. See status.c. */
int op_left(uint32_t ctid, const struct vps_config *c, bool has_conf,
	    const struct op_status_words *w, struct vz_list *ret)
	__attribute__((warn_unused_result));

/* limits.c: beancounters */

/** op_limits_begin - a slot and its limits, before the first process runs. Return: 0; -errno with @err. */
int op_limits_begin(const struct op *o, const struct vps_state *st, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_limits_apply - the limits of o->cfg for the running VPS. Return: 0; -ESRCH; -errno with @err. */
int op_limits_apply(const struct op *o, struct vz_error *err) __attribute__((warn_unused_result));
/**
 * op_limits_live - limits of each process (mlock(2), queued signals) that differ from @old, in all processes of the
 * running VPS; what came of it stands in o->in_force. Failures are logged.
 */
void op_limits_live(struct op *o, const struct vps_state *st, const struct vps_config *old);
struct ctx_orders;
/** op_limits_orders - the part of it that start itself sees to, without BPF */
void op_limits_orders(const struct vps_config *c, struct ctx_orders *o);
/**
 * op_limits_say - one line that names the limits in @changed which this node does not enforce, and one with those that
 * hold from the next start on
 * @old: what the VPS that runs had before; NULL: it does not run
 */
void op_limits_say(const struct op *o, const struct vps_config *old, const bool changed[VP_MAX]);

/* view.c */

struct ctx_start;
/**
 * op_view_begin - have the view from inside made while the start goes on, unless it is switched off
 * (--features procview:off). Where it cannot be had that is said, and no error.
 * @covered: after a restore, paths inside that its view had; NULL: a start
 * Return: whether op_view_shown() has something to wait for.
 */
bool op_view_begin(const struct op *o, const struct vz_list *covered, struct ctx_start *s);
/** op_view_shown - wait until it is there. @ret: paths inside that show it, none when it failed. */
void op_view_shown(struct ctx_start *s, struct vz_list *ret);

/* viewfile.c */

/** op_view_files - make RUN/CTID/proc with empty files that vzmon is to watch. Return: 0 or -errno. */
int op_view_files(uint32_t ctid) __attribute__((warn_unused_result));

/* ubcfile.c */

/**
 * op_write_over - first the new text over the old, then the end: a reader sees no file that is empty
 * Return: 0; -ENOMEM when @b failed; -errno.
 */
int op_write_over(int fd, const struct vz_buf *b) __attribute__((warn_unused_result));

/* apply.c */

/**
 * op_apply_running - bring a running VPS from @old to o->cfg for the rows in @changed: distinct
 * groups once each, in table order; on failure the old values are applied again.
 */
int op_apply_running(struct op *o, const struct vps_state *st, const struct vps_config *old,
		     const bool changed[VP_MAX], struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_apply_back - after op_apply_running, and with o->cfg as then: the values of @old again. */
void op_apply_back(struct op *o, const struct vps_state *st, const struct vps_config *old,
		   const bool changed[VP_MAX]);
/** op_addr_add_all - every address of the configuration to the link. */
int op_addr_add_all(const struct op *o, const char *ifname, int netns, struct vz_error *err)
	__attribute__((warn_unused_result));
struct ctx_dev;
/**
 * op_devnode - "NAME:rw" of --devnodes as the host's /dev/NAME is. Exit 86 when there is no such
 * device.
 */
int op_devnode(const char *word, struct ctx_dev *ret, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * op_check_ram - a memory limit that was typed: is there any, and has the node that much? More is a slip of the keys, or
 * meant for another node: then @force stores it. @said: mode of the option, for the message. Return: 0; exit 21.
 */
int op_check_ram(const struct vps_config *c, enum vps_mode said, bool force, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_warn_all - each line as a warning. */
void op_warn_all(const struct vz_list *lines);
/** op_warn_said - the same; an option that a line begins with is named as it was typed (o->said). */
void op_warn_said(const struct op *o, const struct vz_list *lines);
/** op_host_resolv - text of the host's resolv.conf, NULL when unreadable; the caller frees. */
char *op_host_resolv(void);

#endif
