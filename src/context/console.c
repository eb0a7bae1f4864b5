/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "context/console.h"

#include "context/priv.h"
#include "util/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

static int watch(int ep, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

int console_open(struct console *c, int ep, const char *rundir, int *ret_slave)
{
	struct winsize ws = { .ws_row = 24, .ws_col = 80 };
	char path[320];
	int r;

	c->ep = ep;
	c->listen = -1;
	for (int i = 0; i < CONSOLE_CLIENTS; i++)
		c->client[i] = -1;
	r = pty_open(AT_FDCWD, "/dev/pts/ptmx", &c->master, &c->slave);
	if (r == -EACCES || r == -ENOENT || r == -ENXIO || r == -ELOOP)
		r = pty_open(AT_FDCWD, "/dev/ptmx", &c->master, &c->slave);
	if (r < 0)
		return r;
	*ret_slave = fcntl(c->slave, F_DUPFD_CLOEXEC, 3);
	if (*ret_slave < 0)
		return -errno;
	(void)ioctl(c->master, TIOCSWINSZ, &ws);
	(void)snprintf(path, sizeof(path), "%s/console.sock", rundir);
	c->listen = vz_unix_listen(path);
	if (c->listen < 0)
		return c->listen;
	r = watch(ep, c->listen);
	return r < 0 ? r : watch(ep, c->master);
}

static void ring_add(struct console *c, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		c->ring[c->head] = data[i];
		c->head = (c->head + 1) % CTX_RING;
	}
	c->fill = c->fill + len > CTX_RING ? CTX_RING : c->fill + len;
}

static void drop(struct console *c, int i)
{
	(void)epoll_ctl(c->ep, EPOLL_CTL_DEL, c->client[i], NULL);
	vz_closep(&c->client[i]);
	c->client[i] = -1;
}

/* A client that does not read loses its place rather than holding up the VPS. */
static void give(struct console *c, int i, const char *data, size_t len)
{
	if (send(c->client[i], data, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
		drop(c, i);
}

static void from_guest(struct console *c)
{
	char buf[4096];
	ssize_t n = read(c->master, buf, sizeof(buf));

	if (n <= 0) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		/* EIO: a getty inside called vhangup, which shut our slave too: open it again */
		vz_closep(&c->slave);
		c->slave = ioctl(c->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (c->slave < 0)
			(void)epoll_ctl(c->ep, EPOLL_CTL_DEL, c->master, NULL);
		return;
	}
	ring_add(c, buf, (size_t)n);
	for (int i = 0; i < CONSOLE_CLIENTS; i++)
		if (c->client[i] >= 0)
			give(c, i, buf, (size_t)n);
}

/* A new client gets the pty (for the window size) and what was on the screen, oldest first. */
static void greet(struct console *c)
{
	int fd = accept4(c->listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	size_t start = (c->head + CTX_RING - c->fill) % CTX_RING;
	size_t first = c->fill < CTX_RING - start ? c->fill : CTX_RING - start;
	int size = 2 * CTX_RING, i = 0;

	if (fd < 0)
		return;
	while (i < CONSOLE_CLIENTS && c->client[i] >= 0)
		i++;
	if (i == CONSOLE_CLIENTS) {
		(void)close(fd);
		return;
	}
	c->client[i] = fd;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (watch(c->ep, fd) < 0 || vz_send_fds(fd, "C", 1, &c->master, 1) < 0) {
		drop(c, i);
		return;
	}
	if (first)
		give(c, i, c->ring + start, first);
	if (c->client[i] >= 0 && c->fill > first)
		give(c, i, c->ring, c->fill - first);
}

static void from_client(struct console *c, int i)
{
	char buf[1024];
	ssize_t n = read(c->client[i], buf, sizeof(buf));

	if (n > 0) {
		/* the pty's own buffer is the limit: what a stuck VPS does not take is lost */
		ssize_t done = write(c->master, buf, (size_t)n);

		(void)done;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		drop(c, i);
	}
}

void console_event(struct console *c, int fd, uint32_t events)
{
	(void)events;
	if (fd == c->master)
		from_guest(c);
	else if (fd == c->listen)
		greet(c);
	else
		for (int i = 0; i < CONSOLE_CLIENTS; i++)
			if (c->client[i] == fd)
				from_client(c, i);
}

void console_close(struct console *c, const char *rundir)
{
	char path[320];
	int left = 1;

	while (ioctl(c->master, FIONREAD, &left) == 0 && left > 0)
		from_guest(c);
	for (int i = 0; i < CONSOLE_CLIENTS; i++)
		if (c->client[i] >= 0)
			drop(c, i);
	(void)snprintf(path, sizeof(path), "%s/console.sock", rundir);
	(void)unlink(path);
	vz_closep(&c->listen);
	vz_closep(&c->slave);
	vz_closep(&c->master);
}
