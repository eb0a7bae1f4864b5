/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "template/priv.h"

#include "util/fd.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

enum { BLOCK_BYTES = 256 * 1024 };

static int broken(struct tpl_job *j)
{
	const char *why = archive_error_string(j->ar);
	char quoted[300];

	return vz_fail(j->err, VZ_EXIT_BAD_TEMPLATE, 0, "archive is broken after %llu entries: %s",
		       (unsigned long long)j->entries,
		       vz_quote(quoted, sizeof(quoted), why ? why : "unknown format"));
}

/* Make room for an entry that is not a directory. */
static int clear_name(struct tpl_job *j, int parent, const char *base, const char *name)
{
	if (unlinkat(parent, base, 0) == 0)
		return 0;
	if (errno != EISDIR)
		return tpl_sysfail(j, name, -errno, "replace");
	if (unlinkat(parent, base, AT_REMOVEDIR) == 0)
		return 0;
	if (errno == ENOTEMPTY)
		return tpl_refuse(j, name, "stands in the place of a directory with content");
	return tpl_sysfail(j, name, -errno, "replace");
}

static int write_at(int fd, const char *p, size_t len, off_t at)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The content of an entry; read to its end also when it is not wanted (@fd -1), to find damage. */
static int copy_data(struct tpl_job *j, struct archive_entry *e, int fd, const char *name)
{
	int64_t size = archive_entry_size_is_set(e) ? archive_entry_size(e) : 0;
	const void *buf;
	size_t len;
	la_int64_t at;
	int r;

	if (size < 0)
		return tpl_refuse(j, name, "negative size");
	if (j->want->max_bytes &&
	    ((uint64_t)size > j->want->max_bytes || j->bytes > j->want->max_bytes - (uint64_t)size))
		return tpl_refuse(j, name, "the files are larger than %llu bytes together",
				  (unsigned long long)j->want->max_bytes);
	j->bytes += (uint64_t)size;
	while ((r = archive_read_data_block(j->ar, &buf, &len, &at)) != ARCHIVE_EOF) {
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return broken(j);
		if (at < 0 || at > size || len > (uint64_t)(size - at))
			return tpl_refuse(j, name, "content beyond its size");
		r = fd < 0 ? 0 : write_at(fd, buf, len, at);
		if (r < 0)
			return tpl_sysfail(j, name, r, "write");
	}
	/* Gaps were never written and stay holes; one at the end is made by the length alone. */
	if (fd >= 0 && ftruncate(fd, size) < 0)
		return tpl_sysfail(j, name, -errno, "set the size of");
	return 0;
}

static int put_file(struct tpl_job *j, struct archive_entry *e, const char *path)
{
	int parent, r, flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
	VZ_FD int fd = -EBADF;
	const char *base;

	parent = tpl_path_parent(j, path, true, &base);
	if (parent < 0)
		return parent;
	fd = vz_openat(parent, base, flags, 0600);
	if (fd == -EEXIST) {
		r = clear_name(j, parent, base, path);
		if (r < 0)
			return r;
		fd = vz_openat(parent, base, flags, 0600);
	}
	if (fd < 0)
		return tpl_sysfail(j, path, fd, "create");
	r = copy_data(j, e, j->want->check ? -1 : fd, path);
	if (r < 0 || j->want->check)
		return r;
	return tpl_meta_fd(j, fd, e, path);
}

static int remember_dir(struct tpl_job *j, struct archive_entry *e, const char *path)
{
	if (j->ndirs == j->dirs_room) {
		size_t room = j->dirs_room ? j->dirs_room * 2 : 256;
		void *more = reallocarray(j->dirs, room, sizeof(j->dirs[0]));

		if (!more)
			return tpl_sysfail(j, path, -ENOMEM, "remember");
		j->dirs = more;
		j->dirs_room = room;
	}
	j->dirs[j->ndirs].mtime = tpl_meta_mtime(e);
	j->dirs[j->ndirs].path = strdup(path);
	if (!j->dirs[j->ndirs].path)
		return tpl_sysfail(j, path, -ENOMEM, "remember");
	j->ndirs++;
	return 0;
}

