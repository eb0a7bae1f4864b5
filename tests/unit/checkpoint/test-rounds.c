/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory in rounds: what goes in comes out, alone it is nothing, and what stands on it says so. */
#include "checkpoint/checkpoint.h"
#include "checkpoint/priv.h"
#include "tests/lib/tap.h"
#include "util/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/croft-rounds.XXXXXX";
static const char id[] = "0123456789abcdef0123456789abcdef",
		  other[] = "f123456789abcdef0123456789abcdef";

static char *in_dir(const char *name)
{
	static char path[4][300];
	static int n;

	n = (n + 1) % 4;
	(void)snprintf(path[n], sizeof(path[n]), "%s/%s", dir, name);
	return path[n];
}

static void put(const char *name, const void *data, size_t len)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (vz_write_all(fd, data, len) < 0)
		abort();
}

static bool there(const char *name)
{
	return access(in_dir(name), F_OK) == 0;
}

static void fill(void)
{
	/* heads of pagemaps: magic, length, field 1: the number of the pages */
	static const char pagemap[] = "\x16\x19\x56\x54\x02\x30\x25\x56\x02\0\0\0\x08\x01rest",
			  shared[] = "\x16\x19\x56\x54\x02\x30\x25\x56\x03\0\0\0\x08\xac\x02";

	put("images/inventory.img", "i", 1);
	put("images/pagemap-1.img", pagemap, sizeof(pagemap) - 1);
	put("images/pages-1.img", "page one", 8);
	put("images/pagemap-shmem-77.img", shared, sizeof(shared) - 1);
	put("images/pages-300.img", "shared", 6);
	put("images/core-1.img", "core", 4);
	put("images/stats-dump", "no", 2);
}

/* Round @n to a file: its bytes are the stream. */
static int sent(unsigned int n, int level)
{
	struct vz_error err;
	VZ_FD int fd = vz_openat(AT_FDCWD, in_dir("stream"), O_RDWR | O_CREAT | O_TRUNC, 0600);

	return cpt_round_send(fd, in_dir("images"), id, n, level, &err);
}

static int taken(const char *rounds, const char *whose, unsigned int n, struct vz_error *err)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, in_dir("stream"), O_RDONLY, 0);

	return cpt_round_take(fd, rounds, getuid(), whose, n, err);
}

static void test_round(int level)
{
	struct vz_error err;
	struct stat st;
	char to[16] = "";
	VZ_FREE char *got = NULL;

	OK(sent(1, level) == 0 && taken(in_dir("rounds"), id, 1, &err) == 0);
	OK(vz_read_file(AT_FDCWD, in_dir("rounds/1/pages-1.img"), 100, &got) == 8 &&
	   !strcmp(got, "page one"));
	OK_NAME(there("rounds/1/inventory.img") && there("rounds/1/pagemap-1.img") &&
			!there("rounds/1/core-1.img") && !there("rounds/1/stats-dump"),
		"memory goes, nothing else");
	OK(stat(in_dir("rounds/1"), &st) == 0 && (st.st_mode & 07777) == 0700);
	OK(stat(in_dir("rounds/1/pages-1.img"), &st) == 0 && (st.st_mode & 07777) == 0600);
	OK_NAME(cpt_rounds_there(in_dir("rounds"), id, 1, &err) == 0, "it is there");
	OK_NAME(cpt_rounds_there(in_dir("rounds"), id, 2, &err) < 0 && strstr(err.msg, "copy 2"),
		"the second is not");
	OK_NAME(cpt_rounds_there(in_dir("rounds"), other, 1, &err) < 0, "nor one of another chain");
	OK_NAME(taken(in_dir("rounds"), id, 2, &err) < 0 && !there("rounds/2"), "out of turn");
	OK_NAME(taken(in_dir("rounds"), other, 1, &err) < 0 && !there("rounds/1"), "not ours");
	OK(taken(in_dir("rounds"), id, 1, &err) == 0 && sent(2, level) == 0 &&
	   taken(in_dir("rounds"), id, 2, &err) == 0);
	OK_NAME(readlink(in_dir("rounds/2/parent"), to, sizeof(to) - 1) == 4 && !strcmp(to, "../1"),
		"the second stands on the first");
	OK_NAME(!there("rounds/1/parent"), "which stands on nothing");
	OK(cpt_rounds_there(in_dir("rounds"), id, 2, &err) == 0);
	OK(vz_rm_rf(AT_FDCWD, in_dir("rounds")) == 0 && mkdir(in_dir("rounds"), 0700) == 0);
}

