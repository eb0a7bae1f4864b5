/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CLI_VZLIST_H
#define CLI_VZLIST_H

#include "cli/out.h"

/* Rows of vzlist's columns are struct op_facts; @needs of a column is enum op_need. */

/** cli_vzlist_column - by name, NULL when unknown. */
const struct out_column *cli_vzlist_column(const char *name);

/** cli_vzlist_column_at - i-th column in the order of `vzlist -L`, NULL past the end. */
const struct out_column *cli_vzlist_column_at(size_t i);

#endif
