/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/judge.h"

#include "util/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

static bool one_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (vz_streq(word, *list))
			return true;
	return false;
}

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* CRIU's files.c: dump_one_file(). */
enum cpt_verdict cpt_judge_link(const char *link, enum cpt_kind *ret_kind)
{
	static const char *const known[] = { "[eventpoll]", "inotify", "[signalfd]", "[timerfd]",
					     "[pidfd]",	    "bpf-map", NULL };
	const char *what;

	if (begins(link, "socket:"))
		return CPT_ASK_SOCKET;
	if (begins(link, "/secretmem")) {
		*ret_kind = CPT_SECRET_MEMORY;
		return CPT_BAD;
	}
	if (link[0] == '/')
		return CPT_ASK_FILE;
	if (!begins(link, "anon_inode:"))
		return CPT_GOOD; /* pipes; namespaces are compared elsewhere */
	what = link + strlen("anon_inode:");
	if (vz_streq(what, "[eventfd]"))
		return CPT_ASK_FDINFO;
	if (one_of(what, known) || begins(what, "[fanotify]"))
		return CPT_GOOD;
	*ret_kind = begins(what, "[io_uring]") ? CPT_IO_URING : CPT_ANON_FILE;
	return CPT_BAD;
}

/* sockets.c and sk-inet.c. Raw sockets may be of any protocol; their name is RAW. */
bool cpt_judge_socket(const char *protocol)
{
	static const char *const known[] = { "TCP",	    "TCPv6",	 "UDP",	    "UDPv6",
					     "UDP-Lite",    "UDPLITEv6", "UDPLITE", "RAW",
					     "RAWv6",	    "UNIX",	 "PACKET",  "UNIX-DGRAM",
					     "UNIX-STREAM", NULL };

	return one_of(protocol, known) || begins(protocol, "NETLINK");
}

bool cpt_judge_device(unsigned int major, unsigned int minor)
{
	enum { MEM = 1, TTY_AUX = 5, MISC = 10, TUN = 200, PTS = 136, PTS_END = 143 };

	if (major == MEM) /* null, zero, full, random, urandom */
		return minor == 3 || minor == 5 || minor == 7 || minor == 8 || minor == 9;
	if (major == MISC)
		return minor == TUN;
	return major == TTY_AUX || (major >= PTS && major <= PTS_END);
}

/* filesystems.c; those that a VPS can mount at all. */
bool cpt_judge_mount(const char *type)
{
	static const char *const known[] = { "proc",	"sysfs",  "tmpfs",	 "devpts", "mqueue",
					     "cgroup2", "autofs", "binfmt_misc", NULL };

	return one_of(type, known);
}

bool cpt_our_mount(const char *path, const struct vz_list *view)
{
	static const char *const paths[] = { "/dev",
					     "/dev/console",
					     "/run/vz",
					     "/var/lib/docker",
					     "/var/lib/containerd",
					     "/var/lib/containers",
					     NULL };

	return one_of(path, paths) || vz_list_find(view, path) >= 0;
}

bool cpt_judge_eventfd(const char *fdinfo)
{
	const char *at = strstr(fdinfo, "eventfd-semaphore:");

	return !at || at[strlen("eventfd-semaphore:") +
			 strspn(at + strlen("eventfd-semaphore:"), " \t")] != '1';
}

/* The word at @p into @ret, cut to @size; 0 = not wanted. Return: what follows the blank behind it, NULL at the end. */
static const char *take_word(const char *p, char *ret, size_t size)
{
	size_t len = strcspn(p, " \n");

	if (size) {
		size_t n = len < size ? len : size - 1;

		memcpy(ret, p, n);
		ret[n] = '\0';
	}
	return p[len] == ' ' ? p + len + 1 : NULL;
}

int cpt_mount_line(const char *line, struct cpt_mount *ret)
{
	struct cpt_mount m = { 0 };
	const char *p;

	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
	if (sscanf(line, "%u %*u %u:%u ", &m.id, &m.major, &m.minor) != 3)
		return -EINVAL;
	p = line;
	for (int i = 0; p && i < 3; i++)
		p = take_word(p, NULL, 0);
	p = p ? take_word(p, m.root, sizeof(m.root)) : NULL;
	p = p ? take_word(p, m.point, sizeof(m.point)) : NULL;
	for (char word[3] = ""; p && !vz_streq(word, "-");)
		p = take_word(p, word,
			      sizeof(word)); /* options, then any number of optional fields */
	if (!p)
		return -EINVAL;
	(void)take_word(p, m.type, sizeof(m.type));
	*ret = m;
	return 0;
}
