/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The target's side: verbs, each legal in its state only (migrate/verbs.c). */
#include "ops/taking.h"

#include "ops/cpt.h"
#include "ops/steps.h"
#include "util/fd.h"
#include "util/kernel.h"
#include "util/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { VERDICT_WAIT_MS = 120000 };

typedef int verb_fn(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err);

static int take_list(const json_t *a, struct vz_list *ret)
{
	size_t i;
	json_t *v;

	json_array_foreach (a, i, v) {
		const char *s = json_string_value(v);

		if (!s || ret->n > 4096 || vz_list_add(ret, s) < 0)
			return -EINVAL;
	}
	return 0;
}

uint64_t op_taking_number(const json_t *args, const char *key)
{
	json_int_t v = vz_json_int(args, key, 0);

	return v > 0 ? (uint64_t)v : 0;
}

int op_taking_bad(struct vz_error *err, const char *what)
{
	return vz_fail(err, MIG_EXIT_PROTOCOL, 0, "bad %s from the source", what);
}

static int take_ctid(const json_t *args, uint32_t *ret, struct vz_error *err)
{
	json_int_t v = vz_json_int(args, "ctid", 0);

	if (v < 1 || v > VPS_CTID_MAX)
		return op_taking_bad(err, "CTID");
	*ret = (uint32_t)v;
	return 0;
}

/* ---- HELLO, CHECK ---- */

static int on_hello(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	json_int_t ms = vz_json_int(args, "timeout_ms", 60000);

	if (ms >= 1000 && ms <= 3600000)
		t->conn.timeout_ms = (int)ms;
	*ret = json_pack("{si}", "version", MIG_VERSION);
	return vz_json_int(args, "version", 0) == MIG_VERSION
		       ? 0
		       : vz_fail(err, MIG_EXIT_VERSION, 0,
				 "version %lld of the protocol; here it is %d",
				 (long long)vz_json_int(args, "version", 0), MIG_VERSION);
}

static int take_facts(const json_t *a, struct taking_facts *f)
{
	if (vz_copy(f->layout, sizeof(f->layout), vz_json_str(a, "layout")) < 0 ||
	    vz_copy(f->ostemplate, sizeof(f->ostemplate), vz_json_str(a, "ostemplate")) < 0 ||
	    vz_copy(f->hash, sizeof(f->hash), vz_json_str(a, "hash")) < 0 ||
	    vz_copy(f->name, sizeof(f->name), vz_json_str(a, "name")) < 0 ||
	    vz_copy(f->token, sizeof(f->token), vz_json_str(a, "token")) < 0 ||
	    take_list(json_object_get(a, "ips"), &f->ips) < 0 ||
	    take_list(json_object_get(a, "cpu"), &f->cpu) < 0)
		return -EINVAL;
	f->bytes = op_taking_number(a, "bytes");
	f->inodes = op_taking_number(a, "inodes");
	f->base = op_taking_number(a, "base");
	f->count = op_taking_number(a, "count");
	f->memory = json_is_true(json_object_get(a, "memory"));
	f->same_base = json_is_true(json_object_get(a, "same_base"));
	f->idmap = json_is_true(json_object_get(a, "idmap"));
	f->nodeps = (unsigned int)op_taking_number(a, "nodeps");
	if (f->bytes > INT64_MAX / 2 || f->base > UINT32_MAX || f->count < 1 ||
	    f->count > UINT32_MAX)
		return -EINVAL;
	return 0;
}

/* What an earlier try left here, of this VPS's source: its word is newer than what we have. */
static int replace_journal(struct taking *t, struct vz_error *err)
{
	MIG_JOURNAL struct mig_journal old = { 0 };
	int r = mig_journal_load(t->o.ctid, &old);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return vz_fail(err, MIG_EXIT_EXISTS, -r,
			       "a journal of VPS %u is there and cannot be read", t->o.ctid);
	if (mig_role(old.step) == MIG_SOURCE && mig_owner(old.step) == MIG_THEIRS)
		return vz_fail(err, MIG_EXIT_EXISTS, 0,
			       "VPS %u moved away from the target, which is not completed there "
			       "(vzmigrate "
			       "--recover %u)",
			       t->o.ctid, t->o.ctid);
	if (old.step == MIG_S_PROMISED && !vz_streq(old.id, t->j.id))
		return vz_fail(
			err, MIG_EXIT_EXISTS, 0,
			"the target has a promised copy of VPS %u of another migration (vzmigrate "
			"--recover %u on the node that it came from)",
			t->o.ctid, old.peer_ctid);
	if (old.step == MIG_S_TAKING) {
		/* what it copied is used again, and compared by content */
		old.keep = old.keep && vz_streq(old.private_dir, t->o.cfg.ve_private);
		return op_moving_drop(&t->o, &old, err);
	}
	return 0;
}

