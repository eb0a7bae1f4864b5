/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/cpt.h"

#include "context/gate.h"
#include "net/net.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { THAW_MS = 10000, SERVER_MS = 5000 };

char *op_dump_path(const struct op *o, char *dst)
{
	return vps_path(dst, "%s/Dump.%u", o->cfg.dumpdir ? o->cfg.dumpdir : "", o->ctid);
}

char *op_cpt_rundir(uint32_t ctid, char *dst)
{
	return vps_path(dst, "%s/%u", vps_paths()->run, ctid);
}

/* ---- the note ---- */

static const char *const words[] = {
	[OP_HOLD_NONE] = "none",	   [OP_HOLD_ROUND] = "round",
	[OP_HOLD_WORKING] = "working",	   [OP_HOLD_STAGE] = "stage",
	[OP_HOLD_RESTORING] = "restoring", [OP_HOLD_RESTORED] = "restored"
};

static char *held_path(uint32_t ctid, char *dst)
{
	return vps_path(dst, "%s/%u/held", vps_paths()->run, ctid);
}

/* "PID START" */
static void read_server(char *text, struct op_held *ret)
{
	char *blank = strchr(text, ' ');
	uint64_t pid = 0, start = 0;

	if (blank)
		*blank = '\0';
	if (!blank || vz_parse_u64(text, 2, INT32_MAX, &pid) < 0 ||
	    vz_parse_u64(blank + 1, 1, UINT64_MAX, &start) < 0)
		return;
	ret->server = (pid_t)pid;
	ret->server_start = start;
}

void op_held_read(uint32_t ctid, struct op_held *ret)
{
	VZ_FREE char *text = NULL;
	char path[PATH_MAX], *save = NULL, *line;

	*ret = (struct op_held){ .hold = OP_HOLD_NONE };
	if (vz_read_file(AT_FDCWD, held_path(ctid, path), 8192, &text) < 0)
		return;
	ret->hold = OP_HOLD_WORKING; /* at least that, whatever it says */
	line = strtok_r(text, "\n", &save);
	for (size_t i = 0; line && i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(line, words[i]))
			ret->hold = (enum op_hold)i;
	while ((line = strtok_r(NULL, "\n", &save))) {
		if (!strncmp(line, "file ", 5))
			(void)!vz_copy(ret->file, sizeof(ret->file), line + 5);
		else if (!strncmp(line, "link ", 5))
			(void)!vz_copy(ret->link, sizeof(ret->link), line + 5);
		else if (!strncmp(line, "ping ", 5))
			(void)!vz_copy(ret->ping, sizeof(ret->ping), line + 5);
		else if (!strncmp(line, "server ", 7))
			read_server(line + 7, ret);
	}
}

int op_held_write(uint32_t ctid, const struct op_held *h, struct vz_error *err)
{
	VZ_FREE char *text =
		vz_fmt("%s\nfile %s\nlink %s\nping %s\nserver %d %" PRIu64 "\n", words[h->hold],
		       h->file, h->link, h->ping, (int)h->server, h->server_start);
	char path[PATH_MAX];
	int r = text ? vz_write_volatile(held_path(ctid, path), text, strlen(text), 0600) : -ENOMEM;

	return r < 0 ? vz_fail(err, VZ_EXIT_CHKPNT, -r, "note that VPS %u stands still", ctid) : 0;
}

void op_held_forget(uint32_t ctid)
{
	char path[PATH_MAX];

	(void)unlink(held_path(ctid, path));
}

/* ---- going back ---- */

static void ping_back(const struct vps_state *st, const struct op_held *h)
{
	char path[64];
	VZ_FD int netns = -EBADF;

	if (!h->ping[0])
		return;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)st->init_pid);
	netns = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (netns < 0 || net_ping_set(netns, st->uid_base, st->uid_count, h->ping) < 0)
		vz_warn("WARNING: net.ipv4.ping_group_range of the VPS is \"1 0\" now, it was "
			"\"%s\"",
			h->ping);
}

enum what { NO_DUMP, PART, WHOLE };

/*
 * Is @h->file a dump of the very VPS that stands still? It was renamed when all of it was written. One that stands on
 * rounds, or is handed out later, is a part: the rest is on another node, or in memory.
 */
static enum what dumped(const struct op *o, const struct vps_state *st, const struct op_held *h)
{
	CPT_DESC struct cpt_desc d = { 0 };
	struct vz_error ignored;
	bool ours = h->file[0] && cpt_peek(h->file, &d, NULL, &ignored) == 0 && d.ctid == o->ctid &&
		    d.init_pid == st->init_pid && d.init_start == st->init_start &&
		    !strcmp(d.boot_id, st->boot_id);

