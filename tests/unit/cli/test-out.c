/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table engine and vzlist's columns: text and JSON of known rows against golden output. */
#include "cli/out.h"
#include "cli/vzlist.h"
#include "ops/list.h"
#include "util/fd.h"
#include "util/json.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tests, failures;

static void ok(bool good, const char *name)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++tests, name);
	if (!good)
		failures++;
}

static void same(const char *got, const char *want, const char *name)
{
	bool good = got && vz_streq(got, want);

	ok(good, name);
	if (!good)
		printf("# got:\n%s\n# want:\n%s\n", got ? got : "(nothing)", want);
}

static void set(struct op_facts *f, enum vps_param_id id, const char *text)
{
	struct vz_error err;

	if (vps_param_parse(&f->cfg, id, PM_SET, text, VS_VPS, &err) < 0)
		printf("# %s: %s\n", text, err.msg);
}

/* 101 runs, 102 is mounted and has nothing but a hostile name, 103 is suspended. */
static void make(struct op_facts f[3])
{
	f[0] = (struct op_facts){ .ctid = 101, .has_conf = true, .status = OP_RUNNING };
	f[0].uptime_ms = (3 * 86400ULL + 7 * 3600 + 22 * 60 + 5) * 1000 + 250;
	f[1] = (struct op_facts){ .ctid = 102, .has_conf = true, .status = OP_MOUNTED };
	f[2] = (struct op_facts){ .ctid = 103, .has_conf = true, .status = OP_SUSPENDED };
	f[0].cfg.ctid = 101;
	for (int i = 0; i < 3; i++)
		for (int c = 0; c < UBC_NR; c++)
			f[i].ubc.row[c] =
				(struct ubc_row){ .barrier = INT64_MAX, .limit = INT64_MAX };
	f[0].ubc.row[UBC_NUMPROC] = (struct ubc_row){ 23, 23, 240, 250, 0 };
	f[0].ubc.row[UBC_PHYSPAGES] = (struct ubc_row){ 100, 200, 0, 65536, 0 };
	f[0].ubc.mode[UBC_NUMPROC] = UBC_ENFORCED;
	f[2].ubc.row[UBC_NUMPROC] = (struct ubc_row){ .barrier = 10, .limit = 900 };
	set(&f[0], VP_HOSTNAME, "web.example.net");
	set(&f[0], VP_NAME, "web");
	set(&f[0], VP_DESCRIPTION, "{\"owner\": \"Ann\\Bob\"}");
	set(&f[0], VP_IP_ADDRESS, "10.1.2.3/24 2001:db8::5");
	if (vz_list_copy(&f[0].addrs, &f[0].cfg.ip_address) < 0)
		printf("# no memory\n");
	set(&f[0], VP_NUMPROC, "240:250");
	set(&f[0], VP_PHYSPAGES, "0:65536");
	set(&f[0], VP_DISKSPACE, "2097152:2306867");
	set(&f[0], VP_FEATURES, "nfs:on nesting:off");
	set(&f[0], VP_CAPABILITY, "NET_ADMIN:on");
	set(&f[0], VP_ONBOOT, "yes");
	set(&f[0], VP_CPULIMIT, "50");
	set(&f[0], VP_IOLIMIT, "1048576");
	set(&f[0], VP_VM_OVERCOMMIT, "1.5");
	set(&f[0], VP_VE_LAYOUT, "simfs");
	f[1].cfg.description = strdup("\033[31mred \302\233\342\200\256caf\303\251");
	f[1].cfg.source[VP_DESCRIPTION] = VS_VPS;
	set(&f[2], VP_BOOTORDER, "5");
	set(&f[2], VP_NUMPROC, "10:900");
	set(&f[2], VP_HOSTNAME, "a-host-name-longer-than-its-column.example.net");
}

static size_t columns(const char *names, const struct out_column *cols[600])
{
	VZ_LIST struct vz_list l = { 0 };
	size_t n = 0;

	if (vz_list_split(&l, names, ",") < 0)
		return 0;
	for (size_t i = 0; i < l.n; i++) {
		cols[n] = cli_vzlist_column(l.v[i]);
		if (cols[n])
			n++;
		else
			printf("# no column %s\n", l.v[i]);
	}
	return n;
}

