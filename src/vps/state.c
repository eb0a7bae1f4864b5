/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vps/vps.h"

#include "util/fd.h"
#include "util/json.h"
#include "util/proc.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static char *state_path(uint32_t ctid, char *dst)
{
	return vps_path(dst, "%s/%u/state.json", vps_paths()->run, ctid);
}

void vps_state_clear(struct vps_state *s)
{
	vz_list_clear(&s->cgroups);
	vz_list_clear(&s->addrs);
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

int vps_state_load(uint32_t ctid, struct vps_state *ret)
{
	VZ_JSON json_t *j = NULL;
	char path[PATH_MAX], boot[37];
	int r = vz_json_load(state_path(ctid, path), &j);

	if (r < 0)
		return r;
	vps_state_clear(ret);
	get_text(j, "boot_id", ret->boot_id, sizeof(ret->boot_id));
	if (vz_boot_id(boot) == 0 && strcmp(boot, ret->boot_id) != 0)
		return -ESTALE;
	ret->init_pid = (pid_t)vz_json_int(j, "init_pid", 0);
	ret->init_start = (uint64_t)vz_json_int(j, "init_start", 0);
	ret->mon_pid = (pid_t)vz_json_int(j, "mon_pid", 0);
	ret->mon_start = (uint64_t)vz_json_int(j, "mon_start", 0);
	ret->started_ms = (uint64_t)vz_json_int(j, "started_ms", 0);
	ret->generation = (uint32_t)vz_json_int(j, "generation", 0);
	ret->uid_base = (uint64_t)vz_json_int(j, "uid_base", 0);
	ret->uid_count = (uint64_t)vz_json_int(j, "uid_count", 0);
	ret->caps = (uint64_t)vz_json_int(j, "caps", 0);
	ret->seccomp = json_is_true(json_object_get(j, "seccomp"));
	get_text(j, "ifname", ret->ifname, sizeof(ret->ifname));
	get_text(j, "layout", ret->layout, sizeof(ret->layout));
	get_text(j, "init_kind", ret->init_kind, sizeof(ret->init_kind));
	r = get_list(j, "addrs", &ret->addrs);
	return r < 0 ? r : get_list(j, "cgroups", &ret->cgroups);
}

int vps_state_save(uint32_t ctid, const struct vps_state *s)
{
	VZ_JSON json_t *j = NULL;
	char path[PATH_MAX];

	j = json_pack("{si ss si sI si sI sI si sI sI sI sb ss ss ss so so}", "schema", 1,
		      "boot_id", s->boot_id, "init_pid", (int)s->init_pid, "init_start",
		      (json_int_t)s->init_start, "mon_pid", (int)s->mon_pid, "mon_start",
		      (json_int_t)s->mon_start, "started_ms", (json_int_t)s->started_ms,
		      "generation", (int)s->generation, "uid_base", (json_int_t)s->uid_base,
		      "uid_count", (json_int_t)s->uid_count, "caps", (json_int_t)s->caps, "seccomp",
		      (int)s->seccomp, "ifname", s->ifname, "layout", s->layout, "init_kind",
		      s->init_kind, "addrs", put_list(&s->addrs), "cgroups", put_list(&s->cgroups));
	if (!j)
		return -ENOMEM;
	return vz_json_save(state_path(ctid, path), j);
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
	VZ_FD int fd = -EBADF;

	if (vps_state_load(ctid, &s) < 0)
		return 0;
	fd = vps_state_pidfd(&s);
	if (fd < 0 || vz_pidfd_poll(fd, 0) == 0) /* readable: a zombie that vzmon has not reaped */
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
