/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UTIL_CGROUP2OPTS_H
#define UTIL_CGROUP2OPTS_H

#include <stddef.h>

/**
 * vz_cgroup2_options - options that the cgroup2 file system has, which are the same for all mounts of it: "nsdelegate,..."
 * @dst: "" where there is none, none is mounted in our mount namespace, or they are too long
 * Context: any namespace with a /proc; of nothing but libc, since it is linked into what is loaded into other programs.
 * Source: proc(5), mountinfo: what stands behind "- cgroup2 SOURCE rw,".
 */
void vz_cgroup2_options(char *dst, size_t size);

#endif
