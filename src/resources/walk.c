/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be seen of a VPS in /proc, where nothing counts as things happen: a sample, taken process by
 * process. Nothing of the tenant's is opened on the way: links of descriptors are read, which asks no
 * file system, and numbers of its network namespace come from its init's own /proc/PID/net.
 */
#include "resources/resources.h"

#include "resources/priv.h"
#include "util/fd.h"
#include "util/parse.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PROC_FILE_MAX = 1 << 16, DEPTH_MAX = CG_TREE_DEPTH };

/** struct set - numbers, each once */
struct set {
	uint64_t *v;
	size_t n, room;
};

struct walk {
	unsigned int want;
	struct set pids, ptys, users;
	struct res_usage u;
};

/* Whether @x is new. Without memory it counts as new. */
static bool set_add(struct set *s, uint64_t x)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i] == x)
			return false;
	if (s->n == s->room) {
		size_t room = s->room ? s->room * 2 : 16;
		uint64_t *more = reallocarray(s->v, room, sizeof(*more));

		if (!more)
			return true;
		s->v = more;
		s->room = room;
	}
	s->v[s->n++] = x;
	return true;
}

/* ---- which processes ---- */

static int add_pids(struct set *pids, const char *text)
{
	for (const char *p = text; *p;) {
		uint64_t pid = 0;

		for (; isdigit((unsigned char)*p); p++)
			pid = pid * 10 + (uint64_t)(*p - '0');
		if (pids->n == pids->room) {
			size_t room = pids->room ? pids->room * 2 : 64;
			uint64_t *more = reallocarray(pids->v, room, sizeof(*more));

			if (!more)
				return -ENOMEM;
			pids->v = more;
			pids->room = room;
		}
		if (pid)
			pids->v[pids->n++] = pid;
		while (*p && !isdigit((unsigned char)*p))
			p++;
	}
	return 0;
}

static int pids_below(struct set *pids, int fd, int depth)
{
	VZ_DIR DIR *d = vz_opendirat(fd, ".");
	VZ_FREE char *text = NULL;
	struct dirent *e;
	int r = 0;

	if (vz_read_file(fd, "cgroup.procs", 64 << 20, &text) > 0)
		r = add_pids(pids, text);
	while (r == 0 && d && depth < DEPTH_MAX && (e = readdir(d))) {
		VZ_FD int sub = -EBADF;

		if (e->d_type != DT_DIR || !strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue; /* others with a dot are groups: exec's own is one */
		sub = vz_openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (sub >= 0)
			r = pids_below(pids, sub, depth + 1);
	}
	return r;
}

/* v1 has all of a VPS in one group; in v2 it has a tree of its own. */
static int find_pids(struct cg *cg, struct set *pids)
{
	const struct cg_dirs *d = cg_composite_dirs(cg);
	VZ_FREE char *text = NULL;
	VZ_FD int fd = -EBADF;
	int r;

	if (!d)
		return -EOPNOTSUPP;
	if (d->v[CTL_PIDS]) {
		r = cg_read(d->v[CTL_PIDS], "cgroup.procs", &text);
		return r < 0 ? r : add_pids(pids, text);
	}
	fd = vz_openat(AT_FDCWD, d->v[CTL_V2], O_RDONLY | O_DIRECTORY, 0);
	return fd < 0 ? fd : pids_below(pids, fd, 0);
}

int res_pids(struct cg *cg, pid_t **ret, size_t *ret_n, struct vz_error *err)
{
	struct set pids = { 0 };
	VZ_FREE uint64_t *all = NULL;
	VZ_FREE pid_t *list = NULL;
	int r = find_pids(cg, &pids);

	all = pids.v;
	list = r < 0 ? NULL : calloc(pids.n + 1, sizeof(*list));
	if (r == 0 && !list)
		r = -ENOMEM;
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "list the processes of the VPS");
	for (size_t i = 0; i < pids.n; i++)
		list[i] = (pid_t)all[i];
	*ret = vz_take_ptr(&list);
	*ret_n = pids.n;
	return 0;
}

/* ---- one process ---- */

/* A descriptor of /dev/ptmx says in fdinfo which pty it is; two that say the same are one. */
static void look_at_fd(struct walk *w, int dir, int fdinfo, const char *name)
{
	VZ_FREE char *text = NULL;
	char target[64];
	const char *at;
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n < 5 || memcmp(target + n - 5, "/ptmx", 5) != 0 ||
	    vz_read_file(fdinfo, name, PROC_FILE_MAX, &text) < 0)
		return;
	at = strstr(text, "tty-index:");
	if (at) {
		uint64_t index;
		char number[16];

		at += strlen("tty-index:");
		at += strspn(at, "\t ");
		(void)snprintf(number, sizeof(number), "%.*s", (int)strspn(at, "0123456789"), at);
		if (vz_parse_u64(number, 0, UINT32_MAX, &index) == 0)
			(void)set_add(&w->ptys, index);
	}
}

static void look_at_fds(struct walk *w, int proc)
{
	VZ_FD int dir = vz_openat(proc, "fd", O_RDONLY | O_DIRECTORY, 0);
	VZ_FD int fdinfo = -EBADF;
	VZ_DIR DIR *d = NULL;
	struct stat st;
	struct dirent *e;

	if (dir < 0)
		return;
	/* since 6.2 the size of the directory is how many there are */
	if (!(w->want & RES_WANT_PTYS) && fstat(dir, &st) == 0 && st.st_size > 0) {
		w->u.files += (uint64_t)st.st_size;
		return;
	}
	d = vz_opendirat(dir, ".");
	fdinfo = vz_openat(proc, "fdinfo", O_PATH | O_DIRECTORY, 0);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		w->u.files++;
		if (w->want & RES_WANT_PTYS)
			look_at_fd(w, dir, fdinfo, e->d_name);
	}
}

