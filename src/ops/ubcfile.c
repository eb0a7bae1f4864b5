/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /run/vz/user_beancounters and /run/vz/failures. Those that a VPS sees lie on the node, in
 * RUN/CTID/inside, which is bound read-only at its /run/vz. They are written in place: vzmon watches
 * these very files, and who has one open reads on.
 */
#include "ops/ubc.h"

#include "ops/list.h"
#include "ops/priv.h"
#include "util/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

static const char *const file_names[2] = { "user_beancounters", "failures" };

/* ---- text ---- */

void op_ubc_head(struct vz_buf *b)
{
	vz_buf_fmt(b, "Version: 2.5\n%10s  %-12s %20s %20s %20s %20s %20s\n", "uid", "resource",
		   "held", "maxheld", "barrier", "limit", "failcnt");
}

static uint64_t shown(uint64_t v)
{
	return v > INT64_MAX ? INT64_MAX : v;
}

static void add_row(struct vz_buf *b, const char *id, const char *name, const struct ubc_row *r)
{
	vz_buf_fmt(b,
		   "%10s%c %-12s %20" PRIu64 " %20" PRIu64 " %20" PRIu64 " %20" PRIu64 " %20" PRIu64
		   "\n",
		   id, *id ? ':' : ' ', name, shown(r->held), shown(r->maxheld), shown(r->barrier),
		   shown(r->limit), shown(r->failcnt));
}

/* Parsers count lines, too: OpenVZ's placeholders stand where they did. */
static int dummies_after(enum ubc_counter c)
{
	return c == UBC_SHMPAGES ? 1 : c == UBC_NUMFILE ? 3 : 0;
}

void op_ubc_text(struct vz_buf *b, const struct op_ubc *u)
{
	static const struct ubc_row nothing = { 0 };
	char id[16];

	(void)snprintf(id, sizeof(id), "%" PRIu32, u->ctid);
	for (int c = 0; c < UBC_NR; c++) {
		add_row(b, c == 0 ? id : "", ubc_name(c), &u->row[c]);
		for (int i = dummies_after(c); i > 0; i--)
			add_row(b, "", "dummy", &nothing);
	}
}

double op_refusal_time(uint64_t boot_ns)
{
	struct timespec now, boot;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0 || clock_gettime(CLOCK_BOOTTIME, &boot) < 0)
		return 0;
	return (double)(now.tv_sec - boot.tv_sec) + (double)(now.tv_nsec - boot.tv_nsec) / 1e9 +
	       (double)(int64_t)boot_ns / 1e9;
}

void op_refusal_text(struct vz_buf *b, const struct ubc_refusal *r)
{
	time_t when = (time_t)op_refusal_time(r->time_ns);
	char stamp[40] = "-", comm[UBC_COMM * 4];
	struct tm tm;

	if (gmtime_r(&when, &tm))
		(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	vz_buf_fmt(b,
		   "%s %s held %" PRIu64 " limit %" PRIu64 " asked %" PRIu64 " pid %u command %s\n",
		   stamp, ubc_name((enum ubc_counter)r->counter), shown(r->held), shown(r->limit),
		   r->asked, r->pid, vz_quote(comm, sizeof(comm), r->comm));
}

static void refusals_text(struct vz_buf *b, const struct ubc_slot *slot)
{
	struct ubc_refusal last[UBC_RING];
	size_t n = slot ? ubc_refusals(slot, 0, last) : 0;

	for (size_t i = 0; i < n; i++)
		op_refusal_text(b, &last[i]);
}

/* ---- files ---- */

static char *inside(char dst[PATH_MAX], uint32_t ctid, const char *name)
{
	return vps_path(dst, "%s/%" PRIu32 "/inside/%s", vps_paths()->run, ctid, name);
}

int op_write_over(int fd, const struct vz_buf *b)
{
	size_t done = 0;

	if (b->failed)
		return -ENOMEM;
	while (done < b->len) {
		ssize_t n = pwrite(fd, b->s + done, b->len - done, (off_t)done);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return ftruncate(fd, (off_t)b->len) < 0 ? -errno : 0;
}

/* Made once; what is in them comes when they are read. */
static int prepare_node(void)
{
	static const struct {
		const char *name;
		mode_t mode;
	} files[] = { { "user_beancounters", 0400 }, { "ubc.guard", 0600 } };

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		char path[PATH_MAX];
		VZ_FD int fd = vz_openat(AT_FDCWD,
					 vps_path(path, "%s/%s", vps_paths()->run, files[i].name),
					 O_PATH | O_NOFOLLOW, 0);

		if (fd == -ENOENT)
			fd = vz_openat(AT_FDCWD, path, O_RDONLY | O_CREAT, files[i].mode);
		if (fd < 0)
			return fd;
	}
	return 0;
}

int op_ubc_prepare(uint32_t ctid, uint64_t base, struct vz_error *err)
{
	char path[PATH_MAX];
	int r = prepare_node();

	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "make files in %s", vps_paths()->run);
	r = vz_mkdir_p(inside(path, ctid, ""), 0755);
	for (size_t i = 0; r == 0 && i < 2; i++) {
		VZ_FD int fd = -EBADF;

		/* what an earlier start left belongs to another id, perhaps */
		if (unlink(inside(path, ctid, file_names[i])) < 0 && errno != ENOENT)
			r = -errno;
		if (r == 0)
			fd = vz_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
				       0400);
		if (r == 0 && fd < 0)
			r = fd;
		if (r == 0 && fchown(fd, (uid_t)base, (gid_t)base) < 0)
			r = -errno;
	}
	return r < 0 ? vz_fail(err, VZ_EXIT_ENVCREATE, -r, "make %s", path) : 0;
}

