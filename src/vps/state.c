/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vps/priv.h"

#include "util/fd.h"
#include "util/json.h"
#include "util/proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum { STATE_BYTES = 1 << 20 };

static char *state_path(uint32_t ctid, char *dst)
{
	return vps_path(dst, "%s/%u/state.json", vps_paths()->run, ctid);
}

void vps_state_clear(struct vps_state *s)
{
	vz_list_clear(&s->cgroups);
	vz_list_clear(&s->addrs);
	vz_list_clear(&s->live);
	vz_list_clear(&s->view);
	*s = (struct vps_state){ 0 };
}

static void get_text(const json_t *j, const char *key, char *dst, size_t size)
{
	if (vz_copy(dst, size, vz_json_str(j, key)) < 0)
		dst[0] = '\0';
}

static int get_list(const json_t *j, const char *key, struct vz_list *ret)
{
	const json_t *list = json_object_get(j, key);
	size_t i;
	json_t *v;

	json_array_foreach (list, i, v)
		if (json_is_string(v) && vz_list_add(ret, json_string_value(v)) < 0)
			return -ENOMEM;
	return 0;
}

static json_t *put_list(const struct vz_list *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < l->n; i++)
		(void)json_array_append_new(list, json_string(l->v[i]));
	return list;
}

/* A number from 0 to @max, as vps_state_text wrote it; anything else means a damaged file. */
static int get_number(const json_t *j, const char *key, uint64_t max, uint64_t *ret)
{
	json_int_t v = vz_json_int(j, key, -1);

	if (v < 0 || (uint64_t)v > max)
		return -EINVAL;
	*ret = (uint64_t)v;
	return 0;
}