static int put_dir(struct tpl_job *j, struct archive_entry *e, const char *path)
{
	VZ_FD int fd = -EBADF;
	const char *base;
	int r, parent = tpl_path_parent(j, path, true, &base);

	if (parent < 0)
		return parent;
	if (mkdirat(parent, base, 0700) < 0) {
		struct stat st;

		if (errno != EEXIST)
			return tpl_sysfail(j, path, -errno, "mkdir");
		if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return tpl_sysfail(j, path, -errno, "look at");
		if (!S_ISDIR(st.st_mode)) {
			r = clear_name(j, parent, base, path);
			if (r == 0 && mkdirat(parent, base, 0700) < 0)
				r = tpl_sysfail(j, path, -errno, "mkdir");
			if (r < 0)
				return r;
		}
	}
	if (j->want->check)
		return 0;
	fd = vz_openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return tpl_sysfail(j, path, fd, "open");
	r = tpl_meta_fd(j, fd, e, path);
	return r < 0 ? r : remember_dir(j, e, path);
}

/* Symlinks and FIFOs. */
static int put_node(struct tpl_job *j, struct archive_entry *e, const char *path)
{
	const char *base, *to = archive_entry_symlink(e);
	bool link = archive_entry_filetype(e) == AE_IFLNK;
	int parent = tpl_path_parent(j, path, true, &base);

	if (parent < 0)
		return parent;
	if (link && (!to || !*to))
		return tpl_refuse(j, path, "symlink without a target");
	for (int tries = 0;; tries++) {
		int r = link ? symlinkat(to, parent, base)
			     : mknodat(parent, base, S_IFIFO | 0600, 0);

		if (r == 0)
			break;
		if (errno == ENAMETOOLONG)
			return tpl_refuse(j, path, "symlink target too long");
		if (errno != EEXIST || tries > 0)
			return tpl_sysfail(j, path, -errno, "create");
		r = clear_name(j, parent, base, path);
		if (r < 0)
			return r;
	}
	return j->want->check ? 0 : tpl_meta_at(j, parent, base, e, path);
}

