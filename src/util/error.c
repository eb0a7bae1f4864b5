/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

int vz_fail(struct vz_error *err, int exit, int sys, const char *fmt, ...)
{
	va_list ap;
	int n;

	err->sys = sys;
	err->exit = exit;
	va_start(ap, fmt);
	n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	if (sys > 0 && n >= 0 && (size_t)n < sizeof(err->msg)) {
		const char *name = strerrordesc_np(sys);

		(void)snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s",
			       name ? name : "unknown error");
	}
	return sys > 0 ? -sys : -EPROTO;
}

int vz_wrap(struct vz_error *err, int r, const char *fmt, ...)
{
	char head[256];
	char old[sizeof(err->msg)];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(head, sizeof(head), fmt, ap);
	va_end(ap);
	memcpy(old, err->msg, sizeof(old));
	old[sizeof(old) - 1] = '\0';
	(void)snprintf(err->msg, sizeof(err->msg), "%s: %.*s", head, (int)(sizeof(old) - 260), old);
	return r;
}
