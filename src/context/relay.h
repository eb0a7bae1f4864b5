/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTEXT_RELAY_H
#define CONTEXT_RELAY_H

#include <sys/types.h>

/**
 * relay_pty - carry our terminal to the pty @master until the process @pid ends or the pty hangs
 * up: raw mode while
 * it lasts (restored on the way out), window size passed on at the start and with each SIGWINCH
 * @ttys: bit n set: our stream n is the terminal; @type: text put in first, NULL none
 */
void relay_pty(int master, pid_t pid, unsigned int ttys, const char *type);

#endif
