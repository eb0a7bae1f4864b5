/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table made of params.def, and what can be done with a row whatever its type. */
#include "vps/priv.h"

#include "util/fd.h"

#include <inttypes.h>
#include <string.h>

#define X(id, opt, key, type, unit, lo, hi, field, group, when, by, arg, help)                     \
	[VP_##id] = { #id,	  opt,	     key, PT_##type,                                       \
		      PU_##unit,  lo,	     hi,  offsetof(struct vps_config, field),              \
		      AG_##group, PW_##when, by,  arg,                                             \
		      help },
static const struct vps_param params[VP_MAX] = { VZ_PARAMS(X) };
#undef X

#define X(opt, key, id, mode) { opt, key, VP_##id, PM_##mode },
static const struct vps_alias aliases[] = { VZ_ALIASES(X) };
#undef X

enum { VALUE_BYTES = 65535 };
enum { ALIAS_COUNT = sizeof(aliases) / sizeof(*aliases) };

const struct vps_param *vps_param(enum vps_param_id id)
{
	return &params[id];
}

const struct vps_alias *vps_alias_at(size_t i)
{
	return i < ALIAS_COUNT ? &aliases[i] : NULL;
}

int vps_param_by_key(const char *key)
{
	for (int i = 0; i < VP_MAX; i++)
		if (params[i].key && params[i].key[0] == *key && !strcmp(params[i].key, key))
			return i;
	for (int i = 0; i < ALIAS_COUNT; i++)
		if (aliases[i].key && !strcmp(aliases[i].key, key))
			return (int)aliases[i].id;
	return -1;
}

int vps_param_by_option(const char *option, enum vps_mode *ret_mode)
{
	for (int i = 0; i < VP_MAX; i++)
		if (params[i].option && !strcmp(params[i].option, option)) {
			*ret_mode = PM_SET;
			return i;
		}
	for (int i = 0; i < ALIAS_COUNT; i++)
		if (aliases[i].option && !strcmp(aliases[i].option, option)) {
			*ret_mode = aliases[i].mode;
			return (int)aliases[i].id;
		}
	return -1;
}

const char *vps_option_name(enum vps_param_id id, enum vps_mode mode)
{
	for (int i = 0; mode != PM_SET && i < ALIAS_COUNT; i++)
		if (aliases[i].option && aliases[i].id == id && aliases[i].mode == mode)
			return aliases[i].option;
	return params[id].option;
}

static void *field_of(const struct vps_config *c, const struct vps_param *p)
{
	return (char *)c + p->offset;
}

/* What row @p allows, for the message after the parser said @r; a range is written into @room. */
static const char *allowed_text(const struct vps_param *p, const struct vps_type_ops *ops, int r,
				char *room, size_t size)
{
	if (r == -EDOM)
		return "a barrier that is not above the limit";
	if (ops->store == STORE_PAIR && r == -ERANGE)
		(void)snprintf(room, size, "up to %" PRId64 ", which is unlimited", INT64_MAX);
	else if (p->type == PT_U64)
		(void)snprintf(room, size, "a number from %" PRIu64 " to %" PRIu64, p->min, p->max);
	else
		return ops->allowed ? ops->allowed : p->arg;
	return room;
}

int vps_param_parse(struct vps_config *c, enum vps_param_id id, enum vps_mode mode,
		    const char *text, enum vps_source src, struct vz_error *err)
{
	const struct vps_param *p = &params[id];
	const struct vps_type_ops *ops = vps_type_ops(p->type);
	const char *name = src == VS_CLI ? vps_option_name(id, mode) : p->key;
	char shown[128], range[80];
	int r;

	if (!name)
		name = p->key ? p->key : p->id;

	/* lists are searched word by word: without an end to them a file could hold us for minutes */
	if (strlen(text) > VALUE_BYTES)
		return vz_fail(
			err, ops->exit, 0, "Bad value for %s: \"%.16s...\" (allowed: %d bytes)",
			p->key ? p->key : p->id, vz_quote(shown, sizeof(shown), text), VALUE_BYTES);
	/* whatever the type: a value is one line of the file */
	r = strpbrk(text, "\n\r") ? -EINVAL : ops->parse(p, mode, text, src, field_of(c, p));
	if (r == 0) {
		c->source[id] = (uint8_t)src;
		return 0;
	}
	if (r == -ENOMEM)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "%s", p->id);
	return vz_fail(err, ops->exit, 0, "Bad value for %s%s: \"%s\" (allowed: %s)",
		       src == VS_CLI && name != p->key ? "--" : "", name,
		       vz_quote(shown, sizeof(shown), text),
		       allowed_text(p, ops, r, range, sizeof(range)));
}

