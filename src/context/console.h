/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CONTEXT_CONSOLE_H
#define CONTEXT_CONSOLE_H

#include "context/orders.h"

#include <stddef.h>
#include <stdint.h>

enum { CONSOLE_CLIENTS = 8 };

/**
 * struct console - the VPS's console as vzmon keeps it: pty master, last 64 KiB, who is attached
 */
struct console {
	int ep, master, listen;
	int slave; /* kept open, so that the pty is never hung up while nobody inside has it */
	int client[CONSOLE_CLIENTS];
	size_t head, fill; /* ring: next byte to write, bytes held */
	char ring[CTX_RING];
};

/**
 * console_open - make the pty and the socket RUNDIR/console.sock
 * @ret_slave: for the VPS; the caller closes it. Return: 0 or -errno.
 */
int console_open(struct console *c, int ep, const char *rundir, int *ret_slave);
/** console_event - a descriptor of ours is ready. */
void console_event(struct console *c, int fd, uint32_t events);
/** console_close - drain what init wrote last, tell the attached, remove the socket. */
void console_close(struct console *c, const char *rundir);

#endif
