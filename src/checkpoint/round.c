/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rounds: images of memory that CRIU's pre-dump wrote while the VPS ran, each on top of the one before. A stream and a
 * directory of their own, which nothing takes for a dump: alone they are of no use.
 */
#include "checkpoint/checkpoint.h"

#include "checkpoint/priv.h"
#include "util/fd.h"
#include "util/proc.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { ROUND_VERSION = 1, MARK_BYTES = 256 };

static const char magic[8] = "croftrnd";
static const char mark_name[] = "round.json";

bool cpt_chain_valid(const char *id)
{
	return strlen(id) == CPT_CHAIN - 1 && strspn(id, "0123456789abcdef") == CPT_CHAIN - 1;
}

/* What the first entry holds, and the file beside the images: exactly this, or it is of something else. */
static char *mark_text(const char *id, unsigned int n)
{
	return vz_fmt("{\"schema\":%d,\"id\":\"%s\",\"n\":%u}\n", ROUND_VERSION, id, n);
}

/* PREFIX, digits, ".img" */
static bool numbered(const char *name, const char *prefix)
{
	size_t n = strlen(prefix), digits;

	if (strncmp(name, prefix, n) != 0)
		return false;
	digits = strspn(name + n, "0123456789");
	return digits > 0 && digits < 11 && !strcmp(name + n + digits, ".img");
}

static bool pages(const char *name)
{
	return numbered(name, "pages-");
}

/* Memory of processes, and when it was looked at, by which CRIU knows a pid that was used again. */
static bool wanted(const char *name)
{
	return !strcmp(name, "inventory.img") || numbered(name, "pagemap-") || pages(name);
}

/* ---- where it is made ---- */

/*
 * The number of the file with the pages, out of the head of a pagemap: two magic words, the length of a message, the
 * message: field 1, a varint (CRIU's images/pagemap.proto).
 */
static int pages_of(int dir, const char *name, unsigned int *ret)
{
	VZ_FD int fd = vz_openat(dir, name, O_RDONLY | O_NOFOLLOW, 0);
	unsigned char b[18];
	ssize_t n = fd < 0 ? fd : pread(fd, b, sizeof(b), 0);
	uint64_t v = 0;

	if (n < 14 || b[12] != 0x08)
		return n < 0 && fd < 0 ? fd : -EBADMSG;
	for (ssize_t i = 13; i < n; i++) {
		v |= (uint64_t)(b[i] & 0x7f) << (7 * (i - 13));
		if (!(b[i] & 0x80)) {
			*ret = (unsigned int)v;
			return 0;
		}
	}
	return -EBADMSG;
}

int cpt_round_trim(const char *images)
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, images);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		char name[32];
		unsigned int n;
		int r;

		if (!numbered(e->d_name, "pagemap-shmem-"))
			continue;
		r = pages_of(dirfd(d), e->d_name, &n);
		if (r < 0)
			return r;
		(void)snprintf(name, sizeof(name), "pages-%u.img", n);
		if (unlinkat(dirfd(d), name, 0) < 0 || unlinkat(dirfd(d), e->d_name, 0) < 0)
			return -errno;
	}
	return 0;
}

int cpt_round_bytes(const char *images, uint64_t *ret)
{
	return cpt_images_bytes(images, pages, ret);
}

int cpt_round_strip(const char *images)
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, images);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		VZ_FD int fd = -EBADF;

		if (!pages(e->d_name))
			continue;
		fd = vz_openat(dirfd(d), e->d_name, O_WRONLY | O_NOFOLLOW, 0);
		if (fd < 0 || ftruncate(fd, 0) < 0)
			return fd < 0 ? fd : -errno;
	}
	return 0;
}

/* ---- the stream ---- */

int cpt_round_send(int fd, const char *images, const char *id, unsigned int n, int level,
		   struct vz_error *err)
{
	struct cpt_head h = { .version = ROUND_VERSION, .zstd = level > 0 };
	VZ_FREE char *text = mark_text(id, n);
	int r = text ? cpt_images_bytes(images, wanted, &h.bytes) : -ENOMEM;

	if (r == 0) {
		h.bytes += strlen(text);
		r = cpt_head_put(fd, magic, &h);
	}
	if (r == 0)
		r = cpt_entries_put(fd, images, wanted, mark_name, text, level);
	return r < 0 ? vz_fail(err, VZ_EXIT_CHKPNT, -r, "send %s", images) : 0;
}

