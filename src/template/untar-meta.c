/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "template/priv.h"

#include "util/fd.h"
#include "util/parse.h"

#include <archive.h>
#include <archive_entry.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>
#include <sys/xattr.h>

enum { ACL_MAX = 256, MODE_BITS = 07777 };

/* linux/xattr.h has these, but does not go well with sys/xattr.h. */
#define CAPS_ATTR  "security.capability"
#define USER_ATTRS "user."

struct timespec tpl_meta_mtime(struct archive_entry *e)
{
	return (struct timespec){ .tv_sec = archive_entry_mtime(e),
				  .tv_nsec = archive_entry_mtime_nsec(e) };
}

static uid_t shifted(const struct tpl_job *j, int64_t id)
{
	return (uid_t)((uint64_t)id + j->want->shift);
}

int tpl_meta_check(struct tpl_job *j, struct archive_entry *e, const char *name)
{
	const char *key;
	const void *value;
	size_t size;

	(void)archive_entry_xattr_reset(e);
	while (archive_entry_xattr_next(e, &key, &value, &size) == ARCHIVE_OK)
		if (key && !strcmp(key, CAPS_ATTR) && size != XATTR_CAPS_SZ_2 &&
		    size != XATTR_CAPS_SZ_3)
			return tpl_refuse(j, name, "file capabilities of %zu bytes", size);
	return 0;
}

/*
 * File capabilities, their size checked. In a shifted tree they have to name the shifted root
 * (revision 3), or the VPS's kernel would take them for the host's and ignore them.
 */
static int set_caps(struct tpl_job *j, int fd, const void *value, size_t size, const char *name)
{
	struct vfs_ns_cap_data cap = { 0 };

	memcpy(&cap, value, size);
	size = XATTR_CAPS_SZ_2;
	if (j->want->shift) {
		uint32_t flags = le32toh(cap.magic_etc) & VFS_CAP_FLAGS_EFFECTIVE;

		cap.magic_etc = htole32(VFS_CAP_REVISION_3 | flags);
		cap.rootid = htole32((uint32_t)j->want->shift);
		size = XATTR_CAPS_SZ_3;
	} else if ((le32toh(cap.magic_etc) & VFS_CAP_REVISION_MASK) == VFS_CAP_REVISION_3) {
		uint32_t flags = le32toh(cap.magic_etc) & VFS_CAP_FLAGS_EFFECTIVE;

		cap.magic_etc = htole32(VFS_CAP_REVISION_2 | flags);
	}
	if (fsetxattr(fd, CAPS_ATTR, &cap, size, 0) < 0)
		return tpl_sysfail(j, name, -errno, "set the file capabilities of");
	return 0;
}

/* Only user.* and file capabilities: the rest belongs to the host (trusted.*, security labels). */
static int set_xattrs(struct tpl_job *j, int fd, struct archive_entry *e, const char *name)
{
	const char *key;
	const void *value;
	size_t size;
	int r;

	(void)archive_entry_xattr_reset(e);
	while (archive_entry_xattr_next(e, &key, &value, &size) == ARCHIVE_OK) {
		if (!key)
			continue;
		if (!strcmp(key, CAPS_ATTR)) {
			r = set_caps(j, fd, value, size, name);
			if (r < 0)
				return r;
		} else if (!strncmp(key, USER_ATTRS, strlen(USER_ATTRS)) &&
			   fsetxattr(fd, key, value, size, 0) < 0 && errno != EOPNOTSUPP) {
			return tpl_sysfail(j, name, -errno, "set an attribute of");
		}
	}
	return 0;
}

static int acl_tag(int tag)
{
	switch (tag) {
	case ARCHIVE_ENTRY_ACL_USER_OBJ:
		return ACL_USER_OBJ;
	case ARCHIVE_ENTRY_ACL_USER:
		return ACL_USER;
	case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
		return ACL_GROUP_OBJ;
	case ARCHIVE_ENTRY_ACL_GROUP:
		return ACL_GROUP;
	case ARCHIVE_ENTRY_ACL_MASK:
		return ACL_MASK;
	case ARCHIVE_ENTRY_ACL_OTHER:
		return ACL_OTHER;
	default:
		return 0;
	}
}

static int by_tag(const void *a, const void *b)
{
	const struct posix_acl_xattr_entry *x = a, *y = b;

	return (int)le16toh(x->e_tag) - (int)le16toh(y->e_tag);
}

