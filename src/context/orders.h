/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTEXT_ORDERS_H
#define CONTEXT_ORDERS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	CTX_ORDERS_VERSION = 4,
	CTX_DEVS = 32,
	CTX_PROCS = 12,
	CTX_VOLUMES = 3,
	CTX_RING = 64 * 1024,
	CTX_VIEW_VERSION = 3,
	CTX_RESTORE_VERSION = 3,
	CTX_GIVEN = 48,
	CTX_RESTORE_BYTES = 64 * 1024, /* of CRIU's arguments */
	CTX_VIEW_TASKS = 4,
	CTX_VIEW_HIERARCHIES = 8,
};

#define CTX_NOTIFY_PATH                                                                            \
	"/run/host/notify" /* inside the VPS, as systemd's container interface names it */

/** struct ctx_dev - a device node under /dev of the VPS */
struct ctx_dev {
	char name[64]; /* relative to /dev */
	uint32_t mode; /* type and permissions */
	uint32_t major, minor;
};

/**
 * struct ctx_orders - all that vzmon and init need to know, sent by vzctl as one record, so that
 * neither reads a configuration. Plain data, no pointers.
 * @flags_fds: which descriptors follow, in this order: protocol socket, root mount, then as the
 * bits say
 */
struct ctx_orders {
	uint32_t version, ctid, generation;
	uint64_t uid_base, uid_count;
	uint64_t caps; /* bounding set, bit n = capability n */
	int32_t oom_adj; /* of init, and so of all its children */
	/* of the whole VPS, UINT64_MAX = none: queued signals; locked memory of a process; ptys */
	uint64_t sigpending, memlock_bytes, ptys;
	uint64_t run_bytes, run_inodes; /* limits of the tmpfs on /run, /tmp and /dev/shm, each */
	uint8_t nesting, notify, bare, service_rules, has_seccomp, has_script, nprocs, nvolumes;
	uint32_t ndevs;
	struct ctx_dev devs[CTX_DEVS];
	char hostname[65];
	char init[64];
	char rundir[256]; /* /run/vz/CTID */
	char vzctl[256]; /* run when init ends */
	char log[256]; /* vzmon's log file, "" = none */
};

/**
 * struct ctx_view_orders - the record that makes vzmon serve the VPS's view of its resources; it comes
 * before the orders, when at all. Plain data.
 * Descriptors that follow: the socket for the first answer (struct ctx_view_answer); with a server the
 * directory of its cgroup2 group, its system call filter, `tasks` of @ntasks v1 groups.
 */
struct ctx_view_orders {
	uint32_t version, ctid;
	uint32_t files; /* bit n: the n-th file of view_files */
	uint8_t ntasks, nhierarchies, no_swap;
	uint32_t covered; /* bit n: something of ours lies over the n-th file, and goes first */
	char server[64]; /* the program, below /usr; "": only files of our own are shown */
	char rundir[256]; /* /run/vz/CTID */
	char vzctl[256]; /* writes our own files */
	char hierarchies[CTX_VIEW_HIERARCHIES][64]; /* below /sys/fs/cgroup, that it is to see */
};

/**
 * struct ctx_restore_orders - the record that makes vzmon restore the VPS by CRIU instead of starting it; it comes just
 * before the orders. Plain data. Two descriptors follow: a sealed file with @nargs texts, each ended by NUL, CRIU's
 * program and arguments, then its environment (@nenv); the detached mount of /dev. Its console is descriptor CTX_CONSOLE_FD, and what it mounts is
 * in CTX_STAGE beside @rundir, where nobody else sees it.
 * @npages: where memory comes later, a third descriptor is the stream that it comes by, and @npages arguments and
 * @npages_env texts of environment of the server of pages follow in the file (context/pages.c); else 0.
 * @ngiven: texts at its end, of mounts (context/given.c)
 */
struct ctx_restore_orders {
	uint32_t version, nargs, nenv, npages, npages_env, ngiven, bytes;
};

/**
 * CTX_CONSOLE_FD - the console's slave in CRIU, for --inherit-fd; in the server of pages: CTX_PAGES_FD the stream,
 * CTX_KEEP_FD what its keeper waits for (checkpoint/owner.c), CTX_READY_FD where it says that it is there
 */
enum { CTX_CONSOLE_FD = 9, CTX_PAGES_FD, CTX_KEEP_FD, CTX_READY_FD, CTX_FD_END };
/* Below /run/vz; and in it: root, dev, console, inside, volume-N, given-N. */
#define CTX_STAGE    "stage"
#define CTX_PID_FILE "restored.pid"

/** ctx_restore_check - are @len bytes with @nfds descriptors whole orders for a restore? 0 or -EPROTO. */
int ctx_restore_check(const struct ctx_restore_orders *o, size_t len, size_t nfds)
	__attribute__((warn_unused_result));

/** struct ctx_view_answer - what became of the first attempt to show the view */
struct ctx_view_answer {
	int32_t failed; /* positive errno; 0 = shown */
	uint32_t shown; /* bit n: the n-th file of view_files is over the kernel's */
	uint8_t unwatched; /* our own files are not shown: nobody could write them when they are read */
	char what[64]; /* that failed */
};

/** ctx_view_check - are @len bytes with @nfds descriptors whole orders for a view? 0 or -EPROTO. */
int ctx_view_check(const struct ctx_view_orders *o, size_t len, size_t nfds)
	__attribute__((warn_unused_result));

/**
 * ctx_orders_check - are @len bytes received into @o with @nfds descriptors whole orders: version,
 * counts, each text ended. Return: 0 or -EPROTO.
 */
int ctx_orders_check(const struct ctx_orders *o, size_t len, size_t nfds)
	__attribute__((warn_unused_result));

#endif
