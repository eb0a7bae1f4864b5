/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/json.h"

#include "util/fd.h"
#include "util/str.h"

#include <fcntl.h>
#include <string.h>

int vz_json_load(const char *path, json_t **ret)
{
	VZ_FREE char *text = NULL;
	ssize_t n = vz_read_file(AT_FDCWD, path, 1 << 20, &text);
	json_t *j;

	if (n < 0)
		return (int)n;
	j = json_loadb(text, (size_t)n, 0, NULL);
	if (!j)
		return -EINVAL;
	if (!json_is_object(j)) {
		json_decref(j);
		return -EINVAL;
	}
	*ret = j;
	return 0;
}

int vz_json_save(const char *path, const json_t *j)
{
	VZ_FREE char *text = json_dumps(j, JSON_INDENT(1) | JSON_SORT_KEYS);

	return text ? vz_write_atomic(path, text, strlen(text), 0600) : -ENOMEM;
}

const char *vz_json_str(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

json_int_t vz_json_int(const json_t *obj, const char *key, json_int_t fallback)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_integer(v) ? json_integer_value(v) : fallback;
}

json_t *vz_json_text(const char *s)
{
	json_t *j = json_string(s);
	VZ_BUF struct vz_buf b = { 0 };

	if (j)
		return j;
	for (; *s; s++) { /* not UTF-8: keep what is ASCII */
		if ((unsigned char)*s < 0x80)
			vz_buf_add(&b, s, 1);
		else
			vz_buf_str(&b, "\xef\xbf\xbd");
	}
	return b.failed ? NULL : json_string(b.s ? b.s : "");
}
