/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The source's side of single verbs: what is told and sent. */
#include "ops/sending.h"

#include "checkpoint/checkpoint.h"
#include "ops/cpt.h"
#include "ops/taking.h"
#include "template/template.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t op_send_sent(const struct sending *s)
{
	return s->link.conn.sent + (s->pages.sent ? *s->pages.sent : 0);
}

void op_send_whole(struct sending *s, uint64_t bytes)
{
	s->at.since_ms = vz_now_ms();
	s->at.sent = op_send_sent(s);
	s->at.whole = bytes;
}

void op_send_stage(struct sending *s, const char *what, uint64_t whole)
{
	s->at.stage = what;
	op_send_whole(s, whole);
	if (s->a->progress) /* what is said now would stand behind it */
		(void)fprintf(stderr, "\r\033[K");
	vz_say("%s", what);
}

/* ---- CHECK ---- */

static json_t *texts(const struct vz_list *l)
{
	json_t *a = json_array();

	for (size_t i = 0; a && i < l->n; i++)
		if (json_array_append_new(a, vz_json_text(l->v[i])) < 0) {
			json_decref(a);
			return NULL;
		}
	return a;
}

/* Random text beside the private area: who sees it there shares our storage. */
static void leave_token(struct sending *s)
{
	const char *p = s->o->cfg.ve_private, *slash = strrchr(p, '/');

	if (!slash || mig_new_id(s->token) < 0)
		return;
	(void)vps_path(s->token_path, "%.*s/.vzmigrate-%s", (int)(slash - p), p, s->token);
	if (vz_write_volatile(s->token_path, s->token, 32, 0600) < 0)
		s->token_path[0] = '\0';
}

static int count_files(struct sending *s, uint64_t *ret_bytes, uint64_t *ret_inodes,
		       struct vz_error *err)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, s->o->cfg.ve_private, O_RDONLY | O_DIRECTORY, 0);

	return fd < 0 ? vz_fail(err, MIG_EXIT_COPY, -fd, "open %s", s->o->cfg.ve_private)
		      : mig_tree_size(fd, &s->link.conn, ret_bytes, ret_inodes, err);
}

static const char *text_or(const char *s)
{
	return s ? s : "";
}

static int facts(struct sending *s, json_t **ret, struct vz_error *err)
{
	struct op *o = s->o;
	const struct vps_config *c = &o->cfg;
	bool memory = op_move_way(s->mode)->memory || s->suspended;
	VZ_FREE char *flags = cpt_cpu_flags();
	VZ_LIST struct vz_list cpu = { 0 };
	const char *name = s->a->new_name ? s->a->new_name : text_or(c->name);
	uint64_t bytes, inodes;
	char here[256] = "";
	int idmap = 1, r = count_files(s, &bytes, &inodes, err);

	if (r == 0)
		r = op_userns(o, err) < 0 ? -EINVAL : 0;
	if (r == 0 && !o->layout->needs_template)
		idmap = sto_can_idmap(c->ve_private, o->userns);
	if (r == 0 && idmap < 0)
		r = vz_fail(err, MIG_EXIT_LAYOUT, -idmap, "idmapped mounts of %s", c->ve_private);
	if (r < 0)
		return r;
	s->file_bytes = bytes;
	if (flags && vz_list_split(&cpu, flags, " ") < 0)
		return vz_fail(err, MIG_EXIT_CPU, ENOMEM, "CPU");
	(void)gethostname(here, sizeof(here) - 1);
	*ret = json_pack(
		"{sI sI ss ss ss ss ss ss ss ss so so sI sI sI sI sb sb sb si}", "ctid",
		(json_int_t)s->j.peer_ctid, "peer_ctid", (json_int_t)o->ctid, "id", s->j.id, "mode",
		s->j.mode, "from", mig_host_valid(here) ? here : "", "layout", o->layout->name,
		"ostemplate", text_or(c->ostemplate), "hash", text_or(c->ostemplate_hash), "name",
		name, "token", s->token_path[0] ? s->token : "", "ips", texts(&c->ip_address),
		"cpu", texts(&cpu), "bytes", (json_int_t)bytes, "inodes", (json_int_t)inodes,
		"base", (json_int_t)o->base, "count", (json_int_t)o->count, "memory", memory,
		"same_base", memory || !idmap, "idmap", idmap == 1, "nodeps", (int)s->a->nodeps);
	return *ret ? 0
		    : vz_fail(err, MIG_EXIT_CONFIG, 0, "the configuration holds what is no UTF-8");
}