static json_t *rows_of(const struct out_column *const *cols, size_t n, struct op_facts f[3])
{
	json_t *rows = json_array();

	for (int i = 0; i < 3; i++)
		if (json_array_append_new(rows, out_row(cols, n, NULL, &f[i])) < 0)
			printf("# no memory\n");
	return rows;
}

static void text(struct op_facts f[3], const char *names, struct out_layout how, const char *want)
{
	const struct out_column *cols[600];
	size_t n = columns(names, cols);
	VZ_JSON json_t *rows = rows_of(cols, n, f);
	VZ_BUF struct vz_buf b = { 0 };

	out_text(&b, cols, n, rows, &how);
	same(b.s, want, names);
}

static void test_text(struct op_facts f[3])
{
	const struct out_layout plain = { 0 }, bare = { .no_header = true };
	const struct out_layout full = { .no_header = true, .no_trim = true };

	text(f, "ctid,numproc,status,ip,hostname", plain,
	     "      CTID      NPROC STATUS    IP_ADDR         HOSTNAME\n"
	     "       101         23 running   10.1.2.3        web.example.net\n"
	     "       102          - mounted   -               -\n"
	     "       103          - suspended -               "
	     "a-host-name-longer-than-its-column.example.net\n");
	text(f, "hostname,smart_name", bare,
	     "web.example.net                         web\n"
	     "-                                       102\n"
	     "a-host-name-longer-than-its-colu        103\n");
	text(f, "ctid,ip", bare, "       101 10.1.2.3 2001:db8::5\n       102 -\n       103 -\n");
	text(f, "ip,ctid", full,
	     "10.1.2.3 2001:db8::5        101\n"
	     "-                      102\n"
	     "-                      103\n");
	text(f, "configured_ip,cpus,cpulimit", plain,
	     "CFG_IP_ADDR      CPUS  CPULIM\n"
	     "10.1.2.3/24         -      50\n"
	     "-                   -       -\n"
	     "-                   -       -\n");
	text(f, "description", bare,
	     "{\"owner\": \"Ann\\Bob\"}\n"
	     "\\x1b[31mred \\xc2\\x9b\\xe2\\x80\\xaecaf\303\251\n"
	     "-\n");
	text(f, "origin_sample,layout,uptime,laverage", plain,
	     "                   ORIGIN_SAMPLE LAYOUT          UPTIME       LAVERAGE\n"
	     "-                                simfs  003d07h:22m:05s              -\n"
	     "-                                -                    -              -\n"
	     "-                                -                    -              -\n");
	text(f, "numproc,numproc.m,numproc.b,numproc.l,numproc.f,physpages,physpages.m", plain,
	     "     NPROC    NPROC.M    NPROC.B    NPROC.L    NPROC.F      PHYSP    PHYSP.M\n"
	     "        23         23        240        250          0        100        200\n"
	     "         -          - 9223372036854775807 9223372036854775807          -"
	     "          -          -\n"
	     "         -          -         10        900          -          -          -\n");
	text(f, "features,capability,vswap,onboot,iolimit,vm_overcommit", bare,
	     "nfs:on,nesting: net_admin:on      yes    yes    1048576    1.5\n"
	     "-               -                  no      -          -      -\n"
	     "-               -                  no      -          -      -\n");
	text(f, "diskspace,diskspace.s,diskspace.h", plain,
	     "    DSPACE   DSPACE.S   DSPACE.H\n"
	     "         -    2097152    2306867\n"
	     "         -          -          -\n"
	     "         -          -          -\n");
}