/* Paths are the target's own; everything else in the configuration comes later. */
static int own_paths(struct vps_config *c, uint32_t ctid, struct vz_error *err)
{
	if (!c->ve_root || !c->ve_private)
		return vz_fail(err, MIG_EXIT_NODE, 0,
			       "VE_ROOT and VE_PRIVATE are not set in vz.conf");
	for (int i = 0; i < 2; i++) {
		char **field = i ? &c->ve_root : &c->ve_private;
		char *text = vps_subst(*field, ctid);

		if (!text)
			return vz_fail(err, MIG_EXIT_NODE, ENOMEM, "paths");
		free(*field);
		*field = text;
		c->source[i ? VP_VE_ROOT : VP_VE_PRIVATE] = VS_VPS;
	}
	return 0;
}

static int on_check(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	const char *id = vz_json_str(args, "id");
	uint32_t ctid = 0, peer;
	struct stat st;
	char staged[PATH_MAX];
	int r = take_ctid(args, &ctid, err);

	peer = (uint32_t)vz_json_int(args, "peer_ctid", 0);
	if (r < 0)
		return r;
	if (!mig_id_valid(id) || op_move_by_name(vz_json_str(args, "mode"), &t->mode) < 0 ||
	    peer < 1 || peer > VPS_CTID_MAX ||
	    vz_copy(t->j.mode, sizeof(t->j.mode), vz_json_str(args, "mode")) < 0 ||
	    vz_copy(t->j.host, sizeof(t->j.host), vz_json_str(args, "from")) < 0 ||
	    take_facts(args, &t->f) < 0)
		return op_taking_bad(err, "facts");
	memcpy(t->j.id, id, sizeof(t->j.id));
	t->j.ctid = ctid;
	t->j.peer_ctid = peer;
	t->opened = true;
	*t->shown = ctid;
	r = op_open_new(&t->o, &t->env, ctid, "receiving", err);
	if (r < 0)
		return op_moving_exit(err, r, MIG_EXIT_NODE);
	r = vz_kernel_check(VZ_NEED_BUILD, err);
	if (r < 0)
		return op_moving_exit(err, r, MIG_EXIT_NODE);
	r = own_paths(&t->o.cfg, ctid, err);
	if (r == 0)
		r = replace_journal(t, err);
	if (r == 0)
		r = op_taking_check(t, err);
	if (r < 0)
		return r;
	(void)op_private_staged(t->o.cfg.ve_private, staged);
	*ret = json_pack("{sb sb sb sI}", "shared", t->j.shared, "send_template", t->send_template,
			 "partial", !t->j.shared && lstat(staged, &st) == 0, "base",
			 (json_int_t)t->o.base);
	return 0;
}

/* ---- PROMISE ---- */

