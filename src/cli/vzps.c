/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ps over all VPSes, with a column CTID: the spectator's view. procps' own ps selects, sorts and
 * prints; we ask it for one more column in front, the process number, and put the CTID there. ps
 * refuses a further column beside its ready-made formats (-f, u ...), so these are written out as
 * lists of columns. No shell, no file of ours in between.
 */
#include "resources/resources.h"
#include "util/fd.h"
#include "util/proc.h"
#include "vps/vps.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define PS	   "/bin/ps"
#define OWN_COLUMN "pid=CTID" /* no process number begins like that: a header is told from a row */

enum { WORDS_MAX = 256, WIDTH = 10, KTHREAD = 0x00200000, STAT_MAX = 8192 };

struct asked {
	struct vz_list ps; /* words for ps, formats written out */
	uint32_t *ctids; /* of -E, none = all */
	size_t n_ctids;
	char formats
		[16]; /* letters of ready-made formats: unix ones as they are, BSD ones upper case */
	bool own_format; /* -o was given */
	bool selects, bsd, all, threads, kernel;
};

static const char usage_text[] = "Usage: vzps [-E CTID|NAME]... [--kernel] [OPTIONS OF PS]\n"
				 "\n"
				 "  -E CTID|NAME  only this VPS; 0 is the node. May be repeated\n"
				 "  --kernel      threads of the kernel too\n"
				 "\n"
				 "Without a selection of ps all processes are shown. Formats of ps "
				 "that work here: -f -F -l -j,\n"
				 "u l j v, their combinations that ps knows, and -o.\n";

static int refuse(const char *what, const char *why)
{
	char shown[128];

	(void)fprintf(stderr, "vzps: %s: %s\n", vz_quote(shown, sizeof(shown), what), why);
	return -1;
}

static int forward(struct asked *a, const char *word)
{
	return vz_list_add(&a->ps, word) < 0 ? refuse(word, "out of memory") : 0;
}

static int add_format(struct asked *a, char letter)
{
	size_t n = strlen(a->formats);

	if (strchr(a->formats, letter) || n + 1 >= sizeof(a->formats))
		return 0;
	a->formats[n] = letter;
	return 0;
}

static int add_vps(struct asked *a, const char *word)
{
	uint32_t *more = reallocarray(a->ctids, a->n_ctids + 1, sizeof(*more));

	if (!more)
		return refuse(word, "out of memory");
	a->ctids = more;
	if (vps_parse_ctid(word, &more[a->n_ctids]) < 0 &&
	    vps_name_lookup(word, &more[a->n_ctids]) < 0)
		return refuse(word, "no such VPS (a CTID, a name, or 0 for the node)");
	a->n_ctids++;
	return 0;
}

/* ---- options ---- */

/* A column list of the user. Every list goes to ps on its own: "a=X,Y" is one column there. */
static int take_list(struct asked *a, const char *list)
{
	a->own_format = true;
	return forward(a, "-o") < 0 ? -1 : forward(a, list);
}

/*
 * A cluster of letters: "-ef", "aux". What is a ready-made format is noted, what takes an argument
 * gets the rest of the word or the next word, the rest goes to ps.
 * Return: 1 when the next word was used up, 0, -1 after a message.
 */
