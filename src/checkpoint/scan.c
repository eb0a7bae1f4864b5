/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The look into /proc, process by process. */
#include "checkpoint/checkpoint.h"
#include "checkpoint/judge.h"
#include "checkpoint/priv.h"

#include "util/fd.h"
#include "util/str.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum { PROC_FILE_MAX = 1 << 16, MAPS_MAX = 64 << 20, SPACES = 8, MOUNT_SPACES = 64 };

/* ---- findings ---- */

static const struct {
	const char *name, *text;
} kinds[CPT_KINDS] = {
	[CPT_IO_URING] = { "io_uring", "an io_uring" },
	[CPT_ANON_FILE] = { "anonymous-file", "a file of a kind that cannot be carried" },
	[CPT_SECRET_MEMORY] = { "secret-memory", "memory of memfd_secret(2)" },
	[CPT_SOCKET] = { "socket", "a socket of a kind that cannot be carried" },
	[CPT_MQUEUE] = { "mqueue", "a POSIX message queue" },
	[CPT_SEMAPHORE] = { "eventfd-semaphore",
			    "an eventfd with EFD_SEMAPHORE, which would become a plain one" },
	[CPT_NAMESPACE] = { "nested-namespace", "a namespace of its own" },
	[CPT_PTRACE] = { "ptrace", "traced by another process" },
	[CPT_DEVICE] = { "device", "an open device" },
	[CPT_MOUNT] = { "mount", "a mount that cannot be made again" },
	[CPT_OUTSIDER] = { "outsider",
			   "came in by exec or enter, is not part of the VPS and will be ended" },
	[CPT_VFORK] = { "vfork", "waits in vfork(2) for its child, which does not go on" },
	[CPT_TERMINAL] = { "terminal", "a shell on a terminal, which may refuse to be restored" },
};

const char *cpt_kind_name(enum cpt_kind kind)
{
	return kinds[kind].name;
}

const char *cpt_kind_text(enum cpt_kind kind)
{
	return kinds[kind].text;
}

/** struct task - one process */
struct task {
	pid_t pid, parent, inside, tracer;
	char comm[16];
	bool outside; /* not below init */
};

struct scan {
	struct cpt_findings *f;
	struct cpt_load *load;
	const struct cpt_ours *ours;
	ino_t space[SPACES]; /* namespaces of init, as namespaces[] has them */
	unsigned int root_major, root_minor;
	unsigned int mqueue_major, mqueue_minor; /* 0, 0: it is not mounted */
	ino_t mounts[MOUNT_SPACES]; /* mount namespaces that were looked at */
	size_t nmounts;
};

/* The same thing held by several descriptors of a process is told once. */
static void found(struct scan *s, const struct task *t, enum cpt_kind kind, bool blocker,
		  const char *object)
{
	struct cpt_findings *f = s->f;

	for (size_t i = f->n; i-- > 0 && f->v[i].pid == t->pid;)
		if (f->v[i].kind == kind &&
		    !strncmp(f->v[i].object, object, sizeof(f->v[i].object) - 1))
			return;
	if (blocker)
		f->blockers++;
	else
		f->warnings++;
	if (f->n == CPT_FINDINGS)
		return;
	f->v[f->n] = (struct cpt_finding){
		.kind = kind, .blocker = blocker, .pid = t->pid, .pid_inside = t->inside
	};
	memcpy(f->v[f->n].comm, t->comm, sizeof(t->comm));
	(void)snprintf(f->v[f->n].object, sizeof(f->v[f->n].object), "%s", object);
	f->n++;
}

/* ---- who is who ---- */

static long field(const char *status, const char *key)
{
	const char *at = strstr(status, key);
	long v = 0;

	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
	return at && sscanf(at + strlen(key), "%ld", &v) == 1 ? v : 0;
}

