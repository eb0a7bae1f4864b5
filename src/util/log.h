/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

#include <stdbool.h>

/*
 * One sink for a program, the only global variable. Levels as in vz.conf (LOG_LEVEL, VERBOSE):
 * errors and warnings are -1, results for people 0, more 1 and up. The file gets
 * "YYYY-MM-DDThh:mm:ss+zzzz PROGRAM : CT N : text"; errors go to stderr, the rest to stdout.
 */

struct vz_log_setup {
	const char *program; /* borrowed for ever */
	const char *file; /* NULL or "": no log file; copied */
	int file_level; /* highest level that reaches the file */
	int tty_level; /* highest level that reaches stdout; -2 = nothing, not even errors */
};

void vz_log_init(const struct vz_log_setup *s);
/** vz_log_ctid - the VPS that following lines are about; 0 = none. */
void vz_log_ctid(unsigned int ctid);
/** vz_log_level - what reaches the terminal from now on. */
void vz_log_level(int tty_level);

void vz_say(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* level 0, stdout */
void vz_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* we go on; stderr */
void vz_error(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* stderr */
void vz_info(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* level 1 */
void vz_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* level 3 */

#endif
