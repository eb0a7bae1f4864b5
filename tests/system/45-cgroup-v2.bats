#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Where cgroup2 carries all controllers (the nodes debian-12 and debian-13). One VPS, 4545, for all tests of the file.
# bats file_tags=node,v2,lean
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/criu

setup_file() {
	make_root
	vzctl create 4545 --ostemplate busybox
	vzctl set 4545 --ram 200M --swap 50M --numproc 200 --cpulimit 150 --cpuunits 2000 --cpumask 0 --save
	vzctl start 4545
}
teardown_file() {
	destroy_all
	remove_root
}

cg() { jq -r '.cgroups[]' "$CROFT_ROOT/run/vz/4545/state.json" | sed -n 's/^v2=//p'; }
all_below() { vzctl exec2 4545 'for p in $(cat /sys/fs/cgroup/cgroup.procs); do echo $p >/sys/fs/cgroup/'"$1"'/cgroup.procs; done'; }

@test "all limits of the configuration are in the one group that a VPS has" {
	[ "$(jq -r '.cgroups[]' "$CROFT_ROOT/run/vz/4545/state.json" | cut -d= -f1)" = v2 ]
	[ "$(cat "$(cg)/memory.max")" = $((200 << 20)) ]
	[ "$(cat "$(cg)/memory.swap.max")" = $((50 << 20)) ]
	[ "$(cat "$(cg)/pids.max")" = 200 ]
	[ "$(cat "$(cg)/cpu.max")" = '150000 100000' ]
	[ "$(cat "$(cg)/cpu.weight")" = 200 ]
	[ "$(cat "$(cg)/cpuset.cpus")" = 0 ]
	[ "$(vzctl exec2 4545 'grep Cpus_allowed_list /proc/self/status | cut -f2')" = 0 ]
	# the processes are below, in what is delegated
	[ -z "$(cat "$(cg)/cgroup.procs")" ]
	[ "$(vzctl exec2 4545 cat /proc/1/cgroup)" = 0::/ ]
}

@test "limits change while it runs" {
	run vzctl set 4545 --ram 300M --swap 0 --numproc 150 --cpulimit 50 --cpuunits 1000 --cpumask all
	status_is 0
	[ "$(cat "$(cg)"/{memory.max,memory.swap.max,pids.max,cpu.max,cpu.weight} | xargs)" = "$((300 << 20)) 0 150 50000 100000 100" ]
	[ "$(cat "$(cg)/cpuset.cpus.effective")" = "$(cat "$(cg)/../cpuset.cpus.effective")" ]
	vzctl set 4545 --ram 200M --swap 50M --numproc 200 --cpulimit 0
	[ "$(cat "$(cg)/cpu.max")" = 'max 100000' ]
}

@test "--cpuburst, --iolimit and --iopslimit: at once, and 0 removes; the group of all VPSes weighs what they do" {
	vzctl set 4545 --cpuunits 2500 --cpulimit 50 --cpuburst 20
	[ "$(cat "$(cg)/cpu.max.burst")" = 20000 ]
	[ "$(cat "$(cg)/../cpu.weight")" = 250 ]
	vzctl set 4545 --cpuunits 1000 --cpulimit 0 --cpuburst 0
	[ "$(cat "$(cg)/cpu.max.burst") $(cat "$(cg)/../cpu.weight")" = '0 100' ]
	disk=$(lsblk -ndo MAJ:MIN,PKNAME "$(findmnt -nvo SOURCE -T "$(vzdir)/private")")
	[ "$(wc -w <<<"$disk")" = 1 ] || disk=$(cat "/sys/block/${disk#* }/dev") # a partition
	run --separate-stderr vzctl set 4545 --iolimit 2 --iopslimit 300 --save
	[ -z "$stderr" ]
	[ "$(cat "$(cg)/io.max")" = "$(xargs <<<"$disk") rbps=2097152 wbps=2097152 riops=300 wiops=300" ]
	# here buffered writes are limited too, when they are written out
	begin=$(date +%s%N)
	vzctl exec2 4545 'dd if=/dev/zero of=/f bs=65536 count=64 conv=fsync 2>/dev/null'
	[ $((($(date +%s%N) - begin) / 1000000)) -ge 1000 ]
	vzctl set 4545 --iolimit 0 --iopslimit 0 --save
	[ -z "$(cat "$(cg)/io.max")" ]
}