static int take_letters(struct asked *a, const char *word, const char *next)
{
	const bool unix_style = word[0] == '-';
	const char *with_arg = unix_style ? "CGUgpqstu" : "kpqtU";
	const char *selects = unix_style ? "ACGUadegpqstuN" : "agrTpqtU";
	const char *formats = unix_style ? "fFlj" : "uljv";
	const char *refused = unix_style ? "OcMPyZV" : "OsXLMZV";
	char plain[64];
	size_t n = 0;
	const char *p;

	a->bsd |= !unix_style;
	for (p = word + unix_style; *p && !strchr(with_arg, *p) && *p != 'o'; p++) {
		if (strchr(refused, *p))
			return refuse(word, "there is no place for the CTID in this; see -o");
		a->selects |= strchr(selects, *p) != NULL;
		a->threads |= *p == (unix_style ? 'L' : 'H') || (unix_style && *p == 'T');
		if (!unix_style && strchr("ax", *p))
			a->all = true; /* everybody's, with and without a terminal */
		else if (strchr(formats, *p))
			(void)add_format(a, unix_style ? *p : (char)toupper((unsigned char)*p));
		else if (n + 1 < sizeof(plain))
			plain[n++] = *p;
		else
			return refuse(word, "no option of ps");
	}
	plain[n] = '\0';
	if (n) {
		char out[80];

		(void)snprintf(out, sizeof(out), "%s%s", unix_style ? "-" : "", plain);
		if (forward(a, out) < 0)
			return -1;
	}
	if (!*p)
		return 0;
	a->selects |= strchr(selects, *p) != NULL;
	if (!p[1] && !next)
		return refuse(word, "an argument is missing");
	if (*p == 'o')
		return take_list(a, p[1] ? p + 1 : next) < 0 ? -1 : !p[1];
	(void)snprintf(plain, sizeof(plain), "%s%c", unix_style ? "-" : "", *p);
	if (forward(a, plain) < 0 || forward(a, p[1] ? p + 1 : next) < 0)
		return -1;
	return !p[1];
}

/* Return: as take_letters. */
static int take_long(struct asked *a, const char *word, const char *next)
{
	static const struct {
		const char *name;
		bool selects;
	} with_arg[] = {
		{ "--Group", true },  { "--User", true },  { "--group", true },
		{ "--user", true },   { "--pid", true },   { "--ppid", true },
		{ "--sid", true },    { "--tty", true },   { "--quick-pid", true },
		{ "--sort", false },  { "--cols", false }, { "--columns", false },
		{ "--width", false }, { "--rows", false }, { "--lines", false },
	};
	size_t len = strcspn(word, "=");
	bool inlined = word[len] == '=';

	if (!strncmp(word, "--format", len) && len == strlen("--format"))
		return !inlined && !next ? refuse(word, "an argument is missing")
		       : take_list(a, inlined ? word + len + 1 : next) < 0 ? -1
									   : !inlined;
	if (!strcmp(word, "--context"))
		return refuse(word, "there is no place for the CTID in this; see -o");
	if (forward(a, word) < 0)
		return -1;
	a->selects |= !strcmp(word, "--deselect");
	for (size_t i = 0; i < sizeof(with_arg) / sizeof(*with_arg); i++) {
		if (strncmp(word, with_arg[i].name, len) != 0 || with_arg[i].name[len])
			continue;
		a->selects |= with_arg[i].selects;
		if (inlined)
			return 0;
		if (!next)
			return refuse(word, "an argument is missing");
		return forward(a, next) < 0 ? -1 : 1;
	}
	return 0;
}

/* "123" or "123,456": processes. As an option, or ps takes whatever follows for numbers too. */
static int take_numbers(struct asked *a, const char *word)
{
	a->selects = true;
	return forward(a, "-p") < 0 ? -1 : forward(a, word);
}

/* Return: 0; 1 when help was printed; -1 after a message. */
static int take_words(struct asked *a, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *w = argv[i], *next = argv[i + 1];
		int r = 0;

		if (!strcmp(w, "--help")) {
			(void)fputs(usage_text, stdout);
			return 1;
		}
		if (!strcmp(w, "--kernel"))
			a->kernel = true;
		else if (!strncmp(w, "-E", 2) && !w[2] && !next)
			r = refuse(w, "an argument is missing");
		else if (!strncmp(w, "-E", 2))
			r = add_vps(a, w[2] ? w + 2 : next) < 0 ? -1 : !w[2];
		else if (!strncmp(w, "--", 2))
			r = take_long(a, w, next);
		else if (isdigit((unsigned char)w[0]))
			r = take_numbers(a, w);
		else if (w[0])
			r = take_letters(a, w, next);
		if (r < 0)
			return -1;
		i += r;
	}
	return 0;
}

