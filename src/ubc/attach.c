/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups of programs: attached only while some VPS that runs has a limit on what they count, so that others pay
 * nothing for them. The programs are loaded and pinned once; a link, pinned too, is what makes one run.
 */
#include "ubc/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

enum { NAME_BYTES = 64, BUSY_TRIES = 500, BUSY_MS = 2 };

/* Calls @run for each pin of group @g in directory @sub ("progs", "links") until one fails. */
static int each_pin(const struct ubc_head *h, enum ubc_group g, const char *sub,
		    int (*run)(const char *name))
{
	const char *prefix = ubc_prefix(g, h->method);
	char dir[PATH_MAX], path[PATH_MAX + 16];
	VZ_DIR DIR *d = NULL;
	struct dirent *e;
	int r = 0;

	(void)snprintf(path, sizeof(path), "%s/%s", ubc_pins(dir), sub);
	d = prefix ? vz_opendirat(AT_FDCWD, path) : NULL;
	while (d && r >= 0 && (e = readdir(d)))
		if (!strncmp(e->d_name, prefix, strlen(prefix)))
			r = run(e->d_name);
	return r;
}

static int attach_one(const char *name)
{
	char pin[NAME_BYTES];
	VZ_FD int prog = -EBADF, link = -EBADF;

	if (!strcmp(name, UBC_PTY_PROG)) /* in groups of VPSes, see ptys.c */
		return 0;
	(void)snprintf(pin, sizeof(pin), "progs/%.40s", name);
	prog = ubc_pin_get(pin);
	if (prog < 0)
		return prog;
	/* a worker of the kernel may not yet have come to what we detached a moment ago */
	for (int i = 0; i < BUSY_TRIES && (link = ubc_prog_attach(prog, name)) == -EBUSY; i++)
		(void)poll(NULL, 0, BUSY_MS);
	if (link < 0)
		return link;
	(void)snprintf(pin, sizeof(pin), "links/%.40s", name);
	return ubc_pin(link, pin);
}

static int detach_one(const char *name)
{
	char dir[PATH_MAX], path[PATH_MAX + NAME_BYTES];

	(void)snprintf(path, sizeof(path), "%s/links/%.40s", ubc_pins(dir), name);
	return unlink(path) < 0 ? -errno : 0;
}

static bool is_of_others(const struct ubc_owner *o, void *arg)
{
	return ubc_group_of(o->counter) != *(const int *)arg;
}

void ubc_forget_objects(struct ubc_table *t, enum ubc_group g)
{
	VZ_FD int map = ubc_in_places(g) ? -ENOENT : ubc_pin_get(ubc_object_map(g));
	int group = (int)g;
	uint32_t gone = 0;

	if (map >= 0)
		(void)!ubc_map_empty(map);
	if (ubc_in_places(g)) {
		(void)!ubc_places_empty(g);
		if (ubc_spilled(0) > 0 && ubc_spill_each(is_of_others, &group, &gone) == 0)
			(void)!ubc_spilled(gone);
	}
	for (uint32_t i = 1; i < UBC_SLOTS; i++)
		for (int c = 0; t->slot[i].ctid && c < UBC_NR; c++)
			if (ubc_group_of(c) == (int)g)
				__atomic_store_n(&t->slot[i].row[c].held, 0, __ATOMIC_RELAXED);
}

void ubc_detach(struct ubc_table *t, enum ubc_group g)
{
	(void)each_pin(ubc_head(t), g, "links", detach_one);
	ubc_head(t)->attached &= ~(1U << g);
	ubc_forget_objects(t, g);
}

/* A pinned iterator runs when it is read; ours print nothing. */
int ubc_run_iterator(const char *name)
{
	char dir[PATH_MAX], path[PATH_MAX + NAME_BYTES], c;
	VZ_FD int fd = -EBADF;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/iter/%.40s", ubc_pins(dir), name);
	fd = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	do
		n = read(fd, &c, 1);
	while (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)));
	return n < 0 ? -errno : 0;
}

int ubc_adopt(uint32_t mask)
{
	const uint32_t zero = 0;
	VZ_FD int map = ubc_pin_get("adopted");
	int r = map < 0 ? map : ubc_map_set(map, &zero, &mask);

	if (r == 0 && mask & ~(1U << UBC_G_MM))
		r = ubc_run_iterator("it_files");
	if (r == 0 && mask & 1U << UBC_G_MM)
		r = ubc_run_iterator("it_tasks");
	if (r == 0 && mask & 1U << UBC_G_SHM)
		r = ubc_run_iterator("it_vmas");
	if (map >= 0)
		(void)!ubc_map_set(map, &zero, &zero);
	return r;
}

int ubc_attach(struct ubc_table *t, enum ubc_group g)
{
	int r;

	ubc_forget_objects(t, g);
	r = each_pin(ubc_head(t), g, "progs", attach_one);
	if (r == 0 && ubc_head(t)->method > UBC_BY_CGROUP)
		r = ubc_adopt(
			1U << g); /* programs for sockets alone cannot look at what is there */
	if (r < 0) {
		ubc_detach(t, g);
		return r;
	}
	ubc_head(t)->attached |= 1U << g;
	return 0;
}

int ubc_fit(struct ubc_table *t, struct vz_error *err)
{
	struct ubc_head *h = ubc_head(t);

	for (int g = 0; t->is_map && g < UBC_GROUPS; g++) {
		const bool on = h->attached & 1U << g,
			   wanted = h->users[g] && ubc_prefix(g, h->method);
		int r = 0;

		if (wanted && !on)
			r = ubc_attach(t, g);
		else if (on && !wanted)
			ubc_detach(t, g);
		if (r < 0)
			return vz_fail(err, VZ_EXIT_RESOURCE, -r, "attach the BPF programs %s*",
				       ubc_prefix(g, h->method));
	}
	return 0;
}
