/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/priv.h"

#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

const struct sto_layout *sto_layout(const char *name)
{
	if (!name || !strcmp(name, "simfs"))
		return sto_layout_dir();
	if (!strcmp(name, "overlay"))
		return sto_layout_overlay();
	return NULL;
}

int sto_mounted(const char *root)
{
	return root && vz_is_mountpoint(root) == 1;
}

int sto_attach(int mnt, const char *path, struct vz_error *err)
{
	if (move_mount(mnt, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, errno, "mount %s", path);
	/*
	 * on hosts where / is shared the new mount would join its group and be pinned by other
	 * namespaces
	 */
	if (mount(NULL, path, NULL, MS_PRIVATE, NULL) < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, errno, "make %s private", path);
	return 0;
}

int sto_from_child(int (*make)(void *arg), void *arg, int *ret_mnt)
{
	int sk[2], r = vz_seqpacket(sk), told = -ECONNRESET;
	size_t nfds = 1;
	pid_t pid;

	if (r < 0)
		return r;
	pid = fork();
	if (pid == 0) {
		int mnt = make(arg);

		told = mnt < 0 ? mnt : 0;
		_exit(vz_send_fds(sk[1], &told, sizeof(told), &mnt, mnt >= 0) < 0);
	}
	told = pid < 0 ? -errno : told;
	vz_closep(&sk[1]);
	if (pid > 0) {
		if (vz_recv_fds(sk[0], &told, sizeof(told), ret_mnt, &nfds) !=
		    (ssize_t)sizeof(told))
			told = -ECONNRESET;
		(void)vz_wait(pid);
	}
	vz_closep(&sk[0]);
	return told == 0 && nfds != 1 ? -EPROTO : told;
}

int sto_idmapped_clone(const char *path, int userns_fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP,
				   .propagation = MS_PRIVATE,
				   .userns_fd = (uint64_t)userns_fd };
	VZ_FD int mnt = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (mnt < 0)
		return -errno;
	if (mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return vz_take_fd(&mnt);
}

int sto_volume(const char *dir, int userns_fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NODEV };
	VZ_FD int mnt = sto_idmapped_clone(dir, userns_fd);

	if (mnt < 0)
		return mnt;
	if (mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return vz_take_fd(&mnt);
}

int sto_can_idmap(const char *dir, int userns_fd)
{
	VZ_FD int mnt = sto_idmapped_clone(dir, userns_fd);

	if (mnt >= 0)
		return 1;
	return mnt == -EINVAL || mnt == -EOPNOTSUPP ? 0 : mnt;
}

/* ---- mountinfo ---- */

static int by_path(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * Mount points at and below @root, each before those below it: mountinfo's order is that of their
 * making.
 */
static int mounts_below(const char *root, struct vz_list *ret)
{
	VZ_FREE char *text = NULL;
	char *line, *save = NULL;
	size_t n = strlen(root);
	ssize_t len = vz_read_file(AT_FDCWD, "/proc/self/mountinfo", 64 << 20, &text);

	if (len < 0)
		return (int)len;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *f[6], *s2 = NULL;
		int i = 0;

		for (char *w = strtok_r(line, " ", &s2); w && i < 6; w = strtok_r(NULL, " ", &s2))
			f[i++] = w;
		if (i < 6)
			continue;
		vz_mountinfo_unescape(f[4]);
		if (!strncmp(f[4], root, n) && (f[4][n] == '/' || f[4][n] == '\0') &&
		    vz_list_add(ret, f[4]) < 0)
			return -ENOMEM;
	}
	if (ret->n > 1)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_path);
	return 0;
}

int sto_umount(const char *root, struct vz_error *err)
{
	VZ_LIST struct vz_list mounts = { 0 };
	char real[PATH_MAX];
	int r;

	if (!realpath(root, real))
		return vz_fail(err, VZ_EXIT_UMOUNT, errno, "%s", root);
	r = mounts_below(real, &mounts);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_UMOUNT, -r, "read mountinfo");
	for (size_t i = mounts.n; i-- > 0;)
		if (umount2(mounts.v[i], UMOUNT_NOFOLLOW) < 0 && errno != EINVAL)
			return vz_fail(err, VZ_EXIT_UMOUNT, errno, "Unable to unmount %s",
				       mounts.v[i]);
	sto_utab_forget(real);
	return 0;
}

/* ---- the VPS's own clone ---- */

static int idmap_at(int mnt, int userns_fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd };

	return mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

