/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/checkpoint.h"
#include "checkpoint/priv.h"

#include "util/fd.h"
#include "util/parse.h"
#include "util/proc.h"
#include "vps/vps.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum {
	LOG_BYTES = 64 << 20,
	CRIU_SECONDS =
		20, /* for stopping all processes; an attempt that hangs there is made again */
};

/* ---- which one ---- */

/* "Version: 4.1.1" and more lines. */
static int ask_version(const char *program, char ret[16])
{
	const char *argv[] = { program, "--version", NULL };
	VZ_FREE char *text = NULL;
	struct vz_run how = { 0 };
	const char *at;
	size_t n;
	int p[2], r = vz_pipe(p);
	pid_t pid;

	if (r < 0)
		return r;
	how.stdout_fd = how.stderr_fd = p[1];
	pid = vz_spawn(argv, &how);
	vz_closep(&p[1]);
	r = pid < 0 ? (int)pid : (int)vz_read_all(p[0], 8192, &text);
	vz_closep(&p[0]);
	if (pid > 0 && vz_wait(pid) != 0 && r >= 0)
		r = -ENOEXEC;
	if (r < 0)
		return r;
	at = strstr(text, "Version: ");
	at = at ? at + strlen("Version: ") : "";
	n = strspn(at, "0123456789.");
	if (n == 0 || n >= 16)
		return -ENOEXEC;
	memcpy(ret, at, n);
	ret[n] = '\0';
	return 0;
}

static bool new_enough(const char *version)
{
	uint64_t major = 0, minor = 0;
	char first[16], second[16] = "0";
	size_t n = strcspn(version, ".");

	(void)snprintf(first, sizeof(first), "%.*s", (int)n, version);
	if (version[n])
		(void)snprintf(second, sizeof(second), "%.*s", (int)strcspn(version + n + 1, "."),
			       version + n + 1);
	if (vz_parse_u64(first, 0, 1000, &major) < 0 || vz_parse_u64(second, 0, 1000, &minor) < 0)
		return false;
	return major > 4 || (major == 4 && minor >= 1);
}

