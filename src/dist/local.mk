noinst_LIBRARIES += libdist.a
libdist_a_CFLAGS = $(AM_CFLAGS) $(CRYPT_CFLAGS)
libdist_a_SOURCES = src/dist/dist.h src/dist/priv.h src/dist/dist.c src/dist/file.c src/dist/files.c src/dist/first.c src/dist/getty.c src/dist/init.c src/dist/passwd.c src/dist/wait.c
