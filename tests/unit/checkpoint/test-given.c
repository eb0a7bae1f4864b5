/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mounts that the node makes again: which they are, as text and back, and their names in CRIU's images. */
#include "checkpoint/checkpoint.h"
#include "tests/lib/tap.h"
#include "util/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Root 0:41 at /vz/1; of action scripts: a directory, a tmpfs twice, part of the node's /run, a tmpfs without ids. */
static const char node[] = "20 1 8:1 / / rw - ext4 a rw\n"
			   "21 20 0:30 / /run rw - tmpfs t rw\n"
			   "30 20 0:41 / /vz/1 rw - overlay none rw\n"
			   "31 30 8:1 /data /vz/1/srv rw - ext4 a rw\n"
			   "32 30 0:50 / /vz/1/m rw - tmpfs t rw\n"
			   "33 30 0:50 /sub /vz/1/n rw - tmpfs t rw\n"
			   "34 30 0:30 /x /vz/1/with\\040blank rw - tmpfs t rw\n"
			   "37 30 0:52 / /vz/1/noids rw - tmpfs t rw\n"
			   "35 30 8:1 /late /vz/1/late rw - ext4 a rw\n"
			   "36 20 0:51 / /vz/11/srv rw - tmpfs t rw\n";
#define INSIDE                                                                                     \
	"1 0 0:41 / / rw,nodev,relatime - overlay none rw\n"                                       \
	"2 1 8:1 /data /srv ro,nodev,noatime - ext4 a rw\n"                                        \
	"3 1 0:50 / /m rw,nodev,idmapped - tmpfs t rw\n"                                           \
	"4 1 0:50 /sub /n rw,nodev - tmpfs t rw\n"                                                 \
	"5 1 0:30 /x /with\\040blank rw,nodev - tmpfs t rw\n"                                      \
	"6 1 0:60 / /run rw,nosuid,nodev - tmpfs none rw\n"                                        \
	"7 6 0:61 / /run/lock rw - tmpfs own rw\n"                                                 \
	"8 1 0:62 / /late rw - tmpfs own rw\n"                                                     \
	"9 1 8:1 /data/x /home rw - ext4 a rw\n"                                                   \
	"10 1 0:52 / /noids rw,nodev - tmpfs t rw\n"

static void test_find(void)
{
	CPT_GIVENS struct cpt_givens g = { 0 };
	static const char *const want[] = { "d /srv", "m /m", "d /with blank", "n /run" };
	struct vz_error err = { 0 };
	const struct cpt_given *e;

	OK(cpt_given_find(INSIDE, node, "/vz/1", &g, &err) == 0 && g.n == 4);
	for (size_t i = 0; i < 4; i++) {
		e = cpt_given_at(&g, want[i] + 2);
		OK_NAME(e && e->kind == want[i][0], want[i]);
	}
	e = cpt_given_at(&g, "/srv");
	OK_NAME(e && cpt_given_option(e, "ro") && cpt_given_option(e, "noatime") &&
			!cpt_given_option(e, "atime") && !cpt_given_option(e, "rw"),
		"options are whole words");
	OK(cpt_given_dev(&g, 8, 1) && cpt_given_dev(&g, 0, 60) && !cpt_given_dev(&g, 0, 61));
	cpt_givens_clear(&g);
	/* a script's directory, shared with the node's root, and in it a tmpfs that is there too, then */
	OK_NAME(cpt_given_find("1 0 0:41 / / rw - overlay none rw\n2 1 8:1 /d /d rw - ext4 a rw\n"
			       "3 2 0:50 / /d/m rw,idmapped - tmpfs t rw\n",
			       "20 1 8:1 / / rw shared:1 - ext4 a rw\n"
			       "30 20 0:41 / /vz/1 rw - overlay none rw\n"
			       "31 30 8:1 /d /vz/1/d rw shared:1 - ext4 a rw\n"
			       "32 31 0:50 / /vz/1/d/m rw shared:9 - tmpfs t rw\n"
			       "33 20 0:50 / /d/m rw shared:9 - tmpfs t rw\n",
			       "/vz/1", &g, &err) == -EOPNOTSUPP &&
			strstr(err.msg, "/d/m") && strstr(err.msg, "--make-private"),
		"whose it is cannot be told");
	cpt_givens_clear(&g);
	/* the node's own whole tmpfs, bound */
	OK_NAME(cpt_given_find("1 0 0:41 / / rw - overlay none rw\n"
			       "2 1 0:50 / /d rw - tmpfs t rw\n",
			       "20 1 8:1 / / rw shared:1 - ext4 a rw\n"
			       "30 20 0:41 / /vz/1 rw - overlay none rw\n"
			       "32 30 0:50 / /vz/1/d rw shared:9 - tmpfs t rw\n"
			       "33 20 0:50 / /dev/shm rw shared:9 - tmpfs t rw\n",
			       "/vz/1", &g, &err) == 0 &&
			g.n == 1 && g.v[0].kind == 'd',
		"the node's own, bound, is the node's");
	cpt_givens_clear(&g);
	OK_NAME(cpt_given_find(INSIDE "10 1 0:63 / /srv rw - tmpfs own rw\n", node, "/vz/1", &g,
			       &err) == -EOPNOTSUPP &&
			err.exit == VZ_EXIT_CHKPNT && strstr(err.msg, "/srv"),
		"one under another is named");
}

