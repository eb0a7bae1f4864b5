/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one line that vzmon writes to the log. */
#include "context/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

void mon_log_end(const struct ctx_orders *o, const siginfo_t *si, bool lost)
{
	char line[256], stamp[40];
	struct tm tm;
	time_t now = time(NULL);
	VZ_FD int fd = -EBADF;
	int n;

	if (!o->log[0])
		return;
	/* O_NONBLOCK: a FIFO that nobody reads */
	fd = vz_openat(AT_FDCWD, o->log, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK,
		       0600);
	if (fd < 0)
		return;
	(void)localtime_r(&now, &tm);
	(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S%z", &tm);
	n = snprintf(line, sizeof(line), "%s vzmon : CT %u : init ended: %s %d%s\n", stamp, o->ctid,
		     si->si_code == CLD_EXITED ? "status" : "signal", si->si_status,
		     lost ? " (the rest of its memory did not come)"
		     : si->si_code != CLD_EXITED && si->si_status == SIGHUP ? " (reboot)"
									    : "");
	if (vz_write_all(fd, line, (size_t)n) < 0)
		return;
}
