/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_NODE_H
#define OPS_NODE_H

#include "util/error.h"

#include <stdbool.h>

/*
 * What the node does with all its VPSes at boot and at shutdown. Each VPS is started or stopped by a
 * vzctl of its own; one line is said for each, and one for those that failed. VE_PARALLEL of vz.conf
 * is how many go on at once; without it four for each CPU.
 */

/**
 * op_node_start - start the VPSes with ONBOOT=yes, and those that ran when the node went down
 * uncleanly (vps_record_ran) unless ONBOOT=no, by descending BOOTORDER; unset is the lowest. Those
 * that are DISABLED or already run are left out. A failing one stops nobody.
 * Return: how many failed; -errno with @err when nothing could be done.
 */
int op_node_start(struct vz_error *err) __attribute__((warn_unused_result));

/**
 * op_node_stop - stop every running VPS, in the reverse order; who does not stop is tried again,
 * the third time by force. VE_STOP_MODE=suspend: they are noted to be started at the next boot.
 * Return: how many still run; -errno with @err.
 */
int op_node_stop(struct vz_error *err) __attribute__((warn_unused_result));

/** op_node_started - op_node_start was done in this boot, and no op_node_stop since. */
bool op_node_started(void);

/**
 * op_node_weigh - tell systemd the weight that res_node_share() gives to all VPSes, if it has not been told.
 * Return: 0, also where there is no such unit; -errno with @err.
 */
int op_node_weigh(struct vz_error *err) __attribute__((warn_unused_result));

#endif
