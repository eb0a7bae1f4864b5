/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DIST_PRIV_H
#define DIST_PRIV_H

#include "dist/dist.h"
#include "util/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

enum { DIST_FILE_MAX = 1 << 20 };

/* The first line of a file that is ours; without it we leave it alone. */
#define DIST_MARKER "# Written by vzctl at each start; remove this line and it is yours.\n"

/** struct dist_job - what the caged child shall do; inherited by fork, so pointers are fine */
struct dist_job {
	const struct vps_config *cfg;
	unsigned int what;
	const char *host_resolv;
	const char *user, *password;
};

/** struct dist_result - the one record that comes back; @looked: @init is filled */
struct dist_result {
	struct vz_error err;
	bool looked;
	struct dist_init init;
};

/** dist_fn - runs in the cage: "/" is the VPS's root. Return: 0; -errno with @ret->err. */
typedef int (*dist_fn)(const struct dist_job *job, struct dist_result *ret);

/* ---- all below: caged child only ---- */

/**
 * struct dist_file - a file as it was, held by its directory so that the new one goes to that place
 * @there: it is a regular file, @text (@len bytes and NUL, may hold NULs) is its content; else ""
 * @exists: something has that name
 */
struct dist_file {
	int dirfd;
	char base[64];
	bool there, exists;
	struct stat st;
	char *text;
	size_t len;
};

/**
 * dist_load - read @path; a symlink, FIFO or device in the last place is not opened: empty
 * Return: 0, also when the file is missing; -ENOENT when its directory is; -EFBIG above 1 MiB;
 * -errno.
 */
int dist_load(const char *path, struct dist_file *ret) __attribute__((warn_unused_result));

/**
 * dist_store - put a new file in its place by rename: owner and mode of the old regular file, else
 * root and @mode. Nothing is written when the content is the same.
 * @sync: fsync before the rename
 */
int dist_store(const struct dist_file *f, const char *text, size_t len, mode_t mode, bool sync)
	__attribute__((warn_unused_result));

void dist_file_clear(struct dist_file *f);
#define DIST_FILE __attribute__((cleanup(dist_file_clear)))

/** dist_line - next line of @f from *@pos on, without its newline. Return: false at the end. */
bool dist_line(const struct dist_file *f, size_t *pos, const char **ret_line, size_t *ret_len);

bool dist_is_dir(const char *path);

/** dist_random_hex - @n random hexadecimal digits and NUL. */
int dist_random_hex(char *ret, size_t n) __attribute__((warn_unused_result));

/* files.c */
int dist_hostname(const struct dist_job *job, struct vz_error *err);
int dist_dns(const struct dist_job *job, struct vz_error *err);
int dist_network(const struct dist_job *job, struct vz_error *err);
int dist_boot(const struct dist_job *job, struct vz_error *err);
/* wait.c */
int dist_wait(const struct dist_job *job, struct vz_error *err);

/* first.c */
int dist_first(const struct dist_job *job, struct vz_error *err);
int dist_keys(const struct dist_job *job, struct vz_error *err);
/** dist_keys_missing - dist_keys() would run ssh-keygen, which is the tenant's program. */
bool dist_keys_missing(void);

/* getty.c */
/** dist_getty - the gettys of /etc/inittab, if there is one, ask on the console and nowhere else. */
int dist_getty(struct vz_error *err);

/* passwd.c */
int dist_passwd_caged(const struct dist_job *job, struct dist_result *ret);
/** dist_lock_root - root's empty password in /etc/shadow becomes an impossible one. */
int dist_lock_root(struct vz_error *err);

/* init.c */
int dist_init_caged(const struct dist_job *job, struct dist_result *ret);
/** dist_init_known - whether @kind is one of the words of struct dist_init; "" too. */
bool dist_init_known(const char *kind);

#endif
