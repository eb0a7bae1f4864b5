/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTEXT_FRESH_H
#define CONTEXT_FRESH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fresh_kind; /* which files, and who writes them: fresh.c */

enum { FRESH_FILES = 3 };

/** struct fresh - vzmon's watch over files that are to be new when they are read; see fresh.c */
struct fresh {
	int ep; /* the monitor's epoll, borrowed */
	int fan; /* fanotify group, -1 = none */
	int timer;
	int pidfd; /* of the program that writes them, -1 = none */
	pid_t pid; /* its number, while it is not reaped */
	const struct fresh_kind *kind;
	int fds[FRESH_FILES]; /* the files, for it to write */
	int guard, lead; /* of the node's file: who watches it, see fresh_open_node; -1 = none */
	const char *dir, *program; /* borrowed */
	uint32_t ctid;
};

/**
 * fresh_open - watch the two files in @rundir/inside, and say so by the file @rundir/fresh
 * @program: vzctl-admin, run as `internal-ubc CTID fds` with the files as descriptors 3 and 4
 * Where the kernel has no permission events nothing is watched. The VPS does not run yet.
 */
void fresh_open(struct fresh *f, int ep, const char *rundir, const char *program, uint32_t ctid);
/**
 * fresh_open_view - watch the three files in @rundir/proc that lie over those of the VPS's /proc; the program is run as
 * `internal-view CTID fds` with descriptors 3 to 5. Children that are not ours to wait for must close @f->fan: with it
 * they would keep readers waiting when we are gone.
 * Return: whether they are watched.
 */
bool fresh_open_view(struct fresh *f, int ep, const char *rundir, const char *program,
		     uint32_t ctid) __attribute__((warn_unused_result));
/**
 * fresh_open_node - one of all monitors watches the node's own file, user_beancounters in the directory
 * above @rundir (CTID 0): who has the lock of the file `ubc.guard` there. It has that open for writing,
 * too, and the kernel tells the others when it is closed.
 */
void fresh_open_node(struct fresh *f, int ep, const char *rundir, const char *program);
/** fresh_event - @fd became readable. Return: whether it is one of ours. */
bool fresh_event(struct fresh *f, int fd);

/** fresh_execute - in a child of vzmon: become `@f->program @verb CTID fds`, the first @n files being 3, 4... */
void fresh_execute(const struct fresh *f, const char *verb, int n) __attribute__((noreturn));

#endif
