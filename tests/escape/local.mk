# Programs that try to leave a VPS: static, so that they run in one that has BusyBox only. Not of
# AM_CFLAGS: they are not ours to protect, and sanitizers cannot be linked statically.
escape_programs = tests/escape/bomb tests/escape/calls tests/escape/chroot tests/escape/device \
	tests/escape/doors tests/escape/exe tests/escape/handle tests/escape/hold tests/escape/ipc tests/escape/knobs tests/escape/leak \
	tests/escape/process tests/escape/race tests/escape/sockets tests/escape/tty
CLEANFILES += $(escape_programs) tests/escape/interp

$(escape_programs): tests/escape/%: $(srcdir)/tests/escape/%.c $(srcdir)/tests/escape/escape.h
	$(AM_V_at)$(MKDIR_P) tests/escape
	$(AM_V_CC)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -static -s -o $@ $<

tests/escape/interp: $(srcdir)/tests/escape/interp.c
	$(AM_V_at)$(MKDIR_P) tests/escape
	$(AM_V_CC)$(CC) -std=gnu11 -Wall -Wextra -Werror -O1 -fno-stack-protector -nostdlib -static -s -o $@ $<

escape-programs: $(escape_programs) tests/escape/interp
.PHONY: escape-programs
check-programs: escape-programs