/* Field 6: data and stack, in pages of this kernel (proc(5)). */
static void look_at_memory(struct walk *w, int proc)
{
	VZ_FREE char *text = NULL;
	VZ_LIST struct vz_list fields = { 0 };
	uint64_t pages;

	if (vz_read_file(proc, "statm", PROC_FILE_MAX, &text) < 0 ||
	    vz_list_split(&fields, text, " \n") < 0 || fields.n < 6 ||
	    vz_parse_u64(fields.v[5], 0, UINT64_MAX, &pages) < 0)
		return;
	w->u.private_bytes += pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The number after "\nKEY:\t" in /proc/PID/status. */
static int status_number(const char *text, const char *key, uint64_t *ret)
{
	const char *at = strstr(text, key);
	char number[24];

	if (!at)
		return -ENOENT;
	at += strlen(key);
	at += strspn(at, "\t ");
	(void)snprintf(number, sizeof(number), "%.*s", (int)strspn(at, "0123456789"), at);
	return vz_parse_u64(number, 0, UINT64_MAX, ret);
}

/* Queued signals are counted by user: all processes of one say the same number. */
static void look_at_signals(struct walk *w, int proc)
{
	VZ_FREE char *text = NULL;
	uint64_t uid, queued;

	if (vz_read_file(proc, "status", PROC_FILE_MAX, &text) < 0 ||
	    status_number(text, "\nUid:", &uid) < 0 || status_number(text, "\nSigQ:", &queued) < 0)
		return;
	if (set_add(&w->users, uid))
		w->u.signals += queued;
}

static void look_at(struct walk *w, uint64_t pid)
{
	char path[32];
	VZ_FD int proc = -EBADF;

	(void)snprintf(path, sizeof(path), "/proc/%llu", (unsigned long long)pid);
	proc = vz_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	if (proc < 0)
		return; /* it has ended */
	if (w->want & (RES_WANT_FILES | RES_WANT_PTYS))
		look_at_fds(w, proc);
	if (w->want & RES_WANT_PRIVATE)
		look_at_memory(w, proc);
	if (w->want & RES_WANT_SIGNALS)
		look_at_signals(w, proc);
}

/* ---- locks, sockets ---- */

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* "1: FLOCK  ADVISORY  WRITE PID DEV:INODE FROM TO"; one who waits has "->" after the number. */
uint64_t cg_count_locks(const char *text, uint64_t *pids, size_t n)
{
	uint64_t found = 0;

	if (n)
		qsort(pids, n, sizeof(*pids), by_number);
	for (const char *line = text; line && *line;) {
		const char *end = strchr(line, '\n'), *p = line;
		char word[24] = "";
		uint64_t pid;

		for (int field = 0; field < 5; field++) {
			size_t len;

			p += strspn(p, " ");
			len = strcspn(p, " \n");
			(void)snprintf(word, sizeof(word), "%.*s", (int)len, p);
			if (field == 1 && vz_streq(word, "->"))
				break;
			p += len;
		}
		if (n && vz_parse_u64(word, 1, INT32_MAX, &pid) == 0 &&
		    bsearch(&pid, pids, n, sizeof(pid), by_number))
			found++;
		line = end ? end + 1 : NULL;
	}
	return found;
}

/* The number after @key in the line that begins with @head. */
static uint64_t sockstat(const char *text, const char *head, const char *key)
{
	const char *line = strstr(text, head), *at;
	char number[24];
	uint64_t v = 0;

	if (!line)
		return 0;
	at = strstr(line, key);
	if (!at || at > line + strcspn(line, "\n"))
		return 0;
	at += strlen(key);
	(void)snprintf(number, sizeof(number), "%.*s", (int)strspn(at, "0123456789"), at);
	(void)!vz_parse_u64(number, 0, UINT64_MAX, &v);
	return v;
}

void cg_count_sockets(const char *v4, const char *v6, struct res_usage *u)
{
	uint64_t all = sockstat(v4, "sockets:", "used ");

	u->tcp = sockstat(v4, "TCP:", "inuse ") + sockstat(v6, "TCP6:", "inuse ");
	u->other_sockets = all > u->tcp ? all - u->tcp : 0;
}

int res_sockets(pid_t init, struct res_usage *u)
{
	VZ_FREE char *v4 = NULL, *v6 = NULL;
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/net/sockstat", (int)init);
	n = vz_read_file(AT_FDCWD, path, PROC_FILE_MAX, &v4);
	if (n < 0)
		return (int)n;
	(void)snprintf(path, sizeof(path), "/proc/%d/net/sockstat6", (int)init);
	if (vz_read_file(AT_FDCWD, path, PROC_FILE_MAX, &v6) < 0)
		v6 = NULL;
	cg_count_sockets(v4, v6 ? v6 : "", u);
	return 0;
}

int res_walk(struct cg *cg, unsigned int want, const char *locks, struct res_usage *ret)
{
	struct walk w = { .want = want };
	int r = find_pids(cg, &w.pids);

	for (size_t i = 0; r == 0 && i < w.pids.n; i++)
		look_at(&w, w.pids.v[i]);
	if (r == 0) {
		ret->files = w.u.files;
		ret->private_bytes = w.u.private_bytes;
		ret->signals = w.u.signals;
		ret->ptys = w.ptys.n;
		if (locks)
			ret->locks = cg_count_locks(locks, w.pids.v, w.pids.n);
	}
	free(w.pids.v);
	free(w.ptys.v);
	free(w.users.v);
	return r;
}
