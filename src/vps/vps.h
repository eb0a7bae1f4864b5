/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VPS_VPS_H
#define VPS_VPS_H

#include "util/error.h"
#include "util/str.h"
#include "vps/params.def"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- the model of one VPS: what its configuration says ---- */

enum vps_param_id {
#define X(id, ...) VP_##id,
	VZ_PARAMS(X)
#undef X
		VP_MAX
};

enum vps_type {
	PT_U64,
	PT_BOOL,
	PT_TEXT,
	PT_FILENAME,
	PT_NAME,
	PT_PATH,
	PT_LAYOUT,
	PT_UBC,
	PT_DISK,
	PT_DISKN,
	PT_DOUBLE,
	PT_CPULIMIT,
	PT_CPUMASK,
	PT_IOLIMIT,
	PT_HOSTNAME,
	PT_IPS,
	PT_DNS,
	PT_SEARCH,
	PT_NETIF,
	PT_LIST,
	PT_LISTADD,
	PT_WORD,
	PT_CAPS,
	PT_FEATURES,
	PT_DEVICES,
	PT_DEVNODES,
	PT_MEMINFO,
	PT_LEVEL,
	PT_MAX
};

enum vps_unit { PU_NONE, PU_ITEMS, PU_PAGES, PU_BYTES, PU_KIB, PU_SEC, PU_MSEC, PU_PCT, PU_BPS };

/* What `set` does when a parameter of the group changed; bound to functions in ops/apply.c. */
enum vps_group {
	AG_CONF,
	AG_STORED,
	AG_BOOT,
	AG_CPU,
	AG_CPUSET,
	AG_IO,
	AG_MEM,
	AG_PIDS,
	AG_UBC,
	AG_DEV,
	AG_NET,
	AG_HOST,
	AG_DNS,
	AG_MAX
};

enum vps_when { PW_LIVE, PW_RESTART, PW_SAVED, PW_GLOBAL };
enum vps_mode { PM_SET, PM_ADD, PM_DEL, PM_RAM, PM_EDIT };

/* Where a value came from; later ones win. VS_IMPLIED: from other rows, never written to a file. */
enum vps_source { VS_UNSET, VS_IMPLIED, VS_DEFAULT, VS_GLOBAL, VS_VPS, VS_CLI };

/** struct vps_pair - barrier:limit or soft:hard; INT64_MAX = unlimited */
struct vps_pair {
	uint64_t bar, lim;
};

/* Storage by type, so that each field of struct vps_config is declared by its row. */
typedef uint64_t vps_store_U64, vps_store_CPULIMIT, vps_store_IOLIMIT;
typedef bool vps_store_BOOL;
typedef double vps_store_DOUBLE;
typedef int64_t vps_store_LEVEL;
typedef char *vps_store_TEXT, *vps_store_FILENAME, *vps_store_NAME, *vps_store_PATH,
	*vps_store_LAYOUT, *vps_store_CPUMASK, *vps_store_HOSTNAME, *vps_store_WORD,
	*vps_store_MEMINFO;
typedef struct vps_pair vps_store_UBC, vps_store_DISK, vps_store_DISKN;
typedef struct vz_list vps_store_IPS, vps_store_DNS, vps_store_SEARCH, vps_store_NETIF,
	vps_store_LIST, vps_store_LISTADD, vps_store_CAPS, vps_store_FEATURES, vps_store_DEVICES,
	vps_store_DEVNODES;

/**
 * struct vps_config - every parameter of one VPS; owned strings and lists
 * @ctid: number of the VPS; 0 = only the global configuration
 * @source: enum vps_source of each row; VS_UNSET: the field is zero
 * Text fields may be NULL when unset.
 */
struct vps_config {
	uint32_t ctid;
	uint8_t source[VP_MAX];
#define X(id, opt, key, type, unit, lo, hi, field, ...) vps_store_##type field;
	VZ_PARAMS(X)
#undef X
};