static void test_flips(void)
{
	VZ_FREE char *text = NULL;
	ssize_t n;
	int good = 0;

	if (sent(1, 0) < 0)
		abort();
	n = vz_read_file(AT_FDCWD, in_dir("stream"), 1 << 20, &text);
	for (ssize_t i = 0; i < n; i++) {
		VZ_FD int cut = vz_memfd("round", text, (size_t)i);
		VZ_FD int fd = -EBADF;

		text[i] ^= (char)(1 << (i % 8));
		fd = vz_memfd("round", text, (size_t)n);
		text[i] ^= (char)(1 << (i % 8));
		if (fd < 0 || cut < 0 || lseek(fd, 0, SEEK_SET) || lseek(cut, 0, SEEK_SET))
			abort();
		good += cpt_round_read(fd, -1, id, 1) == 0;
		good += cpt_round_read(cut, -1, id, 1) == 0;
	}
	OK_NAME(n > 400 && good == 0, "no flipped bit, no missing end is overlooked");
}

/* A name that no round has, with every checksum right. */
static void test_names(void)
{
	static const char *const names[] = { "core-1.img",    "pagemap-shmem-7.img", "round.json",
					     "pages-1.img.x", "pages-.img",	     "parent" };
	struct vz_error err;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		VZ_FREE char *text = NULL;
		VZ_FREE char *want = vz_fmt("{\"schema\":1,\"id\":\"%s\",\"n\":1}\n", id);
		VZ_FD int fd = -EBADF;
		ssize_t len;

		/* a stream with that name in place of another of its length */
		if (sent(1, 0) < 0 || !want)
			abort();
		len = vz_read_file(AT_FDCWD, in_dir("stream"), 1 << 20, &text);
		for (ssize_t at = 64; at + 120 <= len; at++) {
			uint32_t crc;

			if (memcmp(text + at, "CRFE", 4) != 0 ||
			    strcmp(text + at + 16, "inventory.img") != 0)
				continue;
			memset(text + at + 16, 0, CPT_NAME);
			strcpy(text + at + 16, names[i]);
			crc = cpt_crc(0, text + at, 116);
			memcpy(text + at + 116, &crc, 4);
		}
		fd = vz_memfd("round", text, (size_t)len);
		if (fd < 0 || lseek(fd, 0, SEEK_SET))
			abort();
		OK_NAME(cpt_round_read(fd, -1, id, 1) == -EBADMSG, names[i]);
	}
	OK_NAME(cpt_peek(in_dir("stream"), &(struct cpt_desc){ 0 }, NULL, &err) < 0 &&
			strstr(err.msg, "no dump"),
		"a round is no dump");
}

