noinst_LIBRARIES += libutil.a
libutil_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
libutil_a_SOURCES = src/util/cgroup2opts.c src/util/cgroup2opts.h src/util/error.c src/util/error.h src/util/fd.c src/util/fd.h \
	src/util/json.c src/util/json.h src/util/kernel.c src/util/kernel.h src/util/log.c src/util/log.h src/util/mounts.c src/util/parse.c \
	src/util/parse.h src/util/proc.c src/util/proc.h src/util/str.c src/util/str.h \
	src/util/userns.c src/util/userns.h
