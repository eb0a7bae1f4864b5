noinst_LIBRARIES += libresources.a
libresources_a_CFLAGS = $(AM_CFLAGS) $(CGROUP_CFLAGS)
libresources_a_SOURCES = src/resources/resources.h src/resources/cgroup.h src/resources/priv.h \
	src/resources/apply.c src/resources/cache.c src/resources/cgroup-fake.c src/resources/cgroup-v1.c \
	src/resources/cgroup-v2.c src/resources/composite.c src/resources/cpu.c src/resources/create.c \
	src/resources/device-bpf.c src/resources/device-v1.c src/resources/devices.c \
	src/resources/disks.c src/resources/files.c src/resources/find.c src/resources/freeze.c src/resources/guarantee.c \
	src/resources/home.c src/resources/inside.c src/resources/inside-text.c src/resources/io.c src/resources/node.c src/resources/open.c \
	src/resources/resources.c src/resources/rlimit.c src/resources/share.c src/resources/stats.c src/resources/walk.c \
	src/resources/tree.c src/resources/view.c
