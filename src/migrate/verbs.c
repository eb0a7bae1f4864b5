/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "migrate/migrate.h"

#include <errno.h>
#include <string.h>

#define IN(state) (1U << (state))
enum { STAYS = -1 }; /* the state is what it was */

/** struct rule - @from: bits of states in which the verb is legal; @next: state after its success */
struct rule {
	const char *name;
	unsigned int from;
	int next;
};

static const struct rule rules[MIG_VERBS] = {
	[MIG_HELLO] = { "HELLO", IN(MIG_NEW), MIG_GREETED },
	[MIG_CHECK] = { "CHECK", IN(MIG_GREETED), MIG_CHECKED },
	[MIG_PREPARE] = { "PREPARE", IN(MIG_CHECKED), MIG_TAKING },
	[MIG_FILE] = { "FILE", IN(MIG_TAKING) | IN(MIG_PLACED), STAYS },
	[MIG_PLACE] = { "PLACE", IN(MIG_TAKING), MIG_PLACED },
	[MIG_TREE] = { "TREE", IN(MIG_PLACED), STAYS },
	[MIG_PROMISE] = { "PROMISE", IN(MIG_PLACED), MIG_PROMISED },
	[MIG_COMMIT] = { "COMMIT", IN(MIG_PROMISED), MIG_OWNS },
	[MIG_ABORT] = { "ABORT", IN(MIG_TAKING) | IN(MIG_PLACED) | IN(MIG_PROMISED), MIG_OVER },
	/* the word of a source that has lost the connection before */
	[MIG_VERDICT] = { "VERDICT", IN(MIG_GREETED), MIG_GREETED },
	[MIG_FORGET] = { "FORGET", IN(MIG_OWNS) | IN(MIG_GREETED), MIG_OVER },
	/* a second connection, over which memory comes while the first goes on */
	[MIG_PAGES] = { "PAGES", IN(MIG_GREETED), MIG_OVER },
	[MIG_BYE] = { "BYE",
		      IN(MIG_NEW) | IN(MIG_GREETED) | IN(MIG_CHECKED) | IN(MIG_OWNS) | IN(MIG_OVER),
		      MIG_OVER },
	[MIG_ROUND] = { "ROUND", IN(MIG_PLACED), STAYS },
};

const char *mig_verb_name(enum mig_verb v)
{
	return rules[v].name;
}

int mig_verb_legal(enum mig_state s, const char *name, enum mig_state *ret_next,
		   struct vz_error *err)
{
	char shown[64];

	for (int v = 0; v < MIG_VERBS; v++) {
		if (strcmp(name, rules[v].name) != 0)
			continue;
		if (!(rules[v].from & IN(s)))
			return vz_fail(err, MIG_EXIT_PROTOCOL, 0, "verb %s is out of place here",
				       rules[v].name);
		*ret_next = rules[v].next == STAYS ? s : (enum mig_state)rules[v].next;
		return v;
	}
	return vz_fail(err, MIG_EXIT_PROTOCOL, 0, "unknown verb \"%s\"",
		       vz_quote(shown, sizeof(shown), name));
}
