/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vzctl checkpoint-check: what would stand in the way of a checkpoint, and how long would it take. */
#include "cli/cli.h"

#include "ops/precheck.h"
#include "util/json.h"
#include "util/parse.h"
#include "util/str.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { LOOK_MS = 1000, LOOK_MAX_S = 60 };

struct args {
	bool json;
	const char *bandwidth, *time;
};

static json_t *number_or_null(bool known, uint64_t v)
{
	return known ? json_integer((json_int_t)v) : json_null();
}

static json_t *finding(const struct cpt_finding *f)
{
	return json_pack("{ss sb si si so so ss}", "kind", cpt_kind_name(f->kind), "blocker",
			 f->blocker, "pid", (int)f->pid_inside, "node_pid", (int)f->pid, "command",
			 vz_json_text(f->comm), "object", vz_json_text(f->object), "text",
			 cpt_kind_text(f->kind));
}

static int print_json(uint32_t ctid, const struct op_precheck *p)
{
	VZ_JSON json_t *list = json_array();
	VZ_JSON json_t *all = NULL;
	bool rounds = p->tracked && p->rate;

	for (size_t i = 0; i < p->found.n; i++)
		(void)json_array_append_new(list, finding(&p->found.v[i]));
	all = json_pack("{si sI sb sI sI sI sI sI so so so so so sO}", "schema", 1, "ctid",
			(json_int_t)ctid, "possible", p->found.blockers == 0, "blockers",
			(json_int_t)p->found.blockers, "warnings", (json_int_t)p->found.warnings,
			"processes", (json_int_t)p->load.processes, "outsiders",
			(json_int_t)p->load.outsiders, "memory_bytes",
			(json_int_t)p->load.memory_bytes, "bandwidth_bytes_per_s",
			number_or_null(p->rate, p->rate), "dirty_bytes_per_s",
			number_or_null(p->tracked, p->dirty), "frozen_ms",
			number_or_null(p->rate, p->frozen_ms), "frozen_after_rounds_ms",
			number_or_null(rounds, p->rounds_ms), "rounds",
			number_or_null(rounds, p->rounds), "findings", list);
	if (!all || json_dumpf(all, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) < 0)
		return -EIO;
	return printf("\n") < 0 || fflush(stdout) != 0 ? -EIO : 0;
}

static const char *size(char *ret, size_t room, uint64_t bytes)
{
	static const char units[] = "KMGTP";
	double v = (double)bytes / 1024;
	size_t u = 0;

	while (v >= 1024 && u + 2 < sizeof(units)) {
		v /= 1024;
		u++;
	}
	(void)snprintf(ret, room, "%.1f %ciB", v, units[u]);
	return ret;
}

static void print_finding(const struct cpt_finding *f)
{
	char comm[80], object[400];

	printf("  %s: %s (process %d inside, %d on the node): %s%s%s\n",
	       f->blocker ? "blocker" : "warning", vz_quote(comm, sizeof(comm), f->comm),
	       (int)f->pid_inside, (int)f->pid, cpt_kind_text(f->kind), f->object[0] ? ": " : "",
	       vz_quote(object, sizeof(object), f->object));
}

static int print_text(uint32_t ctid, const struct op_precheck *p)
{
	char a[32], b[32];

	printf("VPS %" PRIu32 ": %zu processes, %s of memory\n", ctid, p->load.processes,
	       size(a, sizeof(a), p->load.memory_bytes));
	for (size_t i = 0; i < p->found.n; i++)
		print_finding(&p->found.v[i]);
	if (p->found.blockers + p->found.warnings > p->found.n)
		printf("  and %zu more\n", p->found.blockers + p->found.warnings - p->found.n);
	if (p->tracked)
		printf("It writes to %s of its memory a second\n", size(a, sizeof(a), p->dirty));
	else
		printf("What it writes to is not known: this kernel does not track it, or nobody "
		       "looked\n");
	if (p->rate)
		printf("Frozen for about %" PRIu64 " ms, with all memory copied at %s a second\n",
		       p->frozen_ms, size(b, sizeof(b), p->rate));
	if (p->rate && p->tracked)
		printf("Frozen for about %" PRIu64 " ms after %u round(s) that copy it before\n",
		       p->rounds_ms, p->rounds);
	return ferror(stdout) || fflush(stdout) != 0 ? -EIO : 0;
}

/* Options to numbers. Return: 0; -EINVAL with @err, exit 20. */
static int read_args(const struct args *a, uint64_t *ret_rate, unsigned int *ret_ms,
		     struct vz_error *err)
{
	uint64_t seconds;

	*ret_rate = 0;
	*ret_ms = LOOK_MS;
	if (a->bandwidth && (vz_parse_size(a->bandwidth, 1, ret_rate) < 0 || *ret_rate < 1024))
		return vz_fail(
			err, VZ_EXIT_USAGE, 0,
			"--bandwidth %s: bytes a second, with a suffix K, M or G, at least 1K",
			a->bandwidth);
	if (a->time) {
		if (vz_parse_u64(a->time, 0, LOOK_MAX_S, &seconds) < 0)
			return vz_fail(err, VZ_EXIT_USAGE, 0, "--time %s: seconds from 0 to %d",
				       a->time, LOOK_MAX_S);
		*ret_ms = (unsigned int)seconds * 1000;
	}
	return 0;
}

static int cmd_precheck(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	static struct op_precheck p;
	struct args a = { 0 };
	unsigned int look_ms;
	uint64_t rate;
	int words, r = cli_parse(cli_precheck_commands(), argc, argv, &a, NULL, NULL, &words, err);

	if (r == 0)
		r = read_args(&a, &rate, &look_ms, err);
	if (r == 0)
		r = op_precheck(&c->env, c->ctid, rate, look_ms, &p, err);
	if (r < 0)
		return r;
	r = a.json ? print_json(c->ctid, &p) : print_text(c->ctid, &p);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "write");
	if (p.found.blockers)
		return vz_fail(err, VZ_EXIT_CHKPNT, 0,
			       "VPS %" PRIu32
			       " cannot be checkpointed now: %zu object(s) in the way",
			       c->ctid, p.found.blockers);
	return 0;
}

const struct cli_cmd *cli_precheck_commands(void)
{
	static const struct cli_opt options[] = {
		{ "json", 'j', CLI_FLAG, offsetof(struct args, json), NULL, "JSON" },
		{ "bandwidth", 0, CLI_TEXT, offsetof(struct args, bandwidth), "RATE",
		  "bytes a second that memory leaves with; default: as DUMPDIR takes them" },
		{ "time", 0, CLI_TEXT, offsetof(struct args, time), "SECONDS",
		  "how long to look at what is written to; 0: not at all" },
		{ 0 },
	};
	static const struct cli_cmd commands[] = {
		{ "checkpoint-check", cmd_precheck, options, "", CLI_CTID | CLI_SILENT,
		  "what stands in the way of a checkpoint, and how long would it take" },
		{ 0 },
	};

	return commands;
}
