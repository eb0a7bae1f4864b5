/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of beancounters in a tree of its own: slots, limits, needs. With what BPF this machine has, or none. */
#include "ubc/priv.h"
#include "ubc/ubc.h"
#include "util/fd.h"
#include "util/proc.h"
#include "vps/vps.h"

#include "tests/lib/tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct vz_error err;

static void names(void)
{
	bool good = true;

	for (int c = 0; c < UBC_NR; c++)
		good = good && ubc_by_name(ubc_name(c)) == c;
	OK_NAME(good, "each counter is found by its name");
	OK(ubc_by_name("dummy") == -EINVAL);
	OK(!strcmp(ubc_name(UBC_NR), ""));
	OK(!strcmp(ubc_mode_name(UBC_ENFORCED), "enforced") &&
	   !strcmp(ubc_method_name(UBC_BY_LSM), "lsm"));
	OK(ubc_group_of(UBC_NUMFILE) == UBC_G_FILE && ubc_group_of(UBC_NUMPROC) == -ENOENT);
}

static void needs(void)
{
	struct ubc_row row[UBC_NR];

	for (int c = 0; c < UBC_NR; c++)
		row[c] = (struct ubc_row){ .barrier = INT64_MAX, .limit = INT64_MAX };
	OK(ubc_needs(row) == 0);
	row[UBC_PHYSPAGES].limit = row[UBC_LOCKEDPAGES].barrier = row[UBC_LOCKEDPAGES].limit =
		65536;
	OK_NAME(ubc_needs(row) == 0, "what memory itself limits needs no programs");
	row[UBC_LOCKEDPAGES].limit = 65535;
	OK(ubc_needs(row) == 1 << UBC_G_MM);
	row[UBC_NUMFILE].limit = 100;
	row[UBC_NUMPROC].limit = 10;
	OK(ubc_needs(row) == (1 << UBC_G_MM | 1 << UBC_G_FILE));
	row[UBC_SHMPAGES].limit = 1 << 30;
	OK(ubc_needs(row) == (1 << UBC_G_MM | 1 << UBC_G_FILE | 1 << UBC_G_SHM));
}

static void slots(const char *group)
{
	uint64_t limit[UBC_NR];
	UBC_TABLE struct ubc_table *t = NULL;
	struct ubc_slot *a, *b;
	const uint32_t twin = 101 + UBC_SLOTS - 1; /* the same place in the table */

	for (int c = 0; c < UBC_NR; c++)
		limit[c] = INT64_MAX;
	OK(ubc_table_open(false, &t) == -ENOENT);
	OK(ubc_node_mode(UBC_NUMFILE) == UBC_STORED);
	OK(ubc_ensure(&err) == 0 && ubc_ensure(&err) == 0);
	OK(ubc_table_open(true, &t) == 0);
	OK(ubc_slot(t, 101) == NULL && ubc_slot(t, 0) == NULL);
	OK(ubc_limits(101, limit, limit, &err) == -ESRCH && err.exit == VZ_EXIT_RESOURCE);
	OK(ubc_add(101, group, &err) == 0 && ubc_add(twin, group, &err) == 0);
	a = ubc_slot(t, 101);
	b = ubc_slot(t, twin);
	OK(a && b && a != b && a->ctid == 101 && b->ctid == twin);
	OK(a->row[UBC_NUMFILE].limit == INT64_MAX && a->row[UBC_NUMFILE].held == 0);
	limit[UBC_NUMFILE] = 50;
	OK(ubc_limits(101, limit, limit, &err) == 0 && a->row[UBC_NUMFILE].limit == 50);
	OK(ubc_head(t)->users[UBC_G_FILE] == 1);
	OK(ubc_limits(101, limit, limit, &err) == 0 && ubc_head(t)->users[UBC_G_FILE] == 1);
	ubc_raise(a, UBC_NUMFILE, 7);
	ubc_raise(a, UBC_NUMFILE, 3);
	OK(a->row[UBC_NUMFILE].maxheld == 7);

	/* a descriptor of it is still open elsewhere when it ends */
	a->row[UBC_NUMFILE].held = 2;
	ubc_forget(101);
	OK_NAME(ubc_slot(t, 101) == a && !(a->flags & UBC_LIVE), "it lingers");
	OK(ubc_head(t)->users[UBC_G_FILE] == 0);
	OK(ubc_add(101, group, &err) == 0 && ubc_slot(t, 101) == a);
	OK(a->row[UBC_NUMFILE].held == 2 && a->row[UBC_NUMFILE].maxheld == 2 &&
	   a->row[UBC_NUMFILE].limit == INT64_MAX);
	a->row[UBC_NUMFILE].held = 0;
	ubc_forget(101);
	OK(ubc_slot(t, 101) == NULL);
	OK_NAME(ubc_slot(t, twin) == b, "what lies behind a free slot is still found");
	ubc_forget(twin);
	ubc_forget(twin);
	ubc_table_close(&t);
}

