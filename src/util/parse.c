/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/parse.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static int digits(const char **s, uint64_t *ret)
{
	const char *p = *s;
	uint64_t v = 0;
	int r = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10U, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			r = -ERANGE;
	*s = p;
	*ret = v;
	return r;
}

int vz_parse_u64(const char *s, uint64_t lo, uint64_t hi, uint64_t *ret)
{
	uint64_t v;
	int r = digits(&s, &v);

	if (r < 0 && r != -ERANGE)
		return r;
	if (*s)
		return -EINVAL;
	if (r < 0 || v < lo || v > hi)
		return -ERANGE;
	*ret = v;
	return 0;
}

static uint64_t suffix_bytes(char c)
{
	switch (c) {
	case 'T':
	case 't':
		return UINT64_C(1) << 40;
	case 'G':
	case 'g':
		return UINT64_C(1) << 30;
	case 'M':
	case 'm':
		return UINT64_C(1) << 20;
	case 'K':
	case 'k':
		return UINT64_C(1) << 10;
	case 'P':
	case 'p':
		return 4096;
	case 'B':
	case 'b':
		return 1;
	default:
		return 0;
	}
}

int vz_parse_size(const char *s, uint64_t unit_bytes, uint64_t *ret)
{
	uint64_t whole, frac = 0, scale = 1, mult, v;
	int r;

	if (!strcasecmp(s, "unlimited")) {
		*ret = INT64_MAX;
		return 0;
	}
	r = digits(&s, &whole);
	if (r == -EINVAL)
		return r;
	if (*s == '.') {
		for (s++; *s >= '0' && *s <= '9'; s++)
			if (scale < 1000000) {
				frac = frac * 10 + (uint64_t)(*s - '0');
				scale *= 10;
			}
		if (scale == 1 || !*s)
			return -EINVAL;
	}
	mult = *s ? suffix_bytes(*s) : unit_bytes;
	if (mult == 0 || (*s && s[1]))
		return -EINVAL;
	if (r < 0 || __builtin_mul_overflow(whole, mult, &v) ||
	    __builtin_add_overflow(v, frac * mult / scale, &v) || v > INT64_MAX) {
		*ret = INT64_MAX;
		return -ERANGE;
	}
	*ret = v;
	return 0;
}

int vz_parse_double(const char *s, double *ret)
{
	uint64_t whole;
	double v, digit = 1;

	if (digits(&s, &whole) < 0)
		return -EINVAL;
	v = (double)whole;
	if (*s == '.') {
		if (s[1] < '0' || s[1] > '9')
			return -EINVAL;
		for (s++; *s >= '0' && *s <= '9'; s++) {
			digit /= 10;
			v += digit * (*s - '0');
		}
	}
	if (*s)
		return -EINVAL;
	*ret = v;
	return 0;
}

int vz_parse_bool(const char *s, bool *ret)
{
	if (!strcasecmp(s, "yes") || !strcasecmp(s, "on"))
		*ret = true;
	else if (!strcasecmp(s, "no") || !strcasecmp(s, "off"))
		*ret = false;
	else
		return -EINVAL;
	return 0;
}

int vz_parse_cpulist(const char *s, uint64_t *bits, unsigned int nbits)
{
	memset(bits, 0, (nbits + 63) / 64 * sizeof(*bits));
	for (;;) {
		uint64_t a, b;

		if (digits(&s, &a) < 0)
			return -EINVAL;
		b = a;
		if (*s == '-') {
			s++;
			if (digits(&s, &b) < 0)
				return -EINVAL;
		}
		if (b < a)
			return -EINVAL;
		if (b >= nbits)
			return -ERANGE;
		for (uint64_t i = a; i <= b; i++)
			bits[i / 64] |= UINT64_C(1) << (i % 64);
		if (!*s)
			return 0;
		if (*s++ != ',')
			return -EINVAL;
	}
}
