/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ops/steps.h"

#include "util/log.h"

int op_steps_run(const struct op_step *steps, size_t n, void *arg, struct vz_error *err)
{
	for (size_t i = 0; i < n; i++) {
		int r = steps[i].run(arg, err);

		vz_debug("step %s: %d", steps[i].name, r);
		if (r >= 0)
			continue;
		for (size_t u = i + 1; u-- > 0;)
			if (steps[u].undo)
				steps[u].undo(arg);
		return r;
	}
	return 0;
}
