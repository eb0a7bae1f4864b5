/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UTIL_KERNEL_H
#define UTIL_KERNEL_H

#include "util/error.h"

/** enum vz_need - what a command is going to do; bits */
enum vz_need {
	VZ_NEED_LOOK = 1 << 0, /* see what is mounted: every command that changes something */
	VZ_NEED_JOIN = 1 << 1, /* enter a running VPS */
	VZ_NEED_END = 1 << 2, /* signal and await a VPS's init */
	VZ_NEED_BUILD = 1 << 3, /* make, mount, start */
};

/**
 * vz_kernel_check - does this kernel, or the sandbox we run in, let us make the calls of @needs?
 *
 * Croft has no second way where a call is missing (ADR 1), so it asks before it does anything. Each
 * call is made once with arguments that the kernel refuses as wrong; whoever refuses the call itself
 * (ENOSYS, EPERM) is told apart by that. About 0.2 µs a call.
 * Context: as root; to others the calls that mount are refused for what they are.
 * Return: 0; -EOPNOTSUPP with exit 5 and the name of the first call that is refused.
 */
int vz_kernel_check(unsigned int needs, struct vz_error *err) __attribute__((warn_unused_result));

#endif
