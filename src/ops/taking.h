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

/** op_taking_number - @key of @args; 0 where it is missing or below 0. */
uint64_t op_taking_number(const json_t *args, const char *key);
/** op_taking_bad - the error of words that make no sense. Return: -EPROTO. */
int op_taking_bad(struct vz_error *err, const char *what);

/*
 * migrate-arrive.c: verbs by which files and memory come. @args: of the call; *@ret: what is answered beside "ok", left as it
 * is here. Context: @t->o locked, its configuration read; legal in their states only. Return: 0; -errno with @err.
 */

/** op_arrive_prepare - from here on there is a journal, and something to be taken back. */
int op_arrive_prepare(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_arrive_file - a small file, the template or the dump. */
int op_arrive_file(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_arrive_place - the configuration is there: a private area by it, still under another name. */
int op_arrive_place(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_arrive_round - memory that is copied while the VPS runs at the source. */
int op_arrive_round(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_arrive_tree - files of the VPS, by rsync. */
int op_arrive_tree(struct taking *t, const json_t *args, json_t **ret, struct vz_error *err)
	__attribute__((warn_unused_result));

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
