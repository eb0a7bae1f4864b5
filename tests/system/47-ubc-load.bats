#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Loading and unloading what counts by BPF, with whatever this machine allows. One VPS, 4748, for all tests of the file.
# bats file_tags=host
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
	make_root
	vzctl create 4748 --ostemplate busybox
	[ -x "$build/tests/ubc/drive" ] || make -s -C "$build" ubc-programs
}
teardown_file() {
	destroy_all
	remove_root
}

ubc() { "$build/vz-ubc" "$@"; }
method() { ubc status --json | jq -r .method; }
group() { jq -r '.cgroups[]' "$CROFT_ROOT/run/vz/4748/state.json" | sed -n 's/^v2=//p'; }
drive() { "$build/tests/ubc/drive" 4748 "$(group)" "$@"; }

@test "the first start loads it; the method that was proved is shown, and why it is no better one" {
	[ "$(method)" = null ]
	run --separate-stderr vzctl start 4748
	status_is 0
	[ -z "$stderr" ]
	case $(method) in lsm | fmod_ret | cgroup | none) ;; *) false ;; esac
	[ "$(method)" = lsm ] || [ -n "$(ubc status --json | jq -r .why)" ]
	# programs that this kernel will not have are a fault of ours, whatever it allows
	[[ "$(ubc status --json | jq -r .why)" != *'Invalid argument'* ]]
	# what is told in JSON is told to people
	ubc status | grep -qx "method *$(method)"
}

@test "a limit on TCP sockets is refused exactly, where any method works" {
	case $(method) in
	none) [ "$(ubc status --json | jq -r .counters.numtcpsock)" = stored ] ;;
	*)
		[ "$(ubc status --json | jq -r .counters.numtcpsock)" = enforced ]
		run drive numtcpsock accepted
		[ "$status" = 0 ] || { grep -v ^ok <<<"$output"; false; }
		;;
	esac
	# of other sockets this method sees those of the Internet alone: no limit on all of them
	[ "$(method)" != cgroup ] || [ "$(ubc status --json | jq -r .counters.numothersock)" = accounted ]
	# and only as long as somebody has such a limit
	[ "$(ubc status --json | jq -c .attached)" = '[]' ]
}

@test "--numtcpsock of set, without --save, and its end by --reset_ub" {
	vzctl set 4748 --numtcpsock 30
	[ "$(drive row numtcpsock | cut -d' ' -f3)" = 30 ]
	vzctl set 4748 --reset_ub
	[ "$(drive row numtcpsock | cut -d' ' -f3)" = 9223372036854775807 ]
}

@test "two loaders at once and one of another version: all end well, what was counted is kept" {
	vzctl set 4748 --numtcpsock 25
	drive plant numproc 0
	drive version 7
	ubc load &
	ubc load
	wait $!
	[ "$(ubc status --json | jq .version)" != 7 ]
	[ "$(drive row numtcpsock | cut -d' ' -f3)" = 25 ]
	# and so does the next start
	drive version 7
	vzctl restart 4748
	[ "$(ubc status --json | jq .version)" != 7 ]
}

@test "reconcile: nothing is wrong, or there is nothing to compare" {
	case $(method) in
	none)
		run --separate-stderr ubc reconcile
		status_is 6
		[ "$stderr" = 'no BPF programs count here: No such file or directory' ]
		;;
	*) [ "$(ubc reconcile)" = 'nothing was wrong' ] ;;
	esac
}

# limits_of PID: hard limits of locked memory and queued signals of a process of the VPS
limits_of() { vzctl exec2 4748 "grep -E 'pending signals|locked memory' /proc/$1/limits" | awk '{ print $(NF - 1) }' | xargs; }

@test "queued signals, locked memory and ptys have their limits without BPF" {
	run --separate-stderr vzctl set 4748 --numsiginfo 50 --lockedpages 20 --numpty 9 --save
	# in the order of the parameters; what each process has is changed in those that run
	case $(method) in
	lsm | fmod_ret) later='' ;;
	*) later='--numpty, ' ;;
	esac
	[ "${stderr_lines[-1]}" = "WARNING: $later--numsiginfo (of all its users together): the new limit holds from the next start of the VPS on" ]
	[ "$(limits_of 1)" = '81920 50' ]
	# nothing new, nothing said
	run --separate-stderr vzctl set 4748 --numsiginfo 50
	[[ "$stderr" != *'next start of the VPS'* ]]
	vzctl restart 4748
	[ "$(limits_of 1)" = '81920 50' ]
	vzctl exec2 4748 'grep -q "devpts.*max=9" /proc/mounts'
	vzctl set 4748 --numsiginfo unlimited --lockedpages unlimited --numpty unlimited --save
}