/* ---- formats ---- */

/* As procps writes them out, from ps(1). @formats: sorted letters. NULL: no such combination. */
static const char *columns(const struct asked *a)
{
	static const struct {
		const char *letters, *columns;
	} known[] = {
		{ "f", "uid_hack,pid,ppid,c,stime,tname,time,cmd" },
		{ "F", "uid_hack,pid,ppid,c,sz,rss,psr,stime,tname,time,cmd" },
		{ "l", "f,s,uid:8,pid,ppid,c,opri,ni,sz,wchan,tname,time,ucmd" },
		{ "fl", "f,s,uid_hack,pid,ppid,c,opri,ni,sz,wchan,stime,tname,time,cmd" },
		{ "j", "pid,pgid,sid,tname,time,ucmd" },
		{ "fj", "uid_hack,pid,ppid,pgid,sid,c,stime,tname,time,cmd" },
		{ "U", "user,pid,%cpu,%mem,vsz,rss,tname,stat,start_time=START,bsdtime,args" },
		{ "L", "f,uid:8,pid,ppid,pri,ni,vsz,rss,wchan,stat,tname,bsdtime,args" },
		{ "J", "ppid,pid,pgid,sid,tname,tpgid,stat,uid:8,bsdtime,args" },
		{ "V", "pid,tname,stat,bsdtime,maj_flt,trs,drs,rss,%mem,args" },
	};
	char sorted[sizeof(a->formats)];
	size_t n = strlen(a->formats);

	if (!n)
		return a->bsd ? "pid,tname,stat,bsdtime,args" : "pid,tname,time,ucmd";
	memcpy(sorted, a->formats, n + 1);
	if (n == 2 && sorted[0] > sorted[1]) {
		sorted[0] = a->formats[1];
		sorted[1] = a->formats[0];
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(known[i].letters, sorted))
			return known[i].columns;
	return NULL;
}

/* Each column as an option of its own: a header with "=" ends a list. */
static int add_columns(struct asked *a)
{
	VZ_LIST struct vz_list names = { 0 };
	const char *list = columns(a);

	if (!list)
		return refuse("formats of ps", "these do not go together");
	if (vz_list_split(&names, list, ",") < 0)
		return refuse(list, "out of memory");
	for (size_t i = 0; i < names.n; i++) {
		if (forward(a, "-o") < 0 || forward(a, names.v[i]) < 0)
			return -1;
		if (a->threads && !strcmp(names.v[i], "pid") &&
		    (forward(a, "-o") < 0 || forward(a, "lwp") < 0))
			return -1;
	}
	return 0;
}

/* ---- running ps ---- */

