noinst_LIBRARIES += libvps.a
libvps_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
libvps_a_SOURCES = src/vps/vps.h src/vps/priv.h src/vps/params.def src/vps/config.c src/vps/id.c \
	src/vps/idbase.c src/vps/implied.c src/vps/live.c src/vps/lock.c src/vps/param.c src/vps/paths.c \
	src/vps/record.c src/vps/state.c \
	src/vps/types.c src/vps/types-list.c
