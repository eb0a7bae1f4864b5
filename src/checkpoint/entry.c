/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a dump and a round are made of: a header, entries with checksums, an end mark; zstd around them. An image is one
 * entry; in a dump that was written while CRIU made it, it may be several parts, numbered from 0, between which those of
 * other images stand; the last is of type ENTRY_FILE.
 */
#include "checkpoint/priv.h"

#include "util/fd.h"
#include "util/proc.h"
#include "util/str.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

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
	uint32_t part; /* parts of this image before it */
	uint32_t crc; /* of all before it */
};

_Static_assert(sizeof(struct file_header) == CPT_HEAD_BYTES &&
		       sizeof(struct entry_header) == CPT_PART_HEAD,
	       "priv.h says how long they are");

enum {
	ENTRY_MAGIC = 0x45465243, /* "CRFE" */
	ENTRY_FILE = 1,
	ENTRY_END = 2,
	ENTRY_PART = 3, /* more of this image follows */
	ENTRIES_MAX = 1 << 20,
	CHUNK = CPT_PART_BYTES,
	BEGUN_MAX = 64, /* images of which more is to come */
};

/* CRIU's names are of this kind; none leads anywhere else. */
bool cpt_name_valid(const char *s)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

	return *s && *s != '.' && *s != '-' && strspn(s, allowed) == strlen(s) &&
	       strlen(s) < CPT_NAME;
}

void cpt_write_back(int fd, uint64_t *behind, uint64_t end)
{
	enum { AT_LEAST = 8 << 20 };

	if (end < *behind + AT_LEAST)
		return;
	(void)!sync_file_range(fd, (off_t)*behind, (off_t)(end - *behind), SYNC_FILE_RANGE_WRITE);
	*behind = end;
}

/* ---- writing ---- */

int cpt_head_put(int fd, const char magic[8], const struct cpt_head *head)
{
	struct file_header h = { .version = htole32(head->version),
				 .compression = htole32(head->zstd ? 1 : 0),
				 .bytes = htole64(head->bytes) };

	memcpy(h.magic, magic, sizeof(h.magic));
	h.crc = htole32(cpt_crc(0, &h, offsetof(struct file_header, crc)));
	return vz_write_all(fd, &h, sizeof(h));
}

static int make_header(struct entry_header *h, uint32_t type, const char *name, uint32_t part,
		       uint64_t size)
{
	*h = (struct entry_header){ .magic = htole32(ENTRY_MAGIC),
				    .type = htole32(type),
				    .size = htole64(size),
				    .part = htole32(part) };
	if (vz_copy(h->name, sizeof(h->name), name) < 0)
		return -ENAMETOOLONG;
	h->crc = htole32(cpt_crc(0, h, offsetof(struct entry_header, crc)));
	return 0;
}

static int put_header(int fd, uint32_t type, const char *name, uint64_t size)
{
	struct entry_header h;
	int r = make_header(&h, type, name, 0, size);

	return r < 0 ? r : vz_write_all(fd, &h, sizeof(h));
}

int cpt_part_put(int fd, char *frame, const char *name, uint32_t part, size_t len, bool last)
{
	uint32_t crc = htole32(cpt_crc(0, frame + CPT_PART_HEAD, len));
	struct entry_header h;
	int r = make_header(&h, last ? ENTRY_FILE : ENTRY_PART, name, part, len);

	memcpy(frame, &h, sizeof(h));
	memcpy(frame + CPT_PART_HEAD + len, &crc, sizeof(crc));
	return r < 0 ? r : vz_write_all(fd, frame, CPT_PART_HEAD + len + sizeof(crc));
}

int cpt_end_put(int fd, uint64_t entries)
{
	return put_header(fd, ENTRY_END, "", entries);
}

static int put_crc(int fd, uint32_t crc)
{
	crc = htole32(crc);
	return vz_write_all(fd, &crc, sizeof(crc));
}

int cpt_text_put(int fd, const char *name, const char *text)
{
	size_t len = strlen(text);
	int r = put_header(fd, ENTRY_FILE, name, len);

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

int cpt_images_bytes(const char *images, cpt_name_fn *wanted, uint64_t *ret)
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, images);
	struct dirent *e;
	uint64_t sum = 0;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		struct stat st;

		if (wanted(e->d_name) &&
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			sum += (uint64_t)st.st_size;
	}
	*ret = sum;
	return 0;
}

static int put_all(int fd, const char *images, cpt_name_fn *wanted, const char *first,
		   const char *text)
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, images);
	VZ_FREE char *buf = malloc(CHUNK);
	struct dirent *e;
	uint64_t n = 1;
	int r;

	if (!d)
		return -errno;
	r = buf ? cpt_text_put(fd, first, text) : -ENOMEM;
	while (r == 0 && (e = readdir(d))) {
		if (!wanted(e->d_name))
			continue;
		r = put_file(fd, dirfd(d), e->d_name, buf);
		n++;
	}
	return r < 0 ? r : cpt_end_put(fd, n);
}

