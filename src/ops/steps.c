/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/steps.h"

#include "util/log.h"
#include "util/parse.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SIGINT or SIGTERM came: the step under way ends, then everything is taken back. */
static volatile sig_atomic_t cancelled;

static void on_signal(int sig)
{
	cancelled = sig;
}

bool op_steps_cancelled(void)
{
	return cancelled != 0;
}

static void catch_signals(struct sigaction old[2])
{
	struct sigaction sa = { .sa_handler = on_signal }; /* no SA_RESTART: waits end too */

	(void)sigaction(SIGINT, &sa, &old[0]);
	(void)sigaction(SIGTERM, &sa, &old[1]);
	if (old[0].sa_handler !=
	    on_signal) /* else a table within a table: what came counts for both */
		cancelled = 0;
}

/*
 * VZ_FAULT=NAME:N[:kill|:stop], for tests: the N-th step of that table, counted from 1, fails before
 * it does anything; or the process dies there by SIGKILL; or stops there until SIGCONT, so that a
 * test can do something else at that moment, and goes on.
 */
static int fault(const char *name, size_t step, struct vz_error *err)
{
	const char *want = secure_getenv("VZ_FAULT");
	size_t n = strlen(name);
	char number[16];
	size_t digits;
	uint64_t at;

	if (!want || strncmp(want, name, n) != 0 || want[n] != ':')
		return 0;
	want += n + 1;
	digits = strcspn(want, ":");
	(void)snprintf(number, sizeof(number), "%.*s", (int)digits, want);
	if (vz_parse_u64(number, 1, 1000, &at) < 0 || at != step + 1)
		return 0;
	if (want[digits]) /* nobody would be left to tell that it came to this */
		vz_warn("fault on purpose at step %zu of %s: %s", step + 1, name,
			want + digits + 1);
	if (!strcmp(want + digits, ":kill"))
		(void)raise(SIGKILL);
	if (!strcmp(want + digits, ":stop"))
		return raise(SIGSTOP);
	return vz_fail(err, VZ_EXIT_SYSTEM, EIO, "fault on purpose at step %zu of %s", step + 1,
		       name);
}

int op_steps_fault(const char *name, size_t n, struct vz_error *err)
{
	return fault(name, n - 1, err);
}

static int run_all(const char *name, const struct op_step *steps, size_t n, void *arg,
		   struct vz_error *err)
{
	for (size_t i = 0; i < n; i++) {
		int r = fault(name, i, err);

		if (r == 0 && cancelled)
			r = vz_fail(err, VZ_EXIT_SYSTEM, EINTR, "Cancelling, signal %d",
				    (int)cancelled);
		if (r == 0)
			r = steps[i].run(arg, err);
		vz_debug("%s, step %s: %d", name, steps[i].name, r);
		if (r >= 0)
			continue;
		for (size_t u = i + 1; u-- > 0;)
			if (steps[u].undo)
				steps[u].undo(arg);
		return r;
	}
	return 0;
}

int op_steps_run(const char *name, const struct op_step *steps, size_t n, void *arg,
		 struct vz_error *err)
{
	struct sigaction old[2];
	int r;

	catch_signals(old);
	r = run_all(name, steps, n, arg, err);
	(void)sigaction(SIGINT, &old[0], NULL);
	(void)sigaction(SIGTERM, &old[1], NULL);
	return r;
}
