/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vzctl failures: why did something fail in this VPS. */
#include "cli/cli.h"

#include "ops/ubc.h"
#include "util/json.h"
#include "util/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

enum {
	LOOK_MS = 500
}; /* nobody tells us: the programs in the kernel write memory and wake no one */

struct args {
	bool follow, json;
};

static json_t *as_json(const struct ubc_refusal *r)
{
	return json_pack("{sI sf ss sI sI sI si so}", "seq", (json_int_t)r->seq, "time",
			 op_refusal_time(r->time_ns), "counter",
			 ubc_name((enum ubc_counter)r->counter), "held", (json_int_t)r->held,
			 "limit", (json_int_t)(r->limit > INT64_MAX ? INT64_MAX : r->limit),
			 "asked", (json_int_t)r->asked, "pid", (int)r->pid, "command",
			 vz_json_text(r->comm));
}

/* With --follow an object a line, else one array. Return: 0 or -EIO. */
static int print(const struct args *a, const struct ubc_refusal *r, size_t n)
{
	VZ_JSON json_t *all = a->json && !a->follow ? json_array() : NULL;
	VZ_BUF struct vz_buf b = { 0 };

	for (size_t i = 0; i < n; i++) {
		VZ_JSON json_t *one = a->json ? as_json(&r[i]) : NULL;
		char *text;

		if (!a->json) {
			op_refusal_text(&b, &r[i]);
			continue;
		}
		if (all) {
			(void)json_array_append(all, one);
			continue;
		}
		text = json_dumps(one, JSON_ENSURE_ASCII);
		vz_buf_fmt(&b, "%s\n", text ? text : "");
		free(text);
	}
	if (all) {
		char *text = json_dumps(all, JSON_INDENT(2) | JSON_ENSURE_ASCII);

		vz_buf_fmt(&b, "%s\n", text ? text : "");
		free(text);
	}
	if (b.len)
		(void)fwrite(b.s, 1, b.len, stdout);
	return b.failed || fflush(stdout) != 0 ? -EIO : 0;
}

/* What groups counted becomes a record by our looking at it. Return: 1; 0 it does not run; -errno. */
static int look(uint32_t ctid, uint64_t *after, struct ubc_refusal ret[UBC_RING], size_t *ret_n,
		struct vz_error *err)
{
	const uint32_t by_groups = OP_UBC_BIT(UBC_NUMPROC) | OP_UBC_BIT(UBC_PHYSPAGES) |
				   OP_UBC_BIT(UBC_SWAPPAGES) | OP_UBC_BIT(UBC_OOMGUARPAGES);
	OP_UBC_READER struct op_ubc_reader rd;
	struct op_ubc u;
	struct ubc_slot *slot;
	int r;

	*ret_n = 0;
	op_ubc_open(&rd, true, NULL);
	r = op_ubc_of(&rd, ctid, by_groups, &u, err);
	slot = r > 0 && rd.table ? ubc_slot(rd.table, ctid) : NULL;
	if (slot)
		*ret_n = ubc_refusals(slot, *after, ret);
	if (*ret_n)
		*after = ret[*ret_n - 1].seq;
	return r;
}

static int cmd_failures(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	struct ubc_refusal refusals[UBC_RING];
	struct args a = { 0 };
	uint64_t after = 0;
	int words, r;
	size_t n;

	r = cli_parse(cli_ubc_commands(), argc, argv, &a, NULL, NULL, &words, err);
	if (r < 0)
		return r;
	r = look(c->ctid, &after, refusals, &n, err);
	if (r == 0)
		return vz_fail(err, VZ_EXIT_NOT_RUNNING, 0, "Container is not running");
	while (r > 0) {
		r = print(&a, refusals, n);
		if (r < 0)
			return vz_fail(err, VZ_EXIT_SYSTEM, -r, "write");
		if (!a.follow)
			return 0;
		(void)poll(NULL, 0, LOOK_MS);
		r = look(c->ctid, &after, refusals, &n, err);
	}
	return r; /* 0: it was stopped, and so ends what there is to follow */
}

const struct cli_cmd *cli_ubc_commands(void)
{
	static const struct cli_opt options[] = {
		{ "follow", 'f', CLI_FLAG, offsetof(struct args, follow), NULL, "wait for more" },
		{ "json", 'j', CLI_FLAG, offsetof(struct args, json), NULL, "JSON" },
		{ 0 },
	};
	static const struct cli_cmd commands[] = {
		{ "failures", cmd_failures, options, "", CLI_CTID,
		  "what was refused inside, and to whom" },
		{ 0 },
	};

	return commands;
}
