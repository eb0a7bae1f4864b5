/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Types whose value is a number, a word or a text; lists are in types-list.c. */
#include "vps/priv.h"

#include "util/fd.h"
#include "util/parse.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

static int parse_u64(const struct vps_param *p, enum vps_mode mode, const char *text,
		     enum vps_source src, void *field)
{
	(void)mode;
	(void)src;
	return vz_parse_u64(text, p->min, p->max, field);
}

static void print_u64(const struct vps_param *p, const void *field, struct vz_buf *out)
{
	(void)p;
	vz_buf_fmt(out, "%" PRIu64, *(const uint64_t *)field);
}

/* -1 means errors only, so this is the one number that may have a sign. */
static int parse_level(const struct vps_param *p, enum vps_mode mode, const char *text,
		       enum vps_source src, void *field)
{
	uint64_t v;
	bool minus = *text == '-';
	int r = vz_parse_u64(text + minus, 0, 100, &v);

	(void)p;
	(void)mode;
	(void)src;
	if (r == 0 && minus && v > 1)
		return -ERANGE;
	if (r == 0)
		*(int64_t *)field = minus ? -(int64_t)v : (int64_t)v;
	return r;
}

static void print_level(const struct vps_param *p, const void *field, struct vz_buf *out)
{
	(void)p;
	vz_buf_fmt(out, "%" PRId64, *(const int64_t *)field);
}

static int parse_bool(const struct vps_param *p, enum vps_mode mode, const char *text,
		      enum vps_source src, void *field)
{
	(void)p;
	(void)mode;
	(void)src;
	return vz_parse_bool(text, field);
}

static void print_bool(const struct vps_param *p, const void *field, struct vz_buf *out)
{
	(void)p;
	vz_buf_str(out, *(const bool *)field ? "yes" : "no");
}

static int parse_double(const struct vps_param *p, enum vps_mode mode, const char *text,
			enum vps_source src, void *field)
{
	double v;

	(void)mode;
	(void)src;
	if (vz_parse_double(text, &v) < 0)
		return -EINVAL;
	if (v > (double)p->max)
		return -ERANGE;
	*(double *)field = v;
	return 0;
}

static void print_double(const struct vps_param *p, const void *field, struct vz_buf *out)
{
	char text[64];
	size_t n;

	(void)p;
	/* not %g: its exponents are nothing that the parser takes */
	n = (size_t)snprintf(text, sizeof(text), "%.6f", *(const double *)field);
	while (n && text[n - 1] == '0')
		n--;
	vz_buf_add(out, text, n && text[n - 1] == '.' ? n - 1 : n);
}

static int store_text(void *field, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*(char **)field);
	*(char **)field = copy;
	return 0;
}

static int parse_text(const struct vps_param *p, enum vps_mode mode, const char *text,
		      enum vps_source src, void *field)
{
	(void)p;
	(void)mode;
	(void)src;
	if (strpbrk(text, "\n\r") || strlen(text) > 4096)
		return -EINVAL; /* a file of lines cannot keep it */
	return store_text(field, text);
}

static void print_text(const struct vps_param *p, const void *field, struct vz_buf *out)
{
	const char *s = *(char *const *)field;

	(void)p;
	vz_buf_str(out, s ? s : "");
}

static int parse_filename(const struct vps_param *p, enum vps_mode mode, const char *text,
			  enum vps_source src, void *field)
{
	if (!*text || *text == '.' || strlen(text) > 200 || strpbrk(text, "/@\"\\$` \t"))
		return -EINVAL;
	return parse_text(p, mode, text, src, field);
}

static int parse_name(const struct vps_param *p, enum vps_mode mode, const char *text,
		      enum vps_source src, void *field)
{
	if (*text && !vps_name_valid(text, UINT32_MAX))
		return -EINVAL;
	return parse_text(p, mode, text, src, field);
}

static int parse_path(const struct vps_param *p, enum vps_mode mode, const char *text,
		      enum vps_source src, void *field)
{
	size_t n = 0;

	if (*text != '/' || strlen(text) > 3000 || strchr(text, '"'))
		return -EINVAL;
	for (const char *w = text; *w; w += n) { /* not "/" itself, no way back up */
		w += strspn(w, "/");
		n = strcspn(w, "/");
		if ((n == 0 && !text[strspn(text, "/")]) || (n == 2 && !strncmp(w, "..", 2)))
			return -EINVAL;
	}
	for (const char *w = text; *w; w++)
		if ((unsigned char)*w < 0x20 || *w == 0x7f)
			return -EINVAL;
	return parse_text(p, mode, text, src, field);
}

