# Speed and size beside other tools; not part of "all" or "check".
EXTRA_PROGRAMS += bench/floor
bench_floor_SOURCES = bench/floor.c

bench: all bench/floor$(EXEEXT)
	CROFT_BUILD=$(abs_builddir) $(srcdir)/bench/run $(BENCH_FLAGS)

bench-fairness: all
	CROFT_BUILD=$(abs_builddir) $(srcdir)/bench/fairness $(BENCH_FLAGS)

.PHONY: bench bench-fairness
