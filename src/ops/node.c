/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/node.h"

#include "migrate/migrate.h"
#include "ops/list.h"
#include "ops/pool.h"
#include "ops/priv.h"
#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

enum { CPU_SHARE = 4, STOP_ROUNDS = 3 };

/* One VPS in the order of starts: larger BOOTORDER first, unset last, then by number. */
struct place {
	uint32_t ctid;
	bool ordered;
	uint64_t order;
};

static int by_order(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->ordered != y->ordered)
		return x->ordered ? -1 : 1;
	if (x->order != y->order)
		return x->order > y->order ? -1 : 1;
	return (x->ctid > y->ctid) - (x->ctid < y->ctid);
}

/* By a migration that was cut off: vzctl start would refuse it, which is no failure of the boot. */
static bool elsewhere(uint32_t ctid)
{
	MIG_JOURNAL struct mig_journal j = { 0 };

	if (!mig_journal_there(ctid) || mig_journal_load(ctid, &j) < 0 ||
	    mig_owner(j.step) == MIG_OURS)
		return false;
	if (mig_role(j.step) == MIG_SOURCE)
		vz_say("VPS %u: not started, it has moved to %s (`vzmigrate --recover %u` "
		       "completes that)",
		       ctid, j.host, ctid);
	else
		vz_say("VPS %u: not started, its migration to this node was cut off (`vzmigrate "
		       "--recover %u` on %s)",
		       ctid, j.peer_ctid, j.host[0] ? j.host : "the node that it came from");
	return true;
}

static bool wanted_at_boot(const struct vps_config *c)
{
	bool wanted = vps_is_set(c, VP_ONBOOT) ? c->onboot : vps_record_ran(c->ctid);

	if (!wanted || vps_running(c->ctid, NULL))
		return false;
	if (c->disabled)
		vz_say("VPS %u: not started, DISABLED=yes", c->ctid);
	return !c->disabled && !elsewhere(c->ctid);
}

static bool wanted_at_shutdown(const struct vps_config *c)
{
	return vps_running(c->ctid, NULL);
}

/*
 * The VPSes that @wanted chooses, in order of starts. What is wrong with a configuration is told by
 * the vzctl that is to start it.
 */
static int choose(bool (*wanted)(const struct vps_config *c), struct place **ret, size_t *ret_n,
		  struct vz_error *err)
{
	VZ_FREE uint32_t *ids = NULL;
	VZ_FREE struct place *places = NULL;
	ssize_t n = op_list_ctids(&ids, err);
	size_t chosen = 0;

	if (n < 0)
		return (int)n;
	places = calloc((size_t)n + 1, sizeof(*places));
	if (!places)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "list of VPSes");
	for (ssize_t i = 0; i < n; i++) {
		VPS_CONFIG struct vps_config c = { 0 };
		struct vz_error unread;

		if (vps_load(ids[i], &c, NULL, &unread) < 0)
			c.ctid = ids[i]; /* it may run although its file is gone */
		if (wanted(&c))
			places[chosen++] =
				(struct place){ ids[i], vps_is_set(&c, VP_BOOTORDER), c.bootorder };
	}
	qsort(places, chosen, sizeof(*places), by_order);
	*ret = vz_take_ptr(&places);
	*ret_n = chosen;
	return 0;
}

static struct op_job *jobs_for(const struct place *places, size_t n, bool backwards)
{
	struct op_job *jobs = calloc(n + 1, sizeof(*jobs));

	for (size_t i = 0; jobs && i < n; i++)
		jobs[i].ctid = places[backwards ? n - 1 - i : i].ctid;
	return jobs;
}

static unsigned int cap_of(const struct vps_config *global)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (global->ve_parallel)
		return (unsigned int)global->ve_parallel;
	return CPU_SHARE * (cpus > 0 ? (unsigned int)cpus : 1);
}

/* One of us at a time: a stop that overtakes a start would miss what is about to run. */
static int node_lock(struct vz_error *err)
{
	char path[PATH_MAX];
	VZ_FD int fd = -EBADF;
	int r = vz_mkdir_p(vps_paths()->run, 0755);

	if (r == 0)
		fd = vz_openat(AT_FDCWD, vps_path(path, "%s/node.lck", vps_paths()->run),
			       O_RDWR | O_CREAT, 0600);
	if (r < 0 || fd < 0 || flock(fd, LOCK_EX) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM,
			       r < 0	? -r
			       : fd < 0 ? -fd
					: errno,
			       "lock %s/node.lck", vps_paths()->run);
	return vz_take_fd(&fd);
}

static char *started_path(char *dst)
{
	return vps_path(dst, "%s/node-started", vps_paths()->run);
}

bool op_node_started(void)
{
	char path[PATH_MAX];

	return access(started_path(path), F_OK) == 0;
}

