/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vzctl's side of a start. */
#include "context/context.h"

#include "context/sync.h"
#include "util/fd.h"
#include "util/proc.h"
#include "util/userns.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

enum { CONTROL_FD = 3 };

/*
 * From a mount of the file alone, read-only: until the VPS's init is executed, vzmon's program is
 * what /proc/self/exe names inside, also for an init or shell that is a script of "#!/proc/self/exe"
 * (CVE-2019-5736). Its owner is nobody the VPS can become; this is the second wall. A copy in memory
 * as for exec would cost every VPS its pages.
 */
static void exec_read_only(const char *path, const char *const argv[], const char *const env[])
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY };
	VZ_FD int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd >= 0 && mount_setattr(fd, "", AT_EMPTY_PATH, &ro, sizeof(ro)) == 0)
		(void)syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH);
}

/* The child that becomes vzmon: a session of its own, no descriptor but the control socket. */
static void become_vzmon(int control) __attribute__((noreturn));

static void become_vzmon(int control)
{
	char path[PATH_MAX];
	const char *argv[] = { "vzmon", NULL };
	const char *own_env[4] = { VZ_PATH_ENV };
	const char *root = secure_getenv("CROFT_ROOT"), *lib = secure_getenv("CROFT_LIBEXEC");
	char root_env[PATH_MAX + 16], lib_env[PATH_MAX + 16];
	size_t n = 1;
	int null = vz_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);

	if (root) {
		(void)snprintf(root_env, sizeof(root_env), "CROFT_ROOT=%s", root);
		own_env[n++] = root_env;
	}
	if (lib) {
		(void)snprintf(lib_env, sizeof(lib_env), "CROFT_LIBEXEC=%s", lib);
		own_env[n++] = lib_env;
	}
	(void)setsid();
	if (null < 0 || chdir("/") < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(null, 2) < 0)
		_exit(127);
	if (control == CONTROL_FD) {
		if (fcntl(control, F_SETFD, 0) < 0)
			_exit(127);
	} else if (dup2(control, CONTROL_FD) < 0) {
		_exit(127);
	}
	(void)close_range(CONTROL_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	exec_read_only(vps_path(path, "%s/vzmon", vps_paths()->libexec), argv, own_env);
	_exit(127);
}

static int start_vzmon(int group, const int *tasks, size_t n, struct ctx_start *s,
		       struct vz_error *err)
{
	int sk[2], r = vz_seqpacket(sk);

	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "socketpair");
	(void)fflush(NULL);
	s->mon_pid = vz_fork_into(group);
	if (s->mon_pid < 0 && group >= 0)
		s->mon_pid =
			vz_fork_into(-1); /* in our own group, then: it counts there, no more */
	if (s->mon_pid < 0) {
		r = (int)s->mon_pid;
		vz_closep(&sk[0]);
		vz_closep(&sk[1]);
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "fork");
	}
	if (s->mon_pid == 0) {
		for (size_t i = 0; i < n; i++)
			(void)!write(tasks[i], "0", 1); /* else it stays in ours: no harm */
		become_vzmon(sk[1]);
	}
	vz_closep(&sk[1]);
	s->mon = sk[0];
	return 0;
}

static int send_orders(struct ctx_start *s, const struct ctx_orders *o, const struct ctx_fds *f,
		       struct vz_error *err)
{
	int sk[2], fds[24], r = vz_seqpacket(sk);
	size_t n = 0;

	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "socketpair");
	s->sk = sk[0];
	fds[n++] = sk[1];
	fds[n++] = f->root;
	fds[n++] = f->group;
	if (o->has_seccomp)
		fds[n++] = f->seccomp;
	if (o->has_script)
		fds[n++] = f->start_script;
	for (int i = 0; i < o->nprocs; i++)
		fds[n++] = f->procs[i];
	for (int i = 0; i < o->nvolumes; i++)
		fds[n++] = f->volumes[i];
	r = vz_send_fds(s->mon, o, sizeof(*o), fds, n);
	vz_closep(&sk[1]);
	return r < 0 ? vz_fail(err, VZ_EXIT_ENVCREATE, -r, "send orders to vzmon") : 0;
}

static int spawn_steps(const struct ctx_orders *o, struct ctx_start *s, struct vz_error *err)
{
	char path[64];
	pid_t builder;
	int r = sync_expect(s->sk, STEP_BORN, &builder, NULL, err);

	if (r < 0)
		return r;
	r = vz_userns_write_maps(builder, o->uid_base, o->uid_count);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "write the id maps of the VPS");
	r = sync_tell(s->sk, STEP_MAPPED, 0, -1);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "tell the builder");
	r = sync_expect(s->sk, STEP_SPAWNED, &s->init_pid, &s->init_pidfd, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)s->init_pid);
	s->netns = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
	return s->netns < 0 ? vz_fail(err, VZ_EXIT_ENVCREATE, -s->netns,
				      "open the network namespace of init")
			    : 0;
}

int ctx_monitor(int group, const int *tasks, size_t n, struct ctx_start *ret, struct vz_error *err)
{
	*ret = (struct ctx_start)CTX_START_NONE;
	return start_vzmon(group, tasks, n, ret, err);
}

int ctx_spawn(const struct ctx_orders *o, const struct ctx_fds *fds, struct ctx_start *s,
	      struct vz_error *err)
{
	int r = send_orders(s, o, fds, err);

