/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers, CTIDs, CPU lists, names, $VEID, quoting of messages: byte 0 chooses, the rest is text. */
#include "vps/priv.h"

#include "tests/fuzz/fuzz.h"
#include "util/fd.h"
#include "util/parse.h"

enum { BITS = 1024, UNTOUCHED = 4711 };

static void check_ctid(const char *text)
{
	uint32_t ctid = UNTOUCHED;
	char again[16];

	if (vps_parse_ctid(text, &ctid) < 0) {
		MUST(ctid == UNTOUCHED);
		return;
	}
	MUST(ctid <= VPS_CTID_MAX);
	text += strspn(text, "0");
	(void)snprintf(again, sizeof(again), "%u", ctid);
	MUST(!strcmp(again, ctid ? text : "0"));
}

static void check_cpulist(const char *text)
{
	uint64_t bits[BITS / 64 + 1] = { [BITS / 64] = UNTOUCHED };
	unsigned int any = 0;

	if (vz_parse_cpulist(text, bits, BITS) == 0) {
		for (size_t i = 0; i < BITS / 64; i++)
			any |= bits[i] != 0;
		MUST(any);
	}
	MUST(bits[BITS / 64] == UNTOUCHED);
}

static void check_numbers(const char *text)
{
	uint64_t v = UNTOUCHED;
	double d = UNTOUCHED;
	bool b = false;

	if (vz_parse_u64(text, 10, 1000, &v) == 0)
		MUST(v >= 10 && v <= 1000);
	else
		MUST(v == UNTOUCHED);
	if (vz_parse_size(text, 4096, &v) == 0)
		MUST(v <= INT64_MAX);
	if (vz_parse_double(text, &d) == 0)
		MUST(d >= 0);
	(void)!vz_parse_bool(text, &b);
}

static void check_quote(const char *text)
{
	char small[16], large[4096];

	(void)vz_quote(small, sizeof(small), text);
	MUST(strlen(small) < sizeof(small));
	(void)vz_quote(large, sizeof(large), text);
	for (const char *p = large; *p; p++)
		MUST((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void check_name(const char *text)
{
	if (!vps_name_valid(text, 101))
		return;
	MUST(strlen(text) <= 63 && !strpbrk(text, "/\n\"$`\\") && *text != '.');
}

static void check_subst(const char *text)
{
	VZ_FREE char *out = vps_subst(text, VPS_CTID_MAX);

	MUST(out && !strstr(out, "$VEID") == !strstr(out, "$VEID"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const checks[])(const char *text) = { check_ctid,	   check_cpulist,
							    check_numbers, check_quote,
							    check_name,	   check_subst };
	VZ_FREE char *text = NULL;

	if (size < 1)
		return 0;
	text = fuzz_text(data + 1, size - 1);
	checks[data[0] % (sizeof(checks) / sizeof(*checks))](text);
	return 0;
}
