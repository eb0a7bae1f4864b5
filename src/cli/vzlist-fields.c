/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/vzlist.h"

#include "ops/list.h"
#include "util/json.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Where parameter @id lies in the configuration, NULL when it is unset or there is none. */
static const void *value_of(const void *row, int id)
{
	const struct op_facts *f = row;

	if (!f->has_conf || !vps_is_set(&f->cfg, (enum vps_param_id)id))
		return NULL;
	return (const char *)&f->cfg + vps_param((enum vps_param_id)id)->offset;
}

static json_t *number(uint64_t v)
{
	return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

static json_t *text_or_null(const char *s)
{
	return s && *s ? vz_json_text(s) : json_null();
}

static json_t *get_ctid(const struct out_column *c, const void *row)
{
	(void)c;
	return number(((const struct op_facts *)row)->ctid);
}

static json_t *get_text(const struct out_column *c, const void *row)
{
	char *const *v = value_of(row, c->arg);

	return text_or_null(v ? *v : NULL);
}

static json_t *get_smart_name(const struct out_column *c, const void *row)
{
	char *const *name = value_of(row, c->arg);
	char id[16];

	if (name && *name && **name)
		return vz_json_text(*name);
	(void)snprintf(id, sizeof(id), "%u", ((const struct op_facts *)row)->ctid);
	return json_string(id);
}

static json_t *get_u64(const struct out_column *c, const void *row)
{
	const uint64_t *v = value_of(row, c->arg);

	return v ? number(*v) : json_null();
}

static json_t *get_double(const struct out_column *c, const void *row)
{
	const double *v = value_of(row, c->arg);

	return v ? json_real(*v) : json_null();
}

static json_t *get_bool(const struct out_column *c, const void *row)
{
	const bool *v = value_of(row, c->arg);

	return v ? json_boolean(*v) : json_null();
}

static json_t *get_disabled(const struct out_column *c, const void *row)
{
	const bool *v = value_of(row, c->arg);

	return json_boolean(v && *v);
}

/* OpenVZ's rule: a limit on physpages, neither of the two values that mean "none". */
static json_t *get_vswap(const struct out_column *c, const void *row)
{
	const struct vps_pair *v = value_of(row, c->arg);

	return json_boolean(v && v->lim != INT64_MAX && v->lim != INT_MAX);
}

static json_t *list_of(const struct vz_list *l, bool strip_mask)
{
	json_t *j = json_array();

	for (size_t i = 0; j && l && i < l->n; i++) {
		char *s = strdup(l->v[i]);

		if (s && strip_mask)
			s[strcspn(s, "/")] = '\0';
		if (!s || json_array_append_new(j, vz_json_text(s)) < 0) {
			json_decref(j);
			j = NULL;
		}
		free(s);
	}
	return j;
}

static json_t *get_list(const struct out_column *c, const void *row)
{
	return list_of(value_of(row, c->arg), false);
}

/* What is up; of one that does not run what the configuration says. */
static json_t *get_ip(const struct out_column *c, const void *row)
{
	const struct op_facts *f = row;

	return list_of(f->status == OP_RUNNING ? &f->addrs : value_of(row, c->arg), true);
}

/* "NAME:on" items as an object with lower-case names. */
static json_t *get_flags(const struct out_column *c, const void *row)
{
	const struct vz_list *l = value_of(row, c->arg);
	json_t *j;

	if (!l || l->n == 0)
		return json_null();
	j = json_object();
	for (size_t i = 0; j && i < l->n; i++) {
		char *name = strdup(l->v[i]), *colon = name ? strrchr(name, ':') : NULL;
		bool on = !colon || vz_streq(colon, ":on");

		if (colon)
			*colon = '\0';
		for (char *p = name; p && *p; p++)
			*p = (char)tolower((unsigned char)*p);
		if (!name || json_object_set_new(j, name, json_boolean(on)) < 0) {
			json_decref(j);
			j = NULL;
		}
		free(name);
	}
	return j;
}

static const char *const status_words[] = { "running", "stopped", "mounted", "suspended", NULL };

static json_t *get_status(const struct out_column *c, const void *row)
{
	return json_string(c->words[((const struct op_facts *)row)->status]);
}

static json_t *get_uptime(const struct out_column *c, const void *row)
{
	const struct op_facts *f = row;

	(void)c;
	return f->status == OP_RUNNING ? json_real((double)f->uptime_ms / 1000) : json_null();
}

/* The kernel keeps one load average for the whole node. */
static json_t *get_laverage(const struct out_column *c, const void *row)
{
	(void)c;
	(void)row;
	return json_null();
}

/* ---- counters ---- */

static json_t *get_ubc(const struct out_column *c, const void *row)
{
	const struct op_facts *f = row;
	const struct ubc_row *r = &f->ubc.row[c->arg];
	bool running = f->status == OP_RUNNING;

	return json_pack("{so so so so so ss}", "held", running ? number(r->held) : json_null(),
			 "maxheld", running ? number(r->maxheld) : json_null(), "barrier",
			 number(r->barrier), "limit", number(r->limit), "failcnt",
			 running ? number(r->failcnt) : json_null(), "mode",
			 ubc_mode_name(f->ubc.mode[c->arg]));
}

/* Usage is not counted yet (decision 5): absent in text, 0 in JSON. */
static json_t *get_disk(const struct out_column *c, const void *row)
{
	const struct vps_pair *v = value_of(row, c->arg);

	return json_pack("{so so so}", "usage", json_null(), "softlimit",
			 v ? number(v->bar) : json_null(), "hardlimit",
			 v ? number(v->lim) : json_null());
}

/* ---- the table ---- */

#define CONF OP_NEED_CONF
#define RUN  OP_NEED_RUNNING
#define COL(col, head, wide, type, flag, need, getter, id)                                         \
	{                                                                                          \
		.name = col, .header = head, .width = wide, .kind = type, .flags = flag,           \
		.needs = need, .get = getter, .arg = id                                            \
	}
#define TEXT(col, head, wide, id) COL(col, head, wide, OUT_TEXT, 0, CONF, get_text, VP_##id)
#define LIST(col, head, wide, id) COL(col, head, wide, OUT_LIST, 0, CONF, get_list, VP_##id)
#define LIVE			  (CONF | RUN | OP_NEED_LIVE)
#define LIVENUM(col, head, wide, flag, id)                                                         \
	COL(col, head, wide, OUT_INT, flag, LIVE, get_u64, VP_##id)
#define NUM(col, head, wide, flag, id) COL(col, head, wide, OUT_INT, flag, CONF, get_u64, VP_##id)
#define MEMBER(col, head, flag, need, getter, id, what)                                            \
	{                                                                                          \
		.name = col, .header = head, .width = 10, .kind = OUT_MEMBER, .flags = flag,       \
		.needs = need, .member = what, .get = getter, .arg = id                            \
	}
#define HELD(id) (LIVE | OP_NEED_UBC << UBC_##id)
#define UBC(col, head, id)                                                                         \
	MEMBER(col, head, 0, HELD(id), get_ubc, UBC_##id, "held"),                                 \
		MEMBER(col ".m", head ".M", OUT_NO_JSON, HELD(id), get_ubc, UBC_##id, "maxheld"),  \
		MEMBER(col ".b", head ".B", OUT_NO_JSON, LIVE, get_ubc, UBC_##id, "barrier"),      \
		MEMBER(col ".l", head ".L", OUT_NO_JSON, LIVE, get_ubc, UBC_##id, "limit"),        \
		MEMBER(col ".f", head ".F", OUT_NO_JSON, HELD(id), get_ubc, UBC_##id, "failcnt")
#define DISK(col, head, id)                                                                        \
	MEMBER(col, head, 0, CONF, get_disk, VP_##id, "usage"),                                    \
		MEMBER(col ".s", head ".S", OUT_NO_JSON, CONF, get_disk, VP_##id, "softlimit"),    \
		MEMBER(col ".h", head ".H", OUT_NO_JSON, CONF, get_disk, VP_##id, "hardlimit")

static const struct out_column columns[] = {
	COL("ctid", "CTID", 10, OUT_INT, 0, 0, get_ctid, 0),
	COL("veid", "CTID", 10, OUT_INT, 0, 0, get_ctid, 0),
	COL("vpsid", "CTID", 10, OUT_INT, 0, 0, get_ctid, 0),
	TEXT("private", "PRIVATE", -32, VE_PRIVATE),
	TEXT("root", "ROOT", -32, VE_ROOT),
	TEXT("mount_opts", "MOUNT_OPTS", -16, MOUNT_OPTS),
	COL("origin_sample", "ORIGIN_SAMPLE", -32, OUT_TEXT, OUT_HEADER_OPPOSITE, CONF, get_text,
	    VP_ORIGIN_SAMPLE),
	TEXT("hostname", "HOSTNAME", -32, HOSTNAME),
	TEXT("name", "NAME", -32, NAME),
	COL("smart_name", "SMARTNAME", 10, OUT_TEXT, 0, CONF, get_smart_name, VP_NAME),
	TEXT("description", "DESCRIPTION", -32, DESCRIPTION),
	TEXT("ostemplate", "OSTEMPLATE", -32, OSTEMPLATE),
	COL("ip", "IP_ADDR", -15, OUT_LIST, 0, LIVE, get_ip, VP_IP_ADDRESS),
	LIST("configured_ip", "CFG_IP_ADDR", -15, IP_ADDRESS),
	LIST("nameserver", "NAMESERVER", -15, NAMESERVER),
	LIST("searchdomain", "SEARCHDOMAIN", -15, SEARCHDOMAIN),
	{ .name = "status",
	  .header = "STATUS",
	  .width = -9,
	  .kind = OUT_TEXT,
	  .needs = OP_NEED_RUNNING | OP_NEED_STATUS,
	  .words = status_words,
	  .get = get_status },
	UBC("kmemsize", "KMEMSIZE", KMEMSIZE),
	UBC("lockedpages", "LOCKEDP", LOCKEDPAGES),
	UBC("privvmpages", "PRIVVMP", PRIVVMPAGES),
	UBC("shmpages", "SHMP", SHMPAGES),
	UBC("numproc", "NPROC", NUMPROC),
	UBC("physpages", "PHYSP", PHYSPAGES),
	UBC("vmguarpages", "VMGUARP", VMGUARPAGES),
	UBC("oomguarpages", "OOMGUARP", OOMGUARPAGES),
	UBC("numtcpsock", "NTCPSOCK", NUMTCPSOCK),
	UBC("numflock", "NFLOCK", NUMFLOCK),
	UBC("numpty", "NPTY", NUMPTY),
	UBC("numsiginfo", "NSIGINFO", NUMSIGINFO),
	UBC("tcpsndbuf", "TCPSNDB", TCPSNDBUF),
	UBC("tcprcvbuf", "TCPRCVB", TCPRCVBUF),
	UBC("othersockbuf", "OTHSOCKB", OTHERSOCKBUF),
	UBC("dgramrcvbuf", "DGRAMRB", DGRAMRCVBUF),
	UBC("numothersock", "NOTHSOCK", NUMOTHERSOCK),
	UBC("dcachesize", "DCACHESZ", DCACHESIZE),
	UBC("numfile", "NFILE", NUMFILE),
	UBC("numiptent", "NIPTENT", NUMIPTENT),
	UBC("swappages", "SWAPP", SWAPPAGES),
	DISK("diskspace", "DSPACE", DISKSPACE),
	DISK("diskinodes", "DINODES", DISKINODES),
	COL("laverage", "LAVERAGE", 14, OUT_LOADAVG, 0, 0, get_laverage, 0),
	COL("uptime", "UPTIME", 15, OUT_UPTIME, OUT_NULL_ZERO, RUN, get_uptime, 0),
	LIVENUM("cpulimit", "CPULIM", 7, 0, CPULIMIT),
	LIVENUM("cpuunits", "CPUUNI", 7, 0, CPUUNITS),
	LIVENUM("cpus", "CPUS", 5, OUT_NULL_ZERO, CPUS),
	COL("cpumask", "CPUMASK", 16, OUT_TEXT, 0, LIVE, get_text, VP_CPUMASK),
	COL("nodemask", "NODEMASK", 16, OUT_TEXT, 0, LIVE, get_text, VP_NODEMASK),
	LIVENUM("ioprio", "IOP", 3, OUT_NULL_ZERO, IOPRIO),
	LIVENUM("iolimit", "IOLIMIT", 10, OUT_NULL_ZERO | OUT_DASH_ZERO, IOLIMIT),
	LIVENUM("iopslimit", "IOPS", 4, OUT_NULL_ZERO | OUT_DASH_ZERO, IOPSLIMIT),
	COL("onboot", "ONBOOT", 6, OUT_YESNO, 0, CONF, get_bool, VP_ONBOOT),
	NUM("bootorder", "BOOTORDER", 10, 0, BOOTORDER),
	COL("layout", "LAYOUT", -6, OUT_TEXT, OUT_HEADER_OPPOSITE, CONF, get_text, VP_VE_LAYOUT),
	COL("features", "FEATURES", -15, OUT_FLAGS, 0, CONF, get_flags, VP_FEATURES),
	COL("vswap", "VSWAP", 5, OUT_YESNO, 0, LIVE, get_vswap, VP_PHYSPAGES),
	COL("disabled", "DISABL", 6, OUT_YESNO, 0, CONF, get_disabled, VP_DISABLED),
	COL("vm_overcommit", "VM_OVC", 6, OUT_REAL, OUT_NULL_ZERO | OUT_DASH_ZERO, CONF, get_double,
	    VP_VM_OVERCOMMIT),
	TEXT("netfilter", "NETFILTER", -9, NETFILTER),
	COL("capability", "CAPABILITY", -15, OUT_FLAGS, 0, CONF, get_flags, VP_CAPABILITY),
	LIST("devnodes", "DEVNODES", -15, DEVNODES),
};

const struct out_column *cli_vzlist_column_at(size_t i)
{
	return i < sizeof(columns) / sizeof(columns[0]) ? &columns[i] : NULL;
}

const struct out_column *cli_vzlist_column(const char *name)
{
	const struct out_column *c;

	for (size_t i = 0; (c = cli_vzlist_column_at(i)); i++)
		if (vz_streq(c->name, name))
			return c;
	return NULL;
}
