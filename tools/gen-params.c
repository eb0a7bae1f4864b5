/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gen-params - text made from the parameter table
 *
 *	gen-params PIECE			print it: man-ctid, man-vz, bash, json-schema
 *	gen-params --check PIECE FILE	status 1 when FILE does not hold the piece as it is now
 *	gen-params --write PIECE FILE	put it there
 *
 * In manual pages the piece stands between the lines `.\" BEGIN gen-params PIECE` and
 * `.\" END gen-params`; other files are the piece as a whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vps/params.def"

struct row {
	const char *id, *option, *key, *type, *unit;
	uint64_t min, max;
	const char *group, *when, *by, *arg, *help;
};

static const struct row rows[] = {
#define X(id, opt, key, type, unit, lo, hi, field, group, when, by, arg, help)                     \
	{ #id, opt, key, #type, #unit, lo, hi, #group, #when, by, arg, help },
	VZ_PARAMS(X)
#undef X
};

struct alias {
	const char *option, *key, *id, *mode;
};

static const struct alias aliases[] = {
#define X(opt, key, id, mode) { opt, key, #id, #mode },
	VZ_ALIASES(X)
#undef X
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]), N_ALIASES = sizeof(aliases) / sizeof(aliases[0]) };

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static bool one_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (is(word, *list))
			return true;
	return false;
}

static bool is_pair(const struct row *r)
{
	static const char *const types[] = { "UBC", "DISK", "DISKN", NULL };

	return one_of(r->type, types);
}

static bool is_number(const struct row *r)
{
	static const char *const types[] = { "U64", "CPULIMIT", "IOLIMIT", "LEVEL", NULL };

	return one_of(r->type, types);
}

static bool is_list(const struct row *r)
{
	static const char *const types[] = { "IPS",	"DNS",	   "SEARCH",   "NETIF", "LIST",
					     "LISTADD", "DEVICES", "DEVNODES", NULL };

	return one_of(r->type, types);
}

static bool is_switches(const struct row *r)
{
	return is(r->type, "CAPS") || is(r->type, "FEATURES");
}

/* ---- manual pages ---- */

static void roff_text(FILE *f, const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", f);
	for (; *s; s++)
		if (*s == '\\')
			fputs("\\e", f);
		else if (*s == '-')
			fputs("\\-", f);
		else
			fputc(*s, f);
}

