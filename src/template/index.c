/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "template/priv.h"

#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { NAME_LEN_MAX = 128, HEX_LEN = 64 };

static const char *const suffixes[] = { ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst" };

const char *tpl_suffix(size_t i)
{
	return i < sizeof(suffixes) / sizeof(suffixes[0]) ? suffixes[i] : NULL;
}

bool tpl_name_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > NAME_LEN_MAX || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == '/')
			return false;
	return true;
}

int tpl_dir(const struct vps_config *global, const char *sub, bool make, char ret[PATH_MAX],
	    struct vz_error *err)
{
	/* what is unpacked has set-user-id programs of root: no host user may come near them */
	mode_t mode = vz_streq(sub, "unpacked") ? 0700 : 0755;
	char path[PATH_MAX];
	int r;

	if (!global->template_dir || !*global->template_dir)
		return vz_fail(err, VZ_EXIT_TEMPLATE_NOTSET, EINVAL, "TEMPLATE is not set");
	if (snprintf(path, sizeof(path), "%s/%s", global->template_dir, sub) >= PATH_MAX - 256)
		return vz_fail(err, VZ_EXIT_TEMPLATE_NOTSET, ENAMETOOLONG, "TEMPLATE");
	if (make) {
		r = vz_mkdir_p(global->template_dir, 0755);
		if (r == 0 && mkdir(path, mode) < 0 && errno != EEXIST)
			r = -errno;
		if (r < 0)
			return vz_fail(err, VZ_EXIT_MKDIR, -r, "%s", path);
	}
	memcpy(ret, path, sizeof(path));
	return 0;
}

static int bad_name(const char *name, struct vz_error *err)
{
	char quoted[100];

	return vz_fail(err, VZ_EXIT_VALUE, EINVAL, "template name '%s'",
		       vz_quote(quoted, sizeof(quoted), name));
}

int tpl_find(const struct vps_config *global, const char *name, char ret_path[PATH_MAX],
	     struct vz_error *err)
{
	char dir[PATH_MAX], path[PATH_MAX];
	struct stat st;
	int r = tpl_dir(global, "cache", false, dir, err);

	if (r < 0)
		return r;
	if (!tpl_name_valid(name))
		return bad_name(name, err);
	for (size_t i = 0; tpl_suffix(i); i++) {
		vps_path(path, "%s/%s%s", dir, name, tpl_suffix(i));
		if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
			memcpy(ret_path, path, sizeof(path));
			return 0;
		}
	}
	(void)vz_fail(err, VZ_EXIT_NO_TEMPLATE, 0,
		      "Cached OS template %s/%s.tar[.gz|.bz2|.xz|.zst] not found", dir, name);
	err->sys = ENOENT;
	return -ENOENT;
}

enum tpl_gen_kind tpl_generation(const char *entry, char ret_name[NAME_MAX + 1], char ret_hash[65])
{
	const char *at = strrchr(entry, '@');
	char name[NAME_MAX + 1], hash[HEX_LEN + 1];
	enum tpl_gen_kind kind;

	if (!at || at - entry > NAME_LEN_MAX || strlen(at + 1) < HEX_LEN)
		return GEN_NONE;
	memcpy(name, entry, (size_t)(at - entry));
	name[at - entry] = '\0';
	memcpy(hash, at + 1, HEX_LEN);
	hash[HEX_LEN] = '\0';
	if (!tpl_name_valid(name) || !tpl_hash_valid(hash))
		return GEN_NONE;
	if (at[1 + HEX_LEN] == '\0')
		kind = GEN_WHOLE;
	else if (!strncmp(at + 1 + HEX_LEN, ".tmp.", 5))
		kind = GEN_STALE;
	else
		return GEN_NONE;
	memcpy(ret_name, name, sizeof(name));
	memcpy(ret_hash, hash, sizeof(hash));
	return kind;
}

/* Return: 1 and the pin; 0 none; -errno. */
static int pin_of(uint32_t ctid, const char *name, struct tpl_pin *ret, struct vz_error *err)
{
	VPS_CONFIG struct vps_config c = { 0 };
	int r = vps_load(ctid, &c, NULL, err);

	if (r == -ENOENT)
		return 0; /* destroyed meanwhile */
	if (r < 0)
		return vz_wrap(err, r, "VPS %u", ctid);
	if (!c.ve_layout || !vz_streq(c.ve_layout, "overlay") || !c.ostemplate ||
	    !vz_streq(c.ostemplate, name) || !c.ostemplate_hash ||
	    vz_copy(ret->hash, sizeof(ret->hash), c.ostemplate_hash) < 0)
		return 0;
	ret->ctid = ctid;
	return 1;
}

