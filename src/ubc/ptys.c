/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program that refuses ptys is one of the device policy of control groups, and runs in the group of each VPS that has
 * such a limit: as a hook of each open(2) it cost all the node more than the rest of the counting.
 */
#include "ubc/priv.h"

#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>

enum { KERNFS_HANDLE = 0xfe /* include/linux/exportfs.h: FILEID_KERNFS */, PROGS_MAX = 64 };

/* The directory of the group with that id. Return: fd; -ESTALE it has gone; -errno. */
static int open_group(uint64_t id)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + sizeof(id)];
	} u = { .h = { .handle_bytes = sizeof(id), .handle_type = KERNFS_HANDLE } };
	VZ_FD int root = ubc_cgroup_root();
	int fd;

	if (root < 0)
		return root;
	memcpy(u.h.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(root, &u.h, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Takes programs of ours away from the group, but one. Return: 1 that one is there; 0; -errno. */
static int remove_others(int group, uint32_t but)
{
	uint32_t ids[PROGS_MAX];
	int n = ubc_devices_query(group, ids, PROGS_MAX), there = 0;

	for (int i = 0; i < n; i++) {
		char name[BPF_OBJ_NAME_LEN];
		VZ_FD int fd = -EBADF;

		if (ids[i] == but) {
			there = 1;
			continue;
		}
		fd = ubc_prog_by_id(ids[i], name);
		if (fd >= 0 && !strcmp(name, UBC_PTY_PROG))
			(void)!ubc_devices(group, fd, false);
	}
	return n < 0 ? n : there;
}

static int fit(uint64_t cgroup, bool on)
{
	VZ_FD int prog = on ? ubc_pin_get("progs/" UBC_PTY_PROG) : -EBADF;
	int id = on ? prog < 0 ? prog : ubc_prog_id(prog) : 0, there;
	VZ_FD int group = -EBADF;

	if (id < 0)
		return id;
	group = open_group(cgroup);
	if (group < 0)
		return group;
	there = remove_others(group, (uint32_t)id);
	return there < 0 || there || !on ? (there < 0 ? there : 0) : ubc_devices(group, prog, true);
}

int ubc_ptys(struct ubc_table *t, const struct ubc_slot *slot)
{
	const struct ubc_head *h = ubc_head(t);
	int r;

	if (!t->is_map || h->method <= UBC_BY_CGROUP)
		return 0;
	r = fit(slot->cgroup, slot->flags & UBC_LIVE &&
				      slot->flags >> UBC_NEEDS & 1U << UBC_G_PTY &&
				      h->attached & 1U << UBC_G_PTY);
	return r == -ESTALE ? 0 : r;
}

void ubc_ptys_all(struct ubc_table *t, bool off)
{
	const struct ubc_head *h = ubc_head(t);

	/* also of another layout: the beginning of a slot is always the same */
	for (uint32_t i = 1; i < h->slots; i++) {
		const struct ubc_slot *s =
			(const void *)((const uint8_t *)t->slot + (size_t)i * h->slot_size);
		int r;

		if (!s->ctid || !(s->flags & UBC_LIVE))
			continue;
		r = off ? fit(s->cgroup, false) : ubc_ptys(t, s);
		if (r < 0 && r != -ESTALE)
			vz_info("ptys of VPS %u: %s", s->ctid, strerror(-r));
	}
}
