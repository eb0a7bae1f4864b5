/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UTIL_USERNS_H
#define UTIL_USERNS_H

#include <stdint.h>
#include <sys/types.h>

/**
 * vz_userns_open - a user namespace that maps ids 0...count-1 to base...base+count-1, for idmapped
 * mounts and for cages. It is made by a short-lived child whose euid is @base, so that its count is
 * charged to the VPS and not to uid 0 (ucounts).
 * Context: host namespaces, all capabilities. Return: fd the caller closes, or -errno.
 */
int vz_userns_open(uint64_t base, uint64_t count) __attribute__((warn_unused_result));

/**
 * vz_userns_write_maps - uid_map and gid_map of @pid: 0 @base @count, setgroups allowed. 0 or
 * -errno.
 */
int vz_userns_write_maps(pid_t pid, uint64_t base, uint64_t count)
	__attribute__((warn_unused_result));

/**
 * vz_become_base - in a child: setresgid, setresuid to @base, keeping every capability. 0 or
 * -errno.
 */
int vz_become_base(uint64_t base) __attribute__((warn_unused_result));

/**
 * vz_fs_as - in a child: file-system ids become @id, every capability stays raised. 0 or -errno.
 */
int vz_fs_as(uint64_t id) __attribute__((warn_unused_result));

#endif
