noinst_LIBRARIES += libcheckpoint.a
libcheckpoint_a_SOURCES = src/checkpoint/preflight.h src/checkpoint/judge.h \
	src/checkpoint/dirty.c src/checkpoint/estimate.c src/checkpoint/judge.c src/checkpoint/scan.c