int op_send_check(struct sending *s, struct vz_error *err)
{
	VZ_JSON json_t *answer = NULL;
	json_t *args = NULL;
	int r;

	leave_token(s);
	r = facts(s, &args, err);
	if (r == 0)
		r = mig_call(&s->link.conn, "CHECK", args, &answer, err);
	if (s->token_path[0])
		(void)unlink(s->token_path);
	if (r < 0)
		return r;
	s->j.shared = json_is_true(json_object_get(answer, "shared"));
	s->send_template = json_is_true(json_object_get(answer, "send_template"));
	s->partial = json_is_true(json_object_get(answer, "partial"));
	return 0;
}

/* ---- small files ---- */

int op_send_end(struct sending *s, struct vz_error *err)
{
	VZ_JSON json_t *j = NULL;
	struct mig_frame f;
	int r = mig_recv(&s->link.conn, &f, err);

	if (r < 0 || f.type != MIG_FAIL)
		return r;
	r = mig_frame_json(&f, &j, err);
	return r < 0 ? r : mig_failure(j, err);
}

int op_send_level(const struct sending *s)
{
	return s->a->compress ? 1 : 0;
}

/* @mode: permissions; "executable" is for targets that know no more. */
static int send_one(struct sending *s, const char *name, const char *path, mode_t mode,
		    struct vz_error *err)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
	int r;

	if (fd < 0)
		return vz_fail(err, MIG_EXIT_COPY, -fd, "open %s", path);
	r = mig_call(&s->link.conn, "FILE",
		     json_pack("{ss sb si}", "name", name, "executable", (mode & 0111) != 0, "mode",
			       (int)(mode & 0777)),
		     NULL, err);
	if (r == 0)
		r = mig_send_file(&s->link.conn, fd, err);
	return r < 0 ? r : op_send_end(s, err);
}

static int send_template(struct sending *s, struct vz_error *err)
{
	const struct vps_config *c = &s->o->cfg;
	char archive[PATH_MAX], hash[65];
	struct stat st;
	int r = tpl_find(c, c->ostemplate, archive, err);

	if (r == 0)
		r = tpl_hash(archive, hash, err);
	if (r == 0 && !vz_streq(hash, c->ostemplate_hash))
		r = vz_fail(err, MIG_EXIT_TEMPLATE, 0,
			    "generation %.12s of template %s is not on the target, and %s here is "
			    "another",
			    c->ostemplate_hash, c->ostemplate, archive);
	if (r < 0)
		return op_moving_exit(err, r, MIG_EXIT_TEMPLATE);
	op_send_stage(s, "Sending the template",
		      stat(archive, &st) == 0 ? (uint64_t)st.st_size : 0);
	return send_one(s, "template", archive, 0644, err);
}

int op_send_files(struct sending *s, struct vz_error *err)
{
	char path[PATH_MAX];
	int r = mig_call(&s->link.conn, "PREPARE",
			 json_pack("{sb sb sb}", "keep", s->a->keep_dst, "start", s->j.start,
				   "was_running", s->running),
			 NULL, err);

	for (size_t i = 0; r == 0 && op_moving_files(i); i++) {
		const struct op_moving_file *f = op_moving_files(i);
		struct stat st;

		(void)vps_path(path, "%s/%u.%s", vps_paths()->conf, s->o->ctid, f->suffix);
		if (stat(path, &st) == 0)
			r = send_one(s, f->name, path, st.st_mode, err);
		else if (i == 0)
			r = vz_fail(err, MIG_EXIT_ABSENT, errno, "%s", path);
	}
	if (r == 0 && s->send_template)
		r = send_template(s, err);
	return r < 0 ? r : mig_call(&s->link.conn, "PLACE", NULL, NULL, err);
}

