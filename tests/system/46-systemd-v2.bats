#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A VPS with systemd (4646) on cgroup2 with all controllers: it divides what it is given.
# bats file_tags=node,v2
# templates: debian-12
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
	make_root overlay
	template debian-12
	vzctl create 4646 --ostemplate debian-12 --config vswap-512m
	vzctl set 4646 --numproc 300 --hostname deb46 --save
	vzctl start 4646 --wait
}
teardown_file() {
	destroy_all
	remove_root
}

cg() { jq -r '.cgroups[]' "$CROFT_ROOT/run/vz/4646/state.json" | sed -n 's/^v2=//p'; }

@test "systemd boots, nothing failed, and it has the controllers" {
	run vzctl exec2 4646 'systemctl is-system-running --wait; systemctl --no-legend --plain --failed'
	[ "$output" = running ]
	run vzctl exec2 4646 cat /sys/fs/cgroup/cgroup.subtree_control
	has memory
	has pids
}

@test "limits of a service inside are the kernel's" {
	vzctl exec2 4646 systemd-run --quiet --unit bats-few -p MemoryMax=32M -p TasksMax=5 sleep 600
	[ "$(cat "$(cg)/payload/system.slice/bats-few.service/memory.max")" = $((32 << 20)) ]
	[ "$(cat "$(cg)/payload/system.slice/bats-few.service/pids.max")" = 5 ]
	vzctl exec2 4646 systemctl stop bats-few
	[ ! -e "$(cg)/payload/system.slice/bats-few.service" ]
}

@test "exec in a VPS whose systemd enabled controllers: scopes and sessions inside the exec" {
	[ "$(vzctl exec2 4646 echo in)" = in ]
	vzctl exec2 4646 systemd-run --quiet --scope true
	run vzctl exec2 4646 "su - nobody -s /bin/sh -c 'id -un'"
	status_is 0
	has nobody
}

@test "exec in a systemd VPS at its limit of processes" {
	vzctl set 4646 --numproc 60
	vzctl exec 4646 'for i in $(seq 80); do sleep 600 & done' >/dev/null 2>&1 || :
	full() { [ "$(cat "$(cg)/pids.current")" -ge 58 ]; }
	wait_for 30 full
	run vzctl exec3 4646 /bin/cat /proc/self/status
	status_is 0
	has Name:
	run vzctl exec3 4646 /usr/bin/pkill sleep
	status_is 0
	vzctl set 4646 --numproc 300
}

@test "stop goes through systemd, and nothing is killed" {
	run --separate-stderr vzctl stop 4646
	status_is 0
	[ -z "$stderr" ]
	[[ "$output" != *Killing* ]]
	[ "$(vzctl status 4646)" = "CTID 4646 exist unmounted down" ]
}
