/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * start --wait for an init with an inittab: a line that runs once the boot is over writes into a
 * FIFO that vzctl reads. The line stays and does nothing while there is no FIFO.
 */
#include "dist/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define HOOK "/bin/sh -c \"[ -p " DIST_FIFO " ] && echo up > " DIST_FIFO " && rm -f " DIST_FIFO "\""

/* BusyBox takes the first field for a terminal and knows no runlevels. */
static const char *hook_line(const char *kind)
{
	return vz_streq(kind, "busybox") ? "::once:" HOOK "\n" : "vz:2345:once:" HOOK "\n";
}

static int add_line(const char *line, struct vz_error *err)
{
	DIST_FILE struct dist_file f = { .dirfd = -EBADF };
	VZ_BUF struct vz_buf b = { 0 };
	int r = dist_load("/etc/inittab", &f);

	if (r == 0 && !f.there)
		r = -ENOENT;
	if (r < 0)
		return vz_fail(err, VZ_EXIT_WAIT, -r, "/etc/inittab");
	if (strstr(f.text, DIST_FIFO))
		return 0;
	vz_buf_add(&b, f.text, f.len);
	if (f.len && f.text[f.len - 1] != '\n')
		vz_buf_str(&b, "\n");
	vz_buf_str(&b, line);
	r = b.failed ? -ENOMEM : dist_store(&f, b.s, b.len, 0644, false);
	return r < 0 ? vz_fail(err, VZ_EXIT_WAIT, -r, "/etc/inittab") : 0;
}

int dist_wait(const struct dist_job *job, struct vz_error *err)
{
	struct dist_result found = { .looked = false };
	int r = dist_init_caged(job, &found);

	if (r < 0) {
		*err = found.err;
		return r;
	}
	if (unlink(DIST_FIFO) < 0 && errno != ENOENT)
		return vz_fail(err, VZ_EXIT_WAIT, errno, DIST_FIFO);
	if (mkfifo(DIST_FIFO, 0600) < 0)
		return vz_fail(err, VZ_EXIT_WAIT, errno, DIST_FIFO);
	return add_line(hook_line(found.init.kind), err);
}
