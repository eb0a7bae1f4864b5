/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The only door to libbpf. */
#include "ubc/load.h"

#include "ubc/ubc.skel.h"
#include "ubc/version.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/str.h"
#include "vps/vps.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { LINKS = 64, NAME_BYTES = 64, TOLD_BYTES = 2000 };

/* Maps of the programs, by name in the object and as pin; the section of variables is one. */
static const struct {
	const char *name, *pin;
} pinned_maps[] = { { "table", "table" }, { ".bss", "groups" },	   { "files", "files" },
		    { "socks", "socks" }, { "locks", "locks" },	   { "ptys", "ptys" },
		    { "mms", "mms" },	  { "shms", "shms" },	   { "spill", "spill" },
		    { "dead", "dead" },	  { "adopted", "adopted" } };

/*
 * What libbpf complains about goes to the log; what matters is said by us. Of what the kernel has against a program the
 * end counts.
 */
static int told(enum libbpf_print_level level, const char *format, va_list args)
{
	VZ_FREE char *text = NULL;
	size_t from = 0, n;

	if (level == LIBBPF_DEBUG || vasprintf(&text, format, args) < 0)
		return 0;
	n = strlen(text);
	from = n > TOLD_BYTES ? n - TOLD_BYTES : 0;
	for (char *line = strtok(text + from, "\n"); line; line = strtok(NULL, "\n"))
		vz_debug("%s", line);
	return 0;
}

/* ---- which programs ---- */

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), e = strlen(end);

	return n > e && !strcmp(name + n - e, end);
}

static bool is_iterator(const char *name)
{
	return !strncmp(name, "it_", 3);
}

/* Group of a program by its name; -ENOENT: an iterator, or of another method. */
static int group_of(const char *name, enum ubc_method method)
{
	for (int g = 0; g < UBC_GROUPS; g++) {
		const char *prefix = ubc_prefix(g, method);

		if (prefix && !strncmp(name, prefix, strlen(prefix)))
			return g;
	}
	return -ENOENT;
}

static bool belongs(const char *name, enum ubc_method method, bool plain)
{
	if (is_iterator(name))
		return !plain;
	if (vz_streq(name, "cg_create") || vz_streq(name, "cg_plain"))
		return method == UBC_BY_CGROUP && plain == vz_streq(name, "cg_plain");
	if (group_of(name, method) < 0)
		return false;
	return !ends_with(name, method == UBC_BY_LSM ? "_m" : "_l");
}

/* The function after the last slash of "fentry/NAME" is one that this kernel has (a canary tells if it is called). */
static bool there(const struct bpf_program *p, const struct btf *kernel)
{
	const char *section = bpf_program__section_name(p), *slash = strchr(section, '/');

	if (strncmp(section, "fentry/", 7) != 0 && strncmp(section, "fexit/", 6) != 0 &&
	    strncmp(section, "fmod_ret/", 9) != 0)
		return true;
	return kernel && btf__find_by_name_kind(kernel, slash + 1, BTF_KIND_FUNC) > 0;
}

static void choose(struct bpf_object *obj, enum ubc_method method, bool plain)
{
	struct btf *kernel = method > UBC_BY_CGROUP ? btf__load_vmlinux_btf() : NULL;
	struct bpf_program *p;

	bpf_object__for_each_program(p, obj)(void) bpf_program__set_autoload(
		p, belongs(bpf_program__name(p), method, plain) && there(p, kernel));
	btf__free(kernel);
}

/* ---- trying a method ---- */

enum { MAPS = sizeof(pinned_maps) / sizeof(*pinned_maps) };

struct loading {
	enum ubc_method method;
	struct ubc_bpf *skel;
	struct ubc_table *old, *t; /* @old: what is there already; NULL none */
	int maps[MAPS]; /* of all methods that are tried */
	bool same_maps; /* @t is @old: another build with the same layout */
	int types; /* the file open_object() gives libbpf; to be closed */
	bool plain; /* nothing of the kernel's can be read */
	uint32_t whole; /* groups all of whose counters were proved */
};

/* So many files this node could open by its memory: the kernel's own limit is one for 10 KiB. */
static uint32_t most_files(void)
{
	const uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint32_t files = 1 << 16;

	while (files < 1 << 20 && files < bytes / 10240)
		files *= 2;
	return files;
}

