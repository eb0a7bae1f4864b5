#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One client with one connection that must last: client.py http|redis HOST SECONDS.

Asks as fast as it is answered; prints "asked N failed M longest MS" where longest is the greatest wait for
one answer. A connection that breaks is a failure, and the last thing it does.
"""
import http.client
import socket
import sys
import time


def ask_http(host):
    connection = http.client.HTTPConnection(host, 80, timeout=120)

    def ask():
        connection.request("GET", "/")
        answer = connection.getresponse()
        if answer.status != 200 or answer.read() != b"served\n":
            raise OSError("wrong answer")

    connection.connect()
    connection.auto_open = 0  # a new connection would hide that the old one broke
    return ask


def ask_redis(host):
    stream = socket.create_connection((host, 6379), timeout=120)
    lines = stream.makefile("rb")
    last = None

    def ask():
        nonlocal last
        stream.sendall(b"INCR counted\r\n")
        answer = int(lines.readline()[1:])
        if last is not None and answer != last + 1:
            raise OSError(f"{answer} after {last}")
        last = answer

    return ask


def main():
    kind, host, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    ask = {"http": ask_http, "redis": ask_redis}[kind](host)
    asked = failed = 0
    longest = 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        try:
            ask()
        except (OSError, ValueError, http.client.HTTPException) as error:
            print(f"{kind}: {error!r}", file=sys.stderr)
            failed += 1
            break
        asked += 1
        longest = max(longest, time.monotonic() - begin)
    print(f"asked {asked} failed {failed} longest {longest * 1000:.0f}")


main()
