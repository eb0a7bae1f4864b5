/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vzmon's part in a restore whose memory comes later: a child of it is CRIU's server of pages, which takes them from
 * a stream and gives each to the process that needs it. A page that never comes would read as zeros, so when the server
 * ends before all are there, the VPS is killed at once. Between its death and that moment its keeper (checkpoint/owner.c)
 * holds its descriptors, and whoever needs a page waits.
 */
#include "context/gate.h"
#include "context/priv.h"

#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Descriptors for the server, put where it looks for them; they may lie in each other's way. */
static int place(const int fds[3])
{
	int high[3];

	for (int i = 0; i < 3; i++) {
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, CTX_FD_END);
		if (high[i] < 0)
			return -errno;
	}
	for (int i = 0; i < 3; i++)
		if (dup2(high[i], CTX_PAGES_FD + i) < 0)
			return -errno;
	(void)close_range(3, CTX_PAGES_FD - 1, CLOSE_RANGE_CLOEXEC);
	(void)close_range(CTX_FD_END, ~0U, CLOSE_RANGE_CLOEXEC);
	return 0;
}

static void serve(const struct ctx_restore_orders *r, const struct mon_fds *f, const int fds[3])
	__attribute__((noreturn));

static void serve(const struct ctx_restore_orders *r, const struct mon_fds *f, const int fds[3])
{
	VZ_FREE char *text = malloc(r->bytes);
	char *argv[65], *env[17];
	/* the one that becomes CRIU reads it as well, from where it stands */
	ssize_t n = text ? pread(f->args, text, r->bytes, 0) : -1;
	uint32_t skip = r->nargs + r->nenv;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	cage_reset_signals();
	if (n < 0 || restore_words(text, (size_t)n, skip, r->npages, argv) < 0 ||
	    restore_words(text, (size_t)n, skip + r->npages, r->npages_env, env) < 0 ||
	    place(fds) < 0)
		_exit(127);
	(void)execve(argv[0], argv, env);
	_exit(127);
}

static void note(const char *rundir, const char *word)
{
	char path[320];

	(void)snprintf(path, sizeof(path), "%s/" GATE_PAGES, rundir);
	(void)!vz_write_volatile(path, word, strlen(word), 0600);
}

int pages_begin(struct mon_pages *p, const struct ctx_orders *o, const struct ctx_restore_orders *r,
		struct mon_fds *f)
{
	VZ_FD int until = -EBADF;
	VZ_FD int said = -EBADF;
	int keep[2], ready[2], e;
	pid_t pid;

	if (!r->npages)
		return 0;
	note(o->rundir, "coming\n");
	p->group = fcntl(f->group, F_DUPFD_CLOEXEC, 3);
	e = p->group < 0 ? -errno : vz_pipe(keep);
	if (e < 0)
		return e;
	until = keep[0];
	p->keep = keep[1];
	e = vz_pipe(ready);
	if (e < 0)
		return e;
	f->ready = ready[0];
	said = ready[1];
	pid = fork();
	if (pid == 0) {
		const int fds[3] = { f->pages, until, said };

		vz_closep(&f->control);
		serve(r, f, fds);
	}
	vz_closep(&f->pages);
	p->pidfd = pid < 0 ? -errno : vz_proc_pidfd(pid, 0);
	return p->pidfd < 0 ? p->pidfd : 0;
}

/* CRIU stands there, perhaps: it looks whether the memory is lost when somebody comes. */
static void wake_gate(const char *rundir)
{
	char path[320];
	VZ_FD int sk = -EBADF;

	(void)snprintf(path, sizeof(path), "%s/" GATE_SOCKET, rundir);
	sk = vz_unix_connect(path);
}

void pages_end(struct mon_pages *p, const char *rundir)
{
	siginfo_t si = { 0 };
	char path[320];

	while (waitid(P_PIDFD, (id_t)p->pidfd, &si, WEXITED) < 0 && errno == EINTR)
		;
	vz_closep(&p->pidfd);
	(void)snprintf(path, sizeof(path), "%s/lazy-pages.socket",
		       rundir); /* CRIU leaves it there */
	(void)unlink(path);
	p->lost = si.si_code != CLD_EXITED || si.si_status != 0;
	note(rundir, p->lost ? "lost\n" : "whole\n");
	/* nothing of it may run with memory that is not its own: whoever waits for a page dies waiting */
	if (p->lost) {
		(void)!vz_write_value(p->group, "cgroup.kill", "1");
		wake_gate(rundir);
	} else {
		vz_closep(&p->keep);
	}
	vz_closep(&p->group);
}
