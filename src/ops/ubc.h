/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef OPS_UBC_H
#define OPS_UBC_H

#include "ubc/ubc.h"
#include "util/str.h"
#include "vps/vps.h"

/* Beancounters as people see them: the table of room ubc, the control groups and /proc laid together. */

/** OP_UBC_BIT - counter @c in a set of them */
#define OP_UBC_BIT(c) (UINT32_C(1) << (c))
#define OP_UBC_ALL    (OP_UBC_BIT(UBC_NR) - 1)

/**
 * struct op_ubc - the counters of one VPS, those that were asked for
 * @known: set of those whose @held was counted; the others are 0
 * @mode: how each is held up for this VPS now
 */
struct op_ubc {
	uint32_t ctid;
	uint32_t known;
	struct ubc_row row[UBC_NR];
	enum ubc_mode mode[UBC_NR];
};

/**
 * op_ubc_net_fn - held of the counters in @want that are in the network namespace of process @init:
 * numiptent and the socket buffers. A hook, so that programs without libnl do without: see op_ubc_net.
 * Return: set of those in @ret_held.
 */
typedef uint32_t op_ubc_net_fn(pid_t init, uint32_t want, uint64_t ret_held[UBC_NR]);

/** struct op_ubc_reader - what the reading of many VPSes shares; from op_ubc_open */
struct op_ubc_reader {
	struct ubc_table *table; /* NULL: nothing has run yet */
	bool write, opened;
	op_ubc_net_fn *net; /* NULL: what somebody else found last is shown */
	char *locks; /* /proc/locks */
	int8_t node[UBC_NR]; /* enum ubc_mode proved at load, -1: not asked yet */
};

/**
 * op_ubc_open - begin to read. @write: what is seen raises maxheld and adds refusals, as it should for
 * every reader that may. Never fails: without a table there are only groups and /proc.
 */
void op_ubc_open(struct op_ubc_reader *rd, bool write, op_ubc_net_fn *net);
void op_ubc_close(struct op_ubc_reader *rd);
#define OP_UBC_READER __attribute__((cleanup(op_ubc_close)))

/**
 * op_ubc_rows - the counters in @want of one VPS
 * @cfg: what limits it, those in force (vps_live_over) when it runs
 * @st: of a running VPS; NULL: it does not run, and only barrier and limit are filled
 */
void op_ubc_rows(struct op_ubc_reader *rd, uint32_t ctid, const struct vps_config *cfg,
		 const struct vps_state *st, uint32_t want, struct op_ubc *ret);
/**
 * op_ubc_of - op_ubc_rows with configuration and state read from their files
 * Return: 1; 0 when it does not run; -errno with @err.
 */
int op_ubc_of(struct op_ubc_reader *rd, uint32_t ctid, uint32_t want, struct op_ubc *ret,
	      struct vz_error *err) __attribute__((warn_unused_result));
/**
 * op_ubc_node - the same for the node as a whole, its VPSes included (CTID 0). Limits are what the
 * kernel itself has; maxheld is held, for nobody keeps it.
 */
void op_ubc_node(uint32_t want, struct op_ubc *ret);

/** op_ubc_net - the hook for programs that link libnl */
op_ubc_net_fn op_ubc_net;

/* ---- ubcfile.c: user_beancounters and failures ---- */

/** op_ubc_head - the two title lines; op_ubc_text - the 25 lines of one group. Format of OpenVZ. */
void op_ubc_head(struct vz_buf *b);
void op_ubc_text(struct vz_buf *b, const struct op_ubc *u);
/** op_refusal_text - a refusal as one line */
void op_refusal_text(struct vz_buf *b, const struct ubc_refusal *r);
/** op_refusal_time - seconds since the epoch of a time of CLOCK_BOOTTIME */
double op_refusal_time(uint64_t boot_ns);

/**
 * op_ubc_prepare - make RUN/CTID/inside with both files, which the VPS will see in /run/vz
 * @base: host id of its root. Context: VPS lock held. Return: 0; -errno with @err.
 */
int op_ubc_prepare(uint32_t ctid, uint64_t base, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * op_ubc_refresh - sample the running VPS and write both files anew, in place
 * @fds: the files, open for writing, as vzmon hands them over; NULL: they are opened
 * Return: 0, also when the VPS has just ended; -errno with @err.
 */
int op_ubc_refresh(uint32_t ctid, const int fds[2], op_ubc_net_fn *net, struct vz_error *err)
	__attribute__((warn_unused_result));
/** op_ubc_refresh_node - the same for RUN/user_beancounters. @fd: -1 = it is opened */
int op_ubc_refresh_node(int fd, op_ubc_net_fn *net, struct vz_error *err)
	__attribute__((warn_unused_result));
/**
 * op_ubc_refresh_unwatched - op_ubc_refresh for a VPS whose monitor is not asked before its files are
 * opened: where the kernel has no permission events. Failures are ignored.
 */
void op_ubc_refresh_unwatched(uint32_t ctid, op_ubc_net_fn *net);
/**
 * op_ubc_node_idle - after a VPS has ended: if no monitor is left who would, write the node's file, so
 * that it does not name VPSes that are gone. Failures are ignored.
 */
void op_ubc_node_idle(void);
/** op_ubc_node_text - the file of the host: its own group, then all running VPSes. 0 or -errno. */
int op_ubc_node_text(struct op_ubc_reader *rd, struct vz_buf *b, struct vz_error *err)
	__attribute__((warn_unused_result));

#endif
