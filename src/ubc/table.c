/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ubc/priv.h"

#include "ubc/version.h"
#include "util/fd.h"
#include "util/str.h"
#include "vps/vps.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>

_Static_assert(sizeof(struct ubc_head) <= sizeof(struct ubc_slot), "slot 0 holds the head");
_Static_assert(offsetof(struct ubc_head, ctid) == offsetof(struct ubc_slot, ctid),
	       "slot 0 is nobody's");

size_t ubc_table_len(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (UBC_SLOTS * sizeof(struct ubc_slot) + page - 1) & ~(page - 1);
}

char *ubc_file_path(char dst[PATH_MAX])
{
	return vps_path(dst, "%s/ubc", vps_paths()->run);
}

int ubc_lock(void)
{
	char path[PATH_MAX];
	VZ_FD int fd = -EBADF;
	int r = vz_mkdir_p(vps_paths()->run, 0755);

	if (r < 0)
		return r;
	fd = vz_openat(AT_FDCWD, vps_path(path, "%s/ubc.lck", vps_paths()->run), O_RDWR | O_CREAT,
		       0600);
	if (fd < 0)
		return fd;
	do
		r = flock(fd, LOCK_EX);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : vz_take_fd(&fd);
}

void ubc_no_bpf_modes(struct ubc_head *h)
{
	h->modes[UBC_NUMPTY] = UBC_ENFORCED; /* mount option of devpts */
	h->modes[UBC_NUMSIGINFO] = UBC_ENFORCED; /* resource limit of the user namespace */
}

void ubc_head_fill(struct ubc_head *h)
{
	memset(h, 0, sizeof(*h));
	h->magic = UBC_MAGIC;
	h->slot_size = sizeof(struct ubc_slot);
	h->slots = UBC_SLOTS;
	h->nr = UBC_NR;
	h->ring = UBC_RING;
	h->version = UBC_VERSION;
	ubc_no_bpf_modes(h);
}

