/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the groups of a VPS tell of it, for the files of /proc that lxcfs does not know. */
#include "resources/resources.h"

#include "resources/priv.h"
#include "util/fd.h"
#include "util/parse.h"

#include <inttypes.h>
#include <string.h>
#include <sys/sysinfo.h>

enum { CPUS_MAX = 8192, DISKS_MAX = 512 };

void res_inside_clear(struct res_inside *i)
{
	vz_freep(&i->memory);
	vz_freep(&i->disks);
	i->ndisks = 0;
}

/* ---- CPU ---- */

unsigned int cg_cpus(unsigned int online, const char *set, uint64_t limit_pct)
{
	uint64_t bits[CPUS_MAX / 64] = { 0 };
	unsigned int n = 0;

	if (set && vz_parse_cpulist(set, bits, CPUS_MAX) == 0)
		for (size_t i = 0; i < CPUS_MAX / 64; i++)
			n += (unsigned int)__builtin_popcountll(bits[i]);
	if (n == 0 || n > online)
		n = online;
	if (limit_pct < (uint64_t)n * 100)
		n = (unsigned int)((limit_pct + 99) / 100);
	return n ? n : 1;
}

/*
 * A group counts what it holds up itself. On v2 the limit stands in two, one over the other, and the inner
 * one is reached first by what is in it.
 */
static uint64_t throttled(const struct cg_dirs *d, const char *text)
{
	uint64_t usec = 0, inner;
	VZ_FREE char *v1 = NULL;

	if (d->v[CTL_CPU]) {
		if (cg_read(d->v[CTL_CPU], "cpu.stat", &v1) < 0 ||
		    cg_key(v1, "throttled_time", &usec) < 0)
			return 0;
		return usec / 1000; /* nanoseconds there */
	}
	if (cg_key(text, "throttled_usec", &usec) < 0)
		return 0;
	if (cg_read_key(d->v[CTL_V2], "payload/cpu.stat", "throttled_usec", &inner) == 0)
		usec += inner;
	return usec;
}

static int read_cpu(struct cg *cg, const struct cg_dirs *d, struct res_inside *i)
{
	const char *set_dir = d->v[CTL_CPUSET] ? d->v[CTL_CPUSET] : d->v[CTL_V2];
	VZ_FREE char *text = NULL, *set = NULL;
	struct vz_error ignored;
	uint64_t pct = UINT64_MAX;
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	int r = cg_read(d->v[CTL_V2], "cpu.stat", &text);

	if (r == 0)
		r = cg_key(text, "user_usec", &i->user_usec);
	if (r == 0)
		r = cg_key(text, "system_usec", &i->system_usec);
	if (r < 0)
		return r;
	/* 6.13; a part of user_usec */
	if (cg_key(text, "nice_usec", &i->nice_usec) < 0)
		i->nice_usec = 0;
	i->user_usec -= i->nice_usec < i->user_usec ? i->nice_usec : i->user_usec;
	i->throttled_usec = throttled(d, text);
	if (cg_read(set_dir, d->v[CTL_CPUSET] ? "cpuset.effective_cpus" : "cpuset.cpus.effective",
		    &set) == 0)
		set[strcspn(set, "\n")] = '\0';
	(void)!cg->drv->get(cg, CG_CPU_MAX_PCT, &pct, &ignored);
	i->cpus = cg_cpus(online > 0 ? (unsigned int)online : 1, set, pct);
	return 0;
}

/* ---- memory ---- */

static uint64_t node_free(void)
{
	struct sysinfo s;

	return sysinfo(&s) < 0 ? 0 : (uint64_t)s.freeram * s.mem_unit;
}

static void read_memory(struct cg *cg, const struct cg_dirs *d, struct res_inside *i)
{
	uint64_t limit = UINT64_MAX, used = 0;
	struct vz_error ignored;

	i->memory_v1 = d->v[CTL_MEMORY] != NULL;
	if (cg_read(i->memory_v1 ? d->v[CTL_MEMORY] : d->v[CTL_V2], "memory.stat", &i->memory) <
		    0 ||
	    cg->drv->stat(cg, CG_STAT_MEM, &used) < 0) {
		vz_freep(&i->memory);
		return;
	}
	(void)!cg->drv->get(cg, CG_MEM_MAX_BYTES, &limit, &ignored);
	(void)!cg->drv->stat(cg, CG_STAT_OOM_KILL, &i->oom_kills);
	i->free_bytes = limit >= cg_node_ram() ? node_free() : limit > used ? limit - used : 0;
}

/* ---- block devices ---- */

/* NULL: no memory, or more than anybody has */
static struct res_disk_io *disk(struct res_inside *i, unsigned int major, unsigned int minor)
{
	struct res_disk_io *more;

	for (size_t d = 0; d < i->ndisks; d++)
		if (i->disks[d].major == major && i->disks[d].minor == minor)
			return &i->disks[d];
	if (i->ndisks == DISKS_MAX)
		return NULL;
	more = reallocarray(i->disks, i->ndisks + 1, sizeof(*more));
	if (!more)
		return NULL;
	i->disks = more;
	more += i->ndisks++;
	*more = (struct res_disk_io){ .major = major, .minor = minor };
	return more;
}

