/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "context/mon.h"

#include "context/console.h"
#include "context/fresh.h"
#include "context/priv.h"
#include "context/view.h"
#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct mon {
	struct ctx_orders o;
	struct mon_fds f;
	struct console con;
	struct fresh fresh, node; /* files of this VPS, and those of the node */
	struct mon_view view;
	struct ctx_restore_orders restore; /* version 0: a start */
	int ep, pidfd;
	pid_t init;
	int criu; /* pidfd, while it restores; -1 */
	struct mon_pages pages;
	bool started; /* vzctl said so; before that we only clean up after its death */
};

static int watch(int ep, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static void close_start_fds(struct mon *m)
{
	int *const fds[] = { &m->f.protocol, &m->f.root,    &m->f.group, &m->f.seccomp,
			     &m->f.script,   &m->f.console, &m->f.args,	 &m->f.dev };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		vz_closep(fds[i]);
	for (int p = 0; p < m->o.nprocs; p++)
		vz_closep(&m->f.procs[p]);
	for (int v = 0; v < m->o.nvolumes; v++)
		vz_closep(&m->f.volumes[v]);
}

/* ---- the VPS's init ---- */

/* Builder and init are our children; the builder tells us who init is, then exits. */
static int start_init(struct mon *m)
{
	struct vz_error err;
	int sk[2], r, st;
	pid_t builder;

	r = vz_seqpacket(sk);
	if (r < 0)
		return r;
	builder = vz_fork_into(m->f.group);
	if (builder < 0) {
		(void)vz_fail(&err, VZ_EXIT_ENVCREATE, (int)-builder,
			      "clone into the group of the VPS");
		sync_fail(m->f.protocol, &err);
		return builder;
	}
	if (builder == 0) {
		vz_closep(&sk[0]);
		vz_closep(&m->f.control);
		vz_closep(&m->view.own.fan); /* ours alone */
		m->f.mon = sk[1];
		child_builder(&m->o, &m->f);
	}
	vz_closep(&sk[1]);
	r = sync_expect(sk[0], STEP_SPAWNED, &m->init, &m->pidfd, &err);
	vz_closep(&sk[0]);
	while (waitpid(builder, &st, 0) < 0 && errno == EINTR)
		;
	return r;
}

/* ---- a VPS that is restored ---- */

/* What vzctl waits for on the protocol socket. Return: 0 the VPS runs; -errno it does not. */
static int after_criu(struct mon *m)
{
	struct vz_error err = { 0 };
	int r;

	(void)epoll_ctl(m->ep, EPOLL_CTL_DEL, m->criu, NULL);
	r = restore_end(&m->criu, m->o.rundir, &m->init, &m->pidfd, &err);
	if (r == 0)
		r = watch(m->ep, m->pidfd);
	if (r < 0) {
		sync_fail(m->f.protocol, &err);
		return r;
	}
	/* vzctl may have gone: it runs all the same, and state.json knows it */
	(void)!sync_tell(m->f.protocol, STEP_GO, m->init, m->pidfd);
	m->started = true;
	close_start_fds(m);
	fresh_open(&m->fresh, m->ep, m->o.rundir, m->o.vzctl, m->o.ctid);
	fresh_open_node(&m->node, m->ep, m->o.rundir, m->o.vzctl);
	view_started(&m->view, m->pidfd);
	return 0;
}

/* reboot(2) in a process namespace ends its init by SIGHUP for a restart and SIGINT for a halt. */
static int after_init(struct mon *m)
{
	char ctid[16];
	const char *argv[] = { m->o.vzctl, "--quiet", "internal-reap", ctid, NULL };
	siginfo_t si = { 0 };
	sigset_t none;

	while (waitid(P_PIDFD, (id_t)m->pidfd, &si, WEXITED) < 0 && errno == EINTR)
		;
	mon_log_end(&m->o, &si, m->pages.lost);
	console_close(&m->con, m->o.rundir);
	view_end(&m->view);
	if (!m->started)
		return 0;
	if ((si.si_code != CLD_EXITED && si.si_status == SIGHUP) || m->pages.lost)
		argv[2] = "internal-reboot"; /* what it was doing is gone; its disk is whole */
	(void)snprintf(ctid, sizeof(ctid), "%u", m->o.ctid);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execv(argv[0], (char *const *)argv);
	return 1;
}

/*
 * vzctl spoke or died. Before "started" its death means that nobody wants this VPS; a restore waits at
 * its gate for the next command.
 */
static void on_control(struct mon *m)
{
	char word[16] = "";
	ssize_t n = read(m->f.control, word, sizeof(word) - 1);

	if (m->criu >= 0)
		n = 0;
	if (n > 0 && !strcmp(word, "started")) {
		m->started = true;
		close_start_fds(m);
	} else if (!m->started && m->pidfd >= 0) {
		(void)kill(m->init, SIGKILL); /* our child, not reaped: the number is still its */
	}
	if (n <= 0 || m->started) {
		(void)epoll_ctl(m->ep, EPOLL_CTL_DEL, m->f.control, NULL);
		vz_closep(&m->f.control);
	}
}

static int loop(struct mon *m)
{
	for (;;) {
		struct epoll_event ev[8];
		int n = epoll_wait(m->ep, ev, 8, view_wait_ms(&m->view));

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == m->pidfd)
				return 0;
			if (m->criu >= 0 && ev[i].data.fd == m->criu) {
				int r = after_criu(m);

				if (r < 0)
					return r;
				continue;
			}
			if (m->pages.pidfd >= 0 && ev[i].data.fd == m->pages.pidfd)
				pages_end(&m->pages, m->o.rundir);
			else if (ev[i].data.fd == m->f.control)
				on_control(m);
			else if (!fresh_event(&m->fresh, ev[i].data.fd) &&
				 !fresh_event(&m->node, ev[i].data.fd) &&
				 !view_event(&m->view, ev[i].data.fd))
				console_event(&m->con, ev[i].data.fd, ev[i].events);
		}
		view_again(&m->view);
	}
}

