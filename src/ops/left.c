/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is left of commands that were cut off and of VPSes that died with their monitor: found
 * without a lock and with few calls, for `status`. Linked into the light vzctl.
 */
#include "ops/priv.h"

#include "migrate/migrate.h"
#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

/* ---- traces of single operations ---- */

enum op_mount_note op_mount_note(uint32_t ctid)
{
	VZ_FREE char *text = NULL;
	char path[PATH_MAX];
	const char *nl;

	(void)vps_path(path, "%s/%u/mount", vps_paths()->run, ctid);
	if (vz_read_file(AT_FDCWD, path, 8192, &text) < 0)
		return OP_MOUNT_NONE;
	nl = strchr(text, '\n');
	nl = nl ? strchr(nl + 1, '\n') : NULL;
	if (!nl || !nl[1])
		return OP_MOUNT_HALF;
	return !strcmp(nl + 1, "kept\n") ? OP_MOUNT_KEPT : OP_MOUNT_OURS;
}

const char *op_half_suffix(size_t i)
{
	static const char *const suffixes[] = { [OP_HALF_OWN] = ".tmp", [OP_HALF_KEPT] = ".new" };

	return i < sizeof(suffixes) / sizeof(*suffixes) ? suffixes[i] : NULL;
}

static int take_path(struct vps_config *c, enum vps_param_id id, char **field)
{
	char *text = *field ? vps_subst(*field, c->ctid) : NULL;

	if (!text)
		return vps_is_set(c, id) ? -ENOMEM : 0;
	free(*field);
	*field = text;
	return 0;
}

int op_former(struct vps_config *c, uint32_t ctid)
{
	char path[PATH_MAX];
	bool skip[VP_MAX];
	int r;

	c->ctid = ctid;
	for (int id = 0; id < VP_MAX; id++)
		skip[id] = id != VP_VE_ROOT && id != VP_VE_PRIVATE;
	/* there may be none, and a bad line in it is as good as none */
	(void)!vps_load_file(c, vps_path(path, "%s/%u.conf.destroyed", vps_paths()->conf, ctid),
			     VS_VPS, skip);
	r = take_path(c, VP_VE_ROOT, &c->ve_root);
	return r < 0 ? r : take_path(c, VP_VE_PRIVATE, &c->ve_private);
}

/* The deleter of destroy holds this lock as long as it works, for the whole node. */
static bool deleter_works(void)
{
	char path[PATH_MAX];
	VZ_FD int fd =
		vz_openat(AT_FDCWD, vps_path(path, "%s/rm.lck", vps_paths()->run), O_RDONLY, 0);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;
}

static int find_trash(uint32_t ctid, const char *private_dir, struct vz_list *ret)
{
	char parent[PATH_MAX], own[32], path[PATH_MAX];
	const char *slash = strrchr(private_dir, '/');
	VZ_DIR DIR *d = NULL;
	struct dirent *e;

	(void)snprintf(own, sizeof(own), OP_TRASH "%u.", ctid);
	(void)vps_path(parent, "%.*s", slash ? (int)(slash - private_dir) + 1 : 0, private_dir);
	d = vz_opendirat(AT_FDCWD, parent);
	while (d && (e = readdir(d)))
		if (!strncmp(e->d_name, own, strlen(own)) &&
		    vz_list_add(ret, vps_path(path, "%s%s", parent, e->d_name)) < 0)
			return -ENOMEM;
	return 0;
}

static int find_halves(const char *private_dir, struct vz_list *ret)
{
	for (size_t i = 0; op_half_suffix(i); i++) {
		char path[PATH_MAX];

		if (access(vps_path(path, "%s%s", private_dir, op_half_suffix(i)), F_OK) == 0 &&
		    vz_list_add(ret, path) < 0)
			return -ENOMEM;
	}
	return 0;
}

int op_left_files(uint32_t ctid, const struct vps_config *c, struct vz_list *ret)
{
	int r;

	if (!c->ve_private)
		return 0;
	r = find_halves(c->ve_private, ret);
	return r < 0 || deleter_works() ? r : find_trash(ctid, c->ve_private, ret);
}

/* ---- the report ---- */

/* What mends a thing decides which line it stands in. */
enum remedy { BY_START, BY_RESTART, BY_STAGE, BY_CREATE, BY_DESTROY, BY_HAND, BY_ANY, REMEDIES };

struct report {
	uint32_t ctid;
	const struct vps_config *c;
	bool has_conf;
	const struct op_status_words *w;
	enum vps_lock_holder lock;
	char word[32]; /* what the dead holder did */
	bool died; /* a state file whose init is gone */
	struct vz_list what[REMEDIES];
};

