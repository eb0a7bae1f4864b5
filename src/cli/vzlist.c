/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/vzlist.h"

#include "ops/list.h"
#include "util/fd.h"
#include "util/json.h"
#include "util/log.h"

#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The largest list the tool prints at once; beyond it -o is nonsense, not a wish. */
enum { MAX_COLUMNS = 512 };

struct asked {
	bool all, stopped, json, list_fields, help, reverse;
	const char *fields; /* of -o, -1 or -n; NULL = the default */
	const char *hostname, *name, *description;
	const struct out_column *sort;
	struct out_layout layout;
	const struct out_column *cols[MAX_COLUMNS];
	size_t n_cols;
	uint32_t *ctids; /* asked for by argument */
	size_t n_ctids;
};

static const char usage_text[] =
	"Usage: vzlist [-a | -S] [-n] [-H] [-o FIELD[,FIELD...] | -1] [-s [-]FIELD]\n"
	"              [-h PATTERN] [-N PATTERN] [-d PATTERN] [-t] [-j] [CTID|NAME...]\n"
	"       vzlist -L\n"
	"\n"
	"  -a, --all                 all VPSes, not only running ones\n"
	"  -S, --stopped             only VPSes that do not run\n"
	"  -n, --name                show names\n"
	"  -H, --no-header           no header line\n"
	"  -t, --no-trim             keep trailing blanks, show lists whole\n"
	"  -j, --json                JSON\n"
	"  -o, --output FIELDS       columns, separated by commas\n"
	"  -1                        the same as -H -o veid\n"
	"  -s, --sort [-]FIELD       sort by a field; - reverses\n"
	"  -h, --hostname PATTERN    only these host names\n"
	"  -N, --name_filter PATTERN only these names\n"
	"  -d, --description PATTERN only these descriptions\n"
	"  -L, --list                list the fields\n"
	"      --help                this text\n";

static const struct option long_options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "stopped", no_argument, NULL, 'S' },
	{ "name", no_argument, NULL, 'n' },
	{ "no-header", no_argument, NULL, 'H' },
	{ "no-trim", no_argument, NULL, 't' },
	{ "json", no_argument, NULL, 'j' },
	{ "output", required_argument, NULL, 'o' },
	{ "sort", required_argument, NULL, 's' },
	{ "hostname", required_argument, NULL, 'h' },
	{ "name_filter", required_argument, NULL, 'N' },
	{ "description", required_argument, NULL, 'd' },
	{ "list", no_argument, NULL, 'L' },
	{ "help", no_argument, NULL, 'e' },
	{ NULL, 0, NULL, 0 },
};

static int take_sort(struct asked *a, const char *field)
{
	const char *name = field;

	a->reverse = *name == '-';
	if (a->reverse)
		name++;
	a->sort = cli_vzlist_column(name);
	if (a->sort)
		return 0;
	(void)fprintf(stderr, "Invalid sort field name: %s\n", name);
	return -1;
}

/* Return: 0, or -1 after a message. */
static int take_option(struct asked *a, int opt)
{
	switch (opt) {
	case 'a':
		a->all = true;
		return 0;
	case 'S':
		a->stopped = true;
		return 0;
	case 'n':
		a->fields = "smart_name,numproc,status,ip,hostname";
		return 0;
	case 'H':
		a->layout.no_header = true;
		return 0;
	case 't':
		a->layout.no_trim = true;
		return 0;
	case 'j':
		a->json = true;
		return 0;
	case 'o':
		a->fields = optarg;
		return 0;
	case '1':
		a->fields = "veid";
		a->layout.no_header = true;
		return 0;
	case 's':
		return take_sort(a, optarg);
	case 'h':
		a->hostname = optarg;
		return 0;
	case 'N':
		a->name = optarg;
		return 0;
	case 'd':
		a->description = optarg;
		return 0;
	case 'L':
		a->list_fields = true;
		return 0;
	case 'e':
		a->help = true;
		return 0;
	default:
		(void)fputs(usage_text, stderr);
		return -1;
	}
}

static int take_columns(struct asked *a)
{
	const char *fields = a->fields ? a->fields : "ctid,numproc,status,ip,hostname";
	VZ_LIST struct vz_list names = { 0 };

	if (vz_list_split(&names, fields, ",") < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		const struct out_column *c = cli_vzlist_column(names.v[i]);

		if (!c || a->n_cols == MAX_COLUMNS) {
			(void)fprintf(stderr, "Unknown field: %s\n", names.v[i]);
			return -1;
		}
		if (a->json && (c->flags & OUT_NO_JSON)) {
			(void)fprintf(stderr, "Field `%s' is not available in JSON output\n",
				      c->name);
			return -1;
		}
		a->cols[a->n_cols++] = c;
	}
	if (a->n_cols == 0) {
		(void)fprintf(stderr, "Unknown field: %s\n", fields);
		return -1;
	}
	return 0;
}

