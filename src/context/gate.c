/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "context/gate.h"

#include "util/fd.h"
#include "util/parse.h"
#include "util/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* What the gate tells each that comes. */
struct gate_hello {
	char magic[8];
	int32_t init, criu;
};

static const char magic[8] = "gate 1";

enum { LOOK_MS = 5000 };

/* ---- the action script ---- */

/* Return: 1 go, 0 fail, -1 nothing said: the next one may. */
static int serve(int sk, const struct gate_hello *hello)
{
	struct pollfd p = { .fd = sk, .events = POLLIN };
	char word[8] = "";

	if (send(sk, hello, sizeof(*hello), MSG_NOSIGNAL) != (ssize_t)sizeof(*hello))
		return -1;
	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return -1;
	if (recv(sk, word, sizeof(word) - 1, MSG_DONTWAIT) <= 0)
		return -1;
	return !strcmp(word, "go") ? 1 : !strcmp(word, "fail") ? 0 : -1;
}

/* Memory of what was restored that will never come. */
static bool pages_lost(const char *rundir)
{
	VZ_FREE char *text = NULL;
	char path[320];

	(void)snprintf(path, sizeof(path), "%s/" GATE_PAGES, rundir);
	return vz_read_file(AT_FDCWD, path, 64, &text) > 0 && !strcmp(text, "lost\n");
}

static int hold(const char *rundir)
{
	const char *init = secure_getenv("CRTOOLS_INIT_PID");
	struct gate_hello hello = { .criu = getppid() };
	char path[320], fresh[330];
	VZ_FD int listener = -EBADF;
	uint64_t pid = 0;
	int said = -1;

	memcpy(hello.magic, magic, sizeof(magic));
	if (init && vz_parse_u64(init, 1, INT32_MAX, &pid) == 0)
		hello.init = (int32_t)pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != hello.criu)
		return 1;
	(void)snprintf(path, sizeof(path), "%s/" GATE_SOCKET, rundir);
	(void)snprintf(fresh, sizeof(fresh), "%s.new", path);
	listener = vz_unix_listen(fresh);
	/* whoever watches for the name finds someone who answers */
	if (listener < 0 || rename(fresh, path) < 0)
		return 1;
	while (said < 0) {
		struct pollfd p = { .fd = listener, .events = POLLIN };
		VZ_FD int sk = -EBADF;

		int n = poll(&p, 1, LOOK_MS);

		if ((n < 0 && errno != EINTR) || pages_lost(rundir))
			break;
		if (n <= 0 && access(path, F_OK) < 0)
			break; /* the VPS's directory is gone: nobody will ever come */
		if (n <= 0)
			continue;
		sk = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (sk >= 0)
			said = serve(sk, &hello);
	}
	(void)unlink(path);
	return said == 1 && !pages_lost(rundir) ? 0 : 1;
}

void gate_main(void)
{
	const char *action = secure_getenv("CRTOOLS_SCRIPT_ACTION");
	const char *rundir = secure_getenv(GATE_ENV);

	if (!action || !rundir)
		return;
	if (strcmp(action, "post-dump") != 0 && strcmp(action, "post-restore") != 0)
		_exit(0);
	_exit(hold(rundir));
}

/* ---- the command's side ---- */

int ctx_gate_watch(const char *rundir)
{
	VZ_FD int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[320];

	if (fd < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "%s/" GATE_SOCKET, rundir);
	if (inotify_add_watch(fd, rundir, IN_MOVED_TO) < 0)
		return -errno;
	if (!ctx_gate_there(rundir))
		(void)unlink(path); /* of a CRIU that was killed: nobody listens there */
	return vz_take_fd(&fd);
}

int ctx_gate_open(const char *rundir, struct ctx_gate *ret)
{
	CTX_GATE struct ctx_gate g = CTX_GATE_NONE;
	struct gate_hello hello;
	char path[320];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/" GATE_SOCKET, rundir);
	g.sk = vz_unix_connect(path);
	if (g.sk < 0)
		return g.sk == -ECONNREFUSED ? -ENOENT : g.sk;
	n = recv(g.sk, &hello, sizeof(hello), MSG_WAITALL);
	if (n != (ssize_t)sizeof(hello) || memcmp(hello.magic, magic, sizeof(magic)) != 0)
		return -EPROTO;
	g.init = hello.init;
	g.criu = hello.criu;
	g.criu_pidfd = vz_proc_pidfd(g.criu, 0);
	if (g.criu_pidfd < 0)
		return -ENOENT;
	*ret = g;
	g = (struct ctx_gate)CTX_GATE_NONE;
	return 0;
}

int ctx_gate_there(const char *rundir)
{
	CTX_GATE struct ctx_gate g = CTX_GATE_NONE;

	return ctx_gate_open(rundir, &g) == 0;
}

int ctx_gate_look(const char *rundir, int watch, struct ctx_gate *ret)
{
	char sink[4096];

	while (read(watch, sink, sizeof(sink)) > 0)
		;
	return ctx_gate_open(rundir, ret);
}

int ctx_gate_wait(const char *rundir, int watch, int other, const struct ctx_meanwhile *m,
		  struct ctx_gate *ret)
{
	struct pollfd p[] = { { .fd = watch, .events = POLLIN },
			      { .fd = other, .events = POLLIN },
			      { .fd = m ? m->fd : -1, .events = POLLIN } };
	int r = ctx_gate_open(rundir, ret);

	while (r == -ENOENT) {
		if (poll(p, 3, -1) < 0)
			return -errno;
		if (p[0].revents) {
			r = ctx_gate_look(rundir, watch, ret);
		} else if (p[1].revents) {
			return -ECHILD;
		} else {
			int did = m->step(m->arg);

			if (did < 0)
				return did;
		}
	}
	return r;
}

void ctx_gate_settle(const char *rundir, int other, struct ctx_gate *g)
{
	VZ_FD int watch = -EBADF;

	if (g->sk < 0) {
		watch = ctx_gate_watch(rundir);
		while (watch >= 0 && ctx_gate_wait(rundir, watch, other, NULL, g) == -EINTR)
			;
	}
	if (g->sk >= 0)
		(void)!ctx_gate_say(g, false);
	ctx_gate_close(g);
}

int ctx_gate_tell(struct ctx_gate *g, bool go)
{
	const char *word = go ? "go" : "fail";

	return send(g->sk, word, strlen(word), MSG_NOSIGNAL) != (ssize_t)strlen(word) ? -errno : 0;
}

int ctx_gate_say(struct ctx_gate *g, bool go)
{
	int r = ctx_gate_tell(g, go);

	if (r < 0)
		return r;
	while (vz_pidfd_poll(g->criu_pidfd, -1) == -EINTR)
		;
	return 0;
}

void ctx_gate_close(struct ctx_gate *g)
{
	vz_closep(&g->sk);
	vz_closep(&g->criu_pidfd);
}
