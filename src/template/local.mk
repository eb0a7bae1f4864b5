noinst_LIBRARIES += libtemplate.a libuntar.a
libtemplate_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
libtemplate_a_SOURCES = src/template/template.h src/template/priv.h src/template/index.c \
	src/template/hash.c src/template/unpacked.c src/template/unpack.c
libuntar_a_CFLAGS = $(AM_CFLAGS) $(ARCHIVE_CFLAGS)
libuntar_a_SOURCES = src/template/untar.c src/template/untar-cage.c \
	src/template/untar-filter.c src/template/untar-meta.c \
	src/template/untar-path.c