/* Return: 0; -ESRCH: it has ended. */
static int read_task(pid_t pid, struct task *ret)
{
	VZ_FREE char *text = NULL;
	struct task t = { .pid = pid };
	char path[40];
	const char *at, *end;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (vz_read_file(AT_FDCWD, path, PROC_FILE_MAX, &text) < 0)
		return -ESRCH;
	t.parent = (pid_t)field(text, "\nPPid:");
	t.tracer = (pid_t)field(text, "\nTracerPid:");
	at = strstr(text, "\nNSpid:"); /* from the outermost namespace to its own */
	if (at) {
		end = strchr(at + 1, '\n');
		while (end && end > at && end[-1] >= '0' && end[-1] <= '9')
			end--;
		t.inside = end ? (pid_t)field(end - 1, end[-1] == '\t' ? "\t" : " ") : 0;
	}
	at = text + strlen("Name:\t");
	(void)snprintf(t.comm, sizeof(t.comm), "%.*s", (int)strcspn(at, "\n"), at);
	*ret = t;
	return 0;
}

static struct task *task_of(struct task *t, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (t[i].pid == pid)
			return &t[i];
	return NULL;
}

/* A chain of parents that does not end at init began on the node. */
static void find_outsiders(struct task *t, size_t n, pid_t init)
{
	for (size_t i = 0; i < n; i++) {
		const struct task *at = &t[i];

		for (size_t steps = 0; at && at->pid != init && steps <= n; steps++)
			at = task_of(t, n, at->parent);
		t[i].outside = !at || at->pid != init;
	}
}

/* ---- namespaces ---- */

static const char *const namespaces[SPACES] = {
	"pid", "user", "uts", "ipc", "cgroup", "time", "pid_for_children", "mnt"
};
enum { MNT = 7, FOR_CHILDREN = 6, PID = 0 };

static ino_t namespace_of(pid_t pid, const char *name)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static void look_at_namespaces(struct scan *s, const struct task *t)
{
	for (size_t i = 0; i < FOR_CHILDREN; i++) {
		ino_t own = namespace_of(t->pid, namespaces[i]);

		if (own && s->space[i] && own != s->space[i])
			found(s, t, CPT_NAMESPACE, true, namespaces[i]);
	}
}

/* ---- descriptors ---- */

static void look_at_file(struct scan *s, const struct task *t, int proc, const char *fd,
			 const char *link)
{
	char path[24];
	struct statx st;

	(void)snprintf(path, sizeof(path), "fd/%.10s", fd);
	/* what the kernel has in memory: a file system of the tenant's is not asked */
	if (statx(proc, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) < 0)
		return;
	if (S_ISBLK(st.stx_mode) ||
	    (S_ISCHR(st.stx_mode) && !cpt_judge_device(st.stx_rdev_major, st.stx_rdev_minor)))
		found(s, t, CPT_DEVICE, true, link);
	/* of the file system that /dev/mqueue shows, and not its directory */
	if (S_ISREG(st.stx_mode) && s->mqueue_minor && st.stx_dev_major == s->mqueue_major &&
	    st.stx_dev_minor == s->mqueue_minor)
		found(s, t, CPT_MQUEUE, true, link);
}

static void look_at_fd(struct scan *s, const struct task *t, int proc, const char *fd)
{
	char path[24], link[256], full[48], protocol[32];
	VZ_FREE char *info = NULL;
	enum cpt_kind kind;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "fd/%.10s", fd);
	n = readlinkat(proc, path, link, sizeof(link) - 1);
	if (n < 0)
		return; /* closed meanwhile */
	link[n] = '\0';
	switch (cpt_judge_link(link, &kind)) {
	case CPT_GOOD:
		return;
	case CPT_BAD:
		found(s, t, kind, true, link);
		return;
	case CPT_ASK_FDINFO:
		(void)snprintf(path, sizeof(path), "fdinfo/%.10s", fd);
		if (vz_read_file(proc, path, PROC_FILE_MAX, &info) >= 0 && !cpt_judge_eventfd(info))
			found(s, t, CPT_SEMAPHORE, true, fd);
		return;
	case CPT_ASK_SOCKET:
		(void)snprintf(full, sizeof(full), "/proc/%d/fd/%.10s", (int)t->pid, fd);
		n = getxattr(full, "system.sockprotoname", protocol, sizeof(protocol) - 1);
		if (n < 0)
			return;
		protocol[n] = '\0';
		if (!cpt_judge_socket(protocol))
			found(s, t, CPT_SOCKET, true, protocol);
		return;
	case CPT_ASK_FILE:
		look_at_file(s, t, proc, fd, link);
		return;
	}
}

