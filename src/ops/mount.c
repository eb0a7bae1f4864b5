/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/priv.h"

#include "util/fd.h"
#include "util/kernel.h"
#include "util/log.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static int private_there(const struct op *o, struct vz_error *err)
{
	struct stat st;

	if (stat(o->cfg.ve_private, &st) < 0 || !S_ISDIR(st.st_mode))
		return vz_fail(err, VZ_EXIT_NO_PRIVATE, ENOENT,
			       "VPS private area %s does not exist", o->cfg.ve_private);
	return 0;
}

/*
 * What a mount was made from, so that a later start knows whether it still fits; then where it is; then
 * how far it is (see op_mount_note).
 */
static char *mount_facts(const struct op *o, enum op_mount_note note)
{
	static const char *const words[] = { [OP_MOUNT_NONE] = "",
					     [OP_MOUNT_HALF] = "",
					     [OP_MOUNT_OURS] = "whole\n",
					     [OP_MOUNT_KEPT] = "kept\n" };

	return vz_fmt("%s %s %s %llu\n%s\n%s", o->layout->name, o->cfg.ve_private,
		      o->cfg.ostemplate_hash && o->layout->needs_template ? o->cfg.ostemplate_hash
									  : "-",
		      (unsigned long long)o->base, o->cfg.ve_root, words[note]);
}

static char *read_facts(uint32_t ctid)
{
	char path[PATH_MAX], *text = NULL;

	(void)vps_path(path, "%s/%u/mount", vps_paths()->run, ctid);
	return vz_read_file(AT_FDCWD, path, 8192, &text) < 0 ? NULL : text;
}

static bool mount_fits(const struct op *o)
{
	VZ_FREE char *want = mount_facts(o, OP_MOUNT_HALF);
	VZ_FREE char *have = read_facts(o->ctid);

	/* one that is not whole fits nothing: its scripts perhaps did not run */
	return want && have && !strncmp(want, have, strlen(want)) && strcmp(want, have) != 0;
}

/*
 * A mount of something else at VE_ROOT is an operator's, perhaps by mistake: nobody unmounts /home for
 * a line in a configuration.
 */
