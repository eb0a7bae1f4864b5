/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/checkpoint.h"

#include "checkpoint/priv.h"
#include "util/fd.h"
#include "util/proc.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* All numbers little-endian. */
struct file_header {
	char magic[8];
	uint32_t version;
	uint32_t compression; /* 0 none, 1 zstd */
	uint64_t bytes; /* of all entries together */
	char reserved[36]; /* zero */
	uint32_t crc; /* of all before it */
};

struct entry_header {
	uint32_t magic, type;
	uint64_t size; /* of an end mark: entries before it */
	char name[CPT_NAME]; /* NUL-padded */
	uint32_t reserved, crc; /* of all before it */
};

enum {
	FILE_VERSION = 1,
	ENTRY_MAGIC = 0x45465243, /* "CRFE" */
	ENTRY_FILE = 1,
	ENTRY_END = 2,
	ENTRIES_MAX = 1 << 20,
	CHUNK = 1 << 20,
};

static const char magic[8] = "croftdmp";
static const char desc_name[] = "vps.json";

/* CRIU's names are of this kind; none leads anywhere else. */
bool cpt_name_valid(const char *s)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

	return *s && *s != '.' && *s != '-' && strspn(s, allowed) == strlen(s) &&
	       strlen(s) < CPT_NAME;
}

/* ---- writing ---- */

static int put_header(int fd, uint32_t type, const char *name, uint64_t size)
{
	struct entry_header h = { .magic = htole32(ENTRY_MAGIC),
				  .type = htole32(type),
				  .size = htole64(size) };
	int r = vz_copy(h.name, sizeof(h.name), name);

	h.crc = htole32(cpt_crc(0, &h, offsetof(struct entry_header, crc)));
	return r < 0 ? r : vz_write_all(fd, &h, sizeof(h));
}

static int put_crc(int fd, uint32_t crc)
{
	crc = htole32(crc);
	return vz_write_all(fd, &crc, sizeof(crc));
}

static int put_text(int fd, const char *text)
{
	size_t len = strlen(text);
	int r = put_header(fd, ENTRY_FILE, desc_name, len);

	if (r == 0)
		r = vz_write_all(fd, text, len);
	return r < 0 ? r : put_crc(fd, cpt_crc(0, text, len));
}

static int put_file(int fd, int dir, const char *name, char *buf)
{
	VZ_FD int in = vz_openat(dir, name, O_RDONLY | O_NOFOLLOW, 0);
	uint32_t crc = 0;
	uint64_t left;
	struct stat st;
	int r;

	if (in < 0)
		return in;
	if (fstat(in, &st) < 0)
		return -errno;
	left = (uint64_t)st.st_size;
	r = put_header(fd, ENTRY_FILE, name, left);
	while (r == 0 && left > 0) {
		ssize_t n = read(in, buf, left < CHUNK ? (size_t)left : CHUNK);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		crc = cpt_crc(crc, buf, (size_t)n);
		r = vz_write_all(fd, buf, (size_t)n);
		left -= (uint64_t)n;
	}
	return r < 0 ? r : put_crc(fd, crc);
}

static bool wanted(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return cpt_name_valid(e->d_name) && n > 4 && !strcmp(e->d_name + n - 4, ".img");
}

int cpt_pack_bytes(const char *images, uint64_t *ret)
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, images);
	struct dirent *e;
	uint64_t sum = 0;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		struct stat st;

		if (wanted(e) && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			sum += (uint64_t)st.st_size;
	}
	*ret = sum;
	return 0;
}

static int put_all(int fd, const char *images, const char *text)
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, images);
	VZ_FREE char *buf = malloc(CHUNK);
	struct dirent *e;
	uint64_t n = 1;
	int r;

	if (!d)
		return -errno;
	r = buf ? put_text(fd, text) : -ENOMEM;
	while (r == 0 && (e = readdir(d))) {
		if (!wanted(e))
			continue;
		r = put_file(fd, dirfd(d), e->d_name, buf);
		n++;
	}
	return r < 0 ? r : put_header(fd, ENTRY_END, "", n);
}

/* zstd between us and @file: -N to compress, -d to expand. Return: our end of the pipe; *@ret_pid to wait for. */
static int through_zstd(int file, int level, pid_t *ret_pid)
{
	const char *argv[] = { "/usr/bin/zstd", "-q", "-c", level ? NULL : "-d", NULL, NULL };
	struct vz_run how = { 0 };
	char number[8];
	int p[2], r = vz_pipe(p), in = level ? 1 : 0;

	if (r < 0)
		return r;
	if (level) {
		(void)snprintf(number, sizeof(number), "-%d", level);
		argv[3] = number;
	}
	how.stdin_fd = level ? p[0] : file;
	how.stdout_fd = level ? file : p[1];
	/* neither end of the pipe stays open in it beside its stream: all are close-on-exec */
	*ret_pid = vz_spawn(argv, &how);
	vz_closep(&p[1 - in]);
	if (*ret_pid < 0)
		vz_closep(&p[in]);
	return *ret_pid < 0 ? (int)*ret_pid : p[in];
}