static int spawn_ps(const struct asked *a, int out)
{
	static const char *const passed[] = { "LANG",	 "LC_ALL", "LC_CTYPE",
					      "LC_TIME", "TZ",	   "COLUMNS" };
	const char *argv[WORDS_MAX] = { PS, "-o", OWN_COLUMN };
	const char *env[sizeof(passed) / sizeof(*passed) + 3] = { VZ_PATH_ENV };
	VZ_LIST struct vz_list own = { 0 };
	struct vz_run how = { .env = env, .stdout_fd = out };
	struct winsize ws;
	size_t n = 3, e = 1;

	for (size_t i = 0; i < a->ps.n && n + 2 < WORDS_MAX; i++)
		argv[n++] = a->ps.v[i];
	if (a->all || !a->selects)
		argv[n++] = "-e";
	for (size_t i = 0; i < sizeof(passed) / sizeof(*passed); i++) {
		const char *value = secure_getenv(passed[i]);
		VZ_FREE char *text = value ? vz_fmt("%s=%s", passed[i], value) : NULL;

		if (text && vz_list_add(&own, text) < 0)
			return -ENOMEM;
	}
	/* ps writes into a pipe, and would not cut its lines; ours are wider by the CTID */
	if (!secure_getenv("COLUMNS") && isatty(STDOUT_FILENO) &&
	    ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 20) {
		VZ_FREE char *text = vz_fmt("COLUMNS=%d", ws.ws_col - WIDTH / 2);

		if (text && vz_list_add(&own, text) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < own.n; i++)
		env[e++] = own.v[i];
	return vz_spawn(argv, &how);
}

static bool is_kernel_thread(pid_t pid)
{
	VZ_FREE char *text = NULL;
	VZ_LIST struct vz_list f = { 0 };
	char path[64];
	const char *rest;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (vz_read_file(AT_FDCWD, path, STAT_MAX, &text) < 0)
		return false;
	rest = strrchr(text, ')'); /* the name may hold blanks and parentheses */
	/* state ppid pgrp session tty tpgid flags */
	if (!rest || vz_list_split(&f, rest + 1, " \n") < 0 || f.n < 7)
		return false;
	return strtoull(f.v[6], NULL, 10) & KTHREAD;
}

static bool asked_for(const struct asked *a, uint32_t ctid)
{
	for (size_t i = 0; i < a->n_ctids; i++)
		if (a->ctids[i] == ctid)
			return true;
	return a->n_ctids == 0;
}

/* A row: process number, blank, what the user sees. */
static void show_row(const struct asked *a, pid_t pid, const char *rest)
{
	uint32_t ctid;

	if (res_whose(pid, &ctid) < 0)
		return; /* gone meanwhile */
	if (ctid == 0 && !a->kernel && is_kernel_thread(pid))
		return;
	if (asked_for(a, ctid))
		(void)printf("%*u %s\n", WIDTH, ctid, rest);
}

/* Lines of ps. A thread's line under "m" has "-" for the number: it belongs to the row before. */
static void show(const struct asked *a, FILE *from)
{
	VZ_FREE char *line = NULL;
	size_t room = 0;
	pid_t pid = 0;

	while (getline(&line, &room, from) > 0) {
		char *p = line + strspn(line, " ");
		size_t len = strcspn(p, " \n");
		char *rest = p + len + (p[len] == ' ');

		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(p, "CTID", len) && len == 4) {
			if (rest[strspn(rest,
					" ")]) /* nobody wants a header whose own part is empty */
				(void)printf("%*s %s\n", WIDTH, "CTID", rest);
			continue;
		}
		if (len && strspn(p, "0123456789") == len)
			pid = (pid_t)strtoull(p, NULL, 10);
		if (pid > 0)
			show_row(a, pid, rest);
	}
}

/* Return: exit status of ps; -1 after a message. */
static int run(const struct asked *a)
{
	int ends[2], r = vz_pipe(ends);
	VZ_FILE FILE *from = NULL;
	pid_t pid;

	if (r < 0)
		return refuse(PS, strerrordesc_np(-r));
	from = fdopen(ends[0], "r");
	pid = spawn_ps(a, ends[1]);
	vz_closep(&ends[1]);
	if (!from || pid < 0)
		return refuse(PS, "cannot be run");
	show(a, from);
	r = vz_wait(pid);
	if (r == 127)
		return refuse(PS, "not found: install procps");
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("vzps: write");
		return -1;
	}
	return r;
}

int main(int argc, char **argv)
{
	struct asked a = { 0 };
	int r = take_words(&a, argc, argv);

	if (r == 0 && !a.own_format)
		r = add_columns(&a);
	if (r == 0 && a.ps.n > WORDS_MAX / 2)
		r = refuse(argv[0], "too many words");
	r = r > 0 ? 0 : r < 0 ? r : run(&a); /* > 0: help was asked for */
	free(a.ctids);
	vz_list_clear(&a.ps);
	return r < 0 ? 1 : r;
}
