#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A transport for vzmigrate that misbehaves. Usage: bad-link.py HOW PROGRAM HOST COMMAND...

HOW: flip:DIRECTION:N   the lowest bit of byte N of what goes "out" or comes "in" is another
     cut:DIRECTION:N    after N bytes of that direction both end
     hang:DIRECTION:N   after N bytes of that direction nothing passes any more, and nothing ends
     twice:DIRECTION:N  the frame that byte N is in comes twice
"""
import os
import signal
import struct
import subprocess
import sys
import threading

how, direction, at = sys.argv[1].split(":")
at = int(at)
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
hung = threading.Event()


def end():
    # the program at the other side goes on and sees its connection end
    child.stdin.close()
    os._exit(1)


def read(fd, n):
    data = b""
    while len(data) < n:
        more = os.read(fd, n - len(data))
        if not more:
            return data
        data += more
    return data


def write(fd, data):
    while data:
        data = data[os.write(fd, data):]


def passes(src, dst, mine):
    seen = 0
    while True:
        head = read(src, 20)
        frame = head + read(src, struct.unpack(">I", head[12:16])[0]) if len(head) == 20 else head
        if not frame:
            break
        if hung.is_set():
            continue
        here = mine and seen <= at < seen + len(frame)
        seen += len(frame)
        if here and how == "flip":
            i = at - (seen - len(frame))
            frame = frame[:i] + bytes([frame[i] ^ 1]) + frame[i + 1:]
        if here and how == "cut":
            write(dst, frame[: at - (seen - len(frame))])
            end()
        if here and how == "hang":
            hung.set()
            continue
        write(dst, frame)
        if here and how == "twice":
            write(dst, frame)
    os.close(dst)


signal.signal(signal.SIGPIPE, signal.SIG_IGN)
out = threading.Thread(target=passes, args=(0, child.stdin.fileno(), direction == "out"), daemon=True)
out.start()
try:
    passes(child.stdout.fileno(), 1, direction == "in")
except OSError:
    end()
sys.exit(child.wait())
