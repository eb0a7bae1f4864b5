/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What rsync in the cage may not ask the kernel for. A list of refusals and not of permissions: the
 * program is not ours, it needs most of what files and processes offer.
 */
#include "migrate/priv.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#endif

#if defined(OWN_ARCH)

static const unsigned int refused[] = {
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_open_tree,
	SYS_move_mount,
	SYS_mount_setattr,
	SYS_fsopen,
	SYS_fsmount,
	SYS_fsconfig,
	SYS_fspick,
	SYS_unshare,
	SYS_setns,
	SYS_ptrace,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_keyctl,
	SYS_add_key,
	SYS_request_key,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_reboot,
	SYS_swapon,
	SYS_swapoff,
	SYS_socket,
	SYS_io_uring_setup,
	SYS_pidfd_open,
	SYS_pidfd_getfd,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_open_by_handle_at,
	SYS_name_to_handle_at,
	SYS_quotactl,
	SYS_acct,
	SYS_syslog,
	SYS_settimeofday,
	SYS_clock_settime,
};
enum { REFUSED = sizeof(refused) / sizeof(*refused) };

#define LOAD(field)                                                                                \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned int)offsetof(struct seccomp_data, field))
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, (what))

int mig_filter(void)
{
	struct sock_filter prog[REFUSED + 10];
	struct sock_fprog fprog = { .filter = prog };
	size_t n = 0;

	prog[n++] = (struct sock_filter)LOAD(arch);
	prog[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0);
	prog[n++] = (struct sock_filter)ANSWER(SECCOMP_RET_KILL_PROCESS);
	prog[n++] = (struct sock_filter)LOAD(nr);
	/* x32 has numbers of its own above this bit */
	prog[n++] =
		(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, REFUSED + 1, 0);
	for (size_t i = 0; i < REFUSED; i++)
		prog[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused[i],
							 (unsigned char)(REFUSED - i), 0);
	prog[n++] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
	prog[n++] = (struct sock_filter)ANSWER(SECCOMP_RET_ERRNO | EPERM);
	fprog.len = (unsigned short)n;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0 ? -errno : 0;
}

#else

/* An architecture nobody has tried has no numbers to check against. */
int mig_filter(void)
{
	return 0;
}

#endif
