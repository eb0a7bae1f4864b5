/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UTIL_STR_H
#define UTIL_STR_H

#include <stdbool.h>
#include <stddef.h>

/** struct vz_list - a list of strings, owned; all zero is the empty list */
struct vz_list {
	char **v;
	size_t n;
};

/** vz_list_add - append a copy of @s. Return: 0 or -ENOMEM. */
int vz_list_add(struct vz_list *l, const char *s) __attribute__((warn_unused_result));

/** vz_list_find - index of @s or -1. */
int vz_list_find(const struct vz_list *l, const char *s);

/** vz_list_del - remove the item at @i; order is kept. */
void vz_list_del(struct vz_list *l, size_t i);

/** vz_list_clear - free everything; @l is empty afterwards. NULL is allowed. */
void vz_list_clear(struct vz_list *l);

/** vz_list_copy - deep copy into @dst, whose old content is freed. Return: 0 or -ENOMEM. */
int vz_list_copy(struct vz_list *dst, const struct vz_list *src)
	__attribute__((warn_unused_result));

/** vz_list_split - append the pieces of @s between characters of @seps, empty ones left out. */
int vz_list_split(struct vz_list *l, const char *s, const char *seps)
	__attribute__((warn_unused_result));

/**
 * vz_list_join - malloc'ed "a b c" with @sep between; "" for an empty list; NULL without memory.
 */
char *vz_list_join(const struct vz_list *l, const char *sep);

/** struct vz_buf - growing text; all zero is empty. After a failed allocation @failed stays set. */
struct vz_buf {
	char *s;
	size_t len, room;
	bool failed;
};

/** vz_buf_add - append text; failures are remembered in @failed. */
void vz_buf_add(struct vz_buf *b, const char *s, size_t len);
void vz_buf_str(struct vz_buf *b, const char *s);
void vz_buf_fmt(struct vz_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void vz_buf_clear(struct vz_buf *b);

/** vz_fmt - malloc'ed formatted text, or NULL. */
char *vz_fmt(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc));

/** vz_copy - copy into a fixed buffer. Return: 0, or -ENAMETOOLONG (then @dst is ""). */
int vz_copy(char *dst, size_t size, const char *src) __attribute__((warn_unused_result));

/**
 * vz_quote - for a message: @s with everything that a terminal could obey written as \xNN, cut to
 * @size. Return: @dst.
 */
const char *vz_quote(char *dst, size_t size, const char *s);

static inline bool vz_streq(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

#define VZ_LIST __attribute__((cleanup(vz_list_clear)))
#define VZ_BUF	__attribute__((cleanup(vz_buf_clear)))

#endif
