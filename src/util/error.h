/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UTIL_ERROR_H
#define UTIL_ERROR_H

#include <stdint.h>

/**
 * enum vz_exit - the exit statuses of vzctl, stable, listed in vzctl(8)
 *
 * Numbers are those of vzctl 4 (its include/vzerror.h is the source of the meaning).
 */
enum vz_exit {
	VZ_EXIT_OK = 0,
	VZ_EXIT_SETUBC = 1,
	VZ_EXIT_SYSTEM = 3,
	VZ_EXIT_BAD_KERNEL = 5,
	VZ_EXIT_RESOURCE = 6,
	VZ_EXIT_ENVCREATE = 7,
	VZ_EXIT_COMMAND = 8,
	VZ_EXIT_LOCKED = 9,
	VZ_EXIT_NOCONFIG = 10,
	VZ_EXIT_NOSCRIPT = 11,
	VZ_EXIT_SET_CAP = 13,
	VZ_EXIT_NOVECONFIG = 14,
	VZ_EXIT_EXEC_TIMEOUT = 15,
	VZ_EXIT_CHKPNT = 16,
	VZ_EXIT_RESTORE = 17,
	VZ_EXIT_USAGE = 20,
	VZ_EXIT_VALUE = 21,
	VZ_EXIT_ROOT_NOTSET = 22,
	VZ_EXIT_PRIVATE_NOTSET = 23,
	VZ_EXIT_TEMPLATE_NOTSET = 24,
	VZ_EXIT_UBC_INCOMPLETE = 28,
	VZ_EXIT_OSTEMPLATE_NOTSET = 29,
	VZ_EXIT_NOT_RUNNING = 31,
	VZ_EXIT_RUNNING = 32,
	VZ_EXIT_STOP = 33,
	VZ_EXIT_CANT_ADDIP = 34,
	VZ_EXIT_NOT_MOUNTED = 40,
	VZ_EXIT_MOUNTED = 41,
	VZ_EXIT_NO_PRIVATE = 43,
	VZ_EXIT_PRIVATE_EXISTS = 44,
	VZ_EXIT_NO_SPACE = 46,
	VZ_EXIT_BAD_TEMPLATE = 47,
	VZ_EXIT_NEW_PRIVATE = 48,
	VZ_EXIT_MPOINT = 49,
	VZ_EXIT_MOUNT = 50,
	VZ_EXIT_UMOUNT = 51,
	VZ_EXIT_DEL_PRIVATE = 52,
	VZ_EXIT_UNKNOWN_LAYOUT = 53,
	VZ_EXIT_MKDIR = 54,
	VZ_EXIT_BAD_HOSTNAME = 70,
	VZ_EXIT_BAD_IP = 71,
	VZ_EXIT_BAD_DNS = 72,
	VZ_EXIT_BAD_SEARCH = 73,
	VZ_EXIT_PASSWORD = 74,
	VZ_EXIT_LOCKDIR_NOTSET = 77,
	VZ_EXIT_IP_INUSE = 78,
	VZ_EXIT_SCRIPT = 79,
	VZ_EXIT_SAMPLE = 82,
	VZ_EXIT_INVALID_CONFIG = 85,
	VZ_EXIT_DEVICES = 86,
	VZ_EXIT_NO_TEMPLATE = 91,
	VZ_EXIT_DISABLED = 105,
	VZ_EXIT_NO_DIST_CONF = 107,
	VZ_EXIT_NO_DIST_SCRIPT = 108,
	VZ_EXIT_APPLY_CONFIG = 109,
	VZ_EXIT_VETH = 130,
	VZ_EXIT_NAME = 131,
	VZ_EXIT_WAIT = 133,
	VZ_EXIT_CONFIG_SAVE = 139,
	VZ_EXIT_IO = 148,
};

/**
 * struct vz_error - why something failed: plain data, no owner, fits one socket record
 * @sys: positive errno; 0 = none
 * @exit: enum vz_exit
 * @msg: one line for people, cut when too long, never overrun
 */
struct vz_error {
	int sys;
	int exit;
	char msg[504];
};

/**
 * vz_fail - fill @err
 * @exit: enum vz_exit; @sys: positive errno, its text is appended to the message; 0 = none
 * Return: -@sys, or -EPROTO when @sys is 0.
 */
int vz_fail(struct vz_error *err, int exit, int sys, const char *fmt, ...)
	__attribute__((cold, format(printf, 4, 5)));

/**
 * vz_wrap - put "fmt: " before the message in @err
 * Return: @r, unchanged.
 */
int vz_wrap(struct vz_error *err, int r, const char *fmt, ...)
	__attribute__((cold, format(printf, 3, 4)));

#endif
