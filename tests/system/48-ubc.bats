#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What people see of the beancounters, inside and outside, whatever counts them. Two VPSes, 4801 and 4802.
# bats file_tags=host,node
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/escape

vzubc() { "$build/vzubc" "$@"; }

setup_file() {
	escape_root
	vzctl --quiet create 4801 --ostemplate busybox --hostname counted
	vzctl --quiet set 4801 --ram 256M --swap 64M --numproc 60 --numfile 3000 --save
	vzctl --quiet create 4802 --ostemplate busybox
	vzctl --quiet start 4801
	vzctl --quiet start 4802
	arm 4801
}
teardown_file() {
	destroy_all
	remove_root
}
teardown() { vzctl exec3 4801 /bin/busybox killall -9 sleep nc cat bomb >/dev/null 2>&1 || :; }

inside() { vzctl exec3 4801 /bin/cat /run/vz/user_beancounters; }
# field 1 held, 2 maxheld, 3 barrier, 4 limit, 5 failcnt of a counter, as 4801 itself reads it
value() { inside | awk -v c="$1" -v n="$2" '{ for (i = 1; i <= 2; i++) if ($i == c) print $(i + n) }'; }
held() { value "$1" 1; }
held_is() { [ "$(held "$1")" = "$2" ]; }
held_above() { [ "$(held "$1")" -gt "$2" ]; }
# hold KIND N: by tests/escape/bomb, until teardown
hold() { vzctl exec 4801 "sleep 100 | /root/escape/bomb $* >/tmp/bomb.out 2>&1 &"; }

node_file() { echo "$CROFT_ROOT/run/vz/user_beancounters"; }
monitor() { jq .mon_pid "$CROFT_ROOT/run/vz/$1/state.json"; }

@test "a VPS reads its own counters in the format of old, with its real CTID, and cannot write them" {
	run inside
	status_is 0
	[ "${lines[0]}" = 'Version: 2.5' ]
	[ "${lines[1]}" = "$(printf '%10s  %-12s %20s %20s %20s %20s %20s' uid resource held maxheld barrier limit failcnt)" ]
	[ "${#lines[@]}" = 27 ]
	[[ "${lines[2]}" == '      4801: kmemsize '* ]]
	[[ "${lines[26]}" == '            swappages '* ]]
	[ "$(printf '%s\n' "${lines[@]:2}" | grep -c dummy)" = 4 ]
	! grep -q 4802 <<<"$output"
	[ "$(value numproc 4)" = 60 ]
	[ "$(value physpages 4)" = 65536 ]
	[ "$(value swappages 4)" = 16384 ]
	[ "$(value numfile 3)" = 3000 ]
	[ "$(value kmemsize 1)" -gt 0 ]
	[ "$(value numtcpsock 4)" = 9223372036854775807 ]
	# 0400, of root, and nobody else may look
	run vzctl exec 4801 'stat -c "%a %u" /run/vz/user_beancounters; touch /run/vz/x'
	[ "${lines[0]}" = '400 0' ]
	has 'Read-only'
	run vzctl exec2 4801 'mount -o remount,rw /run/vz; umount /run/vz; : >/run/vz/failures'
	[ "$status" -ne 0 ]
	run vzctl exec2 4801 'su -s /bin/sh nobody -c "cat /run/vz/user_beancounters"'
	[ "$status" -ne 0 ]
	[ "$(vzctl exec3 4801 /bin/cat /run/vz/user_beancounters | head -n 1)" = 'Version: 2.5' ]
}

@test "what a VPS holds is in the file when it is opened, and not any more when it has gone" {
	before=$(held numfile)
	vzctl exec 4801 'sh -c "exec 5</dev/null 6</dev/null 7</dev/null 8</dev/null; exec sleep 100" >/dev/null 2>&1 &'
	wait_for 60 held_above numfile $((before + 3))
	vzctl exec3 4801 /bin/busybox killall -9 sleep
	gone() { [ "$(held numfile)" -le $((before + 3)) ]; }
	wait_for 60 gone
	[ "$(value numfile 2)" -ge $((before + 4)) ] # maxheld
	hold lock 1
	wait_for 60 held_is numflock 1
	vzctl exec3 4801 /bin/busybox killall -9 bomb
	wait_for 60 held_is numflock 0
}

