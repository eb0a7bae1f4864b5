/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/priv.h"

#include "util/fd.h"
#include "util/log.h"
#include "util/proc.h"

#include <fcntl.h>
#include <sys/stat.h>

int op_script(const struct op *o, const char *name, struct vz_error *err)
{
	const char *root = secure_getenv("CROFT_ROOT"), *lib = secure_getenv("CROFT_LIBEXEC");
	char own_root[PATH_MAX + 16], own_lib[PATH_MAX + 16];
	char path[PATH_MAX], veid[32], conf[PATH_MAX + 64], in[PATH_MAX + 64];
	const char *env[] = {
		"HOME=/", "TERM=linux", VZ_PATH_ENV, veid, conf, in, NULL, NULL, NULL
	};
	const char *argv[] = { path, NULL };
	struct vz_run how = { .env = env };
	struct stat st;
	int r;

	(void)vps_path(path, "%s/%s", vps_paths()->conf, name);
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return 0;
	(void)snprintf(veid, sizeof(veid), "VEID=%u", o->ctid);
	(void)snprintf(conf, sizeof(conf), "VE_CONFFILE=%s/%u.conf", vps_paths()->conf, o->ctid);
	(void)snprintf(in, sizeof(in), "VZIN=%s/vzctl-admin internal-in %u", vps_paths()->libexec,
		       o->ctid);
	if (root) { /* a tree of tests: the script's own vzctl must see the same one */
		(void)snprintf(own_root, sizeof(own_root), "CROFT_ROOT=%s", root);
		(void)snprintf(own_lib, sizeof(own_lib), "CROFT_LIBEXEC=%s",
			       lib ? lib : vps_paths()->libexec);
		env[6] = own_root;
		env[7] = own_lib;
	}
	vz_info("Running script %s", path);
	r = vz_run(argv, &how);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SCRIPT, -r, "Unable to run script %s", path);
	if (r > 0)
		return vz_fail(err, VZ_EXIT_SCRIPT, 0, "Script %s failed, exit code %d", path, r);
	return 0;
}

int op_scripts(const struct op *o, const char *what, bool own_first, struct vz_error *err)
{
	char common[64], own[64];
	int r;

	(void)snprintf(common, sizeof(common), "vps.%s", what);
	(void)snprintf(own, sizeof(own), "%u.%s", o->ctid, what);
	r = op_script(o, own_first ? own : common, err);
	return r < 0 ? r : op_script(o, own_first ? common : own, err);
}

int op_script_inside(const struct op *o, const char *what)
{
	char path[PATH_MAX];
	VZ_FREE char *text = NULL;
	ssize_t n;

	(void)vps_path(path, "%s/%u.%s", vps_paths()->conf, o->ctid, what);
	n = vz_read_file(AT_FDCWD, path, 1 << 20, &text);
	return n < 0 ? (int)n : vz_memfd(what, text, (size_t)n);
}
