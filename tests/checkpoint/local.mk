# Programs that run in a VPS while it is checkpointed: static, as those of tests/escape.
checkpoint_programs = tests/checkpoint/dirty
CLEANFILES += $(checkpoint_programs)

$(checkpoint_programs): tests/checkpoint/%: $(srcdir)/tests/checkpoint/%.c
	$(AM_V_at)$(MKDIR_P) tests/checkpoint
	$(AM_V_CC)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -static -s -o $@ $<

checkpoint-programs: $(checkpoint_programs)
.PHONY: checkpoint-programs
check-programs: checkpoint-programs
