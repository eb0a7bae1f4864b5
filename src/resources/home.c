/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where in cgroup2 the groups of all VPSes are, and whose group a process is in. Without systemd
 * that is SLICE at the top. Under systemd it is the group of vz-payload.service, which is delegated
 * to us (ADR 23): its start writes the path into RUN/payload, so that no command has to ask over a
 * bus. Linked without libcgroup, for who only looks.
 */
#include "resources/resources.h"

#include "resources/priv.h"
#include "util/fd.h"

#include <fcntl.h>
#include <string.h>

enum { PROC_CGROUP_MAX = 1 << 20 };

/* Path of the calling process or @pid ("self") in cgroup2, without the slash it begins with. */
static int own_path(const char *pid, char ret[PATH_MAX])
{
	VZ_FREE char *text = NULL;
	char path[64];
	const char *line;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%s/cgroup", pid);
	n = vz_read_file(AT_FDCWD, path, PROC_CGROUP_MAX, &text);
	if (n < 0)
		return (int)n;
	line = strncmp(text, "0::/", 4) ? strstr(text, "\n0::/") : text;
	if (!line)
		return -ENOENT;
	line += *line == '\n' ? 5 : 4;
	if (strcspn(line, "\n") >= PATH_MAX)
		return -ENAMETOOLONG;
	(void)snprintf(ret, PATH_MAX, "%.*s", (int)strcspn(line, "\n"), line);
	return 0;
}

static char *home_file(char dst[PATH_MAX])
{
	return vps_path(dst, "%s/payload", vps_paths()->run);
}

const char *cg_v2_home(void)
{
	static char home[PATH_MAX];
	VZ_FREE char *text = NULL;
	char path[PATH_MAX];

	if (home[0])
		return home;
	if (vz_read_file(AT_FDCWD, home_file(path), PATH_MAX - 1, &text) > 0 && text[0] == '/' &&
	    !strstr(text, "/..")) {
		text[strcspn(text, "\n")] = '\0';
		if (vz_copy(home, sizeof(home), text + 1) == 0 && home[0])
			return home;
	}
	return vz_copy(home, sizeof(home), vps_paths()->slice) == 0 ? home : "vz";
}

int res_home_here(struct vz_error *err)
{
	char path[PATH_MAX], text[PATH_MAX + 2], file[PATH_MAX];
	int r = own_path("self", path);

	if (r == 0 && strstr(path, ".."))
		r = -EINVAL; /* outside of our cgroup namespace */
	if (r == 0 && !path[0])
		return 0; /* systemd uses v1 alone and has delegated nothing */
	if (r < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -r, "no group of cgroup2 to make VPSes in");
	(void)snprintf(text, sizeof(text), "/%s\n", path);
	r = vz_mkdir_p(vps_paths()->run, 0755);
	if (r == 0)
		r = vz_write_atomic(home_file(file), text, strlen(text), 0644);
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "write %s/payload", vps_paths()->run) : 0;
}

/* "HOME/CTID" or "HOME/CTID/more". Return: whether it is. */
static bool below(const char *path, const char *home, uint32_t *ret)
{
	size_t len = strlen(home), digits;
	char number[16];

	if (strncmp(path, home, len) != 0 || path[len] != '/')
		return false;
	path += len + 1;
	digits = strcspn(path, "/");
	if (digits >= sizeof(number))
		return false;
	memcpy(number, path, digits);
	number[digits] = '\0';
	return vps_parse_ctid(number, ret) == 0;
}

int res_whose(pid_t pid, uint32_t *ret)
{
	char path[PATH_MAX], number[16];
	uint32_t ctid = 0;
	int r;

	(void)snprintf(number, sizeof(number), "%d", (int)pid);
	r = own_path(number, path);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	/* the second: one that was started before vz-payload.service was */
	if (!below(path, cg_v2_home(), &ctid) && !below(path, vps_paths()->slice, &ctid))
		ctid = 0;
	*ret = ctid;
	return 0;
}
