/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ubc/priv.h"

#include "util/str.h"

#include <errno.h>

/* What a counter is called, and which programs count it; -1: none of ours. */
static const struct {
	const char *name;
	int group;
} counters[UBC_NR] = {
	[UBC_KMEMSIZE] = { "kmemsize", -1 },
	[UBC_LOCKEDPAGES] = { "lockedpages", UBC_G_MM },
	[UBC_PRIVVMPAGES] = { "privvmpages", UBC_G_MM },
	[UBC_SHMPAGES] = { "shmpages", UBC_G_SHM },
	[UBC_NUMPROC] = { "numproc", -1 },
	[UBC_PHYSPAGES] = { "physpages", -1 },
	[UBC_VMGUARPAGES] = { "vmguarpages", -1 },
	[UBC_OOMGUARPAGES] = { "oomguarpages", -1 },
	[UBC_NUMTCPSOCK] = { "numtcpsock", UBC_G_SOCK },
	[UBC_NUMFLOCK] = { "numflock", UBC_G_LOCK },
	[UBC_NUMPTY] = { "numpty", UBC_G_PTY },
	[UBC_NUMSIGINFO] = { "numsiginfo", -1 },
	[UBC_TCPSNDBUF] = { "tcpsndbuf", -1 },
	[UBC_TCPRCVBUF] = { "tcprcvbuf", -1 },
	[UBC_OTHERSOCKBUF] = { "othersockbuf", -1 },
	[UBC_DGRAMRCVBUF] = { "dgramrcvbuf", -1 },
	[UBC_NUMOTHERSOCK] = { "numothersock", UBC_G_SOCK },
	[UBC_DCACHESIZE] = { "dcachesize", -1 },
	[UBC_NUMFILE] = { "numfile", UBC_G_FILE },
	[UBC_NUMIPTENT] = { "numiptent", -1 },
	[UBC_SWAPPAGES] = { "swappages", -1 },
};

const char *ubc_name(enum ubc_counter c)
{
	return (unsigned int)c < UBC_NR ? counters[c].name : "";
}

int ubc_by_name(const char *name)
{
	for (int c = 0; c < UBC_NR; c++)
		if (vz_streq(name, counters[c].name))
			return c;
	return -EINVAL;
}

int ubc_group_of(enum ubc_counter c)
{
	return (unsigned int)c < UBC_NR && counters[c].group >= 0 ? counters[c].group : -ENOENT;
}

const char *ubc_prefix(enum ubc_group g, enum ubc_method method)
{
	static const char *const prefixes[UBC_GROUPS] = {
		[UBC_G_FILE] = "file_", [UBC_G_LOCK] = "lock_", [UBC_G_SOCK] = "sock_",
		[UBC_G_PTY] = "pty_",	[UBC_G_MM] = "mm_",	[UBC_G_SHM] = "shm_",
	};

	if (method == UBC_BY_CGROUP)
		return g == UBC_G_SOCK ? "cg_" : NULL;
	return method == UBC_BY_NOTHING ? NULL : prefixes[g];
}

const char *ubc_object_map(enum ubc_group g)
{
	static const char *const maps[UBC_GROUPS] = {
		[UBC_G_FILE] = "files", [UBC_G_LOCK] = "locks", [UBC_G_SOCK] = "socks",
		[UBC_G_PTY] = "ptys",	[UBC_G_MM] = "mms",	[UBC_G_SHM] = "shms",
	};

	return maps[g];
}

const char *ubc_mode_name(enum ubc_mode m)
{
	static const char *const names[UBC_MODES] = {
		[UBC_STORED] = "stored",
		[UBC_ACCOUNTED] = "accounted",
		[UBC_GUARANTEE] = "guarantee",
		[UBC_ENFORCED] = "enforced",
	};

	return (unsigned int)m < UBC_MODES ? names[m] : "";
}

const char *ubc_method_name(enum ubc_method m)
{
	static const char *const names[UBC_METHODS] = {
		[UBC_BY_NOTHING] = "none",
		[UBC_BY_CGROUP] = "cgroup",
		[UBC_BY_FMOD] = "fmod_ret",
		[UBC_BY_LSM] = "lsm",
	};

	return (unsigned int)m < UBC_METHODS ? names[m] : "";
}

/* A limit of locked pages at or above that of memory itself refuses nothing: a VSwap VPS has one (implied). */
uint32_t ubc_needs(const struct ubc_row row[UBC_NR])
{
	uint32_t needs = 0;

	for (int c = 0; c < UBC_NR; c++) {
		uint64_t limit = row[c].limit < row[c].barrier ? row[c].limit : row[c].barrier;

		if (counters[c].group < 0 || limit >= INT64_MAX)
			continue;
		if (c == UBC_LOCKEDPAGES && row[c].limit >= row[UBC_PHYSPAGES].limit)
			continue;
		needs |= 1U << counters[c].group;
	}
	return needs;
}
