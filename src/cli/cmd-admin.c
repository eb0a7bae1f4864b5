/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that change something. */
#include "cli/cli.h"

#include "ops/ubc.h"

#include "util/fd.h"
#include "util/parse.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* ---- start, stop, restart, mount, umount, destroy ---- */

struct run_args {
	struct op_start start;
	struct op_stop stop;
};

#define RUN(field) offsetof(struct run_args, field)
#define START_OPTS                                                                                      \
	{ "force", 0, CLI_FLAG, RUN(start.force), NULL, "start although DISABLED=yes" },                \
		{ "wait", 0, CLI_FLAG, RUN(start.wait), NULL, "until it has booted" },                  \
		{ "skip_ve_setup", 0, CLI_FLAG, RUN(start.skip_setup), NULL, "write no files inside" }, \
		{ "skip-remount",	   0,	 CLI_FLAG,                                              \
		  RUN(start.skip_remount), NULL, "keep an existing mount" },                            \
	{                                                                                               \
		"skip-fsck", 0, CLI_MORE, 0, NULL, ""                                                   \
	}
#define STOP_OPTS                                                                                  \
	{ "fast", 0, CLI_FLAG, RUN(stop.fast), NULL, "kill at once" },                             \
	{                                                                                          \
		"skip-umount", 0, CLI_FLAG, RUN(stop.skip_umount), NULL, "leave it mounted"        \
	}

static const struct cli_opt start_opts[] = { START_OPTS, { 0 } };
static const struct cli_opt stop_opts[] = { STOP_OPTS, { 0 } };
static const struct cli_opt restart_opts[] = { START_OPTS, STOP_OPTS, { 0 } };

static const struct cli_cmd *command(const char *name);

static int parse_run(const char *name, int argc, char **argv, struct run_args *a,
		     struct vz_error *err)
{
	int words;

	return cli_parse(command(name), argc, argv, a, NULL, NULL, &words, err);
}

static int cmd_start(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	struct run_args a = { 0 };
	int r = parse_run("start", argc, argv, &a, err);

	return r < 0 ? r : op_start(&c->env, c->ctid, &a.start, err);
}

static int cmd_stop(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	struct run_args a = { 0 };
	int r = parse_run("stop", argc, argv, &a, err);

	return r < 0 ? r : op_stop(&c->env, c->ctid, &a.stop, err);
}

static int cmd_restart(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	struct run_args a = { 0 };
	int r = parse_run("restart", argc, argv, &a, err);

	return r < 0 ? r : op_restart(&c->env, c->ctid, &a.start, &a.stop, err);
}

static int cmd_mount(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	struct run_args a;
	int r = parse_run("mount", argc, argv, &a, err);

	return r < 0 ? r : op_mount(&c->env, c->ctid, err);
}

static int cmd_umount(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	struct run_args a;
	int r = parse_run("umount", argc, argv, &a, err);

	return r < 0 ? r : op_umount(&c->env, c->ctid, err);
}

static int cmd_destroy(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	struct run_args a;
	int r = parse_run("destroy", argc, argv, &a, err);

	return r < 0 ? r : op_destroy(&c->env, c->ctid, err);
}

/* ---- suspend, resume ---- */

struct cpt_args {
	bool suspend, dump, kill, resume, undump;
	bool keep, skip_remount, skip_umount, skip_arpdetect, force;
	const char *dumpfile, *compress, *context, *flags;
};

#define CPT(field) offsetof(struct cpt_args, field)
#define CPT_OPTS                                                                                   \
	{ "dumpfile", 0, CLI_TEXT, CPT(dumpfile), "FILE", "instead of DUMPDIR/Dump.CTID" },        \
		{ "context", 0, CLI_TEXT, CPT(context), "N", "accepted, of no effect" },           \
		{ "flags", 0, CLI_TEXT, CPT(flags), "N", "accepted, of no effect" },               \
	{                                                                                          \
		"skip_arpdetect", 0, CLI_FLAG, CPT(skip_arpdetect), NULL, "accepted, of no effect" \
	}