/* What the cache is good for: the same file. */
static int identity(const char *program, char ret[96])
{
	struct stat st;

	if (stat(program, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || access(program, X_OK) < 0)
		return -EACCES;
	(void)snprintf(ret, 96, "%llx-%llx-%lld.%09ld-%lld", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino, (long long)st.st_mtim.tv_sec,
		       st.st_mtim.tv_nsec, (long long)st.st_size);
	return 0;
}

/* Its version, from the cache or asked. 0 or -errno. */
static int version_of(const char *program, char ret[16])
{
	VZ_FREE char *text = NULL;
	VZ_FREE char *line = NULL;
	char path[PATH_MAX], id[96];
	size_t n;
	int r = identity(program, id);

	if (r < 0)
		return r;
	(void)vps_path(path, "%s/criu", vps_paths()->run);
	line = vz_fmt("%s %s ", id, program);
	if (!line)
		return -ENOMEM;
	n = strlen(line);
	if (vz_read_file(AT_FDCWD, path, 8192, &text) > 0 && !strncmp(text, line, n)) {
		text[strcspn(text, "\n")] = '\0';
		if (vz_copy(ret, 16, text + n) == 0 && *ret)
			return 0;
	}
	r = ask_version(program, ret);
	if (r == 0 && new_enough(ret)) {
		VZ_FREE char *all = vz_fmt("%s%s\n", line, ret);

		if (all && vz_mkdir_p(vps_paths()->run, 0755) == 0)
			(void)!vz_write_volatile(path, all, strlen(all), 0600);
	}
	return r;
}

int cpt_criu_find(int exit, struct cpt_criu *ret, struct vz_error *err)
{
	static const char *const dirs[] = { "/usr/local/sbin", "/usr/sbin", "/sbin",
					    "/usr/local/bin",  "/usr/bin",  "/bin" };
	char old[16] = "", old_path[PATH_MAX] = "";

	for (int i = -1; i < (int)(sizeof(dirs) / sizeof(*dirs)); i++) {
		struct cpt_criu c = { .own = i < 0 };

		if (i < 0)
			(void)vps_path(c.program, "%s/criu/criu", vps_paths()->libexec);
		else
			(void)vps_path(c.program, "%s/criu", dirs[i]);
		if (version_of(c.program, c.version) < 0)
			continue;
		if (new_enough(c.version)) {
			*ret = c;
			return 0;
		}
		(void)snprintf(old, sizeof(old), "%s", c.version);
		(void)snprintf(old_path, sizeof(old_path), "%s", c.program);
	}
	if (old[0])
		return vz_fail(err, exit, 0,
			       "CRIU %s or later is needed, and %s is %s (get one: vzcriu get)",
			       CPT_CRIU_OLDEST, old_path, old);
	return vz_fail(err, exit, 0, "CRIU is not installed (get %s or later: vzcriu get)",
		       CPT_CRIU_OLDEST);
}

/* ---- command lines ---- */

static int add_all(struct vz_list *l, const char *const *texts)
{
	int r = 0;

	for (; r == 0 && *texts; texts++)
		r = vz_list_add(l, *texts);
	return r;
}

static int add_fmt(struct vz_list *l, const char *option, char *text)
{
	VZ_FREE char *owned = text;

	if (!owned)
		return -ENOMEM;
	return option && vz_list_add(l, option) < 0 ? -ENOMEM : vz_list_add(l, owned);
}

/* CRIU's key of a mount: its path, without what means something to CRIU's own parser. */
static void mount_key(const char *path, char ret[PATH_MAX])
{
	size_t i = 0;

	for (; i < PATH_MAX - 1 && path[i]; i++)
		ret[i] = path[i] == '/' ? '.' : path[i];
	ret[i] = '\0';
}

/* What criu-owner.so is told, and where programs are. */
static int common_env(const struct cpt_run *r, bool iptables, struct vz_list *env)
{
	VZ_FREE char *path = NULL;
	char lib[PATH_MAX];
	struct stat st;
	int e = add_fmt(env, NULL, vz_fmt("CROFT_OWNER=%" PRIu64, r->owner));

	if (e == 0 && stat(vps_paths()->run, &st) == 0)
		e = add_fmt(env, NULL, vz_fmt("CROFT_VIEW_DEV=%" PRIu64, (uint64_t)st.st_dev));
	(void)vps_path(lib, "%s/criu-owner.so", vps_paths()->libexec);
	if (e == 0) /* a wrapper is a shell script: the library is for what it runs */
		e = add_fmt(env, NULL,
			    vz_fmt("%s=%s", r->criu->own ? "CROFT_PRELOAD" : "LD_PRELOAD", lib));
	if (e == 0)
		e = cpt_tools_env(iptables, &path);
	return e < 0 ? e : add_all(env, (const char *const[]){ "HOME=/", path, NULL });
}

static int common_args(const struct cpt_run *r, const char *what, bool iptables,
		       struct vz_list *argv, struct vz_list *env)
{
	char gate[PATH_MAX], seconds[16];
	const char *const all[] = {
		r->criu->program,
		what,
		"-D",
		r->server ? r->server : r->images,
		"-W",
		r->rundir,
		"-o",
		r->log,
		"-v2",
		"--root",
		r->root,
		"--action-script",
		vps_path(gate, "%s/vzmon", vps_paths()->libexec),
		"--manage-cgroups=soft",
		"--file-locks",
		"--tcp-established",
		"--link-remap",
		"--network-lock",
		"nftables",
		"--timeout",
		seconds,
		NULL,
	};
	int e;

	(void)snprintf(seconds, sizeof(seconds), "%d", CRIU_SECONDS);
	e = add_all(argv, all);
	if (e == 0 && r->lazy)
		e = vz_list_add(argv, "--lazy-pages");
	if (e == 0)
		e = add_fmt(env, NULL, vz_fmt("CROFT_GATE=%s", r->rundir));
	return e < 0 ? e : common_env(r, iptables, env);
}

int cpt_pages_args(const struct cpt_run *r, struct vz_list *argv, struct vz_list *env)
{
	int e = add_all(argv, (const char *const[]){ r->criu->program, "lazy-pages", "-D",
						     r->images, "-W", r->rundir, "-o", r->log,
						     "-v2", "--page-server", NULL });

	if (e == 0)
		e = add_fmt(argv, "--ps-socket", vz_fmt("%d", CPT_PAGES_FD));
	if (e == 0)
		e = add_fmt(argv, "--status-fd", vz_fmt("%d", CPT_READY_FD));
	if (e == 0)
		e = add_fmt(env, NULL, vz_fmt("CROFT_KEEP=%d", CPT_KEEP_FD));
	return e < 0 ? e : common_env(r, false, env);
}

static int add_parent(const struct cpt_run *r, struct vz_list *argv)
{
	return r->parent ? add_all(argv, (const char *const[]){ "--track-mem", "--prev-images-dir",
								r->parent, NULL })
			 : 0;
}

int cpt_predump_args(const struct cpt_run *r, pid_t init, const char *freezer, struct vz_list *argv,
		     struct vz_list *env)
{
	int e = common_args(r, "pre-dump", false, argv, env);

	if (e == 0)
		e = add_all(env, (const char *const[]){ "CROFT_LEAVE_THAWED=1", NULL });
	if (e == 0)
		e = add_fmt(argv, "-t", vz_fmt("%d", (int)init));
	if (e == 0)
		e = add_all(argv, (const char *const[]){ "--freeze-cgroup", freezer, NULL });
	if (e == 0 && !r->parent)
		e = vz_list_add(argv, "--track-mem");
	return e < 0 ? e : add_parent(r, argv);
}

int cpt_dump_args(const struct cpt_run *r, pid_t init, const char *freezer,
		  const struct vz_list *external, struct vz_list *argv, struct vz_list *env)
{
	char key[PATH_MAX];
	int e = common_args(r, "dump", cpt_iptables_of(init), argv, env);

	if (e == 0)
		e = add_all(env, (const char *const[]){ "CROFT_COUNT_TRACKS=1", "CROFT_PLAIN_TAR=1",
							NULL });
	if (e == 0)
		e = add_fmt(argv, "-t", vz_fmt("%d", (int)init));
	if (e == 0)
		e = add_all(argv,
			    (const char *const[]){ "--evasive-devices", "--ghost-limit", "512M",
						   "--force-irmap", "--irmap-scan-path", "/root",
						   "--irmap-scan-path", "/home", "--freeze-cgroup",
						   freezer, "--external", r->tty, "--external",
						   "veth[venet0]:node", NULL });
	if (e == 0 && r->stream)
		e = vz_list_add(argv, "--stream");
	if (e == 0 && r->skip_in_flight)
		e = vz_list_add(argv, "--skip-in-flight");
	if (e == 0 && r->parent) /* nothing is lost to a second attempt: owner.c */
		e = add_all(env, (const char *const[]){ "CROFT_KEEP_MARKS=1", NULL });
	if (e == 0)
		e = add_parent(r, argv);
	/*
	 * A connection for pages that is cut is an end like any other for CRIU: what it dumped must never be killed then.
	 */
	if (e == 0 && r->lazy)
		e = add_fmt(argv, "--leave-running", strdup("--ps-socket"));
	if (e == 0 && r->lazy)
		e = add_fmt(argv, NULL, vz_fmt("%d", CPT_PAGES_FD));
	for (size_t i = 0; e == 0 && i < external->n; i++) {
		mount_key(external->v[i], key);
		e = add_fmt(argv, "--external", vz_fmt("mnt[%s]:%s", external->v[i], key));
	}
	for (size_t i = 0; e == 0 && r->given && i < r->given->n; i++)
		if (strchr("df", r->given->v[i].kind))
			e = add_fmt(argv, "--external",
				    vz_fmt("mnt[%s]:given-%zu", r->given->v[i].path, i));
	return e;
}

static int add_mount(struct vz_list *argv, const char *path, const char *stage, const char *from)
{
	char key[PATH_MAX];

	mount_key(path, key);
	return add_fmt(argv, "--external",
		       from ? vz_fmt("mnt[%s]:%s/%s", key, stage, from)
			    : vz_fmt("mnt[%s]:%s", key, path));
}

int cpt_restore_args(const struct cpt_run *r, const char *stage, const char *link,
		     const struct vz_list *view, struct vz_list *argv, struct vz_list *env)
{
	static const struct {
		const char *path, *from;
	} ours[] = {
		{ "/dev", "dev" },
		{ "/dev/console", "console" },
		{ "/run/vz", "inside" },
		{ "/var/lib/docker", "volume-0" },
		{ "/var/lib/containerd", "volume-1" },
		{ "/var/lib/containers", "volume-2" },
	};
	int e = common_args(r, "restore", cpt_iptables_in(r->images), argv, env);

	if (e == 0)
		e = add_all(argv, (const char *const[]){ "-d", "-S", "--pidfile", "restored.pid",
							 "--inherit-fd", NULL });
	if (e == 0)
		e = add_fmt(argv, NULL, vz_fmt("fd[9]:%s", r->tty));
	if (e == 0)
		e = add_fmt(argv, "--external", vz_fmt("netdev[venet0]:%s", link));
	for (size_t i = 0; e == 0 && i < sizeof(ours) / sizeof(*ours); i++)
		e = add_mount(argv, ours[i].path, stage, ours[i].from);
	/* the node's own files: what they say is what the VPS's would; the view is put in their place */
	for (size_t i = 0; e == 0 && i < view->n; i++)
		e = add_mount(argv, view->v[i], stage, NULL);
	for (size_t i = 0; e == 0 && r->given && i < r->given->n; i++)
		if (strchr("df", r->given->v[i].kind))
			e = add_fmt(argv, "--external",
				    vz_fmt("mnt[given-%zu]:%s/given-%zu", i, stage, i));
	if (e == 0 && r->server)
		e = vz_list_add(argv, "--stream");
	if (e == 0)
		e = add_fmt(env, NULL, vz_fmt("CROFT_STAGE=%s", stage));
	return e;
}

/* ---- running it ---- */

/* A mount namespace of its own, since CRIU may wait long; without it a stopped VPS could not be mounted again. */
static int alone(const char *root)
{
	char mark[PATH_MAX], real[PATH_MAX];

	if (!realpath(root, real)) /* as mountinfo has it */
		return -errno;
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	vz_drop_mounts(vps_path(mark, "lowerdir=%s/stage/", vps_paths()->run), real);
	return 0;
}

/* Its end can be waited for by whoever reads this. */
static int leave_note(const char *note)
{
	char text[48];
	uint64_t start;
	int r = vz_proc_starttime(getpid(), &start);

	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "%d %" PRIu64 "\n", (int)getpid(), start);
	return vz_write_volatile(note, text, strlen(text), 0600);
}

