/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "template/template.h"

#include "util/fd.h"
#include "util/json.h"
#include "util/log.h"
#include "util/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unreleased"
#endif
#ifndef VZ_DATADIR
#define VZ_DATADIR "/usr/share/croft"
#endif

enum { ENV_MAX = 24, RECIPE_LACKS_TOOL = 69, RECIPE_LACKS_MIRROR = 78, SCHEMA = 1 };

struct args {
	bool json, force;
	const char *name; /* NULL: none given */
};

static int no_name(struct vz_error *err)
{
	return vz_fail(err, VZ_EXIT_USAGE, 0,
		       "vztmpl: name of a template missing; see vztmpl --help");
}

/* ---- list ---- */

static const char *human(char *dst, size_t size, uint64_t bytes)
{
	static const char units[] = "BKMGT";
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1024 && u + 2 < sizeof(units)) {
		v /= 1024;
		u++;
	}
	(void)snprintf(dst, size, u && v < 10 ? "%.1f%c" : "%.0f%c", v, units[u]);
	return dst;
}

static json_t *info_json(const struct tpl_info *t)
{
	json_t *gens = json_array(), *used = json_array();

	for (size_t g = 0; g < t->generations.n; g++) {
		json_t *pins = json_array();

		for (size_t i = 0; i < t->npins; i++)
			if (vz_streq(t->pins[i].hash, t->generations.v[g]))
				(void)json_array_append_new(pins, json_integer(t->pins[i].ctid));
		(void)json_array_append_new(
			gens, json_pack("{s:s,s:o}", "hash", t->generations.v[g], "used_by", pins));
	}
	for (size_t i = 0; i < t->npins; i++)
		(void)json_array_append_new(used, json_integer(t->pins[i].ctid));
	return json_pack("{s:s,s:o,s:I,s:o,s:o}", "name", t->name, "format",
			 t->format[0] ? json_string(t->format) : json_null(), "size",
			 (json_int_t)t->size_bytes, "generations", gens, "used_by", used);
}

static int list_json(const struct tpl_info *list, size_t n, struct vz_error *err)
{
	VZ_JSON json_t *all = json_object();
	json_t *rows = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(rows, info_json(&list[i]));
	if (json_object_set_new(all, "schema", json_integer(SCHEMA)) < 0 ||
	    json_object_set_new(all, "templates", rows) < 0 || json_array_size(rows) != n)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "list");
	if (json_dumpf(all, stdout, JSON_INDENT(2)) < 0 || fputc('\n', stdout) == EOF)
		return vz_fail(err, VZ_EXIT_SYSTEM, EIO, "write the list");
	return 0;
}

static void list_text(const struct tpl_info *list, size_t n)
{
	int width = 4;

	for (size_t i = 0; i < n; i++)
		if ((int)strlen(list[i].name) > width)
			width = (int)strlen(list[i].name);
	printf("%-*s %-8s %6s %11s  %s\n", width, "NAME", "FORMAT", "SIZE", "GENERATIONS",
	       "USED BY");
	for (size_t i = 0; i < n; i++) {
		const struct tpl_info *t = &list[i];
		char size[32] = "-";

		if (t->format[0])
			(void)human(size, sizeof(size), t->size_bytes);
		printf("%-*s %-8s %6s %11zu  ", width, t->name, t->format[0] ? t->format : "-",
		       size, t->generations.n);
		for (size_t p = 0; p < t->npins; p++)
			printf("%s%u", p ? "," : "", t->pins[p].ctid);
		puts(t->npins ? "" : "-");
	}
}

static int cmd_list(const struct vps_config *global, const struct args *a, struct vz_error *err)
{
	struct tpl_info *list = NULL;
	ssize_t n;
	int r = 0;

	if (a->name)
		return vz_fail(err, VZ_EXIT_USAGE, 0, "vztmpl: list takes no name");
	n = tpl_list(global, &list, err);
	if (n < 0)
		return (int)n;
	if (a->json)
		r = list_json(list, (size_t)n, err);
	else
		list_text(list, (size_t)n);
	tpl_list_free(list, (size_t)n);
	return r;
}

/* ---- verify ---- */

static int verify_one(const struct vps_config *global, const char *name, struct vz_error *err)
{
	char archive[PATH_MAX];
	int r = tpl_find(global, name, archive, err);

	if (r == 0)
		r = tpl_verify(archive, err);
	if (r == 0)
		printf("%s: good\n", name);
	return r;
}

