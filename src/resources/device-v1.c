/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

/* The device policy of a v1 devices group. */

static void dev_text(char *dst, size_t size, const struct cg_dev_rule *r)
{
	char major[24] = "*", minor[24] = "*";

	if (r->major >= 0)
		(void)snprintf(major, sizeof(major), "%" PRId64, r->major);
	if (r->minor >= 0)
		(void)snprintf(minor, sizeof(minor), "%" PRId64, r->minor);
	(void)snprintf(dst, size, "%c %s:%s %s", r->type, major, minor, r->access);
}

/*
 * Letters of @have that no rule gives to the same device; rules and devices.list name devices
 * alike.
 */
static void surplus(const char *key, const char *have, const struct cg_dev_rule *rules, size_t n,
		    char ret[4])
{
	size_t len = 0;
	char text[64];

	for (const char *p = have; *p && len < 3; p++) {
		bool wanted = false;

		for (size_t i = 0; i < n && !wanted; i++) {
			dev_text(text, sizeof(text), &rules[i]);
			wanted = !strncmp(text, key, strlen(key)) && text[strlen(key)] == ' ' &&
				 strchr(rules[i].access, *p);
		}
		if (!wanted)
			ret[len++] = *p;
	}
	ret[len] = '\0';
}

static int deny_surplus(const char *dir, char *list, const struct cg_dev_rule *rules, size_t n)
{
	VZ_LIST struct vz_list lines = { 0 };
	int r = vz_list_split(&lines, list, "\n");

	for (size_t i = 0; r == 0 && i < lines.n; i++) {
		char *access = strrchr(lines.v[i], ' ');
		char extra[4], text[64];

		if (!access)
			continue;
		*access++ = '\0';
		surplus(lines.v[i], access, rules, n, extra);
		if (!*extra)
			continue;
		(void)snprintf(text, sizeof(text), "%s %s", lines.v[i], extra);
		r = cg_write(dir, "devices.deny", text);
	}
	return r;
}

/* A file that takes one rule a write; opened once, since there are a dozen of them. */
static int allow(const char *dir, const struct cg_dev_rule *rules, size_t n, bool *ret_all)
{
	char path[PATH_MAX], text[64];
	VZ_FD int fd = vz_openat(AT_FDCWD, cg_join(path, dir, "devices.allow"), O_WRONLY, 0);

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < n; i++) {
		dev_text(text, sizeof(text), &rules[i]);
		if (pwrite(fd, text, strlen(text), 0) < 0)
			return -errno;
		*ret_all |= rules[i].type == 'a'; /* v1: everything, and denials are exceptions */
	}
	return 0;
}

int cg_v1_devices(const char *dir, const struct cg_dev_rule *rules, size_t n)
{
	VZ_FREE char *procs = NULL, *list = NULL;
	bool fresh, all = false;
	int r = cg_read(dir, "cgroup.procs", &procs);

	if (r == 0)
		r = cg_read(dir, "devices.list", &list);
	if (r < 0)
		return r;
	/* "a" is everything; nobody inside, or nothing denied until now: the slate can be wiped */
	fresh = !*procs || list[0] == 'a';
	if (fresh)
		r = cg_write(dir, "devices.deny", "a");
	if (r == 0)
		r = allow(dir, rules, n, &all);
	return r < 0 || fresh || all ? r : deny_surplus(dir, list, rules, n);
}
