/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VPS has a console and no virtual terminals: the gettys of an inittab that ask for tty1 and so on
 * would fail for ever. The first asks on the console instead, the others are commented out.
 */
#include "dist/priv.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* "tty1" as a word of its own, not ttyS1. Return: its length; 0 if @s does not begin with it. */
static size_t vt_word(const char *s, size_t n, bool begins)
{
	size_t i = 3;

	if (!begins || n < 4 || strncmp(s, "tty", 3) != 0)
		return 0;
	while (i < n && isdigit((unsigned char)s[i]))
		i++;
	return i > 3 && (i == n || !isalnum((unsigned char)s[i])) ? i : 0;
}

/* @line with each such word replaced by "console"; the number of words. */
static int to_console(const char *line, size_t n, struct vz_buf *b)
{
	bool begins = true;
	int words = 0;

	for (size_t i = 0; i < n;) {
		size_t w = vt_word(line + i, n - i, begins);

		vz_buf_add(b, w ? "console" : line + i, w ? strlen("console") : 1);
		words += w > 0;
		i += w ? w : 1;
		begins = !isalnum((unsigned char)line[i - 1]);
	}
	return words;
}

static bool is_getty(const char *line, size_t n)
{
	return n && *line != '#' && memmem(line, n, "getty", 5);
}

static bool has_console(const struct dist_file *f)
{
	const char *line;
	size_t n, pos = 0;

	while (dist_line(f, &pos, &line, &n))
		if (is_getty(line, n) && memmem(line, n, "console", 7))
			return true;
	return false;
}

int dist_getty(struct vz_error *err)
{
	DIST_FILE struct dist_file f = { .dirfd = -EBADF };
	VZ_BUF struct vz_buf out = { 0 };
	const char *line;
	size_t n, pos = 0;
	bool done;
	int r = dist_load("/etc/inittab", &f);

	if (r == -ENOENT || (r == 0 && !f.there))
		return 0;
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "/etc/inittab");
	done = has_console(&f);
	while (dist_line(&f, &pos, &line, &n)) {
		VZ_BUF struct vz_buf changed = { 0 };
		int words = is_getty(line, n) ? to_console(line, n, &changed) : 0;

		if (words && done)
			vz_buf_str(&out, "#");
		vz_buf_add(&out, words && !done ? changed.s : line,
			   words && !done ? changed.len : n);
		vz_buf_str(&out, "\n");
		done = done || words;
	}
	r = out.failed ? -ENOMEM : out.len ? dist_store(&f, out.s, out.len, 0644, false) : 0;
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "/etc/inittab") : 0;
}
