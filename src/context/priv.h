/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTEXT_PRIV_H
#define CONTEXT_PRIV_H

#include "context/orders.h"
#include "context/sync.h"
#include "util/error.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The parts that vzmon and init run: libc only, no malloc-heavy code, no log. */

/** struct mon_fds - descriptors vzmon received with its orders; -1 = absent */
struct mon_fds {
	int control; /* vzctl, until the VPS is started */
	int protocol; /* to vzctl, used by builder and init */
	int root, seccomp, script;
	int group; /* v2's payload directory: the builder is born there */
	int procs[CTX_PROCS];
	int volumes[CTX_VOLUMES]; /* detached mounts for the paths in rootfs.c */
	int console; /* slave of the console pty */
	int console_mnt; /* detached mount of its device file */
	int mon; /* builder: tells vzmon init's pid and pidfd */
	int args, dev; /* when the VPS is restored: of CRIU; detached mount of /dev */
	int pages; /* and its memory comes later: the stream that it comes by */
	int ready; /* the child that becomes CRIU waits here for the server of pages */
};

struct mon_view;
/**
 * orders_receive - all of vzctl's orders from @f->control, descriptors into @f
 * @restore: version 0 when the VPS is to be started; @view: begun when it is wanted
 * Return: 0; -EPROTO, also when vzctl died before.
 */
int orders_receive(struct ctx_orders *o, struct ctx_restore_orders *restore, struct mon_view *view,
		   struct mon_fds *f);

/** child_builder - body of the builder; never returns. Host namespaces, root. See child.c. */
void child_builder(const struct ctx_orders *o, struct mon_fds *f) __attribute__((noreturn));

/** child_restorer - body of the child that becomes CRIU; never returns. See restore.c. */
void child_restorer(const struct ctx_orders *o, const struct ctx_restore_orders *r,
		    struct mon_fds *f) __attribute__((noreturn));

/**
 * restore_words - arguments or environment in the file of restore orders
 * @text: of the whole file, @len bytes; @skip: texts before them; @n: how many; @v: room for @n + 1
 * Return: 0 or -EPROTO.
 */
int restore_words(char *text, size_t len, uint32_t skip, uint32_t n, char **v);

/** restore_put - the detached mount @mnt at @stage/@name, which is made, a directory or a file. 0 or -errno. */
int restore_put(int stage, const char *name, bool dir, int mnt);
/**
 * given_stage - given.c: the n-th of @words to @stage/given-N, made or taken from the tree at @stage/root, of which the top
 * alone is left
 * @path: of the stage. Return: 0; -EPROTO; -errno.
 */
int given_stage(int stage, const char *path, const struct ctx_orders *o, char *const *words,
		uint32_t n);

/** mon_log_end - mon-log.c: how init ended, to o->log; @lost: because memory of it did not come. */
void mon_log_end(const struct ctx_orders *o, const siginfo_t *si, bool lost);

/* pages.c */

/**
 * struct mon_pages - the server of pages of a VPS whose memory comes later
 * @pidfd: -1 none, or ended; @keep: closed, its keeper lets go of what it kept
 * @group: v2's payload directory; @lost: it ended before all had come, and the VPS was killed
 */
struct mon_pages {
	int pidfd, keep, group;
	bool lost;
};
#define MON_PAGES_NONE ((struct mon_pages){ .pidfd = -1, .keep = -1, .group = -1 })

/** pages_begin - start it; @f->ready is for who needs it. Return: 0, also when none is wanted; -errno. */
int pages_begin(struct mon_pages *p, const struct ctx_orders *o, const struct ctx_restore_orders *r,
		struct mon_fds *f);
/** pages_end - its pidfd is readable: what became of it is noted in RUNDIR/pages; lost memory is a dead VPS. */
void pages_end(struct mon_pages *p, const char *rundir);

/**
 * restore_begin - vzmon's part: begin that child. Return: its pidfd; -errno.
 */
int restore_begin(const struct ctx_orders *o, const struct ctx_restore_orders *r,
		  struct mon_fds *f);
/**
 * restore_end - CRIU has ended: take over init, whose number it wrote before
 * @criu: its pidfd, closed then. Return: 0; -errno with @err: nothing of the VPS runs.
 */
int restore_end(int *criu, const char *rundir, pid_t *ret_init, int *ret_pidfd,
		struct vz_error *err);

/* rootfs.c */

/** struct fs_option - of a file system; @value NULL: a flag. A list ends with a NULL @key. */
struct fs_option {
	const char *key, *value;
};

/**
 * rootfs_new_fs - a new file system of @type, not attached yet
 * @attrs: MOUNT_ATTR_* of its mount. Return: mount fd the caller closes; -errno.
 */
int rootfs_new_fs(const char *type, const struct fs_option *opts, unsigned int attrs);

/**
 * rootfs_console - in the builder, still in the host's mount namespace, where the pty's file is: a
 * detached mount of it, owned by the VPS's root. Return: fd or -errno.
 */
int rootfs_console(int console, uint64_t base);

/**
 * rootfs_build - in the builder, host user namespace, private mount namespace of its own: attach
 * the root at RUNDIR/root and put /dev, /run, /tmp on it. File-system ids are those of the VPS's
 * root.
 */
int rootfs_build(const struct ctx_orders *o, const struct mon_fds *f, struct vz_error *err);

/** rootfs_put_tmpfs - a tmpfs owned by the VPS's root, limited in bytes and inodes by us, at @root/@name. 0 or -errno. */
int rootfs_put_tmpfs(int root, const char *name, const struct ctx_orders *o, const char *mode,
		     uint64_t bytes, uint64_t inodes, unsigned int attrs);
/** rootfs_attach - the detached mount @mnt at what @spot is open on. 0 or -errno. */
int rootfs_attach(int mnt, int spot);
/**
 * rootfs_stage_dev - for a restore: /dev of a VPS with its nodes, at @stage/dev, nothing mounted below
 * Context: root of the host, a mount namespace of its own. Return: 0 or -errno.
 */
int rootfs_stage_dev(int stage, const struct ctx_orders *o);
/** rootfs_stage_node_files - likewise: /run/vz of the VPS at @stage/inside. */
int rootfs_stage_node_files(int stage, const struct ctx_orders *o);

/**
 * rootfs_dev_node - a device node below @dev, the VPS's /dev; directories on the way are made, no
 * symlink is followed.
 * File-system ids are those of the VPS's root. Return: 0, also when it exists; -errno.
 */
int rootfs_dev_node(int dev, const struct ctx_dev *d);

/**
 * rootfs_enter - in init, working directory the builder's root: proc, sysfs, cgroup2, devpts,
 * masks, then pivot_root; the old root is gone.
 */
int rootfs_enter(const struct ctx_orders *o, struct vz_error *err);

/* cage.c */

/**
 * cage_caps - drop everything outside @mask from the bounding set, and the rest of the sets with
 * it.
 */
int cage_caps(uint64_t mask);
/** cage_seccomp - load the compiled filter in @fd (array of struct sock_filter). */
int cage_seccomp(int fd);
/** cage_reset_signals - default dispositions, nothing blocked. */
void cage_reset_signals(void);

/** pty_open - a pty of the devpts at @ptmx; the slave is opened through the master. 0 or -errno. */
int pty_open(int dirfd, const char *ptmx, int *ret_master, int *ret_slave);

#endif
