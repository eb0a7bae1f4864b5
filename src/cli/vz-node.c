/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What vz.service, vz-payload.service and /etc/init.d/vz run; vz-node(8). */
#include "ops/node.h"
#include "resources/resources.h"
#include "util/fd.h"
#include "util/log.h"
#include "vps/vps.h"

#include <stdio.h>
#include <string.h>

enum { EXIT_SOME_FAILED = 1, EXIT_NOT_STARTED = 3 };

/* Words and numbers of OpenVZ's init script. */
static int status(struct vz_error *err)
{
	bool started = op_node_started();

	(void)err;
	(void)puts(started ? "OpenVZ is running..." : "OpenVZ is stopped.");
	return started ? 0 : EXIT_NOT_STARTED;
}

static int start(struct vz_error *err)
{
	int r = op_node_start(err);

	return r > 0 ? EXIT_SOME_FAILED : r;
}

static int stop(struct vz_error *err)
{
	int r = op_node_stop(err);

	return r > 0 ? EXIT_SOME_FAILED : r;
}

static const struct {
	const char *word;
	int (*run)(struct vz_error *err); /* exit status, or negative with @err */
	const char *help;
} verbs[] = {
	{ "start", start, "start what ONBOOT and BOOTORDER say, and what ran before a crash" },
	{ "stop", stop, "stop all VPSes, in the reverse order" },
	{ "status", status, "was start done?" },
	{ "weigh", op_node_weigh, "tell systemd the share of the CPU that all VPSes have" },
	{ "home", res_home_here, "the groups of VPSes are made below the caller's own group" },
};

static void usage(FILE *to)
{
	(void)fputs("Usage: vz-node COMMAND\n\n", to);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		(void)fprintf(to, "  %-8s %s\n", verbs[i].word, verbs[i].help);
}

static void set_up_log(void)
{
	VPS_CONFIG struct vps_config g = { 0 };
	struct vz_log_setup s = { .program = "vz-node" };
	struct vz_error ignored;

	vz_log_level(-2); /* bad lines of vz.conf are told by each vzctl */
	if (vps_load_global(&g, &ignored) == 0) {
		s.file_level = (int)g.log_level;
		s.file = g.logging ? g.logfile : NULL;
	}
	vz_log_init(&s);
}

int main(int argc, char **argv)
{
	struct vz_error err = { 0 };

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		usage(stdout);
		return 0;
	}
	for (size_t i = 0; argc == 2 && i < sizeof(verbs) / sizeof(*verbs); i++) {
		int r;

		if (strcmp(argv[1], verbs[i].word) != 0)
			continue;
		set_up_log();
		r = verbs[i].run(&err);
		if (r >= 0)
			return r;
		vz_error("vz-node: %s", err.msg);
		return err.exit ? err.exit : VZ_EXIT_SYSTEM;
	}
	usage(stderr);
	return VZ_EXIT_USAGE;
}
