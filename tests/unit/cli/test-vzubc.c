/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The format of user_beancounters, written and read again, and vzubc's table of it. */
#include "cli/vzubc.h"
#include "util/fd.h"

#include "tests/lib/tap.h"

#include <string.h>

static struct op_ubc sample(void)
{
	struct op_ubc u = { .ctid = 101, .known = OP_UBC_ALL };

	for (int c = 0; c < UBC_NR; c++)
		u.row[c] = (struct ubc_row){ .barrier = INT64_MAX, .limit = INT64_MAX };
	u.row[UBC_KMEMSIZE] = (struct ubc_row){ 5242880, 6291456, 14372700, 14790164, 0 };
	u.row[UBC_NUMPROC] = (struct ubc_row){ 45, 100, 100, 100, 7 };
	u.row[UBC_PHYSPAGES] = (struct ubc_row){ 172, 300, 0, 32768, 0 };
	u.row[UBC_SWAPPAGES] = (struct ubc_row){ 0, 0, 0, UINT64_MAX, 0 };
	return u;
}

static void format(void)
{
	static const char head[] =
		"Version: 2.5\n"
		"       uid  resource                     held              maxheld              "
		"barrier                limit              failcnt\n"
		"       101: kmemsize                  5242880              6291456             "
		"14372700             14790164                    0\n"
		"            lockedpages                     0                    0  "
		"9223372036854775807  9223372036854775807                    0\n";
	static const char *const order[] = {
		"kmemsize",	"lockedpages", "privvmpages",  "shmpages",     "dummy",
		"numproc",	"physpages",   "vmguarpages",  "oomguarpages", "numtcpsock",
		"numflock",	"numpty",      "numsiginfo",   "tcpsndbuf",    "tcprcvbuf",
		"othersockbuf", "dgramrcvbuf", "numothersock", "dcachesize",   "numfile",
		"dummy",	"dummy",       "dummy",	       "numiptent",    "swappages",
	};
	const struct op_ubc u = sample();
	VZ_BUF struct vz_buf b = { 0 };
	VZ_LIST struct vz_list lines = { 0 };
	bool good;

	op_ubc_head(&b);
	op_ubc_text(&b, &u);
	OK_NAME(b.s && !strncmp(b.s, head, sizeof(head) - 1),
		"titles and rows as OpenVZ prints them");
	good = vz_list_split(&lines, b.s ? b.s : "", "\n") == 0 && lines.n == 27;
	for (size_t i = 0; good && i < 25; i++) {
		const char *name = lines.v[i + 2] + 12;

		good = !strncmp(name, order[i], strlen(order[i])) &&
		       name[strlen(order[i])] == ' ' && lines.v[i + 2][0] == ' ' &&
		       strlen(lines.v[i + 2]) == strlen(lines.v[1]);
	}
	OK_NAME(good, "25 lines of one width, in the order of old");
	OK_NAME(lines.n == 27 && strstr(lines.v[26], " 9223372036854775807 "),
		"more than a signed number can say is unlimited");
}

static void again(void)
{
	const struct op_ubc u = sample();
	struct vzubc_groups g = { 0 };
	VZ_BUF struct vz_buf b = { 0 };

	op_ubc_head(&b);
	op_ubc_text(&b, &u);
	OK(vzubc_parse(b.s, &g) == 0 && g.n == 1 && g.v[0].ctid == 101 &&
	   g.v[0].known == OP_UBC_ALL);
	OK(g.n == 1 &&
	   !memcmp(&g.v[0].row[UBC_NUMPROC], &u.row[UBC_NUMPROC], sizeof(struct ubc_row)));
	vzubc_groups_clear(&g);
	OK_NAME(vzubc_parse("", &g) == -EINVAL && vzubc_parse("Version: 2.5\n", &g) == -EINVAL &&
			vzubc_parse("numproc 1 2 3 4 5\n", &g) == -EINVAL &&
			vzubc_parse("7: numproc 1 2 3 4 x\n", &g) == -EINVAL &&
			vzubc_parse("7 numproc 1 2 3 4 5\n", &g) == -EINVAL &&
			vzubc_parse("7: numproc 1 2 3 4 99999999999999999999\n", &g) == -EINVAL,
		"nonsense is refused");
	OK_NAME(vzubc_parse("7: numproc 1 2 3 4 5\n  newcounter 0 0 0 0 0\n8: numfile 1 2 3 4 5\n",
			    &g) == 0 &&
			g.n == 2 && g.v[0].row[UBC_NUMPROC].failcnt == 5 && g.v[1].ctid == 8,
		"counters of other kernels are passed over");
	vzubc_groups_clear(&g);
}