int ubc_make_file(const char *why)
{
	char path[PATH_MAX], tmp[PATH_MAX + 8];
	struct ubc_head h;
	VZ_FD int fd = -EBADF;

	(void)snprintf(tmp, sizeof(tmp), "%s.tmp", ubc_file_path(path));
	fd = vz_openat(AT_FDCWD, tmp, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return fd;
	ubc_head_fill(&h);
	(void)snprintf(h.why, sizeof(h.why), "%s", why);
	/* sparse: only the slots of VPSes take memory */
	if (ftruncate(fd, (off_t)ubc_table_len()) < 0 ||
	    pwrite(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || rename(tmp, path) < 0)
		return -errno;
	return 0;
}

int ubc_table_fd(bool *ret_is_map)
{
	char path[PATH_MAX];
	int fd = ubc_pin_get("table");

	*ret_is_map = fd >= 0;
	return fd >= 0 ? fd : vz_openat(AT_FDCWD, ubc_file_path(path), O_RDWR | O_NOFOLLOW, 0);
}

bool ubc_layout_is_ours(const struct ubc_head *h)
{
	return h->magic == UBC_MAGIC && h->slot_size == sizeof(struct ubc_slot) &&
	       h->slots == UBC_SLOTS && h->nr == UBC_NR && h->ring == UBC_RING;
}

int ubc_table_map(int fd, bool write, bool is_map, struct ubc_table **ret)
{
	UBC_TABLE struct ubc_table *t = calloc(1, sizeof(*t));
	VZ_FD int own = fd;
	void *p;

	if (!t)
		return -ENOMEM;
	t->len = ubc_table_len();
	t->is_map = is_map;
	t->fd = vz_take_fd(&own);
	p = mmap(NULL, t->len, write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, t->fd, 0);
	if (p == MAP_FAILED)
		return errno == EINVAL ? -ESTALE : -errno; /* a map of another size */
	t->slot = p;
	*ret = vz_take_ptr(&t);
	return 0;
}

int ubc_table_open(bool write, struct ubc_table **ret)
{
	UBC_TABLE struct ubc_table *t = NULL;
	bool is_map = false;
	int fd = ubc_table_fd(&is_map), r;

	if (fd < 0)
		return fd;
	r = ubc_table_map(fd, write, is_map, &t);
	if (r < 0)
		return r;
	if (!ubc_layout_is_ours(ubc_head(t)))
		return -ESTALE;
	*ret = vz_take_ptr(&t);
	return 0;
}

void ubc_table_close(struct ubc_table **t)
{
	if (*t && (*t)->slot)
		(void)munmap((*t)->slot, (*t)->len);
	if (*t)
		vz_closep(&(*t)->fd);
	vz_freep(t);
}

/* Mapped alone: of the whole table this page is all that is looked at. */
int ubc_head_read(struct ubc_head *ret)
{
	bool is_map;
	VZ_FD int fd = ubc_table_fd(&is_map);
	void *p;

	if (fd < 0)
		return fd;
	p = mmap(NULL, sizeof(*ret), PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	memcpy(ret, p, sizeof(*ret));
	(void)munmap(p, sizeof(*ret));
	return ubc_layout_is_ours(ret) ? 0 : -ESTALE;
}

enum ubc_mode ubc_node_mode(enum ubc_counter c)
{
	struct ubc_head h;

	if ((unsigned int)c >= UBC_NR || ubc_head_read(&h) < 0 || h.modes[c] >= UBC_MODES)
		return UBC_STORED;
	return h.modes[c];
}

enum ubc_method ubc_node_method(void)
{
	struct ubc_head h;

	return ubc_head_read(&h) < 0 || h.method >= UBC_METHODS ? UBC_BY_NOTHING : h.method;
}

/* ---- slots: found by CTID modulo their number; what was used once does not end a search ---- */

static struct ubc_slot *at(struct ubc_table *t, uint32_t ctid, uint32_t i)
{
	return &t->slot[1 + (ctid + i) % (UBC_SLOTS - 1)];
}

struct ubc_slot *ubc_slot(struct ubc_table *t, uint32_t ctid)
{
	for (uint32_t i = 0; ctid && i < UBC_SLOTS - 1; i++) {
		struct ubc_slot *s = at(t, ctid, i);

		if (s->ctid == ctid)
			return s;
		if (!s->ctid && !(s->flags & UBC_WAS))
			break;
	}
	return NULL;
}

bool ubc_holds(const struct ubc_slot *slot)
{
	for (int c = 0; c < UBC_NR; c++)
		if (ubc_group_of(c) >= 0 && (int64_t)slot->row[c].held > 0)
			return true;
	return false;
}

struct ubc_slot *ubc_take(struct ubc_table *t, uint32_t ctid)
{
	struct ubc_slot *s = ubc_slot(t, ctid);

	if (s)
		return s;
	for (uint32_t i = 0; i < UBC_SLOTS - 1; i++) {
		s = at(t, ctid, i);
		if (s->ctid && ((s->flags & UBC_LIVE) || ubc_holds(s)))
			continue;
		memset(s, 0, sizeof(*s));
		s->ctid = ctid;
		s->flags = UBC_WAS;
		return s;
	}
	return NULL;
}

int ubc_level_add(struct ubc_head *h, int level)
{
	for (int i = 0; i < UBC_LEVELS; i++) {
		if (h->level[i] == level)
			return 0;
		if (!h->level[i]) {
			h->level[i] = (uint8_t)level;
			return 0;
		}
	}
	return -ENOSPC;
}

void ubc_raise(struct ubc_slot *slot, enum ubc_counter c, uint64_t held)
{
	uint64_t *max = &slot->row[c].maxheld, was = __atomic_load_n(max, __ATOMIC_RELAXED);

	while (was < held && !__atomic_compare_exchange_n(max, &was, held, true, __ATOMIC_RELAXED,
							  __ATOMIC_RELAXED))
		;
}
