/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class: the program that enters is overwritten through /proc/PID/exe (runc CVE-2019-5736). The VPS's
 * shell, or the command asked for, is a script of "#!/proc/self/exe"; interp.c lies where the dynamic
 * linker is looked for, so that it runs in the process whose program is the node's. It keeps a
 * descriptor of that program and lets go of it by executing this one, which writes when it is no
 * longer busy. Programs of the node that are linked statically load no dynamic linker: those are
 * looked for in /proc while they run inside.
 * Wall: what enters is a copy in memory, sealed against writing; the monitor runs from a read-only
 * mount; and the node's root, whom nobody inside can become, owns the file. Written is the byte that
 * is there already.
 * Usage: exe FD (from interp) or exe watch; the words go to /root/exe-report
 */
#include "escape.h"

#include <dirent.h>

enum { TRIES = 400 };

/* Try until the program behind @fd is not executed any more; a text that is busy is no refusal. */
static void overwrite(int fd)
{
	char path[40], byte = 0;

	(void)!pread(fd, &byte, 1, 0);
	attempt(byte == 0, "the program could not even be read");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (int i = 0; i < TRIES; i++) {
		int w = open(path, O_WRONLY);

		if (w >= 0) {
			attempt(pwrite(w, &byte, 1, 0) == 1, "written through a new descriptor");
			return;
		}
		if (errno != ETXTBSY) {
			attempt(false, "opened for writing");
			return;
		}
		usleep(10000);
	}
	/* never let go of (the monitor): being busy is all that stood between */
	attempt(true, "only busy, not refused");
}

/* A descriptor of a program that is in no file of ours: wait until one runs. */
static int find_foreign(void)
{
	struct stat own, st;

	if (stat("/proc/self/exe", &own) < 0)
		exit(2);
	(void)!write(1, "watching\n", 9);
	for (;;) {
		DIR *d = opendir("/proc");
		struct dirent *e;

		while (d && (e = readdir(d))) {
			char path[300], name[300];
			ssize_t n;
			int fd;

			if (e->d_name[0] < '1' || e->d_name[0] > '9')
				continue;
			snprintf(path, sizeof(path), "/proc/%s/exe", e->d_name);
			n = readlink(path, name, sizeof(name) - 1);
			if (n <= 0)
				continue;
			name[n] = '\0';
			/* of BusyBox and of ours the name leads to the file itself */
			fd = open(path, O_RDONLY);
			if (fd >= 0 && fstat(fd, &own) == 0 && (stat(name, &st) < 0 || st.st_ino != own.st_ino))
				return fd;
			if (fd >= 0)
				close(fd);
		}
		closedir(d);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	int fd = strcmp(argv[1], "watch") ? atoi(argv[1]) : find_foreign();

	/* as a daemon: whoever called must be able to end, only then the program is not busy */
	if (fork() > 0)
		return 0;
	setsid();
	if (!freopen("/root/exe-report.new", "w", stdout))
		return 2;
	overwrite(fd);
	printf("verdict %d\n", verdict());
	fflush(stdout);
	return rename("/root/exe-report.new", "/root/exe-report");
}
