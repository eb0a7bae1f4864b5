/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The target's side: verbs by which a VPS arrives, its files and its memory (migrate-receive.c has the others). */
#include "ops/taking.h"

#include "ops/cpt.h"
#include "template/template.h"
#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { SMALL_FILE_MAX = 1 << 20 };

/* ---- PREPARE, FILE, PLACE, ROUND, TREE ---- */

int op_arrive_prepare(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	char files[PATH_MAX];
	int r;

	(void)ret;
	t->j.step = MIG_S_TAKING;
	t->j.keep = json_is_true(json_object_get(args, "keep"));
	t->j.start = json_is_true(json_object_get(args, "start"));
	t->j.was_running = json_is_true(json_object_get(args, "was_running"));
	r = vz_copy(t->j.private_dir, sizeof(t->j.private_dir), t->o.cfg.ve_private);
	if (r == 0)
		r = mig_journal_save(&t->j);
	if (r == 0)
		r = vz_rm_rf(AT_FDCWD, mig_files_dir(t->o.ctid, files));
	if (r == 0 || r == -ENOENT)
		r = vz_mkdir_p(files, 0700);
	return r < 0 ? vz_fail(err, MIG_EXIT_COPY, -r, "write %s", files) : 0;
}

static const struct op_moving_file *find_file(const char *name)
{
	for (size_t i = 0; op_moving_files(i); i++)
		if (!strcmp(name, op_moving_files(i)->name))
			return op_moving_files(i);
	return NULL;
}

/** struct adopt - a template that was sent, to a child that unpacks it */
struct adopt {
	const struct taking *t;
	const char *tmp;
};

static int adopt_child(void *arg, struct vz_error *err)
{
	const struct adopt *a = arg;

	return tpl_adopt(&a->t->o.cfg, a->t->f.ostemplate, a->t->f.hash, a->tmp, err);
}

/* A template that is sent has its place only when its hash is right. */
static int take_template(struct taking *t, struct vz_error *err)
{
	struct vps_config *c = &t->o.cfg;
	char tmp[PATH_MAX], sum[PATH_MAX];
	VZ_FD int fd = -EBADF;
	int r = vz_mkdir_p(vps_path(tmp, "%s/cache", c->template_dir), 0755);

	(void)vps_path(tmp, "%s/cache/.%s.migrate.%d", c->template_dir, t->f.ostemplate,
		       (int)getpid());
	fd = r < 0 ? r : vz_openat(AT_FDCWD, tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return vz_fail(err, MIG_EXIT_TEMPLATE, -fd, "%s", tmp);
	r = mig_answer(&t->conn, NULL, err);
	if (r == 0)
		r = mig_recv_file(&t->conn, fd, UINT64_C(1) << 40, err);
	if (r == 0)
		r = mig_busy(&t->conn, adopt_child, &(struct adopt){ t, tmp }, err);
	(void)unlink(tmp);
	(void)vps_path(sum, "%s.sha256", tmp); /* what was remembered of it */
	(void)unlink(sum);
	if (r < 0 && !mig_link_broken(err))
		err->exit = MIG_EXIT_TEMPLATE;
	return r;
}

static int take_dump(struct taking *t, struct vz_error *err)
{
	char path[PATH_MAX];
	VZ_FD int fd = -EBADF;
	int r;

	if (!t->o.cfg.dumpdir)
		return vz_fail(err, MIG_EXIT_NODE, 0, "DUMPDIR is not set on the target");
	r = op_move_way(t->mode)->lazy ? op_pages_listen(t, err) : 0;
	if (r < 0)
		return r;
	r = vz_mkdir_p(t->o.cfg.dumpdir, 0700);
	(void)unlink(op_dump_staged(&t->o, path));
	fd = r < 0 ? r : vz_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return vz_fail(err, MIG_EXIT_COPY, -fd, "%s", path);
	r = mig_answer(&t->conn, NULL, err);
	if (r == 0)
		r = mig_recv_file(&t->conn, fd, UINT64_C(1) << 44, err);
	return r < 0 ? r : op_sync(fd, &t->conn, err);
}

/* Scripts may hold passwords: not readable by more than at the source. */
static mode_t file_mode(const json_t *args)
{
	json_int_t mode = vz_json_int(args, "mode", -1);

	if (mode >= 0 && mode <= 0777)
		return (mode_t)mode;
	return json_is_true(json_object_get(args, "executable")) ? 0755 : 0644;
}

int op_arrive_file(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	const char *name = vz_json_str(args, "name");
	const struct op_moving_file *f = find_file(name);
	char files[PATH_MAX], path[PATH_MAX];
	VZ_FD int fd = -EBADF;
	int r;

	(void)ret;
	if (!strcmp(name, "template") && t->send_template)
		return take_template(t, err);
	if (!strcmp(name, "dump") && t->state == MIG_PLACED)
		return take_dump(t, err);
	if (!f || t->state != MIG_TAKING)
		return op_taking_bad(err, "file name");
	(void)vps_path(path, "%s/%s", mig_files_dir(t->o.ctid, files), f->suffix);
	fd = vz_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, file_mode(args));
	if (fd < 0)
		return vz_fail(err, MIG_EXIT_COPY, -fd, "%s", path);
	r = mig_answer(&t->conn, NULL, err);
	if (r == 0)
		r = mig_recv_file(&t->conn, fd, SMALL_FILE_MAX, err);
	if (r == 0 && fsync(fd) < 0)
		r = vz_fail(err, MIG_EXIT_COPY, errno, "fsync %s", path);
	return r;
}

