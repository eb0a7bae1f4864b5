/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vps/priv.h"

#include "util/fd.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>

enum { ORPHAN_MS = 5000, REAPER_MS = 30000 };

int vps_lock_parse(char *text, char ret_word[32], pid_t *ret_pid, uint64_t *ret_start)
{
	char *save = NULL, *line = strtok_r(text, "\n", &save);
	uint64_t pid, start = 0;

	ret_word[0] = '\0';
	if (!line || vz_parse_u64(line, 1, INT32_MAX, &pid) < 0)
		return -EINVAL;
	line = strtok_r(NULL, "\n", &save);
	if (line)
		(void)snprintf(ret_word, 32, "%s", line);
	line = strtok_r(NULL, "\n", &save);
	if (line && vz_parse_u64(line, 0, UINT64_MAX, &start) < 0)
		start = 0;
	*ret_pid = (pid_t)pid;
	*ret_start = start;
	return 0;
}

/* Who is named in an existing file, and what it does. Return: 1 a living process, 0 nobody. */
static int holder_lives(const char *path, pid_t *ret_pid, char ret_word[32])
{
	VZ_FREE char *text = NULL;
	uint64_t start;

	ret_word[0] = '\0';
	return vz_read_file(AT_FDCWD, path, 4096, &text) >= 0 &&
	       vps_lock_parse(text, ret_word, ret_pid, &start) == 0 &&
	       vz_proc_lives(*ret_pid, start);
}

/*
 * 0 taken; -EBUSY with *@ret_pid and what it does; -EAGAIN: the file changed under us, try again; -EINPROGRESS: the
 * holder is dead, but a child it had just forked has the flock with it, until that one has executed
 * or ended.
 */
static int try_take(struct vps_lock *l, const char *word, pid_t *ret_pid, char ret_does[32])
{
	const char *path = l->path;
	VZ_FD int fd = -EBADF;
	struct stat mine, there;
	uint64_t start = 0;
	char text[128];
	int n;

	fd = vz_openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = -errno;

		if (r != -EWOULDBLOCK) { /* no such locks here; ours may be the empty file */
			if (fstat(fd, &mine) == 0 && mine.st_size == 0)
				(void)unlink(path);
			return r;
		}
		return holder_lives(path, ret_pid, ret_does) ? -EBUSY : -EINPROGRESS;
	}
	if (fstat(fd, &mine) < 0 || stat(path, &there) < 0 || mine.st_ino != there.st_ino)
		return -EAGAIN; /* its holder removed it between our open and our flock */
	if (mine.st_size > 0 && holder_lives(path, ret_pid, ret_does) && *ret_pid != getpid())
		return -EBUSY; /* a script's lock of two lines, without flock */
	if (mine.st_size > 0 && *ret_pid != getpid())
		(void)snprintf(l->stale, sizeof(l->stale), "%s", *ret_does ? ret_does : "?");
	if (vz_proc_starttime(getpid(), &start) < 0)
		start = 0;
	n = snprintf(text, sizeof(text), "%d\n%s\n%llu\n", (int)getpid(), word,
		     (unsigned long long)start);
	if (ftruncate(fd, 0) < 0)
		return -errno;
	errno = ENOSPC; /* what a write cut short means */
	if (pwrite(fd, text, (size_t)n, 0) != n) {
		n = -errno;
		(void)unlink(path); /* still flocked: an empty file would tell nobody anything */
		return n;
	}
	l->fd = vz_take_fd(&fd);
	return 0;
}

/* Wait for a change in the lock directory, at most @ms. */
static void wait_change(const char *dir, int ms)
{
	VZ_FD int in = inotify_init1(IN_CLOEXEC);
	struct pollfd p;

	if (in < 0 || inotify_add_watch(in, dir, IN_DELETE | IN_CLOSE_WRITE) < 0)
		return;
	p = (struct pollfd){ .fd = in, .events = POLLIN };
	(void)poll(&p, 1, ms);
}

/* For the log: who it is. */
static void say_holder(pid_t pid)
{
	VZ_FREE char *text = NULL;
	char path[64], shown[256];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	n = vz_read_file(AT_FDCWD, path, 4096, &text);
	for (ssize_t i = 0; i + 1 < n; i++)
		if (!text[i])
			text[i] = ' ';
	vz_info("Locked by: pid %d, cmdline %s", (int)pid,
		vz_quote(shown, sizeof(shown), n > 0 ? text : "?"));
}

int vps_lock_take(const struct vps_config *global, uint32_t ctid, const char *word, int wait_ms,
		  struct vps_lock *ret, struct vz_error *err)
{
	const char *dir = global->lockdir;
	const uint64_t begin = vz_now_ms();
	char does[32] = "";
	pid_t pid = 0;
	int r, tries = 0;

	*ret = (struct vps_lock){ .fd = -1 };
	if (!dir || !*dir)
		return vz_fail(err, VZ_EXIT_LOCKDIR_NOTSET, EINVAL, "LOCKDIR is not set");
	r = vz_mkdir_p(dir, 0755);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_LOCKDIR_NOTSET, -r, "Unable to make lock directory %s",
			       dir);
	(void)vps_path(ret->path, "%s/%u.lck", dir, ctid);
	for (;;) {
		uint64_t now, until = begin + (uint64_t)wait_ms;

		r = try_take(ret, word, &pid, does);
		if (r != -EAGAIN && r != -EBUSY && r != -EINPROGRESS)
			break;
		if (r == -EINPROGRESS && wait_ms < ORPHAN_MS)
			until = begin + ORPHAN_MS;
		/* nobody asked for it, and nobody could know that it is at work just now */
		if (r == -EBUSY && vz_streq(does, VPS_LOCK_REAPER) && wait_ms < REAPER_MS)
			until = begin + REAPER_MS;
		now = vz_now_ms();
		if (r != -EAGAIN && now >= until)
			break;
		if (r != -EAGAIN)
			wait_change(dir, until - now > 200 ? 200 : (int)(until - now));
		else if (++tries > 100)
			break;
	}
	if (r == -EBUSY || r == -EAGAIN || r == -EINPROGRESS) {
		say_holder(pid);
		(void)vz_fail(err, VZ_EXIT_LOCKED, 0, "VPS already locked (by pid %d)", (int)pid);
		return -EBUSY;
	}
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r,
			       "Unable to make lock file %s (--skiplock works without)", ret->path);
	return 0;
}

void vps_lock_drop(struct vps_lock *l)
{
	if (l->fd < 0)
		return;
	(void)unlink(
		l->path); /* before the flock goes, so that nobody locks a removed file for long */
	vz_closep(&l->fd);
	l->fd = -1;
}

enum vps_lock_holder vps_lock_look(const struct vps_config *global, uint32_t ctid,
				   char ret_word[32])
{
	char path[PATH_MAX];
	pid_t pid = 0;

	ret_word[0] = '\0';
	if (!global->lockdir || !*global->lockdir ||
	    access(vps_path(path, "%s/%u.lck", global->lockdir, ctid), F_OK) < 0)
		return VPS_LOCK_FREE;
	if (holder_lives(path, &pid, ret_word))
		return VPS_LOCK_HELD;
	/* it may have been dropped between the two looks */
	return access(path, F_OK) < 0 ? VPS_LOCK_FREE : VPS_LOCK_STALE;
}
