/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Beancounters for people: OpenVZ's vzubc. */
#include "cli/vzubc.h"

#include "ops/list.h"
#include "ops/ubc.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/parse.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 64 << 20, WORDS_MAX = 64 };

struct asked {
	struct vzubc_view view;
	bool watch, rel_clear, inc_clear;
	const char *file, *rel_dir, *inc_dir;
	const char *every; /* seconds, for watch(1) */
	bool differences, no_title;
	uint32_t *ctids;
	size_t n_ctids;
};

static const char usage_text[] =
	"Usage: vzubc [-v] [-q] [-qh RATIO] [-qm RATIO] [-c] [-r] [-rc] [-rd DIR] [-i] [-ic] [-id "
	"DIR]\n"
	"             [-w] [-wd] [-wt] [-wn SECONDS] [-f FILE] [CTID...]\n"
	"\n"
	"  -v          all counters, also those without a limit\n"
	"  -q          only those near their limit, and those that refused something\n"
	"  -qh RATIO   near: held above RATIO of the barrier (0.5)\n"
	"  -qm RATIO   near: maxheld above RATIO of the barrier (0.8)\n"
	"  -c          colours for what -q would show\n"
	"  -r          one more column: refusals since the first run with -r; -rc begins anew\n"
	"  -i          one more column: held since the first run with -i; -ic begins anew\n"
	"  -rd, -id    directory in which that is kept\n"
	"  -w          again and again, by watch(1); -wd marks differences, -wt omits the title,\n"
	"              -wn SECONDS (2)\n"
	"  -f FILE     read a file like user_beancounters; - is standard input\n";

static int fail(const char *what, const char *value)
{
	char shown[256];

	(void)fprintf(stderr, "vzubc: %s: %s\n", what, vz_quote(shown, sizeof(shown), value));
	return -1;
}

/* ---- options ---- */

static int take_ratio(const char *text, double *ret)
{
	return vz_parse_double(text, ret) < 0 || *ret > 1 ? fail("not a ratio from 0 to 1", text)
							  : 0;
}

static int take_seconds(const char *text, const char **ret)
{
	double seconds;

	if (vz_parse_double(text, &seconds) < 0 || seconds < 0.1 || seconds > 86400)
		return fail("not a time from 0.1 to 86400 seconds", text);
	*ret = text;
	return 0;
}