@test "--ioprio: the weights of bfq and io.cost; without either a line says so" {
	disk=$(basename "$(readlink -f "$(findmnt -nvo SOURCE -T "$(vzdir)/private")")")
	[ -e "/sys/block/$disk" ] || disk=$(lsblk -ndo PKNAME "/dev/$disk")
	modprobe bfq
	echo none >"/sys/block/$disk/queue/scheduler"
	run --separate-stderr vzctl set 4545 --ioprio 7 --save
	[[ "$stderr" == *"--ioprio: the I/O scheduler of device $(cat "/sys/block/$disk/dev") is none"* ]]
	[ "$(cat "$(cg)/io.bfq.weight")" = 'default 160' ]
	echo bfq >"/sys/block/$disk/queue/scheduler"
	run --separate-stderr vzctl set 4545 --ioprio 0 --save
	[ -z "$stderr" ]
	[ "$(cat "$(cg)/io.bfq.weight")" = 'default 20' ]
	vzctl set 4545 --ioprio 4 --save
	echo none >"/sys/block/$disk/queue/scheduler"
}

@test "of its groups the VPS owns what delegation needs, no limit of its own" {
	base=$((4545 << 16))
	[ "$(find "$(cg)" -maxdepth 1 ! -user 0 -printf '%f\n')" = payload ]
	[ "$(find "$(cg)/payload" -maxdepth 1 ! -user 0 -printf '%f %U\n' | sort)" = \
		"$(printf "%s $base\n" cgroup.procs cgroup.subtree_control cgroup.threads payload | sort)" ]
	for f in pids.max memory.max cpu.max cgroup.freeze cgroup.max.descendants; do
		run vzctl exec2 4545 "echo 10000 >/sys/fs/cgroup/$f"
		[ "$status" -ne 0 ]
	done
	[ "$(cat "$(cg)/pids.max")" = 200 ]
}

@test "the VPS limits groups of its own; exec gets in although its processes have left the root" {
	vzctl exec2 4545 'mkdir /sys/fs/cgroup/all'
	all_below all
	vzctl exec2 4545 'echo +pids +memory +cpu >/sys/fs/cgroup/cgroup.subtree_control'
	vzctl exec2 4545 'mkdir /sys/fs/cgroup/few && echo 3 >/sys/fs/cgroup/few/pids.max'
	run vzctl exec2 4545 'echo $$ >/sys/fs/cgroup/few/cgroup.procs; sleep 9 & sleep 9 & sleep 9 & sleep 9'
	has fork
	[ "$(cat "$(cg)/payload/few/pids.max")" = 3 ]
	for how in exec exec2 exec3; do
		[ "$(vzctl $how 4545 /bin/echo in)" = in ]
	done
	run vzctl exec2 4545 'cat /proc/self/cgroup'
	[ "$output" = 0::/.croft ]
	vzctl exec2 4545 'for p in $(cat /sys/fs/cgroup/few/cgroup.procs); do kill -9 $p; done' || :
}

@test "a VPS at its limit of processes: exec gets in, the refused forks are counted" {
	failed=$(vzlist -H -o numproc.f 4545 | xargs)
	vzctl set 4545 --numproc 40 --save
	vzctl exec 4545 'n=0; while [ $n -lt 60 ]; do sleep 300 & n=$((n + 1)); done' >/dev/null 2>&1 || :
	full() { [ "$(cat "$(cg)/pids.current")" -ge 39 ]; }
	wait_for 30 full
	run vzctl exec3 4545 /bin/cat /proc/self/status
	status_is 0
	has Name:
	[ "$(vzlist -H -o numproc.f 4545 | xargs)" -gt "$failed" ]
	vzctl exec3 4545 /bin/busybox killall sleep
	vzctl set 4545 --numproc 200 --save
}

