/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cage, and what may be asked of it. */
#include "dist/dist.h"

#include "dist/priv.h"
#include "util/fd.h"
#include "util/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TIME_LIMIT_MS = 150000, RESULT_FD = 3, CPU_LIMIT_S = 60 };

#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_LIMIT RLIM_INFINITY /* its shadow alone is terabytes */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_LIMIT RLIM_INFINITY
#endif
#endif
#ifndef MEMORY_LIMIT
#define MEMORY_LIMIT (256UL << 20)
#endif

struct cage {
	int rootfd, userns_fd;
	dist_fn fn;
	struct dist_job job;
};

/* A namespace that was made without the right to set groups has none to give up either. */
static int drop_groups(void)
{
	VZ_FREE char *text = NULL;

	if (setgroups(0, NULL) == 0)
		return 0;
	if (vz_read_file(AT_FDCWD, "/proc/self/setgroups", 64, &text) > 0 &&
	    !strncmp(text, "deny", 4))
		return 0;
	return -EPERM;
}

static int become_root_of(int userns_fd, struct vz_error *err)
{
	int r;

	if (setns(userns_fd, CLONE_NEWUSER) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "enter the user namespace");
	r = drop_groups();
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "setgroups");
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "become the VPS's root");
	return 0;
}

static int set_limits(void)
{
	static const struct {
		int what;
		rlim_t value;
	} limits[] = {
		{ RLIMIT_FSIZE, DIST_FILE_MAX },
		{ RLIMIT_CPU, CPU_LIMIT_S },
		{ RLIMIT_AS, MEMORY_LIMIT },
		{ RLIMIT_CORE, 0 },
	};
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	if (sigaction(SIGXFSZ, &ignore, NULL) < 0) /* EFBIG instead */
		return -errno;
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct rlimit l;

		if (getrlimit(limits[i].what, &l) < 0)
			return -errno;
		if (l.rlim_max > limits[i].value)
			l.rlim_max = limits[i].value;
		l.rlim_cur = l.rlim_max;
		if (setrlimit(limits[i].what, &l) < 0)
			return -errno;
	}
	return 0;
}

/* Standard streams on /dev/null, the result socket, nothing else. */
static int keep_only(int sk)
{
	int null = vz_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);

	if (null < 0)
		return null;
	if (sk <= RESULT_FD || null <= RESULT_FD) { /* out of the way of the numbers wanted below */
		sk = fcntl(sk, F_DUPFD_CLOEXEC, RESULT_FD + 1);
		null = fcntl(null, F_DUPFD_CLOEXEC, RESULT_FD + 1);
	}
	if (sk < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
	    dup3(sk, RESULT_FD, O_CLOEXEC) < 0 || close_range(RESULT_FD + 1, ~0U, 0) < 0)
		return -errno;
	return 0;
}

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#endif

/*
 * No network for our own code that edits files: it can make no socket. A filter takes microseconds,
 * an empty network namespace 2 ms at each start. @tenant: a program of the tenant's will run, of any
 * kind and architecture: then the namespace.
 */
static int no_network(bool tenant)
{
#ifdef NATIVE
	enum { X32 = 0x40000000 };
	static struct sock_filter prog[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 0, 6),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socketpair, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	struct sock_fprog filter = { sizeof(prog) / sizeof(*prog), prog };

	if (!tenant && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0)
		return 0;
#endif
	(void)tenant;
	return unshare(CLONE_NEWNET) < 0 ? -errno : 0;
}

/*
 * Child: init of a new pid namespace, so that whatever it starts dies with it. On entry all else is
 * the host's; on success: user namespace of the VPS, uid and gid 0 there, all capabilities of that
 * namespace and none outside, own IPC namespace, no network, "/" is the VPS's root. The mount
 * namespace stays the node's: it belongs to another user namespace, so nothing can be mounted in it,
 * and a copy would cost a start as much as the node has mounts.
 */
static int enter(const struct cage *c, int sk, struct vz_error *err)
{
	int r = become_root_of(c->userns_fd, err);

	if (r < 0)
		return r;
	if (unshare(CLONE_NEWIPC) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "namespaces of the cage");
	if (fchdir(c->rootfd) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "root directory of the VPS");
	r = keep_only(sk);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "descriptors of the cage");
	if (chroot(".") < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "root directory of the VPS");
	/* Not dumpable: what the tenant's ssh-keygen could trace has more capabilities than it. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "no_new_privs");
	r = no_network((c->job.what & DIST_KEYS) && dist_keys_missing());
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "no network in the cage");
	r = set_limits();
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "limits of the cage");
	umask(022);
	return 0;
}

static void child(const struct cage *c, int sk)
{
	struct dist_result res;

	memset(&res, 0, sizeof(res));
	if (enter(c, sk, &res.err) < 0) {
		/* Its number before keep_only(), then the other. */
		if (send(sk, &res, sizeof(res), MSG_NOSIGNAL) < 0)
			(void)send(RESULT_FD, &res, sizeof(res), MSG_NOSIGNAL);
		_exit(1);
	}
	(void)c->fn(&c->job, &res);
	_exit(send(RESULT_FD, &res, sizeof(res), MSG_NOSIGNAL) != sizeof(res));
}

