/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The view, as vzmon keeps it: sees the server die, begins another. Never waits for either. */
#include "context/view.h"

#include "util/fd.h"
#include "util/proc.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

enum {
	LIVED_MS = 10000, /* a server that lived so long did not die of its birth */
	AT_ONCE = 3, /* so many deaths in a row are mended at once */
	PAUSE_MS = 1000, /* then this, doubled each time */
	PAUSE_MAX_MS = 60000,
};

void view_init(struct mon_view *v, int ep)
{
	*v = (struct mon_view){ .f = { .group = -1, .seccomp = -1, .talk = -1 },
				.own = { .fan = -1 },
				.ep = ep,
				.init = -1,
				.shower = -1,
				.server = -1,
				.news = -1 };
	for (int i = 0; i < CTX_VIEW_TASKS; i++)
		v->f.tasks[i] = -1;
}

static void watch(const struct mon_view *v, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	(void)epoll_ctl(v->ep, EPOLL_CTL_ADD, fd, &ev);
}

/* A closed descriptor leaves the epoll set by itself only where nobody else holds its file. */
static void forget(const struct mon_view *v, int *fd)
{
	if (*fd >= 0)
		(void)epoll_ctl(v->ep, EPOLL_CTL_DEL, *fd, NULL);
	vz_closep(fd);
}

static void launch(struct mon_view *v, enum view_job job)
{
	const pid_t mon = getpid();
	int news[2] = { -1, -1 };
	pid_t pid;

	/* should we fail here, for lack of memory or processes, that passes */
	v->again_ms = vz_now_ms() + PAUSE_MAX_MS;
	v->hiding = job == VIEW_HIDE;
	if (vz_seqpacket(news) < 0)
		return;
	pid = vz_fork_into(
		v->f.group); /* not elsewhere: a group that is gone means a VPS that is */
	if (pid == 0)
		view_shower(&v->o, &v->f, job, v->unwatched, mon, v->init, news[1]);
	vz_closep(&news[1]);
	vz_closep(&v->f.talk); /* of the first attempt only */
	v->shower = pid > 0 ? vz_proc_pidfd(pid, 0) : -ESRCH;
	if (v->shower < 0) {
		vz_closep(&news[0]);
		return;
	}
	v->again_ms = 0;
	v->news = news[0];
	watch(v, v->shower);
	watch(v, v->news);
}

static enum view_job serving(const struct mon_view *v)
{
	return v->o.server[0] ? VIEW_SERVE : VIEW_OWN;
}

int view_order(struct mon_view *v, const struct ctx_view_orders *o, size_t len, const int *fds,
	       size_t nfds)
{
	if (v->wanted || ctx_view_check(o, len, nfds) < 0)
		return -EPROTO;
	v->o = *o;
	v->f.talk = fds[0];
	if (o->server[0]) {
		v->f.group = fds[1];
		v->f.seccomp = fds[2];
		for (int i = 0; i < o->ntasks; i++)
			v->f.tasks[i] = fds[3 + i];
	}
	v->wanted = true;
	v->born_ms = vz_now_ms();
	if ((o->files & VIEW_OURS) &&
	    !fresh_open_view(&v->own, v->ep, v->o.rundir, v->o.vzctl, v->o.ctid)) {
		v->o.files &= ~VIEW_OURS;
		v->unwatched = true;
	}
	launch(v, serving(v));
	v->o.covered = 0; /* of the first attempt only */
	return 0;
}

void view_started(struct mon_view *v, int init_pidfd)
{
	v->init = init_pidfd;
}

static bool vps_lives(const struct mon_view *v)
{
	return v->init >= 0 && vz_pidfd_poll(v->init, 0) == -ETIMEDOUT;
}

/* The server is dead, or never was. At once; one that dies again and again, after a pause. */
static void plan(struct mon_view *v)
{
	uint64_t now = vz_now_ms(), pause = 0;

	/* what could not be had at the start is not there: vzctl said so */
	if (!v->served || !vps_lives(v))
		return;
	v->deaths = now - v->born_ms >= LIVED_MS ? 0 : v->deaths + 1;
	if (v->deaths > AT_ONCE) {
		unsigned int doubled = v->deaths - AT_ONCE - 1;

		pause = doubled < 7 ? (uint64_t)PAUSE_MS << doubled : PAUSE_MAX_MS;
		if (pause > PAUSE_MAX_MS)
			pause = PAUSE_MAX_MS;
		launch(v, VIEW_HIDE);
	}
	v->again_ms = now + pause;
}

static void on_news(struct mon_view *v)
{
	size_t n = 1;
	char word;
	int fd = -1;

	if (vz_recv_fds(v->news, &word, 1, &fd, &n) == 1 && n == 1) {
		v->server = fd;
		v->born_ms = vz_now_ms();
		watch(v, v->server);
	}
	forget(v, &v->news);
}

static bool reap(struct mon_view *v, int *pidfd)
{
	siginfo_t si = { 0 };
	bool well;

	(void)waitid(P_PIDFD, (id_t)*pidfd, &si, WEXITED | WNOHANG);
	well = si.si_code == CLD_EXITED && si.si_status == 0;
	forget(v, pidfd);
	return well;
}

static void on_shower_end(struct mon_view *v)
{
	bool well = reap(v, &v->shower);

	if (v->news >=
	    0) /* what it said last; it holds the other end no more, so this waits for nothing */
		on_news(v);
	v->served = v->served || well;
	if (well || v->hiding)
		return;
	if (v->server >= 0)
		(void)vz_pidfd_signal(v->server, SIGKILL); /* of no use; its end is seen */
	else
		plan(v);
}

bool view_event(struct mon_view *v, int fd)
{
	if (fresh_event(&v->own, fd))
		return true;
	if (fd < 0 || (fd != v->news && fd != v->shower && fd != v->server))
		return false;
	if (fd == v->news) {
		on_news(v);
	} else if (fd == v->shower) {
		on_shower_end(v);
	} else {
		(void)reap(v, &v->server);
		if (v->shower >= 0) /* it waits for an answer that will not come */
			(void)vz_pidfd_signal(v->shower, SIGKILL);
		else
			plan(v);
	}
	return true;
}

int view_wait_ms(const struct mon_view *v)
{
	uint64_t now = vz_now_ms();

	if (!v->again_ms || v->shower >= 0)
		return -1;
	return v->again_ms <= now ? 0 : (int)(v->again_ms - now);
}

void view_again(struct mon_view *v)
{
	if (v->again_ms && view_wait_ms(v) == 0 && v->server < 0 && vps_lives(v))
		launch(v, serving(v));
}

void view_end(struct mon_view *v)
{
	int *const both[] = { &v->shower, &v->server };

	v->init = -1;
	for (size_t i = 0; i < 2; i++) {
		siginfo_t si;

		if (*both[i] < 0)
			continue;
		(void)vz_pidfd_signal(*both[i], SIGKILL);
		while (waitid(P_PIDFD, (id_t)*both[i], &si, WEXITED) < 0 && errno == EINTR)
			;
		if (i == 0 && v->news >= 0)
			on_news(v); /* a server that it had begun just now */
		forget(v, both[i]);
	}
}
