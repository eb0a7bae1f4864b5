/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class: reaching the node's disks and memory through device files: mknod of each block device and of
 * mem, port, kmsg, loop-control, mapper control, fuse, kvm, tty; mounts of the node's own file
 * systems by name.
 * Wall: mknod(2) of devices is refused in a user namespace; behind it the devices controller; a file
 * system on a block device is not mountable in a user namespace, devtmpfs and the debug file systems
 * neither.
 */
#include "escape.h"

#include <sys/sysmacros.h>

static void node(const char *kind, mode_t type, unsigned int major, unsigned int minor)
{
	static const char *const places[] = { "/tmp", "/dev", "/root", "/dev/shm", "/tmp/own" };
	bool made = false;

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "%s/escape-node", places[i]);
		if (mknod(path, type | 0600, makedev(major, minor)) < 0)
			continue;
		made = true;
		fd = open(path, O_RDONLY | O_NONBLOCK);
		unlink(path);
		if (fd >= 0) {
			close(fd);
			attempt(true, "%s %u:%u in %s opened", kind, major, minor, places[i]);
			return;
		}
	}
	attempt(made, "%s %u:%u made", kind, major, minor);
}

static void block_devices(void)
{
	FILE *f = fopen("/proc/partitions", "r");
	char line[256];
	unsigned int major, minor;
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%u %u", &major, &minor) == 2 && n++ < 16)
			node("block", S_IFBLK, major, minor);
	node("block", S_IFBLK, 7, 0);
	if (f)
		fclose(f);
}

static void char_devices(void)
{
	static const unsigned int dev[][2] = {
		{ 1, 1 },    { 1, 4 },	   { 1, 11 },	{ 4, 0 },	   { 5, 1 },
		{ 10, 237 }, { 10, 236 }, { 10, 229 }, { 10, 232 }, { 10, 241 },
	};

	for (size_t i = 0; i < sizeof(dev) / sizeof(*dev); i++)
		node("char", S_IFCHR, dev[i][0], dev[i][1]);
}

static void mounts(void)
{
	static const char *const fs[] = { "devtmpfs", "debugfs",  "tracefs",   "securityfs",
					  "ext4",     "btrfs",	  "xfs",       "vfat",
					  "squashfs", "configfs", "efivarfs",  "pstore",
					  "fusectl",  "nfsd",	  "hugetlbfs", "cgroup" };

	mkdir("/tmp/m", 0755);
	for (size_t i = 0; i < sizeof(fs) / sizeof(*fs); i++) {
		int r = mount("/dev/vda", "/tmp/m", fs[i], 0, NULL);

		attempt(r == 0, "mount of a %s", fs[i]);
		if (r == 0)
			umount2("/tmp/m", MNT_DETACH);
	}
}

static void in_userns(void)
{
	if (own_userns(CLONE_NEWNS) < 0)
		return;
	mkdir("/tmp/own", 0755);
	mount("none", "/tmp/own", "tmpfs", 0, NULL);
	block_devices();
	char_devices();
	mounts();
}

int main(void)
{
	mkdir("/tmp/own", 0755);
	if (mount("none", "/tmp/own", "tmpfs", 0, "dev,suid") == 0)
		mount(NULL, "/tmp", NULL, MS_REMOUNT | MS_BIND, "dev");
	block_devices();
	char_devices();
	mounts();
	in_child(in_userns);
	return verdict();
}