/* Options that are words of their own, as OpenVZ's are: -qh is not -q -h. */
static bool *flag_of(struct asked *a, const char *word)
{
	const struct {
		const char *word;
		bool *flag;
	} flags[] = {
		{ "-v", &a->view.all },	     { "-q", &a->view.quiet }, { "-c", &a->view.colour },
		{ "-r", &a->view.relative }, { "-rc", &a->rel_clear }, { "-i", &a->view.change },
		{ "-ic", &a->inc_clear },    { "-w", &a->watch },      { "-wd", &a->differences },
		{ "-wt", &a->no_title },
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (vz_streq(word, flags[i].word))
			return flags[i].flag;
	return NULL;
}

/* Return: 1 taken with its argument; 0 it is no such option; -1 after a message. */
static int take_value(struct asked *a, const char *word, const char *value)
{
	const struct {
		const char *word;
		const char **text;
	} texts[] = { { "-rd", &a->rel_dir }, { "-id", &a->inc_dir }, { "-f", &a->file } };
	bool ratio = vz_streq(word, "-qh") || vz_streq(word, "-qm"), wn = vz_streq(word, "-wn");
	const char **text = NULL;
	int r = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (vz_streq(word, texts[i].word))
			text = texts[i].text;
	if (!ratio && !wn && !text)
		return 0;
	if (!value)
		return fail("this option needs an argument", word);
	if (text)
		*text = value;
	else if (wn)
		r = take_seconds(value, &a->every);
	else
		r = take_ratio(value,
			       vz_streq(word, "-qh") ? &a->view.near_held : &a->view.near_max);
	return r < 0 ? -1 : 1;
}

static int take_argv(struct asked *a, int argc, char **argv)
{
	a->ctids = calloc((size_t)argc, sizeof(*a->ctids));
	if (!a->ctids)
		return fail("out of memory", "options");
	for (int i = 1; i < argc; i++) {
		bool *flag = flag_of(a, argv[i]);
		int r = flag ? 0 : take_value(a, argv[i], argv[i + 1]);

		if (flag)
			*flag = true;
		else if (r != 0)
			i++;
		else if (argv[i][0] == '-')
			return fail("unknown option (vzubc --help lists them)", argv[i]);
		else if (vps_parse_ctid(argv[i], &a->ctids[a->n_ctids]) < 0 &&
			 vps_name_lookup(argv[i], &a->ctids[a->n_ctids]) < 0)
			return fail("neither a CTID nor a name", argv[i]);
		else
			a->n_ctids++;
		if (r < 0)
			return -1;
	}
	a->view.relative |= a->rel_clear;
	a->view.change |= a->inc_clear;
	a->watch |= a->differences || a->no_title || a->every;
	return 0;
}

/* ---- watch(1) ---- */

static int watch(const struct asked *a, int argc, char **argv)
{
	const char *words[WORDS_MAX];
	size_t n = 0;

	words[n++] = "watch";
	if (a->differences)
		words[n++] = "-d";
	if (a->no_title)
		words[n++] = "-t";
	if (a->view.colour)
		words[n++] = "-c";
	words[n++] = "-n";
	words[n++] = a->every ? a->every : "2";
	words[n++] = "-x";
	words[n++] = "--";
	words[n++] = argv[0];
	for (int i = 1; i < argc && n < WORDS_MAX - 1; i++) {
		if (vz_streq(argv[i], "-wn"))
			i++;
		else if (strncmp(argv[i], "-w", 2) != 0)
			words[n++] = argv[i];
	}
	words[n] = NULL;
	(void)execvp(words[0], (char *const *)words);
	return fail("watch(1) cannot be run", strerrordesc_np(errno));
}

/* ---- what was kept ---- */

/* A directory where others can write is a place for their links. */
static int open_store(const char *given)
{
	char path[PATH_MAX];
	struct stat st;
	VZ_FD int fd = -EBADF;
	int r;

	if (given)
		(void)vps_path(path, "%s", given);
	else
		(void)vps_path(path, "%s/vzubc", vps_paths()->run);
	r = vz_mkdir_p(path, 0700);
	if (r == 0)
		r = fd = vz_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (r < 0) {
		(void)fprintf(stderr, "vzubc: %s: %s\n", path, strerrordesc_np(-r));
		return -1;
	}
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022))
		return fail("not kept here, where others can write", path);
	return vz_take_fd(&fd);
}

/* Group @ctid of what was kept as @kind; kept now when there is nothing yet. Return: 0; -1 after a message. */
static int kept(const char *dir, const char *kind, bool clear, const struct op_ubc *u,
		struct op_ubc *ret)
{
	VZ_FD int store = open_store(dir);
	VZ_FD int fd = -EBADF;
	VZ_FREE char *text = NULL;
	VZ_BUF struct vz_buf b = { 0 };
	struct vzubc_groups g = { 0 };
	char name[32];

