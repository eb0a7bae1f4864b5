/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes between vfork(2) and what ends it. The parent waits in the kernel until its child executes something or ends,
 * and hears nobody meanwhile; if CRIU stops the child first, it waits for the parent for ever.
 */
#include "checkpoint/priv.h"

#include "util/fd.h"
#include "util/parse.h"
#include "util/str.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TEXT_MAX = 1 << 20 };

/* Is a stopped thread in a system call that makes processes? The first word is its number, or "running". */
static bool in_clone(pid_t pid, pid_t tid)
{
	VZ_FREE char *text = NULL;
	char path[64];
	uint64_t nr;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", (int)pid, (int)tid);
	if (vz_read_file(AT_FDCWD, path, TEXT_MAX, &text) < 0)
		return false;
	text[strcspn(text, " \n")] = '\0';
	if (vz_parse_u64(text, 0, INT_MAX, &nr) < 0)
		return false;
#ifdef SYS_vfork
	if (nr == SYS_vfork)
		return true;
#endif
	return nr == SYS_clone || nr == SYS_clone3;
}

/* A child that has the memory of its parent, which is still where it made it. */
static bool waits(pid_t pid, const char *tid_text)
{
	VZ_FREE char *text = NULL;
	VZ_LIST struct vz_list children = { 0 };
	char path[64];
	uint64_t tid, child;

	if (vz_parse_u64(tid_text, 1, INT_MAX, &tid) < 0 || !in_clone(pid, (pid_t)tid))
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)tid);
	if (vz_read_file(AT_FDCWD, path, TEXT_MAX, &text) < 0 ||
	    vz_list_split(&children, text, " \n") < 0)
		return false;
	for (size_t i = 0; i < children.n; i++)
		if (vz_parse_u64(children.v[i], 1, INT_MAX, &child) == 0 &&
		    syscall(SYS_kcmp, pid, (pid_t)child, KCMP_VM, 0, 0) == 0)
			return true;
	return false;
}

bool cpt_vfork_waits(pid_t pid)
{
	char path[40];
	VZ_DIR DIR *d = NULL;
	struct dirent *e;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = vz_opendirat(AT_FDCWD, path);
	while (d && (e = readdir(d)))
		if (waits(pid, e->d_name))
			return true;
	return false;
}
