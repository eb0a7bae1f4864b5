/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers and names of VPSes. */
#include "vps/vps.h"

#include "util/fd.h"
#include "util/parse.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

int vps_parse_ctid(const char *s, uint32_t *ret)
{
	uint64_t v;

	if (vz_parse_u64(s, 0, VPS_CTID_MAX, &v) < 0)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

bool vps_name_valid(const char *name, uint32_t ctid)
{
	char own[16];

	if (!*name || strlen(name) > 63 || *name == '.' || *name == '-' || *name == ' ')
		return false;
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr(" -+_.", *p))
			return false;
	if (strspn(name, "0123456789") != strlen(name) || ctid == UINT32_MAX)
		return true;
	(void)snprintf(own, sizeof(own), "%u", ctid);
	return !strcmp(name, own); /* another VPS's number would never be found as a name */
}

/* The CTID that the link /etc/vz/names/NAME points to. */
static int link_target(const char *name, uint32_t *ret)
{
	char path[PATH_MAX], target[PATH_MAX];
	char *base, *dot;
	ssize_t n;

	n = readlink(vps_path(path, "%s/names/%s", vps_paths()->etc, name), target,
		     sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	base = strrchr(target, '/');
	base = base ? base + 1 : target;
	dot = strstr(base, ".conf");
	if (!dot || dot[5])
		return -EINVAL;
	*dot = '\0';
	return vps_parse_ctid(base, ret);
}

int vps_name_lookup(const char *name, uint32_t *ret)
{
	VPS_CONFIG struct vps_config c = { 0 };
	char path[PATH_MAX];
	uint32_t ctid;

	if (!vps_name_valid(name, UINT32_MAX) || link_target(name, &ctid) < 0)
		return -ENOENT;
	if (vps_load_file(&c, vps_path(path, "%s/%u.conf", vps_paths()->conf, ctid), VS_VPS, NULL) <
	    0)
		return -ENOENT;
	if (!c.name || strcmp(c.name, name) != 0)
		return -ENOENT;
	*ret = ctid;
	return 0;
}

int vps_names_lock(struct vz_error *err)
{
	char path[PATH_MAX];
	VZ_FD int fd = -EBADF;
	int r = vz_mkdir_p(vps_path(path, "%s/names", vps_paths()->etc), 0755);

	if (r < 0)
		return vz_fail(err, VZ_EXIT_NAME, -r, "mkdir %s", path);
	fd = vz_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return vz_fail(err, VZ_EXIT_NAME, fd < 0 ? -fd : errno, "lock %s", path);
	return vz_take_fd(&fd);
}

int vps_name_link(uint32_t ctid, const char *name, struct vz_error *err)
{
	char path[PATH_MAX], target[64];
	uint32_t holder;

	if (!vps_name_valid(name, ctid))
		return vz_fail(err, VZ_EXIT_NAME, EINVAL, "Name \"%s\" cannot be used", name);
	if (vps_name_lookup(name, &holder) == 0 && holder != ctid)
		return vz_fail(err, VZ_EXIT_NAME, EEXIST,
			       "Conflict: name %s already used by VPS %u", name, holder);
	if (link_target(name, &holder) == 0 && holder == ctid)
		return 0;
	(void)snprintf(target, sizeof(target), "../conf/%u.conf", ctid);
	/* what is there leads nowhere, or to a VPS that does not have this name */
	(void)unlink(vps_path(path, "%s/names/%s", vps_paths()->etc, name));
	if (symlink(target, path) < 0)
		return vz_fail(err, VZ_EXIT_NAME, errno, "symlink %s", path);
	return 0;
}

void vps_name_unlink(uint32_t ctid, const char *name)
{
	char path[PATH_MAX];
	uint32_t holder;

	if (name && *name && link_target(name, &holder) == 0 && holder == ctid)
		(void)unlink(vps_path(path, "%s/names/%s", vps_paths()->etc, name));
}

int vps_name_strays(uint32_t ctid, const char *name, struct vz_list *ret)
{
	char path[PATH_MAX];
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, vps_path(path, "%s/names", vps_paths()->etc));
	struct dirent *e;

	while (d && (e = readdir(d))) {
		uint32_t holder;

		if (*e->d_name == '.' || (name && !strcmp(e->d_name, name)) ||
		    link_target(e->d_name, &holder) < 0 || holder != ctid)
			continue;
		if (vz_list_add(ret, e->d_name) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

ssize_t vps_list_ctids(uint32_t **ret)
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, vps_paths()->conf);
	VZ_FREE uint32_t *list = NULL;
	size_t n = 0, room = 0;
	struct dirent *e;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		char num[16];
		size_t digits = strspn(e->d_name, "0123456789");
		uint32_t ctid;

		if (digits == 0 || digits >= sizeof(num) ||
		    strcmp(e->d_name + digits, ".conf") != 0)
			continue;
		memcpy(num, e->d_name, digits);
		num[digits] = '\0';
		if (vps_parse_ctid(num, &ctid) < 0 || ctid == 0)
			continue;
		if (n == room) {
			uint32_t *more = reallocarray(list, room * 2 + 16, sizeof(*list));

			if (!more)
				return -ENOMEM;
			list = more;
			room = room * 2 + 16;
		}
		list[n++] = ctid;
	}
	if (n > 0)
		qsort(list, n, sizeof(*list), by_number);
	*ret = vz_take_ptr(&list);
	return (ssize_t)n;
}