/* @path: NULL none */
static int add(struct report *p, enum remedy by, const char *what, const char *path)
{
	VZ_FREE char *text = vz_fmt("%s%s%s", what, path ? " " : "", path ? path : "");

	return text ? vz_list_add(&p->what[by], text) : -ENOMEM;
}

/* The note of ops/cpt.c; "stage" and "restored" are on purpose, and op_status says so. */
static int look_at_hold(struct report *p)
{
	VZ_FREE char *text = NULL;
	char path[PATH_MAX];

	(void)vps_path(path, "%s/%u/held", vps_paths()->run, p->ctid);
	if (vz_read_file(AT_FDCWD, path, 8192, &text) < 0)
		return 0;
	if (!strncmp(text, "stage\n", 6))
		return add(p, BY_STAGE, "it is frozen by suspend --suspend", NULL);
	if (!strncmp(text, "restored\n", 9))
		return add(p, BY_STAGE, "it is restored and does not run yet", NULL);
	if (!strncmp(text, "round\n", 6))
		return add(p, BY_ANY, "its memory is being copied", NULL);
	return add(p, BY_ANY, "it stands still", NULL);
}

/* Return: 1 vzmon is at it just now, nothing is left over; 0; -ENOMEM. */
static int look_at_state(struct report *p)
{
	VPS_STATE struct vps_state st = { 0 };
	int r = vps_state_load(p->ctid, &st);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return add(p, BY_START,
			   r == -ESTALE ? "state of an earlier boot" : "damaged state file", NULL);
	if (p->w->running && vz_proc_lives(st.mon_pid, st.mon_start))
		return look_at_hold(p);
	if (p->w->running)
		return vz_proc_lives(st.mon_pid, st.mon_start)
			       ? 0
			       : add(p, BY_RESTART, "it runs without its monitor", NULL);
	if (vz_proc_lives(st.mon_pid, st.mon_start))
		return 1;
	p->died = true;
	return add(p, BY_START, "state file", NULL);
}

static int look_at_runtime(struct report *p)
{
	enum op_mount_note note;
	char path[PATH_MAX];
	int r = look_at_state(p);

	if (r != 0 || p->w->running)
		return r;
	if (res_seen(p->ctid) || res_view_seen(p->ctid))
		r = add(p, BY_START, "cgroups", NULL);
	note = op_mount_note(p->ctid);
	if (r == 0 && p->c->ve_root && (note == OP_MOUNT_HALF || note == OP_MOUNT_OURS) &&
	    vz_is_mountpoint(p->c->ve_root) == 1)
		r = add(p, BY_START, note == OP_MOUNT_HALF ? "half-made mount" : "mount",
			p->c->ve_root);
	(void)vps_path(path, "%s/%u/create", vps_paths()->run, p->ctid);
	if (r == 0 && vz_is_mountpoint(path) == 1)
		r = add(p, BY_CREATE, "mount", path);
	return r;
}

static int look_at_files(struct report *p)
{
	VZ_LIST struct vz_list files = { 0 };
	const char *dir = p->c->ve_private;
	bool half = false, trash = false;
	int r;

	if (p->w->exists || p->w->running || !dir)
		return 0;
	r = op_left_files(p->ctid, p->c, &files);
	for (size_t i = 0; r == 0 && i < files.n; i++) {
		bool is_trash = strstr(files.v[i], "/" OP_TRASH) != NULL;

		trash = trash || is_trash;
		half = half || !is_trash;
		r = is_trash ? add(p, BY_DESTROY, "deleted files", files.v[i])
			     : add(p, BY_CREATE, "half-made private area", files.v[i]);
	}
	if (r < 0 || half)
		return r;
	if (!p->has_conf)
		return access(dir, F_OK) == 0
			       ? add(p, BY_HAND, "private area without a configuration", dir)
			       : 0;
	return add(p, trash || !strcmp(p->word, "destroying") ? BY_DESTROY : BY_CREATE,
		   "configuration without a private area", dir);
}

static int look_at_names(struct report *p)
{
	VZ_LIST struct vz_list strays = { 0 };
	const char *name = p->c->name && *p->c->name ? p->c->name : NULL;
	int r = p->lock == VPS_LOCK_STALE ? vps_name_strays(p->ctid, name, &strays) : 0;

	for (size_t i = 0; r == 0 && i < strays.n; i++)
		r = add(p, BY_ANY, "link of the name", strays.v[i]);
	return r;
}

/* The lock of a dead command stands in the first line there is. */
static int add_lock(struct report *p)
{
	int by = 0;

	if (p->lock != VPS_LOCK_STALE)
		return 0;
	while (by < BY_ANY && p->what[by].n == 0)
		by++;
	return add(p, by, "lock", NULL);
}

