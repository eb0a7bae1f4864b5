/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The groups that a VPS made below its payload, for a checkpoint: CRIU makes those that a process is in, but systemd also
 * watches others (inotify on cgroup.events of a slice), and their limits and owners count as well. Read as JSON, made
 * again from it: that text may come from another node, so each word of it is checked.
 */
#include "resources/resources.h"

#include "resources/priv.h"
#include "util/fd.h"
#include "util/json.h"
#include "util/proc.h"
#include "util/userns.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum { GROUPS_MAX = 20000, PATH_BYTES = 2048, VALUE_BYTES = 4096, TEXT_BYTES = 16 << 20 };

/** struct knob - a file of a group; @usual: value that needs no note; @early: before processes are in */
static const struct knob {
	const char *file, *usual;
	bool early;
} knobs[] = {
	{ "cgroup.type", "domain", true },
	{ "cgroup.subtree_control", "", true },
	{ "cgroup.max.depth", "max", false },
	{ "cgroup.max.descendants", "max", false },
	{ "cpu.idle", "0", false },
	{ "cpu.max", "max 100000", false },
	{ "cpu.max.burst", "0", false },
	{ "cpu.weight", "100", false },
	{ "cpuset.cpus", "", false },
	{ "cpuset.mems", "", false },
	{ "io.weight", "default 100", false },
	{ "memory.high", "max", false },
	{ "memory.low", "0", false },
	{ "memory.max", "max", false },
	{ "memory.min", "0", false },
	{ "memory.oom.group", "0", false },
	{ "memory.swap.high", "max", false },
	{ "memory.swap.max", "max", false },
	{ "memory.zswap.max", "max", false },
	{ "pids.max", "max", false },
};

enum { KNOBS = sizeof(knobs) / sizeof(*knobs) };

/* ---- reading ---- */

struct reading {
	uint64_t base, count;
	json_t *all;
	int r;
};

/* The id inside, or that of root for one that is none of the VPS's. */
static json_int_t inside(const struct reading *d, uint64_t id)
{
	return id >= d->base && id - d->base < d->count ? (json_int_t)(id - d->base) : 0;
}

static json_t *owner_of(const struct reading *d, const struct stat *st)
{
	return json_pack("[II]", inside(d, st->st_uid), inside(d, st->st_gid));
}

/* Who made the group owns its files, but for those that were given to somebody (Delegate=). */
static json_t *owners(const struct reading *d, int dir, const struct stat *creator)
{
	json_t *all = json_object();
	VZ_DIR DIR *list = vz_opendirat(dir, ".");
	struct dirent *e;
	struct stat st;

	if (fstat(dir, &st) == 0 && (st.st_uid != creator->st_uid || st.st_gid != creator->st_gid))
		(void)json_object_set_new(all, ".", owner_of(d, &st));
	while (list && (e = readdir(list)))
		if (e->d_type == DT_REG && fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    (st.st_uid != creator->st_uid || st.st_gid != creator->st_gid))
			(void)json_object_set_new(all, e->d_name, owner_of(d, &st));
	return all;
}

static json_t *values(int dir, bool top)
{
	json_t *all = json_object();

	for (size_t i = 0; i < KNOBS; i++) {
		VZ_FREE char *text = NULL;

		if (top && !knobs[i].early)
			continue; /* limits of the payload itself are the node's */
		if (vz_read_file(dir, knobs[i].file, VALUE_BYTES, &text) < 0)
			continue;
		text[strcspn(text, "\n")] = '\0';
		if (strcmp(text, knobs[i].usual) != 0)
			(void)json_object_set_new(all, knobs[i].file, vz_json_text(text));
	}
	return all;
}

/* systemd keeps facts of its units there. */
static json_t *attributes(int dir)
{
	json_t *all = json_object();
	char names[4096], value[256];
	ssize_t n = flistxattr(dir, names, sizeof(names));

	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
		ssize_t len = strncmp(names + at, "user.", 5)
				      ? -1
				      : fgetxattr(dir, names + at, value, sizeof(value) - 1);

		if (len < 0)
			continue;
		value[len] = '\0';
		if (strlen(value) == (size_t)len)
			(void)json_object_set_new(all, names + at, vz_json_text(value));
	}
	return all;
}