static const struct cli_opt suspend_opts[] = {
	CPT_OPTS,
	{ "suspend", 0, CLI_FLAG, CPT(suspend), NULL, "freeze it, no more" },
	{ "dump", 0, CLI_FLAG, CPT(dump), NULL, "write the file of a frozen one" },
	{ "kill", 0, CLI_FLAG, CPT(kill), NULL, "kill a frozen one" },
	{ "resume", 0, CLI_FLAG, CPT(resume), NULL, "let a frozen one run again" },
	{ "compress", 0, CLI_TEXT, CPT(compress), "zstd[:N]", "compress the file" },
	{ "force", 0, CLI_FLAG, CPT(force), NULL, "although something stands in the way" },
	{ "skip-umount", 0, CLI_FLAG, CPT(skip_umount), NULL, "leave it mounted" },
	{ 0 },
};
static const struct cli_opt resume_opts[] = {
	CPT_OPTS,
	{ "undump", 0, CLI_FLAG, CPT(undump), NULL, "restore all, let nothing run yet" },
	{ "resume", 0, CLI_FLAG, CPT(resume), NULL, "let a restored one run" },
	{ "kill", 0, CLI_FLAG, CPT(kill), NULL, "kill a restored one that does not run yet" },
	{ "keep", 0, CLI_FLAG, CPT(keep), NULL, "leave the file" },
	{ "skip-remount", 0, CLI_FLAG, CPT(skip_remount), NULL, "keep an existing mount" },
	{ "skip-fsck", 0, CLI_MORE, 0, NULL, "" },
	{ 0 },
};

/* --context and --flags are numbers to a kernel that had checkpoints of its own. */
static int check_number(const char *option, const char *text, struct vz_error *err)
{
	uint64_t v;

	if (!text || vz_parse_u64(text, 0, UINT32_MAX, &v) == 0 || !strncmp(text, "0x", 2))
		return 0;
	return vz_fail(err, VZ_EXIT_USAGE, 0, "Bad value for --%s: \"%s\" (allowed: a number)",
		       option, text);
}

static int one_stage(const struct cpt_args *a, unsigned int all, unsigned int *ret,
		     struct vz_error *err)
{
	const struct {
		bool given;
		unsigned int stage;
	} stages[] = {
		{ a->suspend, OP_STAGE_FREEZE },
		{ a->dump, OP_STAGE_DUMP },
		{ a->kill, OP_STAGE_KILL },
		{ a->undump, OP_STAGE_UNDUMP },
		{ a->resume, all & OP_STAGE_UNDUMP ? OP_STAGE_GO : OP_STAGE_THAW },
	};
	unsigned int given = 0;
	int r = check_number("context", a->context, err);

	if (r == 0)
		r = check_number("flags", a->flags, err);
	if (r < 0)
		return r;
	*ret = all;
	for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++)
		if (stages[i].given) {
			*ret = stages[i].stage;
			given++;
		}
	if (given > 1)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "only one stage at a time");
	if (a->dumpfile && !*a->dumpfile)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "Bad value for --dumpfile: it is empty");
	return 0;
}

/* "zstd" or "zstd:1" to "zstd:19". */
static int compression(const char *text, int *ret, struct vz_error *err)
{
	uint64_t level = 3;

	if (!text || !strcmp(text, "none"))
		return 0;
	if (strncmp(text, "zstd", 4) != 0 ||
	    (text[4] && (text[4] != ':' || vz_parse_u64(text + 5, 1, 19, &level) < 0)))
		return vz_fail(err, VZ_EXIT_USAGE, 0,
			       "Bad value for --compress: \"%s\" (allowed: none, zstd, zstd:1 to "
			       "zstd:19)",
			       text);
	*ret = (int)level;
	return 0;
}

static int cmd_suspend(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	struct cpt_args a = { 0 };
	struct op_suspend op = { 0 };
	int words, r = cli_parse(command("suspend"), argc, argv, &a, NULL, NULL, &words, err);

	if (r == 0)
		r = one_stage(&a, OP_STAGE_FREEZE | OP_STAGE_DUMP | OP_STAGE_KILL, &op.stages, err);
	if (r == 0)
		r = compression(a.compress, &op.level, err);
	op.dumpfile = a.dumpfile;
	op.skip_umount = a.skip_umount;
	op.force = a.force;
	return r < 0 ? r : op_suspend(&c->env, c->ctid, &op, err);
}

static int cmd_resume(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	struct cpt_args a = { 0 };
	struct op_resume op = { 0 };
	int words, r = cli_parse(command("resume"), argc, argv, &a, NULL, NULL, &words, err);

	if (r == 0)
		r = one_stage(&a, OP_STAGE_UNDUMP | OP_STAGE_GO, &op.stages, err);
	op.dumpfile = a.dumpfile;
	op.keep = a.keep;
	op.skip_remount = a.skip_remount;
	return r < 0 ? r : op_resume(&c->env, c->ctid, &op, err);
}

