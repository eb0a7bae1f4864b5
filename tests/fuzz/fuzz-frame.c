/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Migration: byte 0 has what the rest is: a stream of frames as it comes from the link, or (bit 7) frames whose
 * checksums and numbers are made right first, so that what is behind them is reached; bit 6: a journal.
 */
#include "migrate/migrate.h"

#include "tests/fuzz/fuzz.h"
#include "util/fd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { FRAMES_MAX = 64 };

/* Make heads right, in place: type and length stay what the fuzzer wrote, as far as there are bytes. */
static void mend(unsigned char *data, size_t size)
{
	uint32_t seq = 0;

	for (size_t i = 0; i + MIG_HEAD <= size && seq < FRAMES_MAX; seq++) {
		enum mig_type type = (enum mig_type)(data[i + 11] % MIG_TYPES);
		size_t rest = size - i - MIG_HEAD, len = (size_t)data[i + 14] << 8 | data[i + 15];

		len = len < rest ? len : rest;
		mig_frame_head(seq, type, data + i + MIG_HEAD, (uint32_t)len, data + i);
		i += MIG_HEAD + len;
	}
}

static void obey(const struct mig_frame *f, enum mig_state *state)
{
	VZ_JSON json_t *j = NULL;
	struct vz_error err = { 0 };
	enum mig_state next = *state;
	int r;

	if (mig_frame_json(f, &j, &err) < 0) {
		MUST(err.exit == MIG_EXIT_PROTOCOL);
		return;
	}
	r = mig_verb_legal(*state, vz_json_str(j, "verb"), &next, &err);
	MUST(r < MIG_VERBS && (r >= 0 || next == *state));
	/* nobody owns what was not promised, nothing is promised that was not placed */
	MUST(next != MIG_OWNS || *state == MIG_PROMISED || *state == MIG_OWNS);
	MUST(next != MIG_PROMISED || *state == MIG_PLACED || *state == MIG_PROMISED);
	*state = next;
	(void)!mig_tree_args_valid(json_object_get(j, "args"), &err);
	if (mig_failure(j, &err) >= 0)
		abort();
	MUST(err.exit > 0 && err.exit < 256 && memchr(err.msg, '\0', sizeof(err.msg)));
	for (const char *p = err.msg; *p; p++)
		MUST((unsigned char)*p >= ' ' && *p != 0x7f);
}

static void stream(const uint8_t *data, size_t size)
{
	enum mig_state state = MIG_NEW;
	struct vz_error err = { 0 };
	struct mig_conn c;
	struct mig_frame f;
	VZ_FD int theirs = -EBADF;
	int sk[2], r;

	MUST(vz_streampair(sk) == 0);
	theirs = sk[1];
	MUST(mig_conn_init(&c, sk[0], sk[0], 60000) == 0);
	if (vz_write_all(theirs, data, size) == 0 && shutdown(theirs, SHUT_WR) == 0)
		for (int i = 0; i < FRAMES_MAX; i++) {
			r = mig_recv(&c, &f, &err);
			if (r < 0) {
				MUST(mig_link_broken(&err));
				break;
			}
			MUST(f.type >= MIG_CALL && f.type < MIG_TYPES && f.len <= MIG_PAYLOAD_MAX);
			if (f.type == MIG_CALL)
				obey(&f, &state);
		}
	mig_conn_end(&c);
}

/* What is taken survives being written. */
static void journal(const uint8_t *data, size_t size)
{
	static const char dir[] = "./frame-root"; /* in the build directory, where it is run */
	static char path[PATH_MAX];
	MIG_JOURNAL struct mig_journal j = { 0 };
	MIG_JOURNAL struct mig_journal k = { 0 };

	if (!path[0]) {
		MUST(setenv("CROFT_ROOT", dir, 1) == 0);
		MUST(vz_mkdir_p(mig_dir(path), 0700) == 0);
		(void)snprintf(path, sizeof(path), "%s/etc/vz/migrate/101.journal", dir);
	}
	MUST(vz_write_volatile(path, data, size, 0600) == 0);
	if (mig_journal_load(101, &j) < 0)
		return;
	MUST(j.ctid == 101 && j.step < MIG_STEPS && mig_id_valid(j.id));
	if (mig_journal_save(&j) < 0)
		return; /* a name that is no UTF-8 cannot be in JSON */
	MUST(mig_journal_load(101, &k) == 0 && k.step == j.step && !strcmp(k.id, j.id) &&
	     k.transport.n == j.transport.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	VZ_FREE unsigned char *copy = NULL;

	if (size < 1 || size > 64 << 10)
		return 0;
	if (data[0] & 0x40) {
		journal(data + 1, size - 1);
		return 0;
	}
	copy = malloc(size);
	MUST(copy);
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 0x80)
		mend(copy, size - 1);
	stream(copy, size - 1);
	return 0;
}
