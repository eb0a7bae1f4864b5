/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <libcgroup.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* The only door to libcgroup. It maps v1 controllers; v2 and name=systemd come from mountinfo. */

enum { MOUNTINFO_MAX = 64 << 20 };

/* Fields of a mountinfo line; proc(5). */
enum { MI_ROOT = 3, MI_POINT = 4 };

void cg_mountinfo_clear(struct cg_mountinfo *m)
{
	vz_freep(&m->v2);
	vz_freep(&m->systemd);
}

static uint64_t hash_add(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211U; /* FNV-1a */
	return (h ^ '\n') * 1099511628211U;
}

static bool is_octal(const char *s)
{
	for (int i = 0; i < 3; i++)
		if (s[i] < '0' || s[i] > '7')
			return false;
	return true;
}

/* "\040" is a blank in a mount point. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (*s == '\\' && is_octal(s + 1)) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

static bool has_option(const char *opts, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = opts; p; p = strchr(p, ','), p = p ? p + 1 : NULL)
		if (!strncmp(p, name, len) && (p[len] == ',' || !p[len]))
			return true;
	return false;
}

static int take_point(char **dst, const char *root, char *point)
{
	if (*dst || !vz_streq(root, "/"))
		return 0; /* a bind mount of a part: of no use */
	unescape(point);
	*dst = strdup(point);
	return *dst ? 0 : -ENOMEM;
}

static int take_line(const char *line, struct cg_mountinfo *m)
{
	VZ_LIST struct vz_list f = { 0 };
	const char *type, *opts;
	int dash, r = vz_list_split(&f, line, " ");

	if (r < 0)
		return r;
	dash = vz_list_find(&f, "-");
	if (dash <= MI_POINT || (size_t)dash + 3 >= f.n)
		return 0;
	type = f.v[dash + 1];
	opts = f.v[dash + 3];
	if (!vz_streq(type, "cgroup") && !vz_streq(type, "cgroup2"))
		return 0;
	m->key = hash_add(m->key, f.v[MI_ROOT]);
	m->key = hash_add(m->key, f.v[MI_POINT]);
	m->key = hash_add(m->key, type);
	m->key = hash_add(m->key, opts);
	if (vz_streq(type, "cgroup2"))
		return take_point(&m->v2, f.v[MI_ROOT], f.v[MI_POINT]);
	if (has_option(opts, "name=systemd"))
		return take_point(&m->systemd, f.v[MI_ROOT], f.v[MI_POINT]);
	m->have_v1 = true;
	return 0;
}

int cg_mountinfo_parse(const char *text, struct cg_mountinfo *ret)
{
	struct cg_mountinfo m = { .key = 14695981039346656037U };

	while (*text) {
		size_t len = strcspn(text, "\n");

		if (memmem(text, len, " - cgroup", 9)) {
			VZ_FREE char *line = strndup(text, len);
			int r = line ? take_line(line, &m) : -ENOMEM;

			if (r < 0) {
				cg_mountinfo_clear(&m);
				return r;
			}
		}
		text += len + (text[len] == '\n');
	}
	*ret = m;
	return 0;
}

static int mountinfo_read(struct cg_mountinfo *ret)
{
	VZ_FREE char *text = NULL;
	ssize_t n = vz_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text);

	return n < 0 ? (int)n : cg_mountinfo_parse(text, ret);
}

static int mount_v2(const char *dir)
{
	if (mount("cgroup2", dir, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return -errno;
	/* private: nobody's later mount namespace keeps it alive by propagation */
	if (mount(NULL, dir, NULL, MS_PRIVATE, NULL) < 0)
		return -errno;
	return 0;
}

/*
 * Two commands at once must not stack two mounts: a lock on the directory below, then look again.
 */
static int provide_v2(struct cg_mountinfo *m)
{
	char dir[PATH_MAX];
	VZ_FD int fd = -EBADF;
	int r;

	r = vz_mkdir_p(cg_join(dir, vps_paths()->run, "cgroup2"), 0755);
	if (r < 0)
		return r;
	fd = vz_openat(AT_FDCWD, vps_paths()->run, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX) < 0)
		return -errno;
	cg_mountinfo_clear(m);
	r = mountinfo_read(m);
	if (r < 0 || m->v2)
		return r;
	r = mount_v2(dir);
	if (r < 0)
		return r;
	cg_mountinfo_clear(m);
	return mountinfo_read(m);
}

/* Only a cache: a node that cannot write it searches each time. */
static void cache_save(uint64_t key, const struct cg_dirs *d)
{
	char path[PATH_MAX];
	VZ_BUF struct vz_buf b = { 0 };

	vz_buf_fmt(&b, "key %016" PRIx64 "\n", key);
	for (int c = 0; c < CTL_MAX; c++)
		if (d->v[c])
			vz_buf_fmt(&b, "%s=%s\n", cg_ctl_name(c), d->v[c]);
	vz_buf_str(&b, "end\n");
	if (b.failed || vz_mkdir_p(vps_paths()->run, 0755) < 0)
		return;
	(void)!vz_write_volatile(cg_join(path, vps_paths()->run, "cgroups"), b.s, b.len, 0600);
}

/* libcgroup names v2's mount point too for a controller that sits there. */
static bool is_v1(const char *dir)
{
	struct statfs fs;

	return statfs(dir, &fs) == 0 && fs.f_type == CGROUP_SUPER_MAGIC;
}

static void find_v1(struct cg_dirs *d)
{
	if (cgroup_init() != 0)
		return;
	for (int c = CTL_CPU; c < CTL_MAX; c++) {
		char *dir = NULL;

		if (cgroup_get_subsys_mount_point(cg_ctl_name(c), &dir) == 0 && is_v1(dir))
			d->v[c] = vz_take_ptr(&dir);
		free(dir);
	}
}

static int find_again(struct cg_mountinfo *m, struct cg_dirs *d)
{
	if (m->have_v1)
		find_v1(d);
	if (m->v2)
		d->v[CTL_V2] = vz_take_ptr(&m->v2);
	if (m->systemd)
		d->v[CTL_SYSTEMD] = vz_take_ptr(&m->systemd);
	if (d->v[CTL_V2])
		cache_save(m->key, d);
	return 0;
}

int cg_find(bool may_mount, struct cg_dirs *ret, struct vz_error *err)
{
	struct cg_mountinfo m __attribute__((cleanup(cg_mountinfo_clear))) = { 0 };
	int r = mountinfo_read(&m);

	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "cannot read /proc/self/mountinfo");
	if (!m.v2 && may_mount) {
		r = provide_v2(&m);
		if (r < 0 || !m.v2) {
			(void)vz_fail(
				err, VZ_EXIT_BAD_KERNEL, r < 0 ? -r : ENOENT,
				"this host has no cgroup2 and none can be mounted at %s/cgroup2",
				vps_paths()->run);
			return -EOPNOTSUPP;
		}
	}
	if (cg_cache_load(m.key, ret) == 0)
		return 0;
	*ret = (struct cg_dirs){ 0 };
	return find_again(&m, ret);
}
