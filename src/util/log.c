/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/log.h"

#include "util/fd.h"
#include "util/str.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static struct {
	const char *program;
	char file[PATH_MAX];
	int file_level, tty_level;
	unsigned int ctid;
} sink = { .program = "vzctl", .file_level = 0, .tty_level = 0 };

void vz_log_init(const struct vz_log_setup *s)
{
	sink.program = s->program;
	sink.file_level = s->file_level;
	sink.tty_level = s->tty_level;
	(void)snprintf(sink.file, sizeof(sink.file), "%s", s->file ? s->file : "");
}

void vz_log_ctid(unsigned int ctid)
{
	sink.ctid = ctid;
}

void vz_log_level(int tty_level)
{
	sink.tty_level = tty_level;
}

static void to_file(const char *text)
{
	char stamp[40], line[2048], about[32] = "";
	struct tm tm;
	time_t now = time(NULL);
	VZ_FD int fd = -EBADF;
	int n;

	/* O_NONBLOCK: a FIFO that nobody reads */
	fd = vz_openat(AT_FDCWD, sink.file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK,
		       0600);
	if (fd < 0)
		return; /* a full or read-only /var must not stop a VPS */
	(void)localtime_r(&now, &tm);
	(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S%z", &tm);
	if (sink.ctid)
		(void)snprintf(about, sizeof(about), "CT %u : ", sink.ctid);
	n = snprintf(line, sizeof(line), "%s %s : %s%s\n", stamp, sink.program, about, text);
	if (n >= (int)sizeof(line)) {
		n = (int)sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	if (vz_write_all(fd, line, (size_t)n) < 0)
		return;
}

static void emit(int level, FILE *tty, const char *fmt, va_list ap)
{
	char text[1536], raw[1536];

	/* one line, and nothing in it that a terminal obeys: much of it comes from files */
	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	if (raw[0] == '\t') { /* a stage of a suspend or resume */
		text[0] = '\t';
		(void)vz_quote(text + 1, sizeof(text) - 1, raw + 1);
	} else {
		(void)vz_quote(text, sizeof(text), raw);
	}
	if (level <= sink.tty_level) {
		(void)fprintf(tty, "%s\n", text);
		(void)fflush(tty);
	}
	if (sink.file[0] && level <= sink.file_level)
		to_file(text);
}

#define LOGGER(name, level, stream)                                                                \
	void name(const char *fmt, ...)                                                            \
	{                                                                                          \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, fmt);                                                                 \
		emit(level, stream, fmt, ap);                                                      \
		va_end(ap);                                                                        \
	}

LOGGER(vz_say, 0, stdout)
LOGGER(vz_warn, -1, stderr)
LOGGER(vz_error, -1, stderr)
LOGGER(vz_info, 1, stdout)
LOGGER(vz_debug, 3, stdout)