/*
 * A quarter of them have a place of 16 bytes, and sockets and locks fewer. All have room in the hash of what found no
 * place, at 16 bytes, and 64 for each that is there.
 */
static void size_maps(struct ubc_bpf *skel)
{
	const uint32_t files = most_files(), cells = files / 4 / UBC_WAYS;

	(void)bpf_map__set_max_entries(skel->maps.files, cells);
	(void)bpf_map__set_max_entries(skel->maps.socks, cells / 2);
	(void)bpf_map__set_max_entries(skel->maps.locks, cells / 4);
	(void)bpf_map__set_max_entries(skel->maps.spill, files);
	(void)bpf_map__set_max_entries(skel->maps.mms, files / 4);
	(void)bpf_map__set_max_entries(skel->maps.shms, files / 4);
	(void)bpf_map__set_max_entries(skel->maps.ptys, files / 16);
	skel->rodata->files_mask = cells - 1;
	skel->rodata->socks_mask = cells / 2 - 1;
	skel->rodata->locks_mask = cells / 4 - 1;
}

static bool fits(int fd, const struct bpf_map *m)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
	       info.type == (uint32_t)bpf_map__type(m) && info.key_size == bpf_map__key_size(m) &&
	       info.value_size == bpf_map__value_size(m) &&
	       info.max_entries == bpf_map__max_entries(m) &&
	       info.map_flags == bpf_map__map_flags(m);
}

/* Pinned maps of ours are used again, with all that they hold, if every one fits. */
static int provide_maps(struct loading *l, struct vz_error *err)
{
	struct ubc_bpf *skel = ubc_bpf__open();
	int r = 0;

	if (!skel)
		return vz_fail(err, VZ_EXIT_RESOURCE, errno, "open the BPF object");
	size_maps(skel);
	l->same_maps = l->old && l->old->is_map && ubc_layout_is_ours(ubc_head(l->old));
	for (int i = 0; l->same_maps && i < MAPS; i++) {
		l->maps[i] = ubc_pin_get(pinned_maps[i].pin);
		l->same_maps = fits(l->maps[i],
				    bpf_object__find_map_by_name(skel->obj, pinned_maps[i].name));
	}
	for (int i = 0; !l->same_maps && r == 0 && i < MAPS; i++) {
		const struct bpf_map *m =
			bpf_object__find_map_by_name(skel->obj, pinned_maps[i].name);
		struct bpf_map_create_opts o = { .sz = sizeof(o),
						 .map_flags = bpf_map__map_flags(m) };

		vz_closep(&l->maps[i]);
		l->maps[i] =
			bpf_map_create(bpf_map__type(m), pinned_maps[i].pin, bpf_map__key_size(m),
				       bpf_map__value_size(m), bpf_map__max_entries(m), &o);
		if (l->maps[i] < 0)
			r = vz_fail(err, VZ_EXIT_RESOURCE, errno, "make the BPF map %s",
				    pinned_maps[i].pin);
	}
	ubc_bpf__destroy(skel);
	return r;
}

static int map_fd(const struct loading *l, const char *name)
{
	for (int i = 0; i < MAPS; i++)
		if (vz_streq(pinned_maps[i].pin, name))
			return l->maps[i];
	return -ENOENT;
}

static int use_maps(struct loading *l)
{
	int r = 0;

	for (int i = 0; r == 0 && i < MAPS; i++)
		r = bpf_map__reuse_fd(
			bpf_object__find_map_by_name(l->skel->obj, pinned_maps[i].name),
			l->maps[i]);
	return r;
}