static void read_below(struct reading *d, int up, const char *name, const char *path, int depth)
{
	VZ_FD int dir = vz_openat(up, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	VZ_DIR DIR *list = NULL;
	struct dirent *e;
	struct stat creator;

	if (dir < 0 || depth > CG_TREE_DEPTH || fstatat(dir, "cgroup.events", &creator, 0) < 0)
		return;
	if (json_array_size(d->all) >= GROUPS_MAX || strlen(path) >= PATH_BYTES) {
		d->r = -E2BIG;
		return;
	}
	(void)json_array_append_new(
		d->all, json_pack("{so so so so so}", "path", vz_json_text(path), "creator",
				  owner_of(d, &creator), "owners", owners(d, dir, &creator),
				  "values", values(dir, !*path), "xattrs", attributes(dir)));
	list = vz_opendirat(dir, ".");
	while (list && (e = readdir(list))) {
		char below[PATH_BYTES + NAME_MAX + 2];

		if (e->d_type != DT_DIR || !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    (!*path && !strcmp(e->d_name, CG_EXEC)))
			continue;
		(void)snprintf(below, sizeof(below), "%s%s%s", path, *path ? "/" : "", e->d_name);
		read_below(d, dir, e->d_name, below, depth + 1);
	}
}

int res_tree_read(const struct vz_list *groups, uint64_t base, uint64_t count, char **ret)
{
	struct vps_state st = { .cgroups = *groups };
	const char *v2 = vps_state_cgroup(&st, "v2");
	VZ_JSON json_t *all = json_array();
	struct reading d = { .base = base, .count = count, .all = all };
	VZ_FD int top = v2 ? vz_openat(AT_FDCWD, v2, O_RDONLY | O_DIRECTORY, 0) : -ENOENT;

	if (top < 0)
		return top;
	read_below(&d, top, CG_PAYLOAD, "", 0);
	if (d.r < 0)
		return d.r;
	*ret = json_dumps(all, JSON_COMPACT | JSON_ENSURE_ASCII);
	return *ret ? 0 : -ENOMEM;
}

/* ---- making ---- */

/* Below the payload: words between slashes, none of them a dot or two. */
static bool good_path(const char *path)
{
	size_t len = strlen(path);

	if (len >= PATH_BYTES || path[0] == '/' || (len && path[len - 1] == '/'))
		return false;
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 0 || n > NAME_MAX || (n == 1 && p[0] == '.') ||
		    (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += n + (p[n] == '/');
	}
	for (; *path; path++)
		if ((unsigned char)*path < 0x20)
			return false;
	return true;
}

static int id_of(const json_t *pair, size_t i, uint64_t count, uint64_t *ret)
{
	const json_t *v = json_array_get(pair, i);

	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    (uint64_t)json_integer_value(v) >= count)
		return -EINVAL;
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

static int open_group(const char *v2, const char *path)
{
	char payload[PATH_MAX];
	VZ_FD int top = vz_openat(AT_FDCWD, vps_path(payload, "%s/" CG_PAYLOAD, v2),
				  O_RDONLY | O_DIRECTORY, 0);

	if (top < 0)
		return top;
	return vz_open_nolink(top, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0);
}

static int make_group(const char *v2, const char *path, uint64_t as)
{
	const char *slash = strrchr(path, '/');
	char up[PATH_BYTES];
	VZ_FD int dir = -EBADF;
	int r;

	(void)snprintf(up, sizeof(up), "%.*s", slash ? (int)(slash - path) : 0, path);
	dir = open_group(v2, up);
	if (dir < 0)
		return dir;
	r = vz_fs_as(as); /* files of a group belong to who made it */
	if (r == 0 && mkdirat(dir, slash ? slash + 1 : path, 0755) < 0 && errno != EEXIST)
		r = -errno;
	return r < 0 ? r : vz_fs_as(0);
}

static int give(int dir, const json_t *owners, uint64_t base, uint64_t count)
{
	const char *name;
	json_t *pair;

	json_object_foreach ((json_t *)owners, name, pair) {
		uint64_t uid, gid;

		if (strchr(name, '/') || !strcmp(name, "..") || id_of(pair, 0, count, &uid) < 0 ||
		    id_of(pair, 1, count, &gid) < 0)
			return -EINVAL;
		/* a file that this kernel does not have is nobody's */
		if (fchownat(dir, name, (uid_t)(base + uid), (gid_t)(base + gid),
			     AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno != ENOENT)
			return -errno;
	}
	return 0;
}

static void put_attributes(int dir, const json_t *attrs)
{
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)attrs, name, v)
		if (!strncmp(name, "user.", 5) && json_is_string(v))
			(void)fsetxattr(dir, name, json_string_value(v), json_string_length(v), 0);
}

