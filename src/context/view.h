/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTEXT_VIEW_H
#define CONTEXT_VIEW_H

#include "context/fresh.h"
#include "context/orders.h"

/*
 * The view from inside: lxcfs, one a VPS, serves files that say what the VPS has, and they lie over
 * the kernel's in its /proc. Beside them lie files of the node's that vzmon has written when they are
 * read (fresh.h): what lxcfs does not know. Libc only: vzmon keeps it going. Who is who:
 *
 *	vzmon
 *	 ├ shower   builds the server's root, clones the server, puts its files over the VPS's; then
 *	 │	    it ends. Root of the host.
 *	 └ server   lxcfs, with the least it can work with; a child of vzmon by CLONE_PARENT
 */

enum view_job {
	VIEW_SERVE, /* a new server, its files over the VPS's in place of dead ones */
	VIEW_OWN, /* without a server: our own files alone */
	VIEW_HIDE, /* no server for now: off with dead files, so that the kernel's are seen */
};

enum {
	VIEW_SERVED = 9, /* so many are the server's; the others are ours, in RUN/CTID/proc */
	VIEW_FILES = 12,
};
#define VIEW_OURS ((1U << VIEW_FILES) - (1U << VIEW_SERVED))
/** view_file - what is shown, relative to the root of the server and of the VPS; NULL after the last */
const char *view_file(unsigned int n);

/** struct view_fds - what vzmon keeps for it; -1 = absent */
struct view_fds {
	int group, seccomp;
	int talk; /* to vzctl, for the first answer */
	int tasks[CTX_VIEW_TASKS];
};

/** struct mon_view - the view as vzmon sees it; all zero but the descriptors: none is wanted */
struct mon_view {
	bool wanted, served; /* served: the VPS has seen it */
	bool unwatched; /* our own files were wanted, and cannot be watched */
	struct ctx_view_orders o;
	struct view_fds f;
	struct fresh own; /* the watch over our own files */
	int ep; /* borrowed: its events come there */
	int init; /* pidfd of the VPS's init, borrowed; -1 not yet */
	int shower, server; /* pidfds, -1 none */
	int news; /* from the shower: the server's pidfd; -1 none */
	bool hiding; /* the shower's job is VIEW_HIDE */
	uint64_t born_ms, again_ms; /* of the server; when to try again, 0 = no need */
	unsigned int deaths; /* of servers that did not live long, in a row */
};

/** view_init - nothing is wanted yet. */
void view_init(struct mon_view *v, int ep);

/**
 * view_order - orders came: begin. The descriptors are taken.
 * Return: 0; -EPROTO; what goes wrong later is told to vzctl by the shower.
 */
int view_order(struct mon_view *v, const struct ctx_view_orders *o, size_t len, const int *fds,
	       size_t nfds) __attribute__((warn_unused_result));

/** view_started - there is an init: from now on a server that dies is replaced. */
void view_started(struct mon_view *v, int init_pidfd);

/** view_event - an event for @fd. Return: whether it was one of ours. */
bool view_event(struct mon_view *v, int fd);
/** view_wait_ms - for epoll_wait: until view_again() is due; -1 never. */
int view_wait_ms(const struct mon_view *v);
/** view_again - try again, if it is time. */
void view_again(struct mon_view *v);
/** view_end - the VPS ended: nothing of it runs any more when this returns. */
void view_end(struct mon_view *v);

/**
 * view_shower - body of the shower, a child of vzmon; never returns. See view-child.c.
 * @unwatched: our own files are not among those of @o, for lack of a watch
 * @mon: vzmon's pid; @init: pidfd of the VPS's init, -1: it comes over @f->talk
 * @news: the server's pidfd goes there
 */
void view_shower(const struct ctx_view_orders *o, const struct view_fds *f, enum view_job job,
		 bool unwatched, pid_t mon, int init, int news) __attribute__((noreturn));

#endif
