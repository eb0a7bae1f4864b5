/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"

#include "util/fd.h"
#include "util/parse.h"
#include "util/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

enum { KNOB_FILE_MAX = 1 << 20 };

static const char *const ctl_names[CTL_MAX] = {
	[CTL_V2] = "v2",	   [CTL_SYSTEMD] = "systemd", [CTL_CPU] = "cpu",
	[CTL_CPUACCT] = "cpuacct", [CTL_CPUSET] = "cpuset",   [CTL_MEMORY] = "memory",
	[CTL_DEVICES] = "devices", [CTL_PIDS] = "pids",	      [CTL_BLKIO] = "blkio",
};

const char *cg_ctl_name(enum cg_ctl c)
{
	return ctl_names[c];
}

void cg_dirs_clear(struct cg_dirs *d)
{
	for (int c = 0; c < CTL_MAX; c++)
		vz_freep(&d->v[c]);
}

int cg_dirs_add(struct cg_dirs *d, const char *line)
{
	const char *eq = strchr(line, '=');
	char *dir;

	if (!eq || eq[1] != '/')
		return -EINVAL;
	for (int c = 0; c < CTL_MAX; c++) {
		size_t len = strlen(ctl_names[c]);

		if (len != (size_t)(eq - line) || memcmp(line, ctl_names[c], len))
			continue;
		dir = strdup(eq + 1);
		if (!dir)
			return -ENOMEM;
		free(d->v[c]);
		d->v[c] = dir;
		return 0;
	}
	return -EINVAL;
}

bool cg_dirs_known_before(const struct cg_dirs *d, enum cg_ctl c)
{
	for (int i = CTL_V2 + 1; i < (int)c; i++)
		if (d->v[i] && vz_streq(d->v[i], d->v[c]))
			return true;
	return false;
}

const char *cg_join(char dst[PATH_MAX], const char *dir, const char *file)
{
	return vps_path(dst, "%s/%s", dir, file);
}

/* A missing file in a group that is there means a kernel without the knob. */
static int knob_errno(int r, const char *dir)
{
	struct stat st;

	return r == -ENOENT && stat(dir, &st) == 0 ? -EOPNOTSUPP : r;
}

int cg_write(const char *dir, const char *file, const char *value)
{
	char path[PATH_MAX];

	return knob_errno(vz_write_value(AT_FDCWD, cg_join(path, dir, file), value), dir);
}

int cg_read(const char *dir, const char *file, char **ret)
{
	char path[PATH_MAX];
	ssize_t n = vz_read_file(AT_FDCWD, cg_join(path, dir, file), KNOB_FILE_MAX, ret);

	return n < 0 ? knob_errno((int)n, dir) : 0;
}

int cg_read_u64(const char *dir, const char *file, uint64_t *ret)
{
	VZ_FREE char *text = NULL;
	int r = cg_read(dir, file, &text);

	if (r < 0)
		return r;
	text[strcspn(text, "\n")] = '\0';
	if (vz_streq(text, "max") || text[0] == '-') {
		*ret = UINT64_MAX;
		return 0;
	}
	return vz_parse_u64(text, 0, UINT64_MAX, ret);
}

int cg_key(const char *text, const char *key, uint64_t *ret)
{
	size_t len = strlen(key);

	for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
		char num[32];
		size_t n;

		if (strncmp(p, key, len) || p[len] != ' ')
			continue;
		n = strcspn(p + len + 1, "\n");
		if (n >= sizeof(num))
			break;
		memcpy(num, p + len + 1, n);
		num[n] = '\0';
		return vz_parse_u64(num, 0, UINT64_MAX, ret) < 0 ? -EOPNOTSUPP : 0;
	}
	return -EOPNOTSUPP;
}

int cg_read_key(const char *dir, const char *file, const char *key, uint64_t *ret)
{
	VZ_FREE char *text = NULL;
	int r = cg_read(dir, file, &text);

	return r < 0 ? r : cg_key(text, key, ret);
}

