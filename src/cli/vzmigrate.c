/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moving VPSes to another node; vzmigrate(8). */
#include "ops/migrate.h"

#include "util/fd.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/proc.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum {
	OPT_SSH = 256,
	OPT_RSYNC,
	OPT_IGNORED,
	OPT_KEEP_DST,
	OPT_ONLINE,
	OPT_NOITER,
	OPT_MODE,
	OPT_FALLBACK,
	OPT_DRY_RUN,
	OPT_NEW_ID,
	OPT_NEW_NAME,
	OPT_NOSTART,
	OPT_LIMIT,
	OPT_COMPRESS,
	OPT_TRANSPORT,
	OPT_TIMEOUT,
	OPT_RECOVER,
	OPT_OURS,
	OPT_THEIRS,
	OPT_RECEIVE,
	OPT_HELP,
};

static const struct option options[] = {
	{ "remove-area", required_argument, NULL, 'r' },
	{ "ssh", required_argument, NULL, OPT_SSH },
	{ "ssh-mux", no_argument, NULL, OPT_IGNORED },
	{ "rsync", required_argument, NULL, OPT_RSYNC },
	{ "keep-dst", no_argument, NULL, OPT_KEEP_DST },
	{ "live", no_argument, NULL, OPT_ONLINE },
	{ "online", no_argument, NULL, OPT_ONLINE },
	{ "noiter", no_argument, NULL, OPT_NOITER },
	{ "mode", required_argument, NULL, OPT_MODE },
	{ "fallback", required_argument, NULL, OPT_FALLBACK },
	{ "compact", no_argument, NULL, OPT_IGNORED },
	{ "snapshot", no_argument, NULL, OPT_IGNORED },
	{ "check-only", no_argument, NULL, OPT_DRY_RUN },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "nodeps", optional_argument, NULL, 'f' },
	{ "times", no_argument, NULL, 't' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "new-id", required_argument, NULL, OPT_NEW_ID },
	{ "new-name", required_argument, NULL, OPT_NEW_NAME },
	{ "nostart", no_argument, NULL, OPT_NOSTART },
	{ "limit-speed", required_argument, NULL, OPT_LIMIT },
	{ "compress", no_argument, NULL, OPT_COMPRESS },
	{ "whole-file", no_argument, NULL, 'W' },
	{ "transport-command", required_argument, NULL, OPT_TRANSPORT },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "recover", no_argument, NULL, OPT_RECOVER },
	{ "ours", no_argument, NULL, OPT_OURS },
	{ "theirs", no_argument, NULL, OPT_THEIRS },
	{ "receive", no_argument, NULL, OPT_RECEIVE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

/** struct cli - what the command line says */
struct cli {
	struct op_migrate a;
	const char *ssh;
	int verbose;
	bool recover, receive, both; /* --ours and --theirs */
	enum op_recover how;
};

static int usage(FILE *to, int rc)
{
	(void)fputs(
		"Usage: vzmigrate [OPTIONS] [USER@]HOST CTID|NAME[:NEWID] ...\n"
		"       vzmigrate --recover [CTID ...]\n"
		"       vzmigrate --recover --ours|--theirs CTID ...\n\n"
		"  --online, --live          with its memory, while it runs: --mode auto\n"
		"  --mode offline|warm|stop-and-copy|pre-copy|post-copy|hybrid|auto\n"
		"  --noiter                  --mode stop-and-copy\n"
		"  --fallback warm           what cannot be dumped is stopped and started there\n"
		"  -r, --remove-area yes|no  no: what is here gets the ending .migrated\n"
		"  --keep-dst                what was copied stays there after a failure\n"
		"  --dry-run, --check-only   only the checks\n"
		"  --new-id CTID --new-name NAME --nostart\n"
		"  -f, --nodeps[=cpu,space,all]\n"
		"  --limit-speed KIB/S  --compress  -W, --whole-file  --timeout SECONDS\n"
		"  --ssh OPTIONS             for ssh;  --transport-command COMMAND  in its place\n"
		"  -t, --times  -v, --verbose\n",
		to);
	return rc;
}

static int plain(const char *text)
{
	(void)fprintf(stderr, "vzmigrate: %s\n", text);
	return MIG_EXIT_USAGE;
}

static int bad(const char *option, const char *value, const char *allowed)
{
	char shown[128];

	(void)fprintf(stderr, "vzmigrate: bad value for %s: \"%s\" (allowed: %s)\n", option,
		      vz_quote(shown, sizeof(shown), value), allowed);
	return MIG_EXIT_USAGE;
}

static int take_mode(struct cli *c, const char *text)
{
	char allowed[128] = "";
	size_t len = 0;

	if (op_move_by_name(text, &c->a.mode) == 0)
		return 0;
	for (int m = 0; m < OP_MOVES; m++)
		len += (size_t)snprintf(allowed + len, sizeof(allowed) - len, "%s%s", m ? ", " : "",
					op_move_way((enum op_move_mode)m)->name);
	return bad("--mode", text, allowed);
}

static int take_nodeps(struct cli *c, const char *text)
{
	static const struct {
		const char *word;
		unsigned int bits;
	} words[] = { { "all", OP_NODEPS_ALL },		 { "cpu", OP_NODEPS_CPU },
		      { "cpu_check", OP_NODEPS_CPU },	 { "space", OP_NODEPS_SPACE },
		      { "disk_space", OP_NODEPS_SPACE }, { "ipv6", 0 } };
	VZ_LIST struct vz_list l = { 0 };

	if (!text)
		c->a.nodeps = OP_NODEPS_ALL;
	if (text && vz_list_split(&l, text, ",") < 0)
		return plain("out of memory");
	for (size_t i = 0; i < l.n; i++) {
		size_t k = 0;

		while (k < sizeof(words) / sizeof(*words) && strcmp(words[k].word, l.v[i]) != 0)
			k++;
		if (k == sizeof(words) / sizeof(*words))
			return bad("--nodeps", l.v[i], "cpu, space, ipv6, all");
		c->a.nodeps |= words[k].bits;
	}
	return 0;
}

static int take_number(const char *option, const char *text, uint64_t most, uint64_t *ret)
{
	char allowed[48];

	if (vz_parse_u64(text, 1, most, ret) == 0)
		return 0;
	(void)snprintf(allowed, sizeof(allowed), "1 to %llu", (unsigned long long)most);
	return bad(option, text, allowed);
}

static int take_words(struct vz_list *l, const char *text)
{
	return vz_list_split(l, text, " \t") < 0 ? plain("out of memory") : 0;
}

/* Options with a value. Return: 0 or the exit status. */
static int take_value(struct cli *c, int opt, const char *text)
{
	uint64_t n = 0;
	int r = 0;

	switch (opt) {
	case 'r':
		c->a.remove = !strcmp(text, "yes");
		return c->a.remove || !strcmp(text, "no") ? 0
							  : bad("--remove-area", text, "yes, no");
	case OPT_SSH:
		c->ssh = text;
		return 0;
	case OPT_RSYNC:
		(void)fprintf(stderr,
			      "vzmigrate: --rsync is not used: see --limit-speed, --compress, "
			      "--whole-file\n");
		return 0;
	case OPT_MODE:
		return take_mode(c, text);
	case OPT_FALLBACK:
		c->a.fallback = !strcmp(text, "warm");
		return c->a.fallback ? 0 : bad("--fallback", text, "warm");
	case OPT_NEW_ID:
		r = take_number("--new-id", text, VPS_CTID_MAX, &n);
		c->a.new_id = (uint32_t)n;
		return r;
	case OPT_NEW_NAME:
		c->a.new_name = text;
		return 0;
	case OPT_LIMIT:
		r = take_number("--limit-speed", text, UINT64_C(1) << 40, &n);
		c->a.limit = n << 10;
		return r;
	case OPT_TIMEOUT:
		r = take_number("--timeout", text, 3600, &n);
		c->a.timeout_ms = (int)n * 1000;
		return r;
	default:
		vz_list_clear(&c->a.transport);
		return take_words(&c->a.transport, text);
	}
}

/* Options without a value. */
static int take_flag(struct cli *c, int opt)
{
	const struct {
		int opt;
		bool *flag;
	} flags[] = {
		{ OPT_KEEP_DST, &c->a.keep_dst },
		{ OPT_DRY_RUN, &c->a.dry_run },
		{ OPT_NOSTART, &c->a.nostart },
		{ OPT_COMPRESS, &c->a.compress },
		{ OPT_RECOVER, &c->recover },
		{ OPT_RECEIVE, &c->receive },
		{ 't', &c->a.times },
		{ 'W', &c->a.whole },
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (flags[i].opt == opt)
			*flags[i].flag = true;
	if (opt == 'v')
		c->verbose++;
	if (opt == OPT_ONLINE && !op_move_way(c->a.mode)->memory)
		c->a.mode = OP_MOVE_AUTO;
	if (opt == OPT_NOITER)
		c->a.mode = OP_MOVE_STOP_AND_COPY;
	if (opt == OPT_OURS || opt == OPT_THEIRS) {
		enum op_recover how = opt == OPT_OURS ? OP_RECOVER_OURS : OP_RECOVER_THEIRS;

		c->both = c->both || (c->how != OP_RECOVER_ASK && c->how != how);
		c->how = how;
	}
	return 0;
}

/* @word: the option as it was given; @letter: when it is one letter among others, else 0 */
static int no_option(const char *word, int letter, const char *what)
{
	const char one[] = { '-', (char)letter, '\0' };
	char shown[128];

	(void)fprintf(stderr, "vzmigrate: %s: %s (vzmigrate --help tells of all)\n", what,
		      vz_quote(shown, sizeof(shown), letter ? one : word));
	return MIG_EXIT_USAGE;
}

/* Return: -1 to go on, else the exit status. */
static int take_argv(struct cli *c, int argc, char **argv)
{
	int opt, r = 0;

	/* words after the first that is none are CTIDs: none of them is an option of ours */
	while (r == 0 && (opt = getopt_long(argc, argv, ":r:f::tvWcs", options, NULL)) != -1) {
		const char *word = argv[optind - 1];

		if (opt == OPT_HELP)
			return usage(stdout, 0);
		if (opt == '?' || opt == ':')
			return no_option(word, strncmp(word, "--", 2) != 0 ? optopt : 0,
					 opt == '?' ? "no such option"
						    : "this option needs a value");
		if (opt == 'f')
			r = take_nodeps(c, optarg);
		else
			r = optarg ? take_value(c, opt, optarg) : take_flag(c, opt);
	}
	return r == 0 ? -1 : r;
}

static int find_ctid(const char *word, uint32_t *ret)
{
	char shown[128];

	if (vps_parse_ctid(word, ret) == 0 && *ret > 0)
		return 0;
	if (vps_name_valid(word, UINT32_MAX) && vps_name_lookup(word, ret) == 0)
		return 0;
	(void)fprintf(stderr, "vzmigrate: there is no VPS %s\n",
		      vz_quote(shown, sizeof(shown), word));
	return MIG_EXIT_ABSENT;
}

static void set_up_log(const struct cli *c)
{
	VPS_CONFIG struct vps_config g = { 0 };
	struct vz_log_setup s = { .program = "vzmigrate",
				  .tty_level = c->receive ? -1 : c->verbose };
	struct vz_error ignored;

	vz_log_level(-2); /* bad lines of vz.conf are told by each vzctl */
	if (vps_load_global(&g, &ignored) == 0) {
		s.file_level = (int)g.log_level;
		s.file = g.logging ? g.logfile : NULL;
	}
	vz_log_init(&s);
}

static int told(int r, const struct vz_error *err)
{
	if (r >= 0)
		return 0;
	if (err->msg[0])
		vz_error("vzmigrate: %s", err->msg);
	return err->exit ? err->exit : MIG_EXIT_USAGE;
}

/* Standard output is the connection: what else would be written there goes to standard error. */
static int receive(void)
{
	struct vz_error err = { 0 };
	int in = fcntl(0, F_DUPFD_CLOEXEC, 3), out = fcntl(1, F_DUPFD_CLOEXEC, 3);
	int null = vz_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0);

	if (in < 0 || out < 0 || null < 0 || dup2(null, 0) < 0 || dup2(2, 1) < 0)
		return MIG_EXIT_CONNECT;
	(void)close(null);
	return told(op_migrate_receive(in, out, &err), &err);
}

static int recover(struct cli *c, char **words, int n)
{
	const struct op_env env = { 0 };
	VZ_FREE uint32_t *ids = NULL;
	ssize_t count = n > 0 ? n : mig_journal_list(&ids);
	int rc = 0;

	if (c->how != OP_RECOVER_ASK && n == 0)
		return plain(
			"--ours and --theirs are for a VPS that is named: nothing can check them");
	if (count <= 0 && n == 0)
		(void)puts("No journal of a migration.");
	for (ssize_t i = 0; i < count; i++) {
		struct vz_error err = { 0 };
		uint32_t ctid = ids ? ids[i] : 0;
		int one = ids ? 0 : find_ctid(words[i], &ctid);

		vz_log_ctid(ctid);
		if (one == 0)
			one = told(op_migrate_recover(&env, ctid, c->how, c->a.timeout_ms, &err),
				   &err);
		rc = rc ? rc : one;
	}
	return rc;
}

/* "101" or "web:102": the number there. */
static int move_one(struct cli *c, char *word)
{
	const struct op_env env = { 0 };
	struct op_migrate a = c->a;
	char *colon = strchr(word, ':');
	struct vz_error err = { 0 };
	uint64_t id = 0;
	uint32_t ctid;
	int r = 0;

	if (colon) {
		*colon = '\0';
		r = take_number("NEWID, after a colon", colon + 1, VPS_CTID_MAX, &id);
		a.new_id = (uint32_t)id;
	}
	if (r == 0)
		r = find_ctid(word, &ctid);
	if (r)
		return r;
	vz_log_ctid(ctid);
	if (a.new_id && op_move_way(a.mode)->memory)
		return plain("--new-id needs --mode offline: a number cannot change under programs "
			     "that run");
	return told(op_migrate(&env, ctid, &a, &err), &err);
}

static int move_all(struct cli *c, char **words, int n)
{
	int rc = 0;

	if (n == 0)
		return usage(stderr, MIG_EXIT_USAGE);
	c->a.host = words[0];
	if (!mig_host_valid(c->a.host))
		return bad("HOST", c->a.host, "[USER@]NAME");
	if (n == 1)
		return plain("no VPS is named: vzmigrate [OPTIONS] [USER@]HOST CTID|NAME ...");
	if (n > 2 && (c->a.new_id || c->a.new_name))
		return plain("--new-id and --new-name are for one VPS");
	for (int i = 1; i < n; i++) {
		int one = move_one(c, words[i]);

		rc = rc ? rc : one;
	}
	return rc;
}

/* ssh without a terminal and without questions: nobody may be there to answer. */
static int transport(struct cli *c)
{
	int r;

	if (c->a.transport.n)
		return 0;
	r = take_words(&c->a.transport, "ssh -T -o BatchMode=yes");
	if (r == 0 && c->ssh)
		r = take_words(&c->a.transport, c->ssh);
	if (r == 0 && c->a.compress)
		r = take_words(&c->a.transport, "-o Compression=no"); /* rsync does it */
	return r;
}

int main(int argc, char **argv)
{
	struct cli c = { .a = { .remove = true, .timeout_ms = 60000 } };
	int r;

	if (argc > 1 && !strcmp(argv[1], "--pipe"))
		return mig_pipe(argc - 1, argv + 1);
	r = take_argv(&c, argc, argv);
	if (r >= 0)
		return r;
	if (geteuid() != 0)
		return plain("this is for root");
	if (c.both)
		return plain("--ours or --theirs, not both");
	if (c.how != OP_RECOVER_ASK && !c.recover)
		return plain("--ours and --theirs are for --recover");
	vz_nopipe_begin(&(struct vz_nopipe){ 0 });
	c.a.progress = isatty(2) && !c.receive;
	set_up_log(&c);
	if (c.receive)
		r = receive();
	else if (c.recover)
		r = recover(&c, argv + optind, argc - optind);
	else
		r = transport(&c) ?: move_all(&c, argv + optind, argc - optind);
	vz_list_clear(&c.a.transport);
	return r;
}
