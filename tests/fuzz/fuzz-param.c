/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every type of params.def: byte 0 chooses the row, byte 1 how it is written and by whom, then come
 * values, one a line, each on top of the last. What was taken is printed, parsed as the file would
 * be, and printed again: the same. What was refused changed nothing and has a line of text.
 */
#include "vps/priv.h"

#include "tests/fuzz/fuzz.h"
#include "util/fd.h"

static void check_taken(const struct vps_config *c, enum vps_param_id id)
{
	VPS_CONFIG struct vps_config back = { .ctid = c->ctid };
	VPS_CONFIG struct vps_config copy = { 0 };
	VZ_FREE char *text = vps_param_print(c, id);
	VZ_FREE char *again = NULL;
	struct vz_error err;

	MUST(text && !strpbrk(text, "\n\r"));
	if (vps_param_parse(&back, id, PM_SET, text, VS_VPS, &err) < 0) {
		(void)fprintf(stderr, "%s: printed '%s', refused: %s\n", vps_param(id)->id, text,
			      err.msg);
		abort();
	}
	again = vps_param_print(&back, id);
	MUST(again);
	if (strcmp(text, again) != 0) {
		(void)fprintf(stderr, "%s: '%s' became '%s'\n", vps_param(id)->id, text, again);
		abort();
	}
	MUST(vps_param_copy(&copy, c, id) == 0 && vps_param_equal(&copy, c, id));
}

static void one(struct vps_config *c, enum vps_param_id id, enum vps_mode mode, enum vps_source src,
		const char *text)
{
	VZ_FREE char *before = vps_param_print(c, id);
	VZ_FREE char *after = NULL;
	struct vz_error err = { 0 };
	int r = vps_param_parse(c, id, mode, text, src, &err);

	if (r == 0) {
		check_taken(c, id);
		return;
	}
	after = vps_param_print(c, id);
	MUST(before && after && !strcmp(before, after));
	MUST(err.exit > 0 && err.exit < 256 && err.msg[0]);
	for (const char *p = err.msg; *p; p++)
		MUST((unsigned char)*p >= 0x20 && *p != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	VPS_CONFIG struct vps_config c = { .ctid = 101 };
	VZ_FREE char *text = NULL;
	enum vps_param_id id;
	enum vps_source src;
	enum vps_mode mode;
	char *line, *next;

	if (size < 2)
		return 0;
	id = data[0] % VP_MAX;
	src = data[1] & 8 ? VS_CLI : VS_VPS;
	mode = src == VS_CLI ? (data[1] & 7) % (PM_EDIT + 1) : PM_SET;
	/* PM_EDIT is made by the command line only: "ifname=..." of a NETIF row */
	if (mode == PM_EDIT &&
	    (vps_param(id)->type != PT_NETIF ||
	     strncmp((const char *)data + 2, "ifname=", size < 9 ? size - 2 : 7) != 0 || size < 9))
		mode = PM_SET;
	text = fuzz_text(data + 2, size - 2);
	for (line = text; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		one(&c, id, mode, src, line);
	}
	return 0;
}