static const char *unit_words(const struct row *r)
{
	static const char *const words[][2] = {
		{ "ITEMS", "items" }, { "PAGES", "pages of 4096 bytes" },
		{ "BYTES", "bytes" }, { "KIB", "KiB" },
		{ "SEC", "seconds" }, { "MSEC", "milliseconds" },
		{ "PCT", "percent" }, { "BPS", "bytes a second" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (is(r->unit, words[i][0]))
			return words[i][1];
	return NULL;
}

/* A letter for the argument: bold are the option and the fixed words only. */
static void roff_option(FILE *f, const char *option, const char *arg)
{
	fputs("\\fB\\-\\-", f);
	roff_text(f, option);
	fputs("\\fR \\fI", f);
	roff_text(f, arg);
	fputs("\\fR", f);
}

static void roff_facts(FILE *f, const struct row *r)
{
	const char *unit = unit_words(r);

	if (unit)
		fprintf(f, "Unit: %s.\n", unit);
	if (is_pair(r)) {
		fputs("Range: 0 to \\fBunlimited\\fR.\n", f);
	} else if (is(r->type, "LEVEL")) {
		fputs("Range: from \\-1.\n", f);
	} else if (is_number(r) || is(r->type, "DOUBLE")) {
		fprintf(f, "Range: %" PRIu64 " to ", r->min);
		fprintf(f, r->max >= INT64_MAX ? "no limit.\n" : "%" PRIu64 ".\n", r->max);
	}
	if (is(r->when, "LIVE"))
		fputs("Applied: at once.\n", f);
	else if (is(r->when, "RESTART"))
		fputs("Applied: at the next start.\n", f);
	else if (is(r->when, "SAVED"))
		fputs(r->option ? "Applied: only together with \\fB\\-\\-save\\fR.\n"
				: "Applied: from the file.\n",
		      f);
	if (is(r->group, "STORED")) {
		fputs("Stored, not enforced.\n", f);
	} else if (r->by[0] && !is(r->when, "GLOBAL")) {
		fputs("Used by: ", f);
		roff_text(f, r->by);
		fputs(".\n", f);
	}
}

static void roff_aliases(FILE *f, const struct row *r)
{
	for (size_t i = 0; i < N_ALIASES; i++) {
		const struct alias *a = &aliases[i];

		if (!is(a->id, r->id))
			continue;
		fputs("Also ", f);
		if (!a->option) {
			fprintf(f, "read under the name \\fB%s\\fR.\n", a->key);
			continue;
		}
		fputs("\\fB\\-\\-", f);
		roff_text(f, a->option);
		fputs(is(a->mode, "DEL")   ? "\\fR, which removes.\n"
		      : is(a->mode, "RAM") ? "\\fR \\fISIZE\\fR, in bytes.\n"
					   : "\\fR.\n",
		      f);
	}
}

static void roff_row(FILE *f, const struct row *r)
{
	fprintf(f, ".TP\n\\fB%s\\fR=\\fI", r->key);
	roff_text(f, r->arg);
	fputs("\\fR", f);
	if (r->option) {
		fputs(", ", f);
		roff_option(f, r->option, r->arg);
	}
	fputc('\n', f);
	roff_text(f, r->help);
	fputs(".\n", f);
	roff_facts(f, r);
	roff_aliases(f, r);
}

static void man_ctid(FILE *f)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].key && !is(rows[i].when, "GLOBAL"))
			roff_row(f, &rows[i]);
}

static void man_vz(FILE *f)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].key && is(rows[i].when, "GLOBAL"))
			roff_row(f, &rows[i]);
	fputs(".PP\n"
	      "Most parameters of a VPS may stand here as well, as defaults for those whose own\n"
	      "file does not name them; see\n"
	      ".BR ctid.conf (5).\n",
	      f);
}

/* ---- JSON schema ---- */

static void json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++)
		if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else
			fputc(*s, f);
	fputc('"', f);
}

static void json_key(FILE *f, const char *key)
{
	fputs("    \"", f);
	for (; *key; key++)
		fputc(*key >= 'A' && *key <= 'Z' ? *key - 'A' + 'a' : *key, f);
	fputs("\": {", f);
}

static void json_pair(FILE *f, const char *low, const char *high)
{
	const char *number = "{ \"type\": \"integer\", \"minimum\": 0, "
			     "\"maximum\": 9223372036854775807 }";

	fprintf(f,
		"\"type\": \"object\", \"additionalProperties\": false,\n"
		"      \"properties\": {\n        \"%s\": %s,\n        \"%s\": %s\n      },\n"
		"      \"required\": [\"%s\", \"%s\"],\n",
		low, number, high, number, low, high);
}

static void json_words(FILE *f, const struct row *r)
{
	const char *s = r->arg;

	fputs("\"type\": \"string\", \"enum\": [", f);
	while (*s) {
		int n = (int)strcspn(s, "|");

		fprintf(f, "\"%.*s\"%s", n, s, s[n] ? ", " : "],\n");
		s += n + (s[n] != '\0');
	}
}