pid_t cpt_criu_start(const struct vz_list *argv, const struct vz_list *env, const char *root,
		     const char *note, int pages)
{
	VZ_FREE char **a = calloc(argv->n + 1, sizeof(*a));
	VZ_FREE char **e = calloc(env->n + 1, sizeof(*e));
	int null = -EBADF;
	sigset_t none;
	pid_t pid;

	if (!a || !e)
		return -ENOMEM;
	memcpy(a, argv->v, argv->n * sizeof(*a));
	memcpy(e, env->v, env->n * sizeof(*e));
	(void)fflush(NULL);
	pid = fork();
	if (pid != 0)
		return pid < 0 ? -errno : pid;
	(void)setsid();
	(void)!vz_write_value(AT_FDCWD, "/proc/self/oom_score_adj", "-1000");
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	null = vz_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
	    chdir("/") < 0 || alone(root) < 0 || (note && leave_note(note) < 0))
		_exit(127);
	(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	if (pages == CPT_PAGES_FD ? fcntl(pages, F_SETFD, 0) < 0
				  : pages >= 0 && dup2(pages, CPT_PAGES_FD) < 0)
		_exit(127);
	(void)execve(a[0], a, e);
	_exit(127);
}

/* Errors that CRIU writes and then goes on. */
static bool harmless(const char *line)
{
	static const char *const known[] = {
		"RLIMIT_NOFILE",     "execvp(",		  "iptables",
		"ip6tables",	     "Can't bind-mount",  "FAILED",
		"cgroupd: recv req", "Killing processes", "has_pipe_ack",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strstr(line, known[i]))
			return true;
	return false;
}

