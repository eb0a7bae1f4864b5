/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A configuration file is read; what was read is written over the same file, and read again: every
 * row has the same value, and a second writing changes nothing.
 */
#include "vps/priv.h"

#include "tests/fuzz/fuzz.h"
#include "util/fd.h"
#include "util/log.h"

static void save(const struct vps_config *c, const bool which[VP_MAX], const char *old, size_t len,
		 struct vz_buf *out)
{
	VZ_FREE char *copy = fuzz_text((const uint8_t *)old, len);

	MUST(vps_save_text(c, which, copy, len, out) == 0);
	MUST(out->s || len == 0 || !out->len);
}

static void load(struct vps_config *c, const char *text, size_t len)
{
	VZ_FREE char *copy = fuzz_text((const uint8_t *)text, len);

	MUST(vps_load_text(c, "again", copy, len, VS_VPS, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	VPS_CONFIG struct vps_config first = { .ctid = 101 };
	VPS_CONFIG struct vps_config again = { .ctid = 101 };
	VZ_BUF struct vz_buf one = { 0 };
	VZ_BUF struct vz_buf two = { 0 };
	VZ_FREE char *text = fuzz_text(data, size);
	bool which[VP_MAX];
	int bad;

	vz_log_level(-2);
	bad = vps_load_text(&first, "fuzz", text, size, VS_VPS, NULL);
	if (bad < 0) {
		MUST(memchr(data, '\0', size));
		return 0;
	}
	for (int id = 0; id < VP_MAX; id++) /* unset ones lose their line: bad lines go */
		which[id] = vps_param(id)->key;
	save(&first, which, (const char *)data, size, &one);
	load(&again, one.s ? one.s : "", one.len);
	for (int id = 0; id < VP_MAX; id++) {
		VZ_FREE char *a = NULL;

		/* a path that ends in the CTID is written with $VEID */
		if ((id == VP_VE_ROOT || id == VP_VE_PRIVATE) && vps_is_set(&again, id)) {
			MUST(vps_is_set(&first, id));
			continue;
		}
		a = vps_param_print(&first, id);
		if (!vps_param_equal(&first, &again, id)) {
			VZ_FREE char *b = vps_param_print(&again, id);

			(void)fprintf(stderr, "%s: '%s' became '%s'\n", vps_param(id)->id, a, b);
			abort();
		}
	}
	save(&again, which, one.s ? one.s : "", one.len, &two);
	MUST(one.len == two.len && (!one.len || !memcmp(one.s, two.s, one.len)));
	return 0;
}
