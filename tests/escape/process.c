/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class: touching processes of the node and of neighbours: signals, ptrace, process_vm_readv and
 * writev, /proc/PID/mem, pidfd_getfd, limits, priorities, CPU sets, namespaces (setns).
 * Wall: the process namespace has no number for them; and the user namespace refuses where a number
 * is known by other ways (a pid in a message of a socket).
 * Usage: process PID...: numbers of the node; those which are processes of our own are left out
 */
#include "escape.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>

static void one(pid_t pid)
{
	char path[64], buf[64];
	struct iovec local = { buf, sizeof(buf) }, remote = { (void *)0x400000, sizeof(buf) };
	struct rlimit lim;
	cpu_set_t cpus;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (seen(path)) {
		printf("note: %d is one of ours\n", pid);
		return;
	}
	attempt(kill(pid, 0) == 0, "signal to %d", pid);
	attempt(kill(-pid, 0) == 0, "signal to group %d", pid);
	attempt(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0, "ptrace of %d", pid);
	attempt(process_vm_readv(pid, &local, 1, &remote, 1, 0) > 0, "process_vm_readv of %d", pid);
	attempt(process_vm_writev(pid, &local, 1, &remote, 1, 0) > 0, "process_vm_writev of %d",
		pid);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	attempt(fd >= 0, "pidfd of %d", pid);
	if (fd >= 0) {
		attempt(syscall(SYS_pidfd_getfd, fd, 0, 0) >= 0, "descriptor of %d", pid);
		attempt(setns(fd, CLONE_NEWNS) == 0, "mounts of %d", pid);
	}
	attempt(syscall(SYS_prlimit64, pid, RLIMIT_NOFILE, NULL, &lim) == 0, "limits of %d", pid);
	attempt(setpriority(PRIO_PROCESS, (id_t)pid, 5) == 0, "priority of %d", pid);
	attempt(syscall(SYS_ioprio_set, 1, pid, 0) == 0, "I/O priority of %d", pid);
	attempt(sched_getaffinity(pid, sizeof(cpus), &cpus) == 0, "CPU set of %d", pid);
	attempt(syscall(SYS_kcmp, pid, getpid(), 0, 0, 0) >= 0, "kcmp of %d", pid);
	attempt(syscall(SYS_move_pages, pid, 0, NULL, NULL, NULL, 0) == 0, "pages of %d", pid);
	for (const char *const *f = (const char *const[]){ "mem", "environ", "maps", "root", "cwd",
							  "ns/mnt", "exe", NULL };
	     *f; f++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, *f);
		attempt(open(path, O_RDONLY) >= 0, "%s", path);
	}
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		one(atoi(argv[i]));
	return verdict();
}
