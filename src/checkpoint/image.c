/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is in CRIU's images. A dump may come from anybody: nothing in it is believed. */
#include "checkpoint/priv.h"

#include <errno.h>
#include <string.h>

int cpt_message_next(const unsigned char *b, size_t len, size_t *at, uint32_t *ret_len)
{
	if (len - *at < sizeof(*ret_len))
		return -EBADMSG;
	memcpy(ret_len, b + *at, sizeof(*ret_len));
	*at += sizeof(*ret_len);
	if (*ret_len > len - *at)
		return -EBADMSG;
	*at += *ret_len;
	return 0;
}

static int varint(const unsigned char *b, size_t len, size_t *at, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned int shift = 0; *at < len && shift < 64; shift += 7) {
		unsigned char c = b[(*at)++];

		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80)) {
			*ret = v;
			return 0;
		}
	}
	return -EBADMSG;
}

int cpt_field_next(const unsigned char *b, size_t len, size_t *at, struct cpt_field *ret)
{
	uint64_t key;
	struct cpt_field f = { .begin = *at };

	if (varint(b, len, at, &key) < 0 || varint(b, len, at, &f.value) < 0)
		return -EBADMSG;
	f.number = key >> 3;
	f.bytes = (key & 7) == 2;
	if (!f.bytes && (key & 7) != 0)
		return -EBADMSG;
	f.text = *at;
	if (f.bytes && f.value > len - *at)
		return -EBADMSG;
	*at += f.bytes ? (size_t)f.value : 0;
	f.end = *at;
	*ret = f;
	return 0;
}
