#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host,node
# Every host step of start and create fails once and is killed once: what is left is told by status, the next command
# mends it.
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { make_root overlay; }
teardown_file() { remove_root; }
teardown() { destroy_all; }

# steps TABLE FILE: how many steps the table in src/ops/FILE.c has
steps() { sed -n "/op_step $1\[\]/,/^};/p" "$top/src/ops/$2.c" | grep -c '{ "'; }

@test "start: each step fails, everything is taken back, the next start works" {
	n=$(steps start_steps start)
	[ "$n" -ge 5 ]
	vzctl create 9501 --ostemplate busybox --ipadd 10.95.1.1
	for i in $(seq 1 "$n"); do
		run env VZ_FAULT="start:$i" "$build/vzctl" start 9501
		status_is 3
		has "fault on purpose at step $i"
		[ "$(vzctl status 9501)" = "CTID 9501 exist unmounted down" ]
		[ -z "$(leftovers)" ]
	done
	vzctl start 9501
	[ "$(vzctl status 9501)" = "CTID 9501 exist mounted running" ]
}

@test "start: killed at each step, nothing runs, the next start mends it" {
	n=$(steps start_steps start)
	vzctl create 9501 --ostemplate busybox --ipadd 10.95.1.1
	for i in $(seq 1 "$n"); do
		run env VZ_FAULT="start:$i:kill" "$build/vzctl" start 9501
		status_is 137
		run vzctl status 9501
		[[ "$output" == *down ]]
		vzctl start 9501
		[ "$(vzctl status 9501)" = "CTID 9501 exist mounted running" ]
		[ "$(vzctl exec2 9501 'echo fine')" = fine ]
		vzctl stop 9501 --fast
	done
}

@test "create: each step fails, nothing remains, the next create works" {
	n=$(steps create_steps create)
	[ "$n" -ge 5 ]
	for i in $(seq 1 "$n"); do
		run env VZ_FAULT="create:$i" "$build/vzctl" create 9502 --ostemplate busybox --name fault --config vswap-256m
		status_is 3
		[ "$(vzctl status 9502)" = "CTID 9502 deleted unmounted down" ]
		[ ! -e "$(conf 9502)" ]
		[ -z "$(ls -A "$(vzdir)/private")" ]
		[ ! -e "$CROFT_ROOT/etc/vz/names/fault" ]
	done
	vzctl create 9502 --ostemplate busybox --name fault --config vswap-256m
	vzctl start fault
}

@test "create: killed at each step, the next create mends it" {
	n=$(steps create_steps create)
	for layout in simfs overlay; do
		for i in $(seq 1 "$n"); do
			run env VZ_FAULT="create:$i:kill" "$build/vzctl" create 9503 --ostemplate busybox \
				--layout $layout --config vswap-256m
			status_is 137
			run vzctl status 9503
			# killed after the rename the VPS is complete; before it the next create is the one that counts
			[[ "$output" == *" exist "* ]] ||
				vzctl create 9503 --ostemplate busybox --layout $layout --config vswap-256m
			vzctl start 9503
			vzctl stop 9503 --fast
			vzctl destroy 9503
		done
	done
}

@test "an id range that was allocated stays the VPS's own through a create that was cut off" {
	run env VZ_FAULT=create:4:kill "$build/vzctl" create 70001 --ostemplate busybox
	status_is 137
	before=$(grep LOCAL_UID "$(conf 70001)")
	[ -n "$before" ]
	vzctl create 70001 --ostemplate busybox
	[ "$(grep LOCAL_UID "$(conf 70001)")" = "$before" ]
	vzctl start 70001
}

@test "SIGINT during start: taken back, code 3" {
	vzctl create 9504 --ostemplate busybox
	cat >"$CROFT_ROOT/etc/vz/conf/9504.mount" <<-T
		#!/bin/sh
		kill -INT \$PPID
	T
	chmod +x "$CROFT_ROOT/etc/vz/conf/9504.mount"
	run vzctl start 9504
	status_is 3
	has "Cancelling"
	[ "$(vzctl status 9504)" = "CTID 9504 exist unmounted down" ]
}

@test "vzmon killed: the VPS stops, the next start works" {
	vzctl create 9505 --ostemplate busybox
	vzctl start 9505
	kill -9 "$(jq .mon_pid "$CROFT_ROOT/run/vz/9505/state.json")"
	down() { [[ "$(vzctl status 9505)" == *" down" ]]; }
	wait_for 10 down
	vzctl start 9505
	[ "$(vzctl exec2 9505 'cat /proc/1/oom_score_adj')" = 0 ]
	vzctl stop 9505 --fast
}
