/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "context/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <termios.h>

int cage_caps(uint64_t mask)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (int cap = 0; cap < 64; cap++) {
		if (mask >> cap & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			if (errno == EINVAL)
				break; /* past the last one this kernel knows */
			return -errno;
		}
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	if (syscall(SYS_capget, &hdr, data) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(mask >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &hdr, data) < 0 ? -errno : 0;
}

int cage_seccomp(int fd)
{
	struct sock_filter prog[4096];
	struct sock_fprog fprog = { .filter = prog };
	size_t size = 0;
	ssize_t n;

	while ((n = pread(fd, (char *)prog + size, sizeof(prog) - size, (off_t)size)) > 0)
		size += (size_t)n;
	if (n < 0)
		return -errno;
	if (size == 0 || size % sizeof(*prog) || size == sizeof(prog))
		return -EINVAL;
	fprog.len = (unsigned short)(size / sizeof(*prog));
	/*
	 * no no_new_privs: sudo and ping need set-user-id; CAP_SYS_ADMIN of our user namespace
	 * allows it
	 */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0)
		return -errno;
	return 0;
}

void cage_reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, &dfl, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

int pty_open(int dirfd, const char *ptmx, int *ret_master, int *ret_slave)
{
	VZ_FD int master = vz_openat(dirfd, ptmx, O_RDWR | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK, 0);
	VZ_FD int slave = -EBADF;
	struct stat st;
	int unlock = 0;

	if (master < 0)
		return master;
	/* inside a VPS the name is the tenant's: make sure that it is what it says */
	if (fstat(master, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
		return -ENXIO;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return -errno;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return -errno;
	*ret_master = vz_take_fd(&master);
	*ret_slave = vz_take_fd(&slave);
	return 0;
}
