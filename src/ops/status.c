/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct op_status_words op_status(uint32_t ctid, struct vz_list *ret_left)
{
	VPS_CONFIG struct vps_config c = { 0 };
	struct op_status_words s = { 0 };
	struct vz_error err;
	char path[PATH_MAX];
	bool has_conf;
	struct stat st;

	s.running = vps_running(ctid, NULL);
	has_conf = vps_load(ctid, &c, NULL, &err) == 0;
	if (has_conf) {
		s.exists = c.ve_private && stat(c.ve_private, &st) == 0 && S_ISDIR(st.st_mode);
		s.mounted = s.running || (c.ve_root && vz_is_mountpoint(c.ve_root) == 1);
		s.suspended = s.exists && !s.running &&
			      access(vps_path(path, "%s/Dump.%u", c.dumpdir ? c.dumpdir : "", ctid),
				     F_OK) == 0;
	} else if (vps_load_global(&c, &err) < 0 || op_former(&c, ctid) < 0) {
		return s;
	}
	if (ctid && op_left(ctid, &c, has_conf, &s, ret_left) < 0)
		vz_list_clear(ret_left);
	return s;
}
