/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a dump and a round are made of: a header, entries with checksums, an end mark; zstd around them. */
#include "checkpoint/priv.h"

#include "util/fd.h"
#include "util/proc.h"
#include "util/str.h"

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
	ENTRY_MAGIC = 0x45465243, /* "CRFE" */
	ENTRY_FILE = 1,
	ENTRY_END = 2,
	ENTRIES_MAX = 1 << 20,
	CHUNK = 1 << 20,
};

/* CRIU's names are of this kind; none leads anywhere else. */
bool cpt_name_valid(const char *s)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

	return *s && *s != '.' && *s != '-' && strspn(s, allowed) == strlen(s) &&
	       strlen(s) < CPT_NAME;
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

static int put_text(int fd, const char *name, const char *text)
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
	r = buf ? put_text(fd, first, text) : -ENOMEM;
	while (r == 0 && (e = readdir(d))) {
		if (!wanted(e->d_name))
			continue;
		r = put_file(fd, dirfd(d), e->d_name, buf);
		n++;
	}
	return r < 0 ? r : put_header(fd, ENTRY_END, "", n);
}

/* zstd between us and @file: -N to compress, -d to expand. Return: our end of the pipe; *@ret_pid to wait for. */
int cpt_zstd(int file, int level, pid_t *ret_pid)
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

int cpt_entries_put(int fd, const char *images, cpt_name_fn *wanted, const char *first,
		    const char *text, int level)
{
	VZ_FD int to = -EBADF;
	pid_t pid;
	int r, end;

	if (level == 0)
		return put_all(fd, images, wanted, first, text);
	to = cpt_zstd(fd, level, &pid);
	if (to < 0)
		return to;
	r = put_all(to, images, wanted, first, text);
	vz_closep(&to);
	end = vz_wait(pid);
	return r < 0 ? r : end == 0 ? 0 : end == 127 ? -ENOENT : -EIO;
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
	if (h.type != ENTRY_FILE || strcmp(h.name, name) != 0 || h.size > max)
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

int cpt_entries_get(int fd, int dir, cpt_name_fn *allowed, uint64_t bytes)
{
	VZ_FREE char *buf = malloc(CHUNK);
	struct entry_header h = { 0 };
	char beyond;
	uint64_t n = 1;
	int r = buf ? 0 : -ENOMEM;

	for (; r == 0; n++) {
		r = n > ENTRIES_MAX ? -EBADMSG : get_entry(fd, &h);
		if (r < 0)
			return r;
		if (h.type == ENTRY_END)
			break;
		if (h.size > bytes || !allowed(h.name))
			return -EBADMSG;
		bytes -= h.size;
		r = get_file(fd, dir, &h, buf);
		if (r < 0)
			return r;
	}
	if (r == 0 && (h.size != n || bytes))
		r = -EBADMSG;
	if (r < 0)
		return r;
	return read(fd, &beyond, 1) == 0 ? 0 : -EBADMSG;
}
