/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one file of a dump: what goes in comes out, and nothing else does. */
#include "checkpoint/checkpoint.h"
#include "checkpoint/priv.h"
#include "tests/lib/tap.h"
#include "util/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/croft-dump.XXXXXX";

static char *in_dir(const char *name)
{
	static char path[4][300];
	static int n;

	n = (n + 1) % 4;
	(void)snprintf(path[n], sizeof(path[n]), "%s/%s", dir, name);
	return path[n];
}

static void put(const char *name, const char *text)
{
	FILE *f = vz_fopen(in_dir(name), "w");

	(void)fputs(text, f);
	(void)fclose(f);
}

static void fill(struct cpt_desc *d)
{
	*d = (struct cpt_desc){ .ctid = 101,
				.init_pid = 7,
				.init_start = 9,
				.uid_base = 6619136,
				.uid_count = 65536,
				.caps = 5,
				.seccomp = true };
	strcpy(d->croft, "0.1.0");
	strcpy(d->tty, "tty[8800:1a]");
	strcpy(d->ping, "0 65535");
	d->config = strdup("NAME=\"x\"\n# caf\xc3\xa9\n");
	d->cpu = strdup("fpu vme");
	if (vz_list_add(&d->view, "/proc/meminfo") < 0 || vz_list_add(&d->addrs, "10.0.0.1") < 0)
		abort();
	d->devs = calloc(1, sizeof(*d->devs));
	d->ndevs = 1;
	d->devs[0] = (struct cpt_dev){ .path = strdup("a \"b\n/c"),
				       .kind = 'f',
				       .mode = 0644,
				       .text = strdup("x\xff y"),
				       .len = 4 };
	strcpy(d->counters[0].name, "numproc");
	d->counters[0].maxheld = 12;
	d->counters[0].failcnt = 3;
	d->ncounters = 1;
}

static void test_round(int level)
{
	CPT_DESC struct cpt_desc d = { 0 };
	CPT_DESC struct cpt_desc back = { 0 };
	struct vz_error err = { 0 };
	VZ_FREE char *a = NULL;
	VZ_FREE char *b = NULL;
	VZ_FREE char *got = NULL;
	uint64_t bytes = 0;

	fill(&d);
	d.lazy = level > 0;
	OK_NAME(cpt_pack(in_dir("images"), in_dir("Dump"), &d, level, &err) == 0, "packed");
	OK_NAME(cpt_peek(in_dir("Dump"), &back, &bytes, &err) == 0 && bytes > 14, "peek");
	OK_NAME(back.lazy == d.lazy, "a dump without its memory says so");
	OK_NAME(cpt_unpack(in_dir("Dump"), in_dir("out"), getuid(), &back, &err) == 0, "unpacked");
	a = cpt_desc_text(&d);
	b = cpt_desc_text(&back);
	OK_NAME(a && b && !strcmp(a, b), "the descriptor is the same");
	OK_NAME(vz_read_file(AT_FDCWD, in_dir("out/core-1.img"), 100, &got) == 9 &&
			!strcmp(got, "the image"),
		"an image is the same");
	OK_NAME(access(in_dir("out/stats-dump"), F_OK) < 0, "what is no image is left out");
	OK_NAME(vz_rm_rf(AT_FDCWD, in_dir("out")) == 0, "removed");
}

/* Every bit counts. */
static void test_flips(void)
{
	CPT_DESC struct cpt_desc back = { 0 };
	VZ_FREE char *text = NULL;
	struct vz_error err;
	ssize_t n = vz_read_file(AT_FDCWD, in_dir("Dump"), 1 << 20, &text);
	int taken = 0, cut = 0;

	for (ssize_t i = 0; i < n; i++) {
		VZ_FD int fd = -EBADF;

		text[i] ^= (char)(1 << (i % 8));
		fd = vz_openat(AT_FDCWD, in_dir("bad"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (vz_write_all(fd, text, (size_t)n) < 0)
			abort();
		taken += cpt_unpack(in_dir("bad"), NULL, 0, &back, &err) == 0;
		text[i] ^= (char)(1 << (i % 8));
		if (ftruncate(fd, i) < 0)
			abort();
		cut += cpt_unpack(in_dir("bad"), NULL, 0, &back, &err) == 0;
	}
	OK_NAME(n > 200 && taken == 0, "no flipped bit is overlooked");
	OK_NAME(cut == 0, "no missing end is overlooked");
}

static void test_names(void)
{
	static const char *const bad[] = { "", ".x", "a/b", "..", "-x", "a\nb", "a b", "\xc3\xa9" };
	static const char *const paths[] = { "", "/a", "a/", "a//b", "../a", "a/..", "a/./b", "." };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		OK_NAME(!cpt_name_valid(bad[i]), bad[i]);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		OK_NAME(!cpt_dev_path_valid(paths[i]), paths[i]);
	OK_NAME(cpt_name_valid("core-1.img") && cpt_dev_path_valid("a/b") &&
			cpt_dev_path_valid("..a"),
		"and these are not");
	/* RFC 3720, B.4 */
	OK_NAME(cpt_crc(0, "123456789", 9) == 0xe3069283 &&
			cpt_crc(cpt_crc(0, "1234", 4), "56789", 5) == 0xe3069283,
		"CRC-32C");
}

static void test_mounts(void)
{
	static const char good[] = "1 0 0:41 / / rw - overlay none rw\n"
				   "2 1 0:48 / /dev rw - tmpfs none rw\n"
				   "3 1 0:41 /a /b rw - overlay none rw\n"
				   "4 1 0:53 / /proc rw - proc none rw\n"
				   "5 4 0:45 /proc/meminfo /proc/meminfo rw - fuse none rw\n";
	VZ_LIST struct vz_list view = { 0 }, ext = { 0 };
	struct vz_error err;

	OK_NAME(vz_list_add(&view, "/proc/meminfo") == 0 &&
			cpt_mounts(good, &view, &ext, &err) == 0 && ext.n == 2 &&
			vz_list_find(&ext, "/dev") >= 0 && vz_list_find(&ext, "/proc/meminfo") >= 0,
		"ours are known");
	OK_NAME(cpt_mounts("1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /srv rw - ext4 b rw\n", &view,
			   &ext, &err) < 0 &&
			strstr(err.msg, "/srv"),
		"one of the node's is named");
}

static void test_cpu(void)
{
	char *missing = NULL;
	uint64_t have = cpt_cpu_caps("fpu cmov sse sse2 rep_good ssse3"),
		 all = cpt_cpu_caps("cmov sse sse2 ssse3 avx pti");

	OK(have && all && have != all && cpt_cpu_caps("") == 0 && cpt_cpu_caps("ss sse22") == 0);
	OK(cpt_cpu_missing(have, all, &missing) == 0 && !missing);
	OK(cpt_cpu_missing(all, have, &missing) == 0 && missing && !strcmp(missing, "avx"));
	free(missing);
}

int main(void)
{
	if (!mkdtemp(dir) || mkdir(in_dir("images"), 0700) < 0)
		return 1;
	put("images/core-1.img", "the image");
	put("images/empty.img", "");
	put("images/stats-dump", "no");
	test_round(3);
	test_round(0);
	test_flips();
	test_names();
	test_mounts();
	(void)!vz_rm_rf(AT_FDCWD, dir);
	test_cpu();
	return tap_done();
}