char *cpt_criu_why(const char *rundir, const char *log, char *dst, size_t size)
{
	VZ_FREE char *text = NULL;
	char path[PATH_MAX], *line, *save = NULL;

	dst[0] = '\0';
	if (vz_read_file(AT_FDCWD, vps_path(path, "%s/%s", rundir, log), LOG_BYTES, &text) < 0)
		return dst;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *at = strstr(line, "Error (");

		if (!at || harmless(line))
			continue;
		at = strstr(at, "): ");
		(void)vz_quote(dst, size, at ? at + 3 : line);
		break;
	}
	return dst;
}

/* ---- mounts ---- */

/* File systems that the VPS's own user namespace may mount: CRIU makes them anew. */
static bool made_anew(const char *type)
{
	static const char *const types[] = { "proc",   "sysfs", "cgroup2", "devpts",
					     "mqueue", "tmpfs", "cgroup",  "ramfs" };

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(type, types[i]))
			return true;
	return false;
}

static bool ours(const char *path, const struct vz_list *view)
{
	static const char *const paths[] = { "/dev",
					     "/dev/console",
					     "/run/vz",
					     "/var/lib/docker",
					     "/var/lib/containerd",
					     "/var/lib/containers" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		if (!strcmp(path, paths[i]))
			return true;
	return vz_list_find(view, path) >= 0;
}

/* One that is given, or a bind of it that the VPS made: CRIU makes that by itself. */
static bool is_given(const struct cpt_givens *given, const char *dev)
{
	for (size_t i = 0; given && i < given->n; i++)
		if (!strcmp(given->v[i].dev, dev))
			return true;
	return false;
}

int cpt_mounts(const char *mountinfo, const struct vz_list *view, const struct cpt_givens *given,
	       struct vz_list *ret_external, struct vz_error *err)
{
	VZ_FREE char *text = strdup(mountinfo);
	char root_dev[24] = "", *line, *save = NULL;

	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *f[5], *words = NULL, *type = strstr(line, " - ");
		int n = 0;

		if (!type)
			continue;
		*type = '\0';
		type += 3;
		type[strcspn(type, " ")] = '\0';
		for (char *w = strtok_r(line, " ", &words); w && n < 5;
		     w = strtok_r(NULL, " ", &words))
			f[n++] = w;
		if (n < 5)
			continue;
		if (!strcmp(f[4], "/")) {
			(void)snprintf(root_dev, sizeof(root_dev), "%s", f[2]);
		} else if (ours(f[4], view)) {
			if (vz_list_find(ret_external, f[4]) < 0 &&
			    vz_list_add(ret_external, f[4]) < 0)
				return -ENOMEM;
		} else if (!made_anew(type) && strcmp(f[2], root_dev) != 0 &&
			   !is_given(given, f[2])) {
			char shown[200];

			return vz_fail(err, VZ_EXIT_CHKPNT, EOPNOTSUPP,
				       "the %s mounted at %s inside came from the node", type,
				       vz_quote(shown, sizeof(shown), f[4]));
		}
	}
	return text ? 0 : -ENOMEM;
}
