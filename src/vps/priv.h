/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VPS_PRIV_H
#define VPS_PRIV_H

#include "vps/vps.h"

/**
 * struct vps_type_ops - the behaviour of a type, written once
 * @exit: exit status of a bad value
 * @allowed: what is allowed, for the message; NULL: the row's arg column
 * @parse: text into @field. Return 0; -EINVAL, -ERANGE or -EDOM (barrier above limit) with @field unchanged
 * @print: append the canonical text
 */
struct vps_type_ops {
	enum {
		STORE_U64,
		STORE_I64,
		STORE_BOOL,
		STORE_DOUBLE,
		STORE_TEXT,
		STORE_PAIR,
		STORE_LIST
	} store;
	int exit;
	const char *allowed;
	int (*parse)(const struct vps_param *p, enum vps_mode mode, const char *text,
		     enum vps_source src, void *field);
	void (*print)(const struct vps_param *p, const void *field, struct vz_buf *out);
};

const struct vps_type_ops *vps_type_ops(enum vps_type type);

/* types-list.c: parsers of the types that are lists of words */
int vps_parse_list(const struct vps_param *p, enum vps_mode mode, const char *text,
		   enum vps_source src, void *field);
int vps_parse_list_add(const struct vps_param *p, enum vps_mode mode, const char *text,
		       enum vps_source src, void *field);
int vps_parse_ips(const struct vps_param *p, enum vps_mode mode, const char *text,
		  enum vps_source src, void *field);
int vps_parse_dns(const struct vps_param *p, enum vps_mode mode, const char *text,
		  enum vps_source src, void *field);
int vps_parse_search(const struct vps_param *p, enum vps_mode mode, const char *text,
		     enum vps_source src, void *field);
int vps_parse_netif(const struct vps_param *p, enum vps_mode mode, const char *text,
		    enum vps_source src, void *field);
int vps_parse_caps(const struct vps_param *p, enum vps_mode mode, const char *text,
		   enum vps_source src, void *field);
int vps_parse_features(const struct vps_param *p, enum vps_mode mode, const char *text,
		       enum vps_source src, void *field);
int vps_parse_devices(const struct vps_param *p, enum vps_mode mode, const char *text,
		      enum vps_source src, void *field);
int vps_parse_devnodes(const struct vps_param *p, enum vps_mode mode, const char *text,
		       enum vps_source src, void *field);

/* What stands in files, apart from the files: tests/fuzz feeds these with anything. */

/**
 * vps_load_text - vps_load_file on @len bytes at @text, which are cut up; NUL follows them
 * @name: of the file, for warnings
 * Return: number of bad lines; -EINVAL for a NUL byte in the text; -ENOMEM.
 */
int vps_load_text(struct vps_config *c, const char *name, char *text, size_t len,
		  enum vps_source src, const bool skip[VP_MAX]) __attribute__((warn_unused_result));
/**
 * vps_save_text - @old (cut up, NUL behind its @len bytes) with the rows in @which as in @c
 * Return: 0 and the new text in @out; -EINVAL for a NUL byte in the old one; -ENOMEM.
 */
int vps_save_text(const struct vps_config *c, const bool which[VP_MAX], char *old, size_t len,
		  struct vz_buf *out) __attribute__((warn_unused_result));
/** vps_state_parse - state.json. 0; -ESTALE of another boot than @boot; -EINVAL damaged; -ENOMEM.
 */
int vps_state_parse(const char *text, size_t len, const char *boot, struct vps_state *ret)
	__attribute__((warn_unused_result));
/** vps_state_text - the text of state.json, malloc'ed; NULL without memory. */
char *vps_state_text(const struct vps_state *s);
/**
 * vps_lock_parse - word, pid and start time (0: not told) of a lock file; @text is cut up. 0 or -EINVAL.
 */
int vps_lock_parse(char *text, char ret_word[32], pid_t *ret_pid, uint64_t *ret_start)
	__attribute__((warn_unused_result));

/** vps_domain_ok - letters, digits, - and . ; labels up to 63, all up to 253 characters */
bool vps_domain_ok(const char *s, bool underscore);

#endif
