/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs inside a VPS: a process that waits in vfork(2), again and again, for a child that stays MS milliseconds before it
 * executes something; as long again it does nothing. Counts in FILE. Static. Usage: vfork MS FILE
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* not on the stack, which the child of vfork(2) shares */
static struct timespec stay;
static long n;

int main(int argc, char **argv)
{
	long ms = argc == 3 ? strtol(argv[1], NULL, 10) : -1;

	if (ms < 0)
		return 2;
	stay.tv_sec = ms / 1000;
	stay.tv_nsec = ms % 1000 * 1000000;
	for (;;) {
		pid_t pid = vfork();
		FILE *f;

		if (pid == 0) {
			(void)nanosleep(&stay, NULL);
			execl("/bin/true", "true", (char *)NULL);
			_exit(1);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) < 0)
			return 1;
		f = fopen(argv[2], "w");
		if (!f || fprintf(f, "%ld\n", ++n) < 0 || fclose(f) != 0)
			return 1;
		(void)nanosleep(&stay, NULL);
	}
}