static void test_text(void)
{
	static const char *const bad[] = {
		"",
		"d 8:1 rw 0 0",
		"x 8:1 rw 0 0 /srv",
		"d 8:1 rw 0 0 srv",
		"d 8:1 rw 0 0 /srv/../../etc",
		"d 8:1 rw 0 0 /",
		"d 8:1 rw 0 0 //srv",
		"d 8:1 rw 0 0 /srv/",
		"n 8:1 rw 0 0 /srv",
		"d 8:a rw 0 0 /srv",
		"d 8:1 r/w 0 0 /srv",
		"m 0:1 rw -1 0 /srv",
		"m 0:1 rw 99999999999999999999 0 /srv",
	};
	static const char good[] = "n 0:57 rw,nosuid,nodev,relatime 12288 7 /dev/shm";
	struct cpt_given g;
	char *text;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		OK_NAME(cpt_given_parse(bad[i], &g) == -EINVAL, bad[i]);
	OK(cpt_given_parse(good, &g) == 0 && g.bytes == 12288 && g.inodes == 7);
	text = cpt_given_text(&g);
	OK(text && !strcmp(text, good));
	free(text);
	free(g.path);
	OK(cpt_given_parse("f 8:1 rw 0 0 /a b/c", &g) == 0 && !strcmp(g.path, "/a b/c"));
	free(g.path);
}

/* An entry of images/mnt.proto: type, device, mount point, source, options. */
static size_t entry(unsigned char *to, unsigned char type, unsigned int minor, const char *source)
{
	unsigned char *p = to + 4;
	size_t n = strlen(source);
	unsigned int dev = 1 << 20 | minor;
	uint32_t len;

	*p++ = 1 << 3;
	*p++ = type;
	*p++ = 3 << 3;
	for (; dev > 0x7f; dev >>= 7)
		*p++ = (unsigned char)(0x80 | (dev & 0x7f));
	*p++ = (unsigned char)dev;
	*p++ = 8 << 3 | 2;
	*p++ = (unsigned char)n;
	memcpy(p, source, n);
	p += n;
	*p++ = 9 << 3 | 2;
	*p++ = 1;
	*p++ = 'o';
	len = (uint32_t)(p - to - 4);
	memcpy(to, &len, 4);
	return (size_t)(p - to);
}

static size_t image(unsigned char *to, const char *const sources[4])
{
	static const unsigned char types[] = { 5, 5, 4, 5 };
	static const unsigned int minors[] = { 300, 301, 300, 302 };
	size_t n = 8;

	memset(to, 7, 8);
	for (size_t i = 0; i < 4; i++)
		n += entry(to + n, types[i], minors[i], sources[i]);
	return n;
}

static void test_names(void)
{
	static const char *const before[] = { "none", "a longer name", "none",
					      CPT_GIVEN_SOURCE "0" },
				 *const after[] = { CPT_GIVEN_SOURCE "1", "a longer name", "none",
						    "none" };
	struct cpt_givens g = { .n = 2,
				.v = { { .kind = 'd', .dev = "1:301", .path = NULL },
				       { .kind = 'm', .dev = "1:300", .path = NULL } } };
	char dir[] = "/tmp/croft-given.XXXXXX", path[80];
	unsigned char was[400], want[400], *is = NULL;
	size_t n = image(was, before), m = image(want, after);
	VZ_FD int fd = -EBADF;
	VZ_FREE char *text = NULL;
	ssize_t have;

	if (!mkdtemp(dir))
		abort();
	(void)snprintf(path, sizeof(path), "%s/mountpoints-12.img", dir);
	fd = vz_openat(AT_FDCWD, path, O_RDWR | O_CREAT, 0600);
	if (vz_write_all(fd, was, n) < 0)
		abort();
	OK(cpt_given_name(dir, &g) == 0);
	have = vz_read_file(AT_FDCWD, path, 4096, &text);
	is = (unsigned char *)text;
	OK_NAME(have == (ssize_t)m && !memcmp(is, want, m),
		"the tmpfs of that device has another source, and nobody else has such");
	/* cut off anywhere but between two, it is refused */
	for (size_t cut = 0, whole = 8; cut < n; cut++) {
		uint32_t len;

		memcpy(&len, was + whole, 4);
		if (cut == whole + 4 + len)
			whole = cut;
		if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
		    vz_write_all(fd, was, cut) < 0)
			abort();
		if ((cpt_given_name(dir, &g) == 0) != (cut == whole)) {
			OK_NAME(false, "an image that is cut off");
			break;
		}
	}
	(void)!vz_rm_rf(AT_FDCWD, dir);
}

int main(void)
{
	test_find();
	test_text();
	test_names();
	return tap_done();
}
