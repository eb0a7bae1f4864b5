/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory of a VPS that moves: by the stages of suspend and resume. */
#include "ops/moving.h"

#include "ops/cpt.h"
#include "ops/precheck.h"
#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <string.h>

/* Commands on the VPS that is ours to move: lock and journal are held. */
static const struct op_env own = { .skiplock = true, .migrating = true };

int op_mem_check(const struct op *o, struct vz_list *ret, struct cpt_load *ret_load,
		 struct vz_error *err)
{
	enum { SOME_RATE = 100 << 20 }; /* the time is not asked for */
	struct cpt_criu criu;
	VZ_FREE struct op_precheck *p = calloc(1, sizeof(*p));
	int r = p ? cpt_criu_find(MIG_EXIT_VERSION, &criu, err) : -ENOMEM;

	if (r == 0)
		r = op_precheck(&own, o->ctid, SOME_RATE, 0, p, err);
	if (r < 0)
		return op_moving_exit(err, r, MIG_EXIT_VERSION);
	*ret_load = p->load;
	for (size_t i = 0; r == 0 && i < p->found.n; i++) {
		const struct cpt_finding *f = &p->found.v[i];
		VZ_FREE char *line = NULL;
		char comm[40], object[300];

		if (!f->blocker)
			continue;
		line = vz_fmt("process %d (%s), %s: %s", (int)f->pid_inside,
			      vz_quote(comm, sizeof(comm), f->comm),
			      vz_quote(object, sizeof(object), f->object), cpt_kind_text(f->kind));
		r = line ? vz_list_add(ret, line) : -ENOMEM;
	}
	return r < 0 ? vz_fail(err, MIG_EXIT_FEATURES, -r, "look at the processes") : 0;
}

static int stage(uint32_t ctid, unsigned int stages, struct vz_error *err)
{
	const struct op_suspend a = { .stages = stages };

	return op_suspend(&own, ctid, &a, err);
}

int op_mem_dump(const struct op *o, const struct op_chain *c, int pages, int level,
		struct vz_error *err)
{
	char rest[PATH_MAX];
	const struct op_suspend a = { .stages = OP_STAGE_DUMP,
				      .level = level,
				      .pages = pages > 0 ? pages : 0,
				      .dumpfile = c->n ? op_rest_path(o, rest) : NULL,
				      .chain = c };
	int r = stage(o->ctid, OP_STAGE_FREEZE, err);

	return r < 0 ? r : op_suspend(&own, o->ctid, &a, err);
}

int op_mem_serve(uint32_t ctid, struct vz_error *err)
{
	return stage(ctid, OP_STAGE_SERVE, err);
}

int op_mem_suspend(uint32_t ctid, int level, struct vz_error *err)
{
	const struct op_suspend a = { .stages = OP_STAGE_FREEZE | OP_STAGE_DUMP | OP_STAGE_KILL,
				      .level = level };

	return op_suspend(&own, ctid, &a, err);
}

int op_mem_goes_on(uint32_t ctid, struct vz_error *err)
{
	const struct op_resume a = { .stages = OP_STAGE_UNDUMP | OP_STAGE_GO };
	struct op_held h;

	op_held_read(ctid, &h);
	if (h.hold != OP_HOLD_NONE && vps_running(ctid, NULL))
		return stage(ctid, OP_STAGE_THAW, err);
	return vps_running(ctid, NULL) ? 0 : op_resume(&own, ctid, &a, err);
}

int op_mem_kill(uint32_t ctid, struct vz_error *err)
{
	return vps_running(ctid, NULL) ? stage(ctid, OP_STAGE_KILL, err) : 0;
}

int op_mem_undump(uint32_t ctid, int pages, struct vz_error *err)
{
	const struct op_resume a = { .stages = OP_STAGE_UNDUMP, .arrived = true, .pages = pages };

	return op_resume(&own, ctid, &a, err);
}

int op_mem_go(uint32_t ctid, struct vz_error *err)
{
	struct op_resume a = { .stages = OP_STAGE_UNDUMP | OP_STAGE_GO, .arrived = true };
	struct op_held h;

	op_held_read(ctid, &h);
	if (h.hold == OP_HOLD_RESTORED && vps_running(ctid, NULL))
		a.stages = OP_STAGE_GO;
	return op_resume(&own, ctid, &a, err);
}

int op_mem_drop(uint32_t ctid, struct vz_error *err)
{
	const struct op_resume a = { .stages = OP_STAGE_KILL };
	struct op_held h;

	op_held_read(ctid, &h);
	return h.hold == OP_HOLD_RESTORED && vps_running(ctid, NULL)
		       ? op_resume(&own, ctid, &a, err)
		       : 0;
}

bool op_mem_lazy(const struct op *o)
{
	CPT_DESC struct cpt_desc d = { 0 };
	struct vz_error ignored;
	char path[PATH_MAX];

	return cpt_peek(op_dump_path(o, path), &d, NULL, &ignored) == 0 && d.lazy;
}

void op_mem_forget(const struct op *o)
{
	char path[PATH_MAX], rounds[PATH_MAX];

	(void)unlink(op_dump_path(o, path));
	(void)!vz_rm_rf(AT_FDCWD, op_rounds_beside(path, rounds));
}

int op_mem_there(const struct op *o)
{
	char path[PATH_MAX];
	struct op_held h;

	op_held_read(o->ctid, &h);
	if (h.hold == OP_HOLD_RESTORED && vps_running(o->ctid, NULL))
		return 1;
	return access(op_dump_path(o, path), F_OK) == 0 && !op_mem_lazy(o);
}
