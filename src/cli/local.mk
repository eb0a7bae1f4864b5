sbin_PROGRAMS += vzcptcheck vzctl vzlist vzmigrate vzpid vzps vztmpl vzubc
sbin_PROGRAMS += vzcalc vzcfgvalidate vzcpucheck vzmemcheck vznnc vzoversell vzplan vzsplit
croftlibexec_PROGRAMS += vzctl-admin vzmon vz-node vz-ubc vz-unpack
noinst_PROGRAMS += tools/gen-params

# decision 17: what starts often links little; scripts/check-house holds the lists. STATIC_LDFLAGS: ADR 25
vzctl_SOURCES = src/cli/vzctl.c src/cli/cli.h src/cli/main.c src/cli/opt.c src/cli/cmd-light.c \
	src/cli/cmd-failures.c
vzctl_LDFLAGS = $(STATIC_LDFLAGS)
vzctl_LDADD = libops.a libmigrate.a libcontext.a libresources.a libubc.a libvps.a libutil.a $(JANSSON_LIBS)

vzctl_admin_SOURCES = src/cli/vzctl-admin.c src/cli/cli.h src/cli/main.c src/cli/opt.c \
	src/cli/cmd-light.c src/cli/cmd-admin.c src/cli/cmd-failures.c src/cli/cmd-precheck.c
vzctl_admin_LDFLAGS = $(STATIC_LDFLAGS)
vzctl_admin_LDADD = libops.a libcheckpoint.a libmigrate.a libcontext.a libresources.a libubc.a libnet.a libstorage.a libtemplate.a \
	libdist.a libplan.a libvps.a libutil.a $(NL_LIBS) $(CGROUP_LIBS) $(SECCOMP_LIBS) $(JANSSON_LIBS) \
	$(CRYPT_LIBS)

vzmigrate_SOURCES = src/cli/vzmigrate.c
vzmigrate_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
vzmigrate_LDADD = libops.a libcheckpoint.a libmigrate.a libcontext.a libresources.a libubc.a libnet.a libstorage.a \
	libtemplate.a libdist.a libplan.a libvps.a libutil.a $(NL_LIBS) $(CGROUP_LIBS) $(SECCOMP_LIBS) \
	$(JANSSON_LIBS) $(CRYPT_LIBS) $(ZLIB_LIBS)

vzlist_SOURCES = src/cli/vzlist.c src/cli/vzlist.h src/cli/vzlist-fields.c src/cli/out.c src/cli/out.h
vzlist_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
vzlist_LDFLAGS = $(STATIC_LDFLAGS)
vzlist_LDADD = libops.a libmigrate.a libresources.a libubc.a libvps.a libutil.a $(JANSSON_LIBS)

vztmpl_SOURCES = src/cli/vztmpl.c
vztmpl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
vztmpl_LDADD = libtemplate.a libvps.a libutil.a $(JANSSON_LIBS)

vzcpucheck_SOURCES = src/cli/vzcpucheck.c
vzcpucheck_LDADD = libops.a libmigrate.a libresources.a libubc.a libvps.a libutil.a $(JANSSON_LIBS)

vzcptcheck_SOURCES = src/cli/vzcptcheck.c
vzcptcheck_LDADD = libcheckpoint.a libvps.a libutil.a $(JANSSON_LIBS)

vzpid_SOURCES = src/cli/vzpid.c
vzpid_LDADD = libresources.a libvps.a libutil.a $(JANSSON_LIBS)

vzps_SOURCES = src/cli/vzps.c
vzps_LDADD = libresources.a libvps.a libutil.a $(JANSSON_LIBS)

# planning: what looks at VPSes, and what does not
PLAN_LIBS = libplan.a libvps.a libutil.a $(JANSSON_LIBS)
PLAN_OF_VPSES = libops.a libmigrate.a libplan.a libresources.a libubc.a libvps.a libutil.a $(JANSSON_LIBS)

vzcalc_SOURCES = src/cli/vzcalc.c src/cli/tool.c src/cli/tool.h
vzcalc_LDADD = $(PLAN_OF_VPSES)

vzmemcheck_SOURCES = src/cli/vzmemcheck.c src/cli/tool.c src/cli/tool.h
vzmemcheck_LDADD = $(PLAN_OF_VPSES)

vzoversell_SOURCES = src/cli/vzoversell.c src/cli/tool.c src/cli/tool.h
vzoversell_LDADD = $(PLAN_OF_VPSES)

vzplan_SOURCES = src/cli/vzplan.c src/cli/tool.c src/cli/tool.h
vzplan_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
vzplan_LDADD = $(PLAN_OF_VPSES)

vzcfgvalidate_SOURCES = src/cli/vzcfgvalidate.c src/cli/tool.c src/cli/tool.h
vzcfgvalidate_LDADD = $(PLAN_LIBS)

vzsplit_SOURCES = src/cli/vzsplit.c src/cli/tool.c src/cli/tool.h
vzsplit_LDADD = $(PLAN_LIBS)

vznnc_SOURCES = src/cli/vznnc.c
vznnc_LDADD = libutil.a

vzubc_SOURCES = src/cli/vzubc.c src/cli/vzubc.h src/cli/vzubc-table.c
vzubc_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
vzubc_LDADD = libops.a libmigrate.a libresources.a libubc.a libnet.a libvps.a libutil.a $(NL_LIBS) $(JANSSON_LIBS)

vzmon_SOURCES = src/cli/vzmon.c
vzmon_LDFLAGS = $(STATIC_LDFLAGS)
vzmon_LDADD = libcontext.a libutil.a

vz_node_SOURCES = src/cli/vz-node.c
vz_node_LDADD = libops.a libmigrate.a libresources.a libubc.a libvps.a libutil.a $(JANSSON_LIBS)

vz_ubc_SOURCES = src/cli/vz-ubc.c
vz_ubc_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
vz_ubc_LDADD = libubcload.a libubc.a libvps.a libutil.a $(BPF_LIBS) $(JANSSON_LIBS)

vz_unpack_SOURCES = src/cli/vz-unpack.c
vz_unpack_LDADD = libuntar.a libutil.a $(ARCHIVE_LIBS)

tools_gen_params_SOURCES = tools/gen-params.c