/* ---- create ---- */

struct create_args {
	const char *sample;
};

static const struct cli_opt create_opts[] = {
	{ "config", 0, CLI_TEXT, offsetof(struct create_args, sample), "NAME",
	  "sample configuration" },
	{ 0 },
};

static int cmd_create(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	VPS_CONFIG struct vps_config extra = { 0 };
	VZ_FREE struct op_change *changes = NULL;
	struct create_args a = { 0 };
	struct op_create op = { .extra = &extra };
	size_t n = 0;
	int words, r = cli_parse(command("create"), argc, argv, &a, &changes, &n, &words, err);

	extra.ctid = c->ctid;
	for (size_t i = 0; r == 0 && i < n; i++) {
		enum vps_mode mode = changes[i].mode;

		if (mode == PM_SET && (vps_param(changes[i].id)->type == PT_DNS ||
				       vps_param(changes[i].id)->type == PT_SEARCH))
			mode = PM_ADD;
		if (mode == PM_DEL)
			r = vz_fail(err, VZ_EXIT_USAGE, 0,
				    "nothing can be removed from a VPS that is created");
		else
			r = vps_param_parse(&extra, changes[i].id, mode, changes[i].text, VS_CLI,
					    err);
		if (changes[i].id == VP_PHYSPAGES)
			op.ram_said = mode;
	}
	if (r < 0)
		return r;
	op.sample = a.sample;
	return op_create(&c->env, c->ctid, &op, err);
}

/* ---- set ---- */

struct set_args {
	struct op_set op;
	const char *setmode;
	const char *ifname, *mac, *host_ifname, *host_mac, *bridge, *mac_filter;
};

#define SET(field) offsetof(struct set_args, field)
static const struct cli_opt set_opts[] = {
	{ "save", 0, CLI_FLAG, SET(op.save), NULL, "keep it in the configuration" },
	{ "force", 0, CLI_FLAG, SET(op.force), NULL, "save whatever this host can do" },
	{ "setmode", 0, CLI_TEXT, SET(setmode), "restart|ignore", "for what needs a restart" },
	{ "reset_ub", 0, CLI_FLAG, SET(op.reset_ub), NULL,
	  "apply the limits of the configuration again" },
	{ "applyconfig", 0, CLI_TEXT, SET(op.applyconfig), "NAME", "merge a sample" },
	{ "userpasswd", 0, CLI_SECRET, SET(op.userpasswd), "USER:PASSWORD",
	  "set a password inside" },
	{ "ifname", 0, CLI_TEXT, SET(ifname), "IF", "the interface that the next five change" },
	{ "mac", 0, CLI_TEXT, SET(mac), "MAC", "" },
	{ "host_ifname", 0, CLI_TEXT, SET(host_ifname), "IF", "" },
	{ "host_mac", 0, CLI_TEXT, SET(host_mac), "MAC", "" },
	{ "bridge", 0, CLI_TEXT, SET(bridge), "BRIDGE", "" },
	{ "mac_filter", 0, CLI_TEXT, SET(mac_filter), "on|off", "" },
	{ "applyconfig_map", 0, CLI_MORE, 0, "NAME", "" },
	{ "skip_arpdetect", 0, CLI_MORE, 0, NULL, "" },
	{ "offline-resize", 0, CLI_MORE, 0, NULL, "" },
	{ 0 },
};

static int parse_setmode(struct set_args *a, struct vz_error *err)
{
	if (!a->setmode)
		return 0;
	if (!strcmp(a->setmode, "restart"))
		a->op.setmode = OP_SETMODE_RESTART;
	else if (!strcmp(a->setmode, "ignore"))
		a->op.setmode = OP_SETMODE_IGNORE;
	else
		return vz_fail(err, VZ_EXIT_VALUE, 0,
			       "Bad value for --setmode: \"%s\" (allowed: restart, ignore)",
			       a->setmode);
	return 0;
}

/* "00:18:51:00:00:01" */
static bool is_mac(const char *s)
{
	if (strlen(s) != 17)
		return false;
	for (int i = 0; i < 17; i++)
		if (i % 3 == 2 ? s[i] != ':' : !isxdigit((unsigned char)s[i]))
			return false;
	return true;
}

