/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The descriptor. What is read comes perhaps from another node, by way of anybody: nothing in it is trusted. */
#include "checkpoint/checkpoint.h"

#include "checkpoint/priv.h"
#include "util/fd.h"
#include "util/json.h"

#include <string.h>

enum {
	LIST_ITEMS = 256,
	ITEM_BYTES = 4096,
	CONFIG_BYTES = 1 << 20,
	CPU_BYTES = 16384,
	GROUPS_BYTES = 2 << 20
};

void cpt_desc_clear(struct cpt_desc *d)
{
	vz_list_clear(&d->addrs);
	vz_list_clear(&d->live);
	vz_list_clear(&d->view);
	cpt_givens_clear(&d->given);
	for (size_t i = 0; i < d->ndevs; i++) {
		free(d->devs[i].path);
		free(d->devs[i].text);
	}
	free(d->devs);
	free(d->config);
	free(d->groups);
	free(d->cpu);
	*d = (struct cpt_desc){ 0 };
}

/* ---- writing ---- */

static json_t *put_list(const struct vz_list *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < l->n; i++)
		(void)json_array_append_new(list, vz_json_text(l->v[i]));
	return list;
}

static json_t *put_given(const struct cpt_givens *g)
{
	json_t *list = json_array();

	for (size_t i = 0; i < g->n; i++) {
		VZ_FREE char *text = cpt_given_text(&g->v[i]);

		if (!text || json_array_append_new(list, vz_json_text(text)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *put_counters(const struct cpt_desc *d)
{
	json_t *all = json_object();

	for (size_t i = 0; i < d->ncounters; i++)
		(void)json_object_set_new(all, d->counters[i].name,
					  json_pack("{sI sI}", "maxheld",
						    (json_int_t)d->counters[i].maxheld, "failcnt",
						    (json_int_t)d->counters[i].failcnt));
	return all;
}

/* Bytes as hexadecimal digits: JSON holds characters. */
static char *to_hex(const char *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char *s = malloc(2 * len + 1);

	for (size_t i = 0; s && i < len; i++) {
		s[2 * i] = digits[(unsigned char)data[i] >> 4];
		s[2 * i + 1] = digits[data[i] & 15];
	}
	if (s)
		s[2 * len] = '\0';
	return s;
}

static json_t *put_devs(const struct cpt_desc *d)
{
	json_t *all = json_array();

	for (size_t i = 0; i < d->ndevs; i++) {
		const struct cpt_dev *e = &d->devs[i];
		const char kind[2] = { e->kind, '\0' };
		VZ_FREE char *path = to_hex(e->path, strlen(e->path));
		VZ_FREE char *text = to_hex(e->text ? e->text : "", e->len);

		if (!path || !text) {
			json_decref(all);
			return NULL;
		}
		(void)json_array_append_new(all, json_pack("{ss ss si si si ss}", "path", path,
							   "kind", kind, "mode", (int)e->mode,
							   "uid", (int)e->uid, "gid", (int)e->gid,
							   "text", text));
	}
	return all;
}

static json_int_t number(uint64_t v)
{
	return v > INT64_MAX ? INT64_MAX : (json_int_t)v;
}

static json_t *put_refusals(const struct cpt_desc *d)
{
	json_t *all = json_array();

	for (size_t i = 0; i < d->nrefusals; i++) {
		const struct cpt_refusal *r = &d->refusals[i];
		VZ_FREE char *comm = to_hex(r->comm, strnlen(r->comm, sizeof(r->comm)));

		(void)json_array_append_new(
			all, json_pack("{ss sI sI sI sI sI ss}", "counter", r->counter, "time_ms",
				       number(r->time_ms), "held", number(r->held), "limit",
				       number(r->limit), "asked", number(r->asked), "pid",
				       (json_int_t)r->pid, "comm", comm ? comm : ""));
	}
	return all;
}

char *cpt_desc_text(const struct cpt_desc *d)
{
	VZ_JSON json_t *j = NULL;

	j = json_pack("{si sI ss ss ss ss ss sI si sI sI sI sI sb ss ss ss ss ss so so so so so so "
		      "so so}",
		      "schema", CPT_SCHEMA, "ctid", (json_int_t)d->ctid, "croft", d->croft, "criu",
		      d->criu, "kernel", d->kernel, "machine", d->machine, "boot_id", d->boot_id,
		      "taken", (json_int_t)d->taken, "init_pid", (int)d->init_pid, "init_start",
		      (json_int_t)d->init_start, "uid_base", (json_int_t)d->uid_base, "uid_count",
		      (json_int_t)d->uid_count, "caps", (json_int_t)d->caps, "seccomp",
		      (int)d->seccomp, "layout", d->layout, "init_kind", d->init_kind,
		      "template_hash", d->template_hash, "tty", d->tty, "ping", d->ping, "addrs",
		      put_list(&d->addrs), "live", put_list(&d->live), "view", put_list(&d->view),
		      "config", vz_json_text(d->config ? d->config : ""), "cpu",
		      vz_json_text(d->cpu ? d->cpu : ""), "counters", put_counters(d), "dev",
		      put_devs(d), "groups", vz_json_text(d->groups ? d->groups : "[]"));
	if (j && json_object_set_new(j, "refusals", put_refusals(d)) < 0)
		return NULL;
	if (j && json_object_set_new(j, "ran_ms", json_integer((json_int_t)d->ran_ms)) < 0)
		return NULL;
	if (j && json_object_set_new(j, "mounts", put_given(&d->given)) < 0)
		return NULL;
	if (j && d->lazy && json_object_set_new(j, "lazy", json_true()) < 0)
		return NULL;
	if (j && d->parents &&
	    (json_object_set_new(j, "parents", json_integer((json_int_t)d->parents)) < 0 ||
	     json_object_set_new(j, "chain", json_string(d->chain)) < 0))
		return NULL;
	return j ? json_dumps(j, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
}

/* ---- reading ---- */

static const char hex[] = "0123456789abcdef";
static const char word[] = "abcdefghijklmnopqrstuvwxyz0123456789_-.";
static const char release[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+~:@";

/* A text of a fixed field: all of its characters are of @allowed. */
static int get_text(const json_t *j, const char *key, const char *allowed, char *dst, size_t size)
{
	const json_t *v = json_object_get(j, key);
	const char *s = json_string_value(v);

	if (!s || strlen(s) != json_string_length(v) || strspn(s, allowed) != strlen(s))
		return -EINVAL;
	return vz_copy(dst, size, s) < 0 ? -EINVAL : 0;
}

static int get_number(const json_t *j, const char *key, uint64_t max, uint64_t *ret)
{
	const json_t *v = json_object_get(j, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    (uint64_t)json_integer_value(v) > max)
		return -EINVAL;
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

/* Text for people and parsers of ours: no line of it is longer, no control bytes but newlines. */
static bool clean(const char *s, size_t len, bool lines)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 && !(lines && (s[i] == '\n' || s[i] == '\t')))
			return false;
	return true;
}

static int get_long(const json_t *j, const char *key, size_t max, char **ret)
{
	const json_t *v = json_object_get(j, key);
	size_t len = json_string_length(v);

	if (!json_is_string(v) || len > max || !clean(json_string_value(v), len, true))
		return -EINVAL;
	*ret = strdup(json_string_value(v));
	return *ret ? 0 : -ENOMEM;
}

static int get_list(const json_t *j, const char *key, struct vz_list *ret)
{
	const json_t *list = json_object_get(j, key);
	size_t i;
	json_t *v;

	if (!json_is_array(list) || json_array_size(list) > LIST_ITEMS)
		return -EINVAL;
	json_array_foreach (list, i, v) {
		size_t len = json_string_length(v);

		if (!json_is_string(v) || len == 0 || len > ITEM_BYTES ||
		    !clean(json_string_value(v), len, false))
			return -EINVAL;
		if (vz_list_add(ret, json_string_value(v)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Paths of the view are given to CRIU: /proc/meminfo and the like, nothing else. */
static bool view_path(const char *s)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz/";

	return (!strncmp(s, "/proc/", 6) || !strncmp(s, "/sys/devices/system/cpu/", 24)) &&
	       strspn(s, allowed) == strlen(s) && !strstr(s, "//") && strlen(s) < 64;
}

/* Dumps of old versions have none. */
static int get_given(const json_t *j, struct cpt_givens *g)
{
	VZ_LIST struct vz_list l = { 0 };
	int r = json_object_get(j, "mounts") ? get_list(j, "mounts", &l) : 0;

	if (r == 0 && l.n > CPT_GIVEN)
		r = -EINVAL;
	for (size_t i = 0; r == 0 && i < l.n; i++) {
		r = cpt_given_parse(l.v[i], &g->v[g->n]);
		if (r == 0 && cpt_given_at(g, g->v[g->n].path)) {
			free(g->v[g->n].path);
			r = -EINVAL;
		}
		g->n += r == 0;
	}
	return r;
}

/* "tty[8800:1a]" */
static bool tty_key(const char *s)
{
	size_t a, b;

	if (strncmp(s, "tty[", 4) != 0)
		return false;
	a = strspn(s + 4, hex);
	if (a == 0 || a > 16 || s[4 + a] != ':')
		return false;
	b = strspn(s + 5 + a, hex);
	return b > 0 && b <= 16 && !strcmp(s + 5 + a + b, "]");
}

static int get_counters(const json_t *j, struct cpt_desc *d)
{
	json_t *all = json_object_get(j, "counters"), *v;
	const char *key;

	if (!json_is_object(all) || json_object_size(all) > CPT_COUNTERS)
		return -EINVAL;
	json_object_foreach (all, key, v) {
		struct cpt_counter *c = &d->counters[d->ncounters];

		if (strspn(key, word) != strlen(key) ||
		    vz_copy(c->name, sizeof(c->name), key) < 0 ||
		    get_number(v, "maxheld", INT64_MAX, &c->maxheld) < 0 ||
		    get_number(v, "failcnt", INT64_MAX, &c->failcnt) < 0)
			return -EINVAL;
		d->ncounters++;
	}
	return 0;
}

static int digit(char c)
{
	const char *at = c ? strchr(hex, c) : NULL;

	return at ? (int)(at - hex) : -1;
}

/* Return: malloc'ed bytes with a NUL after them; NULL when it is not hexadecimal, or longer than @max. */
static char *from_hex(const char *s, size_t max, size_t *ret_len)
{
	size_t n = s ? strlen(s) : 1;
	char *out = n % 2 == 0 && n / 2 <= max ? malloc(n / 2 + 1) : NULL;

	for (size_t i = 0; out && i < n / 2; i++) {
		int a = digit(s[2 * i]), b = digit(s[2 * i + 1]);

		if (a < 0 || b < 0) {
			free(out);
			return NULL;
		}
		out[i] = (char)(a << 4 | b);
	}
	if (out) {
		out[n / 2] = '\0';
		*ret_len = n / 2;
	}
	return out;
}

static int get_dev(const json_t *v, struct cpt_dev *e, uint64_t ids)
{
	const char *kind = vz_json_str(v, "kind");
	uint64_t mode, uid, gid;
	size_t n = 0;

	if (strlen(kind) != 1 || !strchr("dlfpn", kind[0]) ||
	    get_number(v, "mode", 07777, &mode) < 0 || get_number(v, "uid", ids - 1, &uid) < 0 ||
	    get_number(v, "gid", ids - 1, &gid) < 0)
		return -EINVAL;
	e->kind = kind[0];
	e->mode = (uint32_t)mode;
	e->uid = (uint32_t)uid;
	e->gid = (uint32_t)gid;
	e->path = from_hex(json_string_value(json_object_get(v, "path")), 1024, &n);
	if (!e->path || strlen(e->path) != n || !cpt_dev_path_valid(e->path))
		return -EINVAL;
	e->text = from_hex(json_string_value(json_object_get(v, "text")), CPT_DEV_BYTES, &e->len);
	if (!e->text || (e->kind == 'l' && (e->len == 0 || strlen(e->text) != e->len)))
		return -EINVAL;
	return 0;
}

static int get_devs(const json_t *j, struct cpt_desc *d)
{
	const json_t *list = json_object_get(j, "dev");
	size_t i, n = json_array_size(list);
	json_t *v;

	if (!json_is_array(list) || n > CPT_DEVS || d->uid_count == 0)
		return -EINVAL;
	d->devs = n ? calloc(n, sizeof(*d->devs)) : NULL;
	if (n && !d->devs)
		return -ENOMEM;
	d->ndevs = n;
	json_array_foreach (list, i, v)
		if (get_dev(v, &d->devs[i], d->uid_count) < 0)
			return -EINVAL;
	return 0;
}

static int get_refusal(const json_t *v, struct cpt_refusal *r)
{
	uint64_t pid;
	size_t n = 0;
	VZ_FREE char *comm =
		from_hex(json_string_value(json_object_get(v, "comm")), CPT_COMM - 1, &n);

	if (!comm || get_text(v, "counter", word, r->counter, sizeof(r->counter)) < 0 ||
	    get_number(v, "time_ms", INT64_MAX / 1000000, &r->time_ms) < 0 ||
	    get_number(v, "held", INT64_MAX, &r->held) < 0 ||
	    get_number(v, "limit", INT64_MAX, &r->limit) < 0 ||
	    get_number(v, "asked", INT64_MAX, &r->asked) < 0 ||
	    get_number(v, "pid", INT32_MAX, &pid) < 0)
		return -EINVAL;
	memcpy(r->comm, comm, n);
	r->pid = (uint32_t)pid;
	return 0;
}

/* Dumps of old versions have none. */
static int get_refusals(const json_t *j, struct cpt_desc *d)
{
	const json_t *list = json_object_get(j, "refusals");
	size_t i;
	json_t *v;

	if (!list)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > CPT_REFUSALS)
		return -EINVAL;
	json_array_foreach (list, i, v)
		if (get_refusal(v, &d->refusals[d->nrefusals++]) < 0)
			return -EINVAL;
	return 0;
}

static int get_numbers(const json_t *j, struct cpt_desc *d)
{
	uint64_t ctid = 0, pid = 0, taken = 0;
	const struct {
		const char *key;
		uint64_t max, *to;
	} all[] = {
		{ "ctid", INT32_MAX, &ctid },
		{ "init_pid", INT32_MAX, &pid },
		{ "init_start", INT64_MAX, &d->init_start },
		{ "taken", INT64_MAX, &taken },
		{ "uid_base", UINT32_MAX, &d->uid_base },
		{ "uid_count", UINT32_MAX, &d->uid_count },
		{ "caps", INT64_MAX, &d->caps },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (get_number(j, all[i].key, all[i].max, all[i].to) < 0)
			return -EINVAL;
	/* older dumps do not say */
	if (json_object_get(j, "ran_ms") && get_number(j, "ran_ms", INT64_MAX / 2, &d->ran_ms) < 0)
		return -EINVAL;
	d->ctid = (uint32_t)ctid;
	d->init_pid = (pid_t)pid;
	d->taken = (int64_t)taken;
	d->seccomp = json_is_true(json_object_get(j, "seccomp"));
	d->lazy = json_is_true(json_object_get(j, "lazy"));
	return d->ctid > 0 && d->uid_base > 0 ? 0 : -EINVAL;
}

/* Both or neither: what it stands on. */
static int get_parents(const json_t *j, struct cpt_desc *d)
{
	uint64_t n = 0;

	if (!json_object_get(j, "parents") && !json_object_get(j, "chain"))
		return 0;
	if (get_number(j, "parents", CPT_ROUNDS, &n) < 0 || n == 0 ||
	    get_text(j, "chain", hex, d->chain, sizeof(d->chain)) < 0 || !cpt_chain_valid(d->chain))
		return -EINVAL;
	d->parents = (unsigned int)n;
	return 0;
}

static int get_all(const json_t *j, struct cpt_desc *d)
{
	const struct {
		const char *key, *allowed;
		char *to;
		size_t size;
	} all[] = {
		{ "croft", release, d->croft, sizeof(d->croft) },
		{ "criu", release, d->criu, sizeof(d->criu) },
		{ "kernel", release, d->kernel, sizeof(d->kernel) },
		{ "machine", word, d->machine, sizeof(d->machine) },
		{ "boot_id", word, d->boot_id, sizeof(d->boot_id) },
		{ "layout", word, d->layout, sizeof(d->layout) },
		{ "init_kind", word, d->init_kind, sizeof(d->init_kind) },
		{ "template_hash", word, d->template_hash, sizeof(d->template_hash) },
		{ "ping", "0123456789 ", d->ping, sizeof(d->ping) },
		{ "tty", "0123456789abcdefty:[]", d->tty, sizeof(d->tty) },
	};
	int r = get_numbers(j, d);

	for (size_t i = 0; r == 0 && i < sizeof(all) / sizeof(*all); i++)
		r = get_text(j, all[i].key, all[i].allowed, all[i].to, all[i].size);
	if (r == 0 && !tty_key(d->tty))
		r = -EINVAL;
	if (r == 0)
		r = get_list(j, "addrs", &d->addrs);
	if (r == 0)
		r = get_list(j, "live", &d->live);
	if (r == 0)
		r = get_list(j, "view", &d->view);
	for (size_t i = 0; r == 0 && i < d->view.n; i++)
		r = view_path(d->view.v[i]) ? 0 : -EINVAL;
	if (r == 0)
		r = get_long(j, "config", CONFIG_BYTES, &d->config);
	if (r == 0)
		r = get_long(j, "cpu", CPU_BYTES, &d->cpu);
	if (r == 0)
		r = get_long(j, "groups", GROUPS_BYTES, &d->groups);
	if (r == 0)
		r = get_devs(j, d);
	if (r == 0)
		r = get_parents(j, d);
	if (r == 0)
		r = get_given(j, &d->given);
	if (r == 0)
		r = get_refusals(j, d);
	return r < 0 ? r : get_counters(j, d);
}

int cpt_desc_parse(const char *text, size_t len, struct cpt_desc *ret, struct vz_error *err)
{
	CPT_DESC struct cpt_desc d = { 0 };
	VZ_JSON json_t *j = NULL;
	json_int_t schema;
	int r = len > CPT_DESC_BYTES ? -EINVAL : vz_json_parse(text, len, &j);

	schema = r < 0 ? 0 : vz_json_int(j, "schema", 0);
	if (schema > CPT_SCHEMA)
		return vz_fail(
			err, VZ_EXIT_RESTORE, ENOTSUP,
			"it was made by a newer version of Croft (its schema is %lld, ours %d)",
			(long long)schema, CPT_SCHEMA);
	if (r == 0)
		r = schema == CPT_SCHEMA ? get_all(j, &d) : -EINVAL;
	if (r < 0)
		return vz_fail(err, VZ_EXIT_RESTORE, -r, "its descriptor is damaged or forged");
	cpt_desc_clear(ret);
	*ret = d;
	d = (struct cpt_desc){ 0 };
	return 0;
}
