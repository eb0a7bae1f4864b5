/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UTIL_JSON_H
#define UTIL_JSON_H

#include <jansson.h>

/* The only door to jansson beside cli/out.c (and rooms that build values for them). */

static inline void vz_jsonp(json_t **j)
{
	json_decref(*j);
	*j = NULL;
}

#define VZ_JSON __attribute__((cleanup(vz_jsonp)))

/** vz_json_parse - @len bytes at @text. Return: 0; -EINVAL when it is no JSON object. */
int vz_json_parse(const char *text, size_t len, json_t **ret) __attribute__((warn_unused_result));

/** vz_json_str - member as text, "" when absent or another type. Borrowed from @obj. */
const char *vz_json_str(const json_t *obj, const char *key);

/** vz_json_int - member as a number, @fallback when absent. */
json_int_t vz_json_int(const json_t *obj, const char *key, json_int_t fallback);

/**
 * vz_json_text - a string value; invalid UTF-8 bytes are replaced by U+FFFD. NULL without memory.
 */
json_t *vz_json_text(const char *s);

#endif
