/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only door to libseccomp. The compiled program is kept as bytes: later starts link and run
 * none of it.
 */
#include "context/context.h"

#include "util/fd.h"

#include <fcntl.h>
#include <seccomp.h>
#include <string.h>
#include <sys/utsname.h>

enum { FILTER_VERSION = 1, FILTER_MAX = 32768 };

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
	"swapon",
	"swapoff",
	"acct",
	"iopl",
	"ioperm",
	"modify_ldt",
	"lookup_dcookie",
	"perf_event_open",
	"nfsservctl",
	"uselib",
	"vm86",
	"vm86old",
	"settimeofday",
	"clock_settime",
	"stime",
	"quotactl",
	"quotactl_fd",
	"userfaultfd",
	"move_pages",
	"syslog",
};
/* What container engines inside want back. */
static const char *const denied_unless_nesting[] = { "bpf" };

static int add_rules(scmp_filter_ctx ctx, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int nr = seccomp_syscall_resolve_name(names[i]), r;

		if (nr == __NR_SCMP_ERROR)
			continue; /* this architecture never had it */
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
		if (r < 0 && r != -EDOM)
			return r;
	}
	return 0;
}

static int build(scmp_filter_ctx ctx, bool nesting)
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
		r = add_rules(ctx, denied, sizeof(denied) / sizeof(*denied));
	if (r == 0 && !nesting)
		r = add_rules(ctx, denied_unless_nesting,
			      sizeof(denied_unless_nesting) / sizeof(*denied_unless_nesting));
	return r;
}

static int compile(bool nesting, char **ret, size_t *ret_len)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	char path[PATH_MAX];
	VZ_FD int fd = -EBADF;
	ssize_t n;
	int r;

	if (!ctx)
		return -ENOMEM;
	(void)vps_path(path, "%s/.seccomp.%d", vps_paths()->run, (int)getpid());
	fd = vz_openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL, 0600);
	r = fd < 0 ? fd : build(ctx, nesting);
	if (r == 0)
		r = seccomp_export_bpf(ctx, fd);
	seccomp_release(ctx);
	(void)unlink(path);
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

int ctx_seccomp(bool nesting, struct vz_error *err)
{
	const struct scmp_version *v = seccomp_version();
	VZ_FREE char *bytes = NULL;
	char path[PATH_MAX];
	size_t len = 0;
	ssize_t n;
	int r;

	r = vz_mkdir_p(vps_paths()->run, 0755);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "mkdir %s", vps_paths()->run);
	(void)vps_path(path, "%s/seccomp-%d-%u.%u.%u-%d.bpf", vps_paths()->run, FILTER_VERSION,
		       v->major, v->minor, v->micro, nesting);
	n = vz_read_file(AT_FDCWD, path, FILTER_MAX, &bytes);
	if (n > 0) {
		len = (size_t)n;
	} else {
		r = compile(nesting, &bytes, &len);
		if (r == 0)
			r = vz_write_atomic(path, bytes, len, 0600);
		if (r < 0)
			return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "compile the seccomp filter");
	}
	r = vz_memfd("seccomp", bytes, len);
	return r < 0 ? vz_fail(err, VZ_EXIT_ENVCREATE, -r, "seccomp filter") : r;
}
