#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What a VPS is shown of its resources: lxcfs over /proc/meminfo and the like, one a VPS. CTIDs 6801 to 6804.
# bats file_tags=host
# templates: debian-12
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
	make_root
	vzctl create 6801 --ostemplate busybox --ram 96M --swap 0
	vzctl create 6802 --ostemplate busybox --ram 160M --swap 0
}
teardown() { destroy_running; }
teardown_file() {
	destroy_all
	remove_root
}

destroy_running() {
	local id
	for id in $(vzlist -H -o ctid 2>/dev/null); do vzctl --quiet stop "$id" --fast; done
	leaves_nothing
}

node_kib() { awk '/^MemTotal:/ { print $2 }' /proc/meminfo; }
total() { vzctl exec2 "$1" 'while read -r a b c; do [ "$a" != MemTotal: ] || echo $b; done </proc/meminfo'; }
shows() { [ "$(total "$1")" = "$2" ]; }
monitor() { jq .mon_pid "$CROFT_ROOT/run/vz/$1/state.json"; }
init() { jq .init_pid "$CROFT_ROOT/run/vz/$1/state.json"; }
server() { pgrep -x -P "$(monitor "$1")" lxcfs; }
# another one than PID, and its files are in sight
replaced() {
	local now
	now=$(server "$1") && [ "$now" != "$2" ] && shows "$1" "$3"
}
# the directory of the server's group with the file KNOB
group_with() { # CTID KNOB
	local d
	for d in /sys/fs/cgroup{,/*}/"$(slice)/view/$1"; do
		[ ! -e "$d/$2" ] || { echo "$d" && return; }
	done
	return 1
}

@test "/proc tells the limits and the use of the VPS, from its first process on" {
	vzctl create 6803 --ostemplate busybox --ram 64M --swap 0 --cpus 1
	# a start script runs before init
	cat >"$CROFT_ROOT/etc/vz/conf/6803.start" <<'T'
read -r name first unit </proc/meminfo && echo "$first" >/started
read -r name first </proc/vmstat && echo "$name" "$first" >/started.vm
T
	vzctl start 6803
	[ "$(vzctl exec2 6803 cat /started)" = 65536 ]
	read -r name pages < <(vzctl exec2 6803 cat /started.vm)
	[ "$name" = nr_free_pages ] && [ "$pages" -gt 8000 ] && [ "$pages" -le 16384 ]
	shows 6803 65536
	free=$(vzctl exec2 6803 'grep MemFree: /proc/meminfo' | awk '{ print $2 }')
	[ "$free" -gt 30000 ] && [ "$free" -lt 65536 ]
	[ "$(vzctl exec2 6803 'grep -c ^processor /proc/cpuinfo; grep -c "^cpu[0-9]" /proc/stat; wc -l </proc/swaps' | xargs)" = "1 1 1" ]
	[ "$(vzctl exec2 6803 'grep SwapTotal: /proc/meminfo' | awk '{ print $2 }')" = 0 ]
	[[ "$(vzctl exec2 6803 cat /proc/loadavg)" =~ ^[0-9.]+\ [0-9.]+\ [0-9.]+\ [0-9]+/[0-9]{1,2}\ [0-9]+$ ]]
	# the time namespace does that
	up=$(vzctl exec2 6803 'cut -d. -f1 /proc/uptime')
	[ "$up" -lt 100 ]
	[ "$(jq -r '.view[]' "$CROFT_ROOT/run/vz/6803/state.json" | head -n 1)" = /proc/meminfo ]
	vzctl exec2 6803 'for f in /proc/*; do [ ! -f $f ] || cat $f >/dev/null 2>&1; done; cat /proc/meminfo /proc/stat >/dev/null'
	vzctl --quiet stop 6803 --fast
	rm "$CROFT_ROOT/etc/vz/conf/6803.start"
	vzctl --quiet destroy 6803
}

# Numbers of /proc/vmstat and diskstats; they may be half a second old.
vm() { vzctl exec2 "$1" cat /proc/vmstat | awk -v k="$2" '$1 == k { print $2 }'; }
written() { vzctl exec2 "$1" cat /proc/diskstats | awk '{ s += $10 } END { print s + 0 }'; }
at_least() { # NUMBER COMMAND...
	local n=$1
	shift
	[ "$("$@")" -ge "$n" ]
}

@test "vmstat and diskstats: what the VPS writes and takes, and nothing of its neighbour's; without its server as with it" {
	vzctl start 6801
	vzctl start 6802
	before=$(written 6801)
	other=$(written 6802)
	vzctl exec2 6801 'dd if=/dev/zero of=/big bs=1M count=8 conv=fsync 2>/dev/null; rm /big'
	wait_for 10 at_least $((before + 16384)) written 6801
	[ "$(vm 6801 pgpgout)" -ge 8192 ]
	# 20 MiB that stay with the process
	vzctl exec2 6801 'dd if=/dev/zero bs=20M count=1 2>/dev/null | sleep 60' &
	holder=$!
	wait_for 10 at_least 5120 vm 6801 nr_anon_pages
	[ "$(vm 6801 nr_free_pages)" -le $((24576 - 5120)) ]
	# sh reads one byte at a time: each line is whole
	[ "$(vzctl exec2 6801 'n=0; while read -r k v rest; do case "$v$rest" in *[!0-9]*) echo "$k $v $rest";; esac; n=$((n+1)); done </proc/vmstat; [ $n -gt 15 ] || echo $n')" = '' ]
	# who keeps it open reads new numbers, too
	run perl -e 'open(F, "<", $ARGV[0]) or die; for (1 .. 200) { sysseek(F, 0, 0); sysread(F, $_, 65536);
		/^pgfault (\d+)/m or die; $first //= $1; exit 0 if $1 > $first; system("$ARGV[1] exec2 6801 true"); select(undef, undef, undef, 0.1) } exit 1' \
		"/proc/$(init 6801)/root/proc/vmstat" "$build/vzctl"
	status_is 0
	[ "$(vm 6802 nr_anon_pages)" -lt 2000 ]
	[ "$(written 6802)" -lt $((other + 8192)) ]
	pid=$(server 6801)
	kill -9 "$pid"
	[ "$(vm 6801 nr_free_pages)" -le $((24576 - 5120)) ]
	wait_for 10 replaced 6801 "$pid" $((96 << 10))
	[ "$(vzctl exec2 6801 'grep -c " /proc/vmstat " /proc/mounts')" = 1 ]
	kill "$holder"
	wait "$holder" || :
}

@test "a tenant with vmstat made writable, and with a file of his own over diskstats: nothing of the node's changes" {
	vzctl start 6801
	node=$CROFT_ROOT/run/vz/6801/proc
	[ "$(stat -c '%u %a' "$node/vmstat")" = '0 444' ]
	vzctl exec2 6801 'mount -o remount,bind,rw /proc/vmstat; chmod 666 /proc/vmstat; chown 0 /proc/vmstat; echo x >/proc/vmstat' || :
	[ "$(stat -c '%u %a' "$node/vmstat")" = '0 444' ]
	grep -q '^nr_free_pages ' "$node/vmstat"
	vzctl exec2 6801 'echo own >/mine; mount --bind /mine /proc/diskstats'
	[ "$(vzctl exec2 6801 cat /proc/diskstats)" = own ]
	run grep -c "$node" /proc/self/mountinfo
	[ "$output" = 0 ]
}

@test "what set changes is seen at once, by processes that run already too" {
	vzctl start 6801
	shows 6801 $((96 << 10))
	vzctl set 6801 --ram 128M --cpulimit 50
	shows 6801 $((128 << 10))
	[ "$(vzctl exec2 6801 'grep -c ^processor /proc/cpuinfo')" = 1 ]
	vzctl set 6801 --cpulimit 0
	[ "$(vzctl exec2 6801 'grep -c ^processor /proc/cpuinfo')" = "$(nproc)" ]
}

@test "its server killed: another one takes over, in mount namespaces of services too; nothing restarts, no other VPS notices" {
	vzctl start 6801
	vzctl start 6802
	before=$(server 6801)
	was="$(monitor 6801) $(init 6801) $(server 6802)"
	# a neighbour that reads all the time; a service with a copy of the mounts that follows the VPS's
	vzctl exec2 6802 'while :; do read -r a b c </proc/meminfo && [ "$b" = 163840 ] || echo "$a $b" >>/odd; echo >/reads; done' &
	reader=$!
	vzctl exec2 6801 'unshare -m --propagation slave sh -c "echo \$\$ >/service; exec sleep 60"' &
	service=$!
	wait_for 10 vzctl exec2 6801 test -s /service
	wait_for 10 vzctl exec2 6802 test -e /reads
	kill -9 "$before"
	wait_for 10 replaced 6801 "$before" $((96 << 10))
	[ "$(vzctl exec2 6801 'nsenter -t $(cat /service) -m head -n 1 /proc/meminfo' | awk '{ print $2 }')" = $((96 << 10)) ]
	# one layer of it: the dead one is gone
	[ "$(vzctl exec2 6801 'grep -c " /proc/meminfo " /proc/mounts')" = 1 ]
	[ "$(monitor 6801) $(init 6801) $(server 6802)" = "$was" ]
	vzctl exec2 6802 rm /reads
	wait_for 10 vzctl exec2 6802 test -e /reads
	run vzctl exec2 6802 cat /odd
	status_is 1
	kill "$reader" "$service"
	wait "$reader" "$service" || :
}

@test "a server that dies again and again: the kernel's files meanwhile, and it comes back" {
	vzctl start 6801
	for i in 1 2 3; do
		pid=$(server 6801)
		kill -9 "$pid"
		wait_for 10 replaced 6801 "$pid" $((96 << 10))
	done
	kill -9 "$(server 6801)"
	wait_for 10 shows 6801 "$(node_kib)"
	wait_for 10 shows 6801 $((96 << 10))
	[ "$(vzctl exec2 6801 'grep -c " /proc/meminfo " /proc/mounts')" = 1 ]
}

@test "the server is a stranger on the node: nothing of its files, no sockets, four capabilities, groups with limits" {
	vzctl start 6801
	pid=$(server 6801)
	[ "$(ls "/proc/$pid/root" | xargs)" = "bin lib$([ ! -e /lib32 ] || echo ' lib32')$([ ! -e /lib64 ] || echo ' lib64') proc run sbin sys usr view" ]
	run touch "/proc/$pid/root/x" "/proc/$pid/root/usr/x"
	status_is 1
	grep -q '^CapPrm:\s*00000000002c0004$' "/proc/$pid/status"
	grep -q '^CapBnd:\s*00000000002c0004$' "/proc/$pid/status"
	grep -q '^Seccomp:\s*2$' "/proc/$pid/status"
	grep -q '^NoNewPrivs:\s*1$' "/proc/$pid/status"
	[ "$(cat "/proc/$pid/oom_score_adj")" = 0 ]
	# descriptors: the null device, /dev/fuse, its own files, its own mount namespace
	run bash -c "for f in /proc/$pid/fd/*; do readlink \$f; done | grep -vxE '/dev/(null|fuse)|/run/lxcfs.pid|mnt:.*|/run/lxcfs/root/run/lxcfs/controllers/.*'"
	[ -z "$output" ]
	# of the VPS's processes and memory it is none
	run bash -c "grep -E ':/$(slice)/6801' /proc/$pid/cgroup"
	[ -z "$output" ]
	[ "$(cat "$(group_with 6801 memory.limit_in_bytes)/memory.limit_in_bytes")" = $((32 << 20)) ]
	[ "$(cat "$(group_with 6801 cpu.cfs_quota_us)/cpu.cfs_quota_us")" = 20000 ]
	[ "$(cat "$(group_with 6801 pids.max)/pids.max")" = 48 ]
	# the filter it runs under refuses what it must (a program of the same kind under the same filter)
	[ -s "$(ls "$CROFT_ROOT"/run/vz/seccomp-*-8.bpf)" ]
}

@test "a tenant that reads without end: no more than a part of one CPU, his neighbour is answered, and he himself after it" {
	vzctl start 6801
	vzctl start 6802
	vzctl exec2 6801 'i=0; while [ $i -lt 12 ]; do while :; do cat /proc/stat /proc/cpuinfo /proc/loadavg; done >/dev/null 2>&1 & i=$((i+1)); done; echo >/busy; wait' &
	readers=$!
	wait_for 20 vzctl exec2 6801 test -e /busy
	throttled=$(group_with 6801 cpu.cfs_quota_us)/cpu.stat
	wait_for 20 bash -c "[ \$(awk '/nr_throttled/ { print \$2 }' $throttled) -gt 3 ]"
	for i in 1 2 3 4 5; do shows 6802 $((160 << 10)); done
	[ "$(cat "$(group_with 6801 pids.max)/pids.current")" -le 48 ]
	kill "$readers"
	vzctl exec2 6801 'kill -9 -1' || :
	wait_for 20 shows 6801 $((96 << 10))
	wait "$readers" || :
}

@test "a tenant that holds open all he can: his own server dies of it and is replaced" {
	vzctl start 6801
	vzctl start 6802
	vzctl set 6801 --ram 512M >/dev/null
	before=$(server 6801)
	vzctl exec2 6801 'ulimit -n 1000000; exec sh -c "
		i=0; while [ \$i -lt 24 ]; do (ulimit -n 4000; f=10; while [ \$f -lt 3000 ]; do eval \"exec \$f</proc/stat\" || break; f=\$((f+1)); done; sleep 30) & i=\$((i+1)); done; wait"' >/dev/null 2>&1 &
	holder=$!
	wait_for 60 bash -c "! kill -0 $before" 
	shows 6802 $((160 << 10))
	vzctl exec2 6801 'kill -9 -1' || :
	kill "$holder" || :
	wait "$holder" || :
	wait_for 30 shows 6801 $((512 << 10))
}

@test "what the tenant put over his /proc stays, and leads nowhere" {
	vzctl start 6801
	pid=$(server 6801)
	vzctl exec2 6801 'umount /proc/stat /proc/meminfo; echo own >/mine; mount --bind /mine /proc/meminfo; mkdir -p /trap; mount -t tmpfs none /trap; ln -s /etc/passwd /trap/loadavg'
	[ "$(vzctl exec2 6801 cat /proc/meminfo)" = own ]
	kill -9 "$pid"
	wait_for 10 bash -c "[ \"\$(pgrep -x -P $(monitor 6801) lxcfs)\" -gt 1 ]"
	wait_for 10 bash -c '"$1" exec2 6801 "grep -q \" /proc/stat fuse\" /proc/mounts"' _ "$build/vzctl"
	[ "$(vzctl exec2 6801 cat /proc/meminfo)" = own ]
	# /proc itself is something else, full of links: nothing is shown there, and nothing is broken
	pid=$(server 6801)
	vzctl exec2 6801 'mount --bind /trap /proc' || :
	kill -9 "$pid"
	wait_for 10 bash -c "p=\$(pgrep -x -P $(monitor 6801) lxcfs) && [ \"\$p\" != $pid ]"
	[ "$(vzctl exec2 6801 'cat /trap/loadavg | head -n 1')" = "$(vzctl exec2 6801 'head -n 1 /etc/passwd')" ]
}

@test "switched off, and /proc/meminfo alone: the node's values, and no server" {
	vzctl set 6801 --features procview:off --save
	run vzctl start 6801
	status_is 0
	[[ "$output" != *lxcfs* ]]
	shows 6801 "$(node_kib)"
	run server 6801
	status_is 1
	[ "$(jq -c .view "$CROFT_ROOT/run/vz/6801/state.json")" = '[]' ]
	vzctl stop 6801 --fast
	vzctl set 6801 --features procview:on --meminfo none --cpus 1 --save
	vzctl start 6801
	shows 6801 "$(node_kib)"
	[ "$(vzctl exec2 6801 'grep -c ^processor /proc/cpuinfo')" = 1 ]
	vzctl stop 6801 --fast
	vzctl set 6801 --meminfo privvmpages:1 --cpus 0 --save
}

@test "without lxcfs on the node the VPS starts and says so in one line" {
	run --separate-stderr unshare -m --propagation private sh -c 'mount --bind /dev/null /usr/bin/lxcfs && exec "$0" start 6801' "$build/vzctl"
	status_is 0
	[ -z "$stderr" ]
	[ "$(grep -c lxcfs <<<"$output")" = 1 ]
	shows 6801 "$(node_kib)"
	# our own files need none; stat is among them now: seconds, at most minutes, not the node's hours
	[ "$(jq -c .view "$CROFT_ROOT/run/vz/6801/state.json")" = '["/proc/stat","/proc/vmstat","/proc/diskstats"]' ]
	[ "$(vzctl exec2 6801 'head -n 1 /proc/stat' | awk '{ print ($5 < 30000) }')" = 1 ]
	vzctl exec2 6801 'top -bn1' | grep -q '^CPU:.* idle'
	# user time moves with the VPS; at its limit it is held up, which is neither idle nor used
	vzctl set 6801 --cpulimit 10
	vzctl exec2 6801 'while :; do :; done' &
	wait_for 10 bash -c '"$0" exec2 6801 "head -n 1 /proc/stat" | awk "{ exit !(\$2 > 10 && \$9 > 50) }"' "$build/vzctl"
	[ "$(vzctl exec2 6801 'grep -c "^cpu[0-9]" /proc/stat')" = 1 ]
	vzctl stop 6801 --fast
	wait $! || :
	# a device that is no /dev/fuse: the VPS starts all the same
	run --separate-stderr unshare -m --propagation private sh -c 'mount --bind /dev/null /dev/fuse && exec "$0" start 6801' "$build/vzctl"
	status_is 0
	[ "${#stderr_lines[@]}" -eq 1 ] && [[ "$stderr" == WARNING:*FUSE* ]]
	shows 6801 "$(node_kib)"
	wait_for 10 bash -c "! pgrep -x -P $(monitor 6801) lxcfs"
	[ "$(vm 6801 nr_free_pages)" -le 24576 ]
	vzctl stop 6801 --fast
	# nobody tells when files are read: the kernel's stay, and start says it
	run --separate-stderr "$build/tests/lib/deny-syscall" fanotify_init "$build/vzctl" start 6801
	status_is 0
	[ "$(grep -c fanotify <<<"$output")" = 1 ]
	shows 6801 $((96 << 10))
	vzctl exec2 6801 'grep -q nr_zone_inactive_anon /proc/vmstat'
}

@test "the end: with vzmon killed, after a halt and after a reboot from inside no server is left alone" {
	vzctl start 6801
	pid=$(server 6801)
	kill -9 "$(monitor 6801)"
	wait_for 10 bash -c "! kill -0 $pid"
	run vzctl status 6801
	has cgroups
	vzctl start 6801
	shows 6801 $((96 << 10))
	pid=$(server 6801)
	vzctl exec2 6801 reboot || :
	wait_for 10 bash -c "! kill -0 $pid"
	wait_for 10 replaced 6801 "$pid" $((96 << 10))
	pid=$(server 6801)
	vzctl exec2 6801 halt || :
	wait_for 10 bash -c "! kill -0 $pid"
	leaves_nothing
}

@test "Debian with systemd on overlay: free, uptime, top; a service with mounts of its own after the server was killed" {
	template debian-12
	vzctl create 6804 --ostemplate debian-12 --layout overlay --ram 256M --swap 0
	vzctl start 6804 --wait
	[ "$(vzctl exec2 6804 'free -k' | awk '/^Mem:/ { print $2 }')" = $((256 << 10)) ]
	[[ "$(vzctl exec2 6804 uptime)" =~ up\ [0-9]\ min ]]
	vzctl exec2 6804 'top -b -n 1' | grep -q "MiB Mem : *256.0 total"
	# two lines of numbers, and a disk's
	[ "$(vzctl exec2 6804 'vmstat 1 2' | grep -cE '^( *[0-9]+){17}$')" = 2 ]
	[ "$(vzctl exec2 6804 'vmstat -d' | grep -cE '^[a-z]+[0-9]*( +[0-9]+){10}$')" -ge 1 ]
	vzctl exec2 6804 'systemd-run --unit reader -p PrivateTmp=yes -p ProtectSystem=strict sh -c "while :; do cat /proc/meminfo >/tmp/last; sleep 0.1; done"'
	run vzctl exec2 6804 'systemctl --failed --no-legend --plain'
	[ -z "$output" ]
	pid=$(server 6804)
	kill -9 "$pid"
	wait_for 10 replaced 6804 "$pid" $((256 << 10))
	# what the service reads from now on, in the namespace that systemd made for it
	in_service=$(vzctl exec2 6804 'systemctl show -P MainPID reader')
	[ "$(vzctl exec2 6804 "nsenter -t $in_service -m head -n 1 /proc/meminfo" | awk '{ print $2 }')" = $((256 << 10)) ]
	vzctl exec2 6804 'systemctl is-active reader'
}
