noinst_LIBRARIES += libmigrate.a
libmigrate_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(ZLIB_CFLAGS)
libmigrate_a_SOURCES = src/migrate/migrate.h src/migrate/priv.h src/migrate/cage.c src/migrate/filter.c \
	src/migrate/journal.c src/migrate/peer.c src/migrate/progress.c src/migrate/proto.c src/migrate/tree.c src/migrate/verbs.c
