/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_TAKING_H
#define OPS_TAKING_H

#include "ops/moving.h"

/**
 * struct taking_facts - what the source says of its VPS in CHECK; owned lists
 * @memory: a dump comes along; @same_base: the ids must be the same
 * @idmap: files of simfs are unshifted on disk; @token: see look_shared
 */
struct taking_facts {
	char layout[16], ostemplate[256], hash[65], name[256], token[33];
	struct vz_list ips, cpu;
	uint64_t bytes, inodes, base, count;
	bool memory, same_base, idmap;
	unsigned int nodeps;
};

/** struct taking - a VPS that comes here */
struct taking {
	struct mig_conn conn;
	enum mig_state state;
	struct op_env env;
	struct op o;
	bool opened; /* @o is locked and to be closed */
	struct taking_facts f;
	struct mig_journal j;
	enum op_move_mode mode;
	bool send_template;
	unsigned int rounds; /* of memory that are here */
	int pages; /* where a connection for memory that comes later is awaited; -1 */
	uint32_t *shown; /* to the process that waits for us: which VPS it is */
};

/** op_taking_check - every check of the target; t->j.shared and t->send_template are its findings. */
int op_taking_check(struct taking *t, struct vz_error *err) __attribute__((warn_unused_result));

/* migrate-pages.c */

/** op_pages_listen - memory comes over another connection: wait for it at RUNDIR/pages.sock. */
int op_pages_listen(struct taking *t, struct vz_error *err) __attribute__((warn_unused_result));
void op_pages_deaf(struct taking *t);
/** op_pages_accept - that connection, as a stream; the caller closes it. Return: fd; -errno with exit 4. */
int op_pages_accept(const struct taking *t, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * op_pages_carry - verb PAGES: this connection is the other one, of migration @id; until the stream has ended
 * @ret: "whole": all memory came. Return: 0; -errno with @err.
 */
int op_pages_carry(struct mig_conn *c, uint32_t ctid, const char *id, json_t **ret,
		   struct vz_error *err) __attribute__((warn_unused_result));

#endif