# bats test_tags=v2
@test "each counter sees what is held of its kind" {
	ptys=$(held numpty)
	hold pty 3
	wait_for 60 held_is numpty $((ptys + 3))
	other=$(held numothersock)
	hold socket 20
	wait_for 60 held_above numothersock $((other + 19))
	private=$(held privvmpages)
	hold memory 20
	wait_for 60 held_above privvmpages $((private + 20 * 256 - 1))
	shared=$(held shmpages)
	vzctl exec2 4801 'head -c 4m /dev/zero >/dev/shm/x'
	wait_for 60 held_above shmpages $((shared + 1023))
	vzctl exec2 4801 'rm /dev/shm/x'
	hold signal 30
	wait_for 60 held_above numsiginfo 29
	[ "$(held oomguarpages)" -ge "$(($(held physpages) / 2))" ]
}

@test "sockets and what lies in their buffers" {
	tcp=$(held numtcpsock)
	# a listener that does not read, and somebody who sends until nothing goes any more
	vzctl exec 4801 'sleep 100 | nc -l -p 4848 -e sleep 100 >/dev/null 2>&1 &'
	wait_for 60 held_above numtcpsock "$tcp"
	vzctl exec 4801 'cat /dev/zero | nc 127.0.0.1 4848 >/dev/null 2>&1 &'
	wait_for 60 held_above tcpsndbuf 1000
	wait_for 60 held_above tcprcvbuf 1000
	[ "$(held numtcpsock)" -ge $((tcp + 2)) ]
	# who is outside sees what was found last
	[ "$(vzlist -H -o tcpsndbuf.m 4801 | xargs)" -gt 1000 ]
}

@test "rules in its network namespace are counted" {
	init=$(init_of 4801)
	nsenter -t "$init" -n nft -f - <<<'table ip t { chain c { ip saddr 192.0.2.1 drop; ip saddr 192.0.2.2 drop; accept; }; }'
	wait_for 60 held_is numiptent 3
	nsenter -t "$init" -n nft delete table ip t
	wait_for 60 held_is numiptent 0
}

@test "a refused fork is counted, and leaves a record that both sides can read" {
	run vzctl failures 4802
	status_is 0
	[ -z "$output" ]
	fails=$(vzlist -H -o numproc.f 4801 | xargs)
	vzctl exec 4801 'n=0; while [ $n -lt 70 ]; do sleep 100 & n=$((n + 1)); done' >/dev/null 2>&1 || :
	[ "$(vzlist -H -o numproc.f 4801 | xargs)" -gt "$fails" ]
	[ "$(vzlist -H -o numproc.m 4801 | xargs)" -ge 59 ]
	run vzctl failures 4801
	status_is 0
	[[ "${lines[-1]}" =~ ^20[0-9-]+T[0-9:]+Z\ numproc\ held\ [0-9]+\ limit\ 60\ asked\ [0-9]+\ pid\ [0-9]+\ command\ .+$ ]]
	vzctl failures 4801 --json | jq -e '.[-1] | .counter == "numproc" and .limit == 60 and .time > 1e9 and .seq > 0'
	vzctl exec3 4801 /bin/busybox killall -9 sleep
	told() { vzctl exec3 4801 /bin/cat /run/vz/failures | grep -q ' numproc held '; }
	wait_for 60 told
	# seen once, recorded once
	n=$(vzctl failures 4801 | wc -l)
	[ "$(vzctl failures 4801 | wc -l)" = "$n" ]
	[ "$(value numproc 5)" -gt 0 ]
}

@test "--follow tells the next one, and ends when the VPS is stopped" {
	vzctl failures 4801 --follow --json >"$BATS_TEST_TMPDIR/seen" 3>&- &
	pid=$!
	n=$(vzctl failures 4801 | wc -l)
	shown() { [ "$(wc -l <"$BATS_TEST_TMPDIR/seen")" = "$1" ]; }
	wait_for 60 shown "$n"
	vzctl exec 4801 'n=0; while [ $n -lt 70 ]; do sleep 100 & n=$((n + 1)); done' >/dev/null 2>&1 || :
	more() { [ "$(wc -l <"$BATS_TEST_TMPDIR/seen")" -gt "$n" ]; }
	wait_for 60 more
	[ "$(tail -n 1 "$BATS_TEST_TMPDIR/seen" | jq -r .counter)" = numproc ]
	vzctl --quiet stop 4801 --fast
	wait $pid
	fails 31 'not running' failures 4801
	vzctl --quiet start 4801
	# of the new life there is nothing yet
	[ -z "$(vzctl failures 4801)" ]
}

