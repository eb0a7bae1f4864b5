/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/tool.h"

#include "util/log.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void tool_start(const struct tool *t)
{
	vz_log_init(
		&(struct vz_log_setup){ .program = t->name, .tty_level = -2, .file_level = -2 });
}

int tool_fail(const struct tool *t, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "%s: ", t->name);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	return 1;
}

int tool_usage(const struct tool *t, int rc)
{
	(void)fputs(t->usage, rc ? stderr : stdout);
	return rc;
}

int tool_root(void)
{
	if (geteuid() == 0)
		return 0;
	(void)fputs("This program can only be run under root.\n", stderr);
	return 1;
}

int tool_node(const struct tool *t, struct plan_node *ret)
{
	int r = plan_node_read("/proc", ret);

	return r < 0 ? tool_fail(t, "the memory of this node cannot be read: %s", strerror(-r)) : 0;
}

int tool_done(const struct tool *t, int rc)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return rc;
	return tool_fail(t, "standard output cannot be written: %m");
}

const char *tool_number(char *room, size_t size, int width, double value)
{
	if (isnan(value))
		(void)snprintf(room, size, "%*s", width, "n/a");
	else if (isinf(value))
		(void)snprintf(room, size, "%*s", width, "unlim");
	else
		(void)snprintf(room, size, "%*.2f", width, value);
	return room;
}

const char *tool_size(char room[16], uint64_t value, uint64_t unit)
{
	static const char letters[] = " KMGTPEZY";
	double v = (double)value * (double)unit;
	size_t i = 0;

	if (value == 0 || value >= PLAN_NONE) {
		(void)snprintf(room, 16, "- ");
		return room;
	}
	for (; v >= 1023.5 && i < sizeof(letters) - 2; i++)
		v /= 1024;
	(void)snprintf(room, 16, v < 99.95 ? "%.3g%c" : "%.0f%c", v, letters[i]);
	return room;
}

int tool_ctid(const struct tool *t, const char *word, uint32_t *ret)
{
	char shown[256];

	if ((vps_parse_ctid(word, ret) == 0 && *ret != 0) || vps_name_lookup(word, ret) == 0)
		return 0;
	return tool_fail(t, "there is no VPS %s", vz_quote(shown, sizeof(shown), word));
}
