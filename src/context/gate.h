/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTEXT_GATE_H
#define CONTEXT_GATE_H

#include "util/error.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * The gate: where CRIU waits for our word. CRIU runs an action script at post-dump (images written,
 * processes still stopped) and at post-restore (all restored, nothing runs yet). Ours is vzmon again,
 * which knows by its environment what it is: it listens at RUNDIR/gate.sock until a command says "go"
 * or "fail", and its exit status is what CRIU acts by. It lives on when the command that began it has
 * died: the next one finds it there.
 */

/** GATE_SOCKET - in the VPS's runtime directory */
#define GATE_SOCKET "gate.sock"
/**
 * GATE_PAGES - likewise: of a restore whose memory comes later: "coming", "whole" or "lost"; absent for others. When it
 * is lost the gate does not open.
 */
#define GATE_PAGES "pages"

/** GATE_ENV - variable that names this directory to the action script */
#define GATE_ENV "CROFT_GATE"

/** struct ctx_gate - an open gate; from ctx_gate_wait() or ctx_gate_open() */
struct ctx_gate {
	int sk; /* -1 = none */
	pid_t init, criu; /* as the host sees them; init is 0 at a dump */
	int criu_pidfd;
};
#define CTX_GATE_NONE                                                                              \
	{                                                                                          \
		.sk = -1, .criu_pidfd = -1                                                         \
	}

/** gate_main - when the environment says that we are CRIU's action script: be it. Does not return then. */
void gate_main(void);

/**
 * ctx_gate_watch - begin to watch for a gate in @rundir, before CRIU is started
 * Return: fd for ctx_gate_wait, which the caller closes; -errno.
 */
int ctx_gate_watch(const char *rundir) __attribute__((warn_unused_result));
/** struct ctx_meanwhile - what is done while CRIU is waited for: @step, whenever @fd is readable; 0 or -errno */
struct ctx_meanwhile {
	int fd;
	int (*step)(void *arg);
	void *arg;
};

/**
 * ctx_gate_wait - until CRIU stands at the gate
 * @watch: from ctx_gate_watch; @other: becomes readable when CRIU has ended without (a pidfd, a socket)
 * @m: NULL: nothing else
 * Return: 0; -ECHILD: @other came first; -EINTR: a signal; what @m->step failed with; -errno.
 */
int ctx_gate_wait(const char *rundir, int watch, int other, const struct ctx_meanwhile *m,
		  struct ctx_gate *ret) __attribute__((warn_unused_result));
/** ctx_gate_look - when @watch is readable: as ctx_gate_open; -ENOENT: it was another name in the directory. */
int ctx_gate_look(const char *rundir, int watch, struct ctx_gate *ret)
	__attribute__((warn_unused_result));
/** ctx_gate_open - the gate that is there now. 0; -ENOENT none. */
int ctx_gate_open(const char *rundir, struct ctx_gate *ret) __attribute__((warn_unused_result));
/** ctx_gate_there - 1 when CRIU waits at a gate in @rundir. */
int ctx_gate_there(const char *rundir);
/** ctx_gate_tell - as ctx_gate_say, but CRIU is not waited for. */
int ctx_gate_tell(struct ctx_gate *g, bool go) __attribute__((warn_unused_result));
/**
 * ctx_gate_say - let CRIU go on, or have it take everything back; waits for its end
 * Return: 0; -errno when it could not be told.
 */
int ctx_gate_say(struct ctx_gate *g, bool go) __attribute__((warn_unused_result));
/**
 * ctx_gate_settle - for a CRIU that is perhaps still at work: wait until it is at the gate or has ended,
 * and have it take everything back. It is never killed in the middle: it would leave its own code in the
 * VPS's processes.
 * @other: as for ctx_gate_wait; @g: the gate, if it is known already; closed then
 */
void ctx_gate_settle(const char *rundir, int other, struct ctx_gate *g);
void ctx_gate_close(struct ctx_gate *g);
#define CTX_GATE __attribute__((cleanup(ctx_gate_close)))

#endif
