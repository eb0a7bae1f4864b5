/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VPS_PRIV_H
#define VPS_PRIV_H

#include "vps/vps.h"

/**
 * struct vps_type_ops - the behaviour of a type, written once
 * @exit: exit status of a bad value
 * @allowed: what is allowed, for the message; NULL: the row's arg column
 * @parse: text into @field. Return 0; -EINVAL or -ERANGE with @field unchanged
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
/** vps_domain_ok - letters, digits, - and . ; labels up to 63, all up to 253 characters */
bool vps_domain_ok(const char *s, bool underscore);

#endif