static int parse_layout(const struct vps_param *p, enum vps_mode mode, const char *text,
			enum vps_source src, void *field)
{
	/*
	 * ploop[:mode] in a configuration of OpenVZ must stay readable; mounting it is refused
	 * later
	 */
	if (strcmp(text, "simfs") && strcmp(text, "overlay") &&
	    (src == VS_CLI || strncmp(text, "ploop", 5)))
		return -EINVAL;
	return parse_text(p, mode, text, src, field);
}

static int parse_word(const struct vps_param *p, enum vps_mode mode, const char *text,
		      enum vps_source src, void *field)
{
	size_t len = strlen(text);

	for (const char *w = p->arg; w && *w; w += strcspn(w, "|"), w += *w == '|')
		if (strcspn(w, "|") == len && len > 0 && !strncmp(w, text, len))
			return parse_text(p, mode, text, src, field);
	return -EINVAL;
}

static int parse_hostname(const struct vps_param *p, enum vps_mode mode, const char *text,
			  enum vps_source src, void *field)
{
	if (!vps_domain_ok(text, true) || strlen(text) > 253)
		return -EINVAL;
	return parse_text(p, mode, text, src, field);
}

static int parse_cpumask(const struct vps_param *p, enum vps_mode mode, const char *text,
			 enum vps_source src, void *field)
{
	uint64_t bits[4096 / 64];
	int r;

	if (strcmp(text, "all") != 0 && (strcmp(text, "auto") != 0 || !strstr(p->arg, "auto"))) {
		r = vz_parse_cpulist(text, bits, 4096);
		if (r < 0)
			return r;
	}
	return parse_text(p, mode, text, src, field);
}

static int parse_meminfo(const struct vps_param *p, enum vps_mode mode, const char *text,
			 enum vps_source src, void *field)
{
	const char *colon = strchr(text, ':');
	uint64_t n;

	if (strcmp(text, "none") != 0 &&
	    ((strncmp(text, "pages:", 6) != 0 && strncmp(text, "privvmpages:", 12) != 0) ||
	     !colon || vz_parse_u64(colon + 1, 1, INT32_MAX, &n) < 0))
		return -EINVAL;
	return parse_text(p, mode, text, src, field);
}

/* ---- barrier:limit ---- */

static int split_pair(const char *text, char a[128], char b[128])
{
	const char *colon = strchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : strlen(text);

	if (n == 0 || n >= 128 || strlen(text) - n >= 128)
		return -EINVAL;
	memcpy(a, text, n);
	a[n] = '\0';
	(void)snprintf(b, 128, "%s", colon ? colon + 1 : a);
	return 0;
}

/*
 * @text in the unit whose plain number is @plain bytes; result in units of @unit bytes, rounded up. @strict: as on the
 * command line, where a number too large is a mistake; in files it has always been unlimited.
 */
static int parse_amount(const char *text, uint64_t plain, uint64_t unit, bool strict, uint64_t *ret)
{
	uint64_t v;
	int r = vz_parse_size(text, plain, &v);

	if (r == -EINVAL || (r == -ERANGE && strict))
		return r;
	if (v == INT64_MAX) /* "unlimited", or so large that it is clamped to it */
		*ret = INT64_MAX;
	else
		*ret = v / unit + (v % unit ? 1 : 0);
	return 0;
}

/* Barriers above limits stand in files; somebody who types one means something else. */
static int take_pair(const struct vps_pair *v, bool strict, struct vps_pair *ret)
{
	if (strict && v->bar > v->lim)
		return -EDOM;
	*ret = *v;
	return 0;
}

static int parse_pair_unit(const char *text, uint64_t plain, uint64_t unit, bool strict,
			   struct vps_pair *ret)
{
	struct vps_pair v = { 0 };
	char a[128], b[128];
	int r = split_pair(text, a, b);

	if (r == 0)
		r = parse_amount(a, plain, unit, strict, &v.bar);
	if (r == 0)
		r = parse_amount(b, plain, unit, strict, &v.lim);
	return r < 0 ? r : take_pair(&v, strict, ret);
}