	return !ours ? NO_DUMP : d.parents || d.lazy ? PART : WHOLE;
}

void op_end_server(const struct op_held *h)
{
	VZ_FD int pidfd = -EBADF;

	if (!h->server)
		return;
	pidfd = vz_proc_pidfd(h->server, h->server_start);
	if (pidfd < 0 || vz_pidfd_poll(pidfd, SERVER_MS) == 0)
		return;
	(void)!vz_pidfd_signal(pidfd, SIGKILL);
	(void)!vz_pidfd_poll(pidfd, SERVER_MS);
}

/* What a dump that did not come to its end has left beside @file. */
static void half_forget(const char *file)
{
	char path[PATH_MAX];

	if (!file[0])
		return;
	(void)unlink(vps_path(path, "%s.part", file));
	(void)!vz_rm_rf(AT_FDCWD, vps_path(path, "%s.tmp", file));
}

/* The link was down while memory was handed out; with it went the node's routes. */
static void link_back(const struct op *o, const struct vps_state *st, const struct op_held *h)
{
	char path[64];
	VZ_FD int netns = -EBADF;
	struct vz_error err;

	if (!h->server || !st->ifname[0])
		return;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)st->init_pid);
	netns = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (net_link_up(st->ifname, true, &err) < 0 ||
	    op_addr_add_all(o, st->ifname, netns, &err) < 0)
		vz_warn("WARNING: the network of VPS %u is not as it was: %s", o->ctid, err.msg);
}

int op_thaw(struct op *o, const struct vps_state *st, const struct op_held *h, struct vz_error *err)
{
	CTX_GATE struct ctx_gate gate = CTX_GATE_NONE;
	char rundir[PATH_MAX];
	int r = 0;

	if (h->hold == OP_HOLD_ROUND)
		op_round_settle(o->ctid);
	else if (ctx_gate_open(op_cpt_rundir(o->ctid, rundir), &gate) == 0)
		r = ctx_gate_say(&gate, false);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_CHKPNT, -r, "CRIU does not answer");
	op_end_server(h);
	if (dumped(o, st, h) != NO_DUMP)
		(void)unlink(h->file);
	half_forget(h->file);
	ping_back(st, h);
	link_back(o, st, h);
	r = res_freeze(&st->cgroups, false, THAW_MS, err);
	if (r == 0)
		op_held_forget(o->ctid);
	else
		err->exit = VZ_EXIT_CHKPNT;
	return r;
}

/* All of it is killed; then what is left is cleaned up. */
static int end_it(struct op *o, const struct vps_state *st, struct vz_error *err)
{
	RES_CG struct cg *cg = NULL;
	int r = res_open(&st->cgroups, &cg, err);

	if (r == 0)
		r = res_kill_all(cg, THAW_MS, err);
	if (r == 0)
		op_held_forget(o->ctid);
	return r < 0 ? r : op_mend(o, err);
}

static int finish_suspend(struct op *o, const struct vps_state *st, struct vz_error *err)
{
	CTX_GATE struct ctx_gate gate = CTX_GATE_NONE;
	char rundir[PATH_MAX];

	/* told to kill, CRIU leaves what its images name */
	if (ctx_gate_open(op_cpt_rundir(o->ctid, rundir), &gate) == 0)
		(void)!ctx_gate_say(&gate, true);
	return end_it(o, st, err);
}

void op_images_forget(const char *file)
{
	char dir[PATH_MAX], rounds[PATH_MAX];

	if (!file[0])
		return;
	(void)!vz_rm_rf(AT_FDCWD, vps_path(dir, "%s.restore", file));
	(void)!vz_rm_rf(AT_FDCWD, vps_path(dir, "%s/last", op_rounds_beside(file, rounds)));
}

void op_dump_used_up(const char *used)
{
	VZ_FREE char *file = strndup(used, strlen(used) - strlen(".used"));
	char rounds[PATH_MAX];

	(void)unlink(used);
	if (file)
		(void)!vz_rm_rf(AT_FDCWD, op_rounds_beside(file, rounds));
}

int op_drop_restored(struct op *o, const struct vps_state *st, const struct op_held *h,
		     struct vz_error *err)
{
	CTX_GATE struct ctx_gate gate = CTX_GATE_NONE;
	char rundir[PATH_MAX];

