#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One client with one connection that must last: client.py http|redis|ssh HOST SECONDS.

Asks some hundred times a second, until the time is over or SIGTERM comes, and makes /tmp/asks-KIND when it was answered
once; prints "asked N failed M longest MS" where longest is the greatest wait for one answer. A connection that breaks
is a failure, and the last thing it does.
"""
import http.client
import signal
import socket
import subprocess
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


def ask_ssh(host):
    session = subprocess.Popen(
        ["ssh", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR", host, "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    n = 0

    def ask():
        nonlocal n
        n += 1
        session.stdin.write(b"%d\n" % n)
        session.stdin.flush()
        if session.stdout.readline() != b"%d\n" % n:
            raise OSError("the session answers something else")

    return ask


ending = False


def end(*_):
    global ending
    ending = True


def main():
    signal.signal(signal.SIGTERM, end)
    kind, host, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    ask = {"http": ask_http, "redis": ask_redis, "ssh": ask_ssh}[kind](host)
    asked = failed = 0
    longest = 0.0
    until = time.monotonic() + seconds
    while time.monotonic() < until and not ending:
        begin = time.monotonic()
        try:
            ask()
        except (OSError, ValueError, http.client.HTTPException) as error:
            print(f"{kind}: {error!r}", file=sys.stderr)
            failed += 1
            break
        asked += 1
        if asked == 1:
            open(f"/tmp/asks-{kind}", "w").close()
        longest = max(longest, time.monotonic() - begin)
        time.sleep(0.003)
    print(f"asked {asked} failed {failed} longest {longest * 1000:.0f}")


main()
