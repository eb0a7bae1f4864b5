/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program that writes files when they are read, before it is one: a child of vzmon. */
#include "context/fresh.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

void fresh_execute(const struct fresh *f, const char *verb, int n)
{
	char ctid[16];
	const char *argv[] = { f->program, "--quiet", verb, ctid, "fds", NULL };
	int high[FRESH_FILES];
	sigset_t none;

	(void)snprintf(ctid, sizeof(ctid), "%u", f->ctid);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* out of the way first, so that none is overwritten by another's number */
	for (int i = 0; i < n; i++)
		high[i] = fcntl(f->fds[i], F_DUPFD, 10);
	for (int i = 0; i < n; i++)
		if (high[i] < 0 || dup2(high[i], 3 + i) < 0)
			_exit(1);
	if (close_range(3 + (unsigned int)n, ~0U, 0) < 0)
		_exit(1);
	(void)execv(argv[0], (char *const *)argv);
	_exit(1);
}
