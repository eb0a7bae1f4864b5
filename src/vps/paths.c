/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vps/vps.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

#ifndef VZ_SYSCONFDIR
#define VZ_SYSCONFDIR "/etc"
#endif
#ifndef VZ_VZDIR
#define VZ_VZDIR "/var/lib/vz"
#endif
#ifndef VZ_LIBEXECDIR
#define VZ_LIBEXECDIR "/usr/libexec/croft"
#endif

static uint32_t hash_text(const char *s)
{
	uint32_t h = 2166136261U; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619U;
	return h;
}

const struct vps_paths *vps_paths(void)
{
	static struct vps_paths p;
	const char *root, *libexec;

	if (p.etc[0])
		return &p;
	root = secure_getenv("CROFT_ROOT");
	libexec = secure_getenv("CROFT_LIBEXEC");
	if (!root)
		root = "";
	(void)snprintf(p.conf, sizeof(p.conf), "%s" VZ_SYSCONFDIR "/vz/conf", root);
	(void)snprintf(p.run, sizeof(p.run), "%s/run/vz", root);
	(void)snprintf(p.vzdir, sizeof(p.vzdir), "%s" VZ_VZDIR, root);
	(void)snprintf(p.libexec, sizeof(p.libexec), "%s", libexec ? libexec : VZ_LIBEXECDIR);
	if (*root) /* two sets of VPSes on one host must not share their cgroups */
		(void)snprintf(p.slice, sizeof(p.slice), "vz-%08x", hash_text(root));
	else
		(void)snprintf(p.slice, sizeof(p.slice), "vz");
	(void)snprintf(p.etc, sizeof(p.etc), "%s" VZ_SYSCONFDIR "/vz", root);
	return &p;
}

char *vps_path(char *dst, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(dst, PATH_MAX, fmt, ap);
	va_end(ap);
	return dst;
}
