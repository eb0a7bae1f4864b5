/* SPDX-License-Identifier: GPL-2.0-or-later */
/* May a VPS go on here with its memory: versions, processors, and this dump on this node. */
#include "checkpoint/checkpoint.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/parse.h"
#include "vps/vps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { FITS, FAILED, DOES_NOT_FIT };

static int usage(FILE *to, int rc)
{
	(void)fputs("Usage: vzcptcheck version [N]\n"
		    "       vzcptcheck caps [CTID [CAPS]]\n"
		    "       vzcptcheck criu\n"
		    "       vzcptcheck dump FILE|CTID\n",
		    to);
	return rc;
}

static int say(int rc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int say(int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fputs("vzcptcheck: ", stderr);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	return rc;
}

/* A number as caps prints it, or decimal. */
static int take_caps(const char *word, uint64_t *ret)
{
	const char *digits = "0123456789abcdef";
	uint64_t v = 0;
	size_t n = 0;

	if (strncmp(word, "0x", 2) != 0)
		return vz_parse_u64(word, 0, UINT64_MAX, ret);
	for (word += 2; word[n]; n++) {
		const char *d = strchr(digits, word[n]);

		if (!d || n == 16)
			return -EINVAL;
		v = v << 4 | (uint64_t)(d - digits);
	}
	*ret = v;
	return n ? 0 : -EINVAL;
}

static int find_vps(const char *word, uint32_t *ret)
{
	char path[PATH_MAX], shown[128];

	if (((vps_parse_ctid(word, ret) == 0 && *ret) || vps_name_lookup(word, ret) == 0) &&
	    access(vps_path(path, "%s/%u.conf", vps_paths()->conf, *ret), F_OK) == 0)
		return 0;
	return say(FAILED, "there is no VPS %s", vz_quote(shown, sizeof(shown), word));
}

static int do_version(int argc, char **argv)
{
	char shown[128];
	uint64_t n;

	if (argc == 0) {
		(void)printf("%d\n", CPT_SCHEMA);
		return FITS;
	}
	if (vz_parse_u64(argv[0], 0, INT32_MAX, &n) < 0)
		return say(FAILED, "bad version: %s (allowed: a number)",
			   vz_quote(shown, sizeof(shown), argv[0]));
	return n >= 1 && n <= CPT_SCHEMA ? FITS : DOES_NOT_FIT;
}

static int own_caps(uint64_t *ret)
{
	VZ_FREE char *flags = cpt_cpu_flags();

	if (!flags)
		return say(FAILED, "the processor of this node is not known");
	*ret = cpt_cpu_caps(flags);
	return 0;
}

/* Programs of a VPS may use all that this node has: nothing is hidden from them. */
static int do_caps(int argc, char **argv)
{
	VZ_FREE char *missing = NULL;
	char shown[128];
	uint64_t have, want;
	uint32_t ctid;
	int rc = own_caps(&have);

	if (rc == 0 && argc > 0)
		rc = find_vps(argv[0], &ctid);
	if (rc)
		return rc;
	if (argc < 2) {
		(void)printf("0x%" PRIx64 "\n", have);
		return FITS;
	}
	want = have;
	if (take_caps(argv[1], &have) < 0)
		return say(FAILED, "bad caps: %s (allowed: what vzcptcheck caps prints)",
			   vz_quote(shown, sizeof(shown), argv[1]));
	if (cpt_cpu_missing(want, have, &missing) < 0)
		return say(FAILED, "out of memory");
	return missing ? say(DOES_NOT_FIT, "that processor lacks %s", missing) : FITS;
}

/* Which CRIU suspends and resumes here. */
static int do_criu(int argc, char **argv)
{
	struct cpt_criu criu;
	struct vz_error err;

	(void)argc;
	(void)argv;
	if (cpt_criu_find(DOES_NOT_FIT, &criu, &err) < 0)
		return say(err.exit, "%s", err.msg);
	(void)printf("CRIU %s, %s\n", criu.version, criu.program);
	return FITS;
}

/* A path has a slash; else it is the default dump of a VPS. */
static int dump_file(const char *word, char ret[PATH_MAX])
{
	VPS_CONFIG struct vps_config c = { 0 };
	struct vz_error err;
	unsigned int bad;
	uint32_t ctid;
	int rc;

	if (strchr(word, '/')) {
		(void)vps_path(ret, "%s", word);
		return 0;
	}
	rc = find_vps(word, &ctid);
	if (rc)
		return rc;
	if (vps_load(ctid, &c, &bad, &err) < 0)
		return say(FAILED, "%s", err.msg);
	(void)vps_path(ret, "%s/Dump.%u", c.dumpdir ? c.dumpdir : "", ctid);
	return 0;
}

static int do_dump(int argc, char **argv)
{
	CPT_DESC struct cpt_desc d = { 0 };
	VZ_FREE char *missing = NULL, *flags = cpt_cpu_flags();
	struct cpt_criu criu;
	struct vz_error err;
	struct utsname u;
	char file[PATH_MAX], kernel[160];
	int rc = argc == 1 ? dump_file(argv[0], file) : usage(stderr, FAILED);

	if (rc)
		return rc;
	if (access(file, R_OK) < 0)
		return say(FAILED, "%s: %m", file);
	if (uname(&u) < 0)
		return say(FAILED, "uname: %m");
	if (cpt_unpack(file, NULL, 0, &d, &err) < 0)
		return say(DOES_NOT_FIT, "%s", err.msg);
	(void)printf("VPS %u, written by Croft %s with CRIU %s on Linux %s\n", d.ctid, d.croft,
		     d.criu, vz_quote(kernel, sizeof(kernel), d.kernel));
	if (d.parents || d.lazy)
		rc = say(DOES_NOT_FIT,
			 "it is part of a migration: most of the memory is not in it");
	if (strcmp(d.machine, u.machine) != 0)
		rc = say(DOES_NOT_FIT, "it is of a machine of another kind (%s)", d.machine);
	if (cpt_criu_find(FAILED, &criu, &err) < 0)
		rc = say(DOES_NOT_FIT, "%s", err.msg);
	if (flags && cpt_cpu_missing(cpt_cpu_caps(d.cpu), cpt_cpu_caps(flags), &missing) < 0)
		return say(FAILED, "out of memory");
	if (missing)
		rc = say(DOES_NOT_FIT, "this node's processor lacks %s", missing);
	if (rc == 0)
		(void)puts("it can go on here");
	return rc;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *word;
		int most;
		int (*run)(int argc, char **argv);
	} verbs[] = { { "version", 1, do_version },
		      { "caps", 2, do_caps },
		      { "criu", 0, do_criu },
		      { "dump", 1, do_dump } };
	int rc = -1;

	vz_log_level(-1);
	if (argc == 2 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")))
		return usage(stdout, 0);
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(argv[1], verbs[i].word) && argc - 2 <= verbs[i].most)
			rc = verbs[i].run(argc - 2, argv + 2);
	if (rc < 0)
		return usage(stderr, FAILED);
	if (fflush(stdout) != 0)
		return say(FAILED, "standard output cannot be written: %m");
	return rc;
}
