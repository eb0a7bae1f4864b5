/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vzmigrate on the source: one table of steps up to the promise of the target, then the commit, after
 * which there is only forward. docs/migrate.md.
 */
#include "ops/sending.h"

#include "ops/cpt.h"
#include "ops/steps.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/proc.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

enum { RETRY_MS = 2000 };

/* ---- the steps up to the promise ---- */

/*
 * What cannot be dumped is said before anything changes. With --fallback warm such a VPS moves by a restart.
 */
static int check_memory(struct sending *s, struct vz_error *err)
{
	VZ_LIST struct vz_list found = { 0 };
	struct cpt_load load = { 0 };
	int r = op_mem_check(s->o, &found, &load, err);

	s->memory_bytes = load.memory_bytes;
	if (r < 0 && !s->a->fallback)
		return r;
	if (r == 0 && !found.n) {
		s->mode = op_move_choose(s->o, s->a, &load);
		return 0;
	}
	for (size_t i = 0; i < found.n; i++)
		vz_warn("WARNING: VPS %u: %s", s->o->ctid, found.v[i]);
	if (r == 0 && !s->a->fallback)
		return vz_fail(err, MIG_EXIT_FEATURES, 0,
			       "VPS %u cannot be dumped, for %zu reason(s) (--fallback warm stops "
			       "it and starts it there)",
			       s->o->ctid, found.n);
	vz_warn("WARNING: VPS %u moves by a stop and a start: its programs end%s%s", s->o->ctid,
		r < 0 ? ": " : "", r < 0 ? err->msg : "");
	*err = (struct vz_error){ 0 };
	s->mode = OP_MOVE_OFFLINE;
	return 0;
}

/* One that came here by rounds and could not go on: it moves again once it has. */
static int check_dump(const struct sending *s, struct vz_error *err)
{
	CPT_DESC struct cpt_desc d = { 0 };
	char path[PATH_MAX];
	struct vz_error ignored;

	if (cpt_peek(op_dump_path(s->o, path), &d, NULL, &ignored) < 0 || !d.parents)
		return 0;
	return vz_fail(err, MIG_EXIT_FEATURES, 0,
		       "%s of VPS %u stands on rounds of an earlier migration: resume it first",
		       path, s->o->ctid);
}

static int step_look(void *arg, struct vz_error *err)
{
	struct sending *s = arg;
	struct op *o = s->o;
	struct op_status_words w;
	VZ_LIST struct vz_list left = { 0 };
	struct sto_place p;
	int r;

	if (o->bad)
		return vz_fail(err, MIG_EXIT_CONFIG, 0,
			       "%u bad line(s) in the configuration of VPS %u", o->bad, o->ctid);
	w = op_status(o->ctid, &left);
	if (!w.exists)
		return vz_fail(err, MIG_EXIT_ABSENT, 0, "VPS %u has no private area", o->ctid);
	s->running = w.running;
	s->suspended = w.suspended;
	if (!s->running && op_move_way(s->mode)->memory)
		return vz_fail(err, MIG_EXIT_STOPPED, 0,
			       "VPS %u does not run: without --online it moves as "
			       "it is",
			       o->ctid);
	if (!s->running) {
		r = op_mend(o, err);
		if (r < 0)
			return op_moving_exit(err, r, MIG_EXIT_NODE);
	}
	r = s->suspended ? check_dump(s, err) : 0;
	if (r < 0)
		return r;
	r = op_place(o, &p, err);
	if (r < 0)
		return op_moving_exit(err, r, MIG_EXIT_TEMPLATE);
	r = op_move_way(s->mode)->memory ? check_memory(s, err) : 0;
	if (r < 0)
		return r;
	s->j.ctid = o->ctid;
	s->j.peer_ctid = s->a->new_id ? s->a->new_id : o->ctid;
	s->j.was_running = s->running;
	s->j.start = s->running && !s->a->nostart;
	s->j.remove = s->a->remove;
	s->j.step = MIG_S_COPYING;
	if (vz_copy(s->j.host, sizeof(s->j.host), s->a->host) < 0 ||
	    vz_copy(s->j.mode, sizeof(s->j.mode), op_move_way(s->mode)->name) < 0 ||
	    vz_list_copy(&s->j.transport, &s->a->transport) < 0 || mig_new_id(s->j.id) < 0)
		return vz_fail(err, MIG_EXIT_USAGE, EINVAL, "host %s", s->a->host);
	return 0;
}