static int parse_items(const char *text, bool strict, struct vps_pair *ret)
{
	struct vps_pair v = { 0 };
	char a[128], b[128];
	uint64_t *out[2] = { &v.bar, &v.lim };
	const char *in[2] = { a, b };

	if (split_pair(text, a, b) < 0)
		return -EINVAL;
	for (int i = 0; i < 2; i++) {
		int r = 0;

		*out[i] =
			INT64_MAX; /* what "unlimited" means, and what a number too large becomes */
		if (strcasecmp(in[i], "unlimited") != 0)
			r = vz_parse_u64(in[i], 0, INT64_MAX, out[i]);
		if (r == -EINVAL || (r == -ERANGE && strict))
			return r;
	}
	return take_pair(&v, strict, ret);
}

static int parse_ubc(const struct vps_param *p, enum vps_mode mode, const char *text,
		     enum vps_source src, void *field)
{
	bool strict = src == VS_CLI;

	if (mode == PM_RAM) { /* --ram SIZE: "0:N" pages from bytes, rounded up */
		struct vps_pair v = { 0 };
		int r = parse_amount(text, 1, 4096, strict, &v.lim);

		if (r == 0)
			*(struct vps_pair *)field = v;
		return r;
	}
	switch (p->unit) {
	case PU_PAGES:
		return parse_pair_unit(text, 4096, 4096, strict, field);
	case PU_BYTES:
		return parse_pair_unit(text, 1, 1, strict, field);
	default:
		return parse_items(text, strict, field);
	}
}

static int parse_disk(const struct vps_param *p, enum vps_mode mode, const char *text,
		      enum vps_source src, void *field)
{
	(void)p;
	(void)mode;
	return parse_pair_unit(text, 1024, 1024, src == VS_CLI, field);
}

static int parse_diskn(const struct vps_param *p, enum vps_mode mode, const char *text,
		       enum vps_source src, void *field)
{
	(void)p;
	(void)mode;
	return parse_items(text, src == VS_CLI, field);
}

static void print_pair_side(uint64_t v, struct vz_buf *out)
{
	if (v == INT64_MAX)
		vz_buf_str(out, "unlimited");
	else
		vz_buf_fmt(out, "%" PRIu64, v);
}

static void print_pair(const struct vps_param *p, const void *field, struct vz_buf *out)
{
	const struct vps_pair *v = field;

	(void)p;
	print_pair_side(v->bar, out);
	if (v->bar != v->lim) {
		vz_buf_str(out, ":");
		print_pair_side(v->lim, out);
	}
}

/* With a percent sign: of the whole node (vzctl stores the product with the number of CPUs). */
static int parse_cpulimit(const struct vps_param *p, enum vps_mode mode, const char *text,
			  enum vps_source src, void *field)
{
	char num[32];
	size_t n = strlen(text);
	uint64_t v;
	int r;

	(void)mode;
	(void)src;
	if (n > 1 && text[n - 1] == '%' && n < sizeof(num)) {
		memcpy(num, text, n - 1);
		num[n - 1] = '\0';
		r = vz_parse_u64(num, 0, 100, &v);
		if (r < 0)
			return r;
		v *= (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	} else {
		r = vz_parse_u64(text, p->min, p->max, &v);
		if (r < 0)
			return r;
	}
	*(uint64_t *)field = v;
	return 0;
}

static int parse_iolimit(const struct vps_param *p, enum vps_mode mode, const char *text,
			 enum vps_source src, void *field)
{
	uint64_t v;

