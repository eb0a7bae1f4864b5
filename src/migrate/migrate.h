/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MIGRATE_MIGRATE_H
#define MIGRATE_MIGRATE_H

#include "util/error.h"
#include "util/json.h"
#include "util/str.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Moving a VPS to another node: frames over two descriptors (a transport is a program, ssh or one like
 * it), the verbs a receiver obeys and in which state, the journals that say whose a VPS is, and the
 * copy of a tree by rsync in a cage. What is done in which order is the business of ops/migrate*.c.
 */

/** enum mig_exit - exit statuses of vzmigrate; 0 to 20 are those of OpenVZ 6, above them of OpenVZ 7 */
enum mig_exit {
	MIG_EXIT_USAGE = 1,
	MIG_EXIT_STOPPED = 2,
	MIG_EXIT_CONNECT = 4,
	MIG_EXIT_COPY = 6,
	MIG_EXIT_START = 7,
	MIG_EXIT_STOP = 8,
	MIG_EXIT_EXISTS = 9,
	MIG_EXIT_ABSENT = 10,
	MIG_EXIT_IP = 12,
	MIG_EXIT_NODE = 14,
	MIG_EXIT_CONFIG = 15,
	MIG_EXIT_VERSION = 17,
	MIG_EXIT_CPU = 18,
	MIG_EXIT_REMOTE_CONFIG = 19,
	MIG_EXIT_LOCKED = 20,
	MIG_EXIT_TERMINATED = 25,
	MIG_EXIT_PROTOCOL = 26,
	MIG_EXIT_TEMPLATE = 27,
	MIG_EXIT_SPACE = 31,
	MIG_EXIT_LAYOUT = 37,
	MIG_EXIT_FEATURES = 57,
};

/* ---- proto.c: frames ---- */

enum { MIG_VERSION = 2, MIG_HEAD = 20, MIG_PAYLOAD_MAX = 256 << 10 };

enum mig_type {
	MIG_CALL = 1, /* JSON: a verb and its arguments; source to target */
	MIG_OK, /* JSON: the answer */
	MIG_FAIL, /* JSON: exit, sys, message */
	MIG_DATA, /* bytes of a stream */
	MIG_EOF, /* end of the stream in this direction; no payload */
	MIG_PING, /* still here; no payload */
	MIG_TYPES
};

/**
 * struct mig_frame - one frame. On the wire: "VZM1", number, type, length, CRC-32 of these and of the
 * payload, each in 4 bytes, big end first; then the payload.
 * @seq: counts from 0 in each direction, so that a lost or doubled frame is noticed
 */
struct mig_frame {
	uint32_t seq;
	enum mig_type type;
	uint32_t len;
	uint32_t crc;
	const unsigned char
		*payload; /* of mig_recv(): valid until the next call on the connection */
};

/** mig_frame_head - write the head for @payload of @len <= MIG_PAYLOAD_MAX bytes. */
void mig_frame_head(uint32_t seq, enum mig_type type, const void *payload, uint32_t len,
		    unsigned char ret[MIG_HEAD]);
/**
 * mig_frame_parse - a head from the wire: magic, type, length within the type's limit. @ret->payload stays.
 * Return: 0; -EBADMSG no frame; -EMSGSIZE too long for its type.
 */
int mig_frame_parse(const unsigned char head[MIG_HEAD], struct mig_frame *ret)
	__attribute__((warn_unused_result));
/** mig_frame_intact - does the checksum of @head fit @payload? */
bool mig_frame_intact(const unsigned char head[MIG_HEAD], const void *payload, uint32_t len);

/**
 * struct mig_conn - one connection; make it with mig_conn_init, end it with mig_conn_end
 * @timeout_ms: how long nothing may come before the link counts as cut
 * @limit: bytes a second that streams may send, 0 none
 * @sent, @heard: bytes of payload of streams so far
 * @in_stream: a stream was cut off here: the other side takes no verb any more
 * @tick: called about once a second while something is waited for or relayed; may be NULL. What it returns
 *	below 0 ends the waiting with exit 25.
 */
struct mig_conn {
	int in, out;
	int timeout_ms;
	uint64_t limit;
	uint64_t sent, heard;
	int (*tick)(void *arg);
	void *tick_arg;
	bool in_stream;
	/* private */
	uint32_t seq_in, seq_out;
	uint64_t last_in, last_out, last_tick, since;
	uint64_t since_sent;
	unsigned char *rd, *wr;
	size_t rd_len, wr_len, wr_off;
};