static void json_type(FILE *f, const struct row *r)
{
	uint64_t max = r->max > INT64_MAX ? INT64_MAX : r->max;

	fputs("\n      ", f);
	if (is(r->type, "UBC"))
		json_pair(f, "barrier", "limit");
	else if (is_pair(r))
		json_pair(f, "softlimit", "hardlimit");
	else if (is(r->type, "LEVEL"))
		fputs("\"type\": \"integer\", \"minimum\": -1,\n", f);
	else if (is_number(r) || is(r->type, "DOUBLE"))
		fprintf(f,
			"\"type\": \"%s\", \"minimum\": %" PRIu64 ", \"maximum\": %" PRIu64 ",\n",
			is_number(r) ? "integer" : "number", r->min, max);
	else if (is(r->type, "BOOL"))
		fputs("\"type\": \"boolean\",\n", f);
	else if (is_list(r))
		fputs("\"type\": \"array\", \"items\": { \"type\": \"string\" },\n", f);
	else if (is_switches(r))
		fputs("\"type\": \"object\",\n"
		      "      \"additionalProperties\": { \"type\": \"boolean\" },\n",
		      f);
	else if (is(r->type, "WORD"))
		json_words(f, r);
	else
		fputs("\"type\": \"string\",\n", f);
}

static void json_row(FILE *f, const struct row *r, bool last)
{
	const char *unit = unit_words(r);

	json_key(f, r->key);
	json_type(f, r);
	fputs("      \"description\": ", f);
	json_string(f, r->help);
	if (unit)
		fprintf(f, ",\n      \"x-unit\": \"%s\"", unit);
	if (r->option)
		fprintf(f, ",\n      \"x-option\": \"--%s\"", r->option);
	fprintf(f, ",\n      \"x-file\": \"%s\"", is(r->when, "GLOBAL") ? "vz.conf" : "CTID.conf");
	fprintf(f, ",\n      \"x-enforced\": %s", is(r->group, "STORED") ? "false" : "true");
	fprintf(f, "\n    }%s\n", last ? "" : ",");
}

static void json_schema(FILE *f)
{
	fputs("{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
	      "  \"title\": \"Configuration of a VPS and of its node\",\n"
	      "  \"type\": \"object\",\n  \"properties\": {\n",
	      f);
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].key)
			json_row(f, &rows[i], i + 1 == N_ROWS);
	fputs("  }\n}\n", f);
}

/* ---- bash completion ---- */

/* Words of "simfs|overlay" or "LIST|all|auto" that can be typed as they stand. */
static void fixed_words(const struct row *r, char *dst, size_t size)
{
	static const char *const choices[] = { "BOOL", "WORD",	 "LAYOUT",  "CPUMASK",
					       "DNS",  "SEARCH", "MEMINFO", NULL };
	const char *s = r->arg;

	dst[0] = '\0';
	while (one_of(r->type, choices) && *s) {
		size_t n = strcspn(s, "|"), at = strlen(dst);

		if (strspn(s, "abcdefghijklmnopqrstuvwxyz") == n)
			(void)snprintf(dst + at, size - at, "%s%.*s", at ? " " : "", (int)n, s);
		s += n + (s[n] != '\0');
	}
}

/* One case of the value completion; options without anything to offer get none. */
static void bash_value(FILE *f, const struct row *r)
{
	char words[256];

	fixed_words(r, words, sizeof(words));
	if (words[0])
		fprintf(f, "\t--%s) _croft_offer '%s' ;;\n", r->option, words);
	else if (is(r->type, "PATH"))
		fprintf(f, "\t--%s) COMPREPLY=($(compgen -d -- \"$cur\")) ;;\n", r->option);
	else if (is(r->type, "FEATURES"))
		fprintf(f, "\t--%s) _croft_offer 'nesting:on nesting:off' ;;\n", r->option);
}

static void bash_options(FILE *f)
{
	size_t width = 100;

	fputs("_croft_set_options=\"", f);
	for (size_t i = 0; i < N_ROWS + N_ALIASES; i++) {
		const char *o = i < N_ROWS ? rows[i].option : aliases[i - N_ROWS].option;

		if (!o)
			continue;
		width += strlen(o) + 3;
		if (width > 96) {
			fputs("\n", f);
			width = strlen(o) + 3;
		} else {
			fputc(' ', f);
		}
		fprintf(f, "--%s", o);
	}
	fputs("\n--save --force --setmode --reset_ub --applyconfig --skip_arpdetect "
	      "--userpasswd\"\n\n",
	      f);
}