char *vps_param_print(const struct vps_config *c, enum vps_param_id id)
{
	const struct vps_param *p = &params[id];
	struct vz_buf b = { 0 };

	vz_buf_str(&b, "");
	if (c->source[id] != VS_UNSET)
		vps_type_ops(p->type)->print(p, field_of(c, p), &b);
	if (b.failed)
		vz_buf_clear(&b);
	return b.s;
}

void vps_param_clear(struct vps_config *c, enum vps_param_id id)
{
	void *field = field_of(c, &params[id]);

	switch (vps_type_ops(params[id].type)->store) {
	case STORE_U64:
	case STORE_I64:
		*(uint64_t *)field = 0;
		break;
	case STORE_BOOL:
		*(bool *)field = false;
		break;
	case STORE_DOUBLE:
		*(double *)field = 0;
		break;
	case STORE_TEXT:
		vz_freep(field);
		break;
	case STORE_PAIR:
		*(struct vps_pair *)field = (struct vps_pair){ 0 };
		break;
	case STORE_LIST:
		vz_list_clear(field);
		break;
	}
	c->source[id] = VS_UNSET;
}

int vps_param_copy(struct vps_config *dst, const struct vps_config *src, enum vps_param_id id)
{
	const struct vps_param *p = &params[id];
	void *to = field_of(dst, p);
	const void *from = field_of(src, p);
	char *text;

	vps_param_clear(dst, id);
	switch (vps_type_ops(p->type)->store) {
	case STORE_U64:
	case STORE_I64:
		*(uint64_t *)to = *(const uint64_t *)from;
		break;
	case STORE_BOOL:
		*(bool *)to = *(const bool *)from;
		break;
	case STORE_DOUBLE:
		*(double *)to = *(const double *)from;
		break;
	case STORE_TEXT:
		if (*(char *const *)from) {
			text = strdup(*(char *const *)from);
			if (!text)
				return -ENOMEM;
			*(char **)to = text;
		}
		break;
	case STORE_PAIR:
		*(struct vps_pair *)to = *(const struct vps_pair *)from;
		break;
	case STORE_LIST:
		if (vz_list_copy(to, from) < 0)
			return -ENOMEM;
		break;
	}
	dst->source[id] = src->source[id];
	return 0;
}

bool vps_param_equal(const struct vps_config *a, const struct vps_config *b, enum vps_param_id id)
{
	VZ_FREE char *x = vps_param_print(a, id);
	VZ_FREE char *y = vps_param_print(b, id);

	return vps_is_set(a, id) == vps_is_set(b, id) && x && y && !strcmp(x, y);
}

void vps_config_clear(struct vps_config *c)
{
	for (int i = 0; i < VP_MAX; i++)
		if (c->source[i] != VS_UNSET)
			vps_param_clear(c, i);
	c->ctid = 0;
}

int vps_config_copy(struct vps_config *dst, const struct vps_config *src)
{
	vps_config_clear(dst);
	dst->ctid = src->ctid;
	for (int i = 0; i < VP_MAX; i++)
		if (src->source[i] != VS_UNSET && vps_param_copy(dst, src, i) < 0)
			return -ENOMEM;
	return 0;
}

static uint64_t pages_bytes(const struct vps_config *c, enum vps_param_id id,
			    const struct vps_pair *pages)
{
	if (!vps_is_set(c, id) || pages->lim >= INT64_MAX / 4096)
		return UINT64_MAX;
	return pages->lim * 4096;
}

uint64_t vps_ram_bytes(const struct vps_config *c)
{
	return pages_bytes(c, VP_PHYSPAGES, &c->physpages);
}

uint64_t vps_swap_bytes(const struct vps_config *c)
{
	return pages_bytes(c, VP_SWAPPAGES, &c->swappages);
}

uint64_t vps_cpu_pct(const struct vps_config *c)
{
	uint64_t pct = UINT64_MAX;

	if (vps_is_set(c, VP_CPULIMIT) && c->cpulimit)
		pct = c->cpulimit;
	if (vps_is_set(c, VP_CPUS) && c->cpus && c->cpus < UINT32_MAX && c->cpus * 100 < pct)
		pct = c->cpus * 100;
	return pct;
}