/* The configuration: the source's, with paths, ids and name as they are to be here. */
static int place_conf(struct taking *t, struct vz_error *err)
{
	VPS_CONFIG struct vps_config c = { 0 };
	struct op *o = &t->o;
	bool which[VP_MAX] = { false }, skip[VP_MAX];
	static const enum vps_param_id own[] = { VP_VE_ROOT, VP_VE_PRIVATE, VP_VE_LAYOUT,
						 VP_LOCAL_UID, VP_LOCAL_UID_COUNT };
	char files[PATH_MAX], path[PATH_MAX];
	int r = vps_load_global(&c, err);

	(void)vps_path(path, "%s/conf", mig_files_dir(o->ctid, files));
	if (r < 0)
		return op_moving_exit(err, r, MIG_EXIT_NODE);
	c.ctid = o->ctid;
	for (int id = 0; id < VP_MAX; id++)
		skip[id] = vps_param(id)->when == PW_GLOBAL;
	r = vps_load_file(&c, path, VS_VPS, skip);
	if (r != 0)
		return vz_fail(
			err, MIG_EXIT_CONFIG, r < 0 ? -r : 0,
			"the configuration has lines that the target does not take (see its log)");
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
		if (vps_param_copy(&c, &o->cfg, own[i]) < 0)
			return vz_fail(err, MIG_EXIT_CONFIG, ENOMEM, "configuration");
		which[own[i]] = true;
	}
	if (t->f.name[0])
		r = vps_param_parse(&c, VP_NAME, PM_SET, t->f.name, VS_VPS, err);
	else
		vps_param_clear(&c, VP_NAME);
	which[VP_NAME] = true;
	if (r == 0)
		r = vps_save_to(path, &c, which, err);
	if (r < 0)
		return op_moving_exit(err, r, MIG_EXIT_CONFIG);
	vps_config_clear(&o->cfg);
	o->cfg = c;
	c = (struct vps_config){ 0 };
	vps_imply(&o->cfg);
	return 0;
}

/* It may unpack the template, which takes its time. */
static int place_child(void *arg, struct vz_error *err)
{
	struct sto_place p;

	return op_place(arg, &p, err);
}

int op_arrive_place(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	struct op *o = &t->o;
	struct sto_place p;
	char staged[PATH_MAX], parent[PATH_MAX];
	struct stat st;
	int r = place_conf(t, err);

	(void)args;
	(void)ret;
	if (r == 0)
		r = op_moving_exit(err, mig_busy(&t->conn, place_child, o, err), MIG_EXIT_TEMPLATE);
	if (r == 0)
		r = op_place(o, &p, err);
	if (r < 0 || t->j.shared)
		return r;
	(void)op_private_staged(o->cfg.ve_private, staged);
	(void)vps_path(parent, "%s", staged);
	*strrchr(parent, '/') = '\0';
	r = *parent ? vz_mkdir_p(parent, 0755) : 0;
	if (r < 0)
		return vz_fail(err, MIG_EXIT_COPY, -r, "make %s", parent);
	if (lstat(staged, &st) == 0 && S_ISDIR(st.st_mode))
		return 0; /* of a try whose copy was kept */
	if (mkdir(staged, 0755) < 0)
		return vz_fail(err, MIG_EXIT_COPY, errno, "make %s", staged);
	return op_moving_exit(err, o->layout->create(staged, &p, err), MIG_EXIT_COPY);
}

static int take_volumes(struct taking *t, const json_t *words, struct vz_error *err)
{
	char staged[PATH_MAX], path[PATH_MAX], at[PATH_MAX];
	VZ_FD int root = -EBADF;
	struct mig_tree tree = { .userns = -1, .at = at };
	int r;

	(void)vps_path(path, "%s/volumes", op_private_staged(t->o.cfg.ve_private, staged));
	(void)vps_path(at, "%s/%u/migrate", vps_paths()->run, t->o.ctid);
	r = vz_mkdir_p(path, 0755);
	if (r == 0)
		r = vps_run_dir(t->o.ctid);
	if (r == 0)
		r = vz_mkdir_p(at, 0700);
	root = r < 0 ? r : vz_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (root < 0)
		return vz_fail(err, MIG_EXIT_COPY, -root, "%s", path);
	tree.root = root;
	r = mig_tree_take(&t->conn, words, &tree, err);
	return r < 0 ? r : op_sync(root, &t->conn, err);
}