/* --ifname and the options that go with it, as one change of the NETIF row; text into @b. */
static int netif_change(const struct set_args *a, struct vz_buf *b, struct vz_error *err)
{
	const struct {
		const char *key, *value;
	} keys[] = { { "mac", a->mac },
		     { "host_ifname", a->host_ifname },
		     { "host_mac", a->host_mac },
		     { "bridge", a->bridge },
		     { "mac_filter", a->mac_filter } };
	bool any = false;

	vz_buf_fmt(b, "ifname=%s", a->ifname ? a->ifname : "");
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		const char *v = keys[i].value;

		if (!v)
			continue;
		any = true;
		if ((strstr(keys[i].key, "mac") == keys[i].key + strlen(keys[i].key) - 3 &&
		     !is_mac(v)) ||
		    (!strcmp(keys[i].key, "mac_filter") && strcmp(v, "on") != 0 &&
		     strcmp(v, "off") != 0) ||
		    strpbrk(v, ",; \"\n"))
			return vz_fail(err, VZ_EXIT_VALUE, 0, "Bad value for --%s: \"%s\"",
				       keys[i].key, v);
		vz_buf_fmt(b, ",%s=%s", keys[i].key, v);
	}
	if (any && !a->ifname)
		return vz_fail(err, VZ_EXIT_USAGE, 0,
			       "--mac, --host_ifname, --host_mac, --bridge and "
			       "--mac_filter need --ifname");
	return 0;
}

static int cmd_set(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	VZ_FREE struct op_change *changes = NULL;
	VZ_BUF struct vz_buf netif = { 0 };
	struct set_args a = { 0 };
	int words, r = cli_parse(command("set"), argc, argv, &a, &changes, &a.op.nchanges, &words,
				 err);

	if (r == 0)
		r = parse_setmode(&a, err);
	if (r == 0)
		r = netif_change(&a, &netif, err);
	if (r == 0 && a.ifname)
		r = cli_add_change(&changes, &a.op.nchanges, VP_NETIF, PM_EDIT, netif.s) < 0
			    ? vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "set")
			    : 0;
	a.op.changes = changes;
	return r < 0 ? r : op_set(&c->env, c->ctid, &a.op, err);
}

/* ---- the rest ---- */

static int cmd_runscript(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	int r;

	if (argc != 2)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "runscript needs exactly one file");
	r = op_seal(c->full_argv, err);
	if (r < 0)
		return r;
	return op_runscript(&c->env, c->ctid, argv[1], err);
}

static int cmd_reap(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	int r = op_after_end(c->ctid, false, err);

	(void)argc;
	(void)argv;
	op_ubc_node_idle(); /* who cleaned up before us may have thought that we still watch */
	return r;
}

/* For vz-node: whoever works on the VPS is given a while to end. */
static int cmd_stop_patient(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	const struct op_stop stop = { 0 };

	(void)argc;
	(void)argv;
	c->env.lock_wait_ms = 30000;
	return op_stop(&c->env, c->ctid, &stop, err);
}

static int cmd_suspend_patient(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	const struct op_suspend all = { .stages = OP_STAGE_FREEZE | OP_STAGE_DUMP | OP_STAGE_KILL };

	(void)argc;
	(void)argv;
	c->env.lock_wait_ms = 30000;
	return op_suspend(&c->env, c->ctid, &all, err);
}

static int cmd_reboot(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	(void)argc;
	(void)argv;
	return op_after_end(c->ctid, true, err);
}

static int cmd_in(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	int r;

	if (argc < 2)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "no command given");
	r = op_seal(c->full_argv, err);
	if (r < 0)
		return r;
	return op_on_root(c->ctid, argv + 1, err);
}

/* ubc-load, ubc-unload, ubc-status, ubc-reconcile: of the program that links libbpf; we become it. */
static int cmd_ubc(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	char path[PATH_MAX], *args[4] = { path, NULL, NULL, NULL };

	for (char *const *a = c->full_argv; *a && !args[1]; a++)
		if (!strncmp(*a, "ubc-", 4))
			args[1] = *a + 4;
	if (argc > 2)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "Invalid extra arguments");
	args[2] = argc == 2 ? argv[1] : NULL;
	(void)execv(vps_path(path, "%s/vz-ubc", vps_paths()->libexec), args);
	return vz_fail(err, VZ_EXIT_SYSTEM, errno, "run %s", path);
}