/* JSON without -o: everything but the views of other columns. */
static void take_all_columns(struct asked *a)
{
	const struct out_column *c;

	for (size_t i = 0; (c = cli_vzlist_column_at(i)) && a->n_cols < MAX_COLUMNS; i++)
		if (!(c->flags & OUT_NO_JSON))
			a->cols[a->n_cols++] = c;
}

static int by_number(const void *x, const void *y)
{
	uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

	return (a > b) - (a < b);
}

static int take_words(struct asked *a, char **words, int n)
{
	size_t unique = 0;

	if (n == 0)
		return 0;
	a->ctids = calloc((size_t)n, sizeof(*a->ctids));
	if (!a->ctids)
		return -1;
	for (int i = 0; i < n; i++) {
		uint32_t *id = &a->ctids[a->n_ctids++];
		char shown[256];

		if (vps_parse_ctid(words[i], id) == 0 || vps_name_lookup(words[i], id) == 0)
			continue;
		(void)fprintf(stderr, "CT ID %s is invalid.\n",
			      vz_quote(shown, sizeof(shown), words[i]));
		return -1;
	}
	qsort(a->ctids, a->n_ctids, sizeof(*a->ctids), by_number);
	for (size_t i = 0; i < a->n_ctids; i++)
		if (i == 0 || a->ctids[i] != a->ctids[i - 1])
			a->ctids[unique++] = a->ctids[i];
	a->n_ctids = unique;
	return 0;
}

static int take_argv(struct asked *a, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "aSnHtjo:1s:h:N:d:Le", long_options, NULL)) != -1)
		if (take_option(a, opt) < 0)
			return -1;
	if (a->list_fields || a->help)
		return 0;
	if (a->json && !a->fields)
		take_all_columns(a);
	else if (take_columns(a) < 0)
		return -1;
	return 0;
}

static void list_fields(void)
{
	const struct out_column *c;

	for (size_t i = 0; (c = cli_vzlist_column_at(i)); i++)
		(void)printf("%-15s %-15s\n", c->name, c->header);
}

/* ---- which VPSes ---- */

static unsigned int needs_of(const struct asked *a)
{
	unsigned int needs = a->sort ? a->sort->needs : 0;

	for (size_t i = 0; i < a->n_cols; i++)
		needs |= a->cols[i]->needs;
	if (a->hostname || a->name || a->description)
		needs |= OP_NEED_CONF;
	if (a->stopped || (!a->all && a->n_ctids == 0))
		needs |= OP_NEED_RUNNING;
	return needs;
}

static bool matches(const char *pattern, const char *text)
{
	return !pattern || (text && fnmatch(pattern, text, 0) == 0);
}

static bool chosen(const struct asked *a, const struct op_facts *f)
{
	bool running = f->status == OP_RUNNING;

	if (a->n_ctids == 0 && a->stopped && running)
		return false;
	if (a->n_ctids == 0 && !a->stopped && !a->all && !running)
		return false;
	return matches(a->hostname, f->cfg.hostname) && matches(a->name, f->cfg.name) &&
	       matches(a->description, f->cfg.description);
}

/* Return: rows, or NULL without memory. */
static json_t *gather(const struct asked *a, const uint32_t *ids, size_t n)
{
	VPS_CONFIG struct vps_config global = { 0 };
	VZ_JSON json_t *rows = json_array();
	OP_UBC_READER struct op_ubc_reader rd;
	struct vz_error err;
	unsigned int needs = needs_of(a), quick = needs & OP_NEED_RUNNING;
	/* of a thousand VPSes three run: look at that before anything else is read */
	bool look_first = a->n_ctids == 0 && !a->all && !a->stopped;

	op_ubc_open(&rd, true, NULL);
	if (vps_load_global(&global, &err) < 0)
		vz_warn("WARNING: %s", err.msg);
	for (size_t i = 0; rows && i < n; i++) {
		OP_FACTS struct op_facts f = { 0 };

		if (look_first) {
			op_list_facts(ids[i], quick, &global, NULL, &f);
			if (f.status != OP_RUNNING)
				continue;
			op_facts_clear(&f);
		}
		op_list_facts(ids[i], needs, &global, &rd, &f);
		if (!chosen(a, &f))
			continue;
		if (json_array_append_new(rows, out_row(a->cols, a->n_cols, a->sort, &f)) < 0)
			return NULL;
	}
	return json_incref(rows);
}