/* All of them, each bad one told when it is found; the first reason is the exit status. */
static int cmd_verify(const struct vps_config *global, const struct args *a, struct vz_error *err)
{
	struct tpl_info *list = NULL;
	ssize_t n;
	size_t bad = 0;
	int status = 0;

	if (a->name)
		return verify_one(global, a->name, err);
	n = tpl_list(global, &list, err);
	if (n < 0)
		return (int)n;
	for (ssize_t i = 0; i < n; i++) {
		struct vz_error one = { 0 };

		if (!list[i].format[0] || verify_one(global, list[i].name, &one) == 0)
			continue;
		vz_error("%s", one.msg);
		status = bad++ ? status : one.exit;
	}
	tpl_list_free(list, (size_t)n);
	return bad ? vz_fail(err, status, 0, "%zu bad template%s", bad, bad > 1 ? "s" : "") : 0;
}

static int cmd_remove(const struct vps_config *global, const struct args *a, struct vz_error *err)
{
	return a->name ? tpl_remove(global, a->name, err) : no_name(err);
}

/* ---- build ---- */

static bool recipe_in(const char *dir, const char *name, char ret_dir[PATH_MAX],
		      char ret_path[PATH_MAX])
{
	struct stat st;

	vps_path(ret_dir, "%s/templates", dir);
	vps_path(ret_path, "%s/templates/%s", dir, name);
	return stat(ret_path, &st) == 0 && S_ISREG(st.st_mode) && access(ret_path, X_OK) == 0;
}

static int find_recipe(const char *name, char ret_dir[PATH_MAX], char ret_path[PATH_MAX],
		       struct vz_error *err)
{
	const char *data = secure_getenv("CROFT_DATADIR");

	if (!data)
		data = VZ_DATADIR;
	if (recipe_in(vps_paths()->etc, name, ret_dir, ret_path) ||
	    recipe_in(data, name, ret_dir, ret_path))
		return 0;
	return vz_fail(err, VZ_EXIT_NOSCRIPT, ENOENT,
		       "no recipe %s in %s/templates or %s/templates", name, vps_paths()->etc,
		       data);
}

/* The recipe sees little of our environment: what it is to make, and the way to the network. */
static int run_recipe(const char *recipe, const char *dir, const char *name, const char *out,
		      struct vz_error *err)
{
	static const char *const passed[] = { "TMPDIR",	   "http_proxy", "https_proxy",
					      "ftp_proxy", "no_proxy",	 "SOURCE_DATE_EPOCH",
					      "MIRROR",	   "KEYRING",	 "SUITE" };
	const char *argv[] = { recipe, NULL };
	const char *env[ENV_MAX + 1] = { VZ_PATH_ENV, "HOME=/root", "LC_ALL=C.UTF-8" };
	struct vz_run how = { .env = env, .stdout_fd = STDERR_FILENO };
	VZ_LIST struct vz_list own = { 0 };
	char mirrors[PATH_MAX];
	const char *const keys[] = { "NAME", "OUT", "RECIPES", "MIRRORS" };
	const char *const values[] = {
		name, out, dir, vps_path(mirrors, "%s/templates/mirrors", vps_paths()->etc)
	};
	const size_t n_keys = sizeof(keys) / sizeof(keys[0]);
	size_t n = 3;
	int r = 0;

	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]) + n_keys; i++) {
		const char *key = i < n_keys ? keys[i] : passed[i - n_keys];
		const char *value = i < n_keys ? values[i] : secure_getenv(key);
		VZ_FREE char *text = value ? vz_fmt("%s=%s", key, value) : NULL;

		if (value && (!text || vz_list_add(&own, text) < 0))
			return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "run %s", recipe);
	}
	for (size_t i = 0; i < own.n && n < ENV_MAX; i++)
		env[n++] = own.v[i];
	r = vz_run(argv, &how);
	if (r == 0)
		return 0;
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "run %s", recipe);
	if (r == RECIPE_LACKS_TOOL) /* its own line named the package */
		return vz_fail(err, VZ_EXIT_RESOURCE, 0, "recipe %s lacks a program", recipe);
	if (r == RECIPE_LACKS_MIRROR) /* its own line told how to give one */
		return vz_fail(err, VZ_EXIT_RESOURCE, 0, "recipe %s lacks a mirror", recipe);
	return vz_fail(err, VZ_EXIT_COMMAND, 0, "recipe %s failed (status %d)", recipe, r);
}

