/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef STORAGE_LAYOUT_H
#define STORAGE_LAYOUT_H

#include "util/error.h"

#include <stdbool.h>

struct sto_place;

/** struct sto_layout - one way to keep and mount the files of a VPS */
struct sto_layout {
	const char *name;
	bool needs_template; /* mounts need the unpacked template; create unpacks nothing */
	bool idmap_root; /* the VPS's clone is idmapped (else the layers below are) */
	/*
	 * make the private area ready for use, in directory @dir (a temporary one, renamed later)
	 */
	int (*create)(const char *dir, const struct sto_place *p, struct vz_error *err);
	/* mount it at p->root, which exists; flags nosuid, nodev */
	int (*mount)(const struct sto_place *p, int userns_fd, struct vz_error *err);
};

#endif
