#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host,node
# vzctl suspend and resume.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/criu

setup_file() {
	make_root overlay && need_criu
	[ -x "$build/tests/checkpoint/live" ] || make -s -C "$build" checkpoint-programs
}
teardown_file() { remove_root; }
teardown() { destroy_all; }

dump() { echo "$(vzdir)/dump/Dump.$1"; }
rundir() { echo "$CROFT_ROOT/run/vz/$1"; }
state() { jq -r ".$2" "$(rundir "$1")/state.json"; }
no_dump() { [ -z "$(ls "$(vzdir)/dump")" ] || { ls "$(vzdir)/dump" >&2; return 1; }; }

# counter CTID: a VPS that counts in /tmp/count
counter() {
	vzctl --quiet create "$1" --ostemplate busybox --ipadd "10.52.0.$(($1 - 520))" --ram 64M --swap 0 --numproc 200 "${@:2}"
	vzctl --quiet start "$1"
	vzctl exec "$1" 'rm -f /tmp/count; (i=0; while :; do i=$((i+1)); echo $i 1<>/tmp/count; usleep 20000; done) </dev/null >/dev/null 2>&1 &'
	wait_for 3 vzctl exec "$1" 'test -s /tmp/count'
}
count() { vzctl exec "$1" cat /tmp/count; } # written in place: never empty
counts_on() { # CTID FROM: it goes on from there, neither from the beginning nor from somewhere else
	wait_for 3 counts_above "$1" "$2"
	[ "$(count "$1")" -lt $((${2:-0} + 2000)) ]
}
counts_above() { [ "$(count "$1")" -gt "${2:-0}" ]; }

@test "who has a file of the view open is restored; commands of exec go on to have their place; mounts of nesting are back" {
	counter 520 --features nesting:on
	vzctl exec 520 'echo kept >/var/lib/docker/file'
	vzctl exec 520 'for f in meminfo stat vmstat diskstats; do (setsid sleep 1000 </proc/$f >/dev/null 2>&1 &); done'
	vzctl --quiet suspend 520
	vzctl --quiet resume 520
	[ "$(vzctl exec 520 'pidof sleep | wc -w')" = 4 ]
	[ "$(vzctl exec 520 'head -n 1 /proc/meminfo')" = "MemTotal:          65536 kB" ]
	[ "$(vzctl exec 520 'sed -n s/^0:://p /proc/self/cgroup')" = /.croft ]
	[ "$(vzctl exec 520 'cat /var/lib/docker/file; stat -c %u /var/lib/docker/file')" = $'kept\n0' ]
	[ "$(vzctl exec 520 'grep -c " /dev/.croft/" /proc/mounts; ls /dev/.croft/proc/self/status')" = $'2\n/dev/.croft/proc/self/status' ]
}

# bats test_tags=lean
@test "suspend writes one file, resume goes on where it was: memory, owners, address, limits, console" {
	counter 521
	local before inner options
	options=$(grep ' cgroup2 ' /proc/mounts) # of which there is one set, for the node and all in it
	vzctl exec 521 'touch /root/mine; echo text >/run/kept; mkdir /dev/sub; ln -s sub /dev/link'
	inner=$(vzctl exec 521 'readlink /proc/1/ns/pid; cat /proc/sys/net/ipv4/ping_group_range; grep -c . /proc/mounts')
	vzctl set 521 --numproc 100
	before=$(count 521)
	run --separate-stderr vzctl suspend 521
	status_is 0
	[ -z "$stderr" ]
	[ "$output" = $'Setting up checkpoint...\n\tsuspend...\n\tdump...\n\tkill...\nVPS is unmounted\nCheckpointing completed successfully' ]
	[ "$(vzctl status 521)" = "CTID 521 exist unmounted down suspended" ]
	[ "$(vzlist -H -o status -a 521 | tr -d ' ')" = suspended ]
	[ "$(ls "$(vzdir)/dump")" = Dump.521 ]
	[ "$(stat -c %a "$(dump 521)")" = 600 ]
	run --separate-stderr vzctl resume 521
	status_is 0
	[ -z "$stderr" ]
	[ "$output" = $'Restoring VPS ...\nVPS is mounted\n\tundump...\n\tresume...\nRestoring completed successfully' ]
	no_dump
	[ "$(grep ' cgroup2 ' /proc/mounts)" = "$options" ]
	[ "$(vzctl status 521)" = "CTID 521 exist mounted running" ]
	counts_on 521 "$before"
	[ "$(vzctl exec 521 'stat -c %u:%g /root/mine; touch /root/new; stat -c %u /root/new; cat /run/kept')" = $'0:0\n0\ntext' ]
	[ "$(vzctl exec 521 'readlink /dev/link; test -d /dev/sub && echo dir')" = $'sub\ndir' ]
	[ "$(vzctl exec 521 'cat /proc/sys/net/ipv4/ping_group_range; grep -c . /proc/mounts')" = "$(tail -n 2 <<<"$inner")" ]
	[ "$(vzctl exec 521 head -n 1 /proc/meminfo)" = "MemTotal:          65536 kB" ]
	[ "$(vzlist -H -o numproc.l 521 | tr -d ' ')" = 100 ]
	ping -c 1 -W 3 10.52.0.1
	wait_for 5 sh -c 'echo "exit 0" | timeout 2 '"$build"'/vzctl console 521 | grep -q login'
	[ "$(awk '/^PPid/ { print $2 }' "/proc/$(state 521 init_pid)/status")" = "$(state 521 mon_pid)" ]
}