/** struct coming - a round on its way, to a child that takes it apart */
struct coming {
	const struct taking *t;
	const char *dir;
};

static int round_child(int fd, void *arg, struct vz_error *err)
{
	const struct coming *c = arg;

	return cpt_round_take(fd, c->dir, c->t->o.base, c->t->j.id, c->t->rounds + 1, err);
}

/* The directory of the rounds, of the VPS's root as they are, and room for @bytes. Return: fd; -errno. */
static int place_rounds(struct taking *t, const char *dir, uint64_t bytes, struct vz_error *err)
{
	enum { SLACK = 16 << 20 };
	struct statvfs fs;
	uint64_t have;
	int fd, r = vz_mkdir_p(t->o.cfg.dumpdir, 0700);

	if (r == 0 && t->rounds == 0) {
		r = vz_rm_rf(AT_FDCWD, dir);
		r = r < 0 && r != -ENOENT ? r : 0;
		if (r == 0 &&
		    (mkdir(dir, 0700) < 0 || lchown(dir, (uid_t)t->o.base, (gid_t)t->o.base) < 0))
			r = -errno;
	}
	fd = r < 0 ? r : vz_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return vz_fail(err, MIG_EXIT_COPY, -fd, "%s", dir);
	if (fstatvfs(fd, &fs) == 0 &&
	    (have = (uint64_t)fs.f_bavail * fs.f_frsize) < bytes + SLACK) {
		(void)close(fd);
		return vz_fail(err, MIG_EXIT_SPACE, 0,
			       "%s on the target has %" PRIu64
			       " MiB free, round %u of the memory needs %" PRIu64,
			       t->o.cfg.dumpdir, have >> 20, t->rounds + 1, (bytes + SLACK) >> 20);
	}
	return fd;
}

int op_arrive_round(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	uint64_t bytes = op_taking_number(args, "bytes");
	char staged[PATH_MAX], dir[PATH_MAX];
	struct coming c = { t, dir };
	VZ_FD int fd = -EBADF;
	int r;

	(void)ret;
	if (!op_move_way(t->mode)->rounds || op_taking_number(args, "n") != t->rounds + 1 ||
	    t->rounds >= CPT_ROUNDS || bytes > INT64_MAX / 2)
		return op_taking_bad(err, "round");
	if (!t->o.cfg.dumpdir)
		return vz_fail(err, MIG_EXIT_NODE, 0, "DUMPDIR is not set on the target");
	(void)op_rounds_beside(op_dump_staged(&t->o, staged), dir);
	fd = place_rounds(t, dir, bytes, err);
	if (fd < 0)
		return fd;
	r = mig_answer(&t->conn, NULL, err);
	if (r == 0) {
		r = mig_stream(&t->conn, round_child, &c, err);
		if (r < 0 && err->exit == VZ_EXIT_RESTORE)
			err->exit = r == -ENOSPC ? MIG_EXIT_SPACE
				    : err->sys	 ? MIG_EXIT_COPY
						 : MIG_EXIT_PROTOCOL;
	}
	if (r == 0)
		r = op_sync(fd, &t->conn, err); /* now, not when it stands still */
	if (r == 0)
		t->rounds++;
	return r;
}

int op_arrive_tree(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	const char *what = vz_json_str(args, "what");
	const json_t *words = json_object_get(args, "args");
	struct op_side side;
	struct vz_error later;
	char staged[PATH_MAX];
	int r, closed;

	(void)ret;
	if (t->j.shared || (strcmp(what, "root") != 0 && strcmp(what, "volumes") != 0))
		return op_taking_bad(err, "tree");
	if (!strcmp(what, "volumes"))
		return t->o.layout->needs_template ? take_volumes(t, words, err)
						   : op_taking_bad(err, "tree");
	r = op_side_open(&t->o, op_private_staged(t->o.cfg.ve_private, staged), &side, err);
	if (r < 0)
		return op_moving_exit(err, r, MIG_EXIT_COPY);
	r = mig_tree_take(
		&t->conn, words,
		&(struct mig_tree){ .root = side.root, .userns = side.userns, .at = side.at }, err);
	closed = op_side_close(&side, &t->conn, &later);
	if (r == 0 && closed < 0) {
		*err = later;
		r = op_moving_exit(err, closed, MIG_EXIT_COPY);
	}
	return r;
}
