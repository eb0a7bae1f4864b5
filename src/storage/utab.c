/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options that mount(8) keeps beside the kernel: a mount made with -o x-noidmap has them in a file
 * of lines "SRC=... TARGET=... OPTS=...". Blanks in values are \040.
 */
#include "storage/priv.h"

#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#define UTAB "/run/mount/utab"
enum { UTAB_MAX = 4 << 20 };

/* Value of KEY= in @line, unescaped; malloc'ed, NULL: it is not there. */
static char *value(const char *line, size_t len, const char *key)
{
	size_t n = strlen(key);

	for (const char *w = line; w < line + len;) {
		const char *blank = memchr(w, ' ', (size_t)(line + len - w));
		size_t word = (size_t)((blank ? blank : line + len) - w);

		if (word > n && !strncmp(w, key, n) && w[n] == '=') {
			char *v = strndup(w + n + 1, word - n - 1);

			if (v)
				vz_mountinfo_unescape(v);
			return v;
		}
		w += word + 1;
	}
	return NULL;
}

static bool has_word(const char *opts, const char *word)
{
	VZ_LIST struct vz_list l = { 0 };

	return vz_list_split(&l, opts, ",") == 0 && vz_list_find(&l, word) >= 0;
}

bool sto_noidmap(const char *path)
{
	VZ_FREE char *text = NULL;

	if (vz_read_file(AT_FDCWD, UTAB, UTAB_MAX, &text) < 0)
		return false;
	for (const char *l = text; *l; l += strcspn(l, "\n"), l += *l == '\n') {
		size_t len = strcspn(l, "\n");
		VZ_FREE char *target = value(l, len, "TARGET");
		VZ_FREE char *opts = value(l, len, "OPTS");

		if (vz_streq(target, path) && opts && has_word(opts, "x-noidmap"))
			return true;
	}
	return false;
}

/* All lines but those of mounts at and below @root. Return: whether any went. */
static bool without(const char *text, const char *root, struct vz_buf *b)
{
	size_t n = strlen(root);
	bool any = false;

	for (const char *l = text; *l; l += strcspn(l, "\n"), l += *l == '\n') {
		size_t len = strcspn(l, "\n");
		VZ_FREE char *target = value(l, len, "TARGET");

		if (target && !strncmp(target, root, n) && (!target[n] || target[n] == '/')) {
			any = true;
			continue;
		}
		vz_buf_add(b, l, len);
		vz_buf_str(b, "\n");
	}
	return any;
}

void sto_utab_forget(const char *root)
{
	VZ_FREE char *text = NULL;
	VZ_BUF struct vz_buf b = { 0 };
	VZ_FD int lock = -EBADF;
	int r;

	if (vz_read_file(AT_FDCWD, UTAB, UTAB_MAX, &text) <= 0 || !strstr(text, root))
		return;
	lock = vz_openat(AT_FDCWD, UTAB ".lock", O_RDWR | O_CREAT, 0644);
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		return;
	vz_freep(&text); /* as it is under the lock */
	if (vz_read_file(AT_FDCWD, UTAB, UTAB_MAX, &text) <= 0 || !without(text, root, &b))
		return;
	r = b.failed ? -ENOMEM : vz_write_atomic(UTAB, b.s ? b.s : "", b.len, 0644);
	if (r < 0)
		vz_info("%s: %s", UTAB, strerrordesc_np(-r));
}