@test "refusals of before a suspend and of after the resume are added" {
	local first
	fork_bomb() { vzctl exec 523 'n=0; while [ $n -lt 40 ]; do sleep 100 & n=$((n + 1)); done' >/dev/null 2>&1 || :; }
	refused() { vzlist -H -o numproc.f 523 | tr -d ' '; }
	vzctl --quiet create 523 --ostemplate busybox --ram 64M --swap 0 --numproc 30
	vzctl --quiet start 523
	fork_bomb
	first=$(refused)
	[ "$first" -gt 0 ]
	vzctl exec3 523 /bin/busybox killall -9 sleep
	told=$(vzctl failures 523)
	vzctl --quiet suspend 523
	vzctl --quiet resume 523
	[ "$(refused)" = "$first" ]
	[ -n "$told" ] && [ "$(vzctl failures 523 | cut -c 20-)" = "$(cut -c 20- <<<"$told")" ]
	fork_bomb
	# what the new group alone says, which may well be less than before
	group=$(jq -r '.cgroups[]' "$(rundir 523)/state.json" | sed -n 's/^pids=//p; s/^v2=//p' | while read -r d; do [ ! -e "$d/pids.events" ] || echo "$d"; done | head -n 1)
	# Linux says it of where the limit is since 6.11, before of where the process was
	if [ -e "$group/pids.events.local" ]; then
		since=$(awk '$1 == "max" { print $2 }' "$group/pids.events.local")
	else
		since=$(find "$group" -name pids.events -exec awk '$1 == "max" { n += $2 } END { print n }' {} +)
	fi
	[ "$since" -gt 0 ]
	[ "$(refused)" = $((first + since)) ]
	vzctl failures 523 | grep -q ' numproc held '
}

@test "pipes, sockets, locks, SysV IPC, timers, threads, deleted files, seals survive" {
	counter 522
	local root
	root=$(vzdir)/root/522
	vzctl exec 522 'cat >/root/live; chmod 755 /root/live' <"$build/tests/checkpoint/live"
	vzctl exec 522 'cd /; /root/live /root/said </dev/null >/dev/null 2>&1 &'
	wait_for 5 vzctl exec 522 'grep -q armed /root/said'
	for i in 1 2; do
		vzctl --quiet suspend 522
		vzctl --quiet resume 522
		vzctl exec 522 'rm /root/said; touch /root/said.ask'
		wait_for 5 vzctl exec 522 'test -s /root/said'
		run vzctl exec 522 cat /root/said
		[ "$output" = ok ] || { echo "cycle $i: $output" >&2; return 1; }
	done
}

@test "an established TCP connection goes on; nothing of it is lost" {
	counter 523
	vzctl exec 523 'nc -l -p 7 -e /bin/cat </dev/null >/dev/null 2>&1 &'
	wait_for 3 vzctl exec 523 'netstat -ltn | grep -q :7'
	python3 - 10.52.0.3 "$build/vzctl" <<-'P'
	import socket, subprocess, sys
	s = socket.create_connection((sys.argv[1], 7), 20)
	def echo(b):
	    s.sendall(b)
	    got = b''
	    while len(got) < len(b):
	        got += s.recv(65536)
	    assert got == b
	echo(b'before' * 100)
	subprocess.check_call([sys.argv[2], '--quiet', 'suspend', '523'])
	s.sendall(b'while it is down')
	subprocess.check_call([sys.argv[2], '--quiet', 'resume', '523'])
	got = b''
	while len(got) < 16:
	    got += s.recv(100)
	assert got == b'while it is down', got
	echo(b'after' * 20000)
	P
}

