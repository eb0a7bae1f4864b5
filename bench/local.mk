# Speed and size beside other tools; not part of "all" or "check".
EXTRA_PROGRAMS += bench/floor
bench_floor_SOURCES = bench/floor.c

# what reading beancounters costs: bench/ubc-read, and with a CTID
EXTRA_PROGRAMS += bench/ubc-read
bench_ubc_read_SOURCES = bench/ubc-read.c
bench_ubc_read_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
bench_ubc_read_LDADD = libops.a libresources.a libubc.a libnet.a libvps.a libutil.a $(NL_LIBS) $(JANSSON_LIBS)

bench: all bench/floor$(EXEEXT)
	CROFT_BUILD=$(abs_builddir) $(srcdir)/bench/run $(BENCH_FLAGS)

bench-fairness: all
	CROFT_BUILD=$(abs_builddir) $(srcdir)/bench/fairness $(BENCH_FLAGS)

.PHONY: bench bench-fairness