/* Slots of another layout, as far as both know the rows. */
static void copy_slots(struct loading *l)
{
	const struct ubc_head *h = ubc_head(l->old);
	const uint8_t *from = (const uint8_t *)l->old->slot;
	const uint32_t rows = h->nr < UBC_NR ? h->nr : UBC_NR;

	memcpy(ubc_head(l->t)->level, h->level, sizeof(h->level));
	for (uint32_t i = 1; i < h->slots && i < UBC_SLOTS; i++) {
		struct ubc_slot s = { 0 };

		memcpy(&s, from + (size_t)i * h->slot_size, offsetof(struct ubc_slot, row));
		memcpy(s.row, from + (size_t)i * h->slot_size + offsetof(struct ubc_slot, row),
		       rows * sizeof(s.row[0]));
		if (!s.ctid || !(s.flags & UBC_LIVE))
			continue;
		for (int c = 0; c < UBC_NR; c++) {
			if (c >= (int)rows)
				s.row[c].barrier = s.row[c].limit = INT64_MAX;
			s.row[c].held =
				ubc_group_of(c) < 0 ? s.row[c].held : 0; /* the walk finds it */
		}
		if (ubc_layout_is_ours(h))
			memcpy(s.carried, ((const struct ubc_slot *)from)[i].carried,
			       sizeof(s.carried));
		s.refusals = 0;
		l->t->slot[i] = s;
		ubc_recount(l->t, &l->t->slot[i]);
		(void)!ubc_group_put(map_fd(l, "groups"), ubc_head(l->t), s.cgroup, i);
	}
}

static int attach_all(struct loading *l, int links[LINKS], struct vz_error *err)
{
	struct bpf_program *p;
	int n = 0;

	bpf_object__for_each_program(p, l->skel->obj)
	{
		const char *name = bpf_program__name(p);

		if (!bpf_program__autoload(p) || is_iterator(name) || n == LINKS)
			continue;
		links[n] = ubc_prog_attach(bpf_program__fd(p), name);
		if (links[n] < 0)
			return vz_fail(err, VZ_EXIT_RESOURCE, -links[n], "attach %s", name);
		n++;
	}
	return 0;
}

/* Links of the groups in @mask stay when we are gone: the same program cannot be attached twice. */
static int keep_links(struct loading *l, const int links[LINKS], uint32_t mask)
{
	struct bpf_program *p;
	int n = 0, r = 0;

	bpf_object__for_each_program(p, l->skel->obj)
	{
		const char *name = bpf_program__name(p);
		char pin[NAME_BYTES];
		int g = group_of(name, l->method);

		if (!bpf_program__autoload(p) || is_iterator(name) || n == LINKS)
			continue;
		(void)snprintf(pin, sizeof(pin), "links/%.40s", name);
		if (vz_streq(name, UBC_PTY_PROG)) {
			n++; /* from now on in the groups that need it */
			continue;
		}
		if (r == 0 && g >= 0 && mask & 1U << g)
			r = ubc_pin(links[n], pin);
		n++;
	}
	return r;
}

static void settle_modes(struct loading *l)
{
	const struct ubc_head *h = ubc_head(l->t);

	l->whole = 0;
	for (int g = 0; g < UBC_GROUPS; g++) {
		bool good = ubc_prefix(g, l->method);

		for (int c = 0; c < UBC_NR; c++)
			good = good && (ubc_group_of(c) != g || h->modes[c] > UBC_STORED);
		l->whole |= good ? 1U << g : 0;
	}
	ubc_no_bpf_modes(ubc_head(l->t));
}

/* The programs learn which user namespace is the node's own. What cannot find it counts all the same, at some cost. */
static void find_node(const struct loading *l)
{
	VZ_FD int link =
		bpf_link_create(bpf_program__fd(l->skel->progs.it_tasks), 0, BPF_TRACE_ITER, NULL);
	VZ_FD int fd = link < 0 ? -EBADF : bpf_iter_create(link);
	char c;

	while (fd >= 0 && (read(fd, &c, 1) > 0 || errno == EINTR || errno == EAGAIN))
		errno = 0;
}

static int prove(struct loading *l, struct vz_error *err)
{
	const uint32_t needed = 1U << (l->method == UBC_BY_CGROUP ? UBC_G_SOCK : UBC_G_FILE);
	struct ubc_head *h = ubc_head(l->t);
	int links[LINKS], r;

	memset(links, 0xff, sizeof(links));
	memset(h->modes, 0, sizeof(h->modes));
	if (!l->plain)
		find_node(l);
	r = attach_all(l, links, err);
	if (r == 0)
		r = ubc_canaries(l->t, map_fd(l, "groups"), err);
	/* the programs of control groups are not asked about sockets of other families: not all of a limit holds */
	if (l->method == UBC_BY_CGROUP && h->modes[UBC_NUMOTHERSOCK] == UBC_ENFORCED)
		h->modes[UBC_NUMOTHERSOCK] = UBC_ACCOUNTED;
	settle_modes(l);
	for (int i = 0; i < LINKS; i++)
		vz_closep(&links[i]);
	if (r == 0 && !(l->whole & needed))
		r = vz_fail(err, VZ_EXIT_RESOURCE, 0, "its programs are attached and not called");
	return r;
}

