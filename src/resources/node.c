/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { NODE_PTYS = 1 << 20 }; /* the most that the kernel has numbers for */

uint64_t cg_node_tasks(void)
{
	uint64_t numbers = CG_PIDS_CEILING, threads = CG_PIDS_CEILING;

	(void)!vz_read_u64(AT_FDCWD, "/proc/sys/kernel/pid_max", &numbers);
	(void)!vz_read_u64(AT_FDCWD, "/proc/sys/kernel/threads-max", &threads);
	return numbers < threads ? numbers : threads;
}

uint64_t cg_node_ram(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
}

void cg_raise_ptys(void)
{
	static const char file[] = "/proc/sys/kernel/pty/max";
	uint64_t now;
	char text[24];

	if (vz_read_u64(AT_FDCWD, file, &now) < 0 || now >= NODE_PTYS)
		return;
	(void)snprintf(text, sizeof(text), "%d", NODE_PTYS);
	(void)!vz_write_value(AT_FDCWD, file, text);
}

void cg_guard_slice(const char *dir)
{
	uint64_t most = cg_node_tasks() / 8 * 7;
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, most);
	(void)!cg_write(dir, "pids.max", text);
	(void)snprintf(text, sizeof(text), "%d", CG_SLICE_GROUPS);
	(void)!cg_write(dir, "cgroup.max.descendants", text);
}