static int install_names(struct taking *t, struct vz_error *err)
{
	struct op *o = &t->o;
	char files[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
	VZ_FD int names = -EBADF;
	int r = 0;

	if (t->f.name[0]) {
		names = vps_names_lock(err);
		r = names < 0 ? names : vps_name_link(o->ctid, t->f.name, err);
	}
	if (r < 0)
		return op_moving_exit(err, r, MIG_EXIT_CONFIG);
	(void)mig_files_dir(o->ctid, files);
	for (size_t i = 0; op_moving_files(i); i++) {
		const char *suffix = op_moving_files(i)->suffix;

		(void)vps_path(from, "%s/%s", files, suffix);
		(void)vps_path(to, "%s/%u.%s", vps_paths()->conf, o->ctid, suffix);
		if (rename(from, to) < 0 && (errno != ENOENT || i == 0))
			return vz_fail(err, MIG_EXIT_CONFIG, errno, "rename %s", from);
	}
	r = vz_fsync_dir_of(to);
	return r < 0 ? vz_fail(err, MIG_EXIT_CONFIG, -r, "fsync %s", vps_paths()->conf) : 0;
}

/* Of a VPS with its memory. */
static int install_dump(const struct op *o, struct vz_error *err)
{
	char from[PATH_MAX], to[PATH_MAX], rounds[PATH_MAX], there[PATH_MAX];
	int r;

	(void)op_rounds_beside(op_dump_staged(o, from), rounds);
	(void)op_rounds_beside(op_dump_path(o, to), there);
	(void)!vz_rm_rf(AT_FDCWD, there);
	if (rename(rounds, there) < 0 && errno != ENOENT)
		return vz_fail(err, MIG_EXIT_COPY, errno, "rename %s", rounds);
	if (rename(from, to) < 0)
		return errno == ENOENT ? 0 : vz_fail(err, MIG_EXIT_COPY, errno, "rename %s", from);
	r = vz_fsync_dir_of(to);
	return r < 0 ? vz_fail(err, MIG_EXIT_COPY, -r, "fsync above %s", to) : 0;
}

/* Everything gets its place, on disk, before anything is promised. */
static int install(struct taking *t, struct vz_error *err)
{
	struct op *o = &t->o;
	char staged[PATH_MAX];
	VZ_FD int fd = -EBADF;
	int r;

	t->j.installed = true;
	r = mig_journal_save(&t->j);
	if (r < 0)
		return vz_fail(err, r == -ENOSPC ? MIG_EXIT_SPACE : MIG_EXIT_COPY, -r,
			       "write the journal");
	if (!t->j.shared) {
		fd = vz_openat(AT_FDCWD, op_private_staged(o->cfg.ve_private, staged),
			       O_RDONLY | O_DIRECTORY, 0);
		if (fd < 0)
			return vz_fail(err, MIG_EXIT_COPY, -fd, "%s", staged);
		r = op_sync(fd, &t->conn, err);
		if (r < 0)
			return r;
		/* an empty directory that somebody made meanwhile would be replaced: no harm */
		if (rename(staged, o->cfg.ve_private) < 0)
			return vz_fail(err, MIG_EXIT_COPY, errno, "rename %s", staged);
		r = vz_fsync_dir_of(o->cfg.ve_private);
		if (r < 0)
			return vz_fail(err, MIG_EXIT_COPY, -r, "fsync above %s", o->cfg.ve_private);
	}
	r = install_dump(o, err);
	return r < 0 ? r : install_names(t, err);
}

static int undump_child(void *arg, struct vz_error *err)
{
	const struct taking *t = arg;
	VZ_FD int pages = -EBADF;

	if (t->pages < 0)
		return op_mem_undump(t->o.ctid, 0, err);
	pages = op_pages_accept(t, err);
	return pages < 0 ? pages : op_mem_undump(t->o.ctid, pages, err);
}

static int dump_bytes(const struct op *o, uint64_t *ret, struct vz_error *err)
{
	CPT_DESC struct cpt_desc d = { 0 };
	char path[PATH_MAX];

	return op_moving_exit(err, cpt_peek(op_dump_path(o, path), &d, ret, err), MIG_EXIT_COPY);
}

static int on_promise(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	const struct op_move_way *way = op_move_way(t->mode);
	uint64_t dump = 0;
	int r = install(t, err);

	(void)args;
	(void)ret;
	/* a dump that is to be unpacked only after the commit */
	if (r == 0 && way->memory && !way->live)
		r = dump_bytes(&t->o, &dump, err);
	/* the memory too, up to the moment before it runs: what can go wrong there goes wrong now */
	if (r == 0 && t->j.start && way->live)
		r = op_moving_exit(err, mig_busy(&t->conn, undump_child, t, err), MIG_EXIT_START);
	op_pages_deaf(t);
	return r < 0 ? r : op_moving_promise(&t->o, &t->j, dump, err);
}

/* ---- COMMIT, ABORT ---- */

/* It is ours from here on. Whether it starts is told beside that. */
static int take_it(struct op *o, struct mig_journal *j, struct mig_conn *c, json_t **ret,
		   struct vz_error *err)
{
	struct vz_error start = { 0 };
	int r = op_moving_take(o, j, err);

	if (r < 0)
		return r;
	if (op_moving_run(o, j, c, &start) < 0)
		*ret = json_pack("{so}", "start_error", vz_json_text(start.msg));
	return 0;
}

static int on_commit(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	(void)args;
	return take_it(&t->o, &t->j, &t->conn, ret, err);
}

static int on_abort(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	(void)args;
	(void)ret;
	return op_moving_drop(&t->o, &t->j, err);
}

/* ---- the word of a source over another connection ---- */

static int judge(struct op *o, struct mig_journal *j, struct mig_conn *c, bool commit, json_t **ret,
		 struct vz_error *err)
{
	if (j->step == MIG_S_TAKEN)
		return commit ? 0
			      : vz_fail(err, MIG_EXIT_PROTOCOL, 0, "VPS %u was taken already",
					j->ctid);
	if (commit && j->step == MIG_S_PROMISED)
		return take_it(o, j, c, ret, err);
	if (!commit && (j->step == MIG_S_PROMISED || j->step == MIG_S_TAKING)) {
		int r;

		j->keep = false;
		r = op_moving_drop(o, j, err);
		if (r == 0)
			mig_journal_clear(j); /* it is no promise any more */
		return r;
	}
	return vz_fail(err, MIG_EXIT_PROTOCOL, 0, "VPS %u: journal \"%s\" where the source says %s",
		       j->ctid, mig_step_name(j->step), commit ? "commit" : "abort");
}

/* Lock and journal of a migration by CTID and id. Return: 0; 1 there is none of it (any more); -errno. */
static int open_journal(struct taking *t, const json_t *args, struct vz_error *err)
{
	uint32_t ctid = 0;
	struct vz_error ignored;
	int r = take_ctid(args, &ctid, err);

	if (r < 0)
		return r;
	if (t->opened) /* a second word on this connection */
		op_close(&t->o);
	mig_journal_clear(&t->j);
	t->opened = true;
	*t->shown = ctid;
	t->env.lock_wait_ms = VERDICT_WAIT_MS; /* who lost the connection ends by itself */
	r = op_open_new(&t->o, &t->env, ctid, "receiving", err);
	if (r < 0)
		return op_moving_exit(err, r, MIG_EXIT_NODE);
	r = mig_journal_load(ctid, &t->j);
	if (r == -ENOENT || (r == 0 && strcmp(t->j.id, vz_json_str(args, "id")) != 0))
		return 1;
	if (r < 0)
		return vz_fail(err, MIG_EXIT_NODE, -r, "the journal of VPS %u on the target", ctid);
	if (vps_load_over(&t->o.cfg, ctid, NULL, &ignored) < 0)
		t->o.cfg.ctid = ctid;
	return 0;
}

static int on_verdict(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	const char *verdict = vz_json_str(args, "verdict");
	bool commit = !strcmp(verdict, "commit");
	int r;

	if (!commit && strcmp(verdict, "abort") != 0)
		return op_taking_bad(err, "verdict");
	r = open_journal(t, args, err);
	if (r == 1 && commit)
		r = vz_fail(err, MIG_EXIT_PROTOCOL, 0,
			    "VPS %u: the target knows nothing of this migration", t->o.ctid);
	else if (r == 1)
		r = 0; /* nothing is left of it */
	else if (r == 0)
		r = judge(&t->o, &t->j, &t->conn, commit, ret, err);
	return r;
}

static int on_forget(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	int r = t->state == MIG_OWNS ? 0 : open_journal(t, args, err);

	(void)ret;
	if (r != 0)
		return r < 0 ? r : 0;
	if (t->j.step != MIG_S_TAKEN)
		return vz_fail(err, MIG_EXIT_PROTOCOL, 0, "VPS %u was never taken", t->j.ctid);
	op_moving_room_back(&t->o, &t->j);
	r = mig_journal_remove(t->j.ctid);
	return r < 0 ? vz_fail(err, MIG_EXIT_NODE, -r, "remove the journal") : 0;
}

static int on_pages(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	uint32_t ctid = 0;
	int r = take_ctid(args, &ctid, err);

	return r < 0 ? r : op_pages_carry(&t->conn, ctid, vz_json_str(args, "id"), ret, err);
}

static int on_bye(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
{
	(void)t;
	(void)args;
	(void)ret;
	(void)err;
	return 0;
}

static verb_fn *const verbs[MIG_VERBS] = {
	[MIG_HELLO] = on_hello,
	[MIG_CHECK] = on_check,
	[MIG_PREPARE] = op_arrive_prepare,
	[MIG_FILE] = op_arrive_file,
	[MIG_PLACE] = op_arrive_place,
	[MIG_TREE] = op_arrive_tree,
	[MIG_PROMISE] = on_promise,
	[MIG_COMMIT] = on_commit,
	[MIG_ABORT] = on_abort,
	[MIG_VERDICT] = on_verdict,
	[MIG_FORGET] = on_forget,
	[MIG_PAGES] = on_pages,
	[MIG_BYE] = on_bye,
	[MIG_ROUND] = op_arrive_round,
};

/* One verb. Return: 0 go on; -errno the connection is of no more use. */
static int serve(struct taking *t, struct vz_error *err)
{
	VZ_JSON json_t *args = NULL;
	json_t *answer = NULL;
	struct vz_error why = { 0 };
	enum mig_state next = t->state;
	struct mig_frame f;
	int verb, r = mig_recv(&t->conn, &f, err);

	if (r < 0)
		return r;
	if (f.type != MIG_CALL)
		return vz_fail(err, MIG_EXIT_PROTOCOL, EBADMSG, "no verb where one was due");
	r = mig_frame_json(&f, &args, err);
	if (r < 0)
		return r;
	verb = mig_verb_legal(t->state, vz_json_str(args, "verb"), &next, &why);
	r = verb < 0 ? verb : op_steps_fault("receive", (size_t)verb + 1, &why);
	if (r == 0)
		r = verbs[verb](t, args, &answer, &why);
	if (r == 0)
		r = op_steps_fault("received", (size_t)verb + 1, &why);
	vz_info("%s: %s", verb < 0 ? "bad verb" : mig_verb_name((enum mig_verb)verb),
		r < 0 ? why.msg : "done");
	if (r < 0 && mig_link_broken(&why) && why.sys) {
		json_decref(answer);
		*err = why;
		return r;
	}
	if (r < 0) {
		json_decref(answer);
		return mig_refuse(&t->conn, &why, err);
	}
	t->state = next;
	return mig_answer(&t->conn, answer, err);
}

/* The connection is gone, or the source does not go on. */
static void give_up(struct taking *t)
{
	struct vz_error err;

	if ((t->state == MIG_PROMISED || t->j.step == MIG_S_PROMISED) &&
	    op_moving_drop_memory(&t->o, &err) < 0)
		vz_warn("WARNING: %s", err.msg);
	if (t->state == MIG_PROMISED || t->j.step == MIG_S_PROMISED)
		vz_warn("WARNING: VPS %u is promised; its source decides (vzmigrate --recover %u "
			"there)",
			t->j.ctid, t->j.peer_ctid);
	else if ((t->state == MIG_TAKING || t->state == MIG_PLACED) &&
		 op_moving_drop(&t->o, &t->j, &err) < 0)
		vz_warn("WARNING: %s", err.msg);
}

/** struct ends - of the connection; @ctid: in memory that the worker shares, of whom it is at work on, 0 nobody */
struct ends {
	int in, out;
	uint32_t *ctid;
};

static int receive(void *arg, struct vz_error *err)
{
	const struct ends *e = arg;
	struct taking t = { .env = { .migrating = true },
			    .o = { .lock = { .fd = -1 }, .userns = -1 },
			    .pages = -1,
			    .shown = e->ctid };
	int r = mig_conn_init(&t.conn, e->in, e->out, 60000);

	if (r < 0)
		return vz_fail(err, MIG_EXIT_CONNECT, -r, "connection");
	while (r == 0 && t.state != MIG_OVER)
		r = serve(&t, err);
	op_pages_deaf(&t);
	if (r < 0)
		give_up(&t);
	if (t.opened)
		op_close(&t.o);
	vz_list_clear(&t.f.ips);
	vz_list_clear(&t.f.cpu);
	mig_journal_clear(&t.j);
	mig_conn_end(&t.conn);
	return r;
}

/* As the worker would have done on a cut connection, or after the commit. */
static int take_up(uint32_t ctid, struct vz_error *err)
{
	const struct op_env env = { .migrating = true, .lock_wait_ms = VERDICT_WAIT_MS };
	MIG_JOURNAL struct mig_journal j = { 0 };
	OP struct op o = { .lock = { .fd = -1 }, .userns = -1 };
	struct vz_error ignored;
	int r = op_open_new(&o, &env, ctid, "receiving", err);

	if (r < 0)
		return r;
	if (mig_journal_load(ctid, &j) < 0)
		return 0;
	if (vps_load_over(&o.cfg, ctid, NULL, &ignored) < 0)
		o.cfg.ctid = ctid;
	if (j.step == MIG_S_TAKING)
		return op_moving_drop(&o, &j, err);
	if (j.step == MIG_S_TAKEN)
		return op_moving_run(&o, &j, NULL, err);
	return op_moving_drop_memory(&o, err); /* promised: its dump stays */
}

/* In a process of its own, for the same reason as on the source. */
int op_migrate_receive(int in, int out, struct vz_error *err)
{
	struct ends e = { in, out, NULL };
	struct vz_error died;
	int r;

	e.ctid = mmap(NULL, sizeof(*e.ctid), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (e.ctid == MAP_FAILED)
		return vz_fail(err, MIG_EXIT_NODE, errno, "shared memory");
	r = mig_busy(NULL, receive, &e, err);
	vz_closep(&e.in);
	vz_closep(&e.out);
	if (r == -ECHILD && err->sys == ECHILD && *e.ctid && take_up(*e.ctid, &died) < 0)
		vz_warn("WARNING: %s", died.msg);
	if (r == -EPIPE && *e.ctid) { /* they know why they went, and nobody else reads here */
		vz_info("VPS %u: %s", *e.ctid, err->msg);
		err->msg[0] = '\0';
	}
	return r;
}