/* Run by vzmon, with the files that it keeps open as descriptors 3 and 4; CTID 0: those of the node. */
static int cmd_refresh(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	static const int fds[2] = { 3, 4 };
	bool given = argc > 1 && !strcmp(argv[1], "fds");

	if (c->ctid == 0)
		return op_ubc_refresh_node(given ? fds[0] : -1, op_ubc_net, err);
	return op_ubc_refresh(c->ctid, given ? fds : NULL, op_ubc_net, err);
}

/* Run by vzmon, with the files that it keeps open as descriptors 3 to 5. */
static int cmd_view(struct cli *c, int argc, char **argv, struct vz_error *err)
{
	static const int fds[OP_VIEW_FILES] = { 3, 4, 5 };

	if (argc != 2 || strcmp(argv[1], "fds") != 0)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "internal-view is vzmon's");
	return op_view_refresh(c->ctid, fds, err);
}

static const struct cli_cmd commands[] = {
	{ "create", cmd_create, create_opts, "",
	  CLI_CTID | CLI_NEW | CLI_PARAMS | CLI_BAD_OPTION_21, "make a VPS from a template" },
	{ "destroy", cmd_destroy, NULL, "", CLI_CTID, "remove a VPS and its files" },
	{ "delete", cmd_destroy, NULL, "", CLI_CTID, "same as destroy" },
	{ "mount", cmd_mount, NULL, "", CLI_CTID, "mount its file system" },
	{ "umount", cmd_umount, NULL, "", CLI_CTID, "unmount it" },
	{ "start", cmd_start, start_opts, "", CLI_CTID, "mount and boot" },
	{ "stop", cmd_stop, stop_opts, "", CLI_CTID, "shut down" },
	{ "suspend", cmd_suspend, suspend_opts, "", CLI_CTID, "freeze it into a file" },
	{ "chkpnt", cmd_suspend, suspend_opts, "", CLI_CTID, "same as suspend" },
	{ "resume", cmd_resume, resume_opts, "", CLI_CTID, "let it go on from the file" },
	{ "restore", cmd_resume, resume_opts, "", CLI_CTID, "same as resume" },
	{ "restart", cmd_restart, restart_opts, "", CLI_CTID, "stop, then start" },
	{ "set", cmd_set, set_opts, "[PARAMETERS]",
	  CLI_CTID | CLI_ZERO | CLI_PARAMS | CLI_BAD_OPTION_21, "change parameters" },
	{ "runscript", cmd_runscript, NULL, "<file>", CLI_CTID, "run a script of the host inside" },
	{ "ubc-load", cmd_ubc, NULL, "[--again]", CLI_RAW, "load what counts by BPF" },
	{ "ubc-unload", cmd_ubc, NULL, "[--force]", CLI_RAW, "take it away" },
	{ "ubc-status", cmd_ubc, NULL, "[--json]", CLI_RAW, "what was proved on this node" },
	{ "ubc-reconcile", cmd_ubc, NULL, "", CLI_RAW, "compare the counts with what is there" },
	{ "internal-stop", cmd_stop_patient, NULL, "", CLI_CTID | CLI_HIDDEN, "" },
	{ "internal-suspend", cmd_suspend_patient, NULL, "", CLI_CTID | CLI_HIDDEN, "" },
	{ "internal-reap", cmd_reap, NULL, "", CLI_CTID | CLI_HIDDEN, "" },
	{ "internal-reboot", cmd_reboot, NULL, "", CLI_CTID | CLI_HIDDEN, "" },
	{ "internal-ubc", cmd_refresh, NULL, "", CLI_CTID | CLI_ZERO | CLI_WORDS | CLI_HIDDEN, "" },
	{ "internal-view", cmd_view, NULL, "", CLI_CTID | CLI_WORDS | CLI_HIDDEN, "" },
	{ "internal-in", cmd_in, NULL, "", CLI_CTID | CLI_RAW | CLI_HIDDEN, "" },
	{ 0 },
};

static const struct cli_cmd *command(const char *name)
{
	const struct cli_cmd *c = commands;

	while (c->name && strcmp(c->name, name) != 0)
		c++;
	return c;
}

const struct cli_cmd *cli_admin_commands(void)
{
	return commands;
}
