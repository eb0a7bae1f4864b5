/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which VPS is a process in. */
#include "resources/resources.h"
#include "util/fd.h"
#include "util/parse.h"
#include "vps/vps.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { STATUS_MAX = 1 << 16, STDIN_MAX = 16 << 20 };

static void usage(FILE *to)
{
	(void)fputs("Usage: vzpid [-p] PID...\n"
		    "       vzpid [-p] -          process numbers from standard input\n",
		    to);
}

/* Value of "KEY:\t..." in /proc/PID/status, malloc'ed; NULL when there is none. */
static char *field(const char *status, const char *key)
{
	const char *line = strstr(status, key);

	if (!line)
		return NULL;
	line += strlen(key);
	line += strspn(line, "\t ");
	return strndup(line, strcspn(line, "\n"));
}

/* The number that the VPS itself sees: the second of "NSpid: NODE VPS [nested...]". */
static uint64_t pid_inside(const char *status, pid_t pid)
{
	VZ_FREE char *text = field(status, "\nNSpid:");
	VZ_LIST struct vz_list numbers = { 0 };
	uint64_t inside;

	if (!text || vz_list_split(&numbers, text, "\t ") < 0 || numbers.n < 2 ||
	    vz_parse_u64(numbers.v[1], 1, INT32_MAX, &inside) < 0)
		return (uint64_t)pid;
	return inside;
}

/* One line. Return: 0, or -1 after a message. */
static int show(const char *word, bool inside)
{
	VZ_FREE char *status = NULL, *name = NULL;
	char path[64], shown[128];
	uint64_t pid;
	uint32_t ctid;

	if (vz_parse_u64(word, 1, INT32_MAX, &pid) < 0) {
		(void)fprintf(stderr, "vzpid: %s is no process number\n",
			      vz_quote(shown, sizeof(shown), word));
		return -1;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (vz_read_file(AT_FDCWD, path, STATUS_MAX, &status) < 0 ||
	    res_whose((pid_t)pid, &ctid) < 0) {
		(void)fprintf(stderr, "vzpid: no process %s\n", word);
		return -1;
	}
	name = field(status, "Name:"); /* the kernel has escaped what a terminal could obey */
	(void)printf("%d\t", (int)pid);
	if (inside)
		(void)printf("%d\t", (int)(ctid ? pid_inside(status, (pid_t)pid) : pid));
	(void)printf("%u\t%s\n", ctid, name ? vz_quote(shown, sizeof(shown), name) : "");
	return 0;
}

static int words_of_stdin(struct vz_list *ret)
{
	VZ_FREE char *text = NULL;
	ssize_t n = vz_read_all(STDIN_FILENO, STDIN_MAX, &text);

	if (n >= 0 && vz_list_split(ret, text, " \t\n\r\v\f") == 0)
		return 0;
	(void)fputs("vzpid: standard input cannot be read\n", stderr);
	return -1;
}

int main(int argc, char **argv)
{
	VZ_LIST struct vz_list words = { 0 };
	bool inside = false;
	int i = 1, failed = 0;

	if (i < argc && vz_streq(argv[i], "-p")) {
		inside = true;
		i++;
	}
	if (i < argc && (vz_streq(argv[i], "-h") || vz_streq(argv[i], "--help"))) {
		usage(stdout);
		return 0;
	}
	if (i == argc || (argv[i][0] == '-' && argv[i][1])) {
		usage(stderr);
		return 1;
	}
	if (argc - i == 1 && vz_streq(argv[i], "-")) {
		if (words_of_stdin(&words) < 0)
			return 1;
	} else {
		for (; i < argc; i++)
			if (vz_list_add(&words, argv[i]) < 0)
				return 1;
	}
	(void)puts(inside ? "Pid\tCT/Pid\tCTID\tName" : "Pid\tCTID\tName");
	for (size_t w = 0; w < words.n; w++)
		failed |= show(words.v[w], inside) < 0;
	if (fflush(stdout) != 0) {
		perror("vzpid: write");
		return 1;
	}
	return failed;
}
