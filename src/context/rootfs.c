/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VPS's view of the file system. The builder, still root of the host, attaches what only it may
 * attach; the clone into the VPS's user namespace then locks these mounts and their flags. Every
 * name below the root is the tenant's, so it is opened without following any symlink.
 */
#include "context/priv.h"

#include "util/fd.h"
#include "util/userns.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

/*
 * Directory @name below @root; its last part is made when it is missing. No symlink is followed on
 * the way.
 */
static int open_dir(int root, const char *name)
{
	const char *base = strrchr(name, '/');
	char parent[128];
	VZ_FD int up = -EBADF;
	int fd = vz_open_nolink(root, name, O_PATH | O_DIRECTORY, 0);

	if (fd != -ENOENT)
		return fd;
	if (!base) {
		if (mkdirat(root, name, 0755) < 0)
			return -errno;
		return vz_open_nolink(root, name, O_PATH | O_DIRECTORY, 0);
	}
	if ((size_t)(base - name) >= sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, name, (size_t)(base - name));
	parent[base - name] = '\0';
	up = open_dir(root, parent);
	if (up < 0)
		return up;
	if (mkdirat(up, base + 1, 0755) < 0)
		return -errno;
	return vz_open_nolink(root, name, O_PATH | O_DIRECTORY, 0);
}