static const char bash_head[] =
	"# SPDX-License-Identifier: GPL-2.0-or-later\n"
	"# bash completion for vzctl and the tools beside it; made by tools/gen-params.c, do not "
	"edit\n"
	"# shellcheck shell=bash disable=SC2207,SC2086\n"
	"\n"
	"_croft_commands=\"create destroy delete mount umount start stop restart status set\n"
	"exec exec2 exec3 enter console runscript ubc-load ubc-unload ubc-status\n"
	"ubc-reconcile failures suspend chkpnt resume restore checkpoint-check\"\n";

static const char bash_helpers[] =
	"_croft_offer()\n"
	"{\n"
	"\tCOMPREPLY=($(compgen -W \"$1\" -- \"$cur\"))\n"
	"}\n"
	"\n"
	"# compgen -W expands its words once more: nothing but plain characters may reach it\n"
	"_croft_plain()\n"
	"{\n"
	"\tgrep -x '[A-Za-z0-9+_.][A-Za-z0-9+_.@-]*'\n"
	"}\n"
	"\n"
	"_croft_names()\n"
	"{\n"
	"\tvzlist -H \"$@\" -o name 2>/dev/null | _croft_plain\n"
	"}\n"
	"\n"
	"# CTIDs and names; arguments choose which: -a all, -S stopped, none running\n"
	"_croft_vpses()\n"
	"{\n"
	"\tvzlist -H \"$@\" -o ctid 2>/dev/null | tr -d ' '\n"
	"\t_croft_names \"$@\"\n"
	"}\n"
	"\n"
	"_croft_samples()\n"
	"{\n"
	"\tlocal f\n"
	"\n"
	"\tfor f in /etc/vz/conf/ve-*.conf-sample; do\n"
	"\t\t[ -e \"$f\" ] || continue\n"
	"\t\tf=${f##*/ve-}\n"
	"\t\techo \"${f%.conf-sample}\"\n"
	"\tdone\n"
	"}\n"
	"\n"
	"_croft_templates()\n"
	"{\n"
	"\tlocal dir f\n"
	"\n"
	"\tdir=$(sed -n 's/^[[:space:]]*TEMPLATE=\"\\{0,1\\}\\([^\"]*\\)\"\\{0,1\\}.*/\\1/p' \\\n"
	"\t\t/etc/vz/vz.conf 2>/dev/null | head -n 1)\n"
	"\tfor f in \"${dir:-/var/lib/vz/template}\"/cache/*.tar*; do\n"
	"\t\t[ -e \"$f\" ] || continue\n"
	"\t\tf=${f##*/}\n"
	"\t\techo \"${f%.tar*}\"\n"
	"\tdone\n"
	"}\n"
	"\n"
	"# what may follow an option; status 1: the option takes nothing we know\n"
	"_croft_value()\n"
	"{\n"
	"\tlocal cur=$1 prev=$2\n"
	"\n"
	"\tcase $prev in\n"
	"\t--ostemplate) _croft_offer \"$(_croft_templates | _croft_plain)\" ;;\n"
	"\t--config|--applyconfig) _croft_offer \"$(_croft_samples | _croft_plain)\" ;;\n"
	"\t--setmode) _croft_offer 'restart ignore' ;;\n"
	"\t--ipdel) _croft_offer 'all' ;;\n"
	"\t--ve_layout|--velayout) _croft_offer 'simfs overlay' ;;\n";

static const char bash_value_tail[] =
	"\t--save|--force|--reset_ub|--skip_arpdetect|--fast|--wait|--skip*) return 1 ;;\n"
	"\t--*) COMPREPLY=() ;;\n"
	"\t*) return 1 ;;\n"
	"\tesac\n"
	"}\n"
	"\n";