/* "8:0" at the beginning of @line. Return: what follows, NULL when it is something else. */
static const char *device(const char *line, unsigned int *ret_major, unsigned int *ret_minor)
{
	int n = 0;

	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
	return sscanf(line, "%u:%u%n", ret_major, ret_minor, &n) == 2 ? line + n : NULL;
}

static void v2_number(struct res_disk_io *io, const char *word)
{
	static const char *const keys[6] = { "rbytes=", "wbytes=", "dbytes=",
					     "rios=",	"wios=",   "dios=" };
	uint64_t v;

	for (int k = 0; k < 6; k++) {
		size_t len = strlen(keys[k]);

		if (strncmp(word, keys[k], len) != 0 ||
		    vz_parse_u64(word + len, 0, UINT64_MAX, &v) < 0)
			continue;
		if (k < 3)
			io->bytes[k] = v;
		else
			io->ios[k - 3] = v;
	}
}

int cg_disk_io_v2(struct res_inside *i, const char *text)
{
	VZ_LIST struct vz_list lines = { 0 };

	if (vz_list_split(&lines, text, "\n") < 0)
		return -ENOMEM;
	for (size_t l = 0; l < lines.n; l++) {
		VZ_LIST struct vz_list words = { 0 };
		unsigned int major, minor;
		const char *rest = device(lines.v[l], &major, &minor);
		struct res_disk_io *io;

		if (!rest || !strchr(rest, '='))
			continue;
		io = disk(i, major, minor);
		if (!io || vz_list_split(&words, rest, " ") < 0)
			return -ENOMEM;
		for (size_t w = 0; w < words.n; w++)
			v2_number(io, words.v[w]);
	}
	return 0;
}

int cg_disk_io_v1(struct res_inside *i, const char *text, bool ios)
{
	static const char *const words[3] = { " Read ", " Write ", " Discard " };
	VZ_LIST struct vz_list lines = { 0 };

	if (vz_list_split(&lines, text, "\n") < 0)
		return -ENOMEM;
	for (size_t l = 0; l < lines.n; l++) {
		unsigned int major, minor;
		const char *rest = device(lines.v[l], &major, &minor);

		for (int k = 0; rest && k < 3; k++) {
			struct res_disk_io *io;
			uint64_t v;

			if (strncmp(rest, words[k], strlen(words[k])) != 0 ||
			    vz_parse_u64(rest + strlen(words[k]), 0, UINT64_MAX, &v) < 0)
				continue;
			io = disk(i, major, minor);
			if (!io)
				return -ENOMEM;
			if (ios)
				io->ios[k] = v;
			else
				io->bytes[k] = v;
		}
	}
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct res_disk_io *x = a, *y = b;

	if (x->major != y->major)
		return x->major < y->major ? -1 : 1;
	return x->minor < y->minor ? -1 : x->minor > y->minor;
}

/* Names of the kernel have ! where those of /dev have a slash. One that is gone has none. */
static void name_disk(struct res_disk_io *io)
{
	char path[64], target[PATH_MAX];
	const char *name;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", io->major, io->minor);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	name = strrchr(target, '/');
	(void)!vz_copy(io->name, sizeof(io->name), name ? name + 1 : "");
	for (char *p = io->name; *p; p++)
		if (*p == '!')
			*p = '/';
}

static int read_disks(const struct cg_dirs *d, struct res_inside *i)
{
	static const char *const v1_files[2] = { "blkio.throttle.io_service_bytes_recursive",
						 "blkio.throttle.io_serviced_recursive" };
	int r = 0;

	for (int f = 0; r == 0 && f < (d->v[CTL_BLKIO] ? 2 : 1); f++) {
		VZ_FREE char *text = NULL;

		if (d->v[CTL_BLKIO]) {
			if (cg_read(d->v[CTL_BLKIO], v1_files[f], &text) == 0)
				r = cg_disk_io_v1(i, text, f == 1);
		} else if (cg_read(d->v[CTL_V2], "io.stat", &text) == 0) {
			r = cg_disk_io_v2(i, text);
		}
	}
	if (i->ndisks)
		qsort(i->disks, i->ndisks, sizeof(*i->disks), by_number);
	for (size_t n = 0; n < i->ndisks; n++)
		name_disk(&i->disks[n]);
	return r;
}

int res_inside_read(struct cg *cg, struct res_inside *ret)
{
	const struct cg_dirs *d = cg_composite_dirs(cg);
	RES_INSIDE struct res_inside i = { 0 };
	int r = d ? read_cpu(cg, d, &i) : -EOPNOTSUPP;

	if (r < 0)
		return r;
	read_memory(cg, d, &i);
	r = read_disks(d, &i);
	if (r < 0)
		return r;
	*ret = i;
	i = (struct res_inside){ 0 };
	return 0;
}
