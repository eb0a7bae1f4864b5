/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mounts that receive from one group and share with nobody. systemd gives each service a namespace with such mounts,
 * of different directories of /run: CRIU copies the group from one of them to the next, which the kernel takes only
 * where one directory lies in the other. A mount that receives and is a group of its own as well is copied from the
 * whole /run. So we make them that: nothing more is received or sent by it.
 */
#include "checkpoint/checkpoint.h"

#include "checkpoint/judge.h"
#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOUNTS_MAX = 16 << 20 };

/* In mountinfo blanks and the like are \ooo. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* Optional fields stand between the sixth word and " - ". */
static bool only_receives(const char *line, size_t len)
{
	const char *master = memmem(line, len, " master:", 8);
	const char *shared = memmem(line, len, " shared:", 8);
	const char *dash = memmem(line, len, " - ", 3);

	return master && dash && master < dash && (!shared || shared > dash);
}

static void share(const char *text)
{
	for (const char *line = text; line && *line;) {
		size_t len = strcspn(line, "\n");
		struct cpt_mount m;

		if (only_receives(line, len) && cpt_mount_line(line, &m) == 0) {
			unescape(m.point);
			(void)mount(NULL, m.point, NULL, MS_SHARED, NULL);
		}
		line += len + (line[len] == '\n');
	}
}

/* Every name is the tenant's, and so is all that it can lead to: we are in his namespace of mounts. */
static void child(int proc) __attribute__((noreturn));

static void child(int proc)
{
	VZ_FREE char *text = NULL;
	VZ_FD int ns = vz_openat(proc, "ns/mnt", O_RDONLY, 0);

	if (vz_read_file(proc, "mountinfo", MOUNTS_MAX, &text) < 0)
		_exit(1);
	if (ns < 0 || setns(ns, CLONE_NEWNS) < 0)
		_exit(1);
	share(text);
	_exit(0);
}

int cpt_share_slaves(const pid_t *pids, size_t n)
{
	VZ_FREE ino_t *seen = calloc(n + 1, sizeof(*seen));
	size_t nseen = 0;

	if (!seen)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		char path[32];
		VZ_FD int proc = -EBADF;
		struct stat st;
		size_t k = 0;
		pid_t pid;

		(void)snprintf(path, sizeof(path), "/proc/%d", (int)pids[i]);
		proc = vz_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
		if (proc < 0 || fstatat(proc, "ns/mnt", &st, 0) < 0)
			continue;
		while (k < nseen && seen[k] != st.st_ino)
			k++;
		if (k < nseen)
			continue;
		seen[nseen++] = st.st_ino;
		(void)fflush(NULL);
		pid = fork();
		if (pid == 0)
			child(proc);
		if (pid < 0)
			return -errno;
		(void)vz_wait(pid);
	}
	return 0;
}