	(void)mode;
	if (vz_parse_size(text, src == VS_CLI ? 1 << 20 : 1, &v) == -EINVAL)
		return -EINVAL;
	if (v == INT64_MAX)
		v = 0;
	*(uint64_t *)field = v > p->max ? p->max : v;
	return 0;
}

static void print_list(const struct vps_param *p, const void *field, struct vz_buf *out)
{
	const struct vz_list *l = field;

	for (size_t i = 0; i < l->n; i++) {
		if (i)
			vz_buf_str(out, p->type == PT_NETIF ? ";" : " ");
		vz_buf_str(out, l->v[i]);
	}
}

#define PAIR_TEXT "a number or \"unlimited\", or two with a colon between; suffixes T G M K P B"

static const struct vps_type_ops types[PT_MAX] = {
	[PT_U64] = { STORE_U64, VZ_EXIT_VALUE, NULL, parse_u64, print_u64 },
	[PT_LEVEL] = { STORE_I64, VZ_EXIT_VALUE, "a number from -1 to 100", parse_level,
		       print_level },
	[PT_BOOL] = { STORE_BOOL, VZ_EXIT_VALUE, "yes or no", parse_bool, print_bool },
	[PT_TEXT] = { STORE_TEXT, VZ_EXIT_VALUE, "one line of text", parse_text, print_text },
	[PT_FILENAME] = { STORE_TEXT, VZ_EXIT_VALUE, "a file name without / and blanks",
			  parse_filename, print_text },
	[PT_NAME] = { STORE_TEXT, VZ_EXIT_NAME, "letters, digits, blank and - + _ .", parse_name,
		      print_text },
	[PT_PATH] = { STORE_TEXT, VZ_EXIT_VALUE, "an absolute path without .., not / itself",
		      parse_path, print_text },
	[PT_LAYOUT] = { STORE_TEXT, VZ_EXIT_VALUE, "simfs or overlay", parse_layout, print_text },
	[PT_UBC] = { STORE_PAIR, VZ_EXIT_VALUE, PAIR_TEXT, parse_ubc, print_pair },
	[PT_DISK] = { STORE_PAIR, VZ_EXIT_VALUE, PAIR_TEXT, parse_disk, print_pair },
	[PT_DISKN] = { STORE_PAIR, VZ_EXIT_VALUE, "a number or two with a colon between",
		       parse_diskn, print_pair },
	[PT_DOUBLE] = { STORE_DOUBLE, VZ_EXIT_VALUE, "a number such as 1.5", parse_double,
			print_double },
	[PT_CPULIMIT] = { STORE_U64, VZ_EXIT_VALUE, "percent of one CPU, or 0-100 with a % sign",
			  parse_cpulimit, print_u64 },
	[PT_CPUMASK] = { STORE_TEXT, VZ_EXIT_VALUE, "numbers and ranges such as 0-3,5 or all",
			 parse_cpumask, print_text },
	[PT_IOLIMIT] = { STORE_U64, VZ_EXIT_VALUE, "a number with B, K, M or G", parse_iolimit,
			 print_u64 },
	[PT_HOSTNAME] = { STORE_TEXT, VZ_EXIT_BAD_HOSTNAME, "a host name of at most 253 characters",
			  parse_hostname, print_text },
	[PT_IPS] = { STORE_LIST, VZ_EXIT_BAD_IP,
		     "IPv4 or IPv6 addresses, each with an optional /mask", vps_parse_ips,
		     print_list },
	[PT_DNS] = { STORE_LIST, VZ_EXIT_BAD_DNS, "addresses of name servers, or inherit",
		     vps_parse_dns, print_list },
	[PT_SEARCH] = { STORE_LIST, VZ_EXIT_BAD_SEARCH, "domain names, or inherit",
			vps_parse_search, print_list },
	[PT_NETIF] = { STORE_LIST, VZ_EXIT_VALUE, NULL, vps_parse_netif, print_list },
	[PT_LIST] = { STORE_LIST, VZ_EXIT_VALUE, "words", vps_parse_list, print_list },
	[PT_LISTADD] = { STORE_LIST, VZ_EXIT_VALUE, "one word", vps_parse_list_add, print_list },
	[PT_WORD] = { STORE_TEXT, VZ_EXIT_VALUE, NULL, parse_word, print_text },
	[PT_CAPS] = { STORE_LIST, VZ_EXIT_VALUE,
		      "NAME:on or NAME:off with the name of a capability", vps_parse_caps,
		      print_list },
	[PT_FEATURES] = { STORE_LIST, VZ_EXIT_VALUE,
			  "NAME:on or NAME:off; names: sysfs nfs sit ipip ppp ipgre bridge nfsd "
			  "time nesting io_uring socketcall procview checkpoint",
			  vps_parse_features, print_list },
	[PT_DEVICES] = { STORE_LIST, VZ_EXIT_VALUE, "b|c:MAJOR:MINOR|all:[r][w][q], or none",
			 vps_parse_devices, print_list },
	[PT_DEVNODES] = { STORE_LIST, VZ_EXIT_VALUE, "NAME:[r][w][q] with NAME below /dev, or none",
			  vps_parse_devnodes, print_list },
	[PT_MEMINFO] = { STORE_TEXT, VZ_EXIT_VALUE, NULL, parse_meminfo, print_text },
};

const struct vps_type_ops *vps_type_ops(enum vps_type type)
{
	return &types[type];
}
