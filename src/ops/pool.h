/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_POOL_H
#define OPS_POOL_H

#include "util/error.h"
#include "util/str.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct op_job - one vzctl of its own for one VPS
 * @status: exit status when it ended; 128 + signal; negative errno when it could not be started
 * @said: its standard error so far, lines apart by "; "; freed by op_jobs_clear
 */
struct op_job {
	uint32_t ctid;
	int status;
	struct vz_buf said;
	/* of pool.c */
	pid_t pid;
	int pidfd, pipe;
};

/** struct op_pool - how jobs are run */
struct op_pool {
	unsigned int cap; /* at once, at least 1 */
	const char *const *words; /* arguments of vzctl-admin before the CTID, NULL-terminated */
	const char *option; /* after the CTID, NULL none */
	void (*ended)(const struct op_job *j, void *arg); /* as soon as it ended */
	void *arg;
};

/**
 * op_pool_run - run the jobs in their order, the next one as soon as one of @p->cap ends; each gets
 * a process of its own, so a job's failure stops nobody else
 * Return: how many failed (status not 0); -errno with @err when nothing can be run.
 */
int op_pool_run(const struct op_pool *p, struct op_job *jobs, size_t n, struct vz_error *err)
	__attribute__((warn_unused_result));

/** op_jobs_clear - free an array of @n jobs and what they own. */
void op_jobs_clear(struct op_job *jobs, size_t n);

#endif
