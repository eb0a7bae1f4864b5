/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands that join a running VPS. Linked into the light vzctl: no network, archive or cgroup
 * library.
 */
#include "ops/ops.h"

#include "context/context.h"
#include "util/kernel.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

static int running_state(uint32_t ctid, struct vps_state *ret, struct vz_error *err)
{
	VPS_CONFIG struct vps_config cfg = { 0 };
	char path[PATH_MAX];
	int r;

	vz_log_ctid(ctid);
	if (vps_running(ctid, ret))
		return 0;
	r = vps_load_global(&cfg, err);
	if (r < 0)
		return r;
	if (vps_load_file(&cfg, vps_path(path, "%s/%u.conf", vps_paths()->conf, ctid), VS_VPS,
			  NULL) < 0)
		return vz_fail(err, VZ_EXIT_NOVECONFIG, ENOENT,
			       "Container config file does not exist: %s", path);
	return vz_fail(err, VZ_EXIT_NOT_RUNNING, 0, "Container is not running");
}

int op_seal(char *const argv[], struct vz_error *err)
{
	int r = vz_kernel_check(VZ_NEED_JOIN, err);

	if (r < 0)
		return r;
	r = ctx_seal_self(argv);
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "sealed copy of vzctl") : 0;
}

int op_exec(uint32_t ctid, enum op_exec_kind kind, char *const *argv, struct vz_error *err)
{
	VPS_STATE struct vps_state st = { 0 };
	struct ctx_exec x = { .argv = argv };
	int r = running_state(ctid, &st, err);

	if (r < 0)
		return r;
	if (kind != OP_EXEC_PLAIN)
		x.flags = kind == OP_EXEC_STDIN ? CTX_EXEC_STDIN : CTX_EXEC_SHELL;
	r = ctx_exec_run(&st, ctid, &x, err);
	if (r < 0)
		return r;
	if (WIFSIGNALED(r))
		return vz_fail(err, VZ_EXIT_SYSTEM, 0, "Got signal %d", WTERMSIG(r));
	return WEXITSTATUS(r);
}

int op_enter(uint32_t ctid, const char *type, struct vz_error *err)
{
	VPS_STATE struct vps_state st = { 0 };
	struct ctx_exec x = { .flags = CTX_EXEC_LOGIN, .type = type };
	int r = running_state(ctid, &st, err);

	if (r < 0)
		return r;
	vz_say("entered into CT %u", ctid);
	r = ctx_exec_run(&st, ctid, &x, err);
	if (r < 0)
		return vz_wrap(err, r, "enter into CT %u failed", ctid);
	vz_say("exited from CT %u", ctid);
	return WIFSIGNALED(r) ? 0 : WEXITSTATUS(r);
}

int op_console(uint32_t ctid, struct vz_error *err)
{
	VPS_STATE struct vps_state st = { 0 };
	int r = running_state(ctid, &st, err);

	return r < 0 ? r : ctx_console(ctid, err);
}
