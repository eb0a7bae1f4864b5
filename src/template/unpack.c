/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "template/priv.h"

#include "util/fd.h"
#include "util/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum { FD_SAFE = 10, ERRNO_MAX = 4095, EXEC_FAILED = 127 };

/* Context: forked child of the host's root. @fds: archive, target, socket; target may be -1. */
static void __attribute__((noreturn)) run_unpacker(const int fds[3], pid_t parent, uint64_t shift)
{
	static const int places[3] = { UNPACK_FD_ARCHIVE, UNPACK_FD_TARGET, UNPACK_FD_ERROR };
	static const char *const env[] = { VZ_PATH_ENV, "HOME=/", NULL };
	char path[PATH_MAX + 16], number[24];
	const char *argv[] = { path, "--shift", number, fds[1] < 0 ? "--check" : NULL, NULL };
	sigset_t none;
	int moved[3];

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* Without its parent nobody would wait for the result or clean up. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EXEC_FAILED);
	for (int i = 0; i < 3; i++) {
		moved[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, FD_SAFE);
		if (fds[i] >= 0 && moved[i] < 0)
			_exit(EXEC_FAILED);
	}
	for (int i = 0; i < 3; i++)
		if (moved[i] >= 0 && dup2(moved[i], places[i]) < 0)
			_exit(EXEC_FAILED);
	(void)snprintf(path, sizeof(path), "%s/vz-unpack", vps_paths()->libexec);
	(void)snprintf(number, sizeof(number), "%llu", (unsigned long long)shift);
	(void)execve(path, (char *const *)argv, (char *const *)env);
	_exit(EXEC_FAILED);
}

/* The child has read what strangers wrote: its words are cleaned, its numbers are checked. */
static void clean_record(const struct vz_error *raw, struct vz_error *err)
{
	char text[sizeof(raw->msg)];

	memcpy(text, raw->msg, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	(void)vz_quote(err->msg, sizeof(err->msg), text);
	err->sys = raw->sys > 0 && raw->sys <= ERRNO_MAX ? raw->sys : 0;
	err->exit = raw->exit == VZ_EXIT_NO_SPACE || raw->exit == VZ_EXIT_BAD_TEMPLATE
			    ? raw->exit
			    : VZ_EXIT_SYSTEM;
}

static int unpacker_result(const char *archive, int sk, pid_t pid, struct vz_error *err)
{
	struct vz_error raw;
	size_t nfds = 0;
	ssize_t n = vz_recv_fds(sk, &raw, sizeof(raw), NULL, &nfds);
	int status = vz_wait(pid);

	if (status == 0 && n == 0)
		return 0;
	if (n == (ssize_t)sizeof(raw) && status != 0) {
		clean_record(&raw, err);
		return vz_wrap(err, err->sys ? -err->sys : -EPROTO, "%s", archive);
	}
	if (status == EXEC_FAILED || status < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOEXEC, "cannot run %s/vz-unpack",
			       vps_paths()->libexec);
	return vz_fail(err, VZ_EXIT_BAD_TEMPLATE, 0, "%s: the unpacker died (status %d)", archive,
		       status);
}

int tpl_unpack_fd(const char *archive, int archive_fd, int dirfd, uint64_t shift,
		  struct vz_error *err)
{
	VZ_FD int ours = -EBADF;
	VZ_FD int theirs = -EBADF;
	pid_t pid, self = getpid();
	int sk[2], r;

	if (lseek(archive_fd, 0, SEEK_SET) < 0)
		return vz_fail(err, VZ_EXIT_BAD_TEMPLATE, errno, "%s", archive);
	r = vz_seqpacket(sk);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "socket");
	ours = sk[0];
	theirs = sk[1];
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "fork");
	if (pid == 0) {
		const int fds[3] = { archive_fd, dirfd, theirs };

		run_unpacker(fds, self, shift);
	}
	vz_closep(&theirs);
	return unpacker_result(archive, ours, pid, err);
}

int tpl_unpack(const char *archive, int dirfd, uint64_t shift, struct vz_error *err)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, archive, O_RDONLY, 0);

	if (fd < 0)
		return vz_fail(err, VZ_EXIT_NO_TEMPLATE, -fd, "%s", archive);
	return tpl_unpack_fd(archive, fd, dirfd, shift, err);
}

int tpl_check(const char *archive, struct vz_error *err)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, archive, O_RDONLY, 0);

	if (fd < 0)
		return vz_fail(err, VZ_EXIT_NO_TEMPLATE, -fd, "%s", archive);
	return tpl_unpack_fd(archive, fd, -1, 0, err);
}