	if (ctx_gate_open(op_cpt_rundir(o->ctid, rundir), &gate) == 0)
		(void)!ctx_gate_say(&gate, false); /* it kills them */
	if (st->dump[0] && h->file[0] && rename(st->dump, h->file) < 0 && errno != ENOENT)
		vz_warn("WARNING: the dump is %s: %s", st->dump, strerrordesc_np(errno));
	op_images_forget(h->file);
	return end_it(o, st, err);
}

static int limit_memory(struct op *o, struct cg *cg, struct vz_error *err)
{
	VZ_LIST struct vz_list missing = { 0 };

	return res_apply(cg, &o->cfg, 1U << AG_MEM, &missing, err);
}

void op_memory_back(struct op *o, const struct vps_state *st)
{
	enum { TRIES = 20, TRY_MS = 50 };
	RES_CG struct cg *cg = NULL;
	struct vz_error err = { 0 };
	int r = res_open(&st->cgroups, &cg, &err);

	vps_live_over(st, &o->cfg, VPS_LIVE_LIMITS);
	if (r == 0)
		r = limit_memory(o, cg, &err);
	for (int i = 0; r == -EBUSY && i < TRIES; i++) {
		(void)poll(NULL, 0, TRY_MS);
		r = limit_memory(o, cg, &err);
	}
	if (r < 0)
		vz_warn("WARNING: VPS %u has more memory than its limit until `vzctl set` can "
			"lower it: %s",
			o->ctid, err.msg);
}

/* Cut off. Where CRIU waits at its gate nothing has run; else it was let go. */
static int mend_restore(struct op *o, struct vps_state *st, const struct op_held *h,
			struct vz_error *err)
{
	char rundir[PATH_MAX];

	if (ctx_gate_there(op_cpt_rundir(o->ctid, rundir)))
		return op_drop_restored(o, st, h, err);
	op_memory_back(o, st);
	op_held_forget(o->ctid);
	op_images_forget(h->file);
	if (st->dump[0])
		op_dump_used_up(st->dump);
	st->dump[0] = '\0';
	(void)!vps_state_save(o->ctid, st);
	return 0;
}

/* Its monitor died and took it along, as far as CRIU lets it: what CRIU holds does not die while CRIU waits. */
static int mend_dead(struct op *o, const struct vps_state *st, const struct op_held *h,
		     struct vz_error *err)
{
	CTX_GATE struct ctx_gate gate = CTX_GATE_NONE;
	char rundir[PATH_MAX];

	if (h->hold == OP_HOLD_RESTORING || h->hold == OP_HOLD_RESTORED)
		return op_drop_restored(o, st, h, err);
	if (dumped(o, st, h) == WHOLE)
		return finish_suspend(o, st, err);
	if (ctx_gate_open(op_cpt_rundir(o->ctid, rundir), &gate) == 0)
		(void)!ctx_gate_say(&gate, false);
	half_forget(h->file);
	return end_it(o, st, err);
}

int op_cpt_mend(struct op *o, struct vz_error *err)
{
	VPS_STATE struct vps_state st = { 0 };
	struct op_held h;

	op_held_read(o->ctid, &h);
	if (h.hold == OP_HOLD_ROUND) {
		op_round_settle(o->ctid);
		op_rounds_forget(o);
	}
	if (!vps_running(o->ctid, &st)) {
		CTX_GATE struct ctx_gate gate = CTX_GATE_NONE;
		char rundir[PATH_MAX];

		/* a restore whose command died before state.json was written */
		if (ctx_gate_open(op_cpt_rundir(o->ctid, rundir), &gate) == 0)
			(void)!ctx_gate_say(&gate, false);
		if (h.hold == OP_HOLD_NONE)
			return 0;
		op_images_forget(h.file);
		if (h.link[0] && net_link_delete(h.link, err) < 0)
			return -EIO;
		op_held_forget(o->ctid);
		return 0;
	}
	if (h.hold != OP_HOLD_NONE && !vz_proc_lives(st.mon_pid, st.mon_start))
		return mend_dead(o, &st, &h, err);
	if (h.hold == OP_HOLD_RESTORING || (h.hold == OP_HOLD_NONE && st.dump[0]))
		return mend_restore(o, &st, &h, err);
	if (h.hold == OP_HOLD_ROUND) /* it may stand still, if CRIU was killed */
		return op_thaw(o, &st, &h, err);
	if (h.hold != OP_HOLD_WORKING)
		return 0;
	vz_say("VPS stands still since a suspend was cut off");
	return dumped(o, &st, &h) == WHOLE ? finish_suspend(o, &st, err) : op_thaw(o, &st, &h, err);
}

