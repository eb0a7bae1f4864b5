/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which ids of the host a VPS has: 65536 each, never shared. */
#include "vps/vps.h"

#include "util/fd.h"
#include "util/parse.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { SLOT = 65536, FIRST_SLOT = 100, LAST_SLOT = 65534 };

struct range {
	uint64_t base, count;
};

struct ranges {
	struct range *v;
	size_t n;
};

static void rangesp(struct ranges *l)
{
	free(l->v);
}

static int add_range(struct ranges *l, uint64_t base, uint64_t count)
{
	struct range *more = reallocarray(l->v, l->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	l->v = more;
	l->v[l->n++] = (struct range){ base, count };
	return 0;
}

static bool clashes(const struct ranges *l, uint64_t base, uint64_t count)
{
	for (size_t i = 0; i < l->n; i++)
		if (base < l->v[i].base + l->v[i].count && l->v[i].base < base + count)
			return true;
	return false;
}

/*
 * Fields @base_field (and @count_field, or 1 id) of a colon-separated file; unreadable lines are
 * skipped.
 */
static int read_ids(struct ranges *l, const char *path, int base_field, int count_field)
{
	VZ_FREE char *text = NULL;
	char *line, *save = NULL;
	int r = 0;

	if (vz_read_file(AT_FDCWD, path, 16 << 20, &text) < 0)
		return 0;
	for (line = strtok_r(text, "\n", &save); r == 0 && line;
	     line = strtok_r(NULL, "\n", &save)) {
		uint64_t base = 0, count = count_field < 0;
		int field = 0;

		for (char *p = line; p; field++) {
			char *next = strchr(p, ':');

			if (next)
				*next++ = '\0';
			if (field == base_field && vz_parse_u64(p, 0, UINT32_MAX, &base) < 0)
				base = 0;
			if (field == count_field && vz_parse_u64(p, 0, UINT32_MAX, &count) < 0)
				count = 0;
			p = next;
		}
		/* 65534 and below are ordinary users; only slots from FIRST_SLOT up matter */
		if (count > 0 && base + count > (uint64_t)FIRST_SLOT * SLOT)
			r = add_range(l, base, count);
	}
	return r;
}

/* ---- the other VPSes ---- */

/*
 * What each CTID.conf said about its ids when it was read last, kept in RUN/ids: a thousand files
 * take 25 ms to read and 1 ms to stat. An entry counts while its file has not changed.
 */
struct known {
	uint64_t ctid, inode, size, mtime_ns, base, count; /* count 0: no ids of its own */
};

struct book {
	struct known *v;
	size_t n;
};

static void bookp(struct book *b)
{
	free(b->v);
}

static int book_add(struct book *b, const struct known *k)
{
	struct known *more;

	if ((b->n & (b->n + 1)) == 0) { /* grows at 0, 1, 3, 7... */
		more = reallocarray(b->v, b->n * 2 + 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		b->v = more;
	}
	b->v[b->n++] = *k;
	return 0;
}

static const char *book_path(char path[PATH_MAX])
{
	return vps_path(path, "%s/ids", vps_paths()->run);
}

/* A cache: what cannot be read is read anew from the files. */
static void book_load(struct book *b)
{
	VZ_FREE char *text = NULL;
	char path[PATH_MAX], *p;

	if (vz_read_file(AT_FDCWD, book_path(path), 64 << 20, &text) < 0)
		return;
	for (p = text; *p;) {
		struct known k = { 0 };
		uint64_t *const field[] = { &k.ctid,	 &k.inode, &k.size,
					    &k.mtime_ns, &k.base,  &k.count };

		for (size_t i = 0; i < sizeof(field) / sizeof(*field); i++) {
			char *end;

			*field[i] = strtoull(p, &end, 10);
			if (end == p || (*end != ' ' && *end != '\n'))
				return;
			p = end + 1;
		}
		if (book_add(b, &k) < 0)
			return;
	}
}

static void book_save(const struct book *b)
{
	VZ_BUF struct vz_buf out = { 0 };
	/* a file written this very moment may be written again without a sign of it */
	const uint64_t settled = (uint64_t)(time(NULL) - 1) * 1000000000U;
	char path[PATH_MAX];

	for (size_t i = 0; i < b->n; i++) {
		const struct known *k = &b->v[i];

		if (k->mtime_ns < settled)
			vz_buf_fmt(&out,
				   "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
				   " %" PRIu64 "\n",
				   k->ctid, k->inode, k->size, k->mtime_ns, k->base, k->count);
	}
	if (!out.failed && out.s)
		(void)!vz_write_volatile(book_path(path), out.s, out.len, 0600);
}

/* The ids that @path asks for; hundreds of files are not worth parsing whole. */
static int read_conf(const char *path, struct known *k)
{
	VPS_CONFIG struct vps_config c = { 0 };
	VZ_FREE char *text = NULL;

	k->base = k->count = 0;
	if (vz_read_file(AT_FDCWD, path, 4 << 20, &text) < 0)
		return -ENOENT;
	if (strstr(text, "LOCAL_UID") && vps_load_file(&c, path, VS_VPS, NULL) < 0)
		return -ENOENT;
	if (vps_is_set(&c, VP_LOCAL_UID))
		k->base = c.local_uid;
	else if (k->ctid >= FIRST_SLOT && k->ctid <= LAST_SLOT)
		k->base = k->ctid << 16;
	else
		return 0;
	k->count = c.local_uid_count ? c.local_uid_count : SLOT;
	return 0;
}

static int read_other_vpses(struct ranges *l, uint32_t self)
{
	__attribute__((cleanup(bookp))) struct book old = { 0 };
	__attribute__((cleanup(bookp))) struct book new = { 0 };
	VZ_FD int dir = vz_openat(AT_FDCWD, vps_paths()->conf, O_RDONLY | O_DIRECTORY, 0);
	VZ_FREE uint32_t *ids = NULL;
	ssize_t n = vps_list_ctids(&ids);
	size_t at = 0, hits = 0;
	int r = n < 0 ? (int)n : 0;

	book_load(&old);
	for (ssize_t i = 0; r == 0 && i < n; i++) {
		char name[32], path[PATH_MAX];
		struct stat st;
		struct known k = { .ctid = ids[i] };

		(void)snprintf(name, sizeof(name), "%u.conf", ids[i]);
		if (fstatat(dir, name, &st, 0) < 0)
			continue;
		k.inode = st.st_ino;
		k.size = (uint64_t)st.st_size;
		k.mtime_ns =
			(uint64_t)st.st_mtim.tv_sec * 1000000000U + (uint64_t)st.st_mtim.tv_nsec;
		while (at < old.n && old.v[at].ctid < k.ctid) /* both are in order of numbers */
			at++;
		if (at < old.n && !memcmp(&old.v[at], &k, offsetof(struct known, base))) {
			k = old.v[at];
			hits++;
		} else if (read_conf(vps_path(path, "%s/%s", vps_paths()->conf, name), &k) < 0) {
			continue;
		}
		r = book_add(&new, &k);
		if (r == 0 && k.count && k.ctid != self)
			r = add_range(l, k.base, k.count);
	}
	if (r == 0 && (hits != new.n || hits != old.n))
		book_save(&new);
	return r;
}

int vps_idbase(struct vps_config *c, uint64_t *ret_base, uint64_t *ret_count, bool *ret_save,
	       struct vz_error *err)
{
	__attribute__((cleanup(rangesp))) struct ranges used = { 0 };
	uint64_t count = vps_is_set(c, VP_LOCAL_UID_COUNT) ? c->local_uid_count : SLOT, base = 0;
	int r;

	*ret_save = false;
	r = read_ids(&used, "/etc/subuid", 1, 2);
	if (r == 0)
		r = read_ids(&used, "/etc/subgid", 1, 2);
	if (r == 0)
		r = read_ids(&used, "/etc/passwd", 2, -1);
	if (r == 0)
		r = read_other_vpses(&used, c->ctid);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "looking for free ids");
	if (vps_is_set(c, VP_LOCAL_UID)) {
		base = c->local_uid;
		if (base == 0 && !secure_getenv("CROFT_I_GIVE_UP_ISOLATION"))
			return vz_fail(err, VZ_EXIT_VALUE, EPERM,
				       "LOCAL_UID=0 would make root of VPS %u root of the node",
				       c->ctid);
		if (base + count > UINT32_MAX || clashes(&used, base, count))
			return vz_fail(err, VZ_EXIT_VALUE, EADDRINUSE,
				       "LOCAL_UID=%llu of VPS %u overlaps ids that are in use",
				       (unsigned long long)base, c->ctid);
	} else if (c->ctid >= FIRST_SLOT && c->ctid <= LAST_SLOT &&
		   !clashes(&used, (uint64_t)c->ctid << 16, count)) {
		base = (uint64_t)c->ctid << 16;
	} else {
		for (uint64_t slot = LAST_SLOT; slot >= FIRST_SLOT && !base; slot--)
			if ((slot << 16) + count <= UINT32_MAX &&
			    !clashes(&used, slot << 16, count))
				base = slot << 16;
		if (!base)
			return vz_fail(err, VZ_EXIT_RESOURCE, ENOSPC, "no free range of %llu ids",
				       (unsigned long long)count);
		c->local_uid = base;
		c->source[VP_LOCAL_UID] = VS_VPS;
		*ret_save = true;
	}
	*ret_base = base;
	*ret_count = count;
	return 0;
}
