/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class: walking out of a chroot by a descriptor or working directory above it (known since 1999),
 * and its relatives: chroot in a chroot, in a mount namespace or user namespace of one's own, a clone
 * of the tree by open_tree(2), a lazy unmount of the root, pivot_root.
 * Wall: the root of the VPS is the root of its mount namespace (pivot_root, the old root unmounted);
 * there is nothing above it, and the mounts are locked by the user namespace.
 * Usage: chroot FILE-OF-THE-NODE
 */
#include "escape.h"

static const char *mark;

static bool climb(void)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY);

	mkdir("/tmp/jail", 0755);
	if (chroot("/tmp/jail") < 0 || fchdir(fd) < 0)
		return false;
	for (int i = 0; i < 200; i++)
		if (chdir("..") < 0)
			break;
	if (chroot(".") < 0)
		return false;
	return seen(mark);
}

static void plain(void)
{
	attempt(climb(), "chroot, then .. above it");
}

static void with_mounts(void)
{
	if (unshare(CLONE_NEWNS) == 0)
		attempt(climb(), "the same in a mount namespace");
}

static void with_user(void)
{
	if (own_userns(CLONE_NEWNS) == 0)
		attempt(climb(), "the same in a user namespace");
}

static void lazy(void)
{
	if (unshare(CLONE_NEWNS) < 0)
		return;
	int r = umount2("/", MNT_DETACH);

	attempt(r == 0 && (chdir("/") == 0) && (seen(mark) || climb()), "unmount / lazily");
}

static void pivot(void)
{
	if (unshare(CLONE_NEWNS) < 0)
		return;
	mkdir("/tmp/new", 0755);
	mount("none", "/tmp/new", "tmpfs", 0, NULL);
	mkdir("/tmp/new/old", 0755);
	if (syscall(SYS_pivot_root, "/tmp/new", "/tmp/new/old") < 0) {
		attempt(false, "pivot_root");
		return;
	}
	(void)!chdir("/old/../../../..");
	attempt(seen(mark) || climb(), "pivot_root, then above the old root");
}

static void clone_tree(void)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */ | 0x8000);
	char path[4200];

	snprintf(path, sizeof(path), "../../../../../..%s", mark);
	attempt(fd >= 0 && faccessat(fd, path, F_OK, 0) == 0, "open_tree of / and .. from it");
}

static void proc_links(void)
{
	static const char *const ways[] = { "/proc/1/root", "/proc/1/cwd", "/proc/self/root",
					    "/proc/1/root/..", "/.." };
	char path[4200];

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		snprintf(path, sizeof(path), "%s%s", ways[i], mark);
		attempt(seen(path), "%s", ways[i]);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	mark = argv[1];
	attempt(seen(mark), "the name itself");
	in_child(plain);
	in_child(with_mounts);
	in_child(with_user);
	in_child(lazy);
	in_child(pivot);
	in_child(clone_tree);
	in_child(proc_links);
	return verdict();
}