static const char bash_vzctl[] =
	"_croft_options_of()\n"
	"{\n"
	"\tcase $1 in\n"
	"\tset) echo \"$_croft_set_options\" ;;\n"
	"\tcreate) echo '--ostemplate --config --layout --private --root --diskspace --diskinodes\n"
	"\t\t--ipadd --hostname --name --description --local_uid --local_gid' ;;\n"
	"\tstart) echo '--force --wait --skip-fsck --skip-remount' ;;\n"
	"\tstop) echo '--fast --skip-umount' ;;\n"
	"\trestart) echo '--force --wait --skip-fsck --skip-remount --fast' ;;\n"
	"\tenter) echo '--exec' ;;\n"
	"\tfailures) echo '--follow --json' ;;\n"
	"\tsuspend|chkpnt) echo '--dumpfile --compress --force --skip-umount --suspend --dump "
	"--kill "
	"--resume' ;;\n"
	"\tresume|restore) echo '--dumpfile --keep --skip-remount --undump --resume --kill' ;;\n"
	"\tcheckpoint-check) echo '--json --bandwidth --time' ;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"_croft_vzctl()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i=1 cmd\n"
	"\n"
	"\tCOMPREPLY=()\n"
	"\twhile [[ $i -lt $COMP_CWORD && ${COMP_WORDS[i]} == -* ]]; do ((i++)); done\n"
	"\tif [[ $i -ge $COMP_CWORD ]]; then\n"
	"\t\t_croft_offer \"$_croft_commands --quiet --verbose --version --skiplock --help\"\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tcmd=${COMP_WORDS[i]}\n"
	"\tif [[ $COMP_CWORD -eq $((i + 1)) ]]; then\n"
	"\t\tlocal which=-a\n"
	"\t\tcase $cmd in\n"
	"\t\tcreate) return ;;\n"
	"\t\tstart|mount|destroy|delete) which=-S ;;\n"
	"\t\tstop|restart|exec*|enter|console|failures|checkpoint-check) which= ;;\n"
	"\t\tesac\n"
	"\t\tlocal IFS=$'\\n'\n"
	"\t\t_croft_offer \"$(_croft_vpses $which)\"\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tcase $cmd in\n"
	"\texec*) return ;;\n"
	"\trunscript) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	"\tesac\n"
	"\t_croft_value \"$cur\" \"$prev\" && return\n"
	"\t_croft_offer \"$(_croft_options_of \"$cmd\")\"\n"
	"}\n"
	"\n";

