# what 47-ubc-bpf.bats and bench/ubc run, static, so that they run in any node
ubc_programs = tests/ubc/drive
EXTRA_PROGRAMS += $(ubc_programs)
tests_ubc_drive_SOURCES = tests/ubc/drive.c tests/ubc/drive.h tests/ubc/cost.c \
	tests/ubc/memory.c tests/ubc/objects.c
tests_ubc_drive_CPPFLAGS = $(TEST_CPPFLAGS)
tests_ubc_drive_LDFLAGS = -static-pie
tests_ubc_drive_LDADD = libubc.a libvps.a libutil.a
CLEANFILES += $(ubc_programs)
ubc-programs: $(ubc_programs)
.PHONY: ubc-programs
