/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTEXT_CONTEXT_H
#define CONTEXT_CONTEXT_H

#include "context/gate.h"
#include "context/orders.h"
#include "util/error.h"
#include "vps/vps.h"

/**
 * struct ctx_start - a start under way, on vzctl's side
 * @sk: protocol socket to the child; @mon: control socket to vzmon; @init_pidfd: init; -1 = none
 * @netns: init's network namespace; @view: to who shows the view from inside
 */
struct ctx_start {
	int sk, mon, init_pidfd, netns, view;
	pid_t mon_pid, init_pid;
	uint32_t next_step;
};
#define CTX_START_NONE                                                                             \
	{                                                                                          \
		.sk = -1, .mon = -1, .init_pidfd = -1, .netns = -1, .view = -1                     \
	}

/* Descriptors that go along with the orders; -1 = absent. Borrowed by ctx_spawn. */
struct ctx_fds {
	int root; /* detached mount of the VPS's root */
	int dev; /* for ctx_restore: detached mount of its /dev, from ctx_dev_make() */
	int seccomp; /* compiled filter, sealed file */
	int start_script; /* CTID.start, sealed file */
	int group; /* directory of v2's payload */
	int procs[12]; /* tasks of each v1 group */
	size_t nprocs;
	int volumes
		[CTX_VOLUMES]; /* nesting: detached mounts for /var/lib/{docker,containerd,containers} */
	size_t nvolumes;
};

/**
 * struct ctx_criu - arguments and environment of CRIU, NULL-ended; borrowed
 * @pages_argv, @pages_env: those of its server of pages, where memory comes later; NULL: all of it is in the images
 * @given: mounts below @root of struct ctx_fds that CRIU is given one by one, and file systems in memory to be made; each is
 * "KIND ATTRIBUTES BYTES INODES PATH", see context/given.c
 * @pages: stream that they come by; its other end is cut when the server ends
 * @meanwhile: while it restores; NULL nothing
 */
struct ctx_criu {
	char *const *argv, *const *env, *const *pages_argv, *const *pages_env, *const *given;
	int pages;
	const struct ctx_meanwhile *meanwhile;
};

/**
 * ctx_monitor - start the detached vzmon; it waits for its orders, while we prepare them.
 * @group: directory of the cgroup2 group it is to be in, -1: ours; @tasks, @n: `tasks` files of v1
 * groups, likewise
 * Context: host namespaces, VPS lock held. Return: 0; -errno. Take it back by ctx_abort().
 */
int ctx_monitor(int group, const int *tasks, size_t n, struct ctx_start *ret, struct vz_error *err)
	__attribute__((warn_unused_result));

/* ---- the view from inside: view.c ---- */

/** enum ctx_view_want - what of the view is wanted */
enum ctx_view_want {
	CTX_VIEW_MEMINFO = 1 << 0, /* /proc/meminfo and /proc/swaps too */
	CTX_VIEW_NO_SWAP = 1 << 1, /* say that there is no swap */
	CTX_VIEW_SERVER = 1 << 2, /* what lxcfs serves */
	/* files in RUN/CTID/proc, made by the caller; in the order of view_file() */
	CTX_VIEW_STAT = 1 << 3, /* in place of the server's */
	CTX_VIEW_VMSTAT = 1 << 4,
	CTX_VIEW_DISKSTATS = 1 << 5,
};

/** struct ctx_view - where the server of a view lives and what it reads; borrowed */
struct ctx_view {
	uint32_t ctid;
	unsigned int
		want; /* of enum ctx_view_want; @group to @hierarchies: with CTX_VIEW_SERVER alone */
	int group; /* directory of its cgroup2 group */
	int tasks[CTX_VIEW_TASKS]; /* `tasks` of its v1 groups */
	size_t ntasks;
	const struct vz_list
		*hierarchies; /* mount points of the control groups that tell of a VPS */
	const struct vz_list
		*covered; /* after a restore: paths inside that its view had; NULL none */
};

