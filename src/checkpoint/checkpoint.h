/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CHECKPOINT_CHECKPOINT_H
#define CHECKPOINT_CHECKPOINT_H

#include "util/error.h"
#include "util/str.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * CRIU as a separate program: which one, its command lines, what its log says. And our side of a dump: the descriptor,
 * and the one file that holds it with CRIU's images. Nothing here starts or stops a VPS; ops does.
 */

/* ---- given.c: mounts that the node makes again ---- */

enum { CPT_GIVEN = 48, CPT_GIVEN_PATH = 512 };
/** CPT_GIVEN_SOURCE - and a number: name of a file system in memory that is in CRIU's stage as given-N (owner.c) */
#define CPT_GIVEN_SOURCE "croft-given:"

/**
 * struct cpt_given - a mount that is made before CRIU restores
 * @kind: of an action script: 'd' a directory, 'f' a file of the node's, 'm' a tmpfs; 'n' a tmpfs that every start makes
 * @dev: "MAJOR:MINOR" when it was dumped; @options: of the mount, as in mountinfo
 * @bytes, @inodes: of a tmpfs 'n': what was in it; @path: inside; owned
 */
struct cpt_given {
	char kind, dev[24], options[128];
	uint64_t bytes, inodes;
	char *path;
};
struct cpt_givens {
	struct cpt_given v[CPT_GIVEN];
	size_t n;
};
void cpt_givens_clear(struct cpt_givens *g);
#define CPT_GIVENS __attribute__((cleanup(cpt_givens_clear)))

/**
 * cpt_given_find - those of a VPS that runs
 * @inside: text of its init's mountinfo; @node: of ours; @root: VE_ROOT as mountinfo has it
 * Files are found as 'd', and nothing is known of what is in memory: the caller looks. @ret is empty before.
 * Return: 0; -EOPNOTSUPP with @err (exit 16): one that CRIU cannot be given; -errno.
 */
int cpt_given_find(const char *inside, const char *node, const char *root, struct cpt_givens *ret,
		   struct vz_error *err) __attribute__((warn_unused_result));
/** cpt_given_at - the one at @path, or NULL. */
const struct cpt_given *cpt_given_at(const struct cpt_givens *g, const char *path);
/** cpt_given_dev - is a file system one of theirs? */
bool cpt_given_dev(const struct cpt_givens *g, unsigned int major, unsigned int minor);
/** cpt_given_option - does it have this option of mounts? */
bool cpt_given_option(const struct cpt_given *g, const char *word);
/** cpt_given_text - for the descriptor; malloc'ed, NULL without memory. */
char *cpt_given_text(const struct cpt_given *g);
/** cpt_given_parse - hostile text. Return: 0; -EINVAL; -ENOMEM. */
int cpt_given_parse(const char *text, struct cpt_given *ret) __attribute__((warn_unused_result));
/**
 * cpt_given_name - in the images of a dump, give those in memory the name by which criu-owner.so takes them from the stage
 * Return: 0; -EBADMSG; -errno.
 */
int cpt_given_name(const char *images, const struct cpt_givens *g)
	__attribute__((warn_unused_result));

/* ---- criu.c ---- */

/**
 * struct cpt_criu - a CRIU that can be used
 * @program: absolute path; @own: it is the one that vzcriu unpacked, run by a wrapper; @version: "4.1.1"
 */
struct cpt_criu {
	char program[PATH_MAX];
	bool own;
	char version[16];
};

/** CPT_CRIU_OLDEST - 4.1: older ones fail on Linux 6.13 and later */
#define CPT_CRIU_OLDEST "4.1"

/**
 * cpt_criu_find - the first that is new enough: LIBEXEC/criu/criu, then the standard PATH. What was found is kept in
 * /run/vz/criu as long as the file there is the same.
 * Return: 0; -EPROTO with @err, exit @exit: what there is, and how to get another.
 */
