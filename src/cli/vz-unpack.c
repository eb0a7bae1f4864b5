/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "template/priv.h"

#include "util/fd.h"
#include "util/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <sys/socket.h>

/*
 * The only program that reads archives: tar on descriptor 0 into the directory on descriptor 3, the
 * reason of a failure as one struct vz_error on descriptor 4, or on stderr if that is no socket.
 */

enum { ENTRIES_DEFAULT = 5000000 };

static int usage(struct vz_error *err, const char *arg)
{
	char quoted[100];

	return vz_fail(err, VZ_EXIT_USAGE, 0,
		       "vz-unpack: bad argument '%s'; it is run by vzctl: "
		       "[--check] [--shift N] [--max-bytes N] [--max-entries N]",
		       vz_quote(quoted, sizeof(quoted), arg));
}

static int parse(int argc, char **argv, struct tpl_untar *ret, struct vz_error *err)
{
	const struct {
		const char *name;
		uint64_t *value, max;
	} numbers[] = {
		{ "--shift", &ret->shift, UINT32_MAX / 2 },
		{ "--max-bytes", &ret->max_bytes, INT64_MAX },
		{ "--max-entries", &ret->max_entries, INT64_MAX },
	};

	for (int i = 1; i < argc; i++) {
		size_t n = 0;

		if (vz_streq(argv[i], "--check")) {
			ret->check = true;
			continue;
		}
		while (n < 3 && !vz_streq(argv[i], numbers[n].name))
			n++;
		if (n == 3 || i + 1 == argc)
			return usage(err, argv[i]);
		if (vz_parse_u64(argv[++i], 0, numbers[n].max, numbers[n].value) < 0)
			return usage(err, argv[i]);
	}
	return 0;
}

static int unpack(int argc, char **argv, struct vz_error *err)
{
	struct tpl_untar want = { .max_entries = ENTRIES_DEFAULT };
	VZ_FD int root = -EBADF;
	int r = parse(argc, argv, &want, err);

	if (r < 0)
		return r;
	if (!want.check && fcntl(UNPACK_FD_TARGET, F_GETFD) < 0)
		return vz_fail(err, VZ_EXIT_USAGE, errno,
			       "vz-unpack: no directory on descriptor %d", UNPACK_FD_TARGET);
	/* Names stay the bytes they are; in the C locale libarchive would turn the others into '?'.
	 */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return vz_fail(err, VZ_EXIT_SYSTEM, 0, "vz-unpack: no locale C.UTF-8");
	root = tpl_untar_cage(want.check ? -1 : UNPACK_FD_TARGET, &want, err);
	if (root < 0)
		return root;
	return tpl_untar(&want, UNPACK_FD_ARCHIVE, root, err);
}

#if defined(__SANITIZE_ADDRESS__)
/* The leak check at exit wants /proc, which the cage has not. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

int main(int argc, char **argv)
{
	struct vz_error err = { 0 };

	if (unpack(argc, argv, &err) == 0)
		return 0;
	if (send(UNPACK_FD_ERROR, &err, sizeof(err), MSG_NOSIGNAL) < 0)
		(void)fprintf(stderr, "%s\n", err.msg);
	return err.exit;
}
