/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UTIL_PARSE_H
#define UTIL_PARSE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Numbers only by these: the whole string, no sign, no blank; the result is untouched on failure.
 */

/** vz_parse_u64 - decimal in [@lo, @hi]. Return: 0; -EINVAL no number; -ERANGE outside. */
int vz_parse_u64(const char *s, uint64_t lo, uint64_t hi, uint64_t *ret)
	__attribute__((warn_unused_result));

/**
 * vz_parse_size - a number with an optional fraction and suffix T G M K (powers of 1024), P (pages
 * of 4096) or B (bytes), any case; result in bytes. Without a suffix the number is multiplied by
 * @unit_bytes. A fraction needs a suffix. "unlimited" gives INT64_MAX.
 * Return: 0; -EINVAL; -ERANGE when it exceeds INT64_MAX (@ret is then INT64_MAX: callers clamp).
 * Source: vzctl(8), "bar[:lim]" values.
 */
int vz_parse_size(const char *s, uint64_t unit_bytes, uint64_t *ret)
	__attribute__((warn_unused_result));

/** vz_parse_double - decimal with an optional fraction, not negative. Return: 0 or -EINVAL. */
int vz_parse_double(const char *s, double *ret) __attribute__((warn_unused_result));

/** vz_parse_bool - yes/no, on/off as @yes/@no words, any case. Return: 0 or -EINVAL. */
int vz_parse_bool(const char *s, bool *ret) __attribute__((warn_unused_result));

/**
 * vz_parse_cpulist - "0-3,5" into a bit set of @nbits bits (array of 64-bit words).
 * Return: 0; -EINVAL syntax; -ERANGE a number at or above @nbits.
 */
int vz_parse_cpulist(const char *s, uint64_t *bits, unsigned int nbits)
	__attribute__((warn_unused_result));

#endif