/* "cpu memory pids" is written as "+cpu +memory +pids"; one by one, what this node lacks is left out. */
static void enable(int dir, const char *words)
{
	VZ_LIST struct vz_list all = { 0 };

	if (vz_list_split(&all, words, " ") < 0)
		return;
	for (size_t i = 0; i < all.n; i++) {
		VZ_FREE char *word = vz_fmt("+%s", all.v[i]);

		if (word)
			(void)!vz_write_value(dir, "cgroup.subtree_control", word);
	}
}

/* @early: those that must be in force before a process is in; a value that this kernel refuses is left. */
static void put_values(int dir, const json_t *values, bool early, bool top)
{
	for (size_t i = 0; i < KNOBS; i++) {
		const char *text = vz_json_str(values, knobs[i].file);

		if (!*text || knobs[i].early != early || (top && !early))
			continue;
		if (!strcmp(knobs[i].file, "cgroup.subtree_control"))
			enable(dir, text);
		else
			(void)!vz_write_value(dir, knobs[i].file, text);
	}
}

/** struct making - one pass over a tree */
struct making {
	const char *v2;
	uint64_t base, count;
	bool late;
};

static int make_one(const struct making *m, const json_t *g)
{
	const char *path = vz_json_str(g, "path");
	VZ_FD int dir = -EBADF;
	uint64_t uid = 0;
	int r = good_path(path) ? id_of(json_object_get(g, "creator"), 0, m->count, &uid) : -EINVAL;

	if (r == 0 && *path && !m->late)
		r = make_group(m->v2, path, m->base + uid);
	if (r < 0)
		return r;
	dir = open_group(m->v2, path);
	if (dir < 0)
		return m->late ? 0 : dir; /* it runs already, and may have removed one */
	if (!m->late && *path) {
		r = give(dir, json_object_get(g, "owners"), m->base, m->count);
		put_attributes(dir, json_object_get(g, "xattrs"));
	}
	if (r == 0)
		put_values(dir, json_object_get(g, "values"), !m->late, !*path);
	return r;
}

/* The node's own, before CRIU makes one for a process that exec left there: then it would be the VPS's. */
static int make_exec_group(const char *v2)
{
	VZ_FD int payload = open_group(v2, "");

	if (payload < 0)
		return payload;
	return mkdirat(payload, CG_EXEC, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* Parents come before their children in the text. */
static int make_all(const struct making *m, const json_t *all)
{
	size_t i;
	json_t *g;
	int r = make_exec_group(m->v2);

	if (r < 0)
		return r;

	if (json_array_size(all) > GROUPS_MAX)
		return -EINVAL;
	json_array_foreach (all, i, g) {
		r = json_is_object(g) ? make_one(m, g) : -EINVAL;
		if (r < 0)
			break;
	}
	return r;
}

int res_tree_make(const struct vz_list *groups, uint64_t base, uint64_t count, const char *text,
		  bool late, struct vz_error *err)
{
	struct vps_state st = { .cgroups = *groups };
	const struct making m = { vps_state_cgroup(&st, "v2"), base, count, late };
	VZ_JSON json_t *all = json_loadb(text, strnlen(text, TEXT_BYTES), 0, NULL);
	pid_t pid;
	int r;

	if (!m.v2 || !json_is_array(all))
		return vz_fail(err, VZ_EXIT_RESTORE, EINVAL, "groups of the VPS in the dump");
	(void)fflush(NULL);
	pid = fork(); /* file-system ids are changed there */
	if (pid == 0)
		_exit(-make_all(&m, all) & 0xff);
	r = pid < 0 ? -errno : -vz_wait(pid);
	return r < 0 ? vz_fail(err, VZ_EXIT_RESTORE, -r, "make the groups of the VPS") : 0;
}