@test "processes in vfork(2): waited for, and one that stays there is named" {
	counter 529
	vzctl exec 529 'cat >/root/vfork; chmod 755 /root/vfork' <"$build/tests/checkpoint/vfork"
	vzctl exec 529 '(setsid /root/vfork 200 /tmp/forks </dev/null >/dev/null 2>&1 &)'
	wait_for 5 vzctl exec 529 'test -s /tmp/forks'
	vzctl --quiet suspend 529
	vzctl --quiet resume 529
	vzctl exec 529 'rm /tmp/forks'
	wait_for 5 vzctl exec 529 'test -s /tmp/forks'
	vzctl exec 529 '(setsid /root/vfork 100000 /tmp/x </dev/null >/dev/null 2>&1 &)'
	wait_for 5 vzctl exec 529 '[ "$(pidof vfork | wc -w)" -ge 3 ]'
	before=$(count 529)
	run --separate-stderr vzctl suspend 529
	status_is 16
	[[ "$stderr" == *'vfork (process '*' inside): waits in vfork(2) for its child'* ]]
	counts_on 529 "$before"
}

@test "each stage alone: frozen, written, killed; or thawed as if nothing had been" {
	counter 524
	local before
	fails 16 'not suspended' suspend 524 --dump
	fails 20 'one stage' suspend 524 --dump --kill
	run vzctl suspend 524 --suspend
	status_is 0
	before=$(cat "/proc/$(state 524 init_pid)/root/tmp/count")
	sleep 0.1
	[ "$(cat "/proc/$(state 524 init_pid)/root/tmp/count")" = "$before" ]
	run vzctl status 524
	has 'frozen by suspend --suspend'
	run vzctl suspend 524 --resume
	status_is 0
	counts_on 524 "$before"
	vzctl --quiet suspend 524 --suspend
	vzctl --quiet suspend 524 --dump --dumpfile "$CROFT_ROOT/elsewhere"
	[ -f "$CROFT_ROOT/elsewhere" ]
	# the dump is of no use once it runs on
	vzctl --quiet suspend 524 --resume
	[ ! -e "$CROFT_ROOT/elsewhere" ]
	before=$(count 524)
	counts_on 524 "$before"
	vzctl --quiet suspend 524 --suspend
	vzctl --quiet suspend 524 --dump --dumpfile "$CROFT_ROOT/elsewhere"
	vzctl --quiet suspend 524 --kill
	[ "$(vzctl status 524)" = "CTID 524 exist unmounted down" ]
	# the same with a restore
	run vzctl resume 524 --undump --dumpfile "$CROFT_ROOT/elsewhere"
	status_is 0
	before=$(cat "/proc/$(state 524 init_pid)/root/tmp/count")
	run vzctl status 524
	has 'restored and does not run yet'
	sleep 0.1
	[ "$(cat "/proc/$(state 524 init_pid)/root/tmp/count")" = "$before" ]
	vzctl --quiet resume 524 --kill
	[ "$(vzctl status 524)" = "CTID 524 exist unmounted down" ]
	[ -f "$CROFT_ROOT/elsewhere" ]
	vzctl --quiet resume 524 --undump --dumpfile "$CROFT_ROOT/elsewhere" --keep
	vzctl --quiet resume 524 --resume --keep
	counts_on 524 "$before"
	[ -f "$CROFT_ROOT/elsewhere" ]
	rm "$CROFT_ROOT/elsewhere"
}

# refused TEXT: resume of VPS 525 says it, starts nothing and leaves the file
refused() {
	fails 17 "$1" resume 525
	[ -f "$(dump 525)" ]
	[ "$(vzctl status 525)" = "CTID 525 exist unmounted down suspended" ]
	[ "$(ls "$(vzdir)/dump")" = Dump.525 ]
}

# desc EXPRESSION: the dump of 525 again, with its descriptor changed and every checksum right
forge() {
	python3 - "$(dump 525)" "$1" <<-'P'
	import json, struct, sys
	def crc(d):
	    c = 0xffffffff
	    for b in d:
	        c ^= b
	        for _ in range(8):
	            c = c >> 1 ^ 0x82f63b78 if c & 1 else c >> 1
	    return c ^ 0xffffffff
	b = open(sys.argv[1], 'rb').read()
	size = struct.unpack('<Q', b[72:80])[0]
	j = json.loads(b[64 + 120:64 + 120 + size])
	rest = b[64 + 120 + size + 4:]
	exec(sys.argv[2])
	t = json.dumps(j).encode()
	def header(h, at=None):
	    return h + struct.pack('<I', crc(h))
	total = struct.unpack('<Q', b[16:24])[0] - size + len(t)
	h = b[:16] + struct.pack('<Q', total) + b[24:60]
	e = b[64:72] + struct.pack('<Q', len(t)) + b[80:64 + 116]
	open(sys.argv[1], 'wb').write(header(h) + header(e) + t + struct.pack('<I', crc(t)) + rest)
	P
}

