noinst_LIBRARIES += libubc.a libubcload.a
libubc_a_SOURCES = src/ubc/ubc.h src/ubc/table.h src/ubc/priv.h src/ubc/attach.c src/ubc/names.c src/ubc/note.c \
	src/ubc/places.c src/ubc/ptys.c \
	src/ubc/slots.c src/ubc/sys.c src/ubc/table.c
# what only vz-ubc needs
libubcload_a_CFLAGS = $(AM_CFLAGS) $(BPF_CFLAGS)
libubcload_a_SOURCES = src/ubc/load.h src/ubc/canary.c src/ubc/reconcile.c
UBC_BPF = src/ubc/bpf/ubc.bpf.c src/ubc/bpf/count.h src/ubc/bpf/kernel.h src/ubc/bpf/walk.h
EXTRA_DIST += $(UBC_BPF) src/ubc/load.c src/ubc/load-none.c
if WITH_BPF
libubcload_a_SOURCES += src/ubc/load.c
ubc_hashed = src/ubc/ubc.bpf.o
else
libubcload_a_SOURCES += src/ubc/load-none.c
ubc_hashed = $(srcdir)/src/ubc/table.h
endif

# the kernel checks programs against its own types (CO-RE): one object is good for all kernels; the linker of bpftool
# leaves the debug information out
src/ubc/ubc.bpf.o: $(UBC_BPF) src/ubc/table.h
	$(AM_V_GEN)$(MKDIR_P) src/ubc && \
	  $(BPF_CLANG) -g -O2 -mcpu=v3 -target bpf -D__TARGET_ARCH_$(BPF_ARCH) -Wall -Wextra -Wno-unused-parameter \
	    $(BPF_CFLAGS) -I$(srcdir)/src -I$(srcdir)/src/ubc/bpf -c $(srcdir)/src/ubc/bpf/ubc.bpf.c -o $@.debug && \
	  $(BPFTOOL) gen object $@ $@.debug
src/ubc/ubc.skel.h: src/ubc/ubc.bpf.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton $< name ubc_bpf > $@
# of the programs: pins of another version are upgraded
src/ubc/version.h: $(ubc_hashed)
	$(AM_V_GEN)$(MKDIR_P) src/ubc && \
	  printf '#define UBC_VERSION %sU\n' "`cksum <$< | cut -d' ' -f1`" > $@
src/ubc/libubcload_a-load.$(OBJEXT): src/ubc/ubc.skel.h src/ubc/version.h
src/ubc/libubcload_a-load-none.$(OBJEXT) src/ubc/slots.$(OBJEXT) src/ubc/table.$(OBJEXT): src/ubc/version.h
CLEANFILES += src/ubc/ubc.bpf.o src/ubc/ubc.bpf.o.debug src/ubc/ubc.skel.h src/ubc/version.h
