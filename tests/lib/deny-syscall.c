/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * deny-syscall NAME[:ERRNO] COMMAND...: run a command in whose processes one system call fails,
 * with ENOSYS (as on a kernel that does not have it) or with what is given ("EPERM", as in a sandbox).
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int deny(const char *name, int error)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int nr = seccomp_syscall_resolve_name(name), r = -EINVAL;

	if (f && nr != __NR_SCMP_ERROR)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO((unsigned int)error), nr, 0);
	/* without no_new_privs, which would take set-user-id programs from a VPS: we are root */
	if (r == 0)
		r = seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 0);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r;
}

int main(int argc, char **argv)
{
	char name[64];
	const char *colon;
	int error = ENOSYS, r;

	if (argc < 3) {
		(void)fprintf(stderr, "Usage: deny-syscall NAME[:EPERM] COMMAND...\n");
		return 2;
	}
	colon = strchr(argv[1], ':');
	if (colon)
		error = !strcmp(colon + 1, "EPERM") ? EPERM : ENOSYS;
	(void)snprintf(name, sizeof(name), "%.*s",
		       (int)(colon ? colon - argv[1] : (long)strlen(argv[1])), argv[1]);
	r = deny(name, error);
	if (r < 0) {
		(void)fprintf(stderr, "deny-syscall: %s: %s\n", name, strerror(-r));
		return 2;
	}
	(void)execvp(argv[2], argv + 2);
	(void)fprintf(stderr, "deny-syscall: %s: %s\n", argv[2], strerror(errno));
	return 2;
}