@test "a dump that is cut off, flipped, forged, newer, of another VPS or no dump: refused, nothing started" {
	counter 525
	vzctl --quiet suspend 525
	local good=$CROFT_ROOT/good size at
	cp "$(dump 525)" "$good"
	size=$(stat -c %s "$good")
	for at in 0 150 $((size / 2)) $((size - 4)); do
		python3 -c "import sys; b = bytearray(open('$good', 'rb').read()); b[$at] ^= 4; open('$(dump 525)', 'wb').write(b)"
		refused "dump file"
		head -c "$at" "$good" >"$(dump 525)"
		refused "dump file"
	done
	{ cat "$good"; echo more; } >"$(dump 525)"
	refused damaged
	echo nonsense >"$(dump 525)"
	refused 'cut off'
	cp "$good" "$(dump 525)"
	forge 'j["schema"] = 2'
	refused 'newer version'
	cp "$good" "$(dump 525)"
	forge 'j["ctid"] = 526'
	refused 'of VPS 526'
	cp "$good" "$(dump 525)"
	forge 'j["uid_base"] = 1'
	refused 'had the ids'
	for at in 'j["tty"] = "tty[1:2] --external mnt[/]:/"' 'j["view"] = ["/etc/shadow"]' 'j["view"] = ["/proc/../etc/shadow"]' \
		'j["dev"] = [{"path": "2e2e2f78", "kind": "f", "mode": 0, "uid": 0, "gid": 0, "text": ""}]' 'j["caps"] = "all"' 'j["counters"] = 7'; do
		cp "$good" "$(dump 525)"
		forge "$at"
		refused 'damaged or forged'
	done
	cp "$good" "$(dump 525)"
	# what a migration sends without its memory
	forge 'j["lazy"] = True; b = b[:8] + struct.pack("<I", 2) + b[12:]'
	run --separate-stderr "$build/vzcptcheck" dump "$(dump 525)"
	status_is 2
	[[ "$stderr" == *'part of a migration'* ]]
	cp "$good" "$(dump 525)"
	for lacking in 3dnow xop amx_tile sme; do grep -qw $lacking /proc/cpuinfo || break; done # QEMU has the first
	forge "j['cpu'] += ' $lacking'"
	refused "lacks what the VPS has seen: $lacking"
	# and after all that
	cp "$good" "$(dump 525)"
	vzctl --quiet resume 525
	no_dump
}

@test "start goes on from a dump, or puts aside one that it cannot use; destroy removes all" {
	counter 526
	local before
	before=$(count 526)
	vzctl --quiet suspend 526
	run vzctl start 526
	status_is 0
	has "Dump file $(dump 526) exists, trying to restore from it"
	counts_on 526 "$before"
	vzctl suspend 526 --compress zstd
	run vzctl resume 526 --keep
	status_is 0
	vzctl --quiet stop 526 --fast
	printf x | dd of="$(dump 526)" bs=1 seek=200 conv=notrunc status=none
	run vzctl start 526
	status_is 0
	has 'started anew; what it was doing is kept in'
	[ -f "$(dump 526).failed" ]
	[ "$(vzctl status 526)" = "CTID 526 exist mounted running" ]
	vzctl --quiet stop 526 --fast
	vzctl --quiet destroy 526
	no_dump
}

@test "all processes that it may have: it resumes, and may have no more" {
	vzctl --quiet create 5281 --ostemplate busybox --numproc 30
	vzctl --quiet start 5281
	vzctl exec2 5281 'for i in $(seq 40); do sleep 1000 </dev/null >/dev/null 2>&1 & done' || : # the shell is refused one
	[ "$(vzlist -Ho numproc 5281)" -ge 28 ]
	vzctl --quiet suspend 5281
	vzctl --quiet resume 5281
	[ "$(vzlist -Ho numproc 5281)" -ge 28 ]
	[ "$(vzlist -Ho numproc.l 5281)" -eq 30 ]
	vzctl exec2 5281 'for i in $(seq 40); do sleep 1000 </dev/null >/dev/null 2>&1 & done' 2>"$BATS_TEST_TMPDIR/refused" || :
	grep -q "can't fork" "$BATS_TEST_TMPDIR/refused"
	[ "$(vzlist -Ho numproc 5281)" -le 30 ]
	vzctl --quiet stop 5281 --fast
}

