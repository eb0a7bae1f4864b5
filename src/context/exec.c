/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Joining a running VPS: exec, enter. */
#include "context/context.h"

#include "context/priv.h"
#include "context/relay.h"
#include "util/fd.h"
#include "util/proc.h"
#include "util/userns.h"

#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
	/* all but the view of the groups, see open_view */
	JOIN_FLAGS = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
		     CLONE_NEWUTS | CLONE_NEWTIME,
	EXIT_NO_SHELL = 126,
	GROUPS_MAX = 24,
};

/* One record from the process inside to us: the error, or none, and perhaps a pty master. */
struct join_msg {
	struct vz_error err;
	pid_t pid; /* as the host sees it */
};

/* Bytes of our own file that execution needs: symbols and debug data lie after them. */
static off_t loaded_bytes(void)
{
	const ElfW(Phdr) *p = (const void *)(uintptr_t)getauxval(AT_PHDR);
	ElfW(Off) end = 0;

	for (unsigned long n = getauxval(AT_PHNUM); n > 0; n--, p++)
		if (p->p_type == PT_LOAD && p->p_offset + p->p_filesz > end)
			end = p->p_offset + p->p_filesz;
	return (off_t)end;
}

int ctx_seal_self(char *const argv[])
{
	VZ_FD int self = vz_openat(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0);
	VZ_FD int copy = -EBADF;
	const off_t size = loaded_bytes();

	if (self < 0)
		return self;
	if (fcntl(self, F_GET_SEALS) > 0)
		return 0;
	copy = memfd_create("vzctl", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (copy < 0)
		return -errno;
	for (off_t at = 0; at < size;) {
		ssize_t n = sendfile(copy, self, &at, (size_t)(size - at));

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
	}
	if (fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	(void)fexecve(copy, argv, environ);
	return -errno;
}

/* ---- inside ---- */

/*
 * A leaf below the group that belongs to the VPS, so that its systemd may move what logs in (su, a
 * scope) into a session of its own; from a group beside it the kernel refuses that. The leaf is the
 * host's: the tenant cannot freeze or fill it. Where he put one of his own, or spoiled the group,
 * CTID/host it is.
 */
static int open_leaf(const char *dir)
{
	char path[PATH_MAX];
	struct stat st;
	VZ_FD int fd = -EBADF;

	(void)mkdir(vps_path(path, "%s/payload/.croft", dir), 0755);
	fd = vz_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != 0)
		return -ENOENT;
	return vz_take_fd(&fd);
}

/*
 * Opened while we are the host's root. In v2 the child is born in its group; where that is refused
 * it is moved after its fork, which takes milliseconds: attaching may exceed a limit of processes,
 * forking may not, and an admin must get into a VPS that is full.
 */
struct exec_groups {
	int leaf, leaf_procs; /* directory and cgroup.procs of the first choice, -1 none */
	int host, host_procs; /* of CTID/host */
	int tasks[GROUPS_MAX]; /* of v1 */
	size_t n;
};

static int open_v2(const char *dir, struct exec_groups *g)
{
	char path[PATH_MAX];

	g->host = vz_openat(AT_FDCWD, vps_path(path, "%s/host", dir), O_RDONLY | O_DIRECTORY, 0);
	if (g->host < 0)
		return g->host == -ENOENT ? 0 : g->host;
	g->host_procs = vz_openat(g->host, "cgroup.procs", O_WRONLY, 0);
	g->leaf = open_leaf(dir);
	if (g->leaf >= 0)
		g->leaf_procs = vz_openat(g->leaf, "cgroup.procs", O_WRONLY, 0);
	return g->host_procs < 0 ? g->host_procs : 0;
}

static int open_groups(const struct vps_state *st, struct exec_groups *g)
{
	*g = (struct exec_groups){ -1, -1, -1, -1, { 0 }, 0 };
	for (size_t i = 0; i < st->cgroups.n; i++) {
		const char *dir = strchr(st->cgroups.v[i], '=') + 1;
		bool v2 = !strncmp(st->cgroups.v[i], "v2=", 3);
		char path[PATH_MAX];
		int fd = v2 ? open_v2(dir, g)
			    : vz_openat(AT_FDCWD, vps_path(path, "%s/tasks", dir), O_WRONLY, 0);

		if (fd == -ENOENT || (v2 && fd == 0))
			continue;
		if (fd < 0 || g->n == GROUPS_MAX)
			return fd < 0 ? fd : -E2BIG;
		g->tasks[g->n++] = fd;
	}
	return 0;
}

/* As fork: the child is in v2's group, or moves there. Return: pid, 0 in the child, -errno. */
static pid_t fork_in_group(const struct exec_groups *g)
{
	pid_t pid = g->leaf >= 0 ? vz_fork_into(g->leaf) : -ENOENT;

	if (pid < 0 && g->host >= 0)
		pid = vz_fork_into(g->host);
	if (pid >= 0)
		return pid;
	pid = fork();
	if (pid == 0 && (g->leaf_procs < 0 || write(g->leaf_procs, "0", 1) < 0) &&
	    (g->host_procs >= 0 && write(g->host_procs, "0", 1) < 0))
		_exit(1);
	return pid < 0 ? -errno : pid;
}

/* In the child: v1's groups. Return: 0 or -errno. */
static int join_groups(struct exec_groups *g)
{
	for (size_t i = 0; i < g->n; i++) {
		if (write(g->tasks[i], "0", 1) < 0)
			return -errno;
		vz_closep(&g->tasks[i]);
	}
	vz_closep(&g->leaf);
	vz_closep(&g->leaf_procs);
	vz_closep(&g->host);
	vz_closep(&g->host_procs);
	return 0;
}

static char *join_words(char *const *argv)
{
	struct vz_buf b = { 0 };

	vz_buf_str(&b, "");
	for (; *argv; argv++) {
		vz_buf_str(&b, *argv);
		if (argv[1])
			vz_buf_str(&b, " ");
	}
	return b.s;
}

/* Environment of exec as vzctl gives it; of enter as its login shell gets it. */
static void run_program(const struct ctx_exec *x)
{
	static const char *const shells[] = { "/bin/bash", "/bin/sh" };
	static const char *const env[] = { "HOME=/", "TERM=linux", VZ_PATH_ENV, NULL };
	char term[128];
	const char *login_env[] = {
		"HISTFILE=/dev/null", "HOME=/root", "USER=root", "LOGNAME=root", term,
		VZ_PATH_ENV,	      NULL
	};
	const char *have = getenv("TERM");
	char shown[256];
	int r;

	(void)snprintf(term, sizeof(term), "TERM=%s", have ? have : "linux");
	if (!(x->flags & (CTX_EXEC_SHELL | CTX_EXEC_STDIN | CTX_EXEC_LOGIN))) {
		(void)clearenv();
		(void)setenv("PATH", VZ_PLAIN_PATH, 1);
		(void)execvpe(x->argv[0], x->argv, (char *const *)env);
		r = errno;
		(void)dprintf(2, "%s: %s\n", vz_quote(shown, sizeof(shown), x->argv[0]),
			      strerrordesc_np(r));
		_exit(r == ENOENT ? 127 : 126);
	}
	for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++) {
		const char *base = strrchr(shells[i], '/') + 1;
		char dash[16];
		const char *login[] = { dash, NULL };
		const char *plain[] = { base, NULL, NULL, NULL };

		(void)snprintf(dash, sizeof(dash), "-%s", base);
		if (x->flags & CTX_EXEC_SHELL) {
			plain[1] = "-c";
			plain[2] = join_words(x->argv);
		}
		if (x->flags & CTX_EXEC_LOGIN)
			(void)execve(shells[i], (char *const *)login, (char *const *)login_env);
		else
			(void)execve(shells[i], (char *const *)plain, (char *const *)env);
	}
}

