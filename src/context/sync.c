/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "context/sync.h"

#include "util/fd.h"

#include <sys/socket.h>

static const char *const names[] = {
	[STEP_NONE] = "none",	    [STEP_BORN] = "born",	[STEP_MAPPED] = "mapped",
	[STEP_SPAWNED] = "spawned", [STEP_ROOT] = "root",	[STEP_NET] = "net",
	[STEP_CAGED] = "caged",	    [STEP_SCRIPTS] = "scripts", [STEP_CONSOLE] = "console",
	[STEP_GO] = "go",
};

const char *sync_name(enum start_step step)
{
	return (unsigned int)step <= STEP_GO ? names[step] : "unknown";
}

int sync_tell(int sk, enum start_step step, pid_t pid, int fd)
{
	struct start_msg m = { .step = step, .pid = pid };

	return vz_send_fds(sk, &m, sizeof(m), &fd, fd >= 0);
}

void sync_fail(int sk, const struct vz_error *err)
{
	struct start_msg m = { .failed = 1, .err = *err };

	if (vz_send_fds(sk, &m, sizeof(m), NULL, 0) < 0)
		return; /* nobody listens any more */
}

int sync_expect(int sk, enum start_step want, pid_t *ret_pid, int *ret_fd, struct vz_error *err)
{
	struct start_msg m;
	int fd = -EBADF;
	size_t nfds = 1;
	ssize_t n = vz_recv_fds(sk, &m, sizeof(m), &fd, &nfds);

	if (n != sizeof(m))
		return vz_fail(err, VZ_EXIT_ENVCREATE, n < 0 ? (int)-n : ECONNRESET,
			       "the other side vanished before step \"%s\"", sync_name(want));
	if (m.failed) {
		vz_closep(&fd);
		m.err.msg[sizeof(m.err.msg) - 1] = '\0';
		*err = m.err;
		if (err->exit <= 0 ||
		    err->exit > 255) /* the exit status is a byte: 256 would be 0 */
			err->exit = VZ_EXIT_ENVCREATE;
		return m.err.sys > 0 ? -m.err.sys : -EPROTO;
	}
	if (m.step != want) {
		vz_closep(&fd);
		return vz_fail(err, VZ_EXIT_ENVCREATE, EPROTO,
			       "step \"%s\" came where \"%s\" was due",
			       sync_name((enum start_step)m.step), sync_name(want));
	}
	if (ret_pid)
		*ret_pid = m.pid;
	if (ret_fd)
		*ret_fd = fd;
	else
		vz_closep(&fd);
	return 0;
}
