/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the node would have to give if there were N more VPSes like one. */
#include "cli/tool.h"

#include "ops/plan.h"
#include "util/fd.h"
#include "util/json.h"
#include "util/parse.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct tool tool = {
	"vzplan", "Usage: vzplan [--add N] --like CTID|NAME | --sample SAMPLE [--json]\n"
		  "  --add N          how many more, 1 if absent\n"
		  "  --like CTID      as this VPS is\n"
		  "  --sample SAMPLE  as a VPS of this sample would be\n"
		  "  --json           JSON\n"
};

enum { MOST = 1000000, FITS = 0, FITS_BY_PEAK = 2, FITS_NOT = 3 };

/** struct view - limits or peaks: of all VPSes, of one more, and together */
struct view {
	bool known; /* peaks of a VPS that does not run are not */
	struct plan_use now, one, more, together;
	uint64_t room; /* how many more fit beside those there are */
	const char *by; /* what there is least of */
};

struct plan {
	struct plan_node node;
	struct plan_use whole;
	uint64_t add;
	const char *like, *sample;
	bool json;
	size_t vpses, running;
	struct plan_vps model;
	struct view limits, peaks;
};

/* ---- what there is ---- */

static int load_sample(struct plan *p)
{
	VPS_CONFIG struct vps_config c = { 0 };
	struct vz_error err;
	char path[PATH_MAX], shown[128];
	int r;

	if (vps_param_parse(&c, VP_CONFIGFILE, PM_SET, p->sample, VS_CLI, &err) < 0)
		return tool_fail(&tool, "bad value for --sample: \"%s\" (allowed: a file name)",
				 vz_quote(shown, sizeof(shown), p->sample));
	(void)vps_path(path, "%s/ve-%s.conf-sample", vps_paths()->conf, p->sample);
	r = vps_load_file(&c, path, VS_VPS, NULL);
	if (r != 0)
		return tool_fail(&tool, "sample %s %s", path,
				 r < 0 ? strerror(-r) : "has bad lines");
	vps_imply(&c);
	plan_limits(&c, &p->model);
	return 0;
}

static int load_model(struct plan *p)
{
	VPS_CONFIG struct vps_config global = { 0 };
	struct vz_error err;
	uint32_t ctid;

	if (p->sample)
		return load_sample(p);
	if (tool_ctid(&tool, p->like, &ctid))
		return 1;
	if (vps_load_global(&global, &err) < 0)
		return tool_fail(&tool, "%s", err.msg);
	if (op_plan_vps(ctid, &global, &p->model) < 0)
		return tool_fail(&tool, "there is no VPS %u", ctid);
	return 0;
}

static void finish(struct plan *p, struct view *v)
{
	v->more = plan_use_add((struct plan_use){ 0 }, v->one, p->add);
	v->together = plan_use_add(v->now, v->more, 1);
	v->room = plan_room(&p->node, v->now, v->one, &v->by);
}

static int compute(struct plan *p)
{
	VZ_FREE struct plan_vps *all = NULL;
	struct vz_error err;
	ssize_t n = op_plan_all(&all, &err);

	if (n < 0)
		return tool_fail(&tool, "%s", err.msg);
	if (load_model(p))
		return 1;
	p->whole = plan_use_node(&p->node);
	p->vpses = (size_t)n;
	for (ssize_t i = 0; i < n; i++) {
		p->limits.now = plan_use_add(p->limits.now, plan_use_limit(&all[i], &p->node), 1);
		if (!all[i].running)
			continue;
		p->running++;
		p->peaks.now = plan_use_add(p->peaks.now, plan_use_peak(&all[i]), 1);
	}
	p->limits.known = true;
	p->limits.one = plan_use_limit(&p->model, &p->node);
	p->peaks.known = p->model.running;
	p->peaks.one = plan_use_peak(&p->model);
	finish(p, &p->limits);
	finish(p, &p->peaks);
	return 0;
}

static int verdict(const struct plan *p)
{
	if (p->add <= p->limits.room)
		return FITS;
	return p->peaks.known && p->add <= p->peaks.room ? FITS_BY_PEAK : FITS_NOT;
}

/* ---- as text ---- */

static double percent(uint64_t v, uint64_t whole)
{
	return whole ? (double)v / (double)whole * 100 : 0;
}

