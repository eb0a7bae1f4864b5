/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/cgroup2opts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vz_cgroup2_options(char *dst, size_t size)
{
	static const char mark[] = " - cgroup2 ";
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *at = NULL;
	size_t room = 0;

	dst[0] = '\0';
	while (f && !at && getline(&line, &room, f) > 0)
		at = strstr(line, mark);
	if (at)
		at = strchr(at + sizeof(mark) - 1, ' ');
	if (at)
		at = strchr(at, ',');
	if (at) {
		at++;
		at[strcspn(at, "\n")] = '\0';
		if (strlen(at) < size)
			memcpy(dst, at, strlen(at) + 1);
	}
	free(line);
	if (f)
		(void)fclose(f);
}
