/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ubc/priv.h"

#include "util/fd.h"
#include "util/str.h"
#include "vps/vps.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

static const char bpffs[] = "/sys/fs/bpf";

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	int r = (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : r;
}

char *ubc_pins(char dst[PATH_MAX])
{
	struct statfs fs;

	/* a tree of tests has everything of its own, its slice too */
	if (vz_streq(vps_paths()->slice, "vz") && statfs(bpffs, &fs) == 0 &&
	    fs.f_type == BPF_FS_MAGIC)
		return vps_path(dst, "%s/vz", bpffs);
	return vps_path(dst, "%s/bpf", vps_paths()->run);
}

/* The path for bpf(2), which asks for capabilities before it looks: so we look first. */
static char *pin_path(char dst[PATH_MAX + 80], const char *name)
{
	char dir[PATH_MAX];

	(void)snprintf(dst, PATH_MAX + 80, "%s/%s", ubc_pins(dir), name);
	return dst;
}

int ubc_pin_get(const char *name)
{
	union bpf_attr a = { 0 };
	char path[PATH_MAX + 80];

	if (access(pin_path(path, name), F_OK) < 0)
		return -errno;
	a.pathname = (uint64_t)(uintptr_t)path;
	return sys_bpf(BPF_OBJ_GET, &a);
}

int ubc_pin(int fd, const char *name)
{
	union bpf_attr a = { 0 };
	char path[PATH_MAX + 80];

	a.pathname = (uint64_t)(uintptr_t)pin_path(path, name);
	a.bpf_fd = (uint32_t)fd;
	return sys_bpf(BPF_OBJ_PIN, &a);
}

static int on_entry(int cmd, int map, const void *key, const void *value)
{
	union bpf_attr a = { 0 };

	a.map_fd = (uint32_t)map;
	a.key = (uint64_t)(uintptr_t)key;
	a.value = (uint64_t)(uintptr_t)value; /* next_key is the same field */
	return sys_bpf(cmd, &a);
}

int ubc_map_set(int map, const void *key, const void *value)
{
	return on_entry(BPF_MAP_UPDATE_ELEM, map, key, value);
}

int ubc_map_get(int map, const void *key, void *value)
{
	return on_entry(BPF_MAP_LOOKUP_ELEM, map, key, value);
}

int ubc_map_del(int map, const void *key)
{
	int r = on_entry(BPF_MAP_DELETE_ELEM, map, key, NULL);

	return r == -ENOENT ? 0 : r;
}

int ubc_map_next(int map, const void *key, void *next)
{
	return on_entry(BPF_MAP_GET_NEXT_KEY, map, key, next);
}

int ubc_map_empty(int map)
{
	unsigned char key[UBC_KEY_MAX];
	int r;

	while ((r = ubc_map_next(map, NULL, key)) == 0) {
		r = ubc_map_del(map, key);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

int ubc_devices(int group, int prog, bool on)
{
	union bpf_attr a = { 0 };

	a.target_fd = (uint32_t)group;
	a.attach_bpf_fd = (uint32_t)prog;
	a.attach_type = BPF_CGROUP_DEVICE;
	a.attach_flags =
		on ? BPF_F_ALLOW_MULTI : 0; /* beside the device policy of the VPS, and others */
	return sys_bpf(on ? BPF_PROG_ATTACH : BPF_PROG_DETACH, &a);
}

int ubc_devices_query(int group, uint32_t *ret, uint32_t max)
{
	union bpf_attr a = { 0 };
	int r;

	a.query.target_fd = (uint32_t)group;
	a.query.attach_type = BPF_CGROUP_DEVICE;
	a.query.prog_ids = (uint64_t)(uintptr_t)ret;
	a.query.prog_cnt = max;
	r = sys_bpf(BPF_PROG_QUERY, &a);
	return r < 0 ? r : (int)a.query.prog_cnt;
}

static int prog_info(int prog, struct bpf_prog_info *ret)
{
	union bpf_attr a = { 0 };

	memset(ret, 0, sizeof(*ret));
	a.info.bpf_fd = (uint32_t)prog;
	a.info.info_len = sizeof(*ret);
	a.info.info = (uint64_t)(uintptr_t)ret;
	return sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &a);
}

int ubc_prog_by_id(uint32_t id, char *name)
{
	struct bpf_prog_info info;
	union bpf_attr a = { 0 };
	VZ_FD int fd = -EBADF;
	int r;

	a.prog_id = id;
	fd = sys_bpf(BPF_PROG_GET_FD_BY_ID, &a);
	r = fd < 0 ? fd : prog_info(fd, &info);
	if (r < 0)
		return r;
	memcpy(name, info.name, sizeof(info.name));
	return vz_take_fd(&fd);
}

int ubc_prog_id(int prog)
{
	struct bpf_prog_info info;
	int r = prog_info(prog, &info);

	return r < 0 ? r : (int)info.id;
}

int ubc_map_entries(int map)
{
	struct bpf_map_info info = { 0 };
	union bpf_attr a = { 0 };
	int r;

	a.info.bpf_fd = (uint32_t)map;
	a.info.info_len = sizeof(info);
	a.info.info = (uint64_t)(uintptr_t)&info;
	r = sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &a);
	return r < 0 ? r : (int)info.max_entries;
}

int ubc_cgroup_root(void)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	int fd = f ? -ENOENT : -errno;

	while (f && fd < 0 && (m = getmntent(f)))
		if (vz_streq(m->mnt_type, "cgroup2"))
			fd = vz_openat(AT_FDCWD, m->mnt_dir, O_RDONLY | O_DIRECTORY, 0);
	if (f)
		(void)endmntent(f);
	return fd;
}

int ubc_prog_attach(int prog, const char *name)
{
	static const struct {
		const char *name;
		enum bpf_attach_type type;
	} places[] = {
		{ "cg_create", BPF_CGROUP_INET_SOCK_CREATE },
		{ "cg_plain", BPF_CGROUP_INET_SOCK_CREATE },
		{ "cg_release", BPF_CGROUP_INET_SOCK_RELEASE },
		{ "cg_tcp", BPF_CGROUP_SOCK_OPS },
		{ UBC_PTY_PROG, BPF_CGROUP_DEVICE },
	};
	union bpf_attr a = { 0 };
	VZ_FD int root = -EBADF;

	if (strncmp(name, "cg_", 3) != 0 && !vz_streq(name, UBC_PTY_PROG)) {
		a.raw_tracepoint.prog_fd =
			(uint32_t)prog; /* where to, it knows since it was loaded */
		return sys_bpf(BPF_RAW_TRACEPOINT_OPEN, &a);
	}
	root = ubc_cgroup_root();
	if (root < 0)
		return root;
	a.link_create.prog_fd = (uint32_t)prog;
	a.link_create.target_fd = (uint32_t)root;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		if (vz_streq(name, places[i].name))
			a.link_create.attach_type = places[i].type;
	return sys_bpf(BPF_LINK_CREATE, &a);
}
