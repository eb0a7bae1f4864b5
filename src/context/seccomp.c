/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only door to libseccomp. The compiled program is kept as bytes: later starts link and run
 * none of it.
 */
#include "context/context.h"

#include "util/fd.h"
#include "util/str.h"

#include <fcntl.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* FILTER_VERSION: of the lists below and of the file; it is part of its name. */
enum { FILTER_VERSION = 4, FILTER_MAX = 32768 };

/* Each list is reasoned entry by entry in docs/security.md: change both. */

/*
 * Calls no VPS has a use for and that reach the kernel beyond its namespaces. The user namespace
 * refuses nearly all of them already; the filter keeps their code out of reach. Answered by EPERM.
 */
static const char *const denied[] = {
	"kexec_load",
	"kexec_file_load",
	"init_module",
	"finit_module",
	"delete_module",
	"create_module",
	"query_module",
	"get_kernel_syms",
	"open_by_handle_at",
	"request_key",
	"swapon",
	"swapoff",
	"acct",
	"quotactl",
	"quotactl_fd",
	"iopl",
	"ioperm",
	"modify_ldt",
	"vm86",
	"vm86old",
	"settimeofday",
	"clock_settime",
	"clock_settime64",
	"stime",
	"perf_event_open",
	"userfaultfd",
	"move_pages",
	"migrate_pages",
	"syslog",
	"lookup_dcookie",
	"nfsservctl",
	"uselib",
};
/* What container engines inside want back. */
static const char *const denied_unless_nesting[] = { "bpf" };
/*
 * Its operations are system calls that no filter sees. ENOSYS: what probes for it takes the way it
 * has for older kernels.
 */
static const char *const denied_unless_io_uring[] = { "io_uring_setup", "io_uring_enter",
						      "io_uring_register" };
/* The old door of 32-bit x86 to all of socket(2): its arguments are out of a filter's sight. */
static const char *const denied_without_socketcall[] = { "socketcall" };

/*
 * What the server of the view is refused on top of `denied`: it reads files, answers a FUSE device,
 * joins process namespaces, and mounts hierarchies when it begins. No socket but a pair.
 */
static const char *const denied_view[] = {
	"bpf",
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"process_madvise",
	"pidfd_getfd",
	"kcmp",
	"mknod",
	"mknodat",
	"add_key",
	"keyctl",
	"reboot",
	"socket",
	"socketcall",
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
	"fsopen",
	"fsconfig",
	"fsmount",
	"fspick",
	"open_tree",
	"move_mount",
	"mount_setattr",
	"fanotify_init",
	"memfd_create",
	"sethostname",
	"setdomainname",
	"setuid",
	"setgid",
	"setresuid",
	"setresgid",
	"setgroups",
	"fchmod",
	"fchmodat",
	"chown",
	"fchown",
	"fchownat",
	"lchown",
};

/*
 * Asking for a socket of a family makes the node load the module for it, whoever asks. These are
 * what a server needs; the others are as if the kernel did not have them.
 */
static const int families[] = {
	AF_UNIX, AF_INET, AF_INET6, AF_KEY, AF_NETLINK, AF_PACKET, AF_PPPOX
};
enum { FAMILY_END = 64 }; /* the kernel knows fewer */

/* Both put words into the keyboard buffer of a terminal. */
static const unsigned int denied_ioctls[] = { TIOCSTI, TIOCLINUX };

static int add_rules(scmp_filter_ctx ctx, const char *const *names, size_t n, int answer)
{
	for (size_t i = 0; i < n; i++) {
		int nr = seccomp_syscall_resolve_name(names[i]), r;

		if (nr == __NR_SCMP_ERROR)
			continue; /* this architecture never had it */
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)answer), nr, 0);
		if (r < 0 && r != -EDOM)
			return r;
	}
	return 0;
}

#define ADD(ctx, list, answer) add_rules(ctx, list, sizeof(list) / sizeof(*(list)), answer)

/* Only the lower half counts: the kernel takes these arguments as 32-bit numbers. */
static int deny_value(scmp_filter_ctx ctx, const char *name, unsigned int arg, unsigned int value,
		      int answer)
{
	const struct scmp_arg_cmp cmp = { arg, SCMP_CMP_MASKED_EQ, UINT32_MAX, value };

	return seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO((uint32_t)answer),
				      seccomp_syscall_resolve_name(name), 1, &cmp);
}

static bool family_allowed(int family)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
		if (families[i] == family)
			return true;
	return false;
}