	if (store < 0)
		return -1;
	(void)snprintf(name, sizeof(name), "%" PRIu32 ".%s", u->ctid, kind);
	*ret = *u;
	if (!clear && vz_read_file(store, name, FILE_MAX_BYTES, &text) > 0 &&
	    vzubc_parse(text, &g) == 0 && g.n == 1 && g.v[0].ctid == u->ctid) {
		*ret = g.v[0];
		vzubc_groups_clear(&g);
		return 0;
	}
	vzubc_groups_clear(&g);
	op_ubc_head(&b);
	op_ubc_text(&b, u);
	fd = vz_openat(store, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
	if (fd < 0 || b.failed || vz_write_all(fd, b.s, b.len) < 0)
		return fail("cannot be kept", name);
	return 0;
}

/* ---- where they come from ---- */

static int from_file(const char *file, struct vzubc_groups *ret)
{
	VZ_FREE char *text = NULL;
	ssize_t n = vz_streq(file, "-") ? vz_read_all(STDIN_FILENO, FILE_MAX_BYTES, &text)
					: vz_read_file(AT_FDCWD, file, FILE_MAX_BYTES, &text);

	if (n < 0) {
		char shown[256];

		(void)fprintf(stderr, "vzubc: %s: %s\n", vz_quote(shown, sizeof(shown), file),
			      strerrordesc_np((int)-n));
		return -1;
	}
	return vzubc_parse(text, ret) < 0 ? fail("not in the format of user_beancounters", file)
					  : 0;
}

/* Where the kernel asks no monitor, who reads writes what others will read. */
static void write_unwatched(const struct vzubc_groups *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i].ctid)
			op_ubc_refresh_unwatched(g->v[i].ctid, op_ubc_net);
	op_ubc_node_idle();
}

static int from_node(struct vzubc_groups *ret)
{
	OP_UBC_READER struct op_ubc_reader rd;
	VZ_BUF struct vz_buf b = { 0 };
	struct vz_error err;
	int r;

	if (geteuid() != 0)
		return fail("needs root, or a file", "-f FILE");
	op_ubc_open(&rd, true, op_ubc_net);
	r = op_ubc_node_text(&rd, &b, &err);
	if (r < 0)
		return fail("cannot read the counters", err.msg);
	if (vzubc_parse(b.s, ret) < 0)
		return fail("cannot read", "the counters");
	write_unwatched(ret);
	return 0;
}

static bool wanted(const struct asked *a, uint32_t ctid)
{
	for (size_t i = 0; i < a->n_ctids; i++)
		if (a->ctids[i] == ctid)
			return true;
	return a->n_ctids == 0;
}

static int show(const struct asked *a, const struct vzubc_groups *g, struct vz_buf *out)
{
	size_t seen = 0;

	for (size_t i = 0; i < g->n; i++) {
		struct op_ubc rel, inc;

		if (!wanted(a, g->v[i].ctid))
			continue;
		seen++;
		if (a->view.relative &&
		    kept(a->rel_dir, "failcnt", a->rel_clear, &g->v[i], &rel) < 0)
			return -1;
		if (a->view.change && kept(a->inc_dir, "held", a->inc_clear, &g->v[i], &inc) < 0)
			return -1;
		vzubc_print(out, &a->view, &g->v[i], a->view.relative ? &rel : NULL,
			    a->view.change ? &inc : NULL);
	}
	if (seen < a->n_ctids) {
		for (size_t i = 0; i < a->n_ctids; i++) {
			bool found = false;

			for (size_t k = 0; k < g->n; k++)
				found |= g->v[k].ctid == a->ctids[i];
			if (!found)
				(void)fprintf(stderr, "vzubc: VPS %" PRIu32 " does not run\n",
					      a->ctids[i]);
		}
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct asked a = { .view = { .near_held = 0.5, .near_max = 0.8 } };
	struct vzubc_groups g = { 0 };
	VZ_BUF struct vz_buf out = { 0 };
	int r;

	vz_log_init(
		&(struct vz_log_setup){ .program = "vzubc", .tty_level = -2, .file_level = -2 });
	if (argc == 2 && (vz_streq(argv[1], "--help") || vz_streq(argv[1], "-h"))) {
		(void)fputs(usage_text, stdout);
		return 0;
	}
	r = take_argv(&a, argc, argv);
	if (r == 0 && a.watch)
		r = watch(&a, argc, argv);
	if (r == 0)
		r = a.file ? from_file(a.file, &g) : from_node(&g);
	if (r == 0)
		r = show(&a, &g, &out);
	vzubc_groups_clear(&g);
	free(a.ctids);
	if (out.failed)
		r = fail("out of memory", "output");
	if (out.len)
		(void)fwrite(out.s, 1, out.len, stdout);
	if (fflush(stdout) != 0)
		r = fail("write", strerrordesc_np(errno));
	return r < 0 ? 1 : 0;
}