ssize_t tpl_pins(const char *name, struct tpl_pin **ret, struct vz_error *err)
{
	VZ_FREE uint32_t *ctids = NULL;
	VZ_FREE struct tpl_pin *pins = NULL;
	ssize_t all = vps_list_ctids(&ctids), n = 0;

	if (all < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, (int)-all, "list of VPSes");
	pins = calloc((size_t)all + 1, sizeof(*pins));
	if (!pins)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "list of VPSes");
	for (ssize_t i = 0; i < all; i++) {
		int r = pin_of(ctids[i], name, &pins[n], err);

		if (r < 0)
			return r;
		n += r;
	}
	*ret = vz_take_ptr(&pins);
	return n;
}

/* ---- the list ---- */

struct listing {
	struct tpl_info *v;
	size_t n;
};

static struct tpl_info *info_of(struct listing *l, const char *name)
{
	void *more;

	for (size_t i = 0; i < l->n; i++)
		if (vz_streq(l->v[i].name, name))
			return &l->v[i];
	more = reallocarray(l->v, l->n + 1, sizeof(l->v[0]));
	if (!more)
		return NULL;
	l->v = more;
	l->v[l->n] = (struct tpl_info){ .name = strdup(name) };
	return l->v[l->n].name ? &l->v[l->n++] : NULL;
}

static size_t suffix_rank(const char *format)
{
	size_t i = 0;

	while (tpl_suffix(i) && !vz_streq(tpl_suffix(i) + 1, format))
		i++;
	return i;
}

/* An archive shows by the suffix that tpl_find() would choose. */
static int add_archive(struct listing *l, int dirfd, const char *entry)
{
	char name[NAME_MAX + 1];

	for (size_t i = 0; tpl_suffix(i); i++) {
		size_t len = strlen(entry), slen = strlen(tpl_suffix(i));
		struct tpl_info *t;
		struct stat st;

		if (len <= slen || len > NAME_MAX || !vz_streq(entry + len - slen, tpl_suffix(i)))
			continue;
		memcpy(name, entry, len - slen);
		name[len - slen] = '\0';
		if (!tpl_name_valid(name) || fstatat(dirfd, entry, &st, 0) < 0 ||
		    !S_ISREG(st.st_mode))
			return 0;
		t = info_of(l, name);
		if (!t)
			return -ENOMEM;
		if (!t->format[0] || suffix_rank(t->format) > i) {
			memcpy(t->format, tpl_suffix(i) + 1, slen); /* with its NUL */
			t->size_bytes = (uint64_t)st.st_size;
		}
		return 0;
	}
	return 0;
}

static int add_unpacked(struct listing *l, const char *entry)
{
	char name[NAME_MAX + 1], hash[HEX_LEN + 1];
	struct tpl_info *t;

	if (tpl_generation(entry, name, hash) != GEN_WHOLE)
		return 0;
	t = info_of(l, name);
	return t ? vz_list_add(&t->generations, hash) : -ENOMEM;
}

static int scan(const struct vps_config *global, const char *sub, struct listing *l,
		struct vz_error *err)
{
	VZ_DIR DIR *d = NULL;
	char path[PATH_MAX];
	struct dirent *e;
	int r = tpl_dir(global, sub, false, path, err);

	if (r < 0)
		return r;
	d = vz_opendirat(AT_FDCWD, path);
	if (!d)
		return errno == ENOENT ? 0 : vz_fail(err, VZ_EXIT_SYSTEM, errno, "%s", path);
	while (r == 0 && (e = readdir(d)))
		r = vz_streq(sub, "cache") ? add_archive(l, dirfd(d), e->d_name)
					   : add_unpacked(l, e->d_name);
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "%s", path) : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tpl_info *)a)->name, ((const struct tpl_info *)b)->name);
}

void tpl_list_free(struct tpl_info *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].name);
		free(list[i].pins);
		vz_list_clear(&list[i].generations);
	}
	free(list);
}

ssize_t tpl_list(const struct vps_config *global, struct tpl_info **ret, struct vz_error *err)
{
	struct listing l = { 0 };
	int r = scan(global, "cache", &l, err);

	if (r == 0)
		r = scan(global, "unpacked", &l, err);
	for (size_t i = 0; r == 0 && i < l.n; i++) {
		ssize_t n = tpl_pins(l.v[i].name, &l.v[i].pins, err);

		if (n < 0)
			r = (int)n;
		else
			l.v[i].npins = (size_t)n;
	}
	if (r < 0) {
		tpl_list_free(l.v, l.n);
		return r;
	}
	if (l.n > 0)
		qsort(l.v, l.n, sizeof(l.v[0]), by_name);
	*ret = l.v;
	return (ssize_t)l.n;
}
