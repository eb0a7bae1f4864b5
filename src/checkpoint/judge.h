/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CHECKPOINT_JUDGE_H
#define CHECKPOINT_JUDGE_H

#include "checkpoint/preflight.h"

/* What the words that /proc says about a file mean for a checkpoint. No system calls. */

enum cpt_verdict {
	CPT_GOOD,
	CPT_BAD, /* @ret_kind says why */
	CPT_ASK_FDINFO, /* an eventfd: its fdinfo tells */
	CPT_ASK_SOCKET, /* its protocol tells */
	CPT_ASK_FILE, /* a file with a path: its type and number tell */
};

/** cpt_judge_link - by the link of a descriptor */
enum cpt_verdict cpt_judge_link(const char *link, enum cpt_kind *ret_kind);
/** cpt_judge_socket - by the name of its protocol, as the attribute system.sockprotoname has it */
bool cpt_judge_socket(const char *protocol);
/** cpt_judge_device - by the number of an open character device */
bool cpt_judge_device(unsigned int major, unsigned int minor);
/** cpt_judge_mount - by the type of a file system that is mounted inside and is not the root's */
bool cpt_judge_mount(const char *type);
/**
 * cpt_our_mount - did the node put it at @path: /dev, the console, /run/vz, volumes for nesting, and what of
 * @view is shown? Whoever restores mounts these himself.
 */
bool cpt_our_mount(const char *path, const struct vz_list *view);
/** cpt_judge_eventfd - by the text of its fdinfo */
bool cpt_judge_eventfd(const char *fdinfo);

/** struct cpt_mount - a line of mountinfo; @point and @type lie in it */
struct cpt_mount {
	unsigned int id, major, minor;
	char point[256], root[256], type[32];
};
/** cpt_mount_line - read one. @line ends with NUL or newline. Return: 0 or -EINVAL. */
int cpt_mount_line(const char *line, struct cpt_mount *ret) __attribute__((warn_unused_result));

#endif