static bool shows(const struct vz_buf *b, const char *text)
{
	if (b->s && strstr(b->s, text))
		return true;
	printf("# no '%s' in:\n%s\n", text, b->s ? b->s : "(nothing)");
	return false;
}

static void table(void)
{
	static const struct vzubc_view plain = { .near_held = 0.5, .near_max = 0.8 };
	struct vzubc_view v = plain;
	struct op_ubc u = sample(), was = sample(), idle = { .ctid = 9, .known = OP_UBC_ALL };
	VZ_BUF struct vz_buf b = { 0 };

	vzubc_print(&b, &v, &u, NULL, NULL);
	OK(shows(&b, "CT 101       | HELD  Bar%  Lim%| MAXH  Bar%  Lim%| BAR | LIM | FAIL\n"));
	OK(shows(&b, "\n     kmemsize|5.00M   36%   35%|6.00M   44%   43%|13.7M|14.1M|    -\n"));
	OK(shows(&b, "\n      numproc|   45   45%   45%|  100  100%  100%|  100|  100|    7\n"));
	OK(shows(&b, "\n    physpages| 688K     -    1%|1.17M     -    1%|    -| 128M|    -\n"));
	OK_NAME(!strstr(b.s, "numfile"), "what has no limit is not shown");
	vz_buf_clear(&b);
	v.all = true;
	vzubc_print(&b, &v, &u, NULL, NULL);
	OK(shows(&b, "\n      numfile|    -     -     -|    -     -     -|    -|    -|    -\n"));
	vz_buf_clear(&b);
	v = plain;
	v.quiet = true;
	vzubc_print(&b, &v, &u, NULL, NULL);
	OK_NAME(shows(&b, "numproc") && !strstr(b.s, "kmemsize"),
		"quiet: refusals, or near the limit");
	vz_buf_clear(&b);
	vzubc_print(&b, &v, &idle, NULL, NULL);
	OK_NAME(b.len == 0, "quiet: a VPS with nothing to tell");
	v.near_held = 0.3;
	v.colour = true;
	vzubc_print(&b, &v, &u, NULL, NULL);
	OK_NAME(shows(&b, "\033[1;31m     kmemsize|") && shows(&b, "\033[0m\n"),
		"a lower threshold, in colour");
	vz_buf_clear(&b);
	v = plain;
	was.row[UBC_NUMPROC].failcnt = 5;
	was.row[UBC_NUMPROC].held = 50;
	vzubc_print(&b, &v, &u, &was, &was);
	OK(shows(&b, "| HELD    +/-  Bar%  Lim%|") && shows(&b, "| FAIL|+FAIL\n"));
	OK(shows(&b, "\n      numproc|   45     -5   45%   45%|  100  100%  100%|  100|  100|    "
		     "7|    +2\n"));
	vz_buf_clear(&b);
	was.row[UBC_NUMPROC].failcnt = 900;
	vzubc_print(&b, &v, &u, &was, NULL);
	OK_NAME(shows(&b, "|    7|    +7\n"), "a VPS that was started anew counts from 0");
}

int main(void)
{
	format();
	again();
	table();
	return tap_done();
}
