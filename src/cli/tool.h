/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CLI_TOOL_H
#define CLI_TOOL_H

#include "plan/plan.h"

#include <stdbool.h>
#include <stddef.h>

/* What the small planning tools share: start, messages, numbers as text. */

/** struct tool - @name of the program, @usage as printed, with its newline */
struct tool {
	const char *name, *usage;
};

/** tool_start - quiet log: a bad line in somebody's configuration is vzctl's to tell. */
void tool_start(const struct tool *t);

/** tool_fail - "NAME: message" on standard error. Return: 1. */
int tool_fail(const struct tool *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** tool_usage - on standard output for @rc 0, else on standard error. Return: @rc. */
int tool_usage(const struct tool *t, int rc);

/** tool_root - 0, or 1 after a message: what VPSes use is for root. */
int tool_root(void);

/** tool_node - the node, or 1 after a message. */
int tool_node(const struct tool *t, struct plan_node *ret);

/** tool_done - standard output was written whole: @rc, else 1 after a message. */
int tool_done(const struct tool *t, int rc);

/**
 * tool_number - @value in @width with two digits behind the point; "n/a" when there is none, "unlim" without limit.
 * Return: @room.
 */
const char *tool_number(char *room, size_t size, int width, double value);

/**
 * tool_size - in five characters: up to four digits, then a blank or K M G T P E of 1024; "- " for 0 and no limit.
 * @unit: bytes in one of @value, or 1. Return: @room.
 */
const char *tool_size(char room[16], uint64_t value, uint64_t unit);

/** tool_ctid - number or name of a VPS. 0, or 1 after a message. */
int tool_ctid(const struct tool *t, const char *word, uint32_t *ret);

#endif