/** struct vps_param - one row of params.def */
struct vps_param {
	const char *id, *option, *key;
	enum vps_type type;
	enum vps_unit unit;
	uint64_t min, max;
	size_t offset;
	enum vps_group group;
	enum vps_when when;
	const char *by, *arg, *help;
};

struct vps_alias {
	const char *option, *key;
	enum vps_param_id id;
	enum vps_mode mode;
};

const struct vps_param *vps_param(enum vps_param_id id);

/** vps_alias_at - i-th alias, NULL past the end. */
const struct vps_alias *vps_alias_at(size_t i);

/** vps_param_by_key - row of a configuration key, aliases included; -1 when unknown. */
int vps_param_by_key(const char *key);

/** vps_param_by_option - row of an option and how it writes; -1 when unknown. */
int vps_param_by_option(const char *option, enum vps_mode *ret_mode);

/**
 * vps_option_name - the option that writes row @id in @mode ("ram" for PHYSPAGES in PM_RAM), else that of the row;
 * NULL: none does.
 */
const char *vps_option_name(enum vps_param_id id, enum vps_mode mode);

/** vps_param_set - is the parameter set at all, by whatever source */
static inline bool vps_is_set(const struct vps_config *c, enum vps_param_id id)
{
	return c->source[id] != VS_UNSET;
}

/**
 * vps_param_parse - parse @text into row @id of @c
 * @mode: PM_SET replaces; PM_ADD/PM_DEL change a list; PM_RAM: "0:N" in pages from a size in bytes;
 * PM_EDIT: keys of
 *	one NETIF entry, "ifname=eth0,mac=...,bridge=..."
 * @src: VS_CLI reads units as the command line does (--iolimit: MiB/s), everything else as the file
 * Return: 0; negative with @err (exit status of the type, the value, what is allowed); @c unchanged
 * then. VS_CLI is strict with pairs, files are not: there a number too large is unlimited, a barrier may be above
 * its limit (vzcfgvalidate tells).
 */