static const char bash_vzlist[] =
	"_croft_vzlist()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} head='' fields\n"
	"\n"
	"\tCOMPREPLY=()\n"
	"\tcase $prev in\n"
	"\t-o|--output|-*o)\n"
	"\t\t[[ $cur == *,* ]] && head=${cur%,*},\n"
	"\t\tfields=$(vzlist -L 2>/dev/null | while read -r f _; do echo \"$head$f\"; done)\n"
	"\t\tcompopt -o nospace 2>/dev/null\n"
	"\t\t_croft_offer \"$fields\"\n"
	"\t\treturn ;;\n"
	"\t-s|--sort)\n"
	"\t\t[[ $cur == -* ]] && head=-\n"
	"\t\tfields=$(vzlist -L 2>/dev/null | while read -r f _; do echo \"$head$f\"; done)\n"
	"\t\t_croft_offer \"$fields\"\n"
	"\t\treturn ;;\n"
	"\t-h|--hostname|-d|--description) return ;;\n"
	"\t-N|--name_filter)\n"
	"\t\tlocal IFS=$'\\n'\n"
	"\t\t_croft_offer \"$(_croft_names -a)\"\n"
	"\t\treturn ;;\n"
	"\tesac\n"
	"\tif [[ $cur == -* ]]; then\n"
	"\t\t_croft_offer '-a -S -n -H -t -j -o -1 -s -h -N -d -L --all --stopped --name\n"
	"\t\t\t--no-header --no-trim --json --output --sort --hostname --name_filter "
	"--description\n"
	"\t\t\t--list --help'\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tlocal IFS=$'\\n'\n"
	"\t_croft_offer \"$(_croft_vpses -a)\"\n"
	"}\n"
	"\n"
	"_croft_vzps()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	"\n"
	"\tCOMPREPLY=()\n"
	"\tif [[ $prev == -E ]]; then\n"
	"\t\tlocal IFS=$'\\n'\n"
	"\t\t_croft_offer \"0\n$(_croft_vpses)\"\n"
	"\telif [[ $cur == -* ]]; then\n"
	"\t\t_croft_offer '-E -e -f -l -o --kernel --sort --forest --help'\n"
	"\tfi\n"
	"}\n"
	"\n"
	"_croft_vzubc()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	"\n"
	"\tCOMPREPLY=()\n"
	"\tcase $prev in\n"
	"\t-f) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
	"\t-rd|-id) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n"
	"\t-qh|-qm|-wn) return ;;\n"
	"\tesac\n"
	"\tif [[ $cur == -* ]]; then\n"
	"\t\t_croft_offer '-v -q -qh -qm -c -r -rc -rd -i -ic -id -w -wd -wt -wn -f --help'\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tlocal IFS=$'\\n'\n"
	"\t_croft_offer \"0\n$(_croft_vpses)\"\n"
	"}\n"
	"\n"
	"_croft_vzplan()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	"\n"
	"\tCOMPREPLY=()\n"
	"\tcase $prev in\n"
	"\t--add) ;;\n"
	"\t--sample) _croft_offer \"$(_croft_samples | _croft_plain)\" ;;\n"
	"\t--like)\n"
	"\t\tlocal IFS=$'\\n'\n"
	"\t\t_croft_offer \"$(_croft_vpses -a)\" ;;\n"
	"\t*) _croft_offer '--add --like --sample --json --help' ;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"_croft_vzmigrate()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} word hosts=0\n"
	"\n"
	"\tCOMPREPLY=()\n"
	"\tcase $prev in\n"
	"\t--mode) _croft_offer 'offline warm stop-and-copy pre-copy post-copy hybrid auto'; "
	"return ;;\n"
	"\t--fallback) _croft_offer warm; return ;;\n"
	"\t-r|--remove-area) _croft_offer 'yes no'; return ;;\n"
	"\t--transport-command) COMPREPLY=($(compgen -c -- \"$cur\")); return ;;\n"
	"\t--ssh|--new-id|--new-name|--limit-speed|--timeout) return ;;\n"
	"\tesac\n"
	"\tif [[ $cur == -* ]]; then\n"
	"\t\t_croft_offer '--online --noiter --mode --fallback --remove-area --keep-dst --dry-run "
	"--new-id "
	"--new-name\n"
	"\t\t\t--nostart --nodeps --limit-speed --compress --whole-file --timeout --ssh "
	"--transport-command --times\n"
	"\t\t\t--verbose --recover --ours --theirs --help'\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tfor word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
	"\t\t[[ $word == -* ]] || hosts=1\n"
	"\tdone\n"
	"\tif [ $hosts = 0 ]; then\n"
	"\t\tCOMPREPLY=($(compgen -A hostname -- \"$cur\"))\n"
	"\telse\n"
	"\t\tlocal IFS=$'\\n'\n"
	"\t\t_croft_offer \"$(_croft_vpses -a)\"\n"
	"\tfi\n"
	"}\n"
	"\n"
	"# vzcalc, vzcfgvalidate, vzmemcheck, vzoversell, vzsplit: letters, then a VPS, a file or "
	"nothing\n"
	"_croft_tool()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	"\n"
	"\tCOMPREPLY=()\n"
	"\tcase $1:$prev:$cur in\n"
	"\tvzcfgvalidate:-v:*|vzsplit:-v:*) _croft_offer 'yes no' ;;\n"
	"\tvzsplit:-?:*) ;;\n"
	"\tvzcalc:*:-*) _croft_offer '-v -h' ;;\n"
	"\tvzcfgvalidate:*:-*) _croft_offer '-r -i -v -h' ;;\n"
	"\tvzmemcheck:*) _croft_offer '-v -A -h' ;;\n"
	"\tvzsplit:*) _croft_offer '-n -f -s -v -h' ;;\n"
	"\tvzcalc:*)\n"
	"\t\tlocal IFS=$'\\n'\n"
	"\t\t_croft_offer \"$(_croft_vpses -a)\" ;;\n"
	"\t*) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"complete -F _croft_vzmigrate vzmigrate\n"
	"complete -F _croft_vzplan vzplan\n"
	"complete -F _croft_tool vzcalc vzcfgvalidate vzmemcheck vzoversell vzsplit\n"
	"complete -F _croft_vzubc vzubc\n"
	"complete -F _croft_vzctl vzctl\n"
	"complete -F _croft_vzlist vzlist\n"
	"complete -F _croft_vzps vzps\n"
	"complete -W '-v --help' vzcpucheck\n"
	"complete -W 'version caps criu dump --help' vzcptcheck\n"
	"complete -W 'get status remove --private --help' vzcriu\n";

