/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TEMPLATE_PRIV_H
#define TEMPLATE_PRIV_H

#include "template/template.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

/*
 * untar*.c are linked into vz-unpack only (libarchive, decision 17), everything else of this room
 * into the programs; they meet in the argument vector and in one struct vz_error on
 * UNPACK_FD_ERROR.
 */
enum { UNPACK_FD_ARCHIVE = 0, UNPACK_FD_TARGET = 3, UNPACK_FD_ERROR = 4 };

/** struct tpl_untar - what vz-unpack is asked for
 * @shift: added to every id; @max_bytes: apparent size of all files, 0 = no limit
 * @check: make names only, keep no content, owner, mode or attribute
 */
struct tpl_untar {
	uint64_t shift, max_bytes, max_entries;
	bool check;
};

struct archive;
struct archive_entry;

/** struct tpl_dirtime - a directory whose time is set when everything is in it */
struct tpl_dirtime {
	char *path;
	struct timespec mtime;
};

/** struct tpl_job - one unpacking; @root borrowed, the rest owned by untar.c */
struct tpl_job {
	const struct tpl_untar *want;
	struct archive *ar;
	int root;
	int parent; /* descriptor of @parent_path; "" is the root */
	char parent_path[PATH_MAX];
	uint64_t entries, bytes;
	struct tpl_dirtime *dirs;
	size_t ndirs, dirs_room;
	struct vz_error *err;
};

/**
 * tpl_untar - read a tar archive from @archive_fd into the directory @rootfd
 * Context: the cage (untar-cage.c); nobody else writes below @rootfd meanwhile.
 * Return: 0; -errno with exit 47 refused or broken, 46 no space, 3 anything else.
 */
int tpl_untar(const struct tpl_untar *want, int archive_fd, int rootfd, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * tpl_untar_cage - shut this process in: the directory @dirfd (-1: an empty tmpfs) becomes the
 * root, not executable; no network, five capabilities, 1 GiB of address space. Return: descriptor
 * of the new root, which the caller closes; -errno.
 */
int tpl_untar_cage(int dirfd, const struct tpl_untar *want, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * tpl_untar_filter - from here on only the system calls that reading an archive takes; the rest is
 * ENOSYS. After no_new_privs. Return: 0 or -errno.
 */
int tpl_untar_filter(void) __attribute__((warn_unused_result));

/* ---- untar-path.c ---- */

/** tpl_refuse - fill err with exit 47 and the entry's name, quoted. Return: -EPROTO. */
int tpl_refuse(struct tpl_job *j, const char *name, const char *fmt, ...)
	__attribute__((cold, format(printf, 3, 4)));

/** tpl_sysfail - the same for a failed system call @r; exit 46 for -ENOSPC and -EDQUOT. Return: @r.
 */
int tpl_sysfail(struct tpl_job *j, const char *name, int r, const char *what) __attribute__((cold));

/**
 * tpl_path_clean - @name without "./" and doubled slashes into @ret; "" is the root itself
 * Return: 0; -EPROTO (err filled) for an absolute path, "..", too deep or too long.
 */
int tpl_path_clean(struct tpl_job *j, const char *name, char ret[PATH_MAX])
	__attribute__((warn_unused_result));

/**
 * tpl_path_parent - descriptor of the directory that holds @path (clean), borrowed until the next
 * call
 * @make: missing directories are made, 0755. A symlink on the way has to stay below the root.
 */
int tpl_path_parent(struct tpl_job *j, const char *path, bool make, const char **ret_base)
	__attribute__((warn_unused_result));

/** tpl_path_forget - drop the remembered parent: something on its path was replaced. */
void tpl_path_forget(struct tpl_job *j);

/* ---- untar-meta.c ---- */

/** tpl_meta_check - what of an entry's attributes is refused, also when nothing is kept. */
int tpl_meta_check(struct tpl_job *j, struct archive_entry *e, const char *name)
	__attribute__((warn_unused_result));
/** tpl_meta_fd - owner, mode, attributes and time of a file or directory that is open. */
int tpl_meta_fd(struct tpl_job *j, int fd, struct archive_entry *e, const char *name)
	__attribute__((warn_unused_result));
/** tpl_meta_at - owner, mode and time of a symlink or FIFO. */
int tpl_meta_at(struct tpl_job *j, int parent, const char *base, struct archive_entry *e,
		const char *name) __attribute__((warn_unused_result));
/** tpl_meta_mtime - modification time of an entry. */
struct timespec tpl_meta_mtime(struct archive_entry *e);

/* ---- index.c, hash.c, unpack.c: shared inside the room ---- */

/** tpl_dir - TEMPLATE/@sub of the configuration, made when @make. -EINVAL exit 24 without TEMPLATE.
 */
int tpl_dir(const struct vps_config *global, const char *sub, bool make, char ret[PATH_MAX],
	    struct vz_error *err) __attribute__((warn_unused_result));

/** tpl_hash_fd - hash of the archive open as @fd and found at @archive. */
int tpl_hash_fd(const char *archive, int fd, char ret_hex[65], struct vz_error *err)
	__attribute__((warn_unused_result));

/** tpl_unpack_fd - run vz-unpack. @dirfd -1: check only. */
int tpl_unpack_fd(const char *archive, int archive_fd, int dirfd, uint64_t shift,
		  struct vz_error *err) __attribute__((warn_unused_result));

/** tpl_suffix - i-th suffix of archives, ".tar" first; NULL past the end. */
const char *tpl_suffix(size_t i);

/** tpl_generation - split "NAME@HASH" or "NAME@HASH.tmp.PID" of TEMPLATE/unpacked. */
enum tpl_gen_kind { GEN_NONE, GEN_WHOLE, GEN_STALE };
enum tpl_gen_kind tpl_generation(const char *entry, char ret_name[NAME_MAX + 1], char ret_hash[65]);

/** tpl_pins - the VPSes that pin a generation of @name, ascending; malloc'ed. Return: count or
 * -errno. */
ssize_t tpl_pins(const char *name, struct tpl_pin **ret, struct vz_error *err)
	__attribute__((warn_unused_result));

#endif
