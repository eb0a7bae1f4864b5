/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A dump that somebody made for us. '{': a descriptor; what is taken survives being written and read again, and its paths
 * lead nowhere else. Anything else: entries, each a byte of type with the number of the part in its upper half, a byte for the
 * length of the name, two of its size, name and bytes; their checksums are made right, so that what comes after these is reached.
 * 'R' before them: those of a round.
 */
#include "checkpoint/checkpoint.h"
#include "checkpoint/priv.h"

#include "tests/fuzz/fuzz.h"
#include "util/fd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct header {
	uint32_t magic, type;
	uint64_t size;
	char name[CPT_NAME];
	uint32_t part, crc;
};

static void check_desc(const char *text, size_t len)
{
	CPT_DESC struct cpt_desc d = { 0 };
	CPT_DESC struct cpt_desc again = { 0 };
	VZ_FREE char *out = NULL;
	VZ_FREE char *twice = NULL;
	struct vz_error err;

	err.exit = 0;
	if (cpt_desc_parse(text, len, &d, &err) < 0) {
		MUST(err.exit == VZ_EXIT_RESTORE);
		return;
	}
	for (size_t i = 0; i < d.view.n; i++)
		MUST(d.view.v[i][0] == '/' && !strstr(d.view.v[i], ".."));
	for (size_t i = 0; i < d.ndevs; i++)
		MUST(d.devs[i].path[0] != '/' && cpt_dev_path_valid(d.devs[i].path));
	for (size_t i = 0; i < d.given.n; i++)
		MUST(d.given.v[i].path[0] == '/' && cpt_dev_path_valid(d.given.v[i].path + 1));
	for (size_t i = 0; i < d.nrefusals; i++)
		MUST(strnlen(d.refusals[i].comm, CPT_COMM) < CPT_COMM);
	out = cpt_desc_text(&d);
	MUST(out && cpt_desc_parse(out, strlen(out), &again, &err) == 0);
	twice = cpt_desc_text(&again);
	MUST(twice && !strcmp(out, twice));
}

/* Return: bytes of @data used, 0: no more. */
static size_t put_entry(int fd, const uint8_t *data, size_t size)
{
	struct header h = { .magic = 0x45465243 };
	size_t name, len;
	uint32_t crc;

	if (size < 4)
		return 0;
	h.type = data[0] & 15;
	h.part = data[0] >> 4;
	name = data[1] % CPT_NAME;
	len = (size_t)data[2] << 8 | data[3];
	if (size < 4 + name + len)
		return 0;
	h.size = len;
	if (h.type == 2) {
		h.size = len;
		len = 0;
	}
	memcpy(h.name, data + 4, name);
	h.crc = cpt_crc(0, &h, offsetof(struct header, crc));
	crc = cpt_crc(0, data + 4 + name, len);
	if (vz_write_all(fd, &h, sizeof(h)) < 0 || vz_write_all(fd, data + 4 + name, len) < 0 ||
	    (h.type != 2 && vz_write_all(fd, &crc, sizeof(crc)) < 0))
		return 0;
	return 4 + name + len;
}

static void check_round(const uint8_t *data, size_t size)
{
	static const char id[] = "0123456789abcdef0123456789abcdef";
	const struct cpt_head head = { .version = 1, .bytes = size };
	VZ_FD int fd = memfd_create("round", MFD_CLOEXEC);
	size_t n;

	if (cpt_head_put(fd, "croftrnd", &head) < 0)
		return;
	while ((n = put_entry(fd, data, size)) > 0) {
		data += n;
		size -= n;
	}
	if (lseek(fd, 0, SEEK_SET) == 0)
		(void)!cpt_round_read(fd, -1, id, 1);
}

/* What is said to be where is there. */
static void check_memory(int fd, const struct cpt_memory *m)
{
	const struct cpt_mem_image *i = cpt_memory_find(m, "pages-1.img");
	static char buf[1 << 16];

	for (size_t p = 0; i && p < i->n; p++) {
		MUST(i->v[p].size <= sizeof(buf) &&
		     pread(fd, buf, i->v[p].size, (off_t)i->v[p].at) == (ssize_t)i->v[p].size);
		MUST(cpt_crc(0, buf, i->v[p].size) == i->v[p].crc);
	}
}

static void check_entries(const uint8_t *data, size_t size)
{
	VZ_FD int fd = memfd_create("dump", MFD_CLOEXEC);
	CPT_DESC struct cpt_desc d = { 0 };
	struct cpt_memory *m = cpt_memory_new();
	struct vz_error err;
	size_t n;

	while ((n = put_entry(fd, data, size)) > 0) {
		data += n;
		size -= n;
	}
	err.exit = 0;
	if (lseek(fd, 0, SEEK_SET) == 0 && cpt_read_entries(fd, m, &d, &err) == 0)
		check_memory(fd, m);
	cpt_memory_closep(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0 && data[0] == '{')
		check_desc((const char *)data, size);
	else if (size > 0 && data[0] == 'R')
		check_round(data + 1, size - 1);
	else
		check_entries(data, size);
	return 0;
}
