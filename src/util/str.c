/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

int vz_list_add(struct vz_list *l, const char *s)
{
	char **more = reallocarray(l->v, l->n + 1, sizeof(*more));
	char *copy;

	if (!more)
		return -ENOMEM;
	l->v = more;
	copy = strdup(s);
	if (!copy)
		return -ENOMEM;
	l->v[l->n++] = copy;
	return 0;
}

int vz_list_find(const struct vz_list *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (vz_streq(l->v[i], s))
			return (int)i;
	return -1;
}

void vz_list_del(struct vz_list *l, size_t i)
{
	free(l->v[i]);
	memmove(l->v + i, l->v + i + 1, (l->n - i - 1) * sizeof(*l->v));
	l->n--;
}

void vz_list_clear(struct vz_list *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	l->v = NULL;
	l->n = 0;
}

int vz_list_copy(struct vz_list *dst, const struct vz_list *src)
{
	struct vz_list fresh = { 0 };

	for (size_t i = 0; i < src->n; i++)
		if (vz_list_add(&fresh, src->v[i]) < 0) {
			vz_list_clear(&fresh);
			return -ENOMEM;
		}
	vz_list_clear(dst);
	*dst = fresh;
	return 0;
}

int vz_list_split(struct vz_list *l, const char *s, const char *seps)
{
	while (*s) {
		size_t n = strcspn(s, seps);
		int r = 0;

		if (n > 0) {
			char *piece = strndup(s, n);

			r = piece ? vz_list_add(l, piece) : -ENOMEM;
			free(piece);
		}
		if (r < 0)
			return r;
		s += n;
		s += strspn(s, seps);
	}
	return 0;
}

char *vz_list_join(const struct vz_list *l, const char *sep)
{
	struct vz_buf b = { 0 };

	vz_buf_str(&b, "");
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			vz_buf_str(&b, sep);
		vz_buf_str(&b, l->v[i]);
	}
	if (b.failed)
		vz_buf_clear(&b);
	return b.s;
}

void vz_buf_add(struct vz_buf *b, const char *s, size_t len)
{
	if (b->failed)
		return;
	if (b->len + len + 1 > b->room) {
		size_t room = (b->len + len + 32) * 2; /* most texts fit at once */
		char *more = realloc(b->s, room);

		if (!more) {
			b->failed = true;
			return;
		}
		b->s = more;
		b->room = room;
	}
	memcpy(b->s + b->len, s, len);
	b->len += len;
	b->s[b->len] = '\0';
}

void vz_buf_str(struct vz_buf *b, const char *s)
{
	vz_buf_add(b, s, strlen(s));
}

void vz_buf_fmt(struct vz_buf *b, const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return;
	}
	vz_buf_add(b, s, (size_t)n);
	free(s);
}

void vz_buf_clear(struct vz_buf *b)
{
	free(b->s);
	*b = (struct vz_buf){ 0 };
}

char *vz_fmt(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : s;
}

int vz_copy(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src);

	if (n >= size) {
		dst[0] = '\0';
		return -ENAMETOOLONG;
	}
	memcpy(dst, src, n + 1);
	return 0;
}

/* Length of the UTF-8 sequence at @s that shows something harmless; 0 for anything else. */
static size_t utf8_len(const unsigned char *s)
{
	size_t n = *s >= 0xf0 && *s < 0xf5 ? 4 : (*s >= 0xe0 ? 3 : (*s >= 0xc2 ? 2 : 0));

	if (*s >= 0xf5)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0)
		return 0; /* C1 controls: some terminals obey them */
	if (n == 3 && s[0] == 0xe2 && (s[1] == 0x80 || s[1] == 0x81) && s[2] >= 0xa6 &&
	    s[2] <= 0xaf)
		return 0; /* marks that turn the direction of writing */
	return n;
}

const char *vz_quote(char *dst, size_t size, const char *s)
{
	size_t o = 0, n;

	for (; *s && o + 5 < size; s += n ? n : 1) {
		unsigned char c = (unsigned char)*s;

		n = c < 0x80 ? 1 : utf8_len((const unsigned char *)s);
		if (n == 0 || c < 0x20 || c == 0x7f) {
			o += (size_t)snprintf(dst + o, size - o, "\\x%02x", c);
			n = 1;
		} else {
			memcpy(dst + o, s, n);
			o += n;
		}
	}
	dst[o] = '\0';
	return dst;
}