static void bash_completion(FILE *f)
{
	fputs(bash_head, f);
	bash_options(f);
	fputs(bash_helpers, f);
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].option && !is(rows[i].option, "ostemplate"))
			bash_value(f, &rows[i]);
	fputs(bash_value_tail, f);
	fputs(bash_vzctl, f);
	fputs(bash_vzlist, f);
}

/* ---- the program ---- */

static const struct piece {
	const char *name;
	void (*print)(FILE *f);
	bool in_page; /* between marker lines of a manual page */
} pieces[] = {
	{ "man-ctid", man_ctid, true },
	{ "man-vz", man_vz, true },
	{ "bash", bash_completion, false },
	{ "json-schema", json_schema, false },
};

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t len = 0;

	if (!f)
		return NULL;
	if (getdelim(&text, &len, '\0', f) < 0 && !ferror(f)) {
		free(text);
		text = strdup("");
	}
	fclose(f);
	return text;
}

/* What FILE has to be: NULL when its markers are missing. */
static char *wanted(const struct piece *p, const char *old)
{
	char *text = NULL, mark[64];
	const char *begin = NULL, *end = NULL;
	size_t len = 0;
	FILE *f;

	if (p->in_page) {
		(void)snprintf(mark, sizeof(mark), ".\\\" BEGIN gen-params %s\n", p->name);
		begin = strstr(old, mark);
		end = begin ? strstr(begin, ".\\\" END gen-params\n") : NULL;
		if (!end)
			return NULL;
		begin += strlen(mark);
	}
	f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	if (begin)
		fwrite(old, 1, (size_t)(begin - old), f);
	p->print(f);
	if (end)
		fputs(end, f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int on_file(bool write, const struct piece *p, const char *path)
{
	char *old = slurp(path), *text = wanted(p, old ? old : "");
	int r = 0;

	if (!text) {
		fprintf(stderr, "gen-params: %s: no place for %s\n", path, p->name);
		r = 2;
	} else if (!old || !is(old, text)) {
		FILE *f = write ? fopen(path, "we") : NULL;

		if (!write)
			fprintf(stderr, "gen-params: %s is stale, see --write %s\n", path, p->name);
		if (f)
			fputs(text, f);
		r = !f || fclose(f) != 0; /* stale, or not written */
	}
	free(old);
	free(text);
	return r;
}

int main(int argc, char **argv)
{
	bool check = argc == 4 && is(argv[1], "--check");
	bool write = argc == 4 && is(argv[1], "--write");

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		if ((check || write) && is(argv[2], pieces[i].name))
			return on_file(write, &pieces[i], argv[3]);
		if (argc == 2 && is(argv[1], pieces[i].name)) {
			pieces[i].print(stdout);
			return fflush(stdout) == 0 ? 0 : 1;
		}
	}
	fputs("usage: gen-params [--check|--write] man-ctid|man-vz|bash|json-schema [FILE]\n",
	      stderr);
	return 2;
}