static int get_body(int fd, int dir, const struct cpt_head *h, const char *id, unsigned int n)
{
	VZ_FREE char *want = mark_text(id, n);
	VZ_FREE char *text = NULL;
	size_t len = 0;
	int r = want ? cpt_first_get(fd, mark_name, MARK_BYTES, &text, &len) : -ENOMEM;

	if (r == 0 && (strlen(text) != len || strcmp(text, want) != 0 || len > h->bytes))
		r = -EBADMSG;
	return r < 0 ? r : cpt_entries_get(fd, dir, NULL, wanted, false, h->bytes - len);
}

int cpt_round_read(int fd, int dir, const char *id, unsigned int n)
{
	struct cpt_head h;
	VZ_FD int from = -EBADF;
	pid_t pid = 0;
	int r = cpt_head_get(fd, magic, &h), end;

	if (r < 0 || h.version != ROUND_VERSION)
		return r < 0 && r != -EMEDIUMTYPE ? r : -EBADMSG;
	if (!h.zstd)
		return get_body(fd, dir, &h, id, n);
	from = cpt_zstd(fd, 0, &pid);
	if (from < 0)
		return from;
	r = get_body(from, dir, &h, id, n);
	vz_closep(&from);
	end = vz_wait(pid);
	return r < 0 || end == 0 ? r : end == 127 ? -ENOENT : -EBADMSG;
}

static int put_mark(int dir, const char *id, unsigned int n)
{
	VZ_FD int fd = vz_openat(dir, mark_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	VZ_FREE char *text = mark_text(id, n);

	return fd < 0 ? fd : text ? vz_write_all(fd, text, strlen(text)) : -ENOMEM;
}

/* Directory @images, owned by the VPS's root, which reads it when it is restored; nobody else. */
static int make_dir(const char *images, uint64_t owner)
{
	int r = vz_rm_rf(AT_FDCWD, images);

	if (r < 0 && r != -ENOENT)
		return r;
	if (mkdir(images, 0700) < 0 || lchown(images, (uid_t)owner, (gid_t)owner) < 0)
		return -errno;
	return vz_openat(AT_FDCWD, images, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

int cpt_round_link(int dir, unsigned int parent, uint64_t owner)
{
	char to[16];

	(void)snprintf(to, sizeof(to), "../%u", parent);
	if (symlinkat(to, dir, "parent") < 0 ||
	    fchownat(dir, "parent", (uid_t)owner, (gid_t)owner, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

int cpt_round_take(int fd, const char *rounds, uint64_t owner, const char *id, unsigned int n,
		   struct vz_error *err)
{
	char images[PATH_MAX];
	VZ_FD int dir = -EBADF;
	int len = snprintf(images, sizeof(images), "%s/%u", rounds, n), r;

	if (len < 0 || (size_t)len >= sizeof(images))
		return vz_fail(err, VZ_EXIT_RESTORE, ENAMETOOLONG, "%s", rounds);
	dir = make_dir(images, owner);
	r = dir < 0 ? dir : cpt_round_read(fd, dir, id, n);
	if (r == 0 && n > 1)
		r = cpt_round_link(dir, n - 1, owner);
	if (r == 0) /* last: with it the round is whole */
		r = put_mark(dir, id, n);
	if (r == 0)
		return 0;
	(void)!vz_rm_rf(AT_FDCWD, images);
	if (r == -EBADMSG || r == -ENODATA)
		return vz_fail(err, VZ_EXIT_RESTORE, 0, "round %u of the memory is %s", n,
			       r == -ENODATA ? "cut off" : "damaged");
	return vz_fail(err, VZ_EXIT_RESTORE, -r, "write %s", images);
}

int cpt_rounds_there(const char *rounds, const char *id, unsigned int n, struct vz_error *err)
{
	for (unsigned int k = 1; k <= n; k++) {
		char path[PATH_MAX];
		VZ_FREE char *want = mark_text(id, k);
		VZ_FREE char *text = NULL;
		int len = snprintf(path, sizeof(path), "%s/%u/%s", rounds, k, mark_name);

		if (!want || len < 0 || (size_t)len >= sizeof(path) ||
		    vz_read_file(AT_FDCWD, path, MARK_BYTES, &text) < 0 || strcmp(text, want) != 0)
			return vz_fail(
				err, VZ_EXIT_RESTORE, 0,
				"it holds only what changed of the memory since %u earlier copies, "
				"and copy %u is not in %s",
				n, k, rounds);
	}
	return 0;
}
