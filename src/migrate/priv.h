/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MIGRATE_PRIV_H
#define MIGRATE_PRIV_H

#include "migrate/migrate.h"

/**
 * struct mig_cage - a program among files that a tenant made, or that come from another node
 * @tree: what it sees as /tree; @writes: else it is read-only
 * @at: see struct mig_tree; @userns: -1 none: then it is the host's root with few capabilities
 * @argv: run as it is, found in the node's /usr
 * @in, @out, @err: its standard streams; @extra: its descriptor 3, -1 none
 */
struct mig_cage {
	int tree, userns;
	bool writes;
	const char *at;
	const char *const *argv;
	int in, out, err, extra;
};

/**
 * mig_cage_spawn - start it: own mounts (the tree, /usr read-only, nothing else), no network, its own
 * process ids, no system call that makes mounts, namespaces or kernel objects it has no use for.
 * It ends with us. Return: pid, whose exit status is the program's (125: no cage could be made); -errno.
 */
pid_t mig_cage_spawn(const struct mig_cage *cage) __attribute__((warn_unused_result));

/** mig_filter - refuse those system calls from now on. 0 or -errno. */
int mig_filter(void) __attribute__((warn_unused_result));

#endif