static void look_at_fds(struct scan *s, const struct task *t, int proc)
{
	VZ_DIR DIR *d = vz_opendirat(proc, "fd");
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			look_at_fd(s, t, proc, e->d_name);
}

/* ---- memory ---- */

/* What is mapped after its descriptor was closed. */
static void look_at_maps(struct scan *s, const struct task *t, int proc)
{
	VZ_FREE char *text = NULL;

	if (vz_read_file(proc, "maps", MAPS_MAX, &text) < 0)
		return;
	if (strstr(text, "anon_inode:[io_uring]"))
		found(s, t, CPT_IO_URING, true, "anon_inode:[io_uring]");
	if (strstr(text, " /secretmem"))
		found(s, t, CPT_SECRET_MEMORY, true, "/secretmem (deleted)");
}

/* Shares of what several processes map add up to the whole. */
static void add_memory(struct scan *s, int proc)
{
	static const char *const parts[] = { "\nPss_Anon:", "\nSwapPss:" };
	VZ_FREE char *text = NULL;

	if (vz_read_file(proc, "smaps_rollup", PROC_FILE_MAX, &text) < 0)
		return;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		s->load->memory_bytes += (uint64_t)field(text, parts[i]) * 1024;
}

/* ---- terminals ---- */

/* sh of busybox or dash, leader of a session on a terminal: CRIU's "ctty inheritance". */
static void look_at_terminal(struct scan *s, const struct task *t, int proc)
{
	static const char *const shells[] = { "sh", "ash", "dash" };
	VZ_FREE char *text = NULL;
	int session = 0, tty = 0;
	const char *at;

	if (vz_read_file(proc, "stat", PROC_FILE_MAX, &text) < 0)
		return;
	at = strrchr(text, ')'); /* a name may hold blanks and brackets */
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
	if (!at || sscanf(at + 1, " %*c %*d %*d %d %d", &session, &tty) != 2 || tty == 0 ||
	    session != t->pid)
		return;
	for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++)
		if (vz_streq(t->comm, shells[i]))
			found(s, t, CPT_TERMINAL, false, "");
}

/* ---- mounts ---- */

/* Mounts of the root's own file system, of devices and of the view are ours and made again by us. */
static bool is_ours(const struct scan *s, const struct cpt_mount *m)
{
	return (m->major == s->root_major && m->minor == s->root_minor) ||
	       vz_streq(m->type, "devtmpfs") || cpt_our_mount(m->point, s->ours->view) ||
	       cpt_given_dev(s->ours->given, m->major, m->minor);
}

static void look_at_mounts(struct scan *s, const struct task *t, const char *text)
{
	struct cpt_mount m;

	for (const char *line = text; line && *line;) {
		if (cpt_mount_line(line, &m) == 0 && !is_ours(s, &m) && !cpt_judge_mount(m.type)) {
			char what[128];

			(void)snprintf(what, sizeof(what), "%s %.90s", m.type, m.point);
			found(s, t, CPT_MOUNT, true, what);
		}
		line = strchr(line, '\n');
		line += line != NULL;
	}
}

/* Each mount namespace once. */
static void look_at_mount_namespace(struct scan *s, const struct task *t, int proc)
{
	ino_t own = namespace_of(t->pid, namespaces[MNT]);
	VZ_FREE char *text = NULL;

	for (size_t i = 0; i < s->nmounts; i++)
		if (s->mounts[i] == own)
			return;
	if (s->nmounts < MOUNT_SPACES)
		s->mounts[s->nmounts++] = own;
	if (vz_read_file(proc, "mountinfo", MAPS_MAX, &text) >= 0)
		look_at_mounts(s, t, text);
}

