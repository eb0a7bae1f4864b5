/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counter group 0: the node. Its kernel's own numbers, from files that everybody may read. */
#include "ops/ubc.h"

#include "util/fd.h"
#include "util/parse.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { PAGE_BYTES = 4096, KIB = 1024, TEXT_MAX = 64 << 20 };

static char *text_of(const char *path)
{
	char *text = NULL;

	return vz_read_file(AT_FDCWD, path, TEXT_MAX, &text) < 0 ? NULL : text;
}

/* The number after @key, which begins a line of @text or stands within one; 0 when it is not there. */
static uint64_t after(const char *text, const char *key)
{
	const char *at = text ? strstr(text, key) : NULL;
	char number[24];
	uint64_t v = 0;

	if (!at)
		return 0;
	at += strlen(key);
	at += strspn(at, " \t");
	(void)snprintf(number, sizeof(number), "%.*s", (int)strspn(at, "0123456789"), at);
	return vz_parse_u64(number, 0, UINT64_MAX, &v) == 0 ? v : 0;
}

static uint64_t lines_of(const char *text)
{
	uint64_t n = 0;

	for (; text && (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

static void put(struct op_ubc *u, enum ubc_counter c, uint64_t held)
{
	u->row[c].held = u->row[c].maxheld = held;
	u->known |= OP_UBC_BIT(c);
	u->mode[c] = UBC_ACCOUNTED;
}

static void from_meminfo(struct op_ubc *u)
{
	VZ_FREE char *text = text_of("/proc/meminfo");
	const uint64_t page = PAGE_BYTES / KIB;
	uint64_t total = after(text, "MemTotal:"), swap = after(text, "SwapTotal:");
	uint64_t used = total - after(text, "MemFree:");

	if (!text)
		return;
	put(u, UBC_PHYSPAGES, used / page);
	put(u, UBC_SWAPPAGES, (swap - after(text, "SwapFree:")) / page);
	put(u, UBC_OOMGUARPAGES, u->row[UBC_PHYSPAGES].held + u->row[UBC_SWAPPAGES].held);
	put(u, UBC_VMGUARPAGES, 0);
	put(u, UBC_KMEMSIZE,
	    (after(text, "\nSlab:") + after(text, "KernelStack:") + after(text, "PageTables:")) *
		    KIB);
	put(u, UBC_DCACHESIZE, after(text, "SReclaimable:") * KIB);
	put(u, UBC_LOCKEDPAGES, after(text, "Mlocked:") / page);
	put(u, UBC_SHMPAGES, after(text, "Shmem:") / page);
	put(u, UBC_PRIVVMPAGES, after(text, "Committed_AS:") / page);
}

/* Processes and threads: the number after the slash of "1.23 0.50 0.10 2/345 6789". */
static void from_proc(struct op_ubc *u, uint32_t want)
{
	VZ_FREE char *load = text_of("/proc/loadavg"), *file = text_of("/proc/sys/fs/file-nr");
	VZ_FREE char *locks = want & OP_UBC_BIT(UBC_NUMFLOCK) ? text_of("/proc/locks") : NULL;
	uint64_t v;

	if (load)
		put(u, UBC_NUMPROC, after(load, "/"));
	if (file)
		put(u, UBC_NUMFILE, after(file, ""));
	put(u, UBC_NUMFLOCK, lines_of(locks));
	if (vz_read_u64(AT_FDCWD, "/proc/sys/kernel/pty/nr", &v) == 0)
		put(u, UBC_NUMPTY, v);
}

static void from_sockstat(struct op_ubc *u)
{
	VZ_FREE char *v4 = text_of("/proc/net/sockstat"), *v6 = text_of("/proc/net/sockstat6");
	uint64_t tcp = after(v4, "TCP: inuse ") + after(v6, "TCP6: inuse ");
	uint64_t all = after(v4, "sockets: used ");

	if (!v4)
		return;
	put(u, UBC_NUMTCPSOCK, tcp);
	put(u, UBC_NUMOTHERSOCK, all > tcp ? all - tcp : 0);
}

void op_ubc_node(uint32_t want, struct op_ubc *ret)
{
	*ret = (struct op_ubc){ .ctid = 0 };
	for (int c = 0; c < UBC_NR; c++)
		ret->row[c].barrier = ret->row[c].limit = INT64_MAX;
	from_meminfo(ret);
	from_proc(ret, want);
	from_sockstat(ret);
	for (int c = 0; c < UBC_NR; c++)
		if (!(want & OP_UBC_BIT(c)))
			ret->row[c].held = ret->row[c].maxheld = 0;
}
