/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Run a program whose input and output are a TCP connection on the loopback address. */
#include "util/fd.h"
#include "util/parse.h"
#include "util/str.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { USAGE = 1, NOT_EXECUTED = 127, NETWORK = 220, FD_MAX = 1023 };

struct wish {
	bool listening, connecting;
	uint64_t port, fd; /* fd 0: standard input and output */
};

static int usage(FILE *to, int rc)
{
	(void)fputs("Usage: vznnc -l|-c -p PORT [-f FD] [--] PROGRAM [ARG...]\n"
		    "  -l  wait for a connection to PORT of the loopback address\n"
		    "  -c  connect to it\n"
		    "  -f  the connection is descriptor FD, not standard input and output\n",
		    to);
	return rc;
}

static int failed(const char *what, int r)
{
	(void)fprintf(stderr, "vznnc: %s: %s\n", what, strerror(r < 0 ? -r : errno));
	return -1;
}

static int accept_one(int sk, const struct sockaddr *addr, socklen_t len)
{
	const int on = 1;
	int fd;

	if (setsockopt(sk, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return failed("setsockopt", 0);
	if (bind(sk, addr, len) < 0)
		return failed("bind", 0);
	if (listen(sk, 1) < 0)
		return failed("listen", 0);
	do
		fd = accept4(sk, NULL, NULL, SOCK_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? failed("accept", 0) : fd;
}

/* Return: the connection, or -1 after a message. */
static int connection(const struct wish *w)
{
	const struct sockaddr_in addr = { .sin_family = AF_INET,
					  .sin_port = htons((uint16_t)w->port),
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr *generic = (const struct sockaddr *)(const void *)&addr;
	VZ_FD int sk = vz_socket(AF_INET, SOCK_STREAM, 0);

	if (sk < 0)
		return failed("socket", sk);
	if (w->listening)
		return accept_one(sk, generic, sizeof(addr));
	if (connect(sk, generic, sizeof(addr)) < 0)
		return failed("connect", 0);
	return vz_take_fd(&sk);
}

/* @fd as descriptor @to of the program. */
static int place(int fd, int to)
{
	if (fd == to)
		return fcntl(fd, F_SETFD, 0);
	return dup2(fd, to);
}

static int take_number(const char *option, const char *text, uint64_t lo, uint64_t hi,
		       uint64_t *ret)
{
	char shown[64];

	if (vz_parse_u64(text, lo, hi, ret) == 0)
		return 0;
	(void)fprintf(stderr, "vznnc: bad value for %s: \"%s\" (allowed: %d to %d)\n", option,
		      vz_quote(shown, sizeof(shown), text), (int)lo, (int)hi);
	return -1;
}

static int take_option(struct wish *w, int opt)
{
	switch (opt) {
	case 'l':
		w->listening = true;
		return 0;
	case 'c':
		w->connecting = true;
		return 0;
	case 'p':
		return take_number("-p", optarg, 1, 65535, &w->port);
	default:
		return take_number("-f", optarg, 3, FD_MAX, &w->fd);
	}
}

int main(int argc, char **argv)
{
	struct wish w = { 0 };
	int opt, fd;

	while ((opt = getopt(argc, argv, "+lcp:f:h")) != -1) {
		if (opt == 'h')
			return usage(stdout, 0);
		if (opt == '?')
			return usage(stderr, USAGE);
		if (take_option(&w, opt) < 0)
			return USAGE;
	}
	if (w.listening == w.connecting || w.port == 0 || optind == argc)
		return usage(stderr, USAGE);
	fd = connection(&w);
	if (fd < 0)
		return NETWORK;
	if (w.fd ? place(fd, (int)w.fd) < 0
		 : place(fd, STDIN_FILENO) < 0 || place(fd, STDOUT_FILENO) < 0) {
		(void)failed("dup2", 0);
		return NETWORK;
	}
	(void)execvp(argv[optind], argv + optind);
	(void)failed(argv[optind], 0);
	return NOT_EXECUTED;
}
