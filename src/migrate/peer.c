/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The transport: a program that runs a command on HOST and passes bytes. There is no other network code. */
#include "migrate/migrate.h"

#include "util/fd.h"
#include "util/proc.h"

#include <ctype.h>
#include <signal.h>
#include <string.h>

enum { WORDS_MAX = 64 };

bool mig_host_valid(const char *host)
{
	if (!*host || *host == '-' || strlen(host) > 255)
		return false;
	for (const char *p = host; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("@.-_:[]%", *p))
			return false;
	return host[strlen(host) - 1] != '@' && *host != '@';
}

static void run_child(int fd, char *const argv[])
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(fd, 0) < 0 || dup2(fd, 1) < 0)
		_exit(127);
	(void)close_range(3, ~0U, 0);
	(void)execvp(argv[0], argv);
	(void)dprintf(2, "vzmigrate: cannot run %s: %s\n", argv[0], strerrordesc_np(errno));
	_exit(127);
}

int mig_peer_start(const struct vz_list *transport, const char *host, struct mig_peer *ret,
		   struct vz_error *err)
{
	char *argv[WORDS_MAX + 4] = { 0 };
	VZ_FD int ours = -EBADF;
	VZ_FD int theirs = -EBADF;
	size_t n = 0;
	int sk[2], r;
	pid_t pid;

	if (transport->n == 0 || transport->n > WORDS_MAX)
		return vz_fail(err, MIG_EXIT_USAGE, E2BIG, "words of the transport command");
	for (; n < transport->n; n++)
		argv[n] = transport->v[n];
	argv[n++] = (char *)host;
	argv[n++] = (char *)"vzmigrate";
	argv[n++] = (char *)"--receive";
	r = vz_streampair(sk);
	if (r < 0)
		return vz_fail(err, MIG_EXIT_CONNECT, -r, "socket for the transport");
	ours = sk[0];
	theirs = sk[1];
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		return vz_fail(err, MIG_EXIT_CONNECT, errno, "fork");
	if (pid == 0)
		run_child(theirs, argv);
	*ret = (struct mig_peer){ .pid = pid, .fd = vz_take_fd(&ours) };
	return 0;
}

void mig_peer_end(struct mig_peer *p, int ms)
{
	VZ_FD int pidfd = -EBADF;

	vz_closep(&p->fd);
	if (p->pid <= 0)
		return;
	pidfd = vz_proc_pidfd(p->pid, 0);
	if (pidfd >= 0 && vz_pidfd_poll(pidfd, ms) < 0)
		(void)vz_pidfd_signal(pidfd, SIGKILL);
	(void)vz_wait(p->pid);
	p->pid = 0;
}
