/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ETC/migrate/CTID.journal. Beside the configurations, since these too say which VPSes a node has, and
 * never on storage that nodes share. What is in it decides; what runs, and who died, does not.
 */
#include "migrate/migrate.h"

#include "util/fd.h"
#include "vps/vps.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { JOURNAL_MAX = 64 << 10, JOURNAL_VERSION = 1 };

/** struct step - the name in the file; @role: whose journal says so; @owner: whose the VPS then is */
static const struct {
	const char *name;
	enum mig_role role;
	enum mig_owner owner;
} steps[MIG_STEPS] = {
	[MIG_S_COPYING] = { "copying", MIG_SOURCE, MIG_OURS },
	[MIG_S_COMMITTED] = { "committed", MIG_SOURCE, MIG_THEIRS },
	[MIG_S_CLEANED] = { "cleaned", MIG_SOURCE, MIG_THEIRS },
	[MIG_S_ABORTED] = { "aborted", MIG_SOURCE, MIG_OURS },
	[MIG_S_TAKING] = { "taking", MIG_TARGET, MIG_THEIRS },
	[MIG_S_PROMISED] = { "promised", MIG_TARGET, MIG_DOUBT },
	[MIG_S_TAKEN] = { "taken", MIG_TARGET, MIG_OURS },
};

enum mig_owner mig_owner(enum mig_step step)
{
	return steps[step].owner;
}

enum mig_role mig_role(enum mig_step step)
{
	return steps[step].role;
}

const char *mig_step_name(enum mig_step step)
{
	return steps[step].name;
}

void mig_journal_clear(struct mig_journal *j)
{
	vz_list_clear(&j->transport);
	*j = (struct mig_journal){ 0 };
}

char *mig_dir(char *ret)
{
	return vps_path(ret, "%s/migrate", vps_paths()->etc);
}

char *mig_files_dir(uint32_t ctid, char *ret)
{
	return vps_path(ret, "%s/migrate/%u.files", vps_paths()->etc, ctid);
}

static char *journal_path(uint32_t ctid, char *ret)
{
	return vps_path(ret, "%s/migrate/%u.journal", vps_paths()->etc, ctid);
}

static char *next_path(uint32_t ctid, char *ret)
{
	return vps_path(ret, "%s/migrate/%u.next", vps_paths()->etc, ctid);
}

bool mig_journal_there(uint32_t ctid)
{
	char path[PATH_MAX];

	return access(journal_path(ctid, path), F_OK) == 0;
}

bool mig_id_valid(const char *id)
{
	return strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32;
}

