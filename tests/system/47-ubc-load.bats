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

@test "queued signals, locked memory and ptys have their limits without BPF" {
	run --separate-stderr vzctl set 4748 --numsiginfo 50 --lockedpages 20 --numpty 9 --save
	# in the order of the parameters
	case $(method) in
	lsm | fmod_ret) later='--lockedpages (of mlock), --numsiginfo' ;;
	*) later='--lockedpages, --numpty, --numsiginfo' ;;
	esac
	[ "${stderr_lines[-1]}" = "WARNING: $later: the new limit holds from the next start of the VPS on" ]
	# nothing new, nothing said
	run --separate-stderr vzctl set 4748 --numsiginfo 50
	[[ "$stderr" != *'next start of the VPS'* ]]
	vzctl restart 4748
	[ "$(vzctl exec2 4748 'grep -E "pending signals|locked memory" /proc/1/limits' | awk '{ print $(NF - 1) }' | xargs)" = '81920 50' ]
	vzctl exec2 4748 'grep -q "devpts.*max=9" /proc/mounts'
	vzctl set 4748 --numsiginfo unlimited --lockedpages unlimited --numpty unlimited --save
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