static int write_files(uint32_t ctid, const int fds[2], const struct vz_buf text[2])
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2; i++) {
		VZ_FD int own = -EBADF;
		char path[PATH_MAX];
		int fd = fds ? fds[i] : -1;

		if (!fds)
			fd = own = vz_openat(AT_FDCWD, inside(path, ctid, file_names[i]),
					     O_WRONLY | O_NOFOLLOW, 0);
		r = fd < 0 ? fd : op_write_over(fd, &text[i]);
	}
	return r;
}

static int node_text(struct op_ubc_reader *rd, uint32_t want, struct vz_buf *b,
		     struct vz_error *err);

/* @want: counters of the node itself */
static int refresh_node(int fd, op_ubc_net_fn *net, uint32_t want, struct vz_error *err)
{
	OP_UBC_READER struct op_ubc_reader rd;
	VZ_BUF struct vz_buf b = { 0 };
	VZ_FD int own = -EBADF;
	char path[PATH_MAX];
	int r;

	op_ubc_open(&rd, true, net);
	r = node_text(&rd, want, &b, err);
	if (r < 0)
		return r;
	(void)vps_path(path, "%s/user_beancounters", vps_paths()->run);
	if (fd < 0)
		fd = own = vz_openat(AT_FDCWD, path, O_WRONLY | O_NOFOLLOW, 0);
	r = fd < 0 ? fd : op_write_over(fd, &b);
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "write %s", path) : 0;
}

int op_ubc_refresh_node(int fd, op_ubc_net_fn *net, struct vz_error *err)
{
	return refresh_node(fd, net, OP_UBC_ALL, err);
}

/* Without file locks: the kernel holds off all locking for a look at them, 7 ms that a stop would wait. */
void op_ubc_node_idle(void)
{
	struct vz_error unused;
	char path[PATH_MAX];
	VZ_FD int guard =
		vz_openat(AT_FDCWD, vps_path(path, "%s/ubc.guard", vps_paths()->run), O_RDONLY, 0);

	if (guard >= 0 && flock(guard, LOCK_EX | LOCK_NB) == 0)
		(void)!refresh_node(-1, NULL, OP_UBC_ALL & ~OP_UBC_BIT(UBC_NUMFLOCK), &unused);
}

int op_ubc_refresh(uint32_t ctid, const int fds[2], op_ubc_net_fn *net, struct vz_error *err)
{
	OP_UBC_READER struct op_ubc_reader rd;
	struct vz_buf text[2] = { { 0 } };
	struct op_ubc u;
	int r;

	op_ubc_open(&rd, true, net);
	r = op_ubc_of(&rd, ctid, OP_UBC_ALL, &u, err);
	if (r > 0) {
		op_ubc_head(&text[0]);
		op_ubc_text(&text[0], &u);
		refusals_text(&text[1], rd.table ? ubc_slot(rd.table, ctid) : NULL);
		r = write_files(ctid, fds, text);
		if (r < 0)
			(void)vz_fail(err, VZ_EXIT_SYSTEM, -r, "write the beancounters of VPS %u",
				      ctid);
	}
	vz_buf_clear(&text[0]);
	vz_buf_clear(&text[1]);
	return r < 0 ? r : 0;
}

void op_ubc_refresh_unwatched(uint32_t ctid, op_ubc_net_fn *net)
{
	struct vz_error unused;
	char path[PATH_MAX];

	if (access(vps_path(path, "%s/%" PRIu32 "/fresh", vps_paths()->run, ctid), F_OK) < 0)
		(void)!op_ubc_refresh(ctid, NULL, net, &unused);
}

/* What the VPSes hold is not the node's own; a sample of theirs may be larger than the kernel's number. */
static void take_away(struct op_ubc *node, const struct op_ubc *u)
{
	for (int c = 0; c < UBC_NR; c++) {
		uint64_t *held = &node->row[c].held;

		*held = *held > u->row[c].held ? *held - u->row[c].held : 0;
		node->row[c].maxheld = *held;
	}
}

static int node_text(struct op_ubc_reader *rd, uint32_t want, struct vz_buf *b,
		     struct vz_error *err)
{
	VZ_BUF struct vz_buf vpses = { 0 };
	VZ_FREE uint32_t *ids = NULL;
	struct op_ubc node, u;
	struct vz_error gone;
	ssize_t n = op_list_ctids(&ids, err);

	if (n < 0)
		return (int)n;
	op_ubc_node(want, &node);
	for (ssize_t i = 0; i < n; i++) {
		if (op_ubc_of(rd, ids[i], OP_UBC_ALL, &u, &gone) <= 0)
			continue;
		op_ubc_text(&vpses, &u);
		take_away(&node, &u);
	}
	op_ubc_head(b);
	op_ubc_text(b, &node);
	vz_buf_add(b, vpses.s ? vpses.s : "", vpses.len);
	return b->failed || vpses.failed ? vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "beancounters") : 0;
}

int op_ubc_node_text(struct op_ubc_reader *rd, struct vz_buf *b, struct vz_error *err)
{
	return node_text(rd, OP_UBC_ALL, b, err);
}
