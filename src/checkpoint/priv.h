/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CHECKPOINT_PRIV_H
#define CHECKPOINT_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CPT_NAME = 96, CPT_DEVS = 4096, CPT_DEV_BYTES = 1 << 20 };

/** CPT_PART_* - a part of an image with its header before and its checksum behind it; CPT_HEAD_BYTES of a file */
enum { CPT_HEAD_BYTES = 64, CPT_PART_HEAD = 120, CPT_PART_BYTES = 1 << 20, CPT_PART_TAIL = 4 };

/** cpt_name_valid - is it a name that an image in a dump may have: no path, no hidden file, short. */
bool cpt_name_valid(const char *s);

/** cpt_dev_path_valid - a relative path without "." and "..". */
bool cpt_dev_path_valid(const char *path);

/** cpt_crc - CRC-32C (Castagnoli, RFC 3720 B.4), continued from @crc, which is 0 at first. */
uint32_t cpt_crc(uint32_t crc, const void *data, size_t len);

/* vfork.c */

/** cpt_vfork_waits - does a thread of @pid, which stands still, wait in vfork(2)? See cpt_in_vfork(). */
bool cpt_vfork_waits(pid_t pid);

/* tools.c */

/**
 * cpt_tools_env - "PATH=..." for CRIU, malloc'ed in @ret; without @iptables a directory of ours that has none
 * Return: 0 or -ENOMEM.
 */
int cpt_tools_env(bool iptables, char **ret);
/** cpt_iptables_of - does the network namespace of @pid have tables of the old iptables, or can that not be known? */
bool cpt_iptables_of(pid_t pid);
/** cpt_iptables_in - do the images of a dump have some? */
bool cpt_iptables_in(const char *images);

/* ---- entry.c: what dumps and rounds are made of ---- */

/** struct cpt_head - what a file or stream begins with; @bytes: of all entries together */
struct cpt_head {
	uint32_t version;
	bool zstd; /* all that follows is one frame of it */
	uint64_t bytes;
};

int cpt_head_put(int fd, const char magic[8], const struct cpt_head *head)
	__attribute__((warn_unused_result));
/** cpt_head_get - 0; -EMEDIUMTYPE another magic; -EBADMSG damaged; -ENODATA cut off; -errno. */
int cpt_head_get(int fd, const char magic[8], struct cpt_head *ret)
	__attribute__((warn_unused_result));

/**
 * cpt_write_back - have the disk begin with what was written to @fd from *@behind, moved along, to @end. Who leaves that to
 * the kernel is made to wait by it once there is much, several times as long as the disk needs; and an fsync has all to do.
 */
void cpt_write_back(int fd, uint64_t *behind, uint64_t end);

/** cpt_name_fn - does a file of this name belong there? */
typedef bool cpt_name_fn(const char *name);

/** cpt_image_name - is it the name of an image of CRIU? */
bool cpt_image_name(const char *name);
/** cpt_text_put - an entry @name that holds @text. 0 or -errno. */
int cpt_text_put(int fd, const char *name, const char *text) __attribute__((warn_unused_result));
/**
 * cpt_part_put - part @part, from 0, of image @name; @last: nothing of it follows
 * @frame: @len bytes of it from CPT_PART_HEAD on, and room for CPT_PART_TAIL behind them; both are filled in.
 * Return: 0 or -errno.
 */
int cpt_part_put(int fd, char *frame, const char *name, uint32_t part, size_t len, bool last)
	__attribute__((warn_unused_result));
/** cpt_end_put - the end mark after @entries, the first with the text among them. 0 or -errno. */
int cpt_end_put(int fd, uint64_t entries) __attribute__((warn_unused_result));

/** cpt_images_bytes - what the @wanted files in directory @images take. 0 or -errno. */
int cpt_images_bytes(const char *images, cpt_name_fn *wanted, uint64_t *ret)
	__attribute__((warn_unused_result));
/**
 * cpt_entries_put - an entry @first that holds @text, one for each @wanted file in @images, and the end mark
 * @level: of zstd, 0 not compressed. Return: 0; -ENOENT: no zstd; -errno.
 */
int cpt_entries_put(int fd, const char *images, cpt_name_fn *wanted, const char *first,
		    const char *text, int level) __attribute__((warn_unused_result));
/** cpt_zstd - zstd -d of @file: our end of a pipe, *@ret_pid to wait for; with @level > 0 zstd -N to it. -errno. */
int cpt_zstd(int file, int level, pid_t *ret_pid) __attribute__((warn_unused_result));
/** cpt_zstd_why - @r of a write to zstd, which does not say why it died: -ENOSPC or -EIO for -EPIPE, else @r. */
int cpt_zstd_why(int file, int r) __attribute__((warn_unused_result));
/**
 * cpt_zstd_end - wait for the zstd that writes to @file; our end of its pipe is closed
 * @r: of what was written to it. Return: as cpt_zstd_why; -ENOENT: there is no zstd.
 */