/* zstd between us and @file: -N to compress, -d to expand. Return: our end of the pipe; *@ret_pid to wait for. */
int cpt_zstd(int file, int level, pid_t *ret_pid)
{
	enum { THREADS_MAX = 4 };
	const char *argv[] = { "/usr/bin/zstd", "-q", "-c", level ? NULL : "-d", NULL, NULL };
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct vz_run how = { 0 };
	char number[8], threads[8];
	int p[2], r = vz_pipe(p), in = level ? 1 : 0;

	if (r < 0)
		return r;
	if (level) {
		(void)snprintf(number, sizeof(number), "-%d", level);
		(void)snprintf(threads, sizeof(threads), "-T%d",
			       cpus > 0 && cpus < THREADS_MAX ? (int)cpus : THREADS_MAX);
		argv[3] = number;
		argv[4] = threads; /* a VPS stands still meanwhile */
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

int cpt_zstd_why(int file, int r)
{
	struct statvfs fs;
	struct stat st;

	if (r != -EPIPE)
		return r;
	return fstat(file, &st) == 0 && S_ISREG(st.st_mode) && fstatvfs(file, &fs) == 0 &&
			       fs.f_bavail == 0
		       ? -ENOSPC
		       : -EIO;
}

int cpt_zstd_end(int file, pid_t pid, int r)
{
	int end = vz_wait(pid);

	if (end == 127)
		return -ENOENT;
	return cpt_zstd_why(file, r == 0 && end != 0 ? -EPIPE : r);
}

int cpt_entries_put(int fd, const char *images, cpt_name_fn *wanted, const char *first,
		    const char *text, int level)
{
	VZ_NOPIPE struct vz_nopipe alone = { 0 };
	VZ_FD int to = -EBADF;
	pid_t pid;
	int r;

	if (level == 0)
		return put_all(fd, images, wanted, first, text);
	to = cpt_zstd(fd, level, &pid);
	if (to < 0)
		return to;
	vz_nopipe_begin(&alone);
	r = put_all(to, images, wanted, first, text);
	vz_closep(&to);
	return cpt_zstd_end(fd, pid, r);
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
	    le32toh(h->magic) != ENTRY_MAGIC || !memchr(h->name, '\0', CPT_NAME))
		return -EBADMSG;
	h->type = le32toh(h->type);
	h->size = le64toh(h->size);
	h->part = le32toh(h->part);
	if (h->type == ENTRY_END)
		return h->name[0] || h->part ? -EBADMSG : 0;
	return (h->type == ENTRY_FILE || h->type == ENTRY_PART) && cpt_name_valid(h->name)
		       ? 0
		       : -EBADMSG;
}

static int check_crc(int fd, uint32_t crc)
{
	uint32_t want;
	int r = get(fd, &want, sizeof(want));

	return r < 0 ? r : le32toh(want) == crc ? 0 : -EBADMSG;
}

/* An image of which more is to come; a free one has no name. */
struct begun {
	char name[CPT_NAME];
	uint32_t parts;
	int fd; /* -1: checked only */
	struct cpt_mem_image *kept; /* it stays where it is; NULL: it does not */
};

struct reader {
	int fd, dir;
	struct cpt_memory *memory; /* NULL: it is written to @dir like the rest */
	char *buf; /* of CHUNK bytes */
	struct begun begun[BEGUN_MAX];
};

/* The one of this name, or with "" a free one; NULL none. */
static struct begun *find(struct reader *rd, const char *name)
{
	for (size_t i = 0; i < BEGUN_MAX; i++)
		if (!strcmp(rd->begun[i].name, name))
			return &rd->begun[i];
	return NULL;
}

static int begin(struct reader *rd, const char *name, struct begun **ret)
{
	struct begun *b = find(rd, "");
	struct stat st;

	if (!b)
		return -EBADMSG;
	*b = (struct begun){ .fd = -EBADF };
	if (rd->memory && cpt_memory_name(name)) {
		int r = cpt_memory_begin(rd->memory, name, &b->kept);

		if (r < 0)
			return r == -EEXIST ? -EBADMSG : r;
	} else if (rd->dir >= 0) {
		b->fd = vz_openat(rd->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
		if (b->fd < 0) /* the same name twice */
			return b->fd == -EEXIST ? -EBADMSG : b->fd;
	}
	memcpy(b->name, name, strlen(name) + 1); /* valid, so it fits */
	/* like the directory: the restored processes read them as the VPS's root, nobody else */
	if (b->fd >= 0 && (fstat(rd->dir, &st) < 0 || fchown(b->fd, st.st_uid, st.st_gid) < 0))
		return -errno;
	*ret = b;
	return 0;
}

static void end(struct begun *b)
{
	vz_closep(&b->fd);
	b->name[0] = '\0';
}

static int get_image(struct reader *rd, const struct entry_header *h)
{
	struct begun *b = find(rd, h->name);
	struct cpt_mem_part part = { .size = h->size };
	uint32_t crc = 0;
	int r = 0;

	if (h->part != (b ? b->parts : 0) || (h->type == ENTRY_PART && h->size == 0))
		return -EBADMSG;
	if (!b)
		r = begin(rd, h->name, &b);
	if (r == 0 && b->kept)
		part.at = (uint64_t)lseek(rd->fd, 0, SEEK_CUR);
	for (uint64_t left = h->size; r == 0 && left > 0;) {
		size_t n = left < CHUNK ? (size_t)left : CHUNK;

		r = get(rd->fd, rd->buf, n);
		if (r < 0)
			return r;
		crc = cpt_crc(crc, rd->buf, n);
		r = b->fd >= 0 ? vz_write_all(b->fd, rd->buf, n) : 0;
		left -= n;
	}
	if (r == 0)
		r = check_crc(rd->fd, crc);
	part.crc = crc;
	if (r == 0 && b->kept)
		r = cpt_memory_add(rd->memory, b->kept, &part);
	if (r < 0)
		return r;
	b->parts++;
	if (h->type == ENTRY_FILE)
		end(b);
	return 0;
}

int cpt_head_get(int fd, const char magic[8], struct cpt_head *ret)
{
	struct file_header h;
	int r = get(fd, &h, sizeof(h));

	if (r < 0)
		return r;
	if (memcmp(h.magic, magic, sizeof(h.magic)) != 0)
		return -EMEDIUMTYPE;
	if (le32toh(h.crc) != cpt_crc(0, &h, offsetof(struct file_header, crc)) ||
	    le32toh(h.compression) > 1)
		return -EBADMSG;
	ret->version = le32toh(h.version);
	ret->zstd = le32toh(h.compression) == 1;
	ret->bytes = le64toh(h.bytes);
	return 0;
}

int cpt_first_get(int fd, const char *name, size_t max, char **ret_text, size_t *ret_len)
{
	VZ_FREE char *text = NULL;
	struct entry_header h;
	int r = get_entry(fd, &h);

	if (r < 0)
		return r;
	if (h.type != ENTRY_FILE || h.part || strcmp(h.name, name) != 0 || h.size > max)
		return -EBADMSG;
	text = malloc((size_t)h.size + 1);
	if (!text)
		return -ENOMEM;
	r = get(fd, text, (size_t)h.size);
	if (r == 0)
		r = check_crc(fd, cpt_crc(0, text, (size_t)h.size));
	if (r < 0)
		return r;
	text[h.size] = '\0';
	*ret_len = (size_t)h.size;
	*ret_text = vz_take_ptr(&text);
	return 0;
}

static int get_images(struct reader *rd, cpt_name_fn *allowed, bool parts, uint64_t bytes)
{
	struct entry_header h = { 0 };
	char beyond;

	for (uint64_t n = 1; n <= ENTRIES_MAX; n++) {
		int r = get_entry(rd->fd, &h);

		if (r < 0)
			return r;
		if (h.type == ENTRY_END) {
			if (h.size != n || bytes)
				return -EBADMSG;
			for (size_t i = 0; i < BEGUN_MAX; i++)
				if (rd->begun[i].name[0])
					return -EBADMSG;
			return read(rd->fd, &beyond, 1) == 0 ? 0 : -EBADMSG;
		}
		if (h.size > bytes || !allowed(h.name) ||
		    (!parts && (h.type == ENTRY_PART || h.part)))
			return -EBADMSG;
		bytes -= h.size;
		r = get_image(rd, &h);
		if (r < 0)
			return r;
	}
	return -EBADMSG;
}

int cpt_entries_get(int fd, int dir, struct cpt_memory *memory, cpt_name_fn *allowed, bool parts,
		    uint64_t bytes)
{
	VZ_FREE struct reader *rd = calloc(1, sizeof(*rd));
	VZ_FREE char *buf = malloc(CHUNK);
	int r;

	if (!rd || !buf)
		return -ENOMEM;
	rd->fd = fd;
	rd->dir = dir;
	rd->memory = memory;
	rd->buf = buf;
	r = get_images(rd, allowed, parts, bytes);
	for (size_t i = 0; i < BEGUN_MAX; i++)
		if (rd->begun[i].name[0])
			end(&rd->begun[i]);
	return r;
}