/* ---- other commands ---- */

int op_let_stop(struct op *o, const struct vps_state *st, bool fast, struct vz_error *err)
{
	struct op_held h;
	int r;

	op_held_read(o->ctid, &h);
	if (h.hold == OP_HOLD_NONE)
		return 0;
	if (h.hold == OP_HOLD_RESTORED)
		return vz_fail(err, VZ_EXIT_STOP, EBUSY,
			       "VPS %u is restored and not let go yet: resume --resume or --kill",
			       o->ctid);
	r = op_thaw(o, st, &h, err);
	if (r < 0 && fast) { /* it is killed as it is */
		op_held_forget(o->ctid);
		return 0;
	}
	return r;
}

static int put_aside(const char *file)
{
	char to[PATH_MAX], from[PATH_MAX], rounds[PATH_MAX];

	(void)vps_path(to, "%s.failed", file);
	(void)!vz_rm_rf(AT_FDCWD, op_rounds_beside(to, rounds));
	(void)rename(op_rounds_beside(file, from), rounds);
	return rename(file, to);
}

/*
 * An action script or a mount is in the way of both: what it needs of the node is perhaps not there yet, at boot. Nothing
 * of the VPS has run, so the dump is as good as before.
 */
static bool put_back(const char *file, const struct vz_error *err)
{
	char from[PATH_MAX], to[PATH_MAX], rounds[PATH_MAX];

	if (err->exit != VZ_EXIT_SCRIPT && err->exit != VZ_EXIT_MOUNT)
		return false;
	(void)vps_path(from, "%s.failed", file);
	(void)rename(op_rounds_beside(from, rounds), op_rounds_beside(file, to));
	return rename(from, file) == 0;
}

int op_start_or_resume(struct op *o, const struct op_start *a, struct vz_error *err)
{
	const struct op_resume resume = { .stages = OP_STAGE_UNDUMP | OP_STAGE_GO,
					  .skip_remount = a->skip_remount };
	struct vz_error why;
	char file[PATH_MAX];
	int r;

	if (!vps_running(o->ctid, NULL))
		op_dumps_mend(o);
	if (access(op_dump_path(o, file), F_OK) < 0 || a->bare || o->bad ||
	    (o->cfg.disabled && !a->force) || vps_running(o->ctid, NULL))
		return op_do_start(o, a, err);
	r = vps_run_dir(o->ctid) < 0 ? -1 : op_mend(o, &why);
	vz_say("Dump file %s exists, trying to restore from it", file);
	if (r == 0)
		r = op_do_resume(o, &resume, &why);
	if (r == -EINTR) /* by an operator, who did not ask for a start anew */
		*err = why;
	if (r == 0 || r == -EINTR)
		return r;
	vz_warn("WARNING: %s", why.msg);
	if (access(file, F_OK) == 0 && put_aside(file) < 0)
		return vz_fail(err, VZ_EXIT_RESTORE, errno,
			       "%s cannot be put aside, and the VPS must not start beside it",
			       file);
	vz_warn("WARNING: VPS %u is started anew; what it was doing is kept in %s.failed", o->ctid,
		file);
	/* limits that were set without --save went with the dump */
	vps_config_clear(&o->cfg);
	r = vps_load(o->ctid, &o->cfg, &o->bad, err);
	if (r == 0)
		r = op_do_start(o, a, err);
	if (r < 0 && put_back(file, err))
		vz_warn("WARNING: VPS %u could not start either: its dump is %s again", o->ctid,
			file);
	return r;
}

/* What there may be beside the default dump. @half: of a command that was cut off, and of no use to any other. */
static const struct {
	const char *suffix;
	bool half;
} beside[] = {
	{ "", false },	  { ".part", true },	{ ".used", true },    { ".failed", false },
	{ ".tmp", true }, { ".restore", true }, { ".rounds", false }, { ".failed.rounds", false },
};

static void forget(const struct op *o, bool all)
{
	char path[PATH_MAX], dump[PATH_MAX];

	(void)op_dump_path(o, dump);
	for (size_t i = 0; i < sizeof(beside) / sizeof(*beside); i++)
		if (all || beside[i].half)
			(void)!vz_rm_rf(AT_FDCWD, vps_path(path, "%s%s", dump, beside[i].suffix));
}

void op_dumps_forget(const struct op *o)
{
	forget(o, true);
	op_rounds_forget(o);
}

void op_dumps_mend(const struct op *o)
{
	if (o->cfg.dumpdir)
		forget(o, false);
}
