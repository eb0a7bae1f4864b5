/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resize PATH...: try to give each tmpfs another size, by the system call itself: mount(8) repeats options with ids of the
 * node, which the kernel refuses for that reason. Prints "PATH changed" or "PATH: why not". Status 0: all were changed;
 * 1: some; 2: none.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

int main(int argc, char **argv)
{
	int changed = 0;

	for (int i = 1; i < argc; i++) {
		if (mount(NULL, argv[i], NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, "size=512m") <
		    0) {
			printf("%s: %s\n", argv[i], strerror(errno));
			continue;
		}
		printf("%s changed\n", argv[i]);
		changed++;
	}
	return changed == argc - 1 ? 0 : changed ? 1 : 2;
}