/* "starting", as the lock says it, is `start` to a user. */
static const char *command_of(const char *word)
{
	static const char *const words[][2] = {
		{ "starting", "start" },
		{ "stopping", "stop" },
		{ "setting", "set" },
		{ "restarting", "restart" },
		{ "creating", "create" },
		{ "mounting", "mount" },
		{ "destroying", "destroy" },
		{ "unmounting", "umount" },
		{ VPS_LOCK_REAPER, "clean-up" },
		{ "running-script", "runscript" },
		{ "suspending", "suspend" },
		{ "resuming", "resume" },
		{ "migrating", "migration" },
		{ "receiving", "migration" },
		{ "recovering", "migration" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcmp(word, words[i][0]))
			return words[i][1];
	return "command";
}

static int write_line(const struct report *p, enum remedy by, struct vz_list *ret)
{
	static const char *const remedies[REMEDIES] = {
		[BY_START] = "the next start or stop cleans up",
		[BY_RESTART] = "stop and restart work, a halt or reboot from inside is not noticed",
		[BY_STAGE] = "--resume lets it go on, --kill ends it",
		[BY_CREATE] = "create makes it anew, destroy removes it",
		[BY_DESTROY] = "destroy completes it",
		[BY_HAND] = "make its configuration again, or remove it by hand",
		[BY_ANY] = "the next command on it cleans up",
	};
	VZ_FREE char *what = vz_list_join(&p->what[by], ", ");
	VZ_FREE char *from = NULL;
	VZ_FREE char *line = NULL;

	from = p->lock == VPS_LOCK_STALE ? vz_fmt("an interrupted %s", command_of(p->word))
					 : vz_fmt("%s", p->died ? "a VPS that died with its monitor"
								: "an interrupted command");
	if (by == BY_RESTART || by == BY_STAGE)
		line = vz_fmt("CT %u: %s; %s", p->ctid, what, remedies[by]);
	else
		line = vz_fmt("CT %u: left over from %s: %s; %s", p->ctid, from, what,
			      remedies[by]);
	return what && from && line ? vz_list_add(ret, line) : -ENOMEM;
}

static int write_report(struct report *p, struct vz_list *ret)
{
	char word[32];
	int r = look_at_runtime(p);

	if (r == 1)
		return 0;
	if (r == 0)
		r = look_at_files(p);
	if (r == 0)
		r = look_at_names(p);
	if (r == 0)
		r = add_lock(p);
	/* a command began meanwhile: what we saw was its work */
	if (r < 0 || vps_lock_look(p->c, p->ctid, word) == VPS_LOCK_HELD)
		return r;
	for (int by = 0; r == 0 && by < REMEDIES; by++)
		if (p->what[by].n)
			r = write_line(p, by, ret);
	return r;
}

/* A migration that was cut off. */
static int add_journal(uint32_t ctid, struct vz_list *ret)
{
	MIG_JOURNAL struct mig_journal j = { 0 };
	VZ_FREE char *line = NULL;
	int r;

	if (!mig_journal_there(ctid))
		return 0;
	r = mig_journal_load(ctid, &j);
	if (r == -ENOENT || (r == 0 && j.step == MIG_S_TAKEN))
		return 0;
	if (r < 0)
		line = vz_fmt("CT %u: the journal of its migration cannot be read", ctid);
	else if (mig_owner(j.step) == MIG_OURS)
		line = vz_fmt("CT %u: stays here: its migration to %s was cut off; vzmigrate "
			      "--recover tells "
			      "that node",
			      ctid, j.host);
	else if (mig_role(j.step) == MIG_SOURCE)
		line = vz_fmt("CT %u: has moved to %s; vzmigrate --recover completes that", ctid,
			      j.host);
	else if (j.step == MIG_S_TAKING)
		line = vz_fmt(
			"CT %u: left over from an interrupted migration to this node; vzmigrate "
			"--recover removes it",
			ctid);
	else
		line = vz_fmt("CT %u: promised by this node; its source%s%s decides: vzmigrate "
			      "--recover there",
			      ctid, j.host[0] ? ", " : "", j.host);
	return line ? vz_list_add(ret, line) : -ENOMEM;
}

int op_left(uint32_t ctid, const struct vps_config *c, bool has_conf,
	    const struct op_status_words *w, struct vz_list *ret)
{
	struct report p = { .ctid = ctid, .c = c, .has_conf = has_conf, .w = w };
	int r = 0;

	p.lock = vps_lock_look(c, ctid, p.word);
	if (p.lock != VPS_LOCK_HELD)
		r = add_journal(ctid, ret);
	if (r == 0 && p.lock != VPS_LOCK_HELD)
		r = write_report(&p, ret);
	for (int by = 0; by < REMEDIES; by++)
		vz_list_clear(&p.what[by]);
	return r;
}