static void test_json(struct op_facts f[3], const char *golden)
{
	const struct out_column *cols[600], *c;
	VZ_BUF struct vz_buf b = { 0 };
	VZ_FREE char *want = NULL;
	VZ_JSON json_t *rows = NULL;
	VZ_JSON json_t *back = NULL;
	VZ_JSON json_t *none = json_array();
	size_t n = 0;

	for (size_t i = 0; (c = cli_vzlist_column_at(i)); i++)
		if (!(c->flags & OUT_NO_JSON))
			cols[n++] = c;
	rows = rows_of(cols, n, f);
	out_json(&b, cols, n, rows);
	if (getenv("CROFT_GOLDEN_WRITE") && b.s && vz_write_atomic(golden, b.s, b.len, 0644) < 0)
		printf("# cannot write %s\n", golden);
	if (vz_read_file(AT_FDCWD, golden, 1 << 20, &want) < 0)
		printf("# cannot read %s\n", golden);
	same(b.s, want ? want : "", "JSON of all fields is the golden file");
	back = b.s ? json_loads(b.s, 0, NULL) : NULL;
	ok(json_array_size(back) == 3, "jansson reads it back");
	ok(json_is_integer(json_object_get(json_array_get(back, 0), "ctid")), "ctid is a number");
	vz_buf_clear(&b);
	out_json(&b, cols, n, none);
	same(b.s, "[]\n", "no row is [] and a newline");
}

static void test_json_small(struct op_facts f[3])
{
	const struct out_column *cols[600];
	size_t n = columns("veid,ip,uptime,veid", cols);
	VZ_BUF struct vz_buf b = { 0 };
	VZ_JSON json_t *rows = rows_of(cols, n, f);

	json_array_remove(rows, 2);
	out_json(&b, cols, n, rows);
	same(b.s,
	     "[\n  {\n    \"veid\": 101,\n    \"ip\": [\n"
	     "      \"10.1.2.3\",\n      \"2001:db8::5\"\n"
	     "    ],\n    \"uptime\": 285725.250\n  },\n"
	     "  {\n    \"veid\": 102,\n    \"ip\": [],\n    \"uptime\": 0.000\n  }\n]\n",
	     "a repeated column appears once; empty list; 3 decimals");
}

/* Is the order of the rows by @name the one of @want, a string of row numbers? */
static void order(struct op_facts f[3], const char *name, const char *want)
{
	const struct out_column *c = cli_vzlist_column(name);
	char got[4] = "012", label[64];
	json_t *cell[3];

	for (int i = 0; i < 3; i++)
		cell[i] = c->get(c, &f[i]);
	for (int i = 0; i < 2; i++) /* a stable sort of three */
		for (int k = 0; k < 2 - i; k++)
			if (out_compare(c, cell[got[k] - '0'], cell[got[k + 1] - '0']) > 0) {
				char t = got[k];

				got[k] = got[k + 1];
				got[k + 1] = t;
			}
	for (int i = 0; i < 3; i++)
		json_decref(cell[i]);
	(void)snprintf(label, sizeof(label), "sorted by %s", name);
	same(got, want, label);
}

static void test_table(void)
{
	const struct out_column *c;
	bool words = true, unique = true, getters = true;

	for (size_t i = 0; (c = cli_vzlist_column_at(i)); i++) {
		words = words && !strpbrk(c->name, " \t,") && !strpbrk(c->header, " \t");
		unique = unique && cli_vzlist_column(c->name) == c;
		getters = getters && c->get && (c->kind != OUT_MEMBER || c->member);
	}
	ok(words, "names and headers are single words");
	ok(unique, "names are unique");
	ok(getters, "each column has a getter, each member a name");
	ok(!cli_vzlist_column("nonsense"), "an unknown column is none");
}

int main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir");
	char golden[PATH_MAX];
	struct op_facts f[3];

	(void)snprintf(golden, sizeof(golden), "%s/tests/data/vzlist.golden.json",
		       srcdir ? srcdir : ".");
	make(f);
	test_table();
	test_text(f);
	test_json(f, argc > 1 ? argv[1] : golden);
	test_json_small(f);
	order(f, "status", "012");
	order(f, "uptime", "012");
	order(f, "bootorder", "012");
	order(f, "numproc.b", "201");
	order(f, "numproc.l", "021");
	order(f, "onboot", "120");
	order(f, "hostname", "120");
	for (int i = 0; i < 3; i++) {
		vps_config_clear(&f[i].cfg);
		vz_list_clear(&f[i].addrs);
	}
	printf("1..%d\n", tests);
	return failures ? 1 : 0;
}
