noinst_LIBRARIES += libcheckpoint.a
libcheckpoint_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
libcheckpoint_a_SOURCES = src/checkpoint/checkpoint.h src/checkpoint/preflight.h src/checkpoint/judge.h src/checkpoint/priv.h \
	src/checkpoint/cpu.c src/checkpoint/crc.c src/checkpoint/criu.c src/checkpoint/desc.c src/checkpoint/dev.c src/checkpoint/dirty.c src/checkpoint/entry.c src/checkpoint/estimate.c src/checkpoint/forks.c src/checkpoint/given.c src/checkpoint/image.c \
	src/checkpoint/judge.c src/checkpoint/lazy.c src/checkpoint/memory.c src/checkpoint/pack.c src/checkpoint/round.c src/checkpoint/scan.c src/checkpoint/serve.c src/checkpoint/slaves.c src/checkpoint/stream.c src/checkpoint/tools.c src/checkpoint/vfork.c

# Loaded into CRIU, and into lxcfs: shared objects of their own, without libtool for so few files
croftlibexec_DATA = criu-owner.so cgroup2-mount.so
EXTRA_DIST += src/checkpoint/owner.c src/context/cgroup2-mount.c
CLEANFILES += $(croftlibexec_DATA)
preloaded = $(AM_V_CCLD)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN_CFLAGS) -O2 -I$(srcdir)/src $(CPPFLAGS) $(LDFLAGS) -fPIC -shared
options_source = $(srcdir)/src/util/cgroup2opts.c
criu-owner.so: $(srcdir)/src/checkpoint/owner.c $(options_source) src/util/cgroup2opts.h
	$(preloaded) -o $@ $(srcdir)/src/checkpoint/owner.c $(options_source)
cgroup2-mount.so: $(srcdir)/src/context/cgroup2-mount.c $(options_source) src/util/cgroup2opts.h
	$(preloaded) -o $@ $(srcdir)/src/context/cgroup2-mount.c $(options_source)

# What CRIU runs, and nothing else: src/checkpoint/tools.c. NAME:PROGRAM, where each release has it
criu_tools = sh:/bin/sh ip:/sbin/ip tar:/bin/tar gzip:/bin/gzip modprobe:/sbin/modprobe
link_criu_tools = $(MKDIR_P) "$$dir" && for t in $(criu_tools); do ln -sf "$${t\#*:}" "$$dir/$${t%%:*}" || exit 1; done
all-local: criu-tools/ip
criu-tools/ip: src/checkpoint/local.mk
	$(AM_V_GEN)dir=criu-tools; $(link_criu_tools)
install-exec-local:
	dir='$(DESTDIR)$(croftlibexecdir)/criu-tools'; $(link_criu_tools)
clean-local:
	rm -rf criu-tools
