/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_STEPS_H
#define OPS_STEPS_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>

#define OP_STEPS(table) (table), sizeof(table) / sizeof(*(table))

/**
 * struct op_step - one host step and how it is taken back
 * @undo: NULL: there is nothing to take back, or the table goes forward only (stop, restart,
 *	destroy): what was cut off is completed by the next command
 * Within a step the system calls stand in such an order that a kill between any two of them leaves
 * something the next command understands; see docs/testing.md, Faults.
 */
struct op_step {
	const char *name;
	int (*run)(void *arg, struct vz_error *err);
	void (*undo)(void *arg);
};

/**
 * op_steps_run - run the table in order; when a step fails, the undo of it and of all before it run
 * backwards and the first error is the one told. Undo functions accept a step that came half way.
 * SIGINT and SIGTERM end it the same way, between two steps.
 * @name: of the table, for VZ_FAULT (see steps.c) and the log
 */
int op_steps_run(const char *name, const struct op_step *steps, size_t n, void *arg,
		 struct vz_error *err) __attribute__((warn_unused_result));

/**
 * op_steps_fault - VZ_FAULT=NAME:N[:kill|:stop] for what is no table: fails, dies or stops as step @n (from 1) of
 * @name would. Return: 0; -EIO with exit 3.
 */
int op_steps_fault(const char *name, size_t n, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_steps_cancelled - did SIGINT or SIGTERM come while a table runs? For steps that take long. */
bool op_steps_cancelled(void);

#endif