@test "memory: what exceeds --ram is killed inside, and the VPS lives on" {
	vzctl set 4545 --ram 60M --swap 0 --save
	pid=$(jq .init_pid "$CROFT_ROOT/run/vz/4545/state.json")
	run vzctl exec2 4545 'awk "BEGIN { s = 1234567890; while (length(s) < 200000000) s = s s }"'
	[ "$(awk '$1 == "oom_kill" { print $2 }' "$(cg)/memory.events")" -gt 0 ]
	[ "$(vzlist -H -o physpages.f 4545 | xargs)" -gt 0 ]
	[ "$(jq .init_pid "$CROFT_ROOT/run/vz/4545/state.json")" = "$pid" ]
	vzctl exec2 4545 true
	# no lower than what is in use: v2 would kill where v1 refused
	vzctl exec2 4545 'head -c 20m /dev/urandom >/tmp/kept'
	run vzctl set 4545 --ram 10M
	[ "$status" -ne 0 ]
	has 'more than the new limit'
	[ "$(cat "$(cg)/memory.max")" = $((60 << 20)) ]
	vzctl exec2 4545 'rm /tmp/kept'
	vzctl set 4545 --ram 200M --swap 50M --save
}

# in_group CTID COMMAND: on the host, by a process in the VPS's group
in_group() { sh -c "echo \$\$ >$(cg)/host/cgroup.procs && $1"; }

@test "devices: the program of the group refuses what is not allowed, and follows --devices" {
	in_group 'cat /dev/null && head -c 1 /dev/urandom >/dev/null'
	run in_group 'head -c 1 /dev/vda'
	[ "$status" -ne 0 ]
	has 'not permitted'
	run in_group 'head -c 1 /dev/kmsg'
	has 'not permitted'
	disk=$(stat -c '%Hr:%Lr' /dev/vda)
	vzctl set 4545 --devices "b:$disk:r"
	in_group 'head -c 1 /dev/vda >/dev/null'
	run in_group ': >>/dev/vda'
	[ "$status" -ne 0 ]
	vzctl set 4545 --devices none
	run in_group 'head -c 1 /dev/vda'
	[ "$status" -ne 0 ]
}

@test "stop --fast ends a VPS with groups that it froze" {
	vzctl exec2 4545 'mkdir -p /sys/fs/cgroup/ice/deep; sleep 500 & echo $! >/sys/fs/cgroup/ice/deep/cgroup.procs; echo 1 >/sys/fs/cgroup/ice/cgroup.freeze'
	pid=$(cat "$(cg)/payload/ice/deep/cgroup.procs")
	g=$(cg)
	run vzctl stop 4545 --fast
	status_is 0
	[ ! -e "/proc/$pid" ]
	[ ! -e "$g" ]
	run --separate-stderr vzctl start 4545
	status_is 0
	[ -z "$stderr" ]
	[ "$(cat "$(cg)/pids.max")" = 200 ]
}

@test "the node's cgroup2 keeps its options when a VPS starts, is suspended and resumed" {
	local options
	need_criu
	mount -o remount,nsdelegate,memory_recursiveprot /sys/fs/cgroup
	options=$(grep ' /sys/fs/cgroup cgroup2 ' /proc/mounts)
	[[ "$options" == *nsdelegate* ]]
	vzctl --quiet restart 4545
	[ "$(grep ' /sys/fs/cgroup cgroup2 ' /proc/mounts)" = "$options" ]
	vzctl suspend 4545
	vzctl resume 4545
	[ "$(grep ' /sys/fs/cgroup cgroup2 ' /proc/mounts)" = "$options" ]
}
