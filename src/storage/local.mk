noinst_LIBRARIES += libstorage.a
libstorage_a_SOURCES = src/storage/storage.h src/storage/layout.h src/storage/priv.h \
	src/storage/storage.c src/storage/layout-dir.c src/storage/layout-overlay.c \
	src/storage/utab.c