/* What each process of the VPS may have at most, init has: those of the node's command are another's. */
static void take_limits(void)
{
	static const int limits[] = { RLIMIT_MEMLOCK, RLIMIT_SIGPENDING };

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct rlimit of_init, own;

		if (prlimit(1, limits[i], NULL, &of_init) < 0 || getrlimit(limits[i], &own) < 0 ||
		    own.rlim_max <= of_init.rlim_max)
			continue;
		own.rlim_max = of_init.rlim_max;
		if (own.rlim_cur > own.rlim_max)
			own.rlim_cur = own.rlim_max;
		(void)setrlimit(limits[i], &own);
	}
}

/* In all namespaces of the VPS, child of its process namespace; @sk leads to the parent outside. */
static void inside(int sk, const struct vps_state *st, int seccomp, const struct ctx_exec *x,
		   unsigned int ttys) __attribute__((noreturn));

static void inside(int sk, const struct vps_state *st, int seccomp, const struct ctx_exec *x,
		   unsigned int ttys)
{
	struct join_msg m = { .err = { 0 } };
	VZ_FD int master = -EBADF, slave = -EBADF;
	int r = 0;

	(void)prctl(PR_SET_DUMPABLE, 0);
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		r = -errno;
	take_limits();
	if (r == 0)
		(void)setsid();
	if (r == 0 && ttys) {
		r = pty_open(AT_FDCWD, "/dev/pts/ptmx", &master, &slave);
		for (int i = 0; r == 0 && i < 3; i++)
			if (ttys >> i & 1 && dup2(slave, i) < 0)
				r = -errno;
		if (r == 0)
			(void)ioctl(slave, TIOCSCTTY, 0);
	}
	if (r == 0 && chdir(x->flags & CTX_EXEC_LOGIN ? "/root" : "/") < 0 && chdir("/") < 0)
		r = -errno;
	if (r == 0 && seccomp >= 0)
		r = cage_seccomp(seccomp);
	if (r == 0)
		r = cage_caps(st->caps);
	if (r < 0)
		(void)vz_fail(&m.err, VZ_EXIT_SYSTEM, -r, "join the VPS");
	if (vz_send_fds(sk, &m, sizeof(m), &master, r == 0 && master >= 0) < 0 || r < 0)
		_exit(1);
	vz_closep(&master);
	cage_reset_signals();
	(void)umask(022);
	(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	run_program(x);
	(void)vz_fail(&m.err, VZ_EXIT_BAD_TEMPLATE, 0, "No shell in the VPS (/bin/bash, /bin/sh)");
	(void)!vz_send_fds(sk, &m, sizeof(m), NULL, 0);
	_exit(EXIT_NO_SHELL);
}

/* ---- outside ---- */

/* Of the joiner alone: the command's process, as the host sees it, and who we are to it for. */
static volatile sig_atomic_t joined, joined_for;

/*
 * vzctl is gone: killed, or it hung up with its terminal (under nohup it does not, nor do we). The
 * command and what it started in its session get SIGHUP, as at the end of a terminal; what ignores
 * that goes on as a process of the VPS, and nothing of ours stays on the host.
 */
static void on_hangup(int sig)
{
	if (getppid() == (pid_t)joined_for)
		return;
	(void)kill(-(pid_t)joined, sig);
	_exit(128 + sig);
}

/* SIGHUP stays blocked until there is somebody to hand it on to. */
static void watch_parent(pid_t command, pid_t vzctl)
{
	struct sigaction sa = { .sa_handler = on_hangup };
	sigset_t hup;

	joined = command;
	joined_for = vzctl;
	sigemptyset(&hup);
	sigaddset(&hup, SIGHUP);
	(void)sigaction(SIGHUP, &sa, NULL);
	/* asked for here and not before: joining a user namespace clears it */
	(void)prctl(PR_SET_PDEATHSIG, SIGHUP);
	if (getppid() != vzctl) /* it died before we asked */
		(void)raise(SIGHUP);
	(void)sigprocmask(SIG_UNBLOCK, &hup, NULL);
}

/*
 * The VPS's view of the groups, entered last: seen from it the group that we come from is none, and
 * with nsdelegate the kernel lets nobody go from none into one.
 */
static int open_view(const struct vps_state *st, int pidfd)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/cgroup", (int)st->init_pid);
	fd = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (fd == -ENOENT || (fd >= 0 && vz_pidfd_poll(pidfd, 0) == 0)) {
		vz_closep(&fd);
		return -ESRCH; /* it ended; the number is perhaps another's */
	}
	return fd;
}