static int put_body(int fd, const char *images, const char *text, int level)
{
	VZ_FD int to = -EBADF;
	pid_t pid;
	int r, end;

	if (level == 0)
		return put_all(fd, images, text);
	to = through_zstd(fd, level, &pid);
	if (to < 0)
		return to;
	r = put_all(to, images, text);
	vz_closep(&to);
	end = vz_wait(pid);
	return r < 0 ? r : end == 0 ? 0 : end == 127 ? -ENOENT : -EIO;
}

static int write_file(int fd, const char *images, const struct cpt_desc *d, int level)
{
	struct file_header h = { .version = htole32(FILE_VERSION),
				 .compression = htole32(level ? 1 : 0) };
	VZ_FREE char *text = cpt_desc_text(d);
	uint64_t bytes;
	int r = text ? cpt_pack_bytes(images, &bytes) : -ENOMEM;

	if (r < 0)
		return r;
	memcpy(h.magic, magic, sizeof(magic));
	h.bytes = htole64(bytes + strlen(text));
	h.crc = htole32(cpt_crc(0, &h, offsetof(struct file_header, crc)));
	r = vz_write_all(fd, &h, sizeof(h));
	if (r == 0)
		r = put_body(fd, images, text, level);
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

/* Exactly @len bytes. 0; -ENODATA: it ends before. */
static int get(int fd, void *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = read(fd, (char *)buf + at, len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		at += (size_t)n;
	}
	return 0;
}

static int get_entry(int fd, struct entry_header *h)
{
	int r = get(fd, h, sizeof(*h));

	if (r < 0)
		return r;
	if (le32toh(h->crc) != cpt_crc(0, h, offsetof(struct entry_header, crc)) ||
	    le32toh(h->magic) != ENTRY_MAGIC || h->reserved || !memchr(h->name, '\0', CPT_NAME))
		return -EBADMSG;
	h->type = le32toh(h->type);
	h->size = le64toh(h->size);
	if (h->type == ENTRY_END)
		return h->name[0] ? -EBADMSG : 0;
	return h->type == ENTRY_FILE && cpt_name_valid(h->name) ? 0 : -EBADMSG;
}

static int check_crc(int fd, uint32_t crc)
{
	uint32_t want;
	int r = get(fd, &want, sizeof(want));

	return r < 0 ? r : le32toh(want) == crc ? 0 : -EBADMSG;
}

static int get_file(int fd, int dir, const struct entry_header *h, char *buf)
{
	VZ_FD int out = -EBADF;
	uint32_t crc = 0;
	struct stat st;
	int r = 0;

	if (dir >= 0) {
		out = vz_openat(dir, h->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
		if (out < 0) /* the same name twice */
			return out == -EEXIST ? -EBADMSG : out;
		/* like the directory: the restored processes read them as the VPS's root, nobody else */
		if (fstat(dir, &st) < 0 || fchown(out, st.st_uid, st.st_gid) < 0)
			return -errno;
	}
	for (uint64_t left = h->size; left > 0;) {
		size_t n = left < CHUNK ? (size_t)left : CHUNK;

		r = get(fd, buf, n);
		if (r < 0)
			return r;
		crc = cpt_crc(crc, buf, n);
		r = dir >= 0 ? vz_write_all(out, buf, n) : 0;
		if (r < 0)
			return r;
		left -= n;
	}
	return check_crc(fd, crc);
}

static int get_desc(int fd, uint64_t *ret_size, struct cpt_desc *ret, struct vz_error *err)
{
	VZ_FREE char *text = NULL;
	struct entry_header h;
	int r = get_entry(fd, &h);

	if (r < 0)
		return r;
	if (h.type != ENTRY_FILE || strcmp(h.name, desc_name) != 0 || h.size > CPT_DESC_BYTES)
		return -EBADMSG;
	text = malloc((size_t)h.size + 1);
	if (!text)
		return -ENOMEM;
	r = get(fd, text, (size_t)h.size);
	if (r == 0)
		r = check_crc(fd, cpt_crc(0, text, (size_t)h.size));
	*ret_size = h.size;
	return r < 0 ? r : cpt_desc_parse(text, (size_t)h.size, ret, err);
}

/* @bytes: what the file's header says they are together. */
static int get_all(int fd, int dir, uint64_t bytes, char *buf)
{
	struct entry_header h;
	char beyond;
	uint64_t n = 1;
	int r;

	for (;; n++) {
		r = n > ENTRIES_MAX ? -EBADMSG : get_entry(fd, &h);
		if (r < 0)
			return r;
		if (h.type == ENTRY_END)
			break;
		if (h.size > bytes || !strcmp(h.name, desc_name))
			return -EBADMSG;
		bytes -= h.size;
		r = get_file(fd, dir, &h, buf);
		if (r < 0)
			return r;
	}
	if (h.size != n || bytes)
		return -EBADMSG;
	return read(fd, &beyond, 1) == 0 ? 0 : -EBADMSG;
}

static int get_body(int fd, int dir, bool all, uint64_t bytes, struct cpt_desc *ret,
		    struct vz_error *err)
{
	CPT_DESC struct cpt_desc d = { 0 };
	VZ_FREE char *buf = malloc(CHUNK);
	uint64_t size = 0;
	int r = buf ? get_desc(fd, &size, &d, err) : -ENOMEM;

	if (r == 0 && size > bytes)
		r = -EBADMSG;
	if (r == 0 && all)
		r = get_all(fd, dir, bytes - size, buf);
	if (r < 0)
		return r;
	cpt_desc_clear(ret);
	*ret = d;
	d = (struct cpt_desc){ 0 };
	return 0;
}

int cpt_read_entries(int fd, int dir, bool all, struct cpt_desc *ret, struct vz_error *err)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? -errno : get_body(fd, dir, all, (uint64_t)st.st_size, ret, err);
}

static int get_header(int fd, struct file_header *h, struct vz_error *err)
{
	int r = get(fd, h, sizeof(*h));

	if (r < 0)
		return r;
	if (memcmp(h->magic, magic, sizeof(magic)) != 0)
		return vz_fail(err, VZ_EXIT_RESTORE, EBADMSG, "it is no dump of Croft");
	if (le32toh(h->crc) != cpt_crc(0, h, offsetof(struct file_header, crc)))
		return -EBADMSG;
	h->version = le32toh(h->version);
	h->compression = le32toh(h->compression);
	h->bytes = le64toh(h->bytes);
	if (h->version > FILE_VERSION)
		return vz_fail(
			err, VZ_EXIT_RESTORE, ENOTSUP,
			"it was made by a newer version of Croft (its format is %u, ours %d)",
			h->version, FILE_VERSION);
	return h->version == FILE_VERSION && h->compression <= 1 ? 0 : -EBADMSG;
}

static int read_open(int fd, int dir, bool all, struct cpt_desc *ret, uint64_t *ret_bytes,
		     struct vz_error *err)
{
	VZ_FD int from = -EBADF;
	struct file_header h;
	pid_t pid;
	int r = get_header(fd, &h, err), end;

	if (r < 0)
		return r;
	if (ret_bytes)
		*ret_bytes = h.bytes;
	if (!h.compression)
		return get_body(fd, dir, all, h.bytes, ret, err);
	from = through_zstd(fd, 0, &pid);
	if (from < 0)
		return from;
	r = get_body(from, dir, all, h.bytes, ret, err);
	vz_closep(&from); /* one that has more to say ends by SIGPIPE */
	end = vz_wait(pid);
	if (r == 0 && all && end != 0)
		r = end == 127 ? -ENOENT : -EBADMSG;
	return r;
}

static int read_file(const char *file, int dir, bool all, struct cpt_desc *ret, uint64_t *ret_bytes,
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
	r = read_open(fd, dir, all, ret, ret_bytes, err);
	if (r < 0 && !err->exit)
		(void)vz_fail(err, VZ_EXIT_RESTORE, r == -EBADMSG || r == -ENODATA ? 0 : -r, "%s",
			      r == -ENODATA   ? "it is cut off"
			      : r == -EBADMSG ? "it is damaged"
					      : "read");
	return r < 0 ? vz_wrap(err, r, "dump file %s", file) : 0;
}

int cpt_peek(const char *file, struct cpt_desc *ret, uint64_t *ret_bytes, struct vz_error *err)
{
	return read_file(file, -1, false, ret, ret_bytes, err);
}

int cpt_unpack(const char *file, const char *images, uint64_t owner, struct cpt_desc *ret,
	       struct vz_error *err)
{
	VZ_FD int dir = -EBADF;
	int r;

	if (!images)
		return read_file(file, -1, true, ret, NULL, err);
	r = vz_rm_rf(AT_FDCWD, images);
	if (r == 0 || r == -ENOENT)
		r = mkdir(images, 0700) < 0 || lchown(images, (uid_t)owner, (gid_t)owner) < 0
			    ? -errno
			    : 0;
	if (r == 0)
		dir = vz_openat(AT_FDCWD, images, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r < 0 || dir < 0)
		return vz_fail(err, VZ_EXIT_RESTORE, r < 0 ? -r : -dir, "make %s", images);
	r = read_file(file, dir, true, ret, NULL, err);
	if (r < 0)
		(void)!vz_rm_rf(AT_FDCWD, images);
	return r;
}