/* One record until the deadline. Return: bytes; 0 when the child died; -ETIMEDOUT; -errno. */
static ssize_t record(int sk, struct dist_result *ret)
{
	uint64_t end = vz_now_ms() + TIME_LIMIT_MS;

	for (;;) {
		struct pollfd p = { .fd = sk, .events = POLLIN };
		uint64_t now = vz_now_ms();
		int r = now < end ? poll(&p, 1, (int)(end - now)) : 0;

		if (r == 0)
			return -ETIMEDOUT;
		if (r > 0) {
			ssize_t n = recv(sk, ret, sizeof(*ret), 0);

			return n < 0 ? -errno : n;
		}
		if (errno != EINTR)
			return -errno;
	}
}

static int cage_run(const struct cage *c, struct dist_result *ret, struct vz_error *err)
{
	struct clone_args how = { .flags = CLONE_NEWPID, .exit_signal = SIGCHLD };
	struct dist_result res;
	int sk[2], r = vz_seqpacket(sk);
	ssize_t n;
	pid_t pid;

	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "socket pair");
	pid = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	if (pid == 0)
		child(c, sk[1]);
	r = errno;
	(void)close(sk[1]);
	if (pid < 0) {
		(void)close(sk[0]);
		return vz_fail(err, VZ_EXIT_SYSTEM, r, "start the cage");
	}
	memset(&res, 0, sizeof(res));
	n = record(sk[0], &res);
	(void)kill(pid, SIGKILL); /* ours and not waited for yet: the number is still its */
	(void)vz_wait(pid);
	(void)close(sk[0]);
	if (n != sizeof(res))
		return vz_fail(err, VZ_EXIT_SYSTEM, n < 0 ? (int)-n : ECONNRESET,
			       "no answer from inside the VPS's files");
	res.err.msg[sizeof(res.err.msg) - 1] = '\0';
	res.init.kind[sizeof(res.init.kind) - 1] = '\0';
	res.init.path[sizeof(res.init.path) - 1] = '\0';
	*ret = res;
	if (res.err.exit == VZ_EXIT_OK)
		return 0;
	*err = res.err;
	return err->sys > 0 ? -err->sys : -EPROTO;
}

static int apply_caged(const struct dist_job *job, struct dist_result *ret)
{
	static const struct {
		unsigned int bit;
		int (*fn)(const struct dist_job *job, struct vz_error *err);
	} steps[] = {
		{ DIST_FIRST, dist_first }, { DIST_HOSTNAME, dist_hostname },
		{ DIST_DNS, dist_dns },	    { DIST_NETWORK, dist_network },
		{ DIST_BOOT, dist_boot },   { DIST_WAIT, dist_wait },
		{ DIST_KEYS, dist_keys },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		int r = job->what & steps[i].bit ? steps[i].fn(job, &ret->err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int dist_apply(int rootfd, int userns_fd, const struct vps_config *cfg, unsigned int what,
	       const char *host_resolv, struct vz_error *err)
{
	struct cage c = {
		.rootfd = rootfd,
		.userns_fd = userns_fd,
		.fn = apply_caged,
		.job = { .cfg = cfg, .what = what, .host_resolv = host_resolv },
	};
	struct dist_result res;

	return cage_run(&c, &res, err);
}

static int start_caged(const struct dist_job *job, struct dist_result *ret)
{
	int r = dist_init_caged(job, ret);

	return r < 0 ? r : apply_caged(job, ret);
}

int dist_start(int rootfd, int userns_fd, const struct vps_config *cfg, unsigned int what,
	       const char *host_resolv, struct dist_init *ret, struct vz_error *ret_files,
	       struct vz_error *err)
{
	struct cage c = {
		.rootfd = rootfd,
		.userns_fd = userns_fd,
		.fn = start_caged,
		.job = { .cfg = cfg, .what = what, .host_resolv = host_resolv },
	};
	struct dist_result res = { 0 };
	int r = cage_run(&c, &res, err);

	if (!res.looked)
		return r < 0 ? r : vz_fail(err, VZ_EXIT_SYSTEM, EPROTO, "init of the VPS");
	if (!dist_init_known(res.init.kind))
		return vz_fail(err, VZ_EXIT_SYSTEM, EPROTO, "kind of init");
	*ret = res.init;
	*ret_files = res.err;
	return 0;
}

static bool user_valid(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 32 && (*s == '_' || (*s >= 'a' && *s <= 'z')) &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

int dist_passwd(int rootfd, int userns_fd, const char *user_pw, struct vz_error *err)
{
	const char *colon = strchrnul(user_pw, ':');
	VZ_FREE char *user = strndup(user_pw, (size_t)(colon - user_pw));
	struct cage c = { .rootfd = rootfd, .userns_fd = userns_fd, .fn = dist_passwd_caged };
	struct dist_result res;
	char shown[80];
	int r;

	if (!user)
		return vz_fail(err, VZ_EXIT_PASSWORD, ENOMEM, "password");
	if (!user_valid(user))
		return vz_fail(err, VZ_EXIT_PASSWORD, EINVAL, "user name '%s'",
			       vz_quote(shown, sizeof(shown), user));
	if (!colon[0] || !colon[1] || strlen(colon + 1) >= 512 || strpbrk(colon + 1, "\n\r"))
		return vz_fail(err, VZ_EXIT_PASSWORD, EINVAL, "password of %s", user);
	c.job.user = user;
	c.job.password = colon + 1;
	r = cage_run(&c, &res, err);
	if (r < 0)
		err->exit = VZ_EXIT_PASSWORD;
	return r;
}