static int progress(void *arg)
{
	const struct sending *s = arg;
	struct winsize w = { 0 };
	char line[256];

	if (s->a->progress && s->at.stage &&
	    mig_progress_line(line, sizeof(line), &s->at, op_send_sent(s), vz_now_ms(),
			      ioctl(2, TIOCGWINSZ, &w) == 0 && w.ws_col > 8 ? w.ws_col : 80) > 0)
		(void)fprintf(stderr, "\r%s\033[K", line);
	return op_steps_cancelled() && !s->committed ? -EINTR : 0;
}

static int step_connect(void *arg, struct vz_error *err)
{
	struct sending *s = arg;
	int r = op_link_open(&s->a->transport, s->a->host, s->a->timeout_ms, &s->link, err);

	if (r < 0)
		return r;
	s->link.conn.limit = s->a->limit;
	s->link.conn.tick = progress;
	s->link.conn.tick_arg = s;
	return 0;
}

static int step_check(void *arg, struct vz_error *err)
{
	struct sending *s = arg;
	int r = op_send_check(s, err);

	/* CRIU removes the names that deleted files have for the dump before they are restored */
	if (r == 0 && s->j.shared && op_move_way(s->mode)->lazy)
		r = vz_fail(err, MIG_EXIT_FEATURES, 0,
			    "mode %s: the files of VPS %u are on storage that both nodes share; "
			    "auto, pre-copy and stop-and-copy can move it",
			    op_move_way(s->mode)->name, s->o->ctid);
	return r;
}

static int save(struct sending *s, struct vz_error *err)
{
	int r = mig_journal_save(&s->j);

	return r < 0 ? vz_fail(err, MIG_EXIT_COPY, -r, "write the journal of VPS %u", s->o->ctid)
		     : 0;
}

static int step_journal(void *arg, struct vz_error *err)
{
	return save(arg, err);
}

/* They are told, if the link is there; if not, over another one, once. */
static void undo_journal(void *arg)
{
	struct sending *s = arg;
	struct vz_error err;
	bool told = !s->told;

	if (op_moving_undo(s->o, &s->j, &err) < 0)
		vz_warn("WARNING: %s", err.msg);
	if (s->told && s->link.up && !s->link.conn.in_stream &&
	    mig_call(&s->link.conn, "ABORT", NULL, NULL, &err) == 0)
		told = true;
	op_link_close(&s->link);
	if (!told && op_moving_tell(&s->j, "abort", 10000, &err) == 0)
		told = true;
	if (told && mig_journal_remove(s->o->ctid) == 0)
		return;
	vz_warn("WARNING: %s may have part of a copy of VPS %u (vzmigrate --recover %u tells it): "
		"%s",
		s->j.host, s->j.peer_ctid, s->o->ctid, err.msg);
}

static int step_prepare(void *arg, struct vz_error *err)
{
	struct sending *s = arg;

	op_send_stage(s, "Preparing the remote node", 0);
	s->told = true;
	return op_send_files(s, err);
}

static int step_copy(void *arg, struct vz_error *err)
{
	struct sending *s = arg;
	int r;

	if (s->j.shared)
		op_send_stage(s, "The files are on shared storage", 0);
	else
		op_send_stage(s, "Copying files", s->file_bytes);
	r = op_send_tree(s, false, err);
	return r < 0 || !op_move_way(s->mode)->rounds ? r : op_send_rounds(s, err);
}

static int halt_child(void *arg, struct vz_error *err)
{
	const struct sending *s = arg;
	const struct op_env env = { .skiplock = true, .migrating = true };
	const struct op_stop stop = { 0 };

	op_moving_hush();
	if (op_move_way(s->mode)->live)
		return op_mem_dump(s->o, &s->chain, s->pages.theirs, op_send_level(s), err);
	if (op_move_way(s->mode)->memory)
		return op_mem_suspend(s->o->ctid, op_send_level(s), err);
	return op_stop(&env, s->o->ctid, &stop, err);
}

static int unhalt_child(void *arg, struct vz_error *err)
{
	const struct sending *s = arg;
	const struct op_env env = { .skiplock = true, .migrating = true };
	const struct op_start start = { 0 };

	op_moving_hush();
	if (op_moving_end_stop(s->o, &s->j, err) < 0)
		return -EIO;
	/* after rounds there is no dump of use here, should it have died meanwhile */
	if (op_move_way(s->mode)->memory && (vps_running(s->o->ctid, NULL) || op_mem_there(s->o)))
		return op_mem_goes_on(s->o->ctid, err);
	return vps_running(s->o->ctid, NULL) ? 0 : op_start(&env, s->o->ctid, &start, err);
}