/*
 * Child of ours: enters the groups and namespaces, then forks once more into the process namespace.
 */
static void joiner(int sk, const struct vps_state *st, int pidfd, int seccomp,
		   const struct ctx_exec *x, unsigned int ttys) __attribute__((noreturn));

static void joiner(int sk, const struct vps_state *st, int pidfd, int seccomp,
		   const struct ctx_exec *x, unsigned int ttys)
{
	struct join_msg m = { .err = { 0 } };
	struct exec_groups groups;
	sigset_t hup;
	int r = open_groups(st, &groups), view = -EBADF, status;
	pid_t pid, vzctl = getppid();

	sigemptyset(&hup);
	sigaddset(&hup, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &hup, NULL);
	if (r == 0)
		(void)prctl(PR_SET_DUMPABLE, 0);
	if (r == 0)
		r = view = open_view(st, pidfd);
	if (r >= 0 && setns(pidfd, JOIN_FLAGS) < 0)
		r = -errno;
	if (r < 0) {
		(void)vz_fail(&m.err, r == -ESRCH ? VZ_EXIT_NOT_RUNNING : VZ_EXIT_SYSTEM, -r,
			      "join the namespaces of the VPS");
		(void)!vz_send_fds(sk, &m, sizeof(m), NULL, 0);
		_exit(1);
	}
	pid = fork_in_group(&groups);
	if (pid == 0) {
		r = join_groups(&groups);
		if (r == 0 && setns(view, CLONE_NEWCGROUP) < 0)
			r = -errno;
		if (r == 0)
			inside(sk, st, seccomp, x, ttys);
	}
	if (pid <= 0) {
		(void)vz_fail(&m.err, VZ_EXIT_SYSTEM, pid < 0 ? (int)-pid : -r,
			      pid < 0 ? "fork in the VPS" : "join the groups of the VPS");
		(void)!vz_send_fds(sk, &m, sizeof(m), NULL, 0);
		_exit(1);
	}
	watch_parent(pid, vzctl);
	vz_closep(&sk);
	for (int i = 0; i < 3; i++)
		(void)close(i); /* else we would hold the caller's pipes open beside the command */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status)) { /* hand the signal on as our own death, without a core file */
		(void)prctl(PR_SET_DUMPABLE, 0);
		(void)kill(getpid(), WTERMSIG(status));
		_exit(128 + WTERMSIG(status));
	}
	_exit(WEXITSTATUS(status));
}

