/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/pool.h"

#include "util/fd.h"
#include "util/proc.h"
#include "vps/vps.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>

enum { WORDS_MAX = 8, SAID_MAX = 4096, CAP_MAX = 4096 };

/* Where vzctl-admin is, and the environment that leads it to the same tree as ours. */
struct launch {
	char program[PATH_MAX], root[PATH_MAX + 16], lib[PATH_MAX + 16];
	const char *env[6];
	int null;
};

static int prepare(struct launch *l, struct vz_error *err)
{
	const char *root = secure_getenv("CROFT_ROOT"), *lib = secure_getenv("CROFT_LIBEXEC");
	size_t n = 0;

	*l = (struct launch){ .null = vz_openat(AT_FDCWD, "/dev/null", O_RDWR, 0) };
	if (l->null < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -l->null, "/dev/null");
	(void)vps_path(l->program, "%s/vzctl-admin", vps_paths()->libexec);
	l->env[n++] = "HOME=/";
	l->env[n++] = "TERM=linux";
	l->env[n++] = VZ_PATH_ENV;
	if (root) {
		(void)snprintf(l->root, sizeof(l->root), "CROFT_ROOT=%s", root);
		l->env[n++] = l->root;
	}
	if (lib) {
		(void)snprintf(l->lib, sizeof(l->lib), "CROFT_LIBEXEC=%s", lib);
		l->env[n++] = l->lib;
	}
	return 0;
}

static int launch(const struct op_pool *p, const struct launch *l, struct op_job *j)
{
	char ctid[16];
	const char *argv[WORDS_MAX + 4] = { l->program };
	struct vz_run how = { .env = l->env, .stdout_fd = l->null };
	size_t n = 1;
	int ends[2], r = vz_pipe(ends);

	if (r < 0)
		return r;
	for (size_t i = 0; i < WORDS_MAX && p->words[i]; i++)
		argv[n++] = p->words[i];
	(void)snprintf(ctid, sizeof(ctid), "%u", j->ctid);
	argv[n++] = ctid;
	argv[n] = p->option;
	how.stderr_fd = ends[1];
	j->pid = vz_spawn(argv, &how);
	vz_closep(&ends[1]);
	j->pidfd = j->pid > 0 ? pidfd_open(j->pid, 0) : -1;
	if (j->pid < 0 || j->pidfd < 0) {
		r = j->pid < 0 ? j->pid : -errno;
		vz_closep(&ends[0]);
		if (j->pid > 0)
			(void)vz_wait(j->pid);
		return r;
	}
	j->pipe = ends[0];
	(void)fcntl(j->pipe, F_SETFL, O_NONBLOCK);
	return 0;
}

/* What the pipe holds now. Something left behind by a script may keep it open for ever. */
static void listen_to(struct op_job *j)
{
	char text[512];
	ssize_t n;

	if (j->pipe < 0)
		return;
	while ((n = read(j->pipe, text, sizeof(text))) > 0) {
		for (ssize_t i = 0; i < n && j->said.len < SAID_MAX; i++) {
			if (text[i] != '\n')
				vz_buf_add(&j->said, &text[i], 1);
			else if (j->said.len)
				vz_buf_str(&j->said, "; ");
		}
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		vz_closep(&j->pipe);
}

static void finish(const struct op_pool *p, struct op_job *j)
{
	listen_to(j);
	vz_closep(&j->pipe);
	if (j->pidfd >= 0)
		j->status = vz_wait(j->pid);
	vz_closep(&j->pidfd);
	while (j->said.len && strchr("; ", j->said.s[j->said.len - 1]))
		j->said.s[--j->said.len] = '\0';
	if (p->ended)
		p->ended(j, p->arg);
}

/* Wait for a word or an end of one of the running jobs. Return: how many ended. */
static size_t wait_some(const struct op_pool *p, struct op_job **running, size_t n,
			struct pollfd *pf)
{
	size_t ended = 0;

	for (size_t i = 0; i < n; i++) {
		pf[2 * i] = (struct pollfd){ .fd = running[i]->pidfd, .events = POLLIN };
		pf[2 * i + 1] = (struct pollfd){ .fd = running[i]->pipe, .events = POLLIN };
	}
	if (poll(pf, 2 * n, -1) < 0)
		return 0; /* EINTR: again */
	for (size_t i = n; i-- > 0;) {
		if (pf[2 * i + 1].revents)
			listen_to(running[i]);
		if (!pf[2 * i].revents)
			continue;
		finish(p, running[i]);
		running[i] = running[n - 1 - ended];
		ended++;
	}
	return ended;
}

int op_pool_run(const struct op_pool *p, struct op_job *jobs, size_t n, struct vz_error *err)
{
	size_t cap = p->cap < 1 ? 1 : p->cap > CAP_MAX ? CAP_MAX : p->cap;
	VZ_FREE struct op_job **running = calloc(cap, sizeof(struct op_job *));
	VZ_FREE struct pollfd *pf = calloc(2 * cap, sizeof(*pf));
	struct launch l;
	size_t next = 0, busy = 0;
	int failed = 0, r;

	if (!running || !pf)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "jobs");
	r = prepare(&l, err);
	if (r < 0)
		return r;
	while (next < n || busy > 0) {
		if (next < n && busy < cap) {
			struct op_job *j = &jobs[next++];

			j->pidfd = j->pipe = -1;
			j->status = launch(p, &l, j);
			if (j->status == 0)
				running[busy++] = j;
			else
				finish(p, j);
			continue;
		}
		busy -= wait_some(p, running, busy, pf);
	}
	vz_closep(&l.null);
	for (size_t i = 0; i < n; i++)
		failed += jobs[i].status != 0;
	return failed;
}

void op_jobs_clear(struct op_job *jobs, size_t n)
{
	for (size_t i = 0; jobs && i < n; i++)
		vz_buf_clear(&jobs[i].said);
	free(jobs);
}
