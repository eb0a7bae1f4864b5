noinst_LIBRARIES += libubc.a
libubc_a_SOURCES = src/ubc/ubc.h src/ubc/table.h src/ubc/priv.h src/ubc/version.h src/ubc/names.c \
	src/ubc/slots.c src/ubc/sys.c src/ubc/table.c