static int step_halt(void *arg, struct vz_error *err)
{
	struct sending *s = arg;
	int r;

	if (!s->running)
		return 0;
	s->j.frozen = true;
	r = save(s, err);
	if (r < 0)
		return r;
	if (op_move_way(s->mode)->lazy && op_pages_stream(s, err) < 0)
		return -EMFILE;
	s->halted_ms = vz_now_ms();
	op_send_stage(s, op_move_way(s->mode)->halt, 0);
	r = mig_busy(&s->link.conn, halt_child, s, err);
	vz_closep(&s->pages.theirs);
	/* its own script said no before it was told to halt: it goes on */
	if (r < 0 && !op_move_way(s->mode)->memory &&
	    (err->exit == VZ_EXIT_SCRIPT || err->exit == VZ_EXIT_EXEC_TIMEOUT))
		s->j.frozen = false;
	return op_moving_exit(err, r, MIG_EXIT_STOP);
}

static void undo_halt(void *arg)
{
	struct sending *s = arg;
	struct vz_error err;

	op_pages_end(s); /* CRIU does not let go of the VPS before */
	if (!s->j.frozen)
		return;
	if (mig_busy(NULL, unhalt_child, s, &err) < 0)
		vz_warn("WARNING: VPS %u stands still: %s", s->o->ctid, err.msg);
	else
		s->j.frozen = false;
}

static int step_rest(void *arg, struct vz_error *err)
{
	struct sending *s = arg;

	if (!s->running)
		return 0;
	if (!s->j.shared)
		op_send_stage(s, "Copying what has changed", 0);
	return op_send_tree(s, true, err);
}

static int step_dump(void *arg, struct vz_error *err)
{
	struct sending *s = arg;

	if (!op_move_way(s->mode)->memory && !s->suspended)
		return 0;
	return op_send_dump(s, err);
}

/* From here on CRIU hands out memory; the processes stay frozen, so all can be taken back up to the commit. */
static int step_serve(void *arg, struct vz_error *err)
{
	struct sending *s = arg;

	return op_move_way(s->mode)->lazy ? op_pages_begin(s, err) : 0;
}

static void undo_serve(void *arg)
{
	op_pages_end(arg);
}

static int step_promise(void *arg, struct vz_error *err)
{
	struct sending *s = arg;

	if (op_move_way(s->mode)->live)
		op_send_stage(s, "Restoring it there", 0);
	return mig_call(&s->link.conn, "PROMISE", NULL, NULL, err);
}

/* The commit point. Whoever reads this journal from now on gives the VPS to the target. */
static int step_commit(void *arg, struct vz_error *err)
{
	struct sending *s = arg;
	int r = op_pages_intact(s, err);

	if (r < 0)
		return r;
	s->j.step = MIG_S_COMMITTED;
	r = save(s, err);
	if (r < 0)
		s->j.step = MIG_S_COPYING;
	s->committed = r == 0;
	return r;
}

static const struct op_step send_steps[] = {
	{ "look", step_look, NULL },	   { "connect", step_connect, NULL },
	{ "check", step_check, NULL },	   { "journal", step_journal, undo_journal },
	{ "prepare", step_prepare, NULL }, { "copy", step_copy, NULL },
	{ "halt", step_halt, undo_halt },  { "rest", step_rest, NULL },
	{ "dump", step_dump, NULL },	   { "serve", step_serve, undo_serve },
	{ "promise", step_promise, NULL }, { "commit", step_commit, NULL },
};

/* ---- after it ---- */

static void tell_start(const struct sending *s, const char *why, struct vz_error *err)
{
	char shown[300];

	(void)vz_fail(err, MIG_EXIT_START, 0, "VPS %u is on %s now, but does not run there: %s",
		      s->j.peer_ctid, s->j.host, vz_quote(shown, sizeof(shown), why));
}

/* A moment, in which the other side hears of us. */
static int nap(struct sending *s, struct vz_error *err)
{
	enum { STEP_MS = 200 };
	int r = 0;

	for (int ms = 0; r == 0 && ms < RETRY_MS; ms += STEP_MS) {
		(void)poll(NULL, 0, STEP_MS);
		r = mig_alive(&s->link.conn, err);
	}
	return r;
}

