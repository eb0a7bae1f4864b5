# libFuzzer targets: "make fuzz" builds them by clang in fuzz/ below the build directory and runs each for
# FUZZ_SECONDS. Built in a normal build they are not.
FUZZ_SECONDS = 60
fuzz_programs = tests/fuzz/fuzz-config tests/fuzz/fuzz-param tests/fuzz/fuzz-number tests/fuzz/fuzz-state \
	tests/fuzz/fuzz-start tests/fuzz/fuzz-untar tests/fuzz/fuzz-plan tests/fuzz/fuzz-frame tests/fuzz/fuzz-dump
EXTRA_PROGRAMS += $(fuzz_programs)
FUZZ_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz-config.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_config_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_fuzz_config_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_config_LDADD = libvps.a libutil.a $(JANSSON_LIBS)

tests_fuzz_fuzz_param_SOURCES = tests/fuzz/fuzz-param.c
tests_fuzz_fuzz_param_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_fuzz_param_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_param_LDADD = libvps.a libutil.a $(JANSSON_LIBS)

tests_fuzz_fuzz_number_SOURCES = tests/fuzz/fuzz-number.c
tests_fuzz_fuzz_number_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_fuzz_number_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_number_LDADD = libvps.a libutil.a $(JANSSON_LIBS)

tests_fuzz_fuzz_state_SOURCES = tests/fuzz/fuzz-state.c
tests_fuzz_fuzz_state_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_fuzz_state_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_state_LDADD = libvps.a libutil.a $(JANSSON_LIBS)

tests_fuzz_fuzz_start_SOURCES = tests/fuzz/fuzz-start.c
tests_fuzz_fuzz_start_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_fuzz_start_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_start_LDADD = libcontext.a libutil.a $(JANSSON_LIBS)

tests_fuzz_fuzz_untar_SOURCES = tests/fuzz/fuzz-untar.c
tests_fuzz_fuzz_untar_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_fuzz_untar_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_untar_LDADD = libuntar.a libutil.a $(ARCHIVE_LIBS)

tests_fuzz_fuzz_plan_SOURCES = tests/fuzz/fuzz-plan.c
tests_fuzz_fuzz_plan_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_fuzz_plan_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_plan_LDADD = libplan.a libvps.a libutil.a $(JANSSON_LIBS)

tests_fuzz_fuzz_frame_SOURCES = tests/fuzz/fuzz-frame.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_frame_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_fuzz_frame_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_fuzz_frame_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_frame_LDADD = libmigrate.a libvps.a libutil.a $(ZLIB_LIBS) $(JANSSON_LIBS)

tests_fuzz_fuzz_dump_SOURCES = tests/fuzz/fuzz-dump.c
tests_fuzz_fuzz_dump_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fuzz_fuzz_dump_LDFLAGS = $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_dump_LDADD = libcheckpoint.a libvps.a libutil.a $(JANSSON_LIBS)

fuzz-programs: $(fuzz_programs)

fuzz:
	$(srcdir)/tests/fuzz/run $(abs_builddir) $(FUZZ_SECONDS)

.PHONY: fuzz fuzz-programs