/* The head of a dump says, as its descriptor does, that it stands on rounds. */
static void test_part(void)
{
	CPT_DESC struct cpt_desc d = {
		.ctid = 101, .uid_base = 65536, .uid_count = 65536, .parents = 2, .tty = "tty[1:2]"
	};
	CPT_DESC struct cpt_desc back = { 0 };
	VZ_FREE char *text = NULL;
	VZ_FREE char *whole = NULL;
	struct vz_error err;
	uint32_t crc;
	ssize_t n;

	memcpy(d.chain, id, sizeof(d.chain));
	OK(cpt_pack(in_dir("images"), in_dir("Dump"), &d, 0, &err) == 0);
	OK(cpt_peek(in_dir("Dump"), &back, NULL, &err) == 0 && back.parents == 2 &&
	   !strcmp(back.chain, id));
	n = vz_read_file(AT_FDCWD, in_dir("Dump"), 1 << 20, &text);
	OK_NAME(n > 64 && text[8] == 2, "an older Croft takes it for one of a newer format");
	text[8] = 1;
	crc = cpt_crc(0, text, 60);
	memcpy(text + 60, &crc, 4);
	put("Dump", text, (size_t)n);
	OK_NAME(cpt_peek(in_dir("Dump"), &back, NULL, &err) < 0, "not one, and not the other");
	d.parents = 0;
	OK(cpt_pack(in_dir("images"), in_dir("Dump"), &d, 0, &err) == 0);
	n = vz_read_file(AT_FDCWD, in_dir("Dump"), 1 << 20, &whole);
	OK(n > 64 && whole[8] == 1);
	whole[8] = 2;
	crc = cpt_crc(0, whole, 60);
	memcpy(whole + 60, &crc, 4);
	put("Dump", whole, (size_t)n);
	OK_NAME(cpt_peek(in_dir("Dump"), &back, NULL, &err) < 0, "nor the other way round");
}

static void test_desc(void)
{
	static const char *const bad[] = {
		"\"parents\": 0, \"chain\": \"0123456789abcdef0123456789abcdef\"",
		"\"parents\": 17, \"chain\": \"0123456789abcdef0123456789abcdef\"",
		"\"parents\": -1, \"chain\": \"0123456789abcdef0123456789abcdef\"",
		"\"parents\": \"1\", \"chain\": \"0123456789abcdef0123456789abcdef\"",
		"\"parents\": 1",
		"\"chain\": \"0123456789abcdef0123456789abcdef\"",
		"\"parents\": 1, \"chain\": \"0123456789abcdef0123456789abcde\"",
		"\"parents\": 1, \"chain\": \"../3456789abcdef0123456789abcdef\"",
	};
	CPT_DESC struct cpt_desc d = {
		.ctid = 101, .uid_base = 65536, .uid_count = 65536, .tty = "tty[1:2]"
	};
	CPT_DESC struct cpt_desc back = { 0 };
	VZ_FREE char *text = cpt_desc_text(&d);
	struct vz_error err;

	OK(text && cpt_desc_parse(text, strlen(text), &back, &err) == 0 && back.parents == 0);
	for (size_t i = 0; text && i < sizeof(bad) / sizeof(*bad); i++) {
		VZ_FREE char *with = vz_fmt("{%s,%s", bad[i], text + 1);

		OK_NAME(with && cpt_desc_parse(with, strlen(with), &back, &err) < 0, bad[i]);
	}
}

int main(void)
{
	uint64_t bytes = 0;

	if (!mkdtemp(dir) || mkdir(in_dir("images"), 0700) < 0 || mkdir(in_dir("rounds"), 0700) < 0)
		return 1;
	fill();
	OK_NAME(cpt_round_trim(in_dir("images")) == 0 && !there("images/pages-300.img") &&
			!there("images/pagemap-shmem-77.img") && there("images/pages-1.img"),
		"shared memory goes with the rest");
	OK(cpt_round_bytes(in_dir("images"), &bytes) == 0 && bytes == 8);
	test_round(0);
	test_round(1);
	test_flips();
	test_names();
	test_part();
	test_desc();
	OK_NAME(cpt_round_strip(in_dir("images")) == 0 &&
			cpt_round_bytes(in_dir("images"), &bytes) == 0 && bytes == 0 &&
			there("images/pages-1.img") && there("images/pagemap-1.img"),
		"what was sent leaves names");
	(void)!vz_rm_rf(AT_FDCWD, dir);
	return tap_done();
}
