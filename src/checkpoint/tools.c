/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PATH that CRIU runs its helper programs from. It asks every iptables that it finds what it is and has both save
 * their rules, eight programs while the VPS stands still, and again in a restore. Where there are no rules of the old
 * iptables it is given a directory without them; those of nftables it reads by itself.
 */
#include "checkpoint/priv.h"

#include "util/fd.h"
#include "util/proc.h"
#include "vps/vps.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * LIBEXEC/criu-tools, links that make puts there, in @ret. It lies where the programs do: for a restore CRIU unmounts what
 * is mounted below the root of its namespace, /run first of all, before it runs ip. Return: whether it can be used.
 */
static bool tools_dir(char ret[PATH_MAX])
{
	static const char *const needed[] = { "sh", "ip", "tar", "gzip" };
	char path[PATH_MAX];

	(void)vps_path(ret, "%s/criu-tools", vps_paths()->libexec);
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (access(vps_path(path, "%s/%s", ret, needed[i]), X_OK) < 0)
			return false;
	return true;
}

int cpt_tools_env(bool iptables, char **ret)
{
	char dir[PATH_MAX];

	*ret = iptables || !tools_dir(dir) ? strdup(VZ_PATH_ENV) : vz_fmt("PATH=%s", dir);
	return *ret ? 0 : -ENOMEM;
}

bool cpt_iptables_of(pid_t pid)
{
	static const char *const tables[] = { "ip_tables_names", "ip6_tables_names" };

	for (int i = 0; i < 2; i++) {
		VZ_FREE char *text = NULL;
		char path[64];
		ssize_t n;

		(void)snprintf(path, sizeof(path), "/proc/%d/net/%s", (int)pid, tables[i]);
		n = vz_read_file(AT_FDCWD, path, 4096, &text);
		if (n > 0 || (n < 0 && n != -ENOENT)) /* in doubt CRIU looks */
			return true;
	}
	return false;
}

bool cpt_iptables_in(const char *images)
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, images);
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d)))
		if ((fnmatch("iptables-*.img", e->d_name, 0) == 0 ||
		     fnmatch("ip6tables-*.img", e->d_name, 0) == 0) &&
		    (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size > 0))
			return true;
	return !d;
}
