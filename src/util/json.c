/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/json.h"

#include "util/str.h"

#include <errno.h>

int vz_json_parse(const char *text, size_t len, json_t **ret)
{
	json_t *j = json_loadb(text, len, 0, NULL);

	if (!json_is_object(j)) {
		json_decref(j);
		return -EINVAL;
	}
	*ret = j;
	return 0;
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