/** ctx_view_server - path of lxcfs, NULL when this node has none that serves. */
const char *ctx_view_server(void);
/**
 * ctx_view_begin - after ctx_monitor and before ctx_spawn: let vzmon begin a server, and watch our own files, while
 * we go on
 * Return: 0; -errno with @err; nothing of it shows in the VPS before ctx_view_show.
 */
int ctx_view_begin(struct ctx_start *s, const struct ctx_view *v, struct vz_error *err)
	__attribute__((warn_unused_result));
/** ctx_view_show - after ctx_rooted: now there is a /proc for it. Does not wait. */
void ctx_view_show(struct ctx_start *s);
/**
 * ctx_view_shown - wait until it is there, at most 20 seconds
 * @ret: paths in the VPS that show its view
 * @ret_unwatched: files of our own are not among them: this kernel does not tell when they are read
 * Return: 0; -errno with @err: the VPS sees the kernel's files but those in @ret, and all goes on.
 */
int ctx_view_shown(struct ctx_start *s, struct vz_list *ret, bool *ret_unwatched,
		   struct vz_error *err) __attribute__((warn_unused_result));

/**
 * ctx_spawn - send the orders to vzmon, which clones init; come back when init has its namespaces
 * and builds its root. Steps BORN, MAPPED, SPAWNED of the protocol in sync.h happen here.
 * On failure nothing of the VPS runs any more.
 * Return: 0; -errno with @err, the child's own error if it told one.
 */
int ctx_spawn(const struct ctx_orders *o, const struct ctx_fds *fds, struct ctx_start *s,
	      struct vz_error *err) __attribute__((warn_unused_result));

/**
 * ctx_dev_make - for a restore: /dev of a VPS with the nodes in @o, nothing mounted below
 * @fill: puts more into it, in a child with the VPS's root's ids for files; @arg: its own
 * Return: fd of a detached mount; -errno, also @fill's.
 */
int ctx_dev_make(const struct ctx_orders *o, int (*fill)(int dev, void *arg), void *arg)
	__attribute__((warn_unused_result));
/**
 * ctx_restore - as ctx_spawn, but init comes from CRIU; come back when it stands at the gate: all is restored, nothing
 * of it runs. s->init_pid, init_pidfd and netns are known then. On failure nothing of the VPS runs any more.
 * @c: see struct ctx_restore_orders for what it finds where
 * Return: 0; -errno with @err (exit 17): vzmon's or CRIU's, whose log says more.
 */