/*
 * libbpf asks for the types of the kernel if any program of the object needs them, loaded or not. Where there are none it
 * gets the object's own, and the programs that are loaded need none.
 */
static struct ubc_bpf *open_object(struct loading *l)
{
	struct bpf_object_open_opts o = { .sz = sizeof(o) };
	char path[NAME_BYTES];
	const void *elf;
	size_t size;

	if (!l->plain)
		return ubc_bpf__open();
	elf = ubc_bpf__elf_bytes(&size);
	l->types = memfd_create("croft-types", MFD_CLOEXEC);
	if (l->types < 0 || write(l->types, elf, size) != (ssize_t)size)
		return NULL;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", l->types);
	o.btf_custom_path = path;
	return ubc_bpf__open_opts(&o);
}

/* Table, programs, proof; nothing is pinned yet. */
static int try_method(struct loading *l, struct vz_error *err)
{
	int fd, r;

	l->skel = open_object(l);
	if (!l->skel)
		return vz_fail(err, VZ_EXIT_RESOURCE, errno, "open the BPF object");
	choose(l->skel->obj, l->method, l->plain);
	/* not for the programs of control groups, which must do on more kernels */
	(void)bpf_map__set_autocreate(l->skel->maps.shm_works, l->method > UBC_BY_CGROUP);
	size_maps(l->skel);
	r = use_maps(l);
	if (r == 0)
		r = ubc_bpf__load(l->skel);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -r, "load the programs");
	fd = fcntl(map_fd(l, "table"), F_DUPFD_CLOEXEC, 3);
	r = fd < 0 ? -errno : ubc_table_map(fd, true, true, &l->t);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -r, "map the table");
	if (!l->same_maps)
		ubc_head_fill(ubc_head(l->t));
	return prove(l, err);
}

/* ---- pins ---- */