bool op_mount_is_ours(const struct op *o)
{
	VZ_FREE char *have = read_facts(o->ctid);
	const char *root = have ? strchr(have, '\n') : NULL;
	size_t n = strlen(o->cfg.ve_root);
	struct stat a, b;
	struct statfs fs;

	if (root && !strncmp(root + 1, o->cfg.ve_root, n) && root[1 + n] == '\n')
		return true;
	/* the facts are lost, the mount is not: simfs shows the private area itself */
	if (stat(o->cfg.ve_root, &a) == 0 && stat(o->cfg.ve_private, &b) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return true;
	return !strcmp(o->cfg.ve_layout, "overlay") && statfs(o->cfg.ve_root, &fs) == 0 &&
	       (unsigned long)fs.f_type == OVERLAYFS_SUPER_MAGIC;
}

/* Whether the facts of VPS @ctid tell of a mount that is there, made from the directory @st. */
static bool mounted_from(uint32_t ctid, const struct stat *st)
{
	VZ_FREE char *facts = read_facts(ctid);
	char *dir = facts ? strchr(facts, ' ') : NULL;
	char *root = dir ? strchr(dir, '\n') : NULL;
	struct stat there;

	if (!root || !root[1])
		return false;
	*root++ = '\0';
	root[strcspn(root, "\n")] = '\0';
	for (int i = 0; i < 2; i++) { /* hash and base id */
		char *last = strrchr(dir + 1, ' ');

		if (!last)
			return false;
		*last = '\0';
	}
	return sto_mounted(root) && stat(dir + 1, &there) == 0 && there.st_dev == st->st_dev &&
	       there.st_ino == st->st_ino;
}

/*
 * A copied CTID.conf names the files of another VPS, and two systems on one tree destroy it.
 * /run/vz/private/DEV-INO is a link that tells who mounted the directory last; whether that still
 * holds is in his facts. (Two that are started in the same instant are not kept apart.)
 */
static char *claim_path(const struct stat *st, char ret[PATH_MAX])
{
	return vps_path(ret, "%s/private/%llx-%llx", vps_paths()->run,
			(unsigned long long)st->st_dev, (unsigned long long)st->st_ino);
}

void op_private_release(const struct op *o, const struct stat *st)
{
	char path[PATH_MAX], own[16], holder[16];
	ssize_t n = readlink(claim_path(st, path), holder, sizeof(holder) - 1);

	(void)snprintf(own, sizeof(own), "%u", o->ctid);
	holder[n > 0 ? n : 0] = '\0';
	if (!strcmp(holder, own))
		(void)unlink(path);
}

static int claim_private(const struct op *o, struct vz_error *err)
{
	char path[PATH_MAX], own[16], holder[16];
	uint32_t ctid;
	struct stat st;
	ssize_t n;
	int r = vz_mkdir_p(vps_path(path, "%s/private", vps_paths()->run), 0700);

	if (r < 0 || stat(o->cfg.ve_private, &st) < 0)
		return vz_fail(err, VZ_EXIT_MOUNT, r < 0 ? -r : errno, "%s", path);
	(void)snprintf(own, sizeof(own), "%u", o->ctid);
	n = readlink(claim_path(&st, path), holder, sizeof(holder) - 1);
	holder[n > 0 ? n : 0] = '\0';
	if (!strcmp(holder, own))
		return 0;
	if (n > 0 && vps_parse_ctid(holder, &ctid) == 0 && mounted_from(ctid, &st))
		return vz_fail(err, VZ_EXIT_MOUNT, EBUSY,
			       "VE_PRIVATE %s of VPS %u is mounted for VPS %u", o->cfg.ve_private,
			       o->ctid, ctid);
	(void)unlink(path);
	if (symlink(own, path) < 0) /* EEXIST: another VPS came first just now */
		return vz_fail(err, VZ_EXIT_MOUNT, errno, "symlink %s", path);
	return 0;
}

static int refuse_foreign(const struct op *o, int exit, struct vz_error *err)
{
	(void)vz_fail(err, exit, 0, "something else than VPS %u is mounted at its VE_ROOT %s",
		      o->ctid, o->cfg.ve_root);
	return -EBUSY;
}

static int note_mount(const struct op *o, enum op_mount_note note, struct vz_error *err)
{
	VZ_FREE char *facts = mount_facts(o, note);
	char path[PATH_MAX];
	int r = vps_run_dir(o->ctid);

	(void)vps_path(path, "%s/%u/mount", vps_paths()->run, o->ctid);
	if (r == 0)
		r = facts ? vz_write_volatile(path, facts, strlen(facts), 0600) : -ENOMEM;
	return r < 0 ? vz_fail(err, VZ_EXIT_MOUNT, -r, "write %s", path) : 0;
}

static void forget_mount(const struct op *o)
{
	char path[PATH_MAX];

	(void)unlink(vps_path(path, "%s/%u/mount", vps_paths()->run, o->ctid));
}

static int mount_now(struct op *o, const struct sto_place *p, struct vz_error *err)
{
	int userns, r = vz_mkdir_p(p->root, 0755);

	if (r < 0)
		return vz_fail(err, VZ_EXIT_MPOINT, -r, "Unable to make mount point %s", p->root);
	userns = op_userns(o, err);
	if (userns < 0)
		return userns;
	r = op_scripts(o, "premount", false, err);
	if (r == 0)
		r = claim_private(o, err);
	if (r == 0) /* before the mount: one of ours is never without */
		r = note_mount(o, OP_MOUNT_HALF, err);
	if (r < 0)
		return r;
	r = op_mount_when_free(o, p, userns, err);
	if (r < 0)
		forget_mount(o);
	return r;
}

int op_do_mount(struct op *o, bool remount, bool *ret_was, struct vz_error *err)
{
	struct sto_place p;
	struct vz_error ignored;
	int r = vz_kernel_check(VZ_NEED_BUILD, err);

	if (r == 0)
		r = op_place(o, &p, err);
	if (r == 0)
		r = private_there(o, err);
	if (r < 0)
		return r;
	*ret_was = sto_mounted(p.root);
	if (*ret_was && (!remount || mount_fits(o)))
		return 0;
	if (*ret_was && !op_mount_is_ours(o))
		return refuse_foreign(o, VZ_EXIT_MOUNT, err);
	if (*ret_was) {
		forget_mount(o);
		r = sto_umount(p.root, err);
		*ret_was = false;
	}
	if (r == 0)
		r = mount_now(o, &p, err);
	if (r < 0)
		return r;
	r = op_scripts(o, "mount", false, err);
	if (r == 0)
		r = note_mount(o, OP_MOUNT_OURS, err);
	if (r < 0 && sto_umount(p.root, &ignored) < 0)
		vz_warn("WARNING: %s", ignored.msg);
	return r;
}

int op_mount_keep(struct op *o, struct vz_error *err)
{
	struct sto_place p;
	int r = op_mount_is_ours(o) ? op_place(o, &p, err) : 1;

	if (r != 0)
		return r < 0 ? r : 0;
	return note_mount(o, OP_MOUNT_KEPT, err);
}

/*
 * "whole" goes first: what the umount scripts took apart must not be used by a later start as if it
 * were whole. They may keep a whole mount from being unmounted, a half made one they may not: they
 * perhaps look for what the mount script never made.
 */
int op_do_umount(struct op *o, struct vz_error *err)
{
	enum op_mount_note note = op_mount_note(o->ctid);
	struct vz_error ignored;
	struct sto_place p;
	int r;

	if (!op_mount_is_ours(o))
		return refuse_foreign(o, VZ_EXIT_UMOUNT, err);
	r = op_place(o, &p, &ignored);
	if (note > OP_MOUNT_HALF && (r < 0 || note_mount(o, OP_MOUNT_HALF, &ignored) < 0))
		forget_mount(o);
	r = op_scripts(o, "umount", true, err);
	if (r < 0 && note <= OP_MOUNT_HALF) {
		vz_warn("WARNING: %s", err->msg);
		r = 0;
	}
	if (r == 0)
		r = sto_umount(o->cfg.ve_root, err);
	if (r == 0)
		forget_mount(o);
	else if (note > OP_MOUNT_HALF && o->layout && note_mount(o, note, &ignored) < 0)
		vz_warn("WARNING: %s", ignored.msg);
	return r < 0 ? r : op_scripts(o, "postumount", true, err);
}

int op_root_fd(struct op *o, int *ret_root, struct vz_error *err)
{
	VZ_LIST struct vz_list warnings = { 0 };
	struct sto_place p;
	int userns, root, r = op_place(o, &p, err);

	if (r < 0)
		return r;
	userns = op_userns(o, err);
	if (userns < 0)
		return userns;
	root = sto_clone_root(o->layout, &p, userns, &warnings, err);
	op_warn_all(&warnings);
	if (root < 0)
		return root;
	*ret_root = root;
	return 0;
}

int op_mount(const struct op_env *env, uint32_t ctid, struct vz_error *err)
{
	OP struct op o;
	bool was;
	int r = op_open(&o, env, ctid, "mounting", err);

	if (r == 0)
		r = vz_kernel_check(VZ_NEED_BUILD, err);
	if (r < 0)
		return r;
	if (o.bad)
		return vz_fail(err, VZ_EXIT_INVALID_CONFIG, 0,
			       "%u bad lines in the configuration of VPS %u", o.bad, ctid);
	r = op_mend(&o, err);
	if (r == 0)
		r = op_do_mount(&o, false, &was, err);
	if (r == 0 && !vps_running(ctid, NULL))
		r = op_mount_keep(&o, err);
	if (r == 0)
		vz_say(was ? "VPS is already mounted" : "VPS is mounted");
	return r;
}

int op_umount(const struct op_env *env, uint32_t ctid, struct vz_error *err)
{
	OP struct op o;
	int r = op_open(&o, env, ctid, "unmounting", err);

	if (r == 0)
		r = vz_kernel_check(VZ_NEED_LOOK, err);
	if (r < 0)
		return r;
	if (vps_running(ctid, NULL))
		return vz_fail(err, VZ_EXIT_RUNNING, 0, "VPS is running: stop it first");
	r = op_cleanup_dead(&o, err);
	if (r < 0)
		return r;
	if (!sto_mounted(o.cfg.ve_root))
		return vz_fail(err, VZ_EXIT_NOT_MOUNTED, 0, "VPS is not mounted");
	r = op_do_umount(&o, err);
	if (r == 0)
		vz_say("VPS is unmounted");
	return r;
}
