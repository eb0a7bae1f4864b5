/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "context/relay.h"

#include "context/context.h"
#include "util/fd.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>

struct tty {
	int fd; /* -1: none of our streams is a terminal */
	struct termios saved;
};

static void tty_raw(struct tty *t, int fd)
{
	struct termios raw;

	t->fd = -1;
	if (fd < 0 || tcgetattr(fd, &t->saved) < 0)
		return;
	raw = t->saved;
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSANOW, &raw) == 0)
		t->fd = fd;
}

static void tty_restore(struct tty *t)
{
	if (t->fd >= 0)
		(void)tcsetattr(t->fd, TCSAFLUSH, &t->saved);
	t->fd = -1;
}
#define TTY_RAW __attribute__((cleanup(tty_restore)))

static void copy_size(int from, int to)
{
	struct winsize ws;

	if (from >= 0 && ioctl(from, TIOCGWINSZ, &ws) == 0)
		(void)ioctl(to, TIOCSWINSZ, &ws);
}

static int winch_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Move what is there. Return: 1 moved, 0 nothing now, -1 end. */
static int pump(int from, int to)
{
	char buf[8192];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	return vz_write_all(to, buf, (size_t)n) < 0 ? -1 : 1;
}

void relay_pty(int master, pid_t pid, unsigned int ttys, const char *type)
{
	VZ_FD int winch = winch_fd(), dead = pidfd_open(pid, 0);
	int in = ttys & 1 ? 0 : -1, out = ttys & 2 ? 1 : 2;
	TTY_RAW struct tty t = { .fd = -1 };
	bool ended = false;

	tty_raw(&t, in);
	copy_size(t.fd >= 0 ? t.fd : out, master);
	if (type && vz_write_all(master, type, strlen(type)) < 0)
		return;
	for (;;) {
		struct pollfd p[] = { { .fd = master, .events = POLLIN },
				      { .fd = in, .events = POLLIN },
				      { .fd = winch, .events = POLLIN },
				      { .fd = ended ? -1 : dead, .events = POLLIN } };
		int n = poll(p, 4, ended ? 50 : -1);

		if (n < 0 && errno != EINTR)
			return;
		if (n <= 0 && ended)
			return; /* the command is gone and nothing more comes out */
		if (p[2].revents) {
			struct signalfd_siginfo si;

			(void)!read(winch, &si, sizeof(si));
			copy_size(t.fd >= 0 ? t.fd : out, master);
		}
		if (p[0].revents && pump(master, out) < 0)
			return;
		if (p[1].revents && pump(in, master) < 0)
			in = -1;
		if (p[3].revents)
			ended = true;
	}
}

/* ---- console ---- */

/*
 * ESC . at the beginning of a line detaches, ESC ! is passed as a break. Return: bytes kept, -1
 * detach.
 */
static ssize_t filter_keys(char *buf, ssize_t n, int *state, int pty)
{
	ssize_t o = 0;

	for (ssize_t i = 0; i < n; i++) {
		char c = buf[i];

		if (*state == 1 && c == '.')
			return -1;
		if (*state == 1 && c == '!') {
			*state = 0;
			if (pty >= 0)
				(void)tcsendbreak(pty, 0);
			o--; /* the ESC before it */
			continue;
		}
		*state = c == '\r' || c == '\n' ? 2 : (*state == 2 && c == 27 ? 1 : 0);
		buf[o++] = c;
	}
	return o < 0 ? 0 : o;
}

/*
 * We say no more. The monitor closes when it sees that, after all it had for us: so what was on the
 * screen is shown even to one who detaches at once. A second without a word is the limit, for a
 * monitor that is stopped.
 */
static void last_words(int sk)
{
	struct pollfd p = { .fd = sk, .events = POLLIN };

	if (shutdown(sk, SHUT_WR) < 0)
		return;
	while (poll(&p, 1, 1000) > 0 && pump(sk, 1) > 0)
		;
}

static int console_loop(int sk, int pty)
{
	VZ_FD int winch = winch_fd();
	TTY_RAW struct tty t = { .fd = -1 };
	int in = 0, state = 2;

	tty_raw(&t, isatty(0) ? 0 : -1);
	copy_size(t.fd, pty);
	for (;;) {
		struct pollfd p[] = { { .fd = sk, .events = POLLIN },
				      { .fd = in, .events = POLLIN },
				      { .fd = winch, .events = POLLIN } };
		char buf[1024];
		ssize_t n;

		if (poll(p, 3, -1) < 0 && errno != EINTR)
			return -errno;
		if (p[2].revents) {
			struct signalfd_siginfo si;

			(void)!read(winch, &si, sizeof(si));
			copy_size(t.fd, pty);
		}
		if (p[0].revents && pump(sk, 1) < 0)
			return 0;
		if (!p[1].revents)
			continue;
		n = read(in, buf, sizeof(buf));
		if (n > 0)
			n = filter_keys(buf, n, &state, pty);
		else
			n = -1;
		if (n < 0) {
			last_words(sk);
			return 0;
		}
		if (vz_write_all(sk, buf, (size_t)n) < 0)
			return 0;
	}
}

int ctx_console(uint32_t ctid, struct vz_error *err)
{
	char path[PATH_MAX], word;
	VZ_FD int sk = -EBADF, pty = -EBADF;
	size_t nfds = 1;
	int r;

	(void)vps_path(path, "%s/%u/console.sock", vps_paths()->run, ctid);
	sk = vz_unix_connect(path);
	if (sk < 0)
		return vz_fail(err, VZ_EXIT_NOT_RUNNING, -sk, "Unable to attach to the console %s",
			       path);
	if (vz_recv_fds(sk, &word, 1, &pty, &nfds) != 1)
		return vz_fail(err, VZ_EXIT_SYSTEM, ECONNRESET, "the console of VPS %u is busy",
			       ctid);
	(void)printf("Attached to CT %u (ESC . to detach)\n", ctid);
	(void)fflush(stdout);
	r = console_loop(sk, nfds ? pty : -1);
	(void)printf("\nDetached from CT %u\n", ctid);
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "console of VPS %u", ctid) : 0;
}