int mig_new_id(char ret[33])
{
	unsigned char raw[16];

	if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		return -errno;
	for (size_t i = 0; i < sizeof(raw); i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", raw[i]);
	return 0;
}

static int take_transport(const json_t *a, struct vz_list *ret)
{
	size_t i;
	json_t *v;

	json_array_foreach (a, i, v) {
		const char *s = json_string_value(v);

		if (!s || vz_list_add(ret, s) < 0)
			return -EBADMSG;
	}
	return 0;
}

static int take_step(const char *name, enum mig_step *ret)
{
	for (int i = 0; i < MIG_STEPS; i++)
		if (!strcmp(name, steps[i].name)) {
			*ret = (enum mig_step)i;
			return 0;
		}
	return -EBADMSG;
}

static bool flag(const json_t *j, const char *key)
{
	return json_is_true(json_object_get(j, key));
}

/* Strictly: what a journal says decides who may start a VPS. */
static int take_all(const json_t *j, uint32_t ctid, struct mig_journal *ret)
{
	const char *id = vz_json_str(j, "id");
	json_int_t peer = vz_json_int(j, "peer_ctid", -1);

	if (vz_json_int(j, "version", 0) != JOURNAL_VERSION || !mig_id_valid(id) ||
	    vz_json_int(j, "ctid", -1) != (json_int_t)ctid || peer < 1 || peer > VPS_CTID_MAX ||
	    take_step(vz_json_str(j, "step"), &ret->step) < 0 ||
	    vz_copy(ret->host, sizeof(ret->host), vz_json_str(j, "host")) < 0 ||
	    vz_copy(ret->mode, sizeof(ret->mode), vz_json_str(j, "mode")) < 0 ||
	    vz_copy(ret->private_dir, sizeof(ret->private_dir), vz_json_str(j, "private")) < 0 ||
	    take_transport(json_object_get(j, "transport"), &ret->transport) < 0)
		return -EBADMSG;
	memcpy(ret->id, id, sizeof(ret->id));
	ret->ctid = ctid;
	ret->peer_ctid = (uint32_t)peer;
	ret->was_running = flag(j, "was_running");
	ret->start = flag(j, "start");
	ret->shared = flag(j, "shared");
	ret->remove = flag(j, "remove");
	ret->keep = flag(j, "keep");
	ret->installed = flag(j, "installed");
	ret->frozen = flag(j, "frozen");
	return 0;
}

static int load(const char *path, uint32_t ctid, struct mig_journal *ret)
{
	VZ_JSON json_t *j = NULL;
	VZ_FREE char *text = NULL;
	ssize_t n = vz_read_file(AT_FDCWD, path, JOURNAL_MAX, &text);

	*ret = (struct mig_journal){ 0 };
	if (n < 0)
		return (int)n;
	if (vz_json_parse(text, (size_t)n, &j) < 0)
		return -EBADMSG;
	return take_all(j, ctid, ret);
}

int mig_journal_load(uint32_t ctid, struct mig_journal *ret)
{
	char path[PATH_MAX];

	return load(journal_path(ctid, path), ctid, ret);
}

static int save(const struct mig_journal *j, const char *path)
{
	char dir[PATH_MAX];
	VZ_JSON json_t *words = json_array();
	VZ_JSON json_t *o = NULL;
	VZ_FREE char *text = NULL;
	int r;

	for (size_t i = 0; words && i < j->transport.n; i++)
		if (json_array_append_new(words, vz_json_text(j->transport.v[i])) < 0)
			return -ENOMEM;
	o = json_pack("{si ss ss sI sI ss sO ss ss}", "version", JOURNAL_VERSION, "id", j->id,
		      "step", mig_step_name(j->step), "ctid", (json_int_t)j->ctid, "peer_ctid",
		      (json_int_t)j->peer_ctid, "host", j->host, "transport", words, "mode",
		      j->mode, "private", j->private_dir);
	if (!o || json_object_set_new(o, "was_running", json_boolean(j->was_running)) < 0 ||
	    json_object_set_new(o, "start", json_boolean(j->start)) < 0 ||
	    json_object_set_new(o, "shared", json_boolean(j->shared)) < 0 ||
	    json_object_set_new(o, "remove", json_boolean(j->remove)) < 0 ||
	    json_object_set_new(o, "keep", json_boolean(j->keep)) < 0 ||
	    json_object_set_new(o, "installed", json_boolean(j->installed)) < 0 ||
	    json_object_set_new(o, "frozen", json_boolean(j->frozen)) < 0)
		return -ENOMEM;
	text = json_dumps(o, JSON_INDENT(1));
	if (!text)
		return -ENOMEM;
	r = vz_mkdir_p(mig_dir(dir), 0700);
	return r < 0 ? r : vz_write_atomic(path, text, strlen(text), 0600);
}

int mig_journal_save(const struct mig_journal *j)
{
	char path[PATH_MAX];

	return save(j, journal_path(j->ctid, path));
}

int mig_journal_lay_out(const struct mig_journal *j)
{
	char path[PATH_MAX];

	return save(j, next_path(j->ctid, path));
}

int mig_journal_turn(const struct mig_journal *j)
{
	MIG_JOURNAL struct mig_journal next = { 0 };
	char from[PATH_MAX], to[PATH_MAX];

	if (load(next_path(j->ctid, from), j->ctid, &next) < 0 || strcmp(next.id, j->id) != 0 ||
	    next.step != j->step)
		return mig_journal_save(j);
	return rename(from, journal_path(j->ctid, to)) < 0 ? -errno : vz_fsync_dir_of(to);
}

int mig_journal_remove(uint32_t ctid)
{
	char path[PATH_MAX], files[PATH_MAX];
	int r = vz_rm_rf(AT_FDCWD, mig_files_dir(ctid, files));

	if (r < 0)
		return r;
	(void)unlink(next_path(ctid, path));
	if (unlink(journal_path(ctid, path)) < 0)
		return errno == ENOENT ? 0 : -errno;
	return vz_fsync_dir_of(path);
}

ssize_t mig_journal_list(uint32_t **ret)
{
	char path[PATH_MAX];
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, mig_dir(path));
	VZ_FREE uint32_t *ids = NULL;
	struct dirent *e;
	ssize_t n = 0;

	while (d && (e = readdir(d))) {
		char number[16];
		size_t digits = strspn(e->d_name, "0123456789");
		uint32_t id, *more;

		if (digits == 0 || digits >= sizeof(number) ||
		    strcmp(e->d_name + digits, ".journal") != 0)
			continue;
		(void)snprintf(number, sizeof(number), "%.*s", (int)digits, e->d_name);
		if (vps_parse_ctid(number, &id) < 0)
			continue;
		more = reallocarray(ids, (size_t)n + 1, sizeof(*ids));
		if (!more)
			return -ENOMEM;
		ids = more;
		ids[n++] = id;
	}
	*ret = vz_take_ptr(&ids);
	return n;
}
