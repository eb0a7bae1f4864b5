/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/stat, vmstat and diskstats of a VPS: what lxcfs does not know. Plain files on the node, in
 * RUN/CTID/proc, put over the kernel's by the shower of the view (context/view-child.c) and written
 * when they are read (ADR 30). They are the node's, and look so inside, as the kernel's own do.
 */
#include "ops/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char *const names[OP_VIEW_FILES] = { "stat", "vmstat", "diskstats" };

static char *file_path(char dst[PATH_MAX], uint32_t ctid, const char *name)
{
	return vps_path(dst, "%s/%" PRIu32 "/proc/%s", vps_paths()->run, ctid, name);
}

/* What /proc/stat said last: beside the files, for the next time. */
#define LAST "last"

int op_view_files(uint32_t ctid)
{
	char path[PATH_MAX];
	int r = vz_mkdir_p(file_path(path, ctid, ""), 0755);

	if (r == 0 && unlink(file_path(path, ctid, LAST)) < 0 && errno != ENOENT)
		r = -errno;
	for (size_t i = 0; r == 0 && i < OP_VIEW_FILES; i++) {
		VZ_FD int fd = -EBADF;

		/* what an earlier start left has that VPS's numbers in it */
		if (unlink(file_path(path, ctid, names[i])) < 0 && errno != ENOENT)
			return -errno;
		fd = vz_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0444);
		if (fd < 0)
			return fd;
		if (fchmod(fd, 0444) < 0)
			return -errno;
	}
	return r;
}

/* ---- the clock of the VPS ---- */

static int64_t clock_usec(clockid_t c)
{
	struct timespec t = { 0 };

	(void)clock_gettime(c, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* Since the VPS began, as its /proc/uptime has it: the node's clock and the offset of its time namespace. */
static uint64_t elapsed_usec(pid_t init)
{
	int64_t usec = clock_usec(CLOCK_BOOTTIME);
	char path[48];
	const char *boot;
	VZ_FREE char *text = NULL;
	long long sec;

	(void)snprintf(path, sizeof(path), "/proc/%d/timens_offsets", (int)init);
	if (vz_read_file(AT_FDCWD, path, 4096, &text) >= 0) {
		boot = strstr(text, "boottime");
		/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
		if (boot && sscanf(boot, "boottime %lld", &sec) == 1)
			usec += sec * 1000000;
	}
	return usec > 0 ? (uint64_t)usec : 0;
}

struct last {
	struct res_idle idle;
	uint64_t btime; /* seconds since 1970 */
};

static void load_last(uint32_t ctid, struct last *l)
{
	char path[PATH_MAX];
	VZ_FREE char *text = NULL;
	struct last read;

	if (vz_read_file(AT_FDCWD, file_path(path, ctid, LAST), 256, &text) >= 0 &&
	    /* NOLINTNEXTLINE(cert-err34-c): we wrote these numbers */
	    sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
		   &read.idle.elapsed, &read.idle.used, &read.idle.throttled, &read.idle.idle,
		   &read.idle.steal, &read.btime) == 6)
		*l = read;
}

static void save_last(uint32_t ctid, const struct last *l)
{
	char path[PATH_MAX], text[160];
	int n = snprintf(text, sizeof(text),
			 "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
			 "\n",
			 l->idle.elapsed, l->idle.used, l->idle.throttled, l->idle.idle,
			 l->idle.steal, l->btime);

	/* without it idle time is what passed since the start, less what was used: nearly the same */
	(void)!vz_write_volatile(file_path(path, ctid, LAST), text, (size_t)n, 0600);
}

static void stat_text(uint32_t ctid, pid_t init, const struct res_inside *i, struct vz_buf *b)
{
	/* before there is a state file the VPS has just begun */
	uint64_t elapsed = init > 0 ? elapsed_usec(init) : 0;
	uint64_t now = (uint64_t)clock_usec(CLOCK_REALTIME);
	uint64_t btime = (now > elapsed ? now - elapsed : 0) / 1000000;
	struct last l = { 0 };

	load_last(ctid, &l);
	res_idle_add(&l.idle, i, elapsed);
	/* two clocks are never read at once: it shall not waver by a second */
	if (init <= 0 || btime > l.btime + 1 || btime + 1 < l.btime)
		l.btime = btime;
	res_stat_text(b, i, &l.idle, l.btime);
	save_last(ctid, &l);
}

/* ---- writing ---- */

int op_view_refresh(uint32_t ctid, const int fds[OP_VIEW_FILES], struct vz_error *err)
{
	VPS_STATE struct vps_state st = { 0 };
	RES_INSIDE struct res_inside inside = { 0 };
	RES_CG struct cg *cg = NULL;
	struct vz_buf text[OP_VIEW_FILES] = { { 0 } };
	/* a start script reads before there is a state file */
	int r = vps_running(ctid, &st) ? res_open(&st.cgroups, &cg, err)
				       : res_open_ctid(ctid, &cg, err);

	if (r < 0)
		return r;
	r = res_inside_read(cg, &inside);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -r, "cannot read the groups of VPS %" PRIu32,
			       ctid);
	stat_text(ctid, st.init_pid, &inside, &text[0]);
	res_vmstat_text(&text[1], &inside);
	res_diskstats_text(&text[2], &inside);
	for (size_t i = 0; i < OP_VIEW_FILES; i++) {
		if (r == 0)
			r = op_write_over(fds[i], &text[i]);
		vz_buf_clear(&text[i]);
	}
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "write the view of VPS %" PRIu32, ctid) : 0;
}
