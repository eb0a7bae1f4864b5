noinst_LIBRARIES += libcontext.a
libcontext_a_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS)
libcontext_a_SOURCES = src/context/context.h src/context/priv.h src/context/orders.h \
	src/context/sync.h src/context/mon.h src/context/console.h src/context/relay.h src/context/view.h \
	src/context/cage.c src/context/child.c src/context/console.c src/context/exec.c src/context/fresh.c src/context/fresh-child.c src/context/fresh.h src/context/gate.c src/context/gate.h src/context/given.c \
	src/context/mon.c src/context/mon-log.c src/context/notify.c src/context/orders.c src/context/pages.c src/context/receive.c src/context/relay.c src/context/restore.c src/context/rootfs.c \
	src/context/seccomp.c src/context/spawn.c src/context/sync.c src/context/view.c \
	src/context/view-child.c src/context/view-mon.c