static int get_numbers(const json_t *j, struct vps_state *s)
{
	uint64_t init_pid = 0, mon_pid = 0, generation = 0;
	const struct {
		const char *key;
		uint64_t max, *to;
	} all[] = {
		{ "init_pid", INT32_MAX, &init_pid },
		{ "init_start", INT64_MAX, &s->init_start },
		{ "mon_pid", INT32_MAX, &mon_pid },
		{ "mon_start", INT64_MAX, &s->mon_start },
		{ "started_ms", INT64_MAX, &s->started_ms },
		{ "generation", INT32_MAX, &generation },
		{ "uid_base", UINT32_MAX, &s->uid_base },
		{ "uid_count", UINT32_MAX, &s->uid_count },
		{ "caps", INT64_MAX, &s->caps },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (get_number(j, all[i].key, all[i].max, all[i].to) < 0)
			return -EINVAL;
	if (json_object_get(j, "ran_ms") && get_number(j, "ran_ms", INT64_MAX, &s->ran_ms) < 0)
		return -EINVAL;
	s->init_pid = (pid_t)init_pid;
	s->mon_pid = (pid_t)mon_pid;
	s->generation = (uint32_t)generation;
	/* without a start time any process with that number would be taken for init */
	return s->init_pid > 0 && s->init_start > 0 ? 0 : -EINVAL;
}

int vps_state_parse(const char *text, size_t len, const char *boot, struct vps_state *ret)
{
	VPS_STATE struct vps_state s = { 0 };
	VZ_JSON json_t *j = NULL;
	int r = vz_json_parse(text, len, &j);

	if (r < 0)
		return r;
	get_text(j, "boot_id", s.boot_id, sizeof(s.boot_id));
	if (strcmp(boot, s.boot_id) != 0)
		return -ESTALE;
	r = get_numbers(j, &s);
	if (r < 0)
		return r;
	s.seccomp = json_is_true(json_object_get(j, "seccomp"));
	get_text(j, "ifname", s.ifname, sizeof(s.ifname));
	get_text(j, "layout", s.layout, sizeof(s.layout));
	get_text(j, "init_kind", s.init_kind, sizeof(s.init_kind));
	get_text(j, "dump", s.dump, sizeof(s.dump));
	r = get_list(j, "addrs", &s.addrs);
	if (r == 0)
		r = get_list(j, "live", &s.live);
	if (r == 0)
		r = get_list(j, "view", &s.view);
	if (r == 0)
		r = get_list(j, "cgroups", &s.cgroups);
	if (r < 0)
		return r;
	vps_state_clear(ret);
	*ret = s;
	s = (struct vps_state){ 0 };
	return 0;
}

int vps_state_load(uint32_t ctid, struct vps_state *ret)
{
	VZ_FREE char *text = NULL;
	char path[PATH_MAX], boot[37];
	ssize_t n = vz_read_file(AT_FDCWD, state_path(ctid, path), STATE_BYTES, &text);
	int r = n < 0 ? (int)n : vz_boot_id(boot);

	return r < 0 ? r : vps_state_parse(text, (size_t)n, boot, ret);
}

char *vps_state_text(const struct vps_state *s)
{
	VZ_JSON json_t *j = NULL;

	j = json_pack("{si ss si sI si sI sI si sI sI sI sb ss ss ss ss so so so so}", "schema", 1,
		      "boot_id", s->boot_id, "init_pid", (int)s->init_pid, "init_start",
		      (json_int_t)s->init_start, "mon_pid", (int)s->mon_pid, "mon_start",
		      (json_int_t)s->mon_start, "started_ms", (json_int_t)s->started_ms,
		      "generation", (int)s->generation, "uid_base", (json_int_t)s->uid_base,
		      "uid_count", (json_int_t)s->uid_count, "caps", (json_int_t)s->caps, "seccomp",
		      (int)s->seccomp, "ifname", s->ifname, "layout", s->layout, "init_kind",
		      s->init_kind, "dump", s->dump, "addrs", put_list(&s->addrs), "live",
		      put_list(&s->live), "view", put_list(&s->view), "cgroups",
		      put_list(&s->cgroups));
	if (j && s->ran_ms &&
	    json_object_set_new(j, "ran_ms", json_integer((json_int_t)s->ran_ms)) < 0)
		return NULL;
	return j ? json_dumps(j, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
}

uint64_t vps_state_uptime_ms(const struct vps_state *s)
{
	uint64_t now = vz_now_ms();

	return (now > s->started_ms ? now - s->started_ms : 0) + s->ran_ms;
}

int vps_state_save(uint32_t ctid, const struct vps_state *s)
{
	VZ_FREE char *text = vps_state_text(s);
	char path[PATH_MAX];

	return text ? vz_write_volatile(state_path(ctid, path), text, strlen(text), 0600) : -ENOMEM;
}

void vps_state_forget(uint32_t ctid)
{
	char path[PATH_MAX];

	(void)unlink(state_path(ctid, path));
}

int vps_state_pidfd(const struct vps_state *s)
{
	return vz_proc_pidfd(s->init_pid, s->init_start);
}

const char *vps_state_cgroup(const struct vps_state *s, const char *controller)
{
	size_t n = strlen(controller);

	for (size_t i = 0; i < s->cgroups.n; i++)
		if (!strncmp(s->cgroups.v[i], controller, n) && s->cgroups.v[i][n] == '=')
			return s->cgroups.v[i] + n + 1;
	return NULL;
}

int vps_running(uint32_t ctid, struct vps_state *ret_state)
{
	VPS_STATE struct vps_state s = { 0 };

	if (vps_state_load(ctid, &s) < 0 || !vz_proc_lives(s.init_pid, s.init_start))
		return 0;
	if (ret_state) {
		vps_state_clear(ret_state);
		*ret_state = s;
		s = (struct vps_state){ 0 };
	}
	return 1;
}

int vps_run_dir(uint32_t ctid)
{
	char path[PATH_MAX];
	int r = vz_mkdir_p(vps_paths()->run, 0755);

	if (r < 0)
		return r;
	(void)vps_path(path, "%s/%u", vps_paths()->run, ctid);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}
