/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CHECKPOINT_PRIV_H
#define CHECKPOINT_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CPT_NAME = 96, CPT_DEVS = 4096, CPT_DEV_BYTES = 1 << 20 };

/** cpt_name_valid - is it a name that an image in a dump may have: no path, no hidden file, short. */
bool cpt_name_valid(const char *s);

/** cpt_dev_path_valid - a relative path without "." and "..". */
bool cpt_dev_path_valid(const char *path);

/** cpt_crc - CRC-32C (Castagnoli, RFC 3720 B.4), continued from @crc, which is 0 at first. */
uint32_t cpt_crc(uint32_t crc, const void *data, size_t len);

#endif