/* Where things of init's are, to compare with. */
static int learn_init(struct scan *s, pid_t init)
{
	VZ_FREE char *text = NULL;
	char path[40];
	struct cpt_mount m;

	for (size_t i = 0; i < SPACES; i++)
		s->space[i] = namespace_of(init, namespaces[i]);
	(void)snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)init);
	if (!s->space[PID] || vz_read_file(AT_FDCWD, path, MAPS_MAX, &text) < 0)
		return -ESRCH;
	for (const char *line = text; line && *line;) {
		if (cpt_mount_line(line, &m) == 0) {
			if (vz_streq(m.point, "/")) {
				s->root_major = m.major;
				s->root_minor = m.minor;
			}
			if (vz_streq(m.type, "mqueue")) {
				s->mqueue_major = m.major;
				s->mqueue_minor = m.minor;
			}
		}
		line = strchr(line, '\n');
		line += line != NULL;
	}
	return 0;
}

static bool known(const struct cpt_findings *f, enum cpt_kind kind, const char *object)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].kind == kind && vz_streq(f->v[i].object, object))
			return true;
	return false;
}

/* Message queues that nobody has open, which CRIU refuses as well: told as init's. */
static void look_at_queues(struct scan *s, const struct task *init)
{
	VZ_FD int dir = -EBADF;
	VZ_DIR DIR *d = NULL;
	struct dirent *e;
	struct stat st;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/root/dev/mqueue", (int)init->pid);
	dir = vz_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dir < 0 || fstat(dir, &st) < 0 || !s->mqueue_minor ||
	    st.st_dev != makedev(s->mqueue_major, s->mqueue_minor))
		return;
	d = vz_opendirat(dir, ".");
	while (d && (e = readdir(d))) {
		char name[NAME_MAX + 2];

		(void)snprintf(name, sizeof(name), "/%s", e->d_name);
		if (e->d_name[0] != '.' && !known(s->f, CPT_MQUEUE, name))
			found(s, init, CPT_MQUEUE, true, name);
	}
}

static void look_at(struct scan *s, const struct task *t)
{
	VZ_FD int proc = -EBADF;
	char path[24];

	if (t->outside) {
		s->load->outsiders++;
		found(s, t, CPT_OUTSIDER, false, "");
		return;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d", (int)t->pid);
	proc = vz_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	if (proc < 0)
		return;
	s->load->processes++;
	look_at_namespaces(s, t);
	if (t->tracer)
		found(s, t, CPT_PTRACE, true, "");
	look_at_fds(s, t, proc);
	look_at_maps(s, t, proc);
	look_at_terminal(s, t, proc);
	look_at_mount_namespace(s, t, proc);
	add_memory(s, proc);
}

int cpt_scan(const pid_t *pids, size_t n, pid_t init, const struct cpt_ours *ours,
	     struct cpt_findings *ret, struct cpt_load *ret_load, struct vz_error *err)
{
	VZ_FREE struct task *tasks = calloc(n + 1, sizeof(*tasks));
	struct scan s = { .f = ret, .load = ret_load, .ours = ours };
	size_t have = 0;

	memset(ret, 0, sizeof(*ret));
	memset(ret_load, 0, sizeof(*ret_load));
	if (!tasks)
		return vz_fail(err, VZ_EXIT_CHKPNT, ENOMEM, "look at the processes of the VPS");
	if (learn_init(&s, init) < 0)
		return vz_fail(err, VZ_EXIT_CHKPNT, ESRCH, "look at process 1 of the VPS");
	for (size_t i = 0; i < n; i++)
		if (read_task(pids[i], &tasks[have]) == 0)
			have++;
	find_outsiders(tasks, have, init);
	for (size_t i = 0; i < have; i++)
		look_at(&s, &tasks[i]);
	for (size_t i = 0; i < have; i++)
		if (tasks[i].pid == init)
			look_at_queues(&s, &tasks[i]);
	return 0;
}

bool cpt_in_vfork(const pid_t *pids, size_t n, struct cpt_finding *ret)
{
	for (size_t i = 0; i < n; i++) {
		struct task t;

		if (!cpt_vfork_waits(pids[i]) || read_task(pids[i], &t) < 0)
			continue;
		*ret = (struct cpt_finding){
			.kind = CPT_VFORK, .blocker = true, .pid = t.pid, .pid_inside = t.inside
		};
		memcpy(ret->comm, t.comm, sizeof(t.comm));
		return true;
	}
	return false;
}