static unsigned int tty_streams(void)
{
	unsigned int mask = 0;

	for (int i = 0; i < 3; i++)
		if (isatty(i))
			mask |= 1U << i;
	return mask;
}

/* After the first record: a hang-up is exec, a second record is the reason why there was none. */
static int watch_exec(int sk, struct vz_error *err)
{
	struct join_msg m;
	size_t none = 0;
	ssize_t n = vz_recv_fds(sk, &m, sizeof(m), NULL, &none);

	if (n != (ssize_t)sizeof(m))
		return 0;
	*err = m.err;
	err->msg[sizeof(err->msg) - 1] = '\0';
	return -EPROTO;
}

static int converse(int sk, pid_t pid, const struct ctx_exec *x, unsigned int ttys,
		    struct vz_error *err)
{
	VZ_FD int master = -EBADF;
	struct join_msg m;
	size_t nfds = 1;
	ssize_t n = vz_recv_fds(sk, &m, sizeof(m), &master, &nfds);
	int r = 0, status;

	if (nfds == 0)
		master = -EBADF;
	if (n != (ssize_t)sizeof(m))
		r = vz_fail(err, VZ_EXIT_SYSTEM, n < 0 ? (int)-n : ECONNRESET,
			    "the process in the VPS vanished");
	else if (m.err.msg[0]) {
		*err = m.err;
		err->msg[sizeof(err->msg) - 1] = '\0';
		r = m.err.sys > 0 ? -m.err.sys : -EPROTO;
	} else {
		r = watch_exec(sk, err);
	}
	if (r == 0 && master >= 0)
		relay_pty(master, pid, ttys, x->type);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return vz_fail(err, VZ_EXIT_SYSTEM, errno, "wait for the command");
	return r < 0 ? r : status;
}

int ctx_exec_run(const struct vps_state *st, uint32_t ctid, const struct ctx_exec *x,
		 struct vz_error *err)
{
	VZ_FD int pidfd = vps_state_pidfd(st);
	VZ_FD int seccomp = -EBADF;
	unsigned int ttys = tty_streams();
	char path[PATH_MAX];
	int sk[2], r;
	pid_t pid;

	if (pidfd < 0)
		return vz_fail(err, VZ_EXIT_NOT_RUNNING, 0, "Container is not running");
	if (st->seccomp) {
		seccomp = vz_openat(AT_FDCWD,
				    vps_path(path, "%s/%u/seccomp.bpf", vps_paths()->run, ctid),
				    O_RDONLY | O_NONBLOCK, 0);
		if (seccomp < 0)
			return vz_fail(err, VZ_EXIT_SYSTEM, -seccomp, "open %s", path);
	}
	r = vz_seqpacket(sk);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "socketpair");
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		vz_closep(&sk[0]);
		joiner(sk[1], st, pidfd, seccomp, x, ttys);
	}
	vz_closep(&sk[1]);
	r = pid < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, errno, "fork")
		    : converse(sk[0], pid, x, ttys, err);
	vz_closep(&sk[0]);
	return r;
}