int op_send_dump(struct sending *s, struct vz_error *err)
{
	char path[PATH_MAX];
	struct stat st;

	(void)(s->chain.n ? op_rest_path(s->o, path) : op_dump_path(s->o, path));
	if (stat(path, &st) == 0)
		s->dump_bytes = (uint64_t)st.st_size;
	op_send_stage(s, s->chain.n ? "Sending the rest of the memory" : "Sending the memory",
		      s->dump_bytes);
	return send_one(s, "dump", path, 0600, err);
}

/* ---- the tree ---- */

/* Names of the files in the upper layer: what may differ from the template, whatever its times say. */
static int in_upper(struct sending *s, struct vz_buf *ret, struct vz_error *err)
{
	char path[PATH_MAX];
	VZ_FD int fd = vz_openat(AT_FDCWD, vps_path(path, "%s/upper", s->o->cfg.ve_private),
				 O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	return fd < 0 ? vz_fail(err, MIG_EXIT_COPY, -fd, "open %s", path)
		      : mig_tree_changed(fd, 0, &s->link.conn, ret, err);
}

static int send_volumes(struct sending *s, bool vanish, struct vz_error *err)
{
	char path[PATH_MAX], at[PATH_MAX];
	VZ_FD int root = vz_openat(AT_FDCWD, vps_path(path, "%s/volumes", s->o->cfg.ve_private),
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	const struct mig_tree t = { .root = root,
				    .userns = -1,
				    .at = at,
				    .checksum = s->partial || vanish == false,
				    .whole = s->a->whole,
				    .compress = s->a->compress };
	int r;

	if (root == -ENOENT)
		return 0;
	if (root < 0)
		return vz_fail(err, MIG_EXIT_COPY, -root, "%s", path);
	r = vz_mkdir_p(vps_path(at, "%s/%u/migrate", vps_paths()->run, s->o->ctid), 0700);
	return r < 0 ? vz_fail(err, MIG_EXIT_COPY, -r, "make %s", at)
		     : mig_tree_send(&s->link.conn, "volumes", &t, vanish, err);
}

/* Files that must be compared by content in this copy. */
static int by_content(struct sending *s, const struct op_side *side, bool again, struct vz_buf *ret,
		      struct vz_error *err)
{
	if (again)
		return mig_tree_changed(side->root, s->since, &s->link.conn, ret, err);
	if (s->o->layout->needs_template && !s->partial)
		return in_upper(s, ret, err);
	return 0;
}

static int copy(struct sending *s, const struct op_side *side, bool again, struct vz_error *err)
{
	VZ_BUF struct vz_buf names = { 0 };
	bool vanish = s->running && !again;
	struct mig_tree t = { .root = side->root,
			      .userns = side->userns,
			      .at = side->at,
			      .whole = s->a->whole,
			      .compress = s->a->compress };
	int r = by_content(s, side, again, &names, err);

	if (r < 0)
		return r;
	if (names.len) {
		t.list = &names;
		t.again = true;
		r = mig_tree_send(&s->link.conn, "root", &t, vanish, err);
		t.list = NULL;
		t.again = false;
	}
	t.checksum = s->partial && !again;
	if (r == 0)
		r = mig_tree_send(&s->link.conn, "root", &t, vanish, err);
	if (r == 0 && s->o->layout->needs_template)
		r = send_volumes(s, vanish, err);
	return r;
}

int op_send_tree(struct sending *s, bool again, struct vz_error *err)
{
	struct op_side side;
	struct vz_error later;
	int closed, r;

	if (s->j.shared)
		return 0;
	r = op_side_open(s->o, s->o->cfg.ve_private, &side, err);
	if (r < 0)
		return op_moving_exit(err, r, MIG_EXIT_COPY);
	if (!again) {
		/*
		 * From here on each write by mmap changes the inode's times at least once: pages that
		 * are dirty now would not tell of a further write.
		 */
		r = op_sync(side.root, &s->link.conn, err);
		s->since = (int64_t)time(NULL) - 1;
	}
	if (r == 0)
		r = copy(s, &side, again, err);
	closed = op_side_close(&side, &s->link.conn, &later);
	if (r == 0 && closed < 0) {
		*err = later;
		r = closed;
	}
	return r;
}
