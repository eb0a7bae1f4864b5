# Unit tests: TAP programs; tests/run runs them and counts.
TESTS = $(check_PROGRAMS)
TEST_EXTENSIONS =
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
AM_TESTS_ENVIRONMENT = srcdir=$(srcdir) CROFT_LIBEXEC=$(abs_builddir); export srcdir CROFT_LIBEXEC;
TEST_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)

check_PROGRAMS += tests/unit/test-util tests/unit/test-vps tests/unit/test-cgroup tests/unit/test-net \
	tests/unit/test-dist tests/unit/test-untar tests/unit/test-out tests/unit/test-ubc tests/unit/test-plan \
	tests/unit/test-cpu-io tests/unit/test-inside tests/unit/test-vzubc tests/unit/test-preflight tests/unit/test-dump tests/unit/test-rounds tests/unit/test-serve tests/unit/test-given tests/unit/test-migrate

tests_unit_test_util_SOURCES = tests/unit/util/test-util.c tests/lib/tap.h
tests_unit_test_util_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_util_LDADD = libutil.a $(JANSSON_LIBS)

tests_unit_test_vps_SOURCES = tests/unit/vps/test-vps.c tests/lib/tap.h
tests_unit_test_vps_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_vps_LDADD = libvps.a libutil.a $(JANSSON_LIBS)

tests_unit_test_cgroup_SOURCES = tests/unit/resources/test-cgroup.c
tests_unit_test_cgroup_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_cgroup_LDADD = libresources.a libvps.a libutil.a $(CGROUP_LIBS) $(JANSSON_LIBS)

tests_unit_test_cpu_io_SOURCES = tests/unit/resources/test-cpu-io.c tests/lib/tap.h
tests_unit_test_cpu_io_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_cpu_io_LDADD = libresources.a libvps.a libutil.a $(CGROUP_LIBS) $(JANSSON_LIBS)

tests_unit_test_inside_SOURCES = tests/unit/resources/test-inside.c tests/lib/tap.h
tests_unit_test_inside_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_inside_LDADD = libresources.a libvps.a libutil.a $(CGROUP_LIBS) $(JANSSON_LIBS)

tests_unit_test_net_SOURCES = tests/unit/net/test-net.c
tests_unit_test_net_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_net_LDADD = libnet.a libutil.a $(NL_LIBS) $(JANSSON_LIBS)

tests_unit_test_ubc_SOURCES = tests/unit/ubc/test-ubc.c tests/lib/tap.h
tests_unit_test_ubc_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_ubc_LDADD = libubc.a libvps.a libutil.a $(JANSSON_LIBS)

tests_unit_test_dist_SOURCES = tests/unit/dist/test-dist.c
tests_unit_test_dist_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_dist_LDADD = libdist.a libvps.a libutil.a $(CRYPT_LIBS) $(JANSSON_LIBS)

tests_unit_test_untar_SOURCES = tests/unit/template/test-untar.c
tests_unit_test_untar_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_untar_LDADD = libtemplate.a libvps.a libutil.a $(JANSSON_LIBS)

tests_unit_test_plan_SOURCES = tests/unit/plan/test-plan.c src/cli/tool.c tests/lib/tap.h
tests_unit_test_plan_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_plan_LDADD = libplan.a libvps.a libutil.a $(JANSSON_LIBS)

tests_unit_test_migrate_SOURCES = tests/unit/migrate/test-migrate.c tests/lib/tap.h
tests_unit_test_migrate_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_migrate_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_migrate_LDADD = libmigrate.a libvps.a libutil.a $(ZLIB_LIBS) $(JANSSON_LIBS)

tests_unit_test_out_SOURCES = tests/unit/cli/test-out.c src/cli/out.c src/cli/vzlist-fields.c
tests_unit_test_out_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_out_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_out_LDADD = libubc.a libvps.a libutil.a $(JANSSON_LIBS)

tests_unit_test_vzubc_SOURCES = tests/unit/cli/test-vzubc.c src/cli/vzubc-table.c tests/lib/tap.h
tests_unit_test_vzubc_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_vzubc_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_vzubc_LDADD = libops.a libresources.a libubc.a libvps.a libutil.a $(JANSSON_LIBS)

tests_unit_test_dump_SOURCES = tests/unit/checkpoint/test-dump.c tests/lib/tap.h
tests_unit_test_dump_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_dump_LDADD = libcheckpoint.a libvps.a libutil.a $(JANSSON_LIBS)

tests_unit_test_given_SOURCES = tests/unit/checkpoint/test-given.c tests/lib/tap.h
tests_unit_test_given_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_given_LDADD = libcheckpoint.a libvps.a libutil.a $(JANSSON_LIBS)

tests_unit_test_serve_SOURCES = tests/unit/checkpoint/test-serve.c tests/lib/tap.h
tests_unit_test_serve_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_serve_LDADD = libcheckpoint.a libvps.a libutil.a $(JANSSON_LIBS)

tests_unit_test_rounds_SOURCES = tests/unit/checkpoint/test-rounds.c tests/lib/tap.h
tests_unit_test_rounds_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_rounds_LDADD = libcheckpoint.a libvps.a libutil.a $(JANSSON_LIBS)

tests_unit_test_preflight_SOURCES = tests/unit/checkpoint/test-preflight.c tests/lib/tap.h
tests_unit_test_preflight_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_preflight_LDADD = libcheckpoint.a libvps.a libutil.a $(JANSSON_LIBS)

# a tool of the system tests, no test
EXTRA_PROGRAMS += tests/lib/deny-syscall
tests_lib_deny_syscall_SOURCES = tests/lib/deny-syscall.c
tests_lib_deny_syscall_LDADD = $(SECCOMP_LIBS)
CLEANFILES += tests/lib/deny-syscall$(EXEEXT)

check-programs: $(check_PROGRAMS) $(croftlibexec_PROGRAMS) tests/lib/deny-syscall$(EXEEXT)
.PHONY: check-programs

include tests/escape/local.mk
include tests/checkpoint/local.mk
include tests/ubc/local.mk
