/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unpacking, in this process: in a mount namespace of our own, where everything but the directory we
 * are started in is read-only and the archive's target is a small tmpfs. What it unpacks stays in
 * its own directory: the files beside it are looked at after each archive. Needs root.
 */
#include "template/priv.h"

#include "tests/fuzz/fuzz.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>

enum { ENTRIES_MOST = 200, BYTES_MOST = 1 << 20, OUR_ENTRIES = 4 };

static int work = -1; /* the tmpfs; "x" in it is the target, "canary" is beside it */

static void shut_in(void)
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY };
	int here, fs;

	MUST(unshare(CLONE_NEWNS | CLONE_NEWNET) == 0);
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	here = open_tree(AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	MUST(here >= 0);
	MUST(mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &ro, sizeof(ro)) == 0);
	MUST(move_mount(here, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) == 0);
	fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	MUST(fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "size", "16m", 0) == 0 &&
	     fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "60000", 0) == 0 &&
	     fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0);
	work = fsmount(fs, FSMOUNT_CLOEXEC,
		       MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID);
	MUST(work >= 0);
	(void)close(fs);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char path[PATH_MAX];
	VZ_FD int canary = -EBADF;

	(void)argc;
	(void)argv;
	/* the working directory by its whole name: "." is below the mount that comes over it */
	MUST(getcwd(path, sizeof(path)));
	shut_in();
	MUST(chdir(path) == 0 && setlocale(LC_CTYPE, "C.UTF-8"));
	canary = vz_openat(work, "canary", O_WRONLY | O_CREAT | O_EXCL, 0600);
	MUST(canary >= 0);
	return 0;
}

static int count_entries(void)
{
	VZ_DIR DIR *d = vz_opendirat(work, ".");
	int n = 0;

	MUST(d);
	while (readdir(d))
		n++;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tpl_untar want = { .max_bytes = BYTES_MOST, .max_entries = ENTRIES_MOST };
	struct vz_error err = { 0 };
	VZ_FD int archive = -EBADF;
	VZ_FD int root = -EBADF;
	struct stat st;
	int r;

	if (size < 1)
		return 0;
	want.check = size % 4 == 3;
	want.shift = size % 4 == 2 ? 6553600 : 0;
	archive = memfd_create("archive", MFD_CLOEXEC);
	MUST(archive >= 0 && vz_write_all(archive, data, size) == 0 &&
	     lseek(archive, 0, SEEK_SET) == 0);
	MUST(mkdirat(work, "x", 0755) == 0);
	root = vz_openat(work, "x", O_RDONLY | O_DIRECTORY, 0);
	MUST(root >= 0);
	r = tpl_untar(&want, archive, root, &err);
	if (r < 0)
		MUST((err.exit == VZ_EXIT_BAD_TEMPLATE || err.exit == VZ_EXIT_NO_SPACE ||
		      err.exit == VZ_EXIT_SYSTEM) &&
		     err.msg[0]);
	MUST(count_entries() == OUR_ENTRIES);
	MUST(fstatat(work, "canary", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == 0 &&
	     st.st_nlink == 1 && (st.st_mode & 07777) == 0600 && st.st_uid == 0);
	vz_closep(&root);
	MUST(vz_rm_rf(work, "x") == 0);
	return 0;
}
