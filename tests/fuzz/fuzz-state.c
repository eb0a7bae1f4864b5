/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a node finds under /run after somebody else, or a full disk, wrote there: state.json (of this
 * boot, whose id is put in) and lock files. What is taken survives being written and read again.
 */
#include "vps/priv.h"

#include "tests/fuzz/fuzz.h"
#include "util/fd.h"

#define BOOT "01234567-89ab-cdef-0123-456789abcdef"

static void check_lock(const uint8_t *data, size_t size)
{
	VZ_FREE char *text = fuzz_text(data, size);
	uint64_t start = 0;
	char word[32];
	pid_t pid = 0;

	if (vps_lock_parse(text, word, &pid, &start) == 0)
		MUST(pid > 0);
}

static void check_state(const char *text, size_t len)
{
	VPS_STATE struct vps_state s = { 0 };
	VPS_STATE struct vps_state again = { 0 };
	VZ_FREE char *out = NULL;
	VZ_FREE char *twice = NULL;

	if (vps_state_parse(text, len, BOOT, &s) < 0)
		return;
	MUST(s.init_pid > 0 && s.init_start > 0 && s.mon_pid >= 0);
	(void)vps_state_cgroup(&s, "v2");
	out = vps_state_text(&s);
	MUST(out && vps_state_parse(out, strlen(out), BOOT, &again) == 0);
	twice = vps_state_text(&again);
	MUST(twice && !strcmp(out, twice));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	VZ_BUF struct vz_buf b = { 0 };

	if (size < 1)
		return 0;
	if (data[0] != '{') {
		check_lock(data, size);
		return 0;
	}
	vz_buf_str(&b, "{\"boot_id\":\"" BOOT "\",");
	vz_buf_add(&b, (const char *)data + 1, size - 1);
	check_state(b.s, b.len);
	return 0;
}