static int put_hardlink(struct tpl_job *j, const char *path, const char *target)
{
	const char *base, *tbase;
	char clean[PATH_MAX];
	VZ_FD int from = -EBADF;
	struct stat st;
	int r, parent;

	r = tpl_path_clean(j, target, clean);
	if (r < 0)
		return vz_wrap(j->err, r, "target of a hard link");
	r = tpl_path_parent(j, clean, false, &tbase);
	if (r < 0)
		return vz_wrap(j->err, r, "target of a hard link");
	if (!clean[0] || fstatat(r, tbase, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return tpl_refuse(j, path, "hard link to something not in the archive before it");
	if (S_ISDIR(st.st_mode))
		return tpl_refuse(j, path, "hard link to a directory");
	if (vz_streq(clean, path))
		return 0;
	from = fcntl(r, F_DUPFD_CLOEXEC, 0); /* the next look-up closes it */
	if (from < 0)
		return tpl_sysfail(j, path, -errno, "link");
	parent = tpl_path_parent(j, path, true, &base);
	if (parent < 0)
		return parent;
	for (int tries = 0; linkat(from, tbase, parent, base, 0) < 0; tries++) {
		if (errno == ENOENT || errno == EMLINK)
			return tpl_refuse(j, path, "hard link that cannot be made");
		if (errno != EEXIST || tries > 0)
			return tpl_sysfail(j, path, -errno, "link");
		r = clear_name(j, parent, base, path);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Croft makes /dev itself, so the ordinary nodes of a template are left out; any other is a door.
 */
static int put_device(struct tpl_job *j, struct archive_entry *e, const char *path)
{
	static const unsigned char usual[][2] = { { 1, 3 }, { 1, 5 }, { 1, 7 }, { 1, 8 },
						  { 1, 9 }, { 5, 0 }, { 5, 1 }, { 5, 2 } };
	dev_t dev = archive_entry_rdev(e);

	for (size_t i = 0; archive_entry_filetype(e) == AE_IFCHR && i < 8; i++)
		if (major(dev) == usual[i][0] && minor(dev) == usual[i][1])
			return 0;
	return tpl_refuse(j, path, "%s device %u:%u",
			  archive_entry_filetype(e) == AE_IFCHR ? "character" : "block", major(dev),
			  minor(dev));
}

static int check_ids(struct tpl_job *j, struct archive_entry *e, const char *path)
{
	uint64_t top = UINT32_MAX - 1 - j->want->shift;
	int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);

	if (uid < 0 || gid < 0 || (uint64_t)uid > top || (uint64_t)gid > top)
		return tpl_refuse(j, path, "owner %lld:%lld", (long long)uid, (long long)gid);
	return 0;
}

static int put_entry(struct tpl_job *j, struct archive_entry *e)
{
	const char *name = archive_entry_pathname(e), *target = archive_entry_hardlink(e);
	char path[PATH_MAX];
	int r;

	if (!name)
		return tpl_refuse(j, "?", "a name that cannot be read");
	if (++j->entries > j->want->max_entries)
		return tpl_refuse(j, name, "more than %llu entries",
				  (unsigned long long)j->want->max_entries);
	r = tpl_path_clean(j, name, path);
	if (r == 0)
		r = check_ids(j, e, path);
	if (r == 0)
		r = tpl_meta_check(j, e, path);
	if (r < 0)
		return r;
	if (!path[0]) /* the root itself: its owner and mode are ours, see finish() */
		return archive_entry_filetype(e) == AE_IFDIR
			       ? 0
			       : tpl_refuse(j, name, "stands in the place of the root");
	if (target) {
		r = put_hardlink(j, path, target);
		return r < 0 ? r : copy_data(j, e, -1, path); /* some archives repeat the content */
	}
	switch (archive_entry_filetype(e)) {
	case AE_IFREG:
		return put_file(j, e, path);
	case AE_IFDIR:
		return put_dir(j, e, path);
	case AE_IFLNK:
	case AE_IFIFO:
		return put_node(j, e, path);
	case AE_IFCHR:
	case AE_IFBLK:
		return put_device(j, e, path);
	case AE_IFSOCK:
		return 0;
	default:
		return tpl_refuse(j, name, "unknown type");
	}
}

/* A warning about a name means that it would be changed on the way; others do not touch us. */
static bool name_damaged(struct archive *a)
{
	const char *s = archive_error_string(a);

	return !s || !strncmp(s, "Path", 4) || !strncmp(s, "Link", 4);
}

static int read_entries(struct tpl_job *j)
{
	for (;;) {
		int64_t before = archive_filter_bytes(j->ar, 0);
		struct archive_entry *e;
		int r = archive_read_next_header(j->ar, &e);

		if (r == ARCHIVE_EOF) {
			if (!j->entries)
				return vz_fail(j->err, VZ_EXIT_BAD_TEMPLATE, 0,
					       "archive holds nothing");
			/* libarchive takes a clean end of file for the end mark; we do not */
			if (archive_filter_bytes(j->ar, 0) - before < 512)
				return vz_fail(j->err, VZ_EXIT_BAD_TEMPLATE, 0,
					       "archive ends without its end mark: cut short?");
			return 0;
		}
		if (r == ARCHIVE_WARN && name_damaged(j->ar))
			return broken(j);
		/* ARCHIVE_RETRY is a header with a wrong checksum, which a retry would leave out */
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return broken(j);
		r = put_entry(j, e);
		if (r < 0)
			return r;
	}
}

/* Times of directories, now that nothing more comes into them; owner and mode of the root. */
static int finish(struct tpl_job *j)
{
	uid_t owner = (uid_t)j->want->shift;

	if (j->want->check)
		return 0;
	for (size_t i = 0; i < j->ndirs; i++) {
		const struct tpl_dirtime *d = &j->dirs[i];
		const char *base;
		int parent = tpl_path_parent(j, d->path, false, &base);

		if (parent >= 0) /* else a later entry took its place */
			(void)utimensat(parent, base, (struct timespec[]){ d->mtime, d->mtime },
					AT_SYMLINK_NOFOLLOW);
	}
	if (fchown(j->root, owner, owner) < 0 || fchmod(j->root, 0755) < 0)
		return tpl_sysfail(j, "/", -errno, "set owner and mode of");
	return 0;
}

static struct archive *open_archive(struct tpl_job *j, int fd)
{
	struct archive *a = archive_read_new();

	if (!a)
		return NULL;
	j->ar = a;
	/* Only what is compiled in: no filter that would start a program. ARCHIVE_WARN says it
	 * would. */
	if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
	    archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
	    archive_read_support_filter_bzip2(a) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(a) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
	    archive_read_open_fd(a, fd, BLOCK_BYTES) != ARCHIVE_OK) {
		(void)broken(j);
		(void)archive_read_free(a);
		return NULL;
	}
	return a;
}

int tpl_untar(const struct tpl_untar *want, int archive_fd, int rootfd, struct vz_error *err)
{
	struct tpl_job j = { .want = want, .root = rootfd, .parent = -EBADF, .err = err };
	int r;

	if (want->shift > UINT32_MAX / 2)
		return vz_fail(err, VZ_EXIT_VALUE, ERANGE, "shift");
	(void)vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "start reading");
	if (!open_archive(&j, archive_fd))
		return err->sys ? -err->sys : -EPROTO;
	r = read_entries(&j);
	if (r == 0)
		r = finish(&j);
	tpl_path_forget(&j);
	for (size_t i = 0; i < j.ndirs; i++)
		free(j.dirs[i].path);
	free(j.dirs);
	(void)archive_read_free(j.ar);
	return r;
}