@test "vzlist shows every counter in five forms, and in JSON with how it is held up" {
	for c in $(inside | awk 'NR > 2 { print $1 ~ /:/ ? $2 : $1 }' | grep -v dummy); do
		fields+=$c,$c.m,$c.b,$c.l,$c.f,
	done
	run --separate-stderr vzlist -H -o "${fields%,}" 4801
	status_is 0
	[ -z "$stderr" ]
	[ "$(wc -w <<<"$output")" = 105 ]
	[[ ! "$output" =~ \ -\  ]]
	# one that does not run has its limits only
	vzctl --quiet create 4803 --ostemplate busybox
	[ "$(vzlist -H -a -o numfile,numfile.m,numfile.f 4803 | xargs)" = '- - -' ]
	vzlist -j 4801 | jq -e '.[0].numproc | .mode == "enforced" and .held > 0 and .limit == 60'
	vzlist -j 4801 | jq -e '[.[0][] | objects | .mode? // empty] | length == 21 and
		all(. == "stored" or . == "accounted" or . == "guarantee" or . == "enforced")'
	vzlist -j 4801 | jq -e '.[0].numfile.mode != "stored" and .[0].kmemsize.mode == "accounted"'
	vzlist -j 4803 | jq -e '.[0].numproc | .mode == "stored" and .held == 0'
	vzctl --quiet destroy 4803
}

@test "the node's file has all groups, the node's own first, and is new when it is read" {
	run cat "$(node_file)"
	[ "${lines[0]}" = 'Version: 2.5' ]
	[[ "${lines[2]}" == '         0: kmemsize '* ]]
	[ "$(grep -c kmemsize <<<"$output")" = 3 ]
	[ "$(stat -c %a "$(node_file)")" = 400 ]
	vzctl --quiet stop 4802 --fast
	without() { [ "$(grep -c kmemsize "$(node_file)")" = 2 ] && grep -q ' 4801:' "$(node_file)"; }
	wait_for 60 without
	# whoever watched it for all has ended: another one does
	vzctl --quiet start 4802
	vzctl --quiet stop 4801 --fast
	with() { [ "$(grep -c kmemsize "$(node_file)")" = 2 ] && grep -q ' 4802:' "$(node_file)"; }
	wait_for 60 with
	vzctl --quiet stop 4802 --fast
	alone() { [ "$(grep -c kmemsize "$(node_file)")" = 1 ]; }
	wait_for 60 alone
	vzctl --quiet start 4801
	vzctl --quiet start 4802
}

@test "a VPS that opens the file in a loop gets its answers, and the node few programs" {
	[ -e "$CROFT_ROOT/run/vz/4801/fresh" ] # this kernel asks vzmon
	run vzctl exec2 4801 'i=0; while [ $i -lt 5000 ]; do read -r x </run/vz/user_beancounters || exit 1; i=$((i+1)); done'
	status_is 0
	file=$CROFT_ROOT/run/vz/4801/inside/user_beancounters
	for _ in {1..200}; do
		read -r _ <"$file"
		stat -c %y "$file"
	done >"$BATS_TEST_TMPDIR/written"
	[ "$(sort -u "$BATS_TEST_TMPDIR/written" | wc -l)" -lt 100 ]
	# 32 at once
	run vzctl exec2 4801 'for i in 1 2 3 4 5 6 7 8; do (for k in 1 2 3 4; do cat /run/vz/user_beancounters /run/vz/failures; done) & done | grep -c swappages'
	[ "${lines[-1]}" = 32 ]
	run vzctl exec3 4801 /bin/true
	status_is 0
}

