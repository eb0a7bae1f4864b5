/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The node's own share of the CPU, VE0CPUUNITS. Where all VPSes are in the group of a systemd unit, systemd
 * writes the weight it knows whenever a unit beside it comes or goes, which every mount of a VPS is. So it is
 * told the new one, in the background: a start does not wait for a bus.
 */
#include "ops/node.h"

#include "ops/priv.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>

/* RUN/weight: what systemd was told last. */
static uint64_t told(char path[PATH_MAX])
{
	uint64_t v = 0;

	(void)!vz_read_u64(AT_FDCWD, vps_path(path, "%s/weight", vps_paths()->run), &v);
	return v;
}

void op_node_share(const struct vps_config *cfg)
{
	char unit[NAME_MAX + 1], path[PATH_MAX], program[PATH_MAX];
	const char *const argv[] = { program, "weigh", NULL };
	const struct vz_run how = { .silent = true };
	uint64_t weight = res_node_share(cfg->ve0cpuunits, unit);

	if (!unit[0] || told(path) == weight)
		return;
	(void)vps_path(program, "%s/vz-node", vps_paths()->libexec);
	if (vz_spawn(argv, &how) < 0)
		vz_info("%s does not run: systemd keeps another share of the CPU for VPSes",
			program);
}

int op_node_weigh(struct vz_error *err)
{
	VPS_CONFIG struct vps_config global = { 0 };
	char unit[NAME_MAX + 1], path[PATH_MAX], text[40];
	const char *const argv[] = {
		"/bin/systemctl", "set-property", "--runtime", unit, text, NULL
	};
	const struct vz_run how = { .silent = true, .timeout_ms = 30000 };
	VZ_FD int lock = -EBADF;
	uint64_t weight;
	int r = vps_load_global(&global, err);

	if (r < 0)
		return r;
	lock = vz_openat(AT_FDCWD, vps_path(path, "%s/weight.lck", vps_paths()->run),
			 O_RDWR | O_CREAT, 0600);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, lock < 0 ? -lock : errno, "lock %s", path);
	/* of many that wait for the lock the first tells what all came for */
	weight = res_node_share(global.ve0cpuunits, unit);
	if (!unit[0] || told(path) == weight)
		return 0;
	(void)snprintf(text, sizeof(text), "CPUWeight=%" PRIu64, weight);
	r = vz_run(argv, &how);
	if (r != 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, r < 0 ? -r : 0, "%s of %s could not be set",
			       text, unit);
	(void)snprintf(text, sizeof(text), "%" PRIu64 "\n", weight);
	r = vz_write_volatile(path, text, strlen(text), 0644);
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "write %s", path) : 0;
}