static int pin_dir(const char *sub)
{
	char dir[PATH_MAX], path[PATH_MAX + NAME_BYTES];

	(void)snprintf(path, sizeof(path), "%s/%s", ubc_pins(dir), sub);
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* A bpffs below the run directory, where /sys/fs/bpf is none or not for us. */
static int provide_bpffs(struct vz_error *err)
{
	char dir[PATH_MAX];
	struct statfs fs;
	int r = 0;

	(void)ubc_pins(dir);
	if (!strncmp(dir, "/sys/fs/bpf/", 12))
		r = mkdir(dir, 0700) < 0 && errno != EEXIST ? -errno : 0;
	else
		r = vz_mkdir_p(dir, 0700);
	if (r == 0 && (statfs(dir, &fs) < 0 || fs.f_type != BPF_FS_MAGIC) &&
	    (mount("croft", dir, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0 ||
	     mount(NULL, dir, NULL, MS_PRIVATE, NULL) < 0))
		r = -errno;
	return r < 0 ? vz_fail(err, VZ_EXIT_RESOURCE, -r, "a bpffs at %s", dir) : 0;
}

static void unpin_in(const char *sub)
{
	char dir[PATH_MAX], path[PATH_MAX + NAME_BYTES];
	VZ_DIR DIR *d = NULL;
	struct dirent *e;

	(void)snprintf(path, sizeof(path), "%s/%s", ubc_pins(dir), sub);
	d = vz_opendirat(AT_FDCWD, path);
	while (d && (e = readdir(d)))
		if (e->d_type == DT_REG || e->d_type == DT_LNK || (e->d_name[0] != '.' && *sub))
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d && *sub)
		(void)rmdir(path);
}

static void unpin_all(void)
{
	unpin_in("links");
	unpin_in("iter");
	unpin_in("progs");
	unpin_in("");
}

static int pin_program(struct loading *l, struct bpf_program *p)
{
	const char *name = bpf_program__name(p);
	char pin[NAME_BYTES];
	int g = group_of(name, l->method);

	if (!bpf_program__autoload(p))
		return 0;
	if (is_iterator(name)) {
		VZ_FD int link = bpf_link_create(bpf_program__fd(p), 0, BPF_TRACE_ITER, NULL);

		(void)snprintf(pin, sizeof(pin), "iter/%.40s", name);
		return link < 0 ? link : ubc_pin(link, pin);
	}
	if (g < 0 || !(l->whole & 1U << g))
		return 0;
	(void)snprintf(pin, sizeof(pin), "progs/%.40s", name);
	return ubc_pin(bpf_program__fd(p), pin);
}

/*
 * Put ours in the place of what is there. Until the end older programs go on counting by their own links, on the same
 * maps where these fit: a record by address is made once and dropped once however many look.
 */
static int take_over(struct loading *l, const char *why, struct vz_error *err)
{
	struct ubc_head *h = ubc_head(l->t);
	/* sockets have other keys with the cgroup method */
	const bool same_keys = (h->method == UBC_BY_CGROUP) == (l->method == UBC_BY_CGROUP);
	const uint32_t attached = l->same_maps && same_keys ? h->attached : 0;
	int links[LINKS], r = 0;
	struct bpf_program *p;
	uint32_t kept = 0;
	char path[PATH_MAX];

	memset(links, 0xff, sizeof(links));
	if (l->old && !l->same_maps)
		copy_slots(l);
	r = attach_all(l, links, err); /* so that there is no moment without */
	h->method = l->method;
	h->version = UBC_VERSION;
	(void)snprintf(h->why, sizeof(h->why), "%s", why);
	unpin_all();
	if (r == 0)
		r = pin_dir("progs") < 0 || pin_dir("links") < 0 || pin_dir("iter") < 0 ? -errno
											: 0;
	for (int i = 0; r == 0 && i < MAPS; i++)
		r = ubc_pin(l->maps[i], pinned_maps[i].pin);
	bpf_object__for_each_program(p, l->skel->obj) r = r < 0 ? r : pin_program(l, p);
	for (int g = 0; g < UBC_GROUPS; g++)
		if (attached & 1U << g && l->whole & 1U << g && h->users[g])
			kept |= 1U << g;
	if (r == 0)
		r = keep_links(l, links, kept);
	h->attached = kept;
	if (r == 0 && kept && l->method > UBC_BY_CGROUP)
		r = ubc_adopt(kept); /* what the older ones missed */
	for (int i = 0; i < LINKS; i++)
		vz_closep(&links[i]);
	for (int g = 0; g < UBC_GROUPS; g++)
		if (!(h->attached & 1U << g))
			ubc_forget_objects(l->t, g);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_RESOURCE, -r, "pin the BPF programs");
	(void)unlink(ubc_file_path(path));
	r = ubc_fit(l->t, err);
	ubc_ptys_all(l->t, false);
	return r;
}

static void end_loading(struct loading *l)
{
	ubc_table_close(&l->t);
	ubc_bpf__destroy(l->skel);
	l->skel = NULL;
	vz_closep(&l->types);
}

/* ---- the whole ---- */

static int open_old(struct ubc_table **ret)
{
	bool is_map = false;
	int fd = ubc_table_fd(&is_map), r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = ubc_table_map(fd, true, is_map, ret);
	if (r == 0 && ubc_head(*ret)->magic != UBC_MAGIC && ubc_head(*ret)->magic != UBC_MAGIC_OLD)
		ubc_table_close(ret);
	return r == -ESTALE ? 0 : r;
}

static void add_reason(char *why, size_t size, enum ubc_method m, const char *text)
{
	size_t n = strlen(why);

	(void)snprintf(why + n, size - n, "%s%s: %.60s", n ? "; " : "", ubc_method_name(m), text);
}

/* Why nothing of the kernel's can be read, which the better methods do. NULL: as far as we know it can. */
static const char *hindrance(void)
{
	VZ_FREE char *lockdown = NULL;
	struct stat st;

	if (stat("/sys/kernel/btf/vmlinux", &st) < 0 || st.st_size == 0)
		return "this kernel has no BTF (/sys/kernel/btf/vmlinux)";
	if (vz_read_file(AT_FDCWD, "/sys/kernel/security/lockdown", NAME_BYTES, &lockdown) > 0 &&
	    strstr(lockdown, "[confidentiality]"))
		return "this kernel is locked down (confidentiality)";
	return NULL;
}