int cpt_criu_find(int exit, struct cpt_criu *ret, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * struct cpt_run - what both command lines have in common; borrowed
 * @images: directory of the images; @rundir: of the VPS, for log and gate; @root: its mounted root
 * @owner: the VPS's base id; @tty: key of the console, "tty[8800:1a]"; @log: name of the log in @rundir
 */
struct cpt_run {
	const struct cpt_criu *criu;
	const char *images, *rundir, *root, *tty, *log;
	uint64_t owner;
	const char *
		parent; /* dump, pre-dump: directory of the last round, seen from @images; NULL all memory */
	bool skip_in_flight; /* dump: connections that nobody accepted yet are dropped; else CRIU refuses */
	const struct cpt_givens *given; /* mounts, see given.c; NULL none */
	bool lazy; /* memory is not in the images: CRIU hands out, or fetches, pages afterwards; see CPT_PAGES_FD */
	bool stream; /* dump: @images is where a stream listens, see cpt_stream_open() */
	const char *
		server; /* restore: where one listens that has the images, cpt_server_dir(); NULL: CRIU reads @images */
};

/**
 * CPT_PAGES_FD - in CRIU: the stream over which pages come later; in its server of pages also CPT_KEEP_FD, see owner.c,
 * and CPT_READY_FD, where it says that it is there
 */
enum { CPT_PAGES_FD = 10, CPT_KEEP_FD, CPT_READY_FD };

/**
 * cpt_dump_args - arguments and environment for a dump of process @init, frozen already in the group @freezer
 * @external: paths inside of mounts that are ours
 * Return: 0 or -ENOMEM.
 */
int cpt_dump_args(const struct cpt_run *r, pid_t init, const char *freezer,
		  const struct vz_list *external, struct vz_list *argv, struct vz_list *env)
	__attribute__((warn_unused_result));

/**
 * cpt_predump_args - the same for memory alone: CRIU thaws @freezer once it has looked, and writes while the VPS runs;
 * what is written to from then on counts as changed
 */
int cpt_predump_args(const struct cpt_run *r, pid_t init, const char *freezer, struct vz_list *argv,
		     struct vz_list *env) __attribute__((warn_unused_result));

/**
 * cpt_restore_args - the same for a restore by vzmon (context/orders.h: struct ctx_restore_orders)
 * @stage: directory with root, dev, console, inside, volume-N, given-N; @link: our end of the VPS's link, to be moved in
 * @view: paths inside that a server of the view had
 */
int cpt_restore_args(const struct cpt_run *r, const char *stage, const char *link,
		     const struct vz_list *view, struct vz_list *argv, struct vz_list *env)
	__attribute__((warn_unused_result));

/**
 * cpt_pages_args - the server of pages of a restore with @r->lazy: it takes them from CPT_PAGES_FD and gives each to the
 * process that needs it. Its environment is that of the restore and CROFT_KEEP. Return: 0 or -ENOMEM.
 */
int cpt_pages_args(const struct cpt_run *r, struct vz_list *argv, struct vz_list *env)
	__attribute__((warn_unused_result));

/**
 * cpt_criu_start - run it as a child that a Ctrl-C at our terminal does not reach and the OOM killer passes over
 * @root: the mounted root of the VPS; those of others are not held in its mount namespace
 * @note: file that gets "PID START" of it before it is CRIU; NULL none
 * @pages: becomes its CPT_PAGES_FD; -1 none. Return: pid, for vz_wait; -errno.
 */
pid_t cpt_criu_start(const struct vz_list *argv, const struct vz_list *env, const char *root,
		     const char *note, int pages) __attribute__((warn_unused_result));

/**
 * cpt_criu_why - the one line of CRIU's log that tells why it failed, quoted for a terminal, cut to @size
 * Return: @dst; "" when the log tells nothing.
 */
char *cpt_criu_why(const char *rundir, const char *log, char *dst, size_t size);

/**
 * cpt_share_slaves - before a dump: mounts of the @n processes @pids that CRIU could not make again, see slaves.c
 * Context: forks; the VPS may be frozen. Return: 0; -errno.
 */
int cpt_share_slaves(const pid_t *pids, size_t n) __attribute__((warn_unused_result));

/**
 * cpt_mounts - mounts of the VPS that CRIU must take as given from outside, besides @given
 * @mountinfo: text of its init's /proc/PID/mountinfo; @view: paths of its view
 * Return: 0; -EOPNOTSUPP with @err (exit 16) for a mount that nobody would make again; -ENOMEM.
 */
int cpt_mounts(const char *mountinfo, const struct vz_list *view, const struct cpt_givens *given,
	       struct vz_list *ret_external, struct vz_error *err)
	__attribute__((warn_unused_result));

/* ---- cpu.c ---- */

/** cpt_cpu_flags - the words that /proc/cpuinfo has for the first processor; malloc'ed, NULL unknown. */
char *cpt_cpu_flags(void);
/** cpt_cpu_caps - which of @flags programs can make use of, a bit each; other words do not count. */
uint64_t cpt_cpu_caps(const char *flags);
/**
 * cpt_cpu_missing - names of the bits in @want that @have lacks, malloc'ed; *@ret NULL: none
 * Return: 0 or -ENOMEM.
 */
int cpt_cpu_missing(uint64_t want, uint64_t have, char **ret) __attribute__((warn_unused_result));

/* ---- lazy.c: memory that comes later ---- */

/** cpt_lazy_target - can a VPS run here while its memory still comes? 0; -errno with @err. */
int cpt_lazy_target(struct vz_error *err) __attribute__((warn_unused_result));

/* ---- desc.c: vps.json, what we know of a VPS that CRIU does not ---- */

enum {
	CPT_SCHEMA = 1,
	CPT_COUNTERS = 32,
	CPT_REFUSALS = 32,
	CPT_COMM = 16,
	CPT_CHAIN = 33,
	CPT_ROUNDS = 16,
	CPT_DESC_BYTES = 4 << 20
};

/** struct cpt_counter - a beancounter to be taken up again */
struct cpt_counter {
	char name[24];
	uint64_t maxheld, failcnt;
};

/** struct cpt_refusal - what is known of a request that was refused; @comm is the tenant's */
struct cpt_refusal {
	char counter[24], comm[CPT_COMM];
	uint64_t time_ms; /* since 1970 */
	uint64_t held, limit, asked;
	uint32_t pid;
};

/**
 * struct cpt_desc - the descriptor; owned texts and lists, cleared by cpt_desc_clear
 * @boot_id, @init_pid, @init_start: of whom the dump was taken, so that a command knows its own dump
 * @tty: key of the console, "tty[8800:1a]"; @ping: the VPS's net.ipv4.ping_group_range
 * @parents: rounds that it stands on, without which it is no whole dump, 0 none; @chain: whose rounds they are
 * @groups: those that the VPS made, see res_tree_read(); @config: text of CTID.conf; @live: as in struct vps_state; @cpu: flags of the processor
 */
struct cpt_desc {
	uint32_t ctid;
	char croft[32], criu[16], kernel[72], machine[24];
	char boot_id[37];
	int64_t taken; /* seconds since 1970 */
	pid_t init_pid;
	uint64_t init_start;
	uint64_t uid_base, uid_count, caps;
	uint64_t ran_ms; /* since its start, without the time that it was suspended */
	bool seccomp;
	unsigned int parents;
	char chain[CPT_CHAIN];
	bool lazy; /* most of the memory is not here and came, or comes, over a stream: nothing can be resumed from it later */
	char layout[16], init_kind[16], template_hash[80], tty[48], ping[48];
	struct vz_list addrs, live, view;
	struct cpt_givens given;
	char *groups;
	char *config, *cpu;
	struct cpt_counter counters[CPT_COUNTERS];
	size_t ncounters;
	struct cpt_refusal refusals[CPT_REFUSALS]; /* oldest first */
	size_t nrefusals;
	struct cpt_dev *devs;
	size_t ndevs;
};

/* dev.c: what is in /dev beside device nodes, which come from the configuration, and sockets, which CRIU makes */

/** struct cpt_dev - @kind: 'd' directory, 'l' link, 'f' file, 'p' FIFO, 'n' a device node that is there; @text: target, bytes */
struct cpt_dev {
	char *path; /* below /dev */
	char kind;
	uint32_t mode, uid, gid; /* ids as the VPS sees them */
	char *text;
	size_t len;
};

struct cpt_desc;
/**
 * cpt_dev_save - of the VPS's /dev, open as @dev, into @d, which knows its ids; processes stand still
 * Return: 0; -E2BIG: more than a VPS can put there; -errno.
 */
int cpt_dev_save(int dev, struct cpt_desc *d) __attribute__((warn_unused_result));
/**
 * cpt_dev_fill - put it into a fresh /dev; for ctx_dev_make, @arg: the descriptor. What cannot be is left out: no
 * name leads outside, no device node is made. Return: 0; -errno.
 */
int cpt_dev_fill(int dev, void *arg) __attribute__((warn_unused_result));

void cpt_desc_clear(struct cpt_desc *d);
#define CPT_DESC __attribute__((cleanup(cpt_desc_clear)))

/** cpt_desc_text - as JSON; malloc'ed, NULL without memory. */
char *cpt_desc_text(const struct cpt_desc *d);
/**
 * cpt_desc_parse - from hostile text: every field is checked for type, length and characters
 * Return: 0; -EINVAL, -ENOTSUP (a newer schema) with @err, exit 17.
 */
int cpt_desc_parse(const char *text, size_t len, struct cpt_desc *ret, struct vz_error *err)
	__attribute__((warn_unused_result));

/* ---- pack.c: the one file ---- */

/*
 * A header, then entries (header, bytes, their CRC-32C), vps.json first, then an end mark that counts them. All
 * after the file's header may be one zstd frame. In a streamed one an image may be several entries. See docs/adr for why
 * it is none of the usual archives.
 */

/** cpt_pack_bytes - what the images in directory @images take. 0 or -errno. */
int cpt_pack_bytes(const char *images, uint64_t *ret) __attribute__((warn_unused_result));
/**
 * cpt_pack - the descriptor and all images to @file: written beside it, fsync, rename, fsync of the directory
 * @level: of zstd, 1 to 19; 0: not compressed. Return: 0; -errno with @err, exit 16, and no @file.
 */
int cpt_pack(const char *images, const char *file, const struct cpt_desc *d, int level,
	     struct vz_error *err) __attribute__((warn_unused_result));
/**
 * cpt_unpack - read all of @file, checking everything, and write the images to @images, which is made anew
 * @images: NULL: check only; @owner: id of the VPS's root, whose they are then. Return: 0; -errno with @err, exit 17: what is wrong with it; nothing is left then.
 */
int cpt_unpack(const char *file, const char *images, uint64_t owner, struct cpt_desc *ret,
	       struct vz_error *err) __attribute__((warn_unused_result));
/** struct cpt_memory - memory of a dump that stays in its file: which of it is where */
struct cpt_memory;
/**
 * cpt_open - as cpt_unpack(), but memory is only checked and stays in @file, which is kept open, for cpt_server_open()
 * @ret_memory: for cpt_memory_closep(); NULL: all is in @images, since CRIU can have it no other way (compressed; on rounds; lazy)
 */
int cpt_open(const char *file, const char *images, uint64_t owner, struct cpt_desc *ret,
	     struct cpt_memory **ret_memory, struct vz_error *err)
	__attribute__((warn_unused_result));
void cpt_memory_closep(struct cpt_memory **m);
uint64_t cpt_memory_bytes(const struct cpt_memory *m);

/**
 * cpt_forks_much - forks.c: would a restore that is streamed need much more memory than the VPS has?
 * @images: of a dump; @memory: bytes of memory that it has. In doubt: yes.
 */
bool cpt_forks_much(const char *images, uint64_t memory);
/** cpt_peek - the descriptor alone; @ret_bytes: room that cpt_open() needs for memory. Return: as cpt_unpack. */
int cpt_peek(const char *file, struct cpt_desc *ret, uint64_t *ret_bytes, struct vz_error *err)
	__attribute__((warn_unused_result));

/* ---- stream.c: the same file, written while CRIU dumps ---- */

/*
 * CRIU (--stream) hands over a pipe for each image; what comes is cut into parts, checked and written as it comes, so that
 * memory is written once. Not for a dump that stands on rounds, nor for pages that come later: CRIU has no streams there.
 * FILE.part becomes FILE in cpt_stream_commit(); its header is written last, so nothing else is taken for a dump.
 */
struct cpt_stream;

/**
 * cpt_stream_open - make FILE.part anew and listen in @rundir for a CRIU to be started
 * Return: 0, *@ret by cpt_stream_closep(); -errno with @err, exit 16.
 */
int cpt_stream_open(const char *file, const char *rundir, struct cpt_stream **ret,
		    struct vz_error *err) __attribute__((warn_unused_result));
/** cpt_stream_dir - what CRIU is given as directory of images; for as long as we live. */
const char *cpt_stream_dir(const struct cpt_stream *s);
/**
 * cpt_stream_begin - @d goes first; @level: of zstd, 0 not compressed. Before any other call below.
 * From here on to cpt_stream_closep() SIGPIPE is ignored. Return: 0 or -errno.
 */
int cpt_stream_begin(struct cpt_stream *s, const struct cpt_desc *d, int level)
	__attribute__((warn_unused_result));
/** cpt_stream_fd - readable when cpt_stream_step() has something to do. */
int cpt_stream_fd(const struct cpt_stream *s);
/** cpt_stream_step - take what has come. Return: 0; -errno (-ENOSPC): to be closed, CRIU fails then. */
int cpt_stream_step(struct cpt_stream *s) __attribute__((warn_unused_result));
/**
 * cpt_stream_finish - CRIU is at its gate: take the rest, write end mark and header
 * Return: 0; -ETIME: an image has no end; -errno.
 */
int cpt_stream_finish(struct cpt_stream *s) __attribute__((warn_unused_result));
/** cpt_stream_commit - fsync, rename, fsync of the directory. Return: 0; -errno, and no FILE. */
int cpt_stream_commit(struct cpt_stream *s) __attribute__((warn_unused_result));
/** cpt_stream_closep - FILE.part goes when it was not committed; a CRIU still at work fails and takes everything back. */
void cpt_stream_closep(struct cpt_stream **s);

/* ---- serve.c: the same file, read while CRIU restores ---- */

/*
 * CRIU (--stream) asks for images by their names and gives a pipe for each. We write into all of them, none of which is
 * waited for; memory comes from the dump file, each part of it checked once more, the rest from the directory of images.
 */
struct cpt_server;

/**
 * cpt_server_open - listen in @rundir for a CRIU to be started
 * @images, @memory: from cpt_open(); @memory is borrowed. From here on to cpt_server_closep() SIGPIPE is ignored.
 * Return: 0, *@ret by cpt_server_closep(); -errno with @err, exit 17.
 */
int cpt_server_open(const char *rundir, const char *images, const struct cpt_memory *memory,
		    struct cpt_server **ret, struct vz_error *err)
	__attribute__((warn_unused_result));
/** cpt_server_dir - what CRIU is given as directory of images; for as long as we live. */
const char *cpt_server_dir(const struct cpt_server *s);
/** cpt_server_fd - readable when cpt_server_step() has something to do. */
int cpt_server_fd(const struct cpt_server *s);
/** cpt_server_sent - bytes of memory so far. */
uint64_t cpt_server_sent(const struct cpt_server *s);
/**
 * cpt_server_step - take what CRIU asks, write what its pipes have room for; does not wait
 * Return: 0; -EBADMSG: the file is not as it was; -EPROTO: that is no CRIU; -errno. Then it is to be closed: CRIU fails.
 */
int cpt_server_step(struct cpt_server *s) __attribute__((warn_unused_result));
/** cpt_server_finish - CRIU is at its gate: has it all that it asked for? Return: 0; -EPROTO: it has not; as cpt_server_step. */
int cpt_server_finish(struct cpt_server *s) __attribute__((warn_unused_result));
/** cpt_server_closep - a CRIU still at work finds its images cut off, and fails. */
void cpt_server_closep(struct cpt_server **s);

/* ---- round.c: memory that was copied while the VPS ran ---- */

/** cpt_chain_valid - 32 lower-case hex digits: what the rounds of one migration have in common. */
bool cpt_chain_valid(const char *id);
/** cpt_round_trim - after a pre-dump: shared memory goes, CRIU would write all of it again in each round. 0 or -errno. */
int cpt_round_trim(const char *images) __attribute__((warn_unused_result));
/** cpt_round_bytes - of pages in it. 0 or -errno. */
int cpt_round_bytes(const char *images, uint64_t *ret) __attribute__((warn_unused_result));
/** cpt_round_strip - once it is sent: pages go; for the next round CRIU needs to know only which there are. 0 or -errno. */
int cpt_round_strip(const char *images) __attribute__((warn_unused_result));
/** cpt_round_send - round @n of chain @id to a stream. @level: of zstd. Return: 0; -errno with @err, exit 16. */
int cpt_round_send(int fd, const char *images, const char *id, unsigned int n, int level,
		   struct vz_error *err) __attribute__((warn_unused_result));
/**
 * cpt_round_take - from a stream to directory @rounds/@n, which is made anew, with its link to the one before
 * @owner: id of the VPS's root. What is not round @n of @id to the last byte leaves nothing.
 * Return: 0; -errno with @err, exit 17.
 */
int cpt_round_take(int fd, const char *rounds, uint64_t owner, const char *id, unsigned int n,
		   struct vz_error *err) __attribute__((warn_unused_result));
/** cpt_round_link - in directory @dir beside the rounds: it stands on round @parent. 0 or -errno. */
int cpt_round_link(int dir, unsigned int parent, uint64_t owner)
	__attribute__((warn_unused_result));
/** cpt_rounds_there - are rounds 1 to @n of @id in @rounds, whole? 0; -errno with @err, exit 17. */
int cpt_rounds_there(const char *rounds, const char *id, unsigned int n, struct vz_error *err)
	__attribute__((warn_unused_result));

/** cpt_read_entries - the body, not compressed, from @fd, checked only; for the fuzzer. @memory: as cpt_entries_get(). */
int cpt_read_entries(int fd, struct cpt_memory *memory, struct cpt_desc *ret, struct vz_error *err)
	__attribute__((warn_unused_result));

#endif
