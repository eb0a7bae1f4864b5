/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What fork(2) costs a restore that is streamed. CRIU reads a process's memory from its pipe before it forks the
 * children of that process, and each of them has a copy of its page tables until it has dropped what it does not share,
 * and pages of CRIU's own beside. Where many processes are in a small VPS, that does not fit into it any more. A CRIU that reads
 * files leaves memory that nobody shares to the end, when all are there.
 */
#include "checkpoint/checkpoint.h"

#include "checkpoint/priv.h"
#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

enum {
	IMAGE_MAX = 64 << 20,
	F_PID = 1, /* images/pstree.proto */
	F_PPID = 2,
	F_VADDR = 1, /* images/pagemap.proto */
	F_PAGES = 2,
	PAGE_BITS = 12,
	TABLE_BITS = 21, /* of memory that one page of a page table has entries for */
	OWN = 512 << 10, /* of CRIU's own memory in each process; measured: 0.48 MiB */
	SPARE = 24 << 20, /* of what res_restore_room() leaves: 32 MiB and an eighth */
	PART = 8,
};

static ssize_t read_image(int dir, const char *name, char **ret)
{
	ssize_t n = vz_read_file(dir, name, IMAGE_MAX, ret);

	return n < 0 ? n : n < CPT_IMAGE_HEAD ? -EBADMSG : n;
}

/* Numbers of fields @one and @two of the message at *@at. */
static int next_two(const char *text, size_t len, size_t *at, uint64_t one, uint64_t two,
		    uint64_t ret[2])
{
	const unsigned char *b = (const unsigned char *)text;
	struct cpt_field f;
	uint32_t size;
	int r = cpt_message_next(b, len, at, &size);

	ret[0] = ret[1] = 0;
	b += *at - (r == 0 ? size : 0);
	for (size_t in = 0; r == 0 && in < size;) {
		r = cpt_field_next(b, size, &in, &f);
		if (r == 0 && !f.bytes && (f.number == one || f.number == two))
			ret[f.number == two] = f.value;
	}
	return r;
}

/* Pages that the tables of process @pid have. None: it is a zombie. */
static int tables_of(int dir, uint64_t pid, uint64_t *ret)
{
	VZ_FREE char *text = NULL;
	uint64_t last = UINT64_MAX, v[2], n = 0;
	char name[48];
	ssize_t len;

	(void)snprintf(name, sizeof(name), "pagemap-%" PRIu64 ".img", pid);
	len = read_image(dir, name, &text);
	*ret = 0;
	if (len < 0)
		return len == -ENOENT ? 0 : (int)len;
	for (size_t at = CPT_IMAGE_HEAD, i = 0; at < (size_t)len; i++) {
		uint64_t from, to;

		if (next_two(text, (size_t)len, &at, F_VADDR, F_PAGES, v) < 0 || v[1] > UINT32_MAX)
			return -EBADMSG;
		if (i == 0 || v[1] == 0) /* the head is no piece of memory */
			continue;
		from = v[0] >> TABLE_BITS;
		to = (v[0] + (v[1] << PAGE_BITS) - 1) >> TABLE_BITS;
		if (to < from)
			return -EBADMSG;
		n += to - from + (from != last);
		last = to;
	}
	*ret = n;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Who forked them, of all processes; malloc'ed, in order. Return: how many; -errno. */
static ssize_t parents(int dir, uint64_t **ret)
{
	VZ_FREE char *text = NULL;
	VZ_FREE uint64_t *all = NULL;
	ssize_t len = read_image(dir, "pstree.img", &text);
	size_t n = 0;
	uint64_t v[2];

	if (len < 0)
		return len;
	/* a message has four bytes at least */
	all = calloc((size_t)len / sizeof(uint32_t) + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (size_t at = CPT_IMAGE_HEAD; at < (size_t)len; n++) {
		if (next_two(text, (size_t)len, &at, F_PID, F_PPID, v) < 0)
			return -EBADMSG;
		all[n] = v[1];
	}
	qsort(all, n, sizeof(*all), by_number);
	*ret = vz_take_ptr(&all);
	return (ssize_t)n;
}

bool cpt_forks_much(const char *images, uint64_t memory)
{
	VZ_FD int dir = vz_openat(AT_FDCWD, images, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	const uint64_t most = (memory / PART + SPARE) >> PAGE_BITS;
	VZ_FREE uint64_t *of = NULL;
	ssize_t n = dir < 0 ? dir : parents(dir, &of);
	uint64_t sum = 0, tables = 0;

	for (ssize_t i = 0; i < n && sum <= most; i++) {
		if ((i == 0 || of[i] != of[i - 1]) && tables_of(dir, of[i], &tables) < 0)
			return true;
		sum += tables + (OWN >> PAGE_BITS);
	}
	return n < 0 || sum > most;
}
