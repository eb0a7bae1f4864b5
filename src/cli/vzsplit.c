/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A sample for one of N equal VPSes. */
#include "cli/tool.h"

#include "util/fd.h"
#include "util/parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

static const struct tool tool = { "vzsplit",
				  "Usage: vzsplit [-n N] [-f NAME] [-s KIB] [-v yes|no]\n"
				  "  -n  how many VPSes; asked for if absent\n"
				  "  -f  make the sample NAME instead of printing it\n"
				  "  -s  count with so much swap\n"
				  "  -v  limit RAM and swap (default), or each beancounter\n" };

enum { MOST = 1000000 };

struct wish {
	const char *name, *swap_kib, *number, *vswap;
	uint64_t n;
	bool legacy;
};

static const struct {
	const char *title;
	enum vps_param_id first, last;
} sections[] = {
	{ "Beancounters", VP_KMEMSIZE, VP_SWAPPAGES },
	{ "Disk", VP_DISKSPACE, VP_DISKINODES },
	{ "CPU", VP_CPUUNITS, VP_CPUUNITS },
};

static void write_rows(struct vz_buf *b, const struct vps_config *c)
{
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		vz_buf_fmt(b, "\n# %s\n", sections[i].title);
		for (int id = (int)sections[i].first; id <= (int)sections[i].last; id++) {
			VZ_FREE char *text = NULL;

			if (!vps_is_set(c, (enum vps_param_id)id))
				continue;
			text = vps_param_print(c, (enum vps_param_id)id);
			b->failed = b->failed || !text;
			vz_buf_fmt(b, "%s=\"%s\"\n", vps_param((enum vps_param_id)id)->key,
				   text ? text : "");
		}
	}
}

static void write_head(struct vz_buf *b, const struct plan_node *node, uint64_t n,
		       enum plan_level level)
{
	vz_buf_fmt(b,
		   "# Made by vzsplit for %" PRIu64 " VPSes\n"
		   "# on a node with %" PRIu64 " MiB of RAM,\n"
		   "# %" PRIu64 " MiB of low memory, %" PRIu64 " MiB of swap, %" PRIu64
		   " threads at most.\n"
		   "# Commit level %d:\n# %s\n",
		   n, node->ram_bytes >> 20, node->lowmem_bytes >> 20, node->swap_bytes >> 20,
		   node->threads, (int)level, plan_level_text(level));
}

/* The file system for private areas; what cannot be told is 0 and gives no limit. */
static struct plan_disk disk_of_node(void)
{
	VPS_CONFIG struct vps_config c = { 0 };
	struct vz_error err;
	struct statvfs st;
	char *cut = NULL;

	if (vps_load_global(&c, &err) == 0 && c.ve_private)
		cut = strstr(c.ve_private, "/$");
	if (cut)
		*cut = '\0';
	if ((!cut || statvfs(c.ve_private, &st) < 0) && statvfs(vps_paths()->vzdir, &st) < 0)
		return (struct plan_disk){ 0, 0 };
	return (struct plan_disk){ st.f_blocks * (st.f_frsize / 512) / 2, st.f_files };
}

static int ask(struct wish *w)
{
	static char line[64];

	(void)fputs("Number of VPSes: ", stdout);
	(void)fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return tool_fail(&tool, "no number was given");
	line[strcspn(line, "\n")] = '\0';
	w->number = line;
	return 0;
}

static int numbers(struct wish *w, struct plan_node *node)
{
	char shown[128];
	uint64_t kib;
	bool vswap;

	if (w->vswap && vz_parse_bool(w->vswap, &vswap) < 0)
		return tool_fail(&tool, "bad value for -v: \"%s\" (allowed: yes, no)",
				 vz_quote(shown, sizeof(shown), w->vswap));
	w->legacy = w->vswap && !vswap;
	if (!w->number && ask(w))
		return 1;
	if (vz_parse_u64(w->number, 1, MOST, &w->n) < 0)
		return tool_fail(&tool, "bad number of VPSes: \"%s\" (allowed: 1 to %d)",
				 vz_quote(shown, sizeof(shown), w->number), MOST);
	if (!w->swap_kib)
		return 0;
	if (vz_parse_u64(w->swap_kib, 0, INT64_MAX / 4096, &kib) < 0)
		return tool_fail(&tool, "bad value for -s: \"%s\" (allowed: KiB)",
				 vz_quote(shown, sizeof(shown), w->swap_kib));
	node->swap_bytes = kib * 1024;
	return 0;
}

/* Where -f writes; the name is checked as that of --config is. */
static int sample_path(const char *name, char path[PATH_MAX])
{
	VPS_CONFIG struct vps_config c = { 0 };
	struct vz_error err;
	char shown[128];

	if (vps_param_parse(&c, VP_CONFIGFILE, PM_SET, name, VS_CLI, &err) < 0)
		return tool_fail(&tool, "bad value for -f: \"%s\" (allowed: a file name)",
				 vz_quote(shown, sizeof(shown), name));
	(void)vps_path(path, "%s/ve-%s.conf-sample", vps_paths()->conf, name);
	if (access(path, F_OK) == 0)
		return tool_fail(&tool, "%s exists", path);
	return 0;
}

static int give(const char *path, const struct vz_buf *b)
{
	int r;

	if (b->failed)
		return tool_fail(&tool, "out of memory");
	if (!path) {
		(void)fwrite(b->s, 1, b->len, stdout);
		return 0;
	}
	r = vz_write_atomic(path, b->s, b->len, 0644);
	if (r < 0)
		return tool_fail(&tool, "%s cannot be written: %s", path, strerror(-r));
	(void)fprintf(stderr, "Config %s was created\n", path);
	return 0;
}

static int split(struct wish *w)
{
	VPS_CONFIG struct vps_config c = { 0 };
	VZ_BUF struct vz_buf b = { 0 };
	enum plan_level level = PLAN_FREE;
	struct plan_disk disk = disk_of_node();
	struct plan_node node;
	struct vz_error err;
	char path[PATH_MAX];

	if (w->name && sample_path(w->name, path))
		return 1;
	if (tool_node(&tool, &node) || numbers(w, &node))
		return 1;
	if (plan_split(&node, &disk, w->n, !w->legacy, &c, &level, &err) < 0)
		return tool_fail(&tool, "%s", err.msg);
	write_head(&b, &node, w->n, level);
	write_rows(&b, &c);
	return give(w->name ? path : NULL, &b);
}

int main(int argc, char **argv)
{
	struct wish w = { 0 };
	int opt;

	tool_start(&tool);
	while ((opt = getopt(argc, argv, "n:f:s:v:h")) != -1) {
		if (opt == 'n')
			w.number = optarg;
		else if (opt == 'f')
			w.name = optarg;
		else if (opt == 's')
			w.swap_kib = optarg;
		else if (opt == 'v')
			w.vswap = optarg;
		else
			return tool_usage(&tool, opt != 'h');
	}
	if (optind != argc)
		return tool_usage(&tool, 1);
	return tool_done(&tool, split(&w));
}
