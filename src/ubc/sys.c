/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ubc/priv.h"

#include "util/fd.h"
#include "vps/vps.h"

#include <linux/bpf.h>
#include <linux/magic.h>
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
	if (vz_streq(vps_paths()->slice, "vz") && statfs(bpffs, &fs) == 0 && fs.f_type == BPF_FS_MAGIC)
		return vps_path(dst, "%s/vz", bpffs);
	return vps_path(dst, "%s/bpf", vps_paths()->run);
}

int ubc_pin_get(const char *name)
{
	union bpf_attr a = { 0 };
	char dir[PATH_MAX], path[PATH_MAX + 64];

	(void)snprintf(path, sizeof(path), "%s/%s", ubc_pins(dir), name);
	if (access(path, F_OK) < 0)
		return -errno; /* bpf(2) asks for capabilities before it looks */
	a.pathname = (uint64_t)(uintptr_t)path;
	return sys_bpf(BPF_OBJ_GET, &a);
}

int ubc_map_set(int map, const void *key, const void *value)
{
	union bpf_attr a = { 0 };

	a.map_fd = (uint32_t)map;
	a.key = (uint64_t)(uintptr_t)key;
	a.value = (uint64_t)(uintptr_t)value;
	return sys_bpf(BPF_MAP_UPDATE_ELEM, &a);
}

int ubc_map_del(int map, const void *key)
{
	union bpf_attr a = { 0 };
	int r;

	a.map_fd = (uint32_t)map;
	a.key = (uint64_t)(uintptr_t)key;
	r = sys_bpf(BPF_MAP_DELETE_ELEM, &a);
	return r == -ENOENT ? 0 : r;
}
