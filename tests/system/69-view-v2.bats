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

# clock ticks of the first line of /proc/stat, for the whole VPS
look() { read -r _ user _ _ idle _ _ _ steal _ < <(vzctl exec2 6901 head -n 1 /proc/stat); }
more_than() { # WHICH NUMBER
	look
	[ "${!1}" -gt "$2" ]
}
wrote() { # KIB
	vzctl exec2 6901 'cat /proc/diskstats /proc/vmstat' |
		awk -v n="$1" 'NF == 20 { disk = 1 } $1 == "pgpgout" { out = $2 } END { exit !(disk && out >= n) }'
}

@test "stat: CPU times of the VPS alone; processors as its limit leaves them; top; what it reads and writes" {
	vzctl set 6901 --cpulimit 0
	# the node works, the VPS does not
	look
	before=$user
	while :; do :; done &
	load=$!
	wait_for 60 more_than idle $((idle + 300))
	[ "$user" -lt $((before + 100)) ]
	kill "$load"
	wait "$load" || :
	vzctl exec2 6901 'while :; do :; done' &
	load=$!
	wait_for 60 more_than user $((user + 200))
	[ "$(vzctl exec2 6901 'grep -c "^cpu[0-9]" /proc/stat; top -bn1 | grep -c "^CPU:.* idle"' | xargs)" = "$(nproc) 1" ]
	# nine tenths of the time it is held up
	vzctl set 6901 --cpulimit 10
	wait_for 60 more_than steal $((steal + 100))
	[ "$(vzctl exec2 6901 'grep -c "^cpu[0-9]" /proc/stat')" = 1 ]
	vzctl set 6901 --cpulimit 0
	kill "$load"
	wait "$load" || :
	vzctl exec2 6901 'dd if=/dev/zero of=/big bs=1M count=8 conv=fsync 2>/dev/null'
	wait_for 60 wrote 8192
	# the kernel agrees on when the VPS began
	[ "$(vzctl exec2 6901 'umount /proc/stat; grep btime /proc/stat')" = "$(grep -o 'btime [0-9]*' "$CROFT_ROOT/run/vz/6901/proc/stat")" ]
}