# bytes that it has, of its own and of the kernel's
has() { vzlist -Ho physpages,kmemsize "$1" | awk '{ print $1 * 4096 + $2 }'; }

@test "memory full to the last, of many processes, and no swap: it comes back, and has no more than its limit" {
	local n=0 g
	vzctl --quiet create 527 --ostemplate busybox --ram 64M --swap 0
	vzctl --quiet start 527
	vzctl exec 527 'cat >/root/dirty; chmod 755 /root/dirty' <"$build/tests/checkpoint/dirty"
	while [ "$(has 527)" -lt $((60 << 20)) ]; do
		n=$((n + 2))
		[ $n -lt 100 ]
		vzctl exec 527 "for i in $((n - 1)) $n; do /root/dirty 1 50000 </dev/null >/root/dirty.\$i 2>&1 & done"
		wait_for 5 vzctl exec2 527 "grep -q ready /root/dirty.$((n - 1)) && grep -q ready /root/dirty.$n"
	done
	vzctl --quiet suspend 527
	run --separate-stderr vzctl resume 527
	[ "$status" = 0 ] && [ -z "$stderr" ] || { echo "$status $output $stderr" >&2; return 1; }
	[ "$(vzlist -Ho physpages.l 527 | xargs)" = 16384 ]
	g=$(jq -r '.cgroups[]' "$(rundir 527)/state.json" | grep -E '^(memory|v2)=' | sort | head -n 1 | cut -d= -f2)
	[ "$(cat "$g"/memory.limit_in_bytes "$g/memory.max" 2>/dev/null)" = $((64 << 20)) ]
	[ "$(vzctl exec 527 'pidof dirty | wc -w')" = $n ]
	vzctl exec 527 'killall -TERM dirty; while pidof dirty; do usleep 100000; done' >/dev/null
	[ "$(vzctl exec 527 'grep -l "good after" /root/dirty.* | wc -l')" = $n ]
	vzctl --quiet stop 527 --fast
}

@test "without a CRIU: one line, nothing frozen" {
	vzctl --quiet create 527 --ostemplate busybox
	fails 31 'not running' suspend 527
	fails 17 'dump file' resume 527
	vzctl --quiet start 527
	mkdir "$CROFT_ROOT/lib"
	ln -s "$build"/vz* "$build"/criu-owner.so "$CROFT_ROOT/lib/"
	export CROFT_LIBEXEC=$CROFT_ROOT/lib
	command -v criu || fails 16 'CRIU is not installed (get 4.1 or later: vzcriu get)' suspend 527
	mkdir "$CROFT_ROOT/lib/criu"
	printf '#!/bin/sh\necho Version: 3.17.1\n' >"$CROFT_ROOT/lib/criu/criu"
	chmod 755 "$CROFT_ROOT/lib/criu/criu"
	command -v criu || fails 16 'is 3.17.1 (get one: vzcriu get)' suspend 527
	command -v criu || {
		run -2 --separate-stderr "$build/vzcptcheck" criu
		[[ "$stderr" == *'is 3.17.1 (get one: vzcriu get)' ]]
	}
	export CROFT_LIBEXEC=$build
	[ "$(vzctl status 527)" = "CTID 527 exist mounted running" ]
	no_dump
	fails 20 'Bad value for --compress' suspend 527 --compress gzip
	fails 16 'dump' suspend 527 --dumpfile /proc/none/dump
	run vzctl exec 527 echo alive
	[ "$output" = alive ]
}

@test "simfs: the root is idmapped again after a resume; the node's stop suspends and its start resumes" {
	vzctl --quiet create 528 --ostemplate busybox --layout simfs --onboot yes
	vzctl --quiet start 528
	vzctl exec 528 'touch /root/before; sleep 1000 </dev/null >/dev/null 2>&1 &'
	sed -i 's/^VE_STOP_MODE=.*/VE_STOP_MODE=suspend/' "$CROFT_ROOT/etc/vz/vz.conf"
	run "$build/vz-node" stop
	status_is 0
	[ "$output" = "VPS 528: suspended" ]
	[ "$(vzctl status 528)" = "CTID 528 exist unmounted down suspended" ]
	run "$build/vz-node" start
	status_is 0
	[ "$(vzctl status 528)" = "CTID 528 exist mounted running" ]
	[ "$(vzctl exec 528 'ps | grep -c "[s]leep 1000"; stat -c %u /root/before; touch /root/after; stat -c %u /root/after')" = $'1\n0\n0' ]
	[ "$(stat -c %u "$(vzdir)/private/528/root/after")" = 0 ]
	no_dump
}