@test "readers wait for a monitor, and do not hang when it is killed" {
	vzctl --quiet stop 4802 --fast
	vzctl --quiet start 4802
	pid=$(monitor 4802)
	file=$CROFT_ROOT/run/vz/4802/inside/user_beancounters
	kill -STOP "$pid"
	cat "$file" >"$BATS_TEST_TMPDIR/read" 3>&- &
	reader=$!
	waits() { grep -q fanotify "/proc/$reader/stack" 2>/dev/null || [ "$(awk '/^State/ { print $2 }' "/proc/$reader/status")" != R ]; }
	wait_for 60 waits
	[ -e "/proc/$reader" ]
	kill -KILL "$pid"
	wait $reader
	timeout 60 cat "$file" >/dev/null
	down() { vzctl status 4802 | grep -q ' down'; }
	wait_for 60 down
	vzctl --quiet start 4802
	wait_for 60 grep -q ' 4802:' "$file"
}

@test "a kernel that asks no monitor: the files are those of start, then of vzubc" {
	[ -x "$build/tests/lib/deny-syscall" ] || make -s -C "$build" tests/lib/deny-syscall
	vzctl --quiet stop 4802 --fast
	"$build/tests/lib/deny-syscall" fanotify_init "$build/vzctl" --quiet start 4802
	[ ! -e "$CROFT_ROOT/run/vz/4802/fresh" ]
	read_it() { vzctl exec3 4802 /bin/cat /run/vz/user_beancounters; }
	run read_it
	has ' 4802: kmemsize'
	inside_before=$output
	vzctl exec 4802 'sh -c "exec 5</dev/null 6</dev/null 7</dev/null; exec sleep 100" >/dev/null 2>&1 &'
	[ "$(read_it)" = "$inside_before" ]
	changed() { vzubc >/dev/null && [ "$(read_it | awk '$1 == "numfile" { print $2 }')" -ge $(($(awk '$1 == "numfile" { print $2 }' <<<"$inside_before") + 3)) ]; }
	wait_for 60 changed
	vzctl --quiet stop 4802 --fast
	vzctl --quiet start 4802
}

@test "vzubc: tables, what is near its limit, differences, colours" {
	run vzubc 4801
	status_is 0
	[ "${lines[0]}" = -------------------------------------------------------------------- ]
	[ "${lines[1]}" = 'CT 4801      | HELD  Bar%  Lim%| MAXH  Bar%  Lim%| BAR | LIM | FAIL' ]
	has '      numproc|'
	[[ "$output" != *numothersock* ]]
	run vzubc -v 4801 4802
	[ "$(grep -c '|' <<<"$output")" = 44 ]
	run vzubc -q -qh 1 -qm 1 4801
	[[ "$output" != *numfile* ]]
	run vzubc -q -qh 0 4801
	has numfile
	run vzubc -c -q -qh 0 4801
	has $'\e[1;31m      numfile'
	run vzubc -r -i 4801
	has '+FAIL'
	vzctl exec 4801 'n=0; while [ $n -lt 70 ]; do sleep 100 & n=$((n + 1)); done' >/dev/null 2>&1 || :
	run vzubc -r -i 4801
	[[ "$output" =~ numproc\|[^$'\n']*\|\ *\+[0-9]+ ]]
	run vzubc -rc -ic 4801
	[[ ! "$output" =~ numproc\|[^$'\n']*\|\ *\+[0-9]+ ]]
	[ "$(stat -c %a "$CROFT_ROOT/run/vz/vzubc")" = 700 ]
	run vzubc
	has 'CT 4801 '
	run vzubc -v 0
	has 'CT 0 '
	[ "$(inside | "$build/vzubc" -v -f - | grep -c '|')" = 22 ]
}

# refuses TEXT ARG...: vzubc ARG... ends with 1 after one line on stderr that has TEXT, and nothing else
refuses() {
	local text=$1
	shift
	run --separate-stderr "$build/vzubc" "$@"
	# shellcheck disable=SC2154
	[ "$status" -eq 1 ] && [ -z "$output" ] && [ "${#stderr_lines[@]}" -eq 1 ] && [[ "$stderr" == *"$text"* ]] || {
		echo "vzubc $*: status $status; stdout: $output; stderr: $stderr" >&2
		return 1
	}
}

