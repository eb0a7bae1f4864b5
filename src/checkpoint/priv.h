/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CHECKPOINT_PRIV_H
#define CHECKPOINT_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CPT_NAME = 96, CPT_DEVS = 4096, CPT_DEV_BYTES = 1 << 20 };

/** cpt_name_valid - is it a name that an image in a dump may have: no path, no hidden file, short. */
bool cpt_name_valid(const char *s);

/** cpt_dev_path_valid - a relative path without "." and "..". */
bool cpt_dev_path_valid(const char *path);

/** cpt_crc - CRC-32C (Castagnoli, RFC 3720 B.4), continued from @crc, which is 0 at first. */
uint32_t cpt_crc(uint32_t crc, const void *data, size_t len);

/* vfork.c */

/** cpt_vfork_waits - does a thread of @pid, which stands still, wait in vfork(2)? See cpt_in_vfork(). */
bool cpt_vfork_waits(pid_t pid);

/* tools.c */

/**
 * cpt_tools_env - "PATH=..." for CRIU, malloc'ed in @ret; without @iptables a directory of ours that has none
 * Return: 0 or -ENOMEM.
 */
int cpt_tools_env(bool iptables, char **ret);
/** cpt_iptables_of - does the network namespace of @pid have tables of the old iptables, or can that not be known? */
bool cpt_iptables_of(pid_t pid);
/** cpt_iptables_in - do the images of a dump have some? */
bool cpt_iptables_in(const char *images);

#endif
