/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC-32C: it finds every flipped bit and costs less than the copy. By the processor's instruction where
 * there is one, else by a table. Against someone who forges a dump no checksum helps: there
 * every field is checked.
 */
#include "checkpoint/priv.h"

#include <string.h>

static uint32_t by_table(uint32_t crc, const unsigned char *p, size_t len)
{
	static uint32_t table[256];

	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;

			for (int bit = 0; bit < 8; bit++)
				c = c & 1 ? c >> 1 ^ 0x82f63b78 : c >> 1;
			table[i] = c;
		}
	while (len--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc,
								 const unsigned char *p, size_t len)
{
	uint64_t c = crc;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t v;

		memcpy(&v, p, sizeof(v));
		c = __builtin_ia32_crc32di(c, v);
	}
	return by_table((uint32_t)c, p, len);
}
#endif

uint32_t cpt_crc(uint32_t crc, const void *data, size_t len)
{
	crc = ~crc;
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return ~by_instruction(crc, data, len);
#endif
	return ~by_table(crc, data, len);
}
