noinst_LIBRARIES += libops.a
libops_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
libops_a_SOURCES = src/ops/ops.h src/ops/priv.h src/ops/boot.h src/ops/cpt.h src/ops/steps.h src/ops/list.h src/ops/node.h src/ops/plan.h src/ops/pool.h \
	src/ops/apply.c src/ops/bare.c src/ops/busy.c src/ops/common.c src/ops/create.c src/ops/destroy.c \
	src/ops/enter.c src/ops/given.c src/ops/left.c src/ops/limits.c src/ops/list.c src/ops/mend.c src/ops/mount.c src/ops/node.c \
	src/ops/plan.c src/ops/pool.c src/ops/precheck.h src/ops/precheck.c src/ops/refusals.c src/ops/scripts.c src/ops/set.c src/ops/share.c src/ops/start.c src/ops/status.c src/ops/steps.c \
	src/ops/stop.c src/ops/cpt.c src/ops/resume.c src/ops/suspend.c src/ops/ubc.h src/ops/ubc.c src/ops/ubcfile.c src/ops/ubcnet.c src/ops/ubcnode.c \
	src/ops/view.c src/ops/viewfile.c src/ops/guard.c src/ops/migrate.h src/ops/moving.h src/ops/sending.h src/ops/taking.h \
	src/ops/migrate.c src/ops/migrate-arrive.c src/ops/migrate-check.c src/ops/migrate-receive.c src/ops/migrate-recover.c \
	src/ops/migrate-rounds.c src/ops/rounds.c \
	src/ops/migrate-pages.c src/ops/migrate-send.c src/ops/moving.c src/ops/moving-mem.c src/ops/moving-mode.c src/ops/moving-room.c
