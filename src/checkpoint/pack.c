/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/checkpoint.h"

#include "checkpoint/priv.h"
#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
	WHOLE = 1,
	PARTIAL = 2,
	STREAMED = 3
}; /* versions of the format: an older Croft must not take a part for a whole, and knows no parts of images */

static const char magic[8] = "croftdmp";
static const char desc_name[] = "vps.json";

/* ---- writing ---- */

bool cpt_image_name(const char *name)
{
	size_t n = strlen(name);

	return cpt_name_valid(name) && n > 4 && !strcmp(name + n - 4, ".img");
}

static bool allowed(const char *name)
{
	return strcmp(name, desc_name) != 0;
}

int cpt_desc_put(int fd, const struct cpt_desc *d, uint64_t *ret_bytes)
{
	VZ_FREE char *text = cpt_desc_text(d);

	if (!text)
		return -ENOMEM;
	*ret_bytes = strlen(text);
	return cpt_text_put(fd, desc_name, text);
}

int cpt_streamed_head_put(int fd, bool zstd, uint64_t bytes)
{
	const struct cpt_head h = { .version = STREAMED, .zstd = zstd, .bytes = bytes };

	return cpt_head_put(fd, magic, &h);
}

int cpt_pack_bytes(const char *images, uint64_t *ret)
{
	return cpt_images_bytes(images, cpt_image_name, ret);
}

