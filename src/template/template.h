/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TEMPLATE_TEMPLATE_H
#define TEMPLATE_TEMPLATE_H

#include "vps/vps.h"

/*
 * TEMPLATE/cache/NAME.tar[.gz|.bz2|.xz|.zst]: archives. TEMPLATE/unpacked/NAME@SHA256/: a
 * generation unpacked once, immutable, for the overlay layout (decision 2).
 */

/**
 * tpl_find - path of the archive of @name. Return: 0; -ENOENT with exit 91; -EINVAL exit 24 no
 * TEMPLATE.
 */
int tpl_find(const struct vps_config *global, const char *name, char ret_path[PATH_MAX],
	     struct vz_error *err) __attribute__((warn_unused_result));

/**
 * tpl_hash - SHA-256 of the archive as 64 hex digits; remembered beside it by size, mtime and
 * inode.
 */
int tpl_hash(const char *archive, char ret_hex[65], struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * tpl_unpack - unpack @archive into the empty directory @dirfd by the caged helper vz-unpack
 * @shift: added to every uid and gid (0 when the file system can be idmapped)
 * Return: 0; -errno with exit 47 (hostile or broken archive), 46 (no space).
 */
int tpl_unpack(const char *archive, int dirfd, uint64_t shift, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * tpl_unpacked - directory of generation @hash of @name, unpacked now if it is not there yet
 * (temporary name, rename last, under a lock). Return: 0; -errno.
 */
int tpl_unpacked(const struct vps_config *global, const char *name, const char *hash,
		 char ret_dir[PATH_MAX], struct vz_error *err) __attribute__((warn_unused_result));

/** tpl_name_valid - can it be the name of a template: no slash, no leading dot, nothing to obey. */
bool tpl_name_valid(const char *name);
/** tpl_hash_valid - 64 lower-case hex digits. */
bool tpl_hash_valid(const char *hex);

/**
 * tpl_check - read @archive to its end in the cage with every refusal of tpl_unpack; nothing is
 * kept.
 */
int tpl_check(const char *archive, struct vz_error *err) __attribute__((warn_unused_result));

/**
 * tpl_verify - tpl_check, and the remembered hash is that of the content. Return: 0; -errno, exit
 * 47.
 */
int tpl_verify(const char *archive, struct vz_error *err) __attribute__((warn_unused_result));

/** struct tpl_pin - a VPS that needs one generation: overlay layout and OSTEMPLATE_HASH */
struct tpl_pin {
	uint32_t ctid;
	char hash[65];
};

/**
 * struct tpl_info - one template, owned
 * @format: "tar", "tar.gz"...; "" when only generations are left, then @size_bytes is 0
 * @generations: hashes of what is unpacked; @pins: who needs which, also those not unpacked now
 */
struct tpl_info {
	char *name;
	char format[12];
	uint64_t size_bytes;
	struct vz_list generations;
	struct tpl_pin *pins;
	size_t npins;
};

/** tpl_list - every template by name. Return: count, tpl_list_free() it; -errno with @err. */
ssize_t tpl_list(const struct vps_config *global, struct tpl_info **ret, struct vz_error *err)
	__attribute__((warn_unused_result));
void tpl_list_free(struct tpl_info *list, size_t n);

/**
 * tpl_install - make the checked file @tmp (in TEMPLATE/cache) the archive NAME.tar.zst; older
 * archives of the name and generations that nobody pins go.
 */
int tpl_install(const struct vps_config *global, const char *name, const char *tmp,
		struct vz_error *err) __attribute__((warn_unused_result));

/**
 * tpl_adopt - unpack generation @hash of @name from the file @archive, which need not be in TEMPLATE/cache
 * Return: 0, also when it is there; -EBADMSG with exit 91 when @archive has another hash; -errno.
 */
int tpl_adopt(const struct vps_config *global, const char *name, const char *hash,
	      const char *archive, struct vz_error *err) __attribute__((warn_unused_result));

/**
 * tpl_remove - remove the archive and all generations of @name
 * Return: 0; -ENOENT with exit 91; -EBUSY with exit 3 while a VPS pins one (the CTIDs are in the
 * message).
 */
int tpl_remove(const struct vps_config *global, const char *name, struct vz_error *err)
	__attribute__((warn_unused_result));

#endif
