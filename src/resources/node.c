/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum {
	PTYS_DEFAULT = 4096, /* NR_UNIX98_PTY_DEFAULT: what the kernel gives by itself */
	PTYS_RESERVE = 1024, /* NR_UNIX98_PTY_RESERVE: of these, for the node's own devpts */
	PTYS_CEILING = 1 << 20, /* NR_UNIX98_PTY_MAX: it has numbers for no more */
	PTY_BYTES = 160 << 10,
};

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

uint64_t cg_node_ptys(uint64_t ram)
{
	const uint64_t fit = ram / 4 / PTY_BYTES;

	if (fit < PTYS_DEFAULT)
		return PTYS_DEFAULT;
	return fit < PTYS_CEILING ? fit : PTYS_CEILING;
}

uint64_t res_ptys_share(void)
{
	return (cg_node_ptys(cg_node_ram()) - PTYS_RESERVE) / 8;
}

void cg_raise_ptys(void)
{
	static const char file[] = "/proc/sys/kernel/pty/max";
	const uint64_t most = cg_node_ptys(cg_node_ram());
	uint64_t now;
	char text[24];

	if (vz_read_u64(AT_FDCWD, file, &now) < 0 || now >= most)
		return;
	(void)snprintf(text, sizeof(text), "%" PRIu64, most);
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