static int clone_submount(const char *path, int userns_fd, struct vz_list *ret_warnings)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NODEV, .propagation = MS_PRIVATE };
	VZ_FD int mnt = open_tree(AT_FDCWD, path,
				  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	VZ_FREE char *text = NULL;
	int r;

	if (mnt < 0 || mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	r = sto_noidmap(path) ? 0 : idmap_at(mnt, userns_fd);
	if (r < 0 && r != -EPERM) { /* EPERM: it has a map already */
		text = vz_fmt("mount at %s cannot carry the ids of the VPS (%s): files look owned "
			      "by nobody",
			      path, strerrordesc_np(-r));
		if (!text || vz_list_add(ret_warnings, text) < 0)
			return -ENOMEM;
	}
	return vz_take_fd(&mnt);
}

struct tree {
	int root, *sub; /* detached mounts */
	struct vz_list paths; /* of the root, then of each sub */
	char stage[PATH_MAX];
};

/*
 * In a child with a mount namespace of its own. The kernel sets ids on the top of a detached tree
 * only, so the submounts come one by one, and the tree is put together where nobody sees it.
 */
static int assemble(void *arg)
{
	struct tree *t = arg;
	size_t n = strlen(t->paths.v[0]);
	VZ_FD int top = -EBADF;
	int r;

	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    move_mount(t->root, "", AT_FDCWD, t->stage, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	top = vz_openat(AT_FDCWD, t->stage, O_PATH | O_DIRECTORY, 0);
	if (top < 0)
		return top;
	for (size_t i = 1; i < t->paths.n; i++) {
		VZ_FD int spot = vz_open_nolink(top, t->paths.v[i] + n, O_PATH, 0);

		if (spot < 0)
			return spot;
		if (move_mount(t->sub[i], "", spot, "",
			       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
			return -errno;
	}
	r = open_tree(top, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	return r < 0 ? -errno : r;
}

static void tree_clear(struct tree *t)
{
	for (size_t i = 1; t->sub && i < t->paths.n; i++)
		vz_closep(&t->sub[i]);
	free(t->sub);
	vz_list_clear(&t->paths);
}

/*
 * Whether nothing is mounted below @root; "no" also where the kernel cannot tell (before Linux 6.8).
 * mountinfo can, but takes a millisecond where 200 VPSes run.
 */
static bool nothing_below(const char *root)
{
#ifdef STATX_MNT_ID
	enum { MNT_ID_UNIQUE = 0x4000, LISTMOUNT = 458 };
	struct {
		uint32_t size, spare;
		uint64_t mnt_id, param;
	} req = { .size = sizeof(req) };
	struct statx st;
	uint64_t first;

	if (statx(AT_FDCWD, root, AT_NO_AUTOMOUNT, MNT_ID_UNIQUE, &st) < 0 ||
	    !(st.stx_mask & MNT_ID_UNIQUE))
		return false;
	req.mnt_id = st.stx_mnt_id;
	return syscall(LISTMOUNT, &req, &first, (size_t)1, 0U) == 0;
#else
	(void)root;
	return false;
#endif
}

/* @mnt becomes the tree with all mounts below @p->root. */
static int add_submounts(int *mnt, const struct sto_place *p, int userns_fd,
			 struct vz_list *ret_warnings)
{
	__attribute__((cleanup(tree_clear))) struct tree t = { .root = *mnt };
	char real[PATH_MAX];
	int whole = -EBADF, r;

	if (nothing_below(p->root))
		return 0;
	if (!realpath(p->root, real))
		return -errno;
	r = mounts_below(real, &t.paths);
	if (r < 0 || t.paths.n < 2)
		return r;
	t.sub = calloc(t.paths.n, sizeof(*t.sub));
	if (!t.sub)
		return -ENOMEM;
	for (size_t i = 1; i < t.paths.n; i++)
		t.sub[i] = -EBADF;
	for (size_t i = 1; i < t.paths.n; i++) {
		t.sub[i] = clone_submount(t.paths.v[i], userns_fd, ret_warnings);
		if (t.sub[i] < 0)
			return t.sub[i];
	}
	r = vz_mkdir_p(vps_path(t.stage, "%s/stage", vps_paths()->run), 0755);
	if (r == 0)
		r = sto_from_child(assemble, &t, &whole);
	if (r < 0)
		return r;
	vz_closep(mnt);
	*mnt = whole;
	return 0;
}

/* Where the file system cannot be idmapped, create stored the files with the VPS's own ids. */
static bool already_shifted(const struct sto_place *p)
{
	struct stat st;

	return p->base && stat(p->private_dir, &st) == 0 && st.st_uid == p->base;
}

int sto_clone_root(const struct sto_layout *l, const struct sto_place *p, int userns_fd,
		   struct vz_list *ret_warnings, struct vz_error *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NODEV,
				   .attr_clr = MOUNT_ATTR_NOSUID,
				   .propagation = MS_PRIVATE };
	VZ_FD int mnt = open_tree(AT_FDCWD, p->root, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int r = 0;

	if (mnt < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, errno, "clone %s", p->root);
	if (mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, errno, "mount flags of the clone of %s",
			       p->root);
	if (l->idmap_root && !already_shifted(p))
		r = idmap_at(mnt, userns_fd);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, -r, "idmapped mount of %s", p->root);
	r = add_submounts(&mnt, p, userns_fd, ret_warnings);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, -r, "submounts of %s", p->root);
	return vz_take_fd(&mnt);
}