/** mig_conn_init - take over @in and @out (made non-blocking; may be the same). 0 or -errno. */
int mig_conn_init(struct mig_conn *c, int in, int out, int timeout_ms)
	__attribute__((warn_unused_result));
void mig_conn_end(struct mig_conn *c);
#define MIG_CONN __attribute__((cleanup(mig_conn_end)))

/** mig_send - one frame, waiting for room on the link. 0; -errno with exit 4. */
int mig_send(struct mig_conn *c, enum mig_type type, const void *payload, size_t len,
	     struct vz_error *err) __attribute__((warn_unused_result));
int mig_send_json(struct mig_conn *c, enum mig_type type, const json_t *j, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * mig_recv - the next frame that is no ping; meanwhile our own pings go out.
 * Return: 0; -EPIPE the other side ended; -ETIMEDOUT it is silent; -EBADMSG it talks nonsense; exit 4 or 26.
 */
int mig_recv(struct mig_conn *c, struct mig_frame *ret, struct vz_error *err)
	__attribute__((warn_unused_result));
/** mig_recv_json - payload of a frame as a JSON object. 0; -EBADMSG with exit 26. */
int mig_frame_json(const struct mig_frame *f, json_t **ret, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * mig_call - send a verb with @args (reference taken over; NULL none) and wait for the answer
 * @ret: answer, the caller drops it; NULL not wanted
 * Return: 0; -errno with the other side's error, or that of the link (exit 4).
 */
int mig_call(struct mig_conn *c, const char *verb, json_t *args, json_t **ret, struct vz_error *err)
	__attribute__((warn_unused_result));
/** mig_answer - OK with @j (taken over; NULL: nothing to say). */
int mig_answer(struct mig_conn *c, json_t *j, struct vz_error *err)
	__attribute__((warn_unused_result));
/** mig_refuse - FAIL with what @why says. */
int mig_refuse(struct mig_conn *c, const struct vz_error *why, struct vz_error *err)
	__attribute__((warn_unused_result));
/** mig_alive - for work that takes long without a frame: pings and ticks that are due. 0; -errno as mig_send. */
int mig_alive(struct mig_conn *c, struct vz_error *err) __attribute__((warn_unused_result));
/** mig_failure - the error that a FAIL frame tells of, in @err. Return: its -errno, or -EPROTO. */
int mig_failure(const json_t *j, struct vz_error *err);
/** mig_link_broken - was an error one of the link, not an answer of the other side? */
bool mig_link_broken(const struct vz_error *err);

/**
 * struct mig_progress - how far a migration is
 * @stage: what is done now, for people; @begun_ms: when all began; @since_ms: when this stage did, by vz_now_ms()
 * @sent: bytes that had been sent by then; @whole: bytes that the stage sends at the most, 0 not known
 */
struct mig_progress {
	const char *stage;
	uint64_t begun_ms, since_ms, sent, whole;
};
/**
 * mig_progress_line - one line for a terminal of @columns: stage, bar, bytes, rate of this stage, and the time that is
 * left of it where that can be told, else the time that all has taken. The bar goes first where there is no room.
 * Return: its length; -ENOSPC: @dst has no room.
 */
int mig_progress_line(char *dst, size_t size, const struct mig_progress *p, uint64_t sent,
		      uint64_t now_ms, unsigned int columns) __attribute__((warn_unused_result));

/**
 * mig_busy - fork @fn and wait for its end with the connection kept alive
 * @fn runs in a child: what it changes in memory is lost; its error and return value come back. When the
 * link is cut meanwhile, it is still waited for.
 * @c: NULL: no connection. Return: what @fn returned; -ECHILD with @err when it died.
 */
int mig_busy(struct mig_conn *c, int (*fn)(void *arg, struct vz_error *err), void *arg,
	     struct vz_error *err) __attribute__((warn_unused_result));

/**
 * mig_stream - the same for @fn that makes, or takes apart, a stream: its @fd is one end of a socket, the other is
 * relayed to and from DATA frames
 * Return: what @fn returned; -ECHILD; an error of the link.
 */
int mig_stream(struct mig_conn *c, int (*fn)(int fd, void *arg, struct vz_error *err), void *arg,
	       struct vz_error *err) __attribute__((warn_unused_result));

/** mig_busy_signal - pass @sig on to the child of the outermost mig_busy that waits. Safe in a signal handler. */
void mig_busy_signal(int sig);

/**
 * mig_relay - a local stream socket @fd to and from DATA frames, until both directions have ended
 * An end of a direction is an EOF frame. What comes after the local reader has gone is dropped.
 * Return: 0; -errno as mig_recv.
 */
int mig_relay(struct mig_conn *c, int fd, struct vz_error *err) __attribute__((warn_unused_result));

/**
 * mig_relay_one - the same, but the end of one direction is the end of both, once what came before it is delivered; for
 * programs that do not take a stream that is closed halfway for ended
 */
int mig_relay_one(struct mig_conn *c, int fd, struct vz_error *err)
	__attribute__((warn_unused_result));

/** mig_send_file - @fd from its position to its end as DATA, then EOF. */
int mig_send_file(struct mig_conn *c, int fd, struct vz_error *err)
	__attribute__((warn_unused_result));
/** mig_recv_file - DATA until EOF, written to @fd, at most @max bytes (-EFBIG). */
int mig_recv_file(struct mig_conn *c, int fd, uint64_t max, struct vz_error *err)
	__attribute__((warn_unused_result));

/* ---- verbs.c: what a receiver obeys in which state ---- */

enum mig_state {
	MIG_NEW,
	MIG_GREETED,
	MIG_CHECKED,
	MIG_TAKING,
	MIG_PLACED,
	MIG_PROMISED,
	MIG_OWNS,
	MIG_OVER
};

enum mig_verb {
	MIG_HELLO,
	MIG_CHECK,
	MIG_PREPARE,
	MIG_FILE,
	MIG_PLACE,
	MIG_TREE,
	MIG_PROMISE,
	MIG_COMMIT,
	MIG_ABORT,
	MIG_VERDICT,
	MIG_FORGET,
	MIG_PAGES,
	MIG_BYE,
	MIG_ROUND,
	MIG_VERBS
};

const char *mig_verb_name(enum mig_verb v);
/**
 * mig_verb_legal - is @name a verb that may come in state @s? *@ret_next: state after it, if it succeeds.
 * Return: the verb; -EPROTO with exit 26.
 */
int mig_verb_legal(enum mig_state s, const char *name, enum mig_state *ret_next,
		   struct vz_error *err) __attribute__((warn_unused_result));

/* ---- journal.c: whose the VPS is; docs/migrate.md ---- */

enum mig_role { MIG_SOURCE, MIG_TARGET };

/** enum mig_step - how far a migration is, as this side knows. Only MIG_S_COMMITTED decides. */
enum mig_step {
	MIG_S_COPYING, /* source: the VPS is ours */
	MIG_S_COMMITTED, /* source: it is theirs; written before they are told */
	MIG_S_CLEANED, /* source: our files are gone; they are to forget their journal */
	MIG_S_ABORTED, /* source: the VPS is ours; they perhaps still have copies */
	MIG_S_TAKING, /* target: theirs; what we have is not whole */
	MIG_S_PROMISED, /* target: whole; whose it is only the source knows */
	MIG_S_TAKEN, /* target: ours */
	MIG_STEPS
};

enum mig_owner { MIG_OURS, MIG_THEIRS, MIG_DOUBT };

/** struct mig_journal - owned strings; mig_journal_clear */
struct mig_journal {
	char id[33]; /* of this migration, 32 hex digits, the same on both sides */
	enum mig_step step;
	uint32_t ctid, peer_ctid;
	char host[256]; /* the other side, for people and for the transport */
	struct vz_list transport; /* source: the words before HOST */
	char mode[16];
	bool was_running; /* when it began */
	bool start; /* it is to run on the target */
	bool shared; /* its files are on storage both sides see: nobody copies or deletes them */
	bool remove; /* source: files are deleted when it is done, else renamed */
	bool keep; /* target: what was copied stays after a failure */
	bool installed; /* target: configuration and private area are, or may be, in their places */
	bool frozen; /* source: it was frozen, suspended or stopped by us: to be undone */
	char private_dir[PATH_MAX]; /* target: where its files go */
};

void mig_journal_clear(struct mig_journal *j);
#define MIG_JOURNAL __attribute__((cleanup(mig_journal_clear)))

/** mig_owner - the one rule of whose the VPS is, from one journal alone. */
enum mig_owner mig_owner(enum mig_step step);
enum mig_role mig_role(enum mig_step step);
const char *mig_step_name(enum mig_step step);

/** mig_dir - ETC/migrate, in @ret of PATH_MAX bytes. Return: @ret. */
char *mig_dir(char *ret);
/** mig_files_dir - where a target keeps small files until they get their names. Return: @ret. */
char *mig_files_dir(uint32_t ctid, char *ret);
/** mig_journal_there - one access(2): most VPSes have none. */
bool mig_journal_there(uint32_t ctid);
/** mig_journal_load - 0; -ENOENT; -EBADMSG damaged; -errno. @ret is cleared by the caller in any case. */
int mig_journal_load(uint32_t ctid, struct mig_journal *ret) __attribute__((warn_unused_result));
/** mig_journal_save - by rename, with fsync before and after. 0 or -errno: then the old one stands. */
int mig_journal_save(const struct mig_journal *j) __attribute__((warn_unused_result));
/** mig_journal_lay_out - write beside the journal what it is to be one day. 0 or -errno. */
int mig_journal_lay_out(const struct mig_journal *j) __attribute__((warn_unused_result));
/**
 * mig_journal_turn - the journal becomes @j: a rename of what was laid out, which needs no room on disk, if that is it; else
 * as mig_journal_save. 0 or -errno.
 */
int mig_journal_turn(const struct mig_journal *j) __attribute__((warn_unused_result));
/** mig_journal_remove - also what is in the files directory. 0 or -errno. */
int mig_journal_remove(uint32_t ctid) __attribute__((warn_unused_result));
/** mig_journal_list - CTIDs that have one; malloc'ed. Return: count or -errno. */
ssize_t mig_journal_list(uint32_t **ret);
/** mig_new_id - 32 random hex digits. 0 or -errno. */
int mig_new_id(char ret[33]) __attribute__((warn_unused_result));
/** mig_id_valid - 32 lower-case hex digits. */
bool mig_id_valid(const char *id);

/* ---- peer.c: the transport ---- */

/**
 * struct mig_peer - a running transport program
 * @fd: its standard input and output, a stream socket; owned until given to a mig_conn
 */
struct mig_peer {
	pid_t pid;
	int fd;
};

/**
 * mig_peer_start - run @transport HOST vzmigrate --receive
 * @transport: words of a program like ssh, the first one a path or a name in PATH; it gets this
 *	process's environment and standard error
 */
int mig_peer_start(const struct vz_list *transport, const char *host, struct mig_peer *ret,
		   struct vz_error *err) __attribute__((warn_unused_result));
/** mig_peer_end - wait @ms for its end, then kill it. */
void mig_peer_end(struct mig_peer *p, int ms);
/** mig_host_valid - may it stand as HOST in a command line: no leading dash, no blanks, [USER@]NAME. */
bool mig_host_valid(const char *host);

/* ---- tree.c: a tree, by rsync in a cage ---- */

/**
 * struct mig_tree - one run of rsync
 * @root: fd of the top directory; borrowed
 * @userns: ids are those inside it, so is the root that rsync has there; -1: the host's
 * @at: directory of ours that the cage may mount over in a namespace of its own
 */
struct mig_tree {
	int root, userns;
	const char *at;
	bool checksum; /* compare contents of everything */
	bool again; /* compare contents of the files in @list, nothing else is done */
	bool whole, compress;
	const struct vz_buf *list; /* names with a NUL behind each; NULL: everything */
};

/**
 * mig_tree_send - the sending side; verb TREE is called on the way
 * @what: "root" or "volumes"
 * @vanish: files that vanish or change meanwhile are no error
 */
int mig_tree_send(struct mig_conn *c, const char *what, const struct mig_tree *t, bool vanish,
		  struct vz_error *err) __attribute__((warn_unused_result));
/** mig_tree_take - the receiving side: what the sender's rsync asked for, @args, is checked first. */
int mig_tree_take(struct mig_conn *c, const json_t *args, const struct mig_tree *t,
		  struct vz_error *err) __attribute__((warn_unused_result));
/** mig_tree_args_valid - may rsync's server be run with these words? Return: 0 or -EPROTO with exit 26. */
int mig_tree_args_valid(const json_t *args, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * mig_tree_changed - names below @root of files whose inode changed at or after @since_s (CLOCK_REALTIME,
 * seconds; 0: all), a NUL behind each, to be compared by content: mtime can be set by a tenant, and
 * does not change for each write through mmap.
 * Symlinks are not followed, mounts not entered.
 * @c: connection to keep alive meanwhile, NULL none. Return: 0; -errno with @err, exit 6 or that of the link.
 */
int mig_tree_changed(int root, int64_t since_s, struct mig_conn *c, struct vz_buf *ret,
		     struct vz_error *err) __attribute__((warn_unused_result));
/** mig_tree_size - bytes in blocks and inodes below @root, without mounts; otherwise as mig_tree_changed. */
int mig_tree_size(int root, struct mig_conn *c, uint64_t *ret_bytes, uint64_t *ret_inodes,
		  struct vz_error *err) __attribute__((warn_unused_result));
/** mig_pipe - what stands in for ssh inside the cage: argv of rsync's server, then bytes, over fd 3. */
int mig_pipe(int argc, char **argv);

#endif