/* The view is there, the console too; init is on its way. */
static int begin(struct mon *m)
{
	int r = start_init(m);

	if (r < 0)
		return r;
	/* after the last fork that could keep the watch alive without us */
	fresh_open(&m->fresh, m->ep, m->o.rundir, m->o.vzctl, m->o.ctid);
	fresh_open_node(&m->node, m->ep, m->o.rundir, m->o.vzctl);
	view_started(&m->view, m->pidfd);
	vz_closep(&m->f.protocol); /* only init holds it now: its exec or death is seen by vzctl */
	return watch(m->ep, m->pidfd);
}

static int begin_restore(struct mon *m)
{
	int r = pages_begin(&m->pages, &m->o, &m->restore, &m->f);

	if (r == 0 && m->pages.pidfd >= 0)
		r = watch(m->ep, m->pages.pidfd);
	if (r < 0)
		return r;
	m->criu = restore_begin(&m->o, &m->restore, &m->f);
	vz_closep(&m->f.ready);
	return m->criu < 0 ? m->criu : watch(m->ep, m->criu);
}

/* Nothing of it runs: vzctl was told why. */
static int give_up(struct mon *m)
{
	console_close(&m->con, m->o.rundir);
	view_end(&m->view);
	return 1;
}

int mon_main(int control)
{
	struct mon m = {
		.pidfd = -1,
		.criu = -1,
		.fresh = { .fan = -1 },
		.node = { .fan = -1 },
		.pages = MON_PAGES_NONE,
		.f = { .control = control,
		       .group = -1,
		       .console = -1,
		       .args = -1,
		       .dev = -1,
		       .pages = -1,
		       .ready = -1 },
	};
	struct sigaction ign = { .sa_handler = SIG_IGN };
	int r;

	(void)prctl(PR_SET_NAME, "vzmon"); /* executed by descriptor, which leaves a number there */
	(void)sigaction(SIGPIPE, &ign, NULL);
	(void)sigaction(SIGHUP, &ign, NULL);
	(void)sigaction(SIGTERM, &ign,
			NULL); /* a node shutdown stops VPSes by vzctl, not by killing us */
	(void)sigaction(SIGINT, &ign, NULL);
	m.ep = epoll_create1(EPOLL_CLOEXEC);
	if (m.ep < 0)
		return 1;
	view_init(&m.view, m.ep);
	r = orders_receive(&m.o, &m.restore, &m.view, &m.f);
	if (r < 0)
		return 1;
	/* our death is the VPS's death (see child.c): the OOM killer shall look elsewhere */
	(void)!vz_write_value(AT_FDCWD, "/proc/self/oom_score_adj", "-1000");
	r = console_open(&m.con, m.ep, m.o.rundir, &m.f.console);
	if (r < 0) {
		struct vz_error err;

		(void)vz_fail(&err, VZ_EXIT_ENVCREATE, -r, "vzmon: make the console");
		sync_fail(m.f.protocol, &err);
		return 1;
	}
	if (m.restore.version) {
		r = begin_restore(&m);
	} else {
		r = begin(&m);
	}
	if (r < 0 && m.pidfd < 0)
		return give_up(&m);
	if (r < 0 || watch(m.ep, m.f.control) < 0 || loop(&m) < 0) {
		if (m.pidfd < 0)
			return give_up(&m);
		(void)kill(m.init, SIGKILL);
	}
	return after_init(&m);
}