@test "a lower limit of each process reaches all that run, those born meanwhile and one's own lower ones" {
	vzctl set 4748 --lockedpages 100 --save
	vzctl restart 4748
	# two that are born all the time, one that has less, one in a session of its own
	vzctl exec2 4748 'for i in 1 2; do (while :; do /bin/true; done) & done; (ulimit -l 16; exec sleep 1000) & setsid sleep 1000 & exec >&- 2>&-'
	run --separate-stderr vzctl set 4748 --lockedpages 50
	[[ "$stderr" != *'next start of the VPS on'* ]]
	all=$(vzctl exec2 4748 'for p in /proc/[0-9]*; do grep -s "locked memory" $p/limits; done' | awk '{ print $(NF - 1) }' | sort -n | uniq -c | awk '{ print $2 }' | xargs)
	[ "$all" = '16384 204800' ]
	# up again: where this node's root may, and else from the next start on
	run --separate-stderr vzctl set 4748 --lockedpages 80
	now=$(vzctl exec2 4748 'grep "locked memory" /proc/1/limits' | awk '{ print $(NF - 1) }')
	if [[ "$stderr" == *'next start of the VPS on'* ]]; then [ "$now" = 204800 ]; else [ "$now" = 327680 ]; fi
	vzctl exec2 4748 'kill -9 -1' || :
	vzctl set 4748 --lockedpages unlimited --save
}

@test "TCP buffers: one limit for both ways on cgroup v1, and one line where there is none" {
	group=$(jq -r '.cgroups[]' "$CROFT_ROOT/run/vz/4748/state.json" | sed -n 's/^memory=//p')
	file=$group/memory.kmem.tcp.limit_in_bytes
	run --separate-stderr vzctl set 4748 --tcpsndbuf 400000:500000 --tcprcvbuf 400000:524000
	if [ -n "$group" ] && [ -e "$file" ]; then
		[[ "$stderr" != *'nothing on this node enforces'* ]]
		[ "$(cat "$file")" = 1024000 ] || [ "$(cat "$file")" = 1019904 ] # whole pages
		vzlist -j 4748 | jq -e '.[0].tcpsndbuf.mode == "enforced" and .[0].tcprcvbuf.mode == "enforced"'
		# one that listens and does not read; the other waits when there is no room
		vzctl exec 4748 'sleep 100 | nc -l -p 4749 -e sleep 100 >/dev/null 2>&1 & sleep 100 | nc -l -p 4750 -e sleep 100 >/dev/null 2>&1 &'
		vzctl exec 4748 'for p in 4749 4750; do (while ! nc 127.0.0.1 $p </dev/zero; do :; done) >/dev/null 2>&1 & done'
		used() { [ "$(cat "$group/memory.kmem.tcp.usage_in_bytes")" "$@" ]; }
		wait_for 100 used -ge 900000
		used -le 1500000 # a packet or two of each more are on their way
		# it was the limit that held them up
		vzctl set 4748 --tcprcvbuf unlimited
		wait_for 100 used -gt 2000000
		vzctl exec2 4748 'kill -9 -1' || :
	else
		[[ "$stderr" == *'--tcpsndbuf, --tcprcvbuf: counted, but nothing on this node enforces such a limit'* ]]
	fi
	# one way alone bounds nothing
	run --separate-stderr vzctl set 4748 --tcprcvbuf unlimited
	run --separate-stderr vzctl set 4748 --tcpsndbuf 400000
	[[ "$stderr" == *'--tcpsndbuf: counted, but nothing on this node enforces such a limit'* ]]
	[ ! -e "$file" ] || [ "$(cat "$file")" -gt 1000000000000 ]
	vzctl set 4748 --reset_ub
}

@test "bad input: one line, the right code, nothing changed" {
	run --separate-stderr vzctl ubc-unload
	status_is 32
	[ "$stderr" = '1 VPSes run, and their limits would not hold any more: Device or resource busy' ]
	fails 20 'Invalid extra arguments' ubc-load --again --again
	run --separate-stderr vzctl ubc-load --twice
	status_is 20
	[ "$(drive row numtcpsock | wc -w)" = 4 ]
}

@test "unload, and the next start loads it again" {
	vzctl stop 4748 --fast
	vzctl ubc-unload
	[ "$(method)" = null ]
	[ ! -e "$CROFT_ROOT/run/vz/bpf/table" ]
	vzctl start 4748
	[ "$(method)" != null ]
}
