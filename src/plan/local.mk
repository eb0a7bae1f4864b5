noinst_LIBRARIES += libplan.a
libplan_a_SOURCES = src/plan/plan.h src/plan/formulae.c src/plan/node.c src/plan/rows.c src/plan/rules.c \
	src/plan/split.c
