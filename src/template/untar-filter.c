/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system calls of vz-unpack while it reads an archive. By hand and not with libseccomp: the
 * program loads enough libraries, and a list of permissions is a short filter.
 */
#include "template/priv.h"

#include "util/fd.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#endif

#if defined(OWN_ARCH) && !defined(__SANITIZE_ADDRESS__)

/* What reads the archive, what makes the tree, what libc and the decompressors need. */
static const int allowed[] = {
	SYS_read,	  SYS_pread64,	       SYS_lseek,
	SYS_write,	  SYS_pwrite64,	       SYS_writev,
	SYS_readv,	  SYS_ftruncate,       SYS_fallocate,
	SYS_close,	  SYS_fcntl,	       SYS_openat,
	SYS_openat2,	  SYS_newfstatat,      SYS_fstat,
	SYS_statx,	  SYS_fstatfs,	       SYS_readlinkat,
	SYS_getdents64,	  SYS_mkdirat,	       SYS_symlinkat,
	SYS_linkat,	  SYS_mknodat,	       SYS_unlinkat,
	SYS_fchown,	  SYS_fchownat,	       SYS_fchmod,
	SYS_fchmodat,	  SYS_utimensat,       SYS_fsetxattr,
	SYS_setxattr,	  SYS_lsetxattr,       SYS_umask,
	SYS_brk,	  SYS_munmap,	       SYS_mremap,
	SYS_madvise,	  SYS_futex,	       SYS_getrandom,
	SYS_sysinfo,	  SYS_sched_yield,     SYS_clock_gettime,
	SYS_gettid,	  SYS_getpid,	       SYS_tgkill,
	SYS_rt_sigaction, SYS_rt_sigprocmask,  SYS_rt_sigreturn,
	SYS_exit,	  SYS_exit_group,      SYS_sendto,
	SYS_prlimit64,	  SYS_restart_syscall, SYS_sched_getaffinity,
};
enum { ALLOWED = sizeof(allowed) / sizeof(*allowed) };

#define LOAD(field)                                                                                \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned int)offsetof(struct seccomp_data, field))
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, (what))

int tpl_untar_filter(void)
{
	struct sock_filter prog[2 * ALLOWED + 16];
	struct sock_fprog fprog = { .filter = prog };
	size_t n = 0;

	prog[n++] = (struct sock_filter)LOAD(arch);
	prog[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0);
	prog[n++] = (struct sock_filter)ANSWER(SECCOMP_RET_KILL_PROCESS);
	prog[n++] = (struct sock_filter)LOAD(nr);
	for (size_t i = 0; i < ALLOWED; i++) {
		prog[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							 (unsigned int)allowed[i], 0, 1);
		prog[n++] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
	}
	/* memory, but none that can be executed: no code comes into being here */
	prog[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0);
	prog[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 4);
	prog[n++] = (struct sock_filter)LOAD(args[2]);
	prog[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0);
	prog[n++] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
	prog[n++] = (struct sock_filter)ANSWER(SECCOMP_RET_ERRNO | EPERM);
	/* what a newer libc tries first it then does without */
	prog[n++] = (struct sock_filter)ANSWER(SECCOMP_RET_ERRNO | ENOSYS);
	fprog.len = (unsigned short)n;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0 ? -errno : 0;
}

#else

/* Sanitizers make calls of their own; an architecture nobody has tried has none to check against. */
int tpl_untar_filter(void)
{
	return 0;
}

#endif
