/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

/* \\040 and the like, as mountinfo writes blanks, back to characters, in place. */
void vz_mountinfo_unescape(char *s)
{
	char *o = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*o++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*o++ = *s;
		}
	}
	*o = '\0';
}

/* The fifth word of a line. */
static char *mount_point(char *line)
{
	char *save = NULL, *word = strtok_r(line, " ", &save);

	for (int i = 0; word && i < 4; i++)
		word = strtok_r(NULL, " ", &save);
	if (word)
		vz_mountinfo_unescape(word);
	return word;
}

void vz_drop_mounts(const char *mark, const char *keep)
{
	VZ_FREE char *text = NULL;
	char *line, *save = NULL;

	if (vz_read_file(AT_FDCWD, "/proc/self/mountinfo", 64 << 20, &text) < 0)
		return;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *point;

		if (!strstr(line, mark))
			continue;
		point = mount_point(line);
		if (point && (!keep || strcmp(point, keep) != 0))
			(void)umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW);
	}
}
