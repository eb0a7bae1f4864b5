/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of /proc as the kernel would write them, were the VPS a machine; from numbers, by nothing else. */
#include "resources/resources.h"

#include "resources/priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* How long lines are, blanks included; longer ones are as long as they are. */
enum { CPU_WIDTH = 112, STAT_WIDTH = 32, VMSTAT_WIDTH = 48, DISK_WIDTH = 176 };

static void line(struct vz_buf *b, size_t width, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void line(struct vz_buf *b, size_t width, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	vz_buf_fmt(b, "%-*s\n", (int)width - 1, text);
}

/* ---- stat ---- */

void res_idle_add(struct res_idle *idle, const struct res_inside *i, uint64_t elapsed)
{
	const uint64_t used = i->user_usec + i->nice_usec + i->system_usec;
	uint64_t left, waited;

	/* other groups than last time, or another clock: what passed is not known */
	if (elapsed >= idle->elapsed && used >= idle->used &&
	    i->throttled_usec >= idle->throttled) {
		left = (elapsed - idle->elapsed) * i->cpus;
		left -= used - idle->used < left ? used - idle->used : left;
		waited = i->throttled_usec - idle->throttled;
		waited = waited < left ? waited : left;
		idle->steal += waited;
		idle->idle += left - waited;
	}
	idle->elapsed = elapsed;
	idle->used = used;
	idle->throttled = i->throttled_usec;
}

/* The part of @ticks that CPU @n of @cpus is said to have had: nobody counts them one by one. */
static uint64_t part(uint64_t ticks, unsigned int n, unsigned int cpus)
{
	return ticks / cpus + (n < ticks % cpus);
}

void res_stat_text(struct vz_buf *b, const struct res_inside *i, const struct res_idle *idle,
		   uint64_t btime)
{
	const uint64_t usec = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	const uint64_t u = i->user_usec / usec, n = i->nice_usec / usec, s = i->system_usec / usec,
		       id = idle->idle / usec, st = idle->steal / usec;

	line(b, CPU_WIDTH,
	     "cpu  %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 0 0 0 %" PRIu64 " 0 0", u, n, s,
	     id, st);
	for (unsigned int c = 0; c < i->cpus; c++)
		line(b, CPU_WIDTH,
		     "cpu%u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 0 0 0 %" PRIu64 " 0 0",
		     c, part(u, c, i->cpus), part(n, c, i->cpus), part(s, c, i->cpus),
		     part(id, c, i->cpus), part(st, c, i->cpus));
	line(b, STAT_WIDTH, "intr 0");
	line(b, STAT_WIDTH, "ctxt 0");
	line(b, STAT_WIDTH, "btime %" PRIu64, btime);
	line(b, STAT_WIDTH, "processes 0");
	line(b, STAT_WIDTH, "procs_running 1"); /* who reads */
	line(b, STAT_WIDTH, "procs_blocked 0");
	line(b, STAT_WIDTH, "softirq 0 0 0 0 0 0 0 0 0 0 0");
}

/* ---- vmstat ---- */

enum unit { COUNT, PAGES /* there in bytes */, KIB /* there in bytes */ };

/* One line of the kernel's vmstat, and where it is in memory.stat; in the kernel's order. */
static const struct row {
	const char *name, *v2, *v1;
	enum unit unit;
	bool always; /* programs look for it: 0 where it is not known */
} before_io[] = {
	{ "nr_inactive_anon", "inactive_anon", "total_inactive_anon", PAGES, true },
	{ "nr_active_anon", "active_anon", "total_active_anon", PAGES, true },
	{ "nr_inactive_file", "inactive_file", "total_inactive_file", PAGES, true },
	{ "nr_active_file", "active_file", "total_active_file", PAGES, true },
	{ "nr_unevictable", "unevictable", "total_unevictable", PAGES, true },
	{ "nr_slab_reclaimable", "slab_reclaimable", NULL, PAGES, false },
	{ "nr_slab_unreclaimable", "slab_unreclaimable", NULL, PAGES, false },
	{ "workingset_refault_anon", "workingset_refault_anon", "total_workingset_refault_anon",
	  COUNT, false },
	{ "workingset_refault_file", "workingset_refault_file", "total_workingset_refault_file",
	  COUNT, false },
	{ "workingset_activate_anon", "workingset_activate_anon", NULL, COUNT, false },
	{ "workingset_activate_file", "workingset_activate_file", NULL, COUNT, false },
	{ "workingset_restore_anon", "workingset_restore_anon", NULL, COUNT, false },
	{ "workingset_restore_file", "workingset_restore_file", NULL, COUNT, false },
	{ "workingset_nodereclaim", "workingset_nodereclaim", NULL, COUNT, false },
	{ "nr_anon_pages", "anon", "total_rss", PAGES, true },
	{ "nr_mapped", "file_mapped", "total_mapped_file", PAGES, true },
	{ "nr_file_pages", "file", "total_cache", PAGES, true },
	{ "nr_dirty", "file_dirty", "total_dirty", PAGES, true },
	{ "nr_writeback", "file_writeback", "total_writeback", PAGES, true },
	{ "nr_shmem", "shmem", "total_shmem", PAGES, true },
	{ "nr_kernel_stack", "kernel_stack", NULL, KIB, false },
	{ "nr_page_table_pages", "pagetables", NULL, PAGES, false },
	{ "nr_sec_page_table_pages", "sec_pagetables", NULL, PAGES, false },
	{ "nr_swapcached", "swapcached", "total_swapcached", PAGES, false },
}, after_io[] = {
	{ "pswpin", "pswpin", NULL, COUNT, true },
	{ "pswpout", "pswpout", NULL, COUNT, true },
	{ "pgactivate", "pgactivate", NULL, COUNT, false },
	{ "pgdeactivate", "pgdeactivate", NULL, COUNT, false },
	{ "pglazyfree", "pglazyfree", NULL, COUNT, false },
	{ "pgfault", "pgfault", "total_pgfault", COUNT, true },
	{ "pgmajfault", "pgmajfault", "total_pgmajfault", COUNT, true },
	{ "pglazyfreed", "pglazyfreed", NULL, COUNT, false },
	{ "pgrefill", "pgrefill", NULL, COUNT, false },
	{ "pgsteal_kswapd", "pgsteal_kswapd", NULL, COUNT, false },
	{ "pgsteal_direct", "pgsteal_direct", NULL, COUNT, false },
	{ "pgsteal_khugepaged", "pgsteal_khugepaged", NULL, COUNT, false },
	{ "pgscan_kswapd", "pgscan_kswapd", NULL, COUNT, false },
	{ "pgscan_direct", "pgscan_direct", NULL, COUNT, false },
	{ "pgscan_khugepaged", "pgscan_khugepaged", NULL, COUNT, false },
}, after_oom[] = {
	{ "thp_fault_alloc", "thp_fault_alloc", NULL, COUNT, false },
	{ "thp_collapse_alloc", "thp_collapse_alloc", NULL, COUNT, false },
};

static void vm_line(struct vz_buf *b, const char *name, uint64_t v)
{
	line(b, VMSTAT_WIDTH, "%s %" PRIu64, name, v);
}

static void vm_rows(struct vz_buf *b, const struct res_inside *i, const struct row *rows, size_t n)
{
	const uint64_t divide[] = {
		[COUNT] = 1,
		[PAGES] = (uint64_t)sysconf(_SC_PAGESIZE),
		[KIB] = 1024,
	};

	for (size_t r = 0; r < n; r++) {
		const char *key = i->memory_v1 ? rows[r].v1 : rows[r].v2;
		uint64_t v = 0;

		if ((key && cg_key(i->memory, key, &v) == 0) || rows[r].always)
			vm_line(b, rows[r].name, v / divide[rows[r].unit]);
	}
}

#define VM_ROWS(b, i, rows) vm_rows(b, i, rows, sizeof(rows) / sizeof(*(rows)))

void res_vmstat_text(struct vz_buf *b, const struct res_inside *i)
{
	uint64_t in = 0, out = 0;

	if (!i->memory)
		return;
	for (size_t d = 0; d < i->ndisks; d++) {
		in += i->disks[d].bytes[0];
		out += i->disks[d].bytes[1];
	}
	vm_line(b, "nr_free_pages", i->free_bytes / (uint64_t)sysconf(_SC_PAGESIZE));
	VM_ROWS(b, i, before_io);
	vm_line(b, "pgpgin", in / 1024);
	vm_line(b, "pgpgout", out / 1024);
	VM_ROWS(b, i, after_io);
	vm_line(b, "oom_kill", i->oom_kills);
	VM_ROWS(b, i, after_oom);
}

/* ---- diskstats ---- */

void res_diskstats_text(struct vz_buf *b, const struct res_inside *i)
{
	for (size_t n = 0; n < i->ndisks; n++) {
		const struct res_disk_io *d = &i->disks[n];

		if (!d->name[0] || !(d->ios[0] || d->ios[1] || d->ios[2]))
			continue;
		line(b, DISK_WIDTH,
		     "%4u %7u %s %" PRIu64 " 0 %" PRIu64 " 0 %" PRIu64 " 0 %" PRIu64
		     " 0 0 0 0 %" PRIu64 " 0 %" PRIu64 " 0 0 0",
		     d->major, d->minor, d->name, d->ios[0], d->bytes[0] / 512, d->ios[1],
		     d->bytes[1] / 512, d->ios[2], d->bytes[2] / 512);
	}
}
