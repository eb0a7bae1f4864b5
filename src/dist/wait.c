/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * start --wait for an init that has no readiness message: something that runs once the boot is over
 * writes into a FIFO that vzctl reads. What is put there stays and does nothing without the FIFO.
 */
#include "dist/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define TELL "[ -p " DIST_FIFO " ] && echo up > " DIST_FIFO " && rm -f " DIST_FIFO

/*
 * A line of ours into a file of the tenant's: after the first line, or at the end. Once is enough.
 */
static int add_line(const char *path, const char *line, bool second, struct vz_error *err)
{
	DIST_FILE struct dist_file f = { .dirfd = -EBADF };
	VZ_BUF struct vz_buf b = { 0 };
	size_t at;
	int r = dist_load(path, &f);

	if (r == 0 && !f.there)
		r = -ENOENT;
	if (r < 0)
		return vz_fail(err, VZ_EXIT_WAIT, -r, "%s", path);
	if (strstr(f.text, DIST_FIFO))
		return 0;
	at = second ? strcspn(f.text, "\n") + (strchr(f.text, '\n') != NULL) : f.len;
	vz_buf_add(&b, f.text, at);
	if (at && f.text[at - 1] != '\n')
		vz_buf_str(&b, "\n");
	vz_buf_str(&b, line);
	vz_buf_add(&b, f.text + at, f.len - at);
	r = b.failed ? -ENOMEM : dist_store(&f, b.s, b.len, 0644, false);
	return r < 0 ? vz_fail(err, VZ_EXIT_WAIT, -r, "%s", path) : 0;
}

/* A file of ours, @text with our marker in it; one that the tenant took over stays as it is. */
static int put_file(const char *path, const char *text, mode_t mode, struct vz_error *err)
{
	DIST_FILE struct dist_file f = { .dirfd = -EBADF };
	int r = dist_load(path, &f);

	if (r == 0 && f.exists && !strstr(f.text, DIST_MARKER))
		return 0;
	if (r == 0)
		r = dist_store(&f, text, strlen(text), mode, false);
	return r < 0 ? vz_fail(err, VZ_EXIT_WAIT, -r, "%s", path) : 0;
}

/* BusyBox takes the first field for a terminal and knows no runlevels. */
static int by_inittab(const char *kind, struct vz_error *err)
{
	return add_line("/etc/inittab",
			vz_streq(kind, "busybox") ? "::once:/bin/sh -c \"" TELL "\"\n"
						  : "vz:2345:once:/bin/sh -c \"" TELL "\"\n",
			false, err);
}

/* The last service of the runlevel default, whichever program runs OpenRC. */
static int by_openrc(const char *kind, struct vz_error *err)
{
	static const char script[] = "/etc/init.d/vps-wait",
			  link[] = "/etc/runlevels/default/vps-wait";
	int r = put_file(script,
			 "#!/sbin/openrc-run\n" DIST_MARKER
			 "description=\"Tells vzctl start --wait that the boot is over\"\n"
			 "depend() {\n\tafter *\n}\n"
			 "start() {\n\t" TELL "\n\treturn 0\n}\n",
			 0755, err);

	(void)kind;
	if (r == 0 && symlink(script, link) < 0 && errno != EEXIST)
		r = vz_fail(err, VZ_EXIT_WAIT, errno, "%s", link);
	return r;
}

/* The job that vzctl 4 installs. */
static int by_upstart(const char *kind, struct vz_error *err)
{
	(void)kind;
	return put_file("/etc/init/vps-wait.conf",
			DIST_MARKER
			"description \"Tells vzctl start --wait that the boot is over\"\n"
			"start on stopped rc RUNLEVEL=[2345]\ntask\n"
			"exec /bin/sh -c \"" TELL "\"\n",
			0644, err);
}

/* Run last by convention (Void, Slackware, many scripts that are an init); it may end by `exit`. */
static int by_rc_local(const char *kind, struct vz_error *err)
{
	(void)kind;
	return add_line("/etc/rc.local", "trap '" TELL "' 0\n", true, err);
}

static bool is_shell_script(const char *path)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, 0);
	char line[128] = "";
	ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);

	line[n < 0 ? 0 : strcspn(line, "\n")] = '\0';
	return access(path, X_OK) == 0 && !strncmp(line, "#!", 2) && strstr(line, "sh");
}

static int other(const char *kind, struct vz_error *err)
{
	if (dist_is_dir("/etc/init") && access("/sbin/initctl", X_OK) == 0)
		return by_upstart(kind, err);
	if (is_shell_script("/etc/rc.local"))
		return by_rc_local(kind, err);
	return vz_fail(err, VZ_EXIT_WAIT, 0,
		       "nothing in this VPS is known to tell the end of its boot (looked for "
		       "systemd, /etc/inittab, OpenRC, Upstart, an executable /etc/rc.local)");
}

int dist_wait(const struct dist_job *job, struct vz_error *err)
{
	static const struct {
		const char *kind;
		int (*put)(const char *kind, struct vz_error *err);
	} hooks[] = {
		{ "busybox", by_inittab },    { "sysvinit", by_inittab }, { "openrc", by_openrc },
		{ "openrc-init", by_openrc }, { "other", other },
	};
	struct dist_result found = { .looked = false };
	size_t i = 0;
	int r = dist_init_caged(job, &found);

	if (r < 0) {
		*err = found.err;
		return r;
	}
	while (i < sizeof(hooks) / sizeof(*hooks) && !vz_streq(hooks[i].kind, found.init.kind))
		i++;
	if (i == sizeof(hooks) / sizeof(*hooks))
		return vz_fail(err, VZ_EXIT_WAIT, 0, "no hook for an init of kind \"%s\"",
			       found.init.kind);
	r = hooks[i].put(found.init.kind, err);
	if (r < 0)
		return r;
	if (unlink(DIST_FIFO) < 0 && errno != ENOENT)
		return vz_fail(err, VZ_EXIT_WAIT, errno, DIST_FIFO);
	if (mkfifo(DIST_FIFO, 0600) < 0)
		return vz_fail(err, VZ_EXIT_WAIT, errno, DIST_FIFO);
	return 0;
}