static void refusals(const char *group)
{
	struct ubc_refusal r[UBC_RING];
	UBC_TABLE struct ubc_table *t = NULL;
	struct ubc_slot *s;

	OK(ubc_add(101, group, &err) == 0 && ubc_table_open(true, &t) == 0);
	s = ubc_slot(t, 101);
	OK(!ubc_counted(t, s, UBC_NUMFILE));
	OK(ubc_refusals(s, 0, r) == 0);
	ubc_note(s, UBC_NUMPROC, 3, 11, 12);
	ubc_note(s, UBC_NUMPROC, 3, 11, 12); /* a second reader */
	OK(ubc_refusals(s, 0, r) == 1 && r[0].seq == 1 && r[0].counter == UBC_NUMPROC);
	OK(r[0].asked == 3 && r[0].held == 11 && r[0].limit == 12 && !strcmp(r[0].comm, "-"));
	ubc_note(s, UBC_NUMPROC, 4, 12, 12);
	OK(ubc_refusals(s, 1, r) == 1 && r[0].seq == 2 && r[0].asked == 1);
	for (uint64_t i = 5; i < 5 + UBC_RING; i++)
		ubc_note(s, UBC_NUMPROC, i, 0, 0);
	OK_NAME(ubc_refusals(s, 0, r) == UBC_RING && r[0].seq == 3, "the oldest are forgotten");
	s->ring[5].comm[0] = '\0';
	OK(ubc_refusals(s, 5, r) > 0 && r[0].seq == 6 && !strcmp(r[0].comm, "-"));
	s->ring[4].seq = 0;
	OK_NAME(ubc_refusals(s, 0, r) == UBC_RING - 1, "one that is being written is left out");
	ubc_carry(s, UBC_PHYSPAGES, 900, 6);
	ubc_carry(s, UBC_PHYSPAGES, 700, 1);
	OK(s->row[UBC_PHYSPAGES].maxheld == 900 && s->row[UBC_PHYSPAGES].failcnt == 7 &&
	   s->carried[UBC_PHYSPAGES] == 7);
	OK(ubc_add(101, group, &err) == 0 && s->carried[UBC_PHYSPAGES] == 0);
	ubc_forget(101);
}

static void bad(const char *group)
{
	UBC_TABLE struct ubc_table *t = NULL;
	int n = 0;

	OK(ubc_add(101, "/nonexistent", &err) == -ENOENT && err.exit == VZ_EXIT_RESOURCE);
	OK(ubc_table_open(true, &t) == 0);
	while (n < UBC_SLOTS && ubc_take(t, (uint32_t)n + 1)) {
		ubc_slot(t, (uint32_t)n + 1)->flags |= UBC_LIVE;
		n++;
	}
	OK_NAME(n == UBC_SLOTS - 1, "every slot but the head can be taken");
	OK(ubc_add(99999, group, &err) == -ENOSPC);
	ubc_head(t)->nr--;
	ubc_table_close(&t);
	OK(ubc_table_open(true, &t) == -ESTALE);
	OK(ubc_ensure(&err) == 0 && ubc_table_open(true, &t) == 0);
}

/* Whatever this machine lets us do by BPF is taken back. */
static void unload(const char *root)
{
	char program[PATH_MAX], env_root[PATH_MAX + 16];
	const char *const argv[] = { program, "unload", "--force", NULL }, *const env[] = {
		env_root, NULL
	};
	const struct vz_run how = { .env = env };

	(void)vps_path(program, "%s/vz-ubc", vps_paths()->libexec);
	(void)snprintf(env_root, sizeof(env_root), "CROFT_ROOT=%s", root);
	OK(vz_run(argv, &how) == 0);
}

int main(void)
{
	char root[] = "/tmp/croft-ubc.XXXXXX", path[PATH_MAX];

	if (!mkdtemp(root) || setenv("CROFT_ROOT", root, 1) < 0)
		return 1;
	names();
	needs();
	slots(root);
	refusals(root);
	bad(root);
	unload(root);
	(void)snprintf(path, sizeof(path), "%s", root);
	OK(vz_rm_rf(AT_FDCWD, path) == 0);
	return tap_done();
}
