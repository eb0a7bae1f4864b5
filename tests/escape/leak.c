/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class: a descriptor or the working directory of the program that enters is a directory of the node
 * (runc CVE-2024-21626, LXC and Docker before it): ".." from it, or /proc/self/fd/N, leads out.
 * Wall: what enters closes all but its three streams and changes the directory after it is inside; no
 * stream that is a terminal of the node is handed in.
 * Usage: leak FILE-OF-THE-NODE [FILE]: with FILE the words go there (a start script has no output)
 */
#include "escape.h"

#include <dirent.h>

static void from(int fd, const char *what, const char *mark)
{
	char path[4300];
	struct stat st;

	snprintf(path, sizeof(path), "../../../../../../../../../..%s", mark);
	attempt(faccessat(fd, path, F_OK, 0) == 0, "%s and .. to %s", what, mark);
	if (fd != AT_FDCWD && fstat(fd, &st) == 0)
		attempt(S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode), "%s is no directory or disk",
			what);
}

static void own(const char *mark)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		int fd = atoi(e->d_name);
		char what[64], path[4300], to[256];
		ssize_t n;

		if (e->d_name[0] == '.' || fd == dirfd(d))
			continue;
		snprintf(what, sizeof(what), "/proc/self/fd/%d", fd);
		n = readlink(what, to, sizeof(to) - 1);
		to[n > 0 ? n : 0] = '\0';
		attempt(fd > 2, "descriptor %d is open: %s", fd, to);
		from(fd, what, mark);
		snprintf(path, sizeof(path), "%s/../../../../..%s", what, mark);
		attempt(seen(path), "%s as a path", what);
	}
	if (d)
		closedir(d);
}

static void of_others(const char *mark)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[4600];

		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		for (int i = 0; i < 12; i++) {
			snprintf(path, sizeof(path), "/proc/%s/fd/%d/../../../../..%s", e->d_name,
				 i, mark);
			if (seen(path))
				attempt(true, "%s", path);
		}
		snprintf(path, sizeof(path), "/proc/%s/cwd/../../../../../..%s", e->d_name, mark);
		attempt(seen(path), "working directory of %s", e->d_name);
		snprintf(path, sizeof(path), "/proc/%s/root%s", e->d_name, mark);
		attempt(seen(path), "root of %s", e->d_name);
	}
	if (d)
		closedir(d);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	from(AT_FDCWD, "working directory", argv[1]);
	own(argv[1]);
	of_others(argv[1]);
	if (argc > 2 && !freopen(argv[2], "w", stdout))
		return 2;
	return verdict();
}