static int write_file(int fd, const char *images, const struct cpt_desc *d, int level)
{
	struct cpt_head h = { .version = d->parents || d->lazy ? PARTIAL : WHOLE,
			      .zstd = level > 0 };
	VZ_FREE char *text = cpt_desc_text(d);
	int r = text ? cpt_pack_bytes(images, &h.bytes) : -ENOMEM;

	if (r < 0)
		return r;
	h.bytes += strlen(text);
	r = cpt_head_put(fd, magic, &h);
	if (r == 0)
		r = cpt_entries_put(fd, images, cpt_image_name, desc_name, text, level);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

int cpt_pack(const char *images, const char *file, const struct cpt_desc *d, int level,
	     struct vz_error *err)
{
	VZ_FREE char *part = vz_fmt("%s.part", file);
	VZ_FD int fd = -EBADF;
	int r;

	if (!part)
		return vz_fail(err, VZ_EXIT_CHKPNT, ENOMEM, "write %s", file);
	(void)unlink(part);
	fd = vz_openat(AT_FDCWD, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	r = fd < 0 ? fd : write_file(fd, images, d, level);
	if (r == 0 && rename(part, file) < 0)
		r = -errno;
	if (r == 0)
		r = vz_fsync_dir_of(file);
	if (r < 0) {
		(void)unlink(part);
		return vz_fail(err, VZ_EXIT_CHKPNT, -r, "write %s", file);
	}
	return 0;
}

/* ---- reading ---- */

/* struct body - what of it is wanted. @dir, @memory: as for cpt_entries_get() */
struct body {
	int dir;
	bool all;
	struct cpt_memory *memory;
};

static int get_body(int fd, const struct body *w, bool parts, uint64_t bytes, struct cpt_desc *ret,
		    struct vz_error *err)
{
	CPT_DESC struct cpt_desc d = { 0 };
	VZ_FREE char *text = NULL;
	size_t size = 0;
	int r = cpt_first_get(fd, desc_name, CPT_DESC_BYTES, &text, &size);

	if (r == 0)
		r = cpt_desc_parse(text, size, &d, err);
	if (r == 0 && size > bytes)
		r = -EBADMSG;
	if (r == 0 && w->all)
		r = cpt_entries_get(fd, w->dir, w->memory, allowed, parts, bytes - size);
	if (r < 0)
		return r;
	cpt_desc_clear(ret);
	*ret = d;
	d = (struct cpt_desc){ 0 };
	return 0;
}

int cpt_read_entries(int fd, struct cpt_memory *memory, struct cpt_desc *ret, struct vz_error *err)
{
	const struct body w = { .dir = -1, .all = true, .memory = memory };
	struct stat st;

	return fstat(fd, &st) < 0 ? -errno : get_body(fd, &w, true, (uint64_t)st.st_size, ret, err);
}

static int get_header(int fd, struct cpt_head *h, struct vz_error *err)
{
	int r = cpt_head_get(fd, magic, h);

	if (r == -EMEDIUMTYPE)
		return vz_fail(err, VZ_EXIT_RESTORE, EBADMSG, "it is no dump of Croft");
	if (r == 0 && h->version > STREAMED)
		return vz_fail(
			err, VZ_EXIT_RESTORE, ENOTSUP,
			"it was made by a newer version of Croft (its format is %u, ours %d)",
			h->version, STREAMED);
	return r < 0 || h->version >= WHOLE ? r : -EBADMSG;
}

/* Can CRIU be given memory out of the file? It streams no images that stand on others; zstd's can only be read in a row. */
static bool in_place(const struct cpt_head *h)
{
	return !h->zstd && h->version != PARTIAL;
}

/* @w->memory: becomes NULL when it does not stay in the file. */
static int read_open(int fd, struct body *w, struct cpt_desc *ret, uint64_t *ret_bytes,
		     struct vz_error *err)
{
	CPT_DESC struct cpt_desc d = { 0 };
	VZ_FD int from = -EBADF;
	struct cpt_head h;
	pid_t pid = 0;
	int r = get_header(fd, &h, err), end;

	if (r < 0)
		return r;
	if (!in_place(&h))
		w->memory = NULL;
	from = h.zstd ? cpt_zstd(fd, 0, &pid) : -EBADF;
	if (h.zstd && from < 0)
		return from;
	r = get_body(h.zstd ? from : fd, w, h.version == STREAMED, h.bytes, &d, err);
	vz_closep(&from); /* one that has more to say ends by SIGPIPE */
	end = pid > 0 ? vz_wait(pid) : 0;
	if (r == 0 && w->all && end != 0)
		r = end == 127 ? -ENOENT : -EBADMSG;
	/* what it says of itself in both places */
	if (r == 0 && (d.parents > 0 || d.lazy) != (h.version == PARTIAL))
		r = -EBADMSG;
	if (r < 0)
		return r;
	if (ret_bytes)
		*ret_bytes = in_place(&h) ? 0 : h.bytes;
	cpt_desc_clear(ret);
	*ret = d;
	d = (struct cpt_desc){ 0 };
	return 0;
}

static int read_file(const char *file, struct body *w, struct cpt_desc *ret, uint64_t *ret_bytes,
		     struct vz_error *err)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat st;
	int r;

	if (fd < 0)
		return vz_fail(err, VZ_EXIT_RESTORE, -fd, "open dump file %s", file);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return vz_fail(err, VZ_EXIT_RESTORE, 0, "dump file %s is no regular file", file);
	err->exit = 0;
	r = read_open(fd, w, ret, ret_bytes, err);
	if (r == 0 && w->memory)
		cpt_memory_keep(w->memory, vz_take_fd(&fd));
	if (r < 0 && !err->exit)
		(void)vz_fail(err, VZ_EXIT_RESTORE, r == -EBADMSG || r == -ENODATA ? 0 : -r, "%s",
			      r == -ENODATA   ? "it is cut off"
			      : r == -EBADMSG ? "it is damaged"
					      : "read");
	return r < 0 ? vz_wrap(err, r, "dump file %s", file) : 0;
}

int cpt_peek(const char *file, struct cpt_desc *ret, uint64_t *ret_bytes, struct vz_error *err)
{
	return read_file(file, &(struct body){ .dir = -1 }, ret, ret_bytes, err);
}

static int unpack(const char *file, const char *images, uint64_t owner, struct body *w,
		  struct cpt_desc *ret, struct vz_error *err)
{
	VZ_FD int dir = -EBADF;
	int r = vz_rm_rf(AT_FDCWD, images);

	if (r == 0 || r == -ENOENT)
		r = mkdir(images, 0700) < 0 || lchown(images, (uid_t)owner, (gid_t)owner) < 0
			    ? -errno
			    : 0;
	if (r == 0)
		dir = vz_openat(AT_FDCWD, images, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r < 0 || dir < 0)
		return vz_fail(err, VZ_EXIT_RESTORE, r < 0 ? -r : -dir, "make %s", images);
	w->dir = dir;
	r = read_file(file, w, ret, NULL, err);
	if (r < 0)
		(void)!vz_rm_rf(AT_FDCWD, images);
	return r;
}

int cpt_unpack(const char *file, const char *images, uint64_t owner, struct cpt_desc *ret,
	       struct vz_error *err)
{
	struct body w = { .dir = -1, .all = true };

	return images ? unpack(file, images, owner, &w, ret, err)
		      : read_file(file, &w, ret, NULL, err);
}

int cpt_open(const char *file, const char *images, uint64_t owner, struct cpt_desc *ret,
	     struct cpt_memory **ret_memory, struct vz_error *err)
{
	struct cpt_memory *m = cpt_memory_new();
	struct body w = { .all = true, .memory = m };
	int r = m ? unpack(file, images, owner, &w, ret, err)
		  : vz_fail(err, VZ_EXIT_RESTORE, ENOMEM, "dump file %s", file);

	if (r == 0)
		*ret_memory = w.memory;
	if (r < 0 || !w.memory)
		cpt_memory_closep(&m);
	return r;
}
