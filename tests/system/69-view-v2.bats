#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The view from inside where cgroup2 carries all controllers. One VPS, 6901.
# bats file_tags=node,v2
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
	make_root
	vzctl create 6901 --ostemplate busybox --ram 96M --swap 0
	vzctl start 6901
}
teardown_file() {
	destroy_all
	remove_root
}

shows() { [ "$(vzctl exec2 6901 'while read -r a b c; do [ "$a" != MemTotal: ] || echo $b; done </proc/meminfo')" = "$1" ]; }
server() { pgrep -x -P "$(jq .mon_pid "$CROFT_ROOT/run/vz/6901/state.json")" lxcfs; }
replaced() {
	local now
	now=$(server) && [ "$now" != "$1" ] && shows "$2"
}

@test "limits as they change, and use; the group of the server; another one when it is killed" {
	shows $((96 << 10))
	vzctl set 6901 --ram 128M --swap 64M --cpulimit 50
	shows $((128 << 10))
	[ "$(vzctl exec2 6901 'grep -c ^processor /proc/cpuinfo')" = 1 ]
	free=$(vzctl exec2 6901 'grep MemFree: /proc/meminfo' | awk '{ print $2 }')
	[ "$free" -gt 30000 ] && [ "$free" -lt $((128 << 10)) ]
	pid=$(server)
	group=$(cut -d: -f3 "/proc/$pid/cgroup")
	[[ "$group" == */view/6901 ]]
	[ "$(cat "/sys/fs/cgroup$group"/{memory.max,cpu.max,pids.max} | xargs)" = "$((32 << 20)) 20000 100000 48" ]
	kill -9 "$pid"
	wait_for 60 replaced "$pid" $((128 << 10))
}
