noinst_LIBRARIES += libnet.a
libnet_a_CFLAGS = $(AM_CFLAGS) $(NL_CFLAGS)
libnet_a_SOURCES = src/net/net.h src/net/priv.h src/net/net.c src/net/ping.c src/net/nl.c src/net/antispoof.c src/net/sample.c src/net/announce.c