/* Methods from the best down. Return: 0 one was taken; -ENOENT none. */
static int try_methods(struct loading *l, enum ubc_method below, char *why, size_t size)
{
	const char *no;
	struct vz_error e;
	int r = provide_bpffs(&e);

	if (r == 0)
		r = provide_maps(l, &e);
	if (r < 0) {
		add_reason(why, size, UBC_BY_NOTHING, e.msg);
		return -ENOENT;
	}
	no = hindrance();
	l->plain = no;
	if (no && below > UBC_BY_FMOD) {
		(void)snprintf(why, size, "lsm, fmod_ret: %s", no);
		below = UBC_BY_FMOD;
	}
	for (l->method = below - 1; l->method > UBC_BY_NOTHING; l->method--) {
		r = try_method(l, &e);
		if (r == 0)
			r = take_over(l, why, &e);
		end_loading(l);
		if (r == 0)
			return 0;
		vz_info("BPF by %s: %s", ubc_method_name(l->method), e.msg);
		add_reason(why, size, l->method, e.msg);
	}
	return -ENOENT;
}

static bool up_to_date(const struct ubc_table *old)
{
	const struct ubc_head *h = old ? (const struct ubc_head *)old->slot : NULL;

	return h && ubc_layout_is_ours(h) && h->version == UBC_VERSION;
}

/* The table as a file, with the limits of those that run. */
static int fall_back(struct ubc_table *old, const char *why, struct vz_error *err)
{
	struct loading l = { .old = old };
	bool is_map = false;
	int fd, r;

	memset(l.maps, 0xff, sizeof(l.maps));
	if (old)
		ubc_ptys_all(old, true);
	unpin_all();
	r = ubc_make_file(why);
	fd = r < 0 ? r : ubc_table_fd(&is_map);
	r = fd < 0 ? fd : ubc_table_map(fd, true, false, &l.t);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "make %s/ubc", vps_paths()->run);
	if (old)
		copy_slots(&l);
	ubc_table_close(&l.t);
	return 0;
}

int ubc_load(bool again, enum ubc_method below, struct vz_error *err)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	UBC_TABLE struct ubc_table *old = NULL;
	VZ_FD int lock = ubc_lock();
	char why[sizeof(((struct ubc_head *)0)->why)] = "";
	struct loading l = { .types = -EBADF };
	int r = lock < 0 ? lock : open_old(&old);

	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "%s/ubc", vps_paths()->run);
	if (!again && up_to_date(old))
		return 0;
	(void)setrlimit(RLIMIT_MEMLOCK, &unlimited); /* before 5.11 maps were charged to it */
	(void)libbpf_set_print(told);
	memset(l.maps, 0xff, sizeof(l.maps));
	l.old = old;
	r = try_methods(&l, below, why, sizeof(why));
	for (int i = 0; i < MAPS; i++)
		vz_closep(&l.maps[i]);
	if (r == 0)
		return 0;
	if (below == UBC_METHODS && old && ubc_layout_is_ours(ubc_head(old))) {
		/* an older version of ours that works is better than nothing, and VPSes have their limits in it */
		ubc_head(old)->version = UBC_VERSION;
		(void)snprintf(ubc_head(old)->why, sizeof(ubc_head(old)->why), "%s", why);
		return 0;
	}
	return fall_back(old, why, err);
}

static uint32_t running(const struct ubc_table *t)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i < UBC_SLOTS; i++)
		n += t->slot[i].ctid && t->slot[i].flags & UBC_LIVE;
	return n;
}

int ubc_unload(bool force, struct vz_error *err)
{
	UBC_TABLE struct ubc_table *old = NULL;
	VZ_FD int lock = ubc_lock();
	char path[PATH_MAX];
	struct statfs fs;
	int r = lock < 0 ? lock : open_old(&old);

	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "%s/ubc", vps_paths()->run);
	if (old && running(old) && !force)
		return vz_fail(err, VZ_EXIT_RUNNING, EBUSY,
			       "%u VPSes run, and their limits would not hold any more",
			       running(old));
	if (old)
		ubc_ptys_all(old, true);
	unpin_all();
	(void)ubc_pins(path);
	if (rmdir(path) < 0 && statfs(path, &fs) == 0 && fs.f_type == BPF_FS_MAGIC &&
	    umount2(path, MNT_DETACH) == 0)
		(void)rmdir(path);
	(void)unlink(ubc_file_path(path));
	return 0;
}