/* The id of a named entry; archives made with names only have none, unless the name is a number. */
static bool acl_id(struct tpl_job *j, int tag, int qual, const char *name, uint32_t *ret)
{
	uint64_t id = (uint64_t)(int64_t)qual;

	*ret = ACL_UNDEFINED_ID;
	if (tag != ACL_USER && tag != ACL_GROUP)
		return true;
	if (qual < 0 && (!name || vz_parse_u64(name, 0, UINT32_MAX - 1, &id) < 0))
		return false;
	if (id + j->want->shift >= UINT32_MAX)
		return false;
	*ret = (uint32_t)(id + j->want->shift);
	return true;
}

static int set_acl(struct tpl_job *j, int fd, struct archive_entry *e, int type, const char *key,
		   const char *name)
{
	struct {
		struct posix_acl_xattr_header head;
		struct posix_acl_xattr_entry v[ACL_MAX];
	} acl = { .head.a_version = htole32(POSIX_ACL_XATTR_VERSION) };
	int got_type, perm, tag, qual;
	const char *who;
	uint32_t id;
	size_t n = 0;

	if (archive_entry_acl_reset(e, type) == 0)
		return 0;
	while (archive_entry_acl_next(e, type, &got_type, &perm, &tag, &qual, &who) == ARCHIVE_OK) {
		tag = acl_tag(tag);
		if (!tag || !acl_id(j, tag, qual, who, &id))
			continue;
		if (n == ACL_MAX)
			return tpl_refuse(j, name, "more than %d access list entries", ACL_MAX);
		acl.v[n++] = (struct posix_acl_xattr_entry){
			.e_tag = htole16((uint16_t)tag),
			.e_perm = htole16((uint16_t)(perm & 7)),
			.e_id = htole32(id),
		};
	}
	qsort(acl.v, n, sizeof(acl.v[0]), by_tag); /* the kernel wants this order */
	if (fsetxattr(fd, key, &acl, sizeof(acl.head) + n * sizeof(acl.v[0]), 0) == 0 ||
	    errno == EOPNOTSUPP)
		return 0;
	if (errno == EINVAL)
		return tpl_refuse(j, name, "a malformed access list");
	return tpl_sysfail(j, name, -errno, "set the access list of");
}

int tpl_meta_fd(struct tpl_job *j, int fd, struct archive_entry *e, const char *name)
{
	bool dir = archive_entry_filetype(e) == AE_IFDIR;
	struct timespec mtime = tpl_meta_mtime(e);
	int r;

	/* The order holds: chown clears set-user-id bits and file capabilities. */
	if (fchown(fd, shifted(j, archive_entry_uid(e)), shifted(j, archive_entry_gid(e))) < 0)
		return tpl_sysfail(j, name, -errno, "chown");
	if (fchmod(fd, archive_entry_perm(e) & MODE_BITS) < 0)
		return tpl_sysfail(j, name, -errno, "chmod");
	r = set_xattrs(j, fd, e, name);
	if (r == 0)
		r = set_acl(j, fd, e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "system.posix_acl_access",
			    name);
	if (r == 0 && dir)
		r = set_acl(j, fd, e, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default",
			    name);
	if (r < 0)
		return r;
	if (!dir && futimens(fd, (struct timespec[]){ mtime, mtime }) < 0)
		return tpl_sysfail(j, name, -errno, "set the time of");
	return 0;
}

int tpl_meta_at(struct tpl_job *j, int parent, const char *base, struct archive_entry *e,
		const char *name)
{
	struct timespec mtime = tpl_meta_mtime(e);

	if (fchownat(parent, base, shifted(j, archive_entry_uid(e)),
		     shifted(j, archive_entry_gid(e)), AT_SYMLINK_NOFOLLOW) < 0)
		return tpl_sysfail(j, name, -errno, "chown");
	/* No race: nobody else writes here, and what we just made is no symlink. */
	if (archive_entry_filetype(e) != AE_IFLNK &&
	    fchmodat(parent, base, archive_entry_perm(e) & MODE_BITS, 0) < 0)
		return tpl_sysfail(j, name, -errno, "chmod");
	if (utimensat(parent, base, (struct timespec[]){ mtime, mtime }, AT_SYMLINK_NOFOLLOW) < 0)
		return tpl_sysfail(j, name, -errno, "set the time of");
	return 0;
}
