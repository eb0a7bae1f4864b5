#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One connection to an echo server that must last, and what the segment is told meanwhile.

Usage: echo-client.py HOST PORT INTERFACE ADDRESS4 ADDRESS6 STOPFILE
Sends numbered lines and reads each back until STOPFILE is there, then ten more; prints
"echoed N lost M longest MS arp A na B": announcements of the two addresses that were seen on INTERFACE.
"""
import os
import select
import socket
import sys
import time

host, port, interface, four, six, stop = sys.argv[1:]
arp = na = 0
packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
packets.bind((interface, 3))
want4 = socket.inet_pton(socket.AF_INET, four)
want6 = socket.inet_pton(socket.AF_INET6, six)


def look():
    global arp, na
    while select.select([packets], [], [], 0)[0]:
        data, where = packets.recvfrom(2048)
        if where[1] == 0x0806 and data[14:18] == want4 == data[24:28]:
            arp += 1
        # an advertisement, of a router, in place of older ones
        if where[1] == 0x86DD and data[6] == 58 and data[40] == 136 and data[44] & 0xA0 == 0xA0 and data[48:64] == want6:
            na += 1


def connect():
    """Where all is slow, the answer to the first ARP requests comes after the kernel has given up."""
    until = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=60)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


stream = connect()
stream.settimeout(300)
stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
lines = stream.makefile("rb")
n = lost = longest = 0
left = 10
print("connected", flush=True)
while left:
    begin = time.monotonic()
    stream.sendall(b"%d\n" % n)
    if lines.readline() != b"%d\n" % n:
        lost += 1
        break
    n += 1
    longest = max(longest, time.monotonic() - begin)
    look()
    time.sleep(0.01)
    if os.path.exists(stop):
        left -= 1
print("echoed %d lost %d longest %d arp %d na %d" % (n, lost, longest * 1000, arp, na))
