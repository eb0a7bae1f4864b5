/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_PLAN_H
#define OPS_PLAN_H

#include "plan/plan.h"

/**
 * op_plan_vps - limits of one VPS, those in force if it runs, implied ones too, and what it uses; takes no lock
 * @global: vz.conf, read once for a thousand VPSes
 * Return: 0; -ENOENT: it has no configuration and does not run.
 */
int op_plan_vps(uint32_t ctid, const struct vps_config *global, struct plan_vps *ret)
	__attribute__((warn_unused_result));

/**
 * op_plan_all - op_plan_vps of every VPS, ascending
 * @ret: malloc'ed, the caller frees
 * Return: how many; -errno with @err.
 */
ssize_t op_plan_all(struct plan_vps **ret, struct vz_error *err)
	__attribute__((warn_unused_result));

#endif