int rootfs_attach(int mnt, int dir)
{
	return move_mount(mnt, "", dir, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0
		       ? -errno
		       : 0;
}

static const char *const volume_paths[CTX_VOLUMES] = { "var/lib/docker", "var/lib/containerd",
						       "var/lib/containers" };

int rootfs_new_fs(const char *type, const struct fs_option *opts, unsigned int attrs)
{
	VZ_FD int fs = fsopen(type, FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return -errno;
	for (; opts && opts->key; opts++) {
		int r = opts->value ? fsconfig(fs, FSCONFIG_SET_STRING, opts->key, opts->value, 0)
				    : fsconfig(fs, FSCONFIG_SET_FLAG, opts->key, NULL, 0);

		if (r < 0)
			return -errno;
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, attrs);
	return fd < 0 ? -errno : fd;
}

int rootfs_put_tmpfs(int root, const char *name, const struct ctx_orders *o, const char *mode,
		     uint64_t bytes, uint64_t inodes, unsigned int attrs)
{
	char id[24], size[24], nr[24];
	const struct fs_option opts[] = {
		{ "uid", id },	  { "gid", id },       { "mode", mode },
		{ "size", size }, { "nr_inodes", nr }, { 0 },
	};
	VZ_FD int dir = open_dir(root, name);
	VZ_FD int mnt = -EBADF;

	if (dir < 0)
		return dir;
	(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)o->uid_base);
	(void)snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
	(void)snprintf(nr, sizeof(nr), "%llu", (unsigned long long)inodes);
	mnt = rootfs_new_fs("tmpfs", opts, attrs);
	if (mnt < 0)
		return mnt;
	return rootfs_attach(mnt, dir);
}

/* ---- /dev ---- */

int rootfs_dev_node(int dev, const struct ctx_dev *d)
{
	const char *base = strrchr(d->name, '/');
	char dir[sizeof(d->name)];
	VZ_FD int up = -EBADF;

	if (base) {
		(void)snprintf(dir, sizeof(dir), "%.*s", (int)(base - d->name), d->name);
		up = open_dir(dev, dir);
		if (up < 0)
			return up;
	}
	if (mknodat(base ? up : dev, base ? base + 1 : d->name, d->mode,
		    makedev(d->major, d->minor)) < 0 &&
	    errno != EEXIST)
		return -errno;
	return 0;
}

static int make_dev_names(int dev)
{
	static const struct {
		const char *name, *target;
	} links[] = {
		{ "fd", "/proc/self/fd" },	 { "stdin", "/proc/self/fd/0" },
		{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
		{ "ptmx", "pts/ptmx" },		 { "core", "/proc/kcore" },
	};
	static const char *const dirs[] = { "pts", "shm", "mqueue" };

	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		if (symlinkat(links[i].target, dev, links[i].name) < 0 && errno != EEXIST)
			return -errno;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		if (mkdirat(dev, dirs[i], 0755) < 0 && errno != EEXIST)
			return -errno;
	return 0;
}

int rootfs_console(int console, uint64_t base)
{
	char path[40];
	int mnt;

	if (fchown(console, (uid_t)base, (gid_t)(base + 5)) < 0 || fchmod(console, 0620) < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", console);
	mnt = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return mnt < 0 ? -errno : mnt;
}

/* The console is the slave of vzmon's pty, bound over a plain file. */
static int put_console(int dev, int mnt)
{
	VZ_FD int spot = vz_openat(dev, "console", O_WRONLY | O_CREAT | O_EXCL, 0600);

	return spot < 0 ? spot : rootfs_attach(mnt, spot);
}

/* /dev with its nodes; nothing is mounted below it yet. */
static int put_bare_dev(int root, const struct ctx_orders *o, int *ret_dev)
{
	VZ_FD int dev = -EBADF;
	int r = rootfs_put_tmpfs(root, "dev", o, "0755", 1 << 20, 4096,
				 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);

	if (r < 0)
		return r;
	dev = vz_open_nolink(root, "dev", O_RDONLY | O_DIRECTORY, 0);
	if (dev < 0)
		return dev;
	for (uint32_t i = 0; r == 0 && i < o->ndevs; i++)
		r = rootfs_dev_node(dev, &o->devs[i]);
	if (r == 0)
		r = make_dev_names(dev);
	if (r == 0)
		*ret_dev = vz_take_fd(&dev);
	return r;
}

static int put_dev(int root, const struct ctx_orders *o, const struct mon_fds *f)
{
	VZ_FD int dev = -EBADF;
	int r = put_bare_dev(root, o, &dev);

	if (r == 0)
		r = put_console(dev, f->console_mnt);
	if (r == 0)
		r = rootfs_put_tmpfs(dev, "shm", o, "1777", o->run_bytes, o->run_inodes,
				     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return r;
}

int rootfs_stage_dev(int stage, const struct ctx_orders *o)
{
	VZ_FD int dev = -EBADF, spot = -EBADF;
	int r;

	(void)umask(0);
	r = mkdirat(stage, "dev", 0755) < 0 ? -errno : vz_fs_as(o->uid_base);
	if (r == 0)
		r = put_bare_dev(stage, o, &dev);
	if (r == 0) /* what the console is mounted on */
		spot = vz_openat(dev, "console", O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (r == 0 && spot < 0)
		r = spot;
	return r < 0 ? r : vz_fs_as(0);
}

/*
 * For systemd: services inside get no namespaces of their own but those of mounts and network, so that the VPS can be
 * checkpointed (CRIU carries no others). A setting of the unit that its administrator wants all the same goes into
 * a file of this name in /etc. systemd.unit(5): directories for all units of a type.
 */
static int put_rule(int system, const char *unit, const char *rules)
{
	VZ_FD int dir = -EBADF, fd = -EBADF;

	if (mkdirat(system, unit, 0755) < 0)
		return -errno;
	dir = vz_openat(system, unit, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0)
		return dir;
	fd = vz_openat(dir, "50-croft.conf", O_WRONLY | O_CREAT | O_EXCL, 0644);
	return fd < 0 ? fd : vz_write_all(fd, rules, strlen(rules));
}

static int put_service_rules(int run)
{
	static const char intro[] = "# so that this VPS can be suspended and migrated; without it: "
				    "vzctl set --features checkpoint:off\n[Service]\n";
	static const struct {
		const char *unit, *rules;
	} all[] = {
		{ "service.d", "ProtectHostname=no\nPrivateUsers=no\nPrivateIPC=no\n"
			       "IPAddressAllow=\nIPAddressDeny=\n" },
		/* a ramfs for nothing, which stays as long as they count as active */
		{ "systemd-sysctl.service.d", "LoadCredential=\n" },
		{ "systemd-sysusers.service.d", "LoadCredential=\n" },
		{ "systemd-tmpfiles-setup.service.d", "LoadCredential=\n" },
		{ "systemd-tmpfiles-setup-dev.service.d", "LoadCredential=\n" },
	};
	VZ_FD int system = -EBADF;
	char text[400];
	int r = 0; /* the builder makes files as the VPS's root (child.c) */

	if (mkdirat(run, "systemd", 0755) < 0 || mkdirat(run, "systemd/system", 0755) < 0)
		r = -errno;
	if (r == 0)
		r = system = vz_openat(run, "systemd/system", O_RDONLY | O_DIRECTORY, 0);
	for (size_t i = 0; r >= 0 && i < sizeof(all) / sizeof(*all); i++) {
		(void)snprintf(text, sizeof(text), "%s%s", intro, all[i].rules);
		r = put_rule(system, all[i].unit, text);
	}
	return r < 0 ? r : 0;
}

/* Facts for software inside, as the systemd container interface describes /run/host. */
static int put_host_facts(int root, const struct ctx_orders *o)
{
	static const char manager[] = "croft\n";
	VZ_FD int dir = -EBADF, fd = -EBADF;
	VZ_FD int run = vz_open_nolink(root, "run", O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (run < 0)
		return run;
	r = mkdirat(run, "host", 0755) < 0 ? -errno : 0;
	if (r == 0)
		dir = vz_openat(run, "host", O_RDONLY | O_DIRECTORY, 0);
	if (r == 0 && o->service_rules)
		r = put_service_rules(run);
	if (r < 0 || dir < 0)
		return r < 0 ? r : dir;
	fd = vz_openat(dir, "container-manager", O_WRONLY | O_CREAT | O_EXCL, 0444);
	return fd < 0 ? fd : vz_write_all(fd, manager, sizeof(manager) - 1);
}

/*
 * /run/vz: what the node tells this VPS (ops/ubcfile.c). The files stay the node's; read-only, and the
 * user namespace locks that.
 */
static int put_node_files(int root, const char *name, const struct ctx_orders *o)
{
	/* whatever times the node's file system keeps: a dump may be restored on another */
	struct mount_attr attrs = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
						MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
				    .attr_clr = MOUNT_ATTR__ATIME };
	VZ_FD int dir = open_dir(root, name);
	VZ_FD int mnt = -EBADF;
	char from[300];

	if (dir < 0)
		return dir;
	(void)snprintf(from, sizeof(from), "%s/inside", o->rundir);
	mnt = open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (mnt < 0 || mount_setattr(mnt, "", AT_EMPTY_PATH, &attrs, sizeof(attrs)) < 0)
		return -errno;
	return rootfs_attach(mnt, dir);
}

int rootfs_stage_node_files(int stage, const struct ctx_orders *o)
{
	return put_node_files(stage, "inside", o);
}

/*
 * Directories of the real file system for what cannot live on an overlay: container engines inside.
 */
static int put_volumes(int root, const struct ctx_orders *o, const struct mon_fds *f)
{
	for (int i = 0; i < o->nvolumes; i++) {
		VZ_FD int dir = open_dir(root, volume_paths[i]);
		int r = dir < 0 ? dir : rootfs_attach(f->volumes[i], dir);

		if (r < 0)
			return r;
	}
	return 0;
}

int rootfs_build(const struct ctx_orders *o, const struct mon_fds *f, struct vz_error *err)
{
	char stage[300];
	VZ_FD int root = -EBADF, spot = -EBADF;
	int r;

	(void)umask(0);
	(void)snprintf(stage, sizeof(stage), "%s/root", o->rundir);
	if (mkdir(stage, 0700) < 0 && errno != EEXIST)
		return vz_fail(err, VZ_EXIT_ENVCREATE, errno, "mkdir %s", stage);
	spot = vz_openat(AT_FDCWD, stage, O_PATH | O_DIRECTORY, 0);
	if (spot < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -spot, "open %s", stage);
	r = rootfs_attach(f->root, spot);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "attach the root at %s", stage);
	root = vz_openat(AT_FDCWD, stage, O_RDONLY | O_DIRECTORY, 0);
	if (root < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -root, "open %s", stage);
	r = put_dev(root, o, f);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "make /dev of the VPS");
	r = rootfs_put_tmpfs(root, "run", o, "0755", o->run_bytes, o->run_inodes,
			     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (r == 0)
		r = put_host_facts(root, o);
	if (r == 0)
		r = put_node_files(root, "run/vz", o);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "make /run of the VPS");
	r = rootfs_put_tmpfs(root, "tmp", o, "1777", o->run_bytes, o->run_inodes,
			     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "make /tmp of the VPS");
	r = put_volumes(root, o, f);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "attach the volumes for nesting");
	if (fchdir(root) <
	    0) /* for rootfs_enter: the copy of the mounts takes the working directory along */
		return vz_fail(err, VZ_EXIT_ENVCREATE, errno, "enter the root");
	return 0;
}

/* ---- inside the VPS's namespaces ---- */

static int put_fs(int root, const char *name, const char *type, const struct fs_option *opts,
		  unsigned int attrs, struct vz_error *err)
{
	VZ_FD int dir = open_dir(root, name);
	VZ_FD int mnt = -EBADF;
	int r;

	if (dir < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -dir, "open /%s of the VPS", name);
	mnt = rootfs_new_fs(type, opts, attrs);
	if (mnt < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -mnt, "mount %s for the VPS", type);
	r = rootfs_attach(mnt, dir);
	return r < 0 ? vz_fail(err, VZ_EXIT_ENVCREATE, -r, "mount %s at /%s of the VPS", type, name)
		     : 0;
}

static int put_kernel_fs(int root, const struct ctx_orders *o, struct vz_error *err)
{
	char most[24];
	const uint64_t no_max = 1 << 20; /* NR_UNIX98_PTY_MAX: the kernel takes nothing above it */
	const struct fs_option pts[] = {
		{ "mode", "0620" },
		{ "ptmxmode", "0666" },
		{ "gid", "5" },
		{ o->ptys <= no_max ? "max" : NULL, most },
		{ 0 },
	};
	const unsigned int plain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	int r;

	(void)snprintf(most, sizeof(most), "%" PRIu64, o->ptys);
	r = put_fs(root, "proc", "proc", NULL, plain, err);
	if (r == 0)
		r = put_fs(root, "sys", "sysfs", NULL, plain | MOUNT_ATTR_RDONLY, err);
	if (r == 0)
		r = put_fs(root, "sys/fs/cgroup", "cgroup2", NULL, plain, err);
	if (r == 0)
		r = put_fs(root, "dev/pts", "devpts", pts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
			   err);
	if (r == 0)
		r = put_fs(root, "dev/mqueue", "mqueue", NULL, plain, err);
	return r;
}

/*
 * Bind @from over @to (both below @root); with @readonly the copy alone. Missing files are no
 * error.
 */
static int bind_over(int root, const char *from, const char *to, bool readonly)
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY };
	VZ_FD int spot = vz_open_nolink(root, to, O_PATH, 0);
	VZ_FD int mnt = -EBADF;

	if (spot < 0)
		return spot == -ENOENT ? 0 : spot;
	mnt = open_tree(root, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (mnt < 0)
		return errno == ENOENT ? 0 : -errno;
	if (readonly && mount_setattr(mnt, "", AT_EMPTY_PATH, &ro, sizeof(ro)) < 0)
		return -errno;
	return rootfs_attach(mnt, spot);
}

/* Cosmetic: the wall is the user namespace (root inside can undo these and gains nothing by it). */
static int put_masks(int root)
{
	static const char *const hidden[] = { "proc/kcore",	    "proc/keys",
					      "proc/latency_stats", "proc/timer_list",
					      "proc/sched_debug",   "proc/sysrq-trigger" };
	static const char *const readonly[] = { "proc/sys", "proc/bus", "proc/fs", "proc/irq" };
	VZ_FD int net = open_tree(root, "proc/sys/net", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(hidden) / sizeof(*hidden); i++)
		r = bind_over(root, "dev/null", hidden[i], false);
	for (size_t i = 0; r == 0 && i < sizeof(readonly) / sizeof(*readonly); i++)
		r = bind_over(root, readonly[i], readonly[i], true);
	if (r == 0 &&
	    net >= 0) { /* the network namespace is the VPS's own: its settings stay writable */
		VZ_FD int spot = vz_open_nolink(root, "proc/sys/net", O_PATH | O_DIRECTORY, 0);

		r = spot < 0 ? spot : rootfs_attach(net, spot);
	}
	return r;
}

/*
 * An engine inside may mount proc and sysfs in its own namespaces only where a mount of each is in
 * sight that nothing covers; the kernel looks at all of them, wherever they are.
 */
static int put_uncovered(int root, struct vz_error *err)
{
	const unsigned int plain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	int r = put_fs(root, "dev/.croft/proc", "proc", NULL, plain, err);

	return r < 0 ? r : put_fs(root, "dev/.croft/sys", "sysfs", NULL, plain, err);
}

static int change_root(int root)
{
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return -errno;
	/* the old root lies over the new one at "."; off with it */
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	/* as systemd makes it on a machine of its own, and container engines inside want it */
	return mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0 ? -errno : 0;
}

int rootfs_enter(const struct ctx_orders *o, struct vz_error *err)
{
	VZ_FD int root =
		open_tree(AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	int r;

	(void)umask(022);
	/*
	 * Our copy of the builder's mount is locked in place; a clone of it may be pivoted to and
	 * its flags stay locked. The way to it leads through directories closed to us: the working
	 * directory is the handle.
	 */
	if (root < 0 || move_mount(root, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, errno, "bind the root");
	r = put_kernel_fs(root, o, err);
	if (r < 0)
		return r;
	r = o->nesting ? put_uncovered(root, err) : 0;
	if (r < 0)
		return r;
	r = put_masks(root);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "mask entries of /proc");
	r = change_root(root);
	return r < 0 ? vz_fail(err, VZ_EXIT_ENVCREATE, -r, "change the root") : 0;
}