int cg_read_place(const struct cg_place *p, uint64_t *ret)
{
	return p->key ? cg_read_key(p->dir, p->file, p->key, ret)
		      : cg_read_u64(p->dir, p->file, ret);
}

int cg_wait_event(const char *dir, const char *key, uint64_t want, int timeout_ms)
{
	char path[PATH_MAX], text[256];
	uint64_t start = vz_now_ms();
	VZ_FD int fd = vz_openat(AT_FDCWD, cg_join(path, dir, "cgroup.events"), O_RDONLY, 0);

	if (fd < 0)
		return fd;
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLPRI };
		uint64_t value, spent;
		int left = -1;
		ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

		if (n < 0)
			return -errno;
		text[n] = '\0';
		if (cg_key(text, key, &value) == 0 && value == want)
			return 0;
		if (timeout_ms >= 0) {
			spent = vz_now_ms() - start;
			if (spent >= (uint64_t)timeout_ms)
				return -ETIMEDOUT;
			left = (int)((uint64_t)timeout_ms - spent);
		}
		if (poll(&p, 1, left) < 0)
			return -errno;
	}
}

static bool first_subdir(int fd, char ret_name[NAME_MAX + 1])
{
	VZ_DIR DIR *d = vz_opendirat(fd, ".");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (e->d_type != DT_DIR || vz_streq(e->d_name, ".") || vz_streq(e->d_name, ".."))
			continue;
		return vz_copy(ret_name, NAME_MAX + 1, e->d_name) == 0;
	}
	return false;
}

/*
 * Groups below @fd, with one descriptor and no recursion, whatever depth the tenant went to: the
 * first child is removed or entered; back from below, the same child comes first again and must
 * now be empty.
 */
static int rmdir_below(int *fd)
{
	char name[NAME_MAX + 1];
	size_t depth = 0;
	bool back = false;

	for (;;) {
		bool up = !first_subdir(*fd, name);
		int next;

		if (up && depth == 0)
			return 0;
		if (!up) {
			if (unlinkat(*fd, name, AT_REMOVEDIR) == 0) {
				back = false;
				continue;
			}
			if (errno == ENOENT)
				continue;
			if (back || (errno != EBUSY && errno != ENOTEMPTY))
				return -errno;
		}
		next = vz_openat(*fd, up ? ".." : name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (next < 0)
			return next;
		vz_closep(fd);
		*fd = next;
		back = up;
		depth = up ? depth - 1 : depth + 1;
	}
}

int cg_rmdir_tree(const char *dir)
{
	VZ_FD int fd = -EBADF;
	int r;

	if (rmdir(dir) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY && errno != ENOTEMPTY)
		return -errno;
	fd = vz_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = rmdir_below(&fd);
	if (r < 0)
		return r;
	return rmdir(dir) < 0 && errno != ENOENT ? -errno : 0;
}

bool cg_populated(const char *dir)
{
	uint64_t v;

	return cg_read_key(dir, "cgroup.events", "populated", &v) == 0 && v;
}

int cg_mkdir_fresh(const char *dir)
{
	int r;

	if (mkdir(dir, 0755) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	r = cg_populated(dir) ? -EBUSY : cg_rmdir_tree(dir);
	if (r < 0)
		return r;
	return mkdir(dir, 0755) < 0 ? -errno : 0;
}

int cg_knob_fail(struct vz_error *err, int r, enum cg_knob knob, const char *dir, const char *file,
		 const char *value)
{
	int exit = VZ_EXIT_SETUBC;

	if (knob == CG_CPU_WEIGHT || knob == CG_CPU_MAX_PCT || knob == CG_CPU_BURST_US)
		exit = RES_EXIT_CPU;
	else if (knob == CG_IO_WEIGHT)
		exit = VZ_EXIT_IO;
	return vz_fail(err, exit, -r, "cannot write '%s' to %s/%s", value, dir, file);
}