/* Over the connection that is there. One that cannot take it, a full disk, an error of one, is asked again. */
static int commit_here(struct sending *s, uint64_t until, struct vz_error *err)
{
	for (bool said = false;; said = true) {
		VZ_JSON json_t *answer = NULL;
		int r;

		*err = (struct vz_error){ 0 };
		r = mig_call(&s->link.conn, "COMMIT", NULL, &answer, err);
		if (r == 0 && *vz_json_str(answer, "start_error"))
			tell_start(s, vz_json_str(answer, "start_error"), err);
		if (r == 0 || mig_link_broken(err) || vz_now_ms() > until)
			return r;
		if (!said)
			vz_warn("WARNING: VPS %u is theirs now, but %s cannot take it yet: %s; "
				"asking again",
				s->o->ctid, s->j.host, err->msg);
		r = nap(s, err);
		if (r < 0)
			return r;
	}
}

/* Until they know, and could take it, by this connection or by others. */
static int tell_commit(struct sending *s, struct vz_error *err)
{
	uint64_t until = vz_now_ms() + (uint64_t)s->a->timeout_ms;
	bool broken;
	int fault = op_steps_fault("finish", 1, err);
	int r = fault < 0 ? fault : commit_here(s, until, err);

	if (r == 0)
		return 0;
	op_link_close(&s->link);
	while (fault == 0) {
		if (mig_link_broken(err))
			vz_warn("WARNING: %s; connecting again, since VPS %u is theirs now",
				err->msg, s->o->ctid);
		*err = (struct vz_error){ 0 };
		r = op_moving_tell(&s->j, "commit", 10000, err);
		if (r == 0)
			return 0;
		if (vz_now_ms() > until)
			break;
		(void)poll(NULL, 0, RETRY_MS);
	}
	broken = mig_link_broken(err);
	return vz_wrap(err, r, "VPS %u belongs to %s, which %s (vzmigrate --recover %u tells it)",
		       s->o->ctid, s->j.host, broken ? "does not answer" : "could not take it yet",
		       s->o->ctid);
}

/* There is only forward: it takes a moment, or the journal. */
static void ignore_signals(void)
{
	const struct sigaction ign = { .sa_handler = SIG_IGN };

	(void)sigaction(SIGINT, &ign, NULL);
	(void)sigaction(SIGTERM, &ign, NULL);
	(void)sigaction(SIGHUP, &ign, NULL);
}

/* Our copy goes, then they forget, then we. */
static int clean_up(struct sending *s, struct vz_error *err)
{
	int r = op_steps_fault("finish", 2, err);

	if (r == 0)
		r = op_moving_clean(s->o, &s->j, err);
	if (r == 0)
		r = op_steps_fault("finish", 3, err);
	if (r == 0 && s->link.up)
		r = mig_call(
			&s->link.conn, "FORGET",
			json_pack("{sI ss}", "ctid", (json_int_t)s->j.peer_ctid, "id", s->j.id),
			NULL, err);
	else if (r == 0)
		r = op_moving_tell(&s->j, "forget", 10000, err);
	if (r == 0)
		r = op_steps_fault("finish", 4, err);
	if (r == 0 && mig_journal_remove(s->o->ctid) < 0)
		r = vz_fail(err, MIG_EXIT_COPY, EIO, "remove the journal");
	return r;
}

/* What runs there fetches the rest of its memory. Cut off, it starts anew there: it is theirs for good. */
static void send_rest(struct sending *s, struct vz_error *err)
{
	struct vz_error why = { 0 };

	if (s->pages.pid <= 0)
		return;
	/* after rounds nobody knows how much of it was written to */
	op_send_stage(s, "Sending the rest of the memory",
		      !s->chain.n && s->memory_bytes > *s->pages.sent
			      ? s->memory_bytes - *s->pages.sent
			      : 0);
	if (op_pages_wait(s, &why) < 0 && !err->exit)
		(void)vz_fail(err, MIG_EXIT_START, 0,
			      "VPS %u is on %s now, but not all of its memory came there: it was "
			      "started anew: %s",
			      s->j.peer_ctid, s->j.host, why.msg);
}

static int finish(struct sending *s, struct vz_error *err)
{
	struct vz_error later = { 0 };
	int r;

	ignore_signals();
	op_send_stage(s, s->j.start ? "Starting it there" : "Handing it over", 0);
	r = tell_commit(s, err);
	s->going_ms = vz_now_ms();
	if (r < 0)
		return r;
	send_rest(s, err);
	op_send_stage(s, "Cleaning up", 0);
	s->copied_bytes = s->link.up ? s->link.conn.sent : 0;
	s->copied_bytes += s->pages.sent ? *s->pages.sent : 0;
	if (clean_up(s, &later) < 0) /* it has moved all the same */
		vz_warn("WARNING: VPS %u: %s (vzmigrate --recover %u completes it)", s->o->ctid,
			later.msg, s->o->ctid);
	/* a start that failed there is told, and is this program's exit status */
	return err->exit ? -EPROTO : 0;
}

