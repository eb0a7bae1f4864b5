/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/plan.h"

#include "util/fd.h"
#include "util/parse.h"

#include <fcntl.h>
#include <string.h>

enum { MEMINFO_MAX = 1 << 16 };

/* "KEY:   N kB" in /proc/meminfo, in bytes. */
static int meminfo(const char *text, const char *key, uint64_t *ret)
{
	const char *line = text;
	size_t n = strlen(key);
	char number[32];
	uint64_t kib;

	while (line && strncmp(line, key, n) != 0) {
		line = strchr(line, '\n');
		line += line != NULL;
	}
	if (!line)
		return -ENOENT;
	line += n;
	line += strspn(line, " \t");
	n = strspn(line, "0123456789");
	if (n >= sizeof(number))
		return -EINVAL;
	memcpy(number, line, n);
	number[n] = '\0';
	if (vz_parse_u64(number, 0, INT64_MAX / 1024, &kib) < 0)
		return -EINVAL;
	*ret = kib * 1024;
	return 0;
}

int plan_node_read(const char *proc, struct plan_node *ret)
{
	struct plan_node n = { .threads = 4194304 }; /* what the kernel has numbers for */
	VZ_FREE char *text = NULL;
	uint64_t pid_max = n.threads;
	char path[PATH_MAX];
	ssize_t len;

	(void)snprintf(path, sizeof(path), "%s/meminfo", proc);
	len = vz_read_file(AT_FDCWD, path, MEMINFO_MAX, &text);
	if (len < 0)
		return (int)len;
	if (meminfo(text, "MemTotal:", &n.ram_bytes) < 0 || n.ram_bytes == 0)
		return -EINVAL;
	(void)!meminfo(text, "SwapTotal:", &n.swap_bytes);
	n.lowmem_bytes = n.ram_bytes;
	(void)!meminfo(text, "LowTotal:", &n.lowmem_bytes);
	(void)snprintf(path, sizeof(path), "%s/sys/kernel/threads-max", proc);
	(void)!vz_read_u64(AT_FDCWD, path, &n.threads);
	(void)snprintf(path, sizeof(path), "%s/sys/kernel/pid_max", proc);
	(void)!vz_read_u64(AT_FDCWD, path, &pid_max);
	if (pid_max < n.threads)
		n.threads = pid_max;
	if (n.threads == 0)
		return -EINVAL;
	*ret = n;
	return 0;
}