int ctx_restore(const struct ctx_orders *o, const struct ctx_fds *fds, const struct ctx_criu *c,
		struct ctx_start *s, struct ctx_gate *ret_gate, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * ctx_restored - after ctx_gate_say(go): wait until vzmon has init for its child
 * Return: 0: the VPS runs; -errno with @err: CRIU has killed what was there.
 */
int ctx_restored(struct ctx_start *s, struct vz_error *err) __attribute__((warn_unused_result));

/** ctx_rooted - wait for ROOT: /proc/INIT/root is the VPS's root from now on. */
int ctx_rooted(struct ctx_start *s, struct vz_error *err) __attribute__((warn_unused_result));

/**
 * ctx_network_ready - tell the child that its links are there; wait for CAGED, SCRIPTS, CONSOLE.
 */
int ctx_network_ready(struct ctx_start *s, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * ctx_go - let init run: sends GO, waits for the hang-up of exec, checks that init lives, and tells
 * vzmon that the VPS is started (from then on vzmon cleans up after it).
 */
int ctx_go(struct ctx_start *s, struct vz_error *err) __attribute__((warn_unused_result));

/**
 * ctx_notify_open - between ctx_rooted and ctx_network_ready: the socket that init tells its
 * readiness to, bound in the
 * VPS's fresh /run, where nothing of the tenant's runs yet. Return: fd the caller closes; -errno.
 */
int ctx_notify_open(const struct ctx_start *s, uint64_t uid_base, struct vz_error *err)
	__attribute__((warn_unused_result));
/** ctx_notify_wait - until READY=1 comes. 0; -ETIMEDOUT; -ESRCH when init ended. */
int ctx_notify_wait(int notify, int init_pidfd, int timeout_ms) __attribute__((warn_unused_result));

/** ctx_fifo_wait - until the VPS writes something into the FIFO @fd. Return as ctx_notify_wait. */
int ctx_fifo_wait(int fd, int init_pidfd, int timeout_ms) __attribute__((warn_unused_result));

/** ctx_abort - kill what was started and wait for vzmon's end; everything in @s is closed. */
void ctx_abort(struct ctx_start *s);
/** ctx_start_close - close what @s holds; the VPS goes on. */
void ctx_start_close(struct ctx_start *s);

/** enum ctx_allow - what the system call filter lets through beside its usual; see seccomp.c */
enum ctx_allow {
	CTX_ALLOW_NESTING = 1 << 0, /* calls that container engines inside need */
	CTX_ALLOW_IO_URING = 1 << 1,
	CTX_ALLOW_SOCKETCALL = 1 << 2, /* sockets for 32-bit x86 programs */
	CTX_ALLOW_VIEW = 1 << 3, /* alone: the other filter, that of the server of the view */
};

/**
 * ctx_seccomp - the filter as a sealed file, compiled once and kept in RUN/seccomp-KEY.bpf
 * @allow: of enum ctx_allow
 * Return: fd the caller closes; -errno.
 */
int ctx_seccomp(unsigned int allow, struct vz_error *err) __attribute__((warn_unused_result));

/* ---- joining a running VPS: exec.c ---- */

enum ctx_exec_flags {
	CTX_EXEC_SHELL = 1 << 0, /* argv joined by blanks, given to bash -c or sh -c */
	CTX_EXEC_STDIN = 1 << 1, /* shell that reads its commands from standard input */
	CTX_EXEC_LOGIN = 1 << 2, /* interactive login shell on a pty (enter) */
};

struct ctx_exec {
	unsigned int flags;
	char *const *argv; /* NULL-terminated */
	const char *type; /* LOGIN: text typed into the shell first; NULL none */
};

/**
 * ctx_exec_run - run a command in the VPS and wait for it; a terminal of ours is never handed in:
 * streams that are terminals are relayed through a pty of the VPS's own devpts.
 * Context: sealed copy of the binary (ctx_seal_self), host namespaces, root.
 * Return: wait status of the command as from waitpid; -errno with @err (31 not running, 47 no
 * shell, 3).
 */
int ctx_exec_run(const struct vps_state *st, uint32_t ctid, const struct ctx_exec *x,
		 struct vz_error *err) __attribute__((warn_unused_result));

/**
 * ctx_seal_self - make sure that /proc/self/exe is a sealed copy: the VPS must never reach the
 * binary on the host's disk (CVE-2019-5736). Executes the copy with the same argv when it is not.
 * Return: 0 when already sealed; -errno.
 */
int ctx_seal_self(char *const argv[]) __attribute__((warn_unused_result));

/** ctx_make_devs - device nodes in the /dev of a running VPS. 0 or -errno. */
int ctx_make_devs(const struct vps_state *st, const struct ctx_dev *devs, size_t n)
	__attribute__((warn_unused_result));

/** ctx_set_hostname - the host name of a running VPS. 0 or -errno. */
int ctx_set_hostname(const struct vps_state *st, const char *name)
	__attribute__((warn_unused_result));

/**
 * ctx_console - attach the terminal to the console of a running VPS until ESC . or end of file. 0
 * or -errno.
 */
int ctx_console(uint32_t ctid, struct vz_error *err) __attribute__((warn_unused_result));

#endif