int vps_param_parse(struct vps_config *c, enum vps_param_id id, enum vps_mode mode,
		    const char *text, enum vps_source src, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * vps_param_print - canonical text as written to the file; malloc'ed, "" when unset. NULL: no
 * memory.
 */
char *vps_param_print(const struct vps_config *c, enum vps_param_id id);

/** vps_param_clear - unset a row. */
void vps_param_clear(struct vps_config *c, enum vps_param_id id);

/** vps_param_copy - copy a row with its source. Return: 0 or -ENOMEM. */
int vps_param_copy(struct vps_config *dst, const struct vps_config *src, enum vps_param_id id)
	__attribute__((warn_unused_result));

/** vps_param_equal - same value (or both unset). */
bool vps_param_equal(const struct vps_config *a, const struct vps_config *b, enum vps_param_id id);

void vps_config_clear(struct vps_config *c);
int vps_config_copy(struct vps_config *dst, const struct vps_config *src)
	__attribute__((warn_unused_result));
#define VPS_CONFIG __attribute__((cleanup(vps_config_clear)))

/** vps_is_vswap - is memory limited by physpages: neither of the two numbers that mean "unlimited" */
bool vps_is_vswap(const struct vps_config *c);
/**
 * vps_imply - give the rows that nobody set what a limit on memory implies, source VS_IMPLIED: lockedpages ram,
 * oomguarpages ram:unlimited, vmguarpages ram+swap:unlimited, privvmpages (ram+swap) x VM_OVERCOMMIT (none: unlimited).
 * Without such a limit they are unset again. To be called whenever rows have changed; vps_load_over and
 * vps_live_over do.
 */
void vps_imply(struct vps_config *c);

/**
 * vps_ram_bytes - memory limit in bytes, UINT64_MAX = none (physpages.lim unset or unlimited).
 */
uint64_t vps_ram_bytes(const struct vps_config *c);
/** vps_swap_bytes - swap limit in bytes, UINT64_MAX = none. */
uint64_t vps_swap_bytes(const struct vps_config *c);
/**
 * vps_cpu_pct - CPU time the VPS may use, in percent of one CPU: the lower of --cpulimit and --cpus;
 * UINT64_MAX = no limit.
 */
uint64_t vps_cpu_pct(const struct vps_config *c);
/** vps_onoff - state of NAME in a list of NAME:on / NAME:off; @fallback when absent. */
bool vps_onoff(const struct vz_list *l, const char *name, bool fallback);
/** vps_caps_mask - capabilities of init, bit n = capability n, from CAPABILITY and FEATURES. */
uint64_t vps_caps_mask(const struct vps_config *c);

/* ---- paths.c: every path Croft uses; CROFT_ROOT (tests) is put before all of them ---- */

struct vps_paths {
	char etc[PATH_MAX]; /* /etc/vz */
	char conf[PATH_MAX]; /* /etc/vz/conf */
	char run[PATH_MAX]; /* /run/vz */
	char vzdir[PATH_MAX];
	char libexec
		[PATH_MAX]; /* helper programs; CROFT_LIBEXEC overrides for an uninstalled build */
	char slice[64]; /* name of our directory in each cgroup hierarchy */
};

const struct vps_paths *vps_paths(void);
/** vps_path - snprintf into @dst of PATH_MAX bytes. Return: @dst. */
char *vps_path(char *dst, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- id.c, names ---- */

enum { VPS_CTID_MAX = 2147483644 };

/** vps_parse_ctid - number in 0...2147483644. Return: 0 or -EINVAL. */
int vps_parse_ctid(const char *s, uint32_t *ret) __attribute__((warn_unused_result));
/**
 * vps_name_valid - characters allowed in a name; digits alone only when they are the CTID itself.
 */
bool vps_name_valid(const char *name, uint32_t ctid);
/** vps_name_lookup - CTID of a name through /etc/vz/names. -ENOENT. */
int vps_name_lookup(const char *name, uint32_t *ret) __attribute__((warn_unused_result));
/**
 * vps_names_lock - hold off other commands that give names, from the look whether one is free until
 * CTID.conf says whose it is. Return: fd, closing it ends the lock; -errno with exit 131.
 */
int vps_names_lock(struct vz_error *err) __attribute__((warn_unused_result));
/**
 * vps_name_link - make the link of @name to @ctid. It resolves only once NAME= in CTID.conf says so
 * too, so it is made before the file is saved and an older one removed after it.
 * Context: vps_names_lock held.
 * Return: 0, also when it is there; -EEXIST with exit 131 when another VPS has it.
 */
int vps_name_link(uint32_t ctid, const char *name, struct vz_error *err)
	__attribute__((warn_unused_result));
/** vps_name_unlink - remove the link of @name if it leads to @ctid; NULL and "" are no names. */
void vps_name_unlink(uint32_t ctid, const char *name);
/**
 * vps_name_strays - links that lead to @ctid under another name than @name (NULL: any name)
 * Reads every link there is: for the rare case that a command was cut off.
 */
int vps_name_strays(uint32_t ctid, const char *name, struct vz_list *ret)
	__attribute__((warn_unused_result));
/**
 * vps_list_ctids - CTIDs that have a configuration, ascending; malloc'ed. Return: count or -errno.
 */
ssize_t vps_list_ctids(uint32_t **ret);

/* ---- config.c ---- */

/** vps_load_global - built-in defaults, then vz.conf. Return: 0; -errno with exit 10. */
int vps_load_global(struct vps_config *ret, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * vps_load - defaults < vz.conf < CTID.conf; $VEID is replaced in paths.
 * @bad: how many lines of CTID.conf had a bad value (they are warned about and skipped); may be
 * NULL
 * Return: 0; -ENOENT with exit 14 ("config file does not exist"); -errno.
 */
int vps_load(uint32_t ctid, struct vps_config *ret, unsigned int *bad, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * vps_load_over - the second half of vps_load: CTID.conf on top of a loaded global configuration in
 * @c.
 */
int vps_load_over(struct vps_config *c, uint32_t ctid, unsigned int *bad, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * vps_load_file - the known lines of one file on top of @c. @skip: rows not taken; may be NULL
 * Return: number of lines with a bad value; -errno when it cannot be read.
 */
int vps_load_file(struct vps_config *c, const char *path, enum vps_source src,
		  const bool skip[VP_MAX]) __attribute__((warn_unused_result));

/**
 * vps_save - rewrite CTID.conf (or make it): rows in @which get the value in @c, unset ones lose
 * their line; everything else, comments, unknown keys and order stay. fsync + rename.
 * Context: VPS lock held. Return: 0; -errno with exit 139 and the old file in place.
 */
int vps_save(const struct vps_config *c, const bool which[VP_MAX], struct vz_error *err)
	__attribute__((warn_unused_result));

/** vps_save_to - as vps_save on another file, which must be there. */
int vps_save_to(const char *path, const struct vps_config *c, const bool which[VP_MAX],
		struct vz_error *err) __attribute__((warn_unused_result));

/** vps_subst - @text with $VEID and ${VEID} replaced; malloc'ed. */
char *vps_subst(const char *text, uint32_t ctid);

/* ---- lock.c ---- */

/** VPS_LOCK_REAPER - word in the lock of a monitor that cleans up after its VPS. */
#define VPS_LOCK_REAPER "cleaning-up"

/**
 * struct vps_lock - a held lock; @fd -1 = none
 * @stale: what a dead holder was doing, whose lock was taken over; "" = there was none
 */
struct vps_lock {
	int fd;
	char path[PATH_MAX];
	char stale[32];
};

/**
 * vps_lock_take - LOCKDIR/CTID.lck: pid, @word, start time, held by flock as well. A dead holder's
 * file is taken over; a foreign two-line file is honoured while its pid lives.
 * @wait_ms: how long to wait for a holder; 0 = not at all, but a monitor that cleans up
 * (VPS_LOCK_REAPER) is always given half a minute
 * Return: 0; -EBUSY with exit 9; -errno with exit 3 (77 when LOCKDIR cannot be made).
 */
int vps_lock_take(const struct vps_config *global, uint32_t ctid, const char *word, int wait_ms,
		  struct vps_lock *ret, struct vz_error *err) __attribute__((warn_unused_result));
void vps_lock_drop(struct vps_lock *l);

enum vps_lock_holder { VPS_LOCK_FREE, VPS_LOCK_HELD, VPS_LOCK_STALE };
/**
 * vps_lock_look - who holds the lock, without taking it. @ret_word: what the holder does or, being
 * dead, did.
 */
enum vps_lock_holder vps_lock_look(const struct vps_config *global, uint32_t ctid,
				   char ret_word[32]);

/* ---- state.c: what runs now; /run/vz/CTID/state.json ---- */

/**
 * struct vps_state - runtime facts of a started VPS
 * @boot_id @init_pid @init_start: who init is; checked against /proc before use
 */
struct vps_state {
	char boot_id[37];
	pid_t init_pid;
	uint64_t init_start;
	pid_t mon_pid;
	uint64_t mon_start;
	uint64_t started_ms; /* CLOCK_MONOTONIC of the start, or of the last resume */
	uint64_t ran_ms; /* how long it had run before that */
	uint32_t generation; /* of this start: part of link names */
	uint64_t uid_base, uid_count;
	uint64_t caps; /* bounding set of init */
	bool seccomp; /* the filter in /run/vz/CTID/seccomp.bpf is in force */
	char ifname[16]; /* host end of the veth, "" = none */
	char layout[16];
	char init_kind[16]; /* @kind of struct dist_init */
	char dump[256]; /* dump file that it was restored from and that is used up, "" = none */
	struct vz_list addrs; /* IP addresses that are up now, also those set without --save */
	struct vz_list live; /* "KEY=value" of limits set without --save, see vps_live_note() */
	struct vz_list view; /* paths inside that show its view, each a mount of its own */
	struct vz_list cgroups; /* "CONTROLLER=/abs/dir"; v2's group is "v2=/abs/dir" */
};

void vps_state_clear(struct vps_state *s);
#define VPS_STATE __attribute__((cleanup(vps_state_clear)))

/** vps_state_uptime_ms - how long it has run since its start, without the time that it was suspended. */
uint64_t vps_state_uptime_ms(const struct vps_state *s);

/**
 * vps_state_load - Return: 0; -ENOENT never started or stopped cleanly; -ESTALE from another boot.
 */
int vps_state_load(uint32_t ctid, struct vps_state *ret) __attribute__((warn_unused_result));
int vps_state_save(uint32_t ctid, const struct vps_state *s) __attribute__((warn_unused_result));
/** vps_state_forget - remove state.json; the directory stays for the next start. */
void vps_state_forget(uint32_t ctid);
/** vps_state_pidfd - pidfd of init if it lives. Return: fd the caller closes, or -ESRCH. */
int vps_state_pidfd(const struct vps_state *s) __attribute__((warn_unused_result));
/**
 * vps_state_cgroup - directory of a controller ("v2", "memory"...), NULL if there is none.
 * Borrowed.
 */
const char *vps_state_cgroup(const struct vps_state *s, const char *controller);
/** vps_running - 1 when init lives, else 0. @ret_state may be NULL. */
int vps_running(uint32_t ctid, struct vps_state *ret_state);
/** vps_run_dir - make /run/vz/CTID (0700). Return: 0 or -errno. */
int vps_run_dir(uint32_t ctid) __attribute__((warn_unused_result));

/* ---- live.c: limits in force that CTID.conf does not hold ---- */

/** VPS_LIVE_LIMITS - groups whose values are noted as a whole: an apply writes all of a group. */
#define VPS_LIVE_LIMITS                                                                            \
	(1U << AG_CPU | 1U << AG_CPUSET | 1U << AG_IO | 1U << AG_MEM | 1U << AG_PIDS | 1U << AG_UBC)
#define VPS_LIVE_ALL (VPS_LIVE_LIMITS | 1U << AG_DNS)

/**
 * vps_live_note - note in @s that the rows @changed of @groups (bits 1 << AG_*) are in force as in
 * @c; @saved: CTID.conf holds them, so that nothing need be noted. The caller saves @s.
 * Return: 0 or -ENOMEM.
 */
int vps_live_note(struct vps_state *s, const struct vps_config *c, const bool changed[VP_MAX],
		  unsigned int groups, bool saved) __attribute__((warn_unused_result));
/**
 * vps_live_over - put what was noted for @groups over the rows of @c that CTID.conf gave; their
 * source is VS_CLI then.
 */
void vps_live_over(const struct vps_state *s, struct vps_config *c, unsigned int groups);

/* ---- record.c: what ran when the node went down ---- */

/** vps_record_running - the VPS runs since this boot. Return: 0 or -errno. */
int vps_record_running(uint32_t ctid) __attribute__((warn_unused_result));
/** vps_record_keep - it was stopped with the node and is to come back with it. 0 or -errno. */
int vps_record_keep(uint32_t ctid) __attribute__((warn_unused_result));
/** vps_record_secure - vps_record_keep, and on disk when it returns. 0 or -errno. */
int vps_record_secure(uint32_t ctid) __attribute__((warn_unused_result));
/** vps_record_forget - it was stopped for good. */
void vps_record_forget(uint32_t ctid);
/** vps_record_ran - it ran when an earlier boot ended uncleanly, or was kept. */
bool vps_record_ran(uint32_t ctid);

/* ---- idbase.c ---- */

/**
 * vps_idbase - first host id of the VPS (decision: CTID<<16 for 100...65534 when nobody else has
 * it, else the first free slot). Sets LOCAL_UID in @c when a slot was allocated; *@ret_save tells
 * to save it.
 * Return: 0; -EADDRINUSE with @err when LOCAL_UID clashes; -ENOSPC.
 */
int vps_idbase(struct vps_config *c, uint64_t *ret_base, uint64_t *ret_count, bool *ret_save,
	       struct vz_error *err) __attribute__((warn_unused_result));

#endif