int cpt_zstd_end(int file, pid_t pid, int r) __attribute__((warn_unused_result));
/** cpt_first_get - the entry that must have this @name; malloc'ed, with a NUL behind. 0; as cpt_head_get. */
int cpt_first_get(int fd, const char *name, size_t max, char **ret_text, size_t *ret_len)
	__attribute__((warn_unused_result));
/**
 * cpt_entries_get - the rest up to the end mark, and nothing may follow it
 * @dir: where files are made, -1 check only; @memory: takes note of where images of memory are in @fd, a file, and they are
 * not made; NULL: they are; @allowed: besides cpt_name_valid(); @parts: an image may come in parts, and those of several
 * be mixed; @bytes: all of them together
 * Return: as cpt_head_get.
 */
struct cpt_memory;
int cpt_entries_get(int fd, int dir, struct cpt_memory *memory, cpt_name_fn *allowed, bool parts,
		    uint64_t bytes) __attribute__((warn_unused_result));

/* ---- image.c: CRIU's images ---- */

/*
 * CPT_IMAGE_HEAD - two magic words; then messages: four bytes of length, fields. A field is a varint (number << 3 | kind),
 * then a varint (kind 0) or a length and bytes (kind 2); what they mean is in CRIU's images (directory), *.proto.
 */
enum { CPT_IMAGE_HEAD = 8 };

/** struct cpt_field - one of a message; @begin and @end of all of it, @text of its bytes, which are @value many */
struct cpt_field {
	uint64_t number, value;
	size_t begin, text, end;
	bool bytes;
};

/** cpt_message_next - the message at *@at, which is moved behind it; it is the *@ret_len bytes before. 0 or -EBADMSG. */
int cpt_message_next(const unsigned char *b, size_t len, size_t *at, uint32_t *ret_len)
	__attribute__((warn_unused_result));
/** cpt_field_next - the field at *@at of a message @b, which is moved behind it. 0 or -EBADMSG. */
int cpt_field_next(const unsigned char *b, size_t len, size_t *at, struct cpt_field *ret)
	__attribute__((warn_unused_result));

/* ---- memory.c: images that are left in the file ---- */

/** struct cpt_mem_part - @size bytes of an image, from @at of the file on */
struct cpt_mem_part {
	uint64_t at, size;
	uint32_t crc;
};
/** struct cpt_mem_image - its @n parts in their order */
struct cpt_mem_image {
	char name[CPT_NAME];
	struct cpt_mem_part *v;
	size_t n, room;
};

/** cpt_memory_new - of no file yet; for cpt_memory_closep(). NULL: out of memory. */
struct cpt_memory *cpt_memory_new(void);
/** cpt_memory_keep - it is in this file, whose descriptor is its own from here on. */
void cpt_memory_keep(struct cpt_memory *m, int fd);
int cpt_memory_file(const struct cpt_memory *m);
/** cpt_memory_name - is it an image of memory, which is not needed as a file? */
bool cpt_memory_name(const char *name);
/** cpt_memory_begin - an image without parts. Return: 0; -EEXIST; -ENOMEM. */
int cpt_memory_begin(struct cpt_memory *m, const char *name, struct cpt_mem_image **ret)
	__attribute__((warn_unused_result));
/** cpt_memory_add - its next part. 0 or -ENOMEM. */
int cpt_memory_add(struct cpt_memory *m, struct cpt_mem_image *i, const struct cpt_mem_part *part)
	__attribute__((warn_unused_result));
/** cpt_memory_find - NULL: it has none of this name. */
const struct cpt_mem_image *cpt_memory_find(const struct cpt_memory *m, const char *name);

/* ---- stream.c, for serve.c ---- */

/**
 * cpt_listen_in - for a CRIU that is told to stream
 * @rundir: of the VPS; @ret_dir: what to give CRIU as directory of images, for as long as *@ret_fd is open
 * Return: the socket; -errno.
 */
int cpt_listen_in(const char *rundir, const char *name, char ret_dir[40], int *ret_fd)
	__attribute__((warn_unused_result));

/* ---- pack.c, for stream.c ---- */

struct cpt_desc;
/** cpt_desc_put - the entry that is first in a dump; @ret_bytes: what it counts for. 0 or -errno. */
int cpt_desc_put(int fd, const struct cpt_desc *d, uint64_t *ret_bytes)
	__attribute__((warn_unused_result));
/** cpt_streamed_head_put - the header of a dump whose images are in parts. 0 or -errno. */
int cpt_streamed_head_put(int fd, bool zstd, uint64_t bytes) __attribute__((warn_unused_result));

/** cpt_round_read - a round from a stream, see cpt_round_take. @dir: -1 check only. Return: as cpt_head_get. */
int cpt_round_read(int fd, int dir, const char *id, unsigned int n)
	__attribute__((warn_unused_result));

#endif
