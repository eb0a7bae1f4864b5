# Run inside a VPS that is suspended, so static as tests/escape.
checkpoint_programs = tests/checkpoint/dirty tests/checkpoint/live tests/checkpoint/resize tests/checkpoint/vfork
CLEANFILES += $(checkpoint_programs)

$(checkpoint_programs): tests/checkpoint/%: $(srcdir)/tests/checkpoint/%.c
	$(AM_V_at)$(MKDIR_P) tests/checkpoint
	$(AM_V_CC)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -static -s -o $@ $<

checkpoint-programs: $(checkpoint_programs)
.PHONY: checkpoint-programs
check-programs: checkpoint-programs