/* "@before @n @after" as the title. */
static void line(const struct plan *p, const char *before, size_t n, const char *after,
		 const struct plan_use *u)
{
	char text[64], a[16], b[16];

	(void)snprintf(text, sizeof(text), "%s%zu%s", before, n, after);
	(void)printf("%-28s %7s %5.0f%% %9s %5.0f%% %10" PRIu64 " %5.0f%%\n", text,
		     tool_size(a, u->ram_bytes, 1), percent(u->ram_bytes, p->whole.ram_bytes),
		     tool_size(b, u->memswap_bytes, 1),
		     percent(u->memswap_bytes, p->whole.memswap_bytes), u->procs,
		     percent(u->procs, p->whole.procs));
}

static void fit(const struct plan *p, const char *by, const struct view *v)
{
	if (!v->known)
		(void)printf("By %s: not known, VPS %u does not run.\n", by, p->model.ctid);
	else if (v->room == UINT64_MAX)
		(void)printf("By %s: fits, it takes nothing.\n", by);
	else
		(void)printf("By %s: %s, there is %s for %" PRIu64 " more.\n", by,
			     p->add <= v->room ? "fits" : "does not fit", v->by, v->room);
}

static void print_text(const struct plan *p)
{
	(void)printf("%-28s %7s %6s %9s %6s %10s\n", "", "RAM", "", "RAM+swap", "", "processes");
	line(p, "node with ", p->vpses, " VPSes", &p->whole);
	line(p, "their limits, ", p->vpses, "", &p->limits.now);
	line(p, "  and ", p->add, " more", &p->limits.together);
	line(p, "peaks of those that run, ", p->running, "", &p->peaks.now);
	if (p->peaks.known)
		line(p, "  and ", p->add, " more", &p->peaks.together);
	(void)putchar('\n');
	fit(p, "limits", &p->limits);
	if (!p->sample)
		fit(p, "peaks", &p->peaks);
}

/* ---- as JSON ---- */

static json_t *number(uint64_t v)
{
	return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

static json_t *use(const struct plan_use *u)
{
	return json_pack("{so so so}", "ram", number(u->ram_bytes), "ram_swap",
			 number(u->memswap_bytes), "processes", number(u->procs));
}

/* Of one VPS and of all together there is nothing to tell if its peaks are not known. */
static json_t *view(const struct view *v, uint64_t add)
{
	return json_pack("{so so so so so so}", "now", use(&v->now), "one",
			 v->known ? use(&v->one) : json_null(), "together",
			 v->known ? use(&v->together) : json_null(), "room",
			 v->known ? number(v->room) : json_null(), "scarce",
			 v->known ? json_string(v->by) : json_null(), "fits",
			 v->known ? json_boolean(add <= v->room) : json_null());
}

static int print_json(const struct plan *p)
{
	VZ_JSON json_t *j =
		json_pack("{si so so so so so so so}", "schema", 1, "add", number(p->add), "like",
			  p->sample ? json_null() : number(p->model.ctid), "sample",
			  p->sample ? vz_json_text(p->sample) : json_null(), "node", use(&p->whole),
			  "vpses", number(p->vpses), "limits", view(&p->limits, p->add), "peaks",
			  view(&p->peaks, p->add));

	if (!j || json_object_set_new(j, "running", number(p->running)) < 0)
		return tool_fail(&tool, "out of memory");
	(void)json_dumpf(j, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
	(void)putchar('\n');
	return 0;
}

/* ---- the program ---- */

static const struct option options[] = {
	{ "add", required_argument, NULL, 'a' },    { "like", required_argument, NULL, 'l' },
	{ "sample", required_argument, NULL, 's' }, { "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },	    { 0 },
};

/* Return: -1 to go on, else the exit status. */
static int take_argv(struct plan *p, int argc, char **argv)
{
	const char *add = "1";
	char shown[128];
	int opt;

	while ((opt = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
		if (opt == 'a')
			add = optarg;
		else if (opt == 'l')
			p->like = optarg;
		else if (opt == 's')
			p->sample = optarg;
		else if (opt == 'j')
			p->json = true;
		else
			return tool_usage(&tool, opt != 'h');
	}
	if (optind != argc || !p->like == !p->sample)
		return tool_usage(&tool, 1);
	if (vz_parse_u64(add, 1, MOST, &p->add) < 0)
		return tool_fail(&tool, "bad value for --add: \"%s\" (allowed: 1 to %d)",
				 vz_quote(shown, sizeof(shown), add), MOST);
	return -1;
}

int main(int argc, char **argv)
{
	static struct plan p;
	int r;

	tool_start(&tool);
	r = take_argv(&p, argc, argv);
	if (r >= 0)
		return r;
	if (tool_root() || tool_node(&tool, &p.node) || compute(&p))
		return 1;
	if (p.json && print_json(&p))
		return 1;
	if (!p.json)
		print_text(&p);
	return tool_done(&tool, verdict(&p));
}
