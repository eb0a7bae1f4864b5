#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A VPS that uses up all it can get of each kind: what stops it, and that the neighbour and the node go on.
# bats file_tags=host,node,alone
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/escape

# 6921 is bombed, 256 MiB of memory, 6922 too without a limit, 6923 is the neighbour. 6920 is started in the midst.
setup_file() {
	escape_root simfs
	vzctl --quiet create 6921 --ostemplate busybox --config vswap-256m
	vzctl --quiet create 6922 --ostemplate busybox
	vzctl --quiet create 6923 --ostemplate busybox
	vzctl --quiet create 6920 --ostemplate busybox
	for id in 6921 6922 6923; do
		vzctl --quiet start $id
		arm $id
	done
}
teardown_file() {
	destroy_all
	remove_root
}
# What runs out of memory may be killed, init too: its own harm. So that nothing is "contained" by not running:
revive() {
	local id
	for id in "$@"; do
		vzctl exec3 $id /root/escape/bomb utsns 1 </dev/null >/dev/null 2>&1 || {
			vzctl --quiet stop $id --fast
			vzctl --quiet start $id
			arm $id
		}
	done
}
setup() { revive 6921 6922 6923; }
teardown() {
	defuse
	[ -z "${pty_max:-}" ] || echo "$pty_max" >/proc/sys/kernel/pty/max
}

# bomb CTID KIND MAX [PATH]: sets made (what it says); it holds what it got until defuse. An end by the memory limit is
# an end too: then made is "killed".
bomb() {
	mkfifo "$CROFT_ROOT/hold"
	(vzctl exec3 "$1" /root/escape/bomb "${@:2}" <"$CROFT_ROOT/hold" >"$CROFT_ROOT/made" 2>/dev/null || echo killed >>"$CROFT_ROOT/made") 3>&- &
	exec 8>"$CROFT_ROOT/hold"
	wait_for 600 test -s "$CROFT_ROOT/made"
	made=$(cat "$CROFT_ROOT/made")
	echo "$made"
}
defuse() {
	exec 8>&-
	wait
	rm -f "$CROFT_ROOT/hold" "$CROFT_ROOT/made"
}
count() { cut -d' ' -f2 <<<"$made"; }

# The neighbour works, a VPS is started and stopped; each within a minute, which says that it is usable, not how fast.
usable() {
	local v="timeout 60 $build/vzctl"
	[ "$($v exec2 6923 'echo $((1 + 1)); : >/tmp/x && rm /tmp/x')" = 2 ]
	$v --quiet start 6920
	$v exec2 6920 true
	$v --quiet stop 6920 --fast
}

# within LIMIT KIND MAX [PATH]: MAX were wanted, not more than LIMIT were had; all the while everything is usable and
# the VPS itself can be entered
within() {
	bomb 6921 "${@:2}"
	usable
	[ "$(count)" -le "$1" ]
	timeout 60 "$build/vzctl" exec3 6921 /bin/true
	defuse
}

@test "processes without numproc: an eighth of the node's, and no more than fit into its memory" {
	vzctl --quiet set 6922 --ram unlimited --swap unlimited
	eighth=$(($(sort -n /proc/sys/kernel/pid_max /proc/sys/kernel/threads-max | head -n1) / 8))
	bomb 6922 fork 1000000
	usable
	[ "$(count)" -le "$eighth" ]
	[[ "$made" == *"temporarily unavailable"* ]]
	timeout 60 "$build/vzctl" exec3 6922 /bin/true
	vzctl stop 6922 --fast
	defuse
	within 1024 fork 1000000
}

@test "control groups: 1024 a VPS, whoever wants 100000; and they go when it stops" {
	within 1024 group 100000
	vzctl stop 6921 --fast
	[ -z "$(find /sys/fs/cgroup -maxdepth 5 -path "*$(slice)/6921*" -name 'bomb.*' | head -n 1)" ]
}

@test "inodes and blocks of /tmp, /run, /dev/shm and /dev" {
	[ "$(vzctl exec2 6921 'df -i /tmp /run /dev/shm' | awk 'NR > 1 { print $2 }' | sort -u)" = 100000 ]
	within 100000 inode 200000 /run
	for d in /tmp /run /dev/shm; do
		within 128 block 400 $d
		vzctl exec2 6921 "rm -f $d/block"
	done
	within 1 block 100 /dev
	vzctl exec2 6921 'rm -f /dev/block'
	within 4096 inode 100000 /dev
	vzctl restart 6921 --fast
	arm 6921
}

# ptys_are LEAST MOST: so many were made, then the kernel said no
ptys_are() {
	[[ "$made" == "pty "*" (No space left on device)" ]]
	[ "$(count)" -ge "$1" ]
	[ "$(count)" -le "$2" ]
}

@test "ptys: the VPS has an eighth of the node's in its own devpts, the node and the neighbour have theirs" {
	share=$((($(awk '/^MemTotal:/ { most = int($2 / 4 / 160); print most < 4096 ? 4096 : most }' /proc/meminfo) - 1024) / 8))
	bomb 6921 pty 100000
	ptys_are $share $share
	python3 -c 'import os; os.openpty()'
	[ "$(vzctl exec3 6923 /root/escape/bomb pty 3 </dev/null)" = "pty 3 (Success)" ]
	usable
	defuse
}

# The tenant mounts devpts again, which has no limit of its own: they are the node's then, which keeps 1024 and its memory.
@test "ptys of another devpts: no more than kernel.pty.max, a small part of the memory of the node" {
	most=$(awk '/^MemTotal:/ { most = int($2 / 4 / 160); print most < 4096 ? 4096 : most }' /proc/meminfo)
	[ "$(cat /proc/sys/kernel/pty/max)" -ge "$most" ]
	[ "$most" -le 8192 ] || most=8192 # one process does not hold more files everywhere
	pty_max=$(cat /proc/sys/kernel/pty/max) # of a node where somebody raised it
	echo "$most" >/proc/sys/kernel/pty/max
	vzctl exec2 6921 'mkdir -p /tmp/pts && mount -t devpts -o ptmxmode=666 none /tmp/pts'
	bomb 6921 pty 100000 /tmp/pts/ptmx
	ptys_are $((most - 1024 - 1000)) $((most - 1024)) # others have some
	python3 -c 'import os; os.openpty()'
	usable
	defuse
	vzctl exec2 6921 'umount /tmp/pts'
}

@test "what is counted by user: inotify, pending signals, user namespaces, queues, keys" {
	for kind in inotify signal userns queue key; do
		n=20
		[ $kind != queue ] || n=3
		bomb 6921 $kind 20000
		[ "$(vzctl exec3 6923 /root/escape/bomb $kind $n </dev/null)" = "$kind $n (Success)" ]
		[ "$("$build/tests/escape/bomb" $kind 3 </dev/null)" = "$kind 3 (Success)" ]
		usable
		defuse
	done
	[ -z "$(ls /dev/mqueue 2>/dev/null)" ] || rm -f /dev/mqueue/bomb.*
}

@test "what is memory only: mounts, namespaces, timers, sockets, epoll, pipes, semaphores" {
	for kind in mount utsns timer timerfd socket epoll pipe semaphore memory; do
		revive 6921
		bomb 6921 $kind 200000
		usable
		defuse
	done
}

@test "network namespaces and links" {
	for kind in netns link; do
		revive 6921
		bomb 6921 $kind 500
		usable
		defuse
	done
	vzctl --quiet stop 6921 --fast
	usable
}