@test "vzubc: bad input" {
	refuses 'unknown option' -x
	refuses 'ratio' -qh 1.5
	refuses 'ratio' -qm abc
	refuses 'needs an argument' -f
	refuses 'seconds' -wn 0
	refuses 'neither a CTID nor a name' nosuchname
	refuses 'does not run' 4899
	refuses 'No such file' -f "$BATS_TEST_TMPDIR/none"
	echo nonsense >"$BATS_TEST_TMPDIR/bad"
	refuses 'format' -f "$BATS_TEST_TMPDIR/bad"
	mkdir -m 777 "$BATS_TEST_TMPDIR/open"
	refuses 'others can write' -r -rd "$BATS_TEST_TMPDIR/open" 4801
	mkdir -m 700 "$BATS_TEST_TMPDIR/own"
	ln -s "$CROFT_ROOT/mark" "$BATS_TEST_TMPDIR/own/4801.failcnt"
	refuses 'cannot be kept' -rc -rd "$BATS_TEST_TMPDIR/own" 4801
	[ "$(cat "$CROFT_ROOT/mark")" = secret ]
	fails 20 'Invalid' failures 4801 more
	fails 20 'Invalid option' failures 4801 --nosuch
}

@test "vzubc -w runs watch" {
	mkdir "$BATS_TEST_TMPDIR/bin"
	printf '#!/bin/sh\necho "$@"\n' >"$BATS_TEST_TMPDIR/bin/watch"
	chmod +x "$BATS_TEST_TMPDIR/bin/watch"
	run env "PATH=$BATS_TEST_TMPDIR/bin:$PATH" "$build/vzubc" -w -wd -wn 5 -q 4801
	status_is 0
	[ "$output" = "-d -n 5 -x -- $build/vzubc -q 4801" ]
	run env PATH=/nonexistent "$build/vzubc" -w
	status_is 1
	has 'watch(1) cannot be run'
}

@test "--reset_ub sets all limits of the configuration again" {
	limit() {
		local g
		for g in $(jq -r '.cgroups[]' "$CROFT_ROOT/run/vz/4801/state.json" | sed 's/^[a-z0-9]*=//' | sort -u); do
			[ ! -e "$g/pids.max" ] || cat "$g/pids.max"
		done
	}
	[ "$(limit)" = 60 ]
	vzctl --quiet set 4801 --numproc 50
	[ "$(limit)" = 50 ]
	limit_shown() { [ "$(value numproc 4)" = "$1" ]; } # the file may be half a second old
	wait_for 60 limit_shown 50
	run vzctl set 4801 --reset_ub
	status_is 0
	[ "$(limit)" = 60 ]
	wait_for 60 limit_shown 60
}

# bats test_tags=v2
@test "guarantees: memory.low and memory.min, and the sum above; or one line that says no" {
	g=$(jq -r '.cgroups[]' "$CROFT_ROOT/run/vz/4801/state.json" | sed -n 's/^v2=//p')
	if [ -e "$g/memory.low" ]; then
		vzctl --quiet set 4801 --vmguarpages 1000 --oomguarpages 2000
		vzctl --quiet set 4802 --vmguarpages 500
		[ "$(cat "$g/memory.low" "$g/memory.min" "$g/../memory.low" "$g/../memory.min" | xargs)" = '4096000 8192000 6144000 8192000' ]
		vzlist -j 4801 | jq -e '.[0].vmguarpages.mode == "guarantee" and .[0].oomguarpages.mode == "guarantee"'
		vzctl --quiet stop 4802 --fast
		[ "$(cat "$g/../memory.low")" = 4096000 ]
		vzctl --quiet start 4802
		vzctl --quiet set 4801 --reset_ub
		[ "$(cat "$g/memory.low" "$g/memory.min" "$g/../memory.low" "$g/../memory.min" | xargs)" = '0 0 0 0' ]
	else
		run vzctl set 4801 --vmguarpages 1000
		status_is 0
		has 'no memory.low on this kernel; stored, not enforced'
		vzlist -j 4801 | jq -e '.[0].vmguarpages.mode == "stored"'
		vzctl --quiet set 4801 --reset_ub
	fi
}