static int deny_by_argument(scmp_filter_ctx ctx)
{
	int r = 0;

	for (int f = 0; r == 0 && f < FAMILY_END; f++) {
		if (family_allowed(f))
			continue;
		r = deny_value(ctx, "socket", 0, (unsigned int)f, EAFNOSUPPORT);
		if (r == 0)
			r = deny_value(ctx, "socketpair", 0, (unsigned int)f, EAFNOSUPPORT);
	}
	for (size_t i = 0; r == 0 && i < sizeof(denied_ioctls) / sizeof(*denied_ioctls); i++)
		r = deny_value(ctx, "ioctl", 1, denied_ioctls[i], EPERM);
	return r;
}

static int build(scmp_filter_ctx ctx, unsigned int allow)
{
	int r = 0;

#ifdef __x86_64__
	r = seccomp_arch_add(ctx, SCMP_ARCH_X86);
	if (r == 0 || r == -EEXIST)
		r = seccomp_arch_add(ctx, SCMP_ARCH_X32);
	if (r == -EEXIST)
		r = 0;
#endif
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (r == 0)
		r = ADD(ctx, denied, EPERM);
	if (allow & CTX_ALLOW_VIEW)
		return r < 0 ? r : ADD(ctx, denied_view, EPERM);
	if (r == 0 && !(allow & CTX_ALLOW_NESTING))
		r = ADD(ctx, denied_unless_nesting, EPERM);
	if (r == 0 && !(allow & CTX_ALLOW_IO_URING))
		r = ADD(ctx, denied_unless_io_uring, ENOSYS);
	if (r == 0 && !(allow & CTX_ALLOW_SOCKETCALL))
		r = ADD(ctx, denied_without_socketcall, ENOSYS);
	return r < 0 ? r : deny_by_argument(ctx);
}

static int compile(unsigned int allow, char **ret, size_t *ret_len)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	VZ_FD int fd = memfd_create("seccomp", MFD_CLOEXEC); /* works where /run is full, too */
	ssize_t n;
	int r;

	if (!ctx)
		return -ENOMEM;
	r = fd < 0 ? -errno : build(ctx, allow);
	if (r == 0)
		r = seccomp_export_bpf(ctx, fd);
	seccomp_release(ctx);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	n = vz_read_all(fd, FILTER_MAX, ret);
	if (n < 0)
		return (int)n;
	*ret_len = (size_t)n;
	return 0;
}

/* FNV-1a. A damaged cache would keep every VPS from starting, or start it with another filter. */
static uint64_t sum_of(const char *bytes, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
	return h;
}

/* The program that an earlier start kept: bytes, then their sum. -ESTALE when it is not whole. */
static int cache_load(const char *path, char **ret, size_t *ret_len)
{
	VZ_FREE char *bytes = NULL;
	ssize_t n = vz_read_file(AT_FDCWD, path, FILTER_MAX, &bytes);
	uint64_t sum;

	if (n <= (ssize_t)sizeof(sum))
		return n < 0 ? (int)n : -ESTALE;
	n -= (ssize_t)sizeof(sum);
	memcpy(&sum, bytes + n, sizeof(sum));
	if (sum != sum_of(bytes, (size_t)n))
		return -ESTALE;
	*ret = vz_take_ptr(&bytes);
	*ret_len = (size_t)n;
	return 0;
}

/* Only a cache: a node that cannot write it compiles each time. */
static void cache_save(const char *path, const char *bytes, size_t len)
{
	uint64_t sum = sum_of(bytes, len);
	VZ_BUF struct vz_buf b = { 0 };

	vz_buf_add(&b, bytes, len);
	vz_buf_add(&b, (const char *)&sum, sizeof(sum));
	if (!b.failed)
		(void)!vz_write_volatile(path, b.s, b.len, 0600);
}

int ctx_seccomp(unsigned int allow, struct vz_error *err)
{
	const struct scmp_version *v = seccomp_version();
	VZ_FREE char *bytes = NULL;
	char path[PATH_MAX];
	size_t len = 0;
	int r;

	r = vz_mkdir_p(vps_paths()->run, 0755);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "mkdir %s", vps_paths()->run);
	(void)vps_path(path, "%s/seccomp-%d-%u.%u.%u-%x.bpf", vps_paths()->run, FILTER_VERSION,
		       v->major, v->minor, v->micro, allow);
	if (cache_load(path, &bytes, &len) < 0) {
		r = compile(allow, &bytes, &len);
		if (r < 0)
			return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "compile the seccomp filter");
		cache_save(path, bytes, len);
	}
	r = vz_memfd("seccomp", bytes, len);
	return r < 0 ? vz_fail(err, VZ_EXIT_ENVCREATE, -r, "seccomp filter") : r;
}