static int build_lock(const char *dir, struct vz_error *err)
{
	char path[PATH_MAX];
	VZ_FD int fd = -EBADF;

	vps_path(path, "%s/.build.lock", dir);
	fd = vz_openat(AT_FDCWD, path, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -fd, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? vz_fail(err, VZ_EXIT_LOCKED, 0, "another build is running")
			       : vz_fail(err, VZ_EXIT_SYSTEM, errno, "%s", path);
	return vz_take_fd(&fd);
}

static int cmd_build(const struct vps_config *global, const struct args *a, struct vz_error *err)
{
	char cache[PATH_MAX], out[PATH_MAX], old[PATH_MAX], dir[PATH_MAX], recipe[PATH_MAX];
	VZ_FD int lock = -EBADF;
	int r;

	if (!a->name)
		return no_name(err);
	if (!tpl_name_valid(a->name))
		return vz_fail(err, VZ_EXIT_VALUE, 0, "vztmpl: bad name of a template");
	if (!global->template_dir || !*global->template_dir)
		return vz_fail(err, VZ_EXIT_TEMPLATE_NOTSET, 0, "TEMPLATE is not set");
	r = find_recipe(a->name, dir, recipe, err);
	if (r < 0)
		return r;
	if (!a->force && tpl_find(global, a->name, old, err) == 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, EEXIST, "%s (--force builds it anew)", old);
	vps_path(cache, "%s/cache", global->template_dir);
	r = vz_mkdir_p(cache, 0755);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_MKDIR, -r, "%s", cache);
	lock = build_lock(cache, err);
	if (lock < 0)
		return lock;
	vps_path(out, "%s/.%s.tar.zst.tmp", cache, a->name);
	(void)unlink(out);
	r = run_recipe(recipe, dir, a->name, out, err);
	if (r == 0)
		r = tpl_check(out, err);
	if (r == 0)
		r = tpl_install(global, a->name, out, err);
	if (r < 0) {
		(void)unlink(out);
		return r;
	}
	printf("%s/%s.tar.zst\n", cache, a->name);
	return 0;
}

/* ---- */

static const struct {
	const char *name;
	int (*run)(const struct vps_config *, const struct args *, struct vz_error *);
} commands[] = {
	{ "build", cmd_build },
	{ "list", cmd_list },
	{ "verify", cmd_verify },
	{ "remove", cmd_remove },
};

static void help(void)
{
	puts("Usage: vztmpl build [--force] NAME\n"
	     "       vztmpl list [--json]\n"
	     "       vztmpl verify [NAME]\n"
	     "       vztmpl remove NAME\n"
	     "       vztmpl --help | --version\n"
	     "\n"
	     "  build    make the template NAME by its recipe\n"
	     "  list     templates, their unpacked generations and the VPSes that need them\n"
	     "  verify   read archives to their end and compare them with their SHA-256\n"
	     "  remove   remove a template that no VPS needs");
}

static int run(int argc, char **argv, struct vz_error *err)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ "json", no_argument, NULL, 'j' },
		{ "force", no_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	VPS_CONFIG struct vps_config global = { 0 };
	struct args a = { 0 };
	int c, r;

	while ((c = getopt_long(argc, argv, "hjf", options, NULL)) != -1) {
		if (c == 'h') {
			help();
			return 0;
		}
		if (c == 'V') {
			puts("vztmpl (Croft) " PACKAGE_VERSION);
			return 0;
		}
		if (c != 'j' && c != 'f') /* getopt has told what */
			return vz_fail(err, VZ_EXIT_USAGE, 0, "vztmpl: see vztmpl --help");
		a.json |= c == 'j';
		a.force |= c == 'f';
	}
	if (optind == argc || argc - optind > 2)
		return vz_fail(err, VZ_EXIT_USAGE, 0,
			       "vztmpl: one command and at most one name; "
			       "see vztmpl --help");
	a.name = argv[optind + 1]; /* argv ends with NULL */
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!vz_streq(argv[optind], commands[i].name))
			continue;
		if ((a.json && commands[i].run != cmd_list) ||
		    (a.force && commands[i].run != cmd_build))
			return vz_fail(err, VZ_EXIT_USAGE, 0, "vztmpl: %s has no such option",
				       commands[i].name);
		r = vps_load_global(&global, err);
		return r < 0 ? r : commands[i].run(&global, &a, err);
	}
	return vz_fail(err, VZ_EXIT_USAGE, 0, "vztmpl: unknown command; see vztmpl --help");
}

int main(int argc, char **argv)
{
	struct vz_error err = { 0 };
	int r;

	vz_log_init(&(struct vz_log_setup){ .program = "vztmpl" });
	r = run(argc, argv, &err);
	if (fflush(stdout) == EOF && r == 0)
		r = vz_fail(&err, VZ_EXIT_SYSTEM, errno, "write");
	if (r == 0)
		return VZ_EXIT_OK;
	vz_error("%s", err.msg);
	return err.exit;
}