static void tell(const struct op_job *j, const char *did, const char *failed)
{
	vz_log_ctid(j->ctid);
	if (j->status == 0)
		vz_say("VPS %u: %s", j->ctid, did);
	else if (j->status < 0)
		vz_error("VPS %u: %s: %s", j->ctid, failed, strerrordesc_np(-j->status));
	else
		vz_error("VPS %u: %s (exit %d)%s%s", j->ctid, failed, j->status,
			 j->said.len ? ": " : "", j->said.len ? j->said.s : "");
	vz_log_ctid(0);
}

static void tell_start(const struct op_job *j, void *arg)
{
	(void)arg;
	tell(j, "started", "start failed");
}

static void tell_stop(const struct op_job *j, void *arg)
{
	(void)arg;
	tell(j, "stopped", "not stopped");
}

static void tell_suspend(const struct op_job *j, void *arg)
{
	(void)arg;
	tell(j, "suspended", "not suspended");
}

/* "2 of 3 VPSes ...: 102 104" */
static void tell_failed(const struct op_job *jobs, size_t n, int failed, const char *what)
{
	VZ_BUF struct vz_buf ids = { 0 };

	for (size_t i = 0; i < n; i++)
		if (jobs[i].status != 0)
			vz_buf_fmt(&ids, " %u", jobs[i].ctid);
	vz_error("%d of %zu VPSes %s:%s", failed, n, what, ids.s ? ids.s : "");
}

static int start_all(const struct vps_config *global, struct vz_error *err)
{
	static const char *const words[] = { "start", NULL };
	const struct op_pool pool = { .cap = cap_of(global), .words = words, .ended = tell_start };
	VZ_FREE struct place *places = NULL;
	struct op_job *jobs;
	size_t n = 0;
	int r = choose(wanted_at_boot, &places, &n, err);

	if (r < 0)
		return r;
	jobs = jobs_for(places, n, false);
	r = jobs ? op_pool_run(&pool, jobs, n, err) : vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "jobs");
	if (r > 0)
		tell_failed(jobs, n, r, "did not start");
	op_jobs_clear(jobs, n);
	return r;
}

int op_node_start(struct vz_error *err)
{
	VPS_CONFIG struct vps_config global = { 0 };
	VZ_FD int lock = node_lock(err);
	char path[PATH_MAX];
	int r = lock < 0 ? lock : vps_load_global(&global, err);

	if (r < 0)
		return r;
	if (vps_is_set(&global, VP_VIRTUOZZO) && !global.virtuozzo) {
		vz_say("VIRTUOZZO=no in vz.conf: no VPS is started");
		return 0;
	}
	r = vz_write_atomic(started_path(path), "", 0, 0644);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "write %s", path);
	r = start_all(&global, err);
	op_node_share(&global); /* VE0CPUUNITS may be new */
	return r;
}

/*
 * One round over what runs now. The last one waits for no lock and for no init: the node goes down
 * anyway, and a killed VPS is mended better than one whose file systems are lost under it.
 */
static int stop_round(const struct op_pool *pool, bool keep, int round, size_t *ret_n,
		      struct vz_error *err)
{
	static const char *const suspend[] = { "internal-suspend", NULL };
	static const char *const patient[] = { "internal-stop", NULL };
	static const char *const forced[] = { "--skiplock", "stop", NULL };
	struct op_pool p = *pool;
	VZ_FREE struct place *places = NULL;
	struct op_job *jobs;
	size_t n = 0;
	int r = choose(wanted_at_shutdown, &places, &n, err);

	if (r < 0)
		return r;
	/* what cannot be suspended is stopped in the next round */
	p.words = round == STOP_ROUNDS ? forced : keep && round == 1 ? suspend : patient;
	if (p.words == suspend)
		p.ended = tell_suspend;
	p.option = round == STOP_ROUNDS ? "--fast" : NULL;
	jobs = jobs_for(places, n, true);
	r = jobs ? op_pool_run(&p, jobs, n, err) : vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "jobs");
	for (size_t i = 0; keep && r >= 0 && i < n; i++)
		if (jobs[i].status == 0 && vps_record_keep(jobs[i].ctid) < 0)
			vz_warn("VPS %u: cannot be noted for the next boot", jobs[i].ctid);
	if (r > 0 && round == STOP_ROUNDS)
		tell_failed(jobs, n, r, "were not stopped");
	op_jobs_clear(jobs, n);
	*ret_n = n;
	return r;
}

int op_node_stop(struct vz_error *err)
{
	VPS_CONFIG struct vps_config global = { 0 };
	VZ_FD int lock = node_lock(err);
	char path[PATH_MAX];
	int r = lock < 0 ? lock : vps_load_global(&global, err);
	struct op_pool pool = { .cap = cap_of(&global), .ended = tell_stop };
	bool keep = global.ve_stop_mode && !strcmp(global.ve_stop_mode, "suspend");
	size_t n = 1;

	if (r < 0)
		return r;
	(void)unlink(started_path(path));
	/* until a round finds nothing: something may just have been started, or wait for a lock */
	for (int round = 1; r >= 0 && n > 0 && round <= STOP_ROUNDS; round++)
		r = stop_round(&pool, keep, round, &n, err);
	return r;
}
