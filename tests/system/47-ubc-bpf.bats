#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Beancounters counted and refused by BPF, where the kernel lets us load it (nodes). One VPS, 4747, for all tests of the
# file; tests/ubc/drive.c does the work, as few programs as possible are started.
# bats file_tags=node,bpf
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
	make_root
	vzctl create 4747 --ostemplate busybox
	vzctl start 4747
}
teardown_file() {
	destroy_all
	remove_root
}

ubc() { "$build/vz-ubc" "$@"; }
group() { jq -r '.cgroups[]' "$CROFT_ROOT/run/vz/4747/state.json" | sed -n 's/^v2=//p'; }
drive() { "$build/tests/ubc/drive" 4747 "$(group)" "$@"; }
objects='numfile numflock numtcpsock numothersock numpty accept'
all="$objects inherit passed cycles nested adopt privvmpages fork lockedpages shmpages"

# tries METHOD CASE...: with that method, all cases
tries() {
	local method=$1
	shift
	[ "$(ubc status --json | jq -r .method)" = "$method" ]
	run drive "$@"
	[ "$status" = 0 ] || {
		grep -v ^ok <<<"$output"
		return 1
	}
}

@test "BPF LSM: each counter refuses at its limit, inside alone, and comes back to zero" {
	# shellcheck disable=SC2086
	tries lsm $all
}

@test "BPF LSM: four processes that do everything at once and are killed leave nothing" {
	tries lsm storm
}

@test "set: the errno inside, the record of who was refused, the same limit for exec" {
	vzctl set 4747 --numfile 60
	run vzctl exec2 4747 'exec 2>&1; echo "I am $$"; for i in $(seq 3 90); do eval "exec $i</dev/null" || exit 7; done'
	[ "$status" != 0 ]
	has 'Too many open files in system'
	# the pid is that inside
	pid=$(vzctl failures 4747 --json | jq '.[-1] | select(.counter == "numfile") | .pid')
	[ "$pid" -gt 1 ]
	has "I am $pid"
	read -r _ max limit fail <<<"$(drive row numfile)"
	[ "$max" = 60 ]
	[ "$limit" = 60 ]
	[ "$fail" -ge 1 ]
	vzctl set 4747 --numfile unlimited
	[ "$(ubc status --json | jq -c .attached)" = '[]' ]
}

@test "set --shmpages: tmpfs is full at the limit wherever it is mounted; what is removed comes back" {
	vzctl set 4747 --shmpages 300
	read -r before _ <<<"$(drive row shmpages)"
	run vzctl exec2 4747 'cd /dev/shm; dd if=/dev/zero of=x bs=4096 count=400; rm x; dd if=/dev/zero of=y bs=4096 count=200 || exit 1
		mount -t tmpfs none /mnt; dd if=/dev/zero of=/mnt/z bs=4096 count=150; wc -c <y; wc -c </mnt/z'
	has 'No space left on device'
	[ "${lines[-2]}" = $((200 * 4096)) ]
	[ "${lines[-1]}" = $(((100 - before) * 4096)) ]
	read -r held max _ fail <<<"$(drive row shmpages)"
	[ "$held" = 300 ]
	[ "$max" = 300 ]
	[ "$fail" -ge 2 ]
	vzctl failures 4747 --json | jq -e '.[-1] | .counter == "shmpages" and .command == "dd" and .limit == 300'
	vzctl exec2 4747 'umount /mnt; rm /dev/shm/y'
	back() { [ "$(drive row shmpages | cut -d" " -f1)" = "$before" ]; }
	wait_for 10 back
	vzctl set 4747 --shmpages unlimited
}

@test "no limit, no program: a VPS with memory limits alone has none attached" {
	vzctl set 4747 --ram 200M --swap 0
	[ "$(ubc status --json | jq -c .attached)" = '[]' ]
	[ -z "$(ls "$(pins)/links")" ]
	vzctl set 4747 --numflock 100
	[ "$(ubc status --json | jq -c .attached)" = '["locks"]' ]
	[ -n "$(ls "$(pins)/links")" ]
}
pins() { echo "$CROFT_ROOT/run/vz/bpf"; }

@test "reconcile mends planted drift and says how much" {
	vzctl set 4747 --numfile 1000
	run ubc reconcile
	[ "$output" = 'nothing was wrong' ]
	drive plant numfile 7
	run ubc reconcile
	[ "$output" = 'VPS 4747: numfile was 7 too many, mended' ]
	drive plant numfile -3
	run ubc reconcile
	[ "$output" = 'VPS 4747: numfile was 3 too few, mended' ]
	# a file whose end was not seen
	drive ghost
	run ubc reconcile
	[ "$output" = 'VPS 4747: numfile was 1 too many, mended' ]
	[ "$(ubc reconcile)" = 'nothing was wrong' ]
}

@test "programs of another version: upgraded in place, two loaders at once, counters kept" {
	vzctl set 4747 --numfile 60
	run vzctl exec2 4747 'for i in $(seq 3 90); do eval "exec $i</dev/null"; done'
	before=$(drive row numfile)
	drive version 1
	ubc load &
	ubc load
	wait $!
	[ "$(ubc status --json | jq -r .method)" = lsm ]
	[ "$(ubc status --json | jq .version)" != 1 ]
	[ "$(drive row numfile)" = "$before" ]
	[ "$(ubc reconcile)" = 'nothing was wrong' ]
	run vzctl exec2 4747 'exec 2>&1; for i in $(seq 3 90); do eval "exec $i</dev/null"; done'
	has 'Too many open files in system'
}

@test "unload: refused while VPSes run" {
	run --separate-stderr ubc unload
	status_is 32
	[[ "$stderr" == '1 VPSes run, and their limits would not hold any more'* ]]
}

@test "without LSM: fmod_ret does the same" {
	ubc load-below-lsm
	# shellcheck disable=SC2086
	tries fmod_ret $objects adopt privvmpages fork lockedpages shmpages
}

@test "without both: sockets of the Internet by control groups, the rest is counted only and set says so" {
	ubc load-below-fmod_ret
	tries cgroup numtcpsock accepted
	run --separate-stderr vzctl set 4747 --numfile 50
	[ "${stderr_lines[0]}" = 'WARNING: --numfile: counted, but nothing on this node enforces such a limit' ]
}

@test "without all three: VPSes run, limits are kept" {
	ubc load-below-cgroup
	[ "$(ubc status --json | jq -r .method)" = none ]
	vzctl restart 4747
	run --separate-stderr vzctl set 4747 --numtcpsock 50
	[ "${stderr_lines[0]}" = 'WARNING: --numtcpsock: counted, but nothing on this node enforces such a limit' ]
	ubc load --again
	[ "$(ubc status --json | jq -r .method)" = lsm ]
	tries lsm numfile
}