/* ---- order ---- */

struct place {
	const struct out_column *by;
	json_t *row;
	size_t at;
};

static int by_place(const void *x, const void *y)
{
	const struct place *a = x, *b = y;
	size_t last = json_array_size(a->row) - 1;
	int r = out_compare(a->by, json_array_get(a->row, last), json_array_get(b->row, last));

	return r ? r : (a->at > b->at) - (a->at < b->at);
}

/* Return: a new array, NULL without memory. */
static json_t *sorted(const struct asked *a, const json_t *rows)
{
	size_t n = json_array_size(rows);
	VZ_FREE struct place *places = calloc(n ? n : 1, sizeof(*places));
	json_t *out = json_array();

	if (!places || !out) {
		json_decref(out);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		places[i] = (struct place){ a->sort, json_array_get(rows, i), i };
	if (a->sort)
		qsort(places, n, sizeof(*places), by_place);
	for (size_t i = 0; i < n; i++) {
		size_t from = a->reverse ? n - 1 - i : i;

		if (json_array_append(out, places[from].row) < 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

/* ---- the program ---- */

static int print(const struct asked *a, const json_t *rows)
{
	VZ_BUF struct vz_buf b = { 0 };
	bool empty = json_array_size(rows) == 0;

	if (a->json)
		out_json(&b, a->cols, a->n_cols, rows);
	else if (empty)
		(void)fputs("Container(s) not found\n", stderr);
	else
		out_text(&b, a->cols, a->n_cols, rows, &a->layout);
	if (b.failed) {
		(void)fputs("vzlist: out of memory\n", stderr);
		return 1;
	}
	if (b.len)
		(void)fwrite(b.s, 1, b.len, stdout);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("vzlist: write");
		return 1;
	}
	return empty && a->n_ctids ? 1 : 0;
}

/* Those asked for that exist, or all. Return: 0, or -1 after a message. */
static int choose_ids(const struct asked *a, uint32_t **ret, size_t *ret_n)
{
	struct vz_error err;
	ssize_t r;

	if (a->n_ctids == 0) {
		r = op_list_ctids(ret, &err);
		if (r < 0)
			(void)fprintf(stderr, "vzlist: %s\n", err.msg);
		*ret_n = r < 0 ? 0 : (size_t)r;
		return r < 0 ? -1 : 0;
	}
	*ret = calloc(a->n_ctids, sizeof(**ret));
	if (!*ret)
		return -1;
	for (size_t i = 0; i < a->n_ctids; i++)
		if (op_list_known(a->ctids[i]))
			(*ret)[(*ret_n)++] = a->ctids[i];
	return 0;
}

static int run(const struct asked *a)
{
	VZ_FREE uint32_t *ids = NULL;
	VZ_JSON json_t *rows = NULL;
	VZ_JSON json_t *ordered = NULL;
	size_t n = 0;

	if (needs_of(a) & (OP_NEED_CONF | OP_NEED_STATUS)) {
		VPS_CONFIG struct vps_config global = { 0 };
		struct vz_error err;

		if (vps_load_global(&global, &err) < 0) {
			(void)fprintf(stderr, "vzlist: %s\n", err.msg);
			return 1;
		}
	}
	if (choose_ids(a, &ids, &n) < 0)
		return 1;
	rows = gather(a, ids, n);
	ordered = rows ? sorted(a, rows) : NULL;
	if (!ordered) {
		(void)fputs("vzlist: out of memory\n", stderr);
		return 1;
	}
	return print(a, ordered);
}

int main(int argc, char **argv)
{
	static struct asked a;
	int r;

	/* a bad line in somebody's configuration is vzctl's to tell; stderr stays clean here */
	vz_log_init(
		&(struct vz_log_setup){ .program = "vzlist", .tty_level = -2, .file_level = -2 });
	if (take_argv(&a, argc, argv) < 0)
		return 1;
	if (a.help) {
		(void)fputs(usage_text, stdout);
		return 1;
	}
	if (a.list_fields) {
		list_fields();
		return 0;
	}
	if (geteuid() != 0) {
		(void)fputs("This program can only be run under root.\n", stderr);
		return 1;
	}
	r = take_words(&a, argv + optind, argc - optind) < 0 ? 1 : run(&a);
	free(a.ctids);
	return r;
}
