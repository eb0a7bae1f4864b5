/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DIST_DIST_H
#define DIST_DIST_H

#include "vps/vps.h"

/*
 * Files inside a VPS: hostile ground. Everything here runs in a caged child: user namespace of the
 * VPS (@userns_fd), no right to mount, no network, chrooted into @rootfd (a directory fd of
 * the VPS's root, already idmapped), no_new_privs, rlimits on memory, CPU and file size; the
 * outcome comes back as one struct vz_error record. The parent never opens a file of the VPS for
 * writing. Files that belong to the tenant are not touched: only those that carry our marker line,
 * or do not exist.
 */

enum dist_what {
	DIST_HOSTNAME = 1 << 0, /* /etc/hostname and our line in /etc/hosts */
	DIST_DNS =
		1
		<< 1, /* /etc/resolv.conf (unless it is a link to systemd-resolved: then a drop-in) */
	DIST_NETWORK = 1 << 2, /* systemd-networkd, ifupdown: venet0 is configured from outside */
	DIST_BOOT = 1 << 3, /* /fastboot, console login for systemd or inittab */
	DIST_FIRST = 1 << 4, /* create: new /etc/machine-id, no ssh host keys, root locked */
	DIST_WAIT = 1 << 5, /* start --wait without systemd: the FIFO, and what writes into it */
	DIST_KEYS = 1 << 6, /* ssh host keys where there are none: a second, once (ADR 25) */
};

#define DIST_FIFO "/.vzfifo" /* as vzctl names it */

/**
 * dist_apply - write what @what says from @cfg
 * @host_resolv: text of the host's resolv.conf, for the value "inherit"; may be NULL
 * Return: 0; -errno with @err (exit 3 unless a row of the reference says otherwise).
 */
int dist_apply(int rootfd, int userns_fd, const struct vps_config *cfg, unsigned int what,
	       const char *host_resolv, struct vz_error *err) __attribute__((warn_unused_result));

/**
 * dist_passwd - set the password of @user (made with home and group when absent; root's home is
 * left alone) in /etc/shadow, hashed by crypt(3) with the strongest method of the VPS's own setting
 * (ENCRYPT_METHOD in login.defs) or yescrypt/sha512. @user_pw: "user:password".
 * Return: 0; -EINVAL bad user name; -errno; exit 74.
 */
int dist_passwd(int rootfd, int userns_fd, const char *user_pw, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * struct dist_init - what /sbin/init is: @kind "systemd", "busybox", "sysvinit", "openrc" (run by one
 * of the two before), "openrc-init", "other"; "" = none. @path: where it was found
 */
struct dist_init {
	char kind[16];
	char path[64];
};

/**
 * dist_start - look for the init, then dist_apply(), in one cage: a cage costs a millisecond.
 * @ret_files: error of dist_apply(), exit 0 = none; a tenant's broken /etc need not stop a start
 * Return: 0; -errno when nothing was looked at.
 */
int dist_start(int rootfd, int userns_fd, const struct vps_config *cfg, unsigned int what,
	       const char *host_resolv, struct dist_init *ret, struct vz_error *ret_files,
	       struct vz_error *err) __attribute__((warn_unused_result));

#endif