static void tell_times(const struct sending *s)
{
	uint64_t now = vz_now_ms();

	if (!s->a->times)
		return;
	for (unsigned int i = 0; i < s->chain.n; i++)
		vz_say("Round %u: %.1f MiB", i + 1, (double)s->round_bytes[i] / (1 << 20));
	if (s->dump_bytes)
		vz_say("Dump: %.1f MiB", (double)s->dump_bytes / (1 << 20));
	if (s->halted_ms)
		vz_say("%s time: %.2f s", op_move_way(s->mode)->still,
		       (double)(s->going_ms - s->halted_ms) / 1000);
	vz_say("Sent: %" PRIu64 " KiB", s->copied_bytes >> 10);
	vz_say("Total time: %.2f s", (double)(now - s->begun_ms) / 1000);
}

static int move(struct sending *s, struct vz_error *err)
{
	size_t steps = sizeof(send_steps) / sizeof(*send_steps);
	int r = op_steps_run("migrate", send_steps, s->a->dry_run ? 3 : steps, s, err);

	if (r < 0 && err->sys == EINTR && op_steps_cancelled())
		err->exit = MIG_EXIT_TERMINATED;
	if (r == 0 && s->a->dry_run) {
		vz_say("VPS %u can be moved to %s (%s)", s->o->ctid, s->a->host, s->j.mode);
		return 0;
	}
	if (r == 0)
		r = finish(s, err);
	if (s->a->progress)
		(void)fprintf(stderr, "\r\033[K");
	if (r == 0) {
		tell_times(s);
		vz_say("VPS %u was moved to %s", s->o->ctid, s->a->host);
	}
	return r;
}

/** struct worker - arguments of the process that does it */
struct worker {
	const struct op_env *env;
	uint32_t ctid;
	const struct op_migrate *a;
};

static int work(void *arg, struct vz_error *err)
{
	const struct worker *w = arg;
	uint64_t begun = vz_now_ms();
	OP struct op o = { .lock = { .fd = -1 }, .userns = -1 };
	struct sending s = { .o = &o,
			     .a = w->a,
			     .mode = w->a->mode,
			     .pages = OP_PAGES_NONE,
			     .at = { .stage = "Connecting", .begun_ms = begun, .since_ms = begun },
			     .begun_ms = begun };
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0); /* then it is taken back, or completed */
	r = op_move_possible(w->a, err);
	if (r < 0)
		return r;
	r = op_open(&o, w->env, w->ctid, "migrating", err);
	if (r < 0 && err->exit == VZ_EXIT_NOVECONFIG)
		return vz_fail(err, MIG_EXIT_ABSENT, 0, "there is no VPS %u", w->ctid);
	if (r < 0)
		return op_moving_exit(
			err, r, err->exit == VZ_EXIT_NOVECONFIG ? MIG_EXIT_ABSENT : MIG_EXIT_NODE);
	vz_say("Starting migration of VPS %u to %s", w->ctid, w->a->host);
	r = move(&s, err);
	if (s.link.up) {
		struct vz_error ignored;

		(void)!mig_call(&s.link.conn, "BYE", NULL, NULL, &ignored);
	}
	op_link_close(&s.link);
	mig_journal_clear(&s.j);
	return r;
}

/*
 * In a process of its own: whoever kills it finds us here, who put the VPS back into motion at once. If we
 * are killed as well, the next command on the VPS does it (op_guard).
 */
int op_migrate(const struct op_env *env, uint32_t ctid, const struct op_migrate *a,
	       struct vz_error *err)
{
	struct worker w = { env, ctid, a };
	const struct sigaction pass = { .sa_handler = mig_busy_signal, .sa_flags = SA_RESTART };
	struct sigaction old[3];
	struct vz_error died;
	int r;

	(void)sigaction(SIGINT, &pass, &old[0]);
	(void)sigaction(SIGTERM, &pass, &old[1]);
	(void)sigaction(SIGHUP, &pass, &old[2]);
	r = mig_busy(NULL, work, &w, err);
	(void)sigaction(SIGINT, &old[0], NULL);
	(void)sigaction(SIGTERM, &old[1], NULL);
	(void)sigaction(SIGHUP, &old[2], NULL);

	if (r != -ECHILD || err->sys != ECHILD)
		return r;
	vz_warn("WARNING: the migration of VPS %u was killed", ctid);
	if (mig_journal_there(ctid) &&
	    op_migrate_recover(env, ctid, OP_RECOVER_ASK, a->timeout_ms, &died) < 0)
		vz_warn("WARNING: %s", died.msg);
	return r;
}