	if (r == 0)
		r = spawn_steps(o, s, err);
	if (r < 0)
		ctx_abort(s);
	return r;
}

static int open_restored(const struct ctx_gate *g, struct ctx_start *s, struct vz_error *err)
{
	char path[64];

	s->init_pid = g->init;
	s->init_pidfd = vz_proc_pidfd(g->init, 0);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)g->init);
	s->netns = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (s->init_pidfd < 0 || s->netns < 0)
		return vz_fail(err, VZ_EXIT_RESTORE, ESRCH, "the restored init");
	return 0;
}

static uint32_t add_words(struct vz_buf *b, char *const *words)
{
	uint32_t n = 0;

	for (; words && words[n]; n++)
		vz_buf_add(b, words[n], strlen(words[n]) + 1);
	return n;
}

static int send_restore(struct ctx_start *s, int dev, const struct ctx_criu *c,
			struct vz_error *err)
{
	struct ctx_restore_orders o = { .version = CTX_RESTORE_VERSION };
	VZ_BUF struct vz_buf b = { 0 };
	VZ_FD int fd = -EBADF;
	int r, fds[3];

	o.nargs = add_words(&b, c->argv);
	o.nenv = add_words(&b, c->env);
	o.npages = add_words(&b, c->pages_argv);
	o.npages_env = add_words(&b, c->pages_env);
	o.ngiven = add_words(&b, c->given);
	o.bytes = (uint32_t)b.len;
	fd = b.failed ? -ENOMEM : vz_memfd("criu", b.s, b.len);
	fds[0] = fd;
	fds[1] = dev;
	fds[2] = c->pages;
	r = fd < 0 ? fd : vz_send_fds(s->mon, &o, sizeof(o), fds, o.npages ? 3 : 2);
	return r < 0 ? vz_fail(err, VZ_EXIT_RESTORE, -r, "send orders to vzmon") : 0;
}

int ctx_restore(const struct ctx_orders *o, const struct ctx_fds *fds, const struct ctx_criu *c,
		struct ctx_start *s, struct ctx_gate *ret_gate, struct vz_error *err)
{
	VZ_FD int watch = ctx_gate_watch(o->rundir);
	int r = watch < 0 ? vz_fail(err, VZ_EXIT_RESTORE, -watch, "watch %s", o->rundir)
			  : send_restore(s, fds->dev, c, err);

	if (r == 0)
		r = send_orders(s, o, fds, err);
	if (r == 0) {
		r = ctx_gate_wait(o->rundir, watch, s->sk, c->meanwhile, ret_gate);
		if (r == -ECHILD) /* it says why */
			r = sync_expect(s->sk, STEP_GO, NULL, NULL, err);
		else if (r < 0)
			(void)vz_fail(err, VZ_EXIT_RESTORE, -r, "wait for CRIU");
		else
			r = open_restored(ret_gate, s, err);
	}
	if (r < 0)
		err->exit = VZ_EXIT_RESTORE;
	return r;
}

int ctx_restored(struct ctx_start *s, struct vz_error *err)
{
	int r = sync_expect(s->sk, STEP_GO, NULL, NULL, err);

	if (r < 0)
		err->exit = VZ_EXIT_RESTORE;
	return r;
}

int ctx_rooted(struct ctx_start *s, struct vz_error *err)
{
	return sync_expect(s->sk, STEP_ROOT, NULL, NULL, err);
}

int ctx_network_ready(struct ctx_start *s, struct vz_error *err)
{
	int r = sync_tell(s->sk, STEP_NET, 0, -1);

	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "tell init about its network");
	for (enum start_step step = STEP_CAGED; r == 0 && step <= STEP_CONSOLE; step++)
		r = sync_expect(s->sk, step, NULL, NULL, err);
	return r;
}

int ctx_go(struct ctx_start *s, struct vz_error *err)
{
	int r = sync_tell(s->sk, STEP_GO, 0, -1);
	struct start_msg m;
	ssize_t n;

	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "tell init to go");
	n = recv(s->sk, &m, sizeof(m), 0); /* exec closes it: 0. A record is an error of exec. */
	if (n == (ssize_t)sizeof(m) && m.failed) {
		*err = m.err;
		err->msg[sizeof(err->msg) - 1] = '\0';
		return m.err.sys > 0 ? -m.err.sys : -EPROTO;
	}
	if (n != 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, n < 0 ? errno : EPROTO,
			       "init gave no answer");
	if (vz_pidfd_poll(s->init_pidfd, 0) == 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, 0, "init of the VPS ended at once");
	r = vz_send_fds(s->mon, "started", sizeof("started"), NULL, 0);
	return r < 0 ? vz_fail(err, VZ_EXIT_ENVCREATE, -r, "vzmon is gone") : 0;
}

void ctx_start_close(struct ctx_start *s)
{
	vz_closep(&s->sk);
	vz_closep(&s->mon);
	vz_closep(&s->init_pidfd);
	vz_closep(&s->netns);
	vz_closep(&s->view);
}

void ctx_abort(struct ctx_start *s)
{
	if (s->init_pidfd >= 0) {
		(void)vz_pidfd_signal(s->init_pidfd, SIGKILL);
		(void)!vz_pidfd_poll(s->init_pidfd, 5000);
	}
	ctx_start_close(s);
	if (s->mon_pid > 0)
		(void)vz_wait(s->mon_pid); /* it sees the hang-up and ends by itself */
	s->mon_pid = 0;
}
