/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How fast does a VPS write to its memory, and how fast can that be written away? */
#include "checkpoint/preflight.h"

#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { MAPS_MAX = 64 << 20, ENTRIES = 4096, SHARED = 256 };

/* Bits of /proc/PID/pagemap (the kernel's admin-guide/mm/pagemap.rst). */
#define PM_SOFT_DIRTY (UINT64_C(1) << 55)
#define PM_PRESENT    (UINT64_C(3) << 62)

/** struct shared - a file that several processes may map: its pages count once */
struct shared {
	unsigned int major, minor;
	uint64_t inode, most; /* pages, of the process that wrote most */
};

struct count {
	uint64_t pages;
	struct shared shared[SHARED];
	size_t nshared;
};

/* Pages of [@from, @to) whose bit is set. */
static uint64_t dirty_pages(int pagemap, uint64_t from, uint64_t to)
{
	static uint64_t entries[ENTRIES];
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t found = 0;

	while (from < to) {
		uint64_t want = (to - from) / page;
		ssize_t got;

		if (want > ENTRIES)
			want = ENTRIES;
		got = pread(pagemap, entries, want * sizeof(*entries),
			    (off_t)(from / page * sizeof(*entries)));
		if (got <= 0)
			break;
		for (size_t i = 0; i < (size_t)got / sizeof(*entries); i++)
			found += (entries[i] & PM_SOFT_DIRTY) && (entries[i] & PM_PRESENT);
		from += (uint64_t)got / sizeof(*entries) * page;
	}
	return found;
}

static void add_shared(struct count *c, unsigned int major, unsigned int minor, uint64_t inode,
		       uint64_t pages)
{
	for (size_t i = 0; i < c->nshared; i++) {
		struct shared *s = &c->shared[i];

		if (s->inode == inode && s->major == major && s->minor == minor) {
			if (pages > s->most)
				s->most = pages;
			return;
		}
	}
	if (c->nshared < SHARED)
		c->shared[c->nshared++] = (struct shared){ major, minor, inode, pages };
	else
		c->pages += pages;
}

static void count_process(struct count *c, pid_t pid)
{
	VZ_FREE char *maps = NULL;
	VZ_FD int pagemap = -EBADF;
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	if (vz_read_file(AT_FDCWD, path, MAPS_MAX, &maps) < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	pagemap = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (pagemap < 0)
		return;
	for (const char *line = maps; line && *line;) {
		uint64_t from, to, inode, pages;
		unsigned int major, minor;
		char flags[5];

		/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %x:%x %" SCNu64, &from, &to,
			   flags, &major, &minor, &inode) == 6 &&
		    flags[1] == 'w') {
			pages = dirty_pages(pagemap, from, to);
			if (flags[3] == 's' && pages)
				add_shared(c, major, minor, inode, pages);
			else
				c->pages += pages;
		}
		line = strchr(line, '\n');
		line += line != NULL;
	}
}

/* A new mapping that was written to has the bit, if there is one at all. */
bool cpt_dirty_tracked(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	VZ_FD int pagemap = vz_openat(AT_FDCWD, "/proc/self/pagemap", O_RDONLY, 0);
	volatile char *at =
		mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool r;

	if (at == MAP_FAILED)
		return false;
	*at = 1;
	r = pagemap >= 0 && dirty_pages(pagemap, (uintptr_t)at, (uintptr_t)at + page) == 1;
	(void)munmap((void *)at, page);
	return r;
}

int cpt_dirty(const pid_t *pids, size_t n, unsigned int ms, uint64_t *ret_bytes_per_s)
{
	VZ_FREE struct count *c = NULL;
	uint64_t begin = vz_now_ms(), took;
	char path[40];

	if (!cpt_dirty_tracked())
		return -EOPNOTSUPP;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int)pids[i]);
		(void)!vz_write_value(AT_FDCWD, path, "4");
	}
	(void)poll(NULL, 0, (int)ms);
	for (size_t i = 0; i < n; i++)
		count_process(c, pids[i]);
	took = vz_now_ms() - begin;
	for (size_t i = 0; i < c->nshared; i++)
		c->pages += c->shared[i].most;
	*ret_bytes_per_s = c->pages * (uint64_t)sysconf(_SC_PAGESIZE) * 1000 / (took ? took : 1);
	return 0;
}

int cpt_write_rate(const char *dir, uint64_t *ret_bytes_per_s)
{
	enum { CHUNK = 1 << 20, CHUNKS = 48 };
	VZ_FREE char *chunk = malloc(CHUNK);
	struct timespec begin, end;
	VZ_FD int fd = -EBADF;
	uint64_t ns;

	if (!chunk)
		return -ENOMEM;
	memset(chunk, 0x5a, CHUNK);
	fd = vz_openat(AT_FDCWD, dir, O_TMPFILE | O_WRONLY, 0600);
	if (fd < 0)
		return fd;
	if (clock_gettime(CLOCK_MONOTONIC, &begin) < 0)
		return -errno;
	for (int i = 0; i < CHUNKS; i++) {
		int r = vz_write_all(fd, chunk, CHUNK);

		if (r < 0)
			return r;
	}
	if (clock_gettime(CLOCK_MONOTONIC, &end) < 0)
		return -errno;
	ns = (uint64_t)(end.tv_sec - begin.tv_sec) * 1000000000 +
	     (uint64_t)(end.tv_nsec - begin.tv_nsec);
	*ret_bytes_per_s = (uint64_t)CHUNK * CHUNKS * 1000 / (ns / 1000000 ? ns / 1000000 : 1);
	return 0;
}
