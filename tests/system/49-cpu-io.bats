#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The two levels of the CPU, and I/O: what the kernel is told, and that it holds it.
# bats file_tags=host
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { make_root; }
teardown_file() { remove_root; }
teardown() {
	destroy_all
	[ ! -e "$BATS_TEST_TMPDIR/disk" ] || umount "$BATS_TEST_TMPDIR/disk"
}

vzcpucheck() { "$build/vzcpucheck" "$@"; }
# group CTID CONTROLLER: its directory, empty when the controller is not v1
group() { jq -r '.cgroups[]' "$CROFT_ROOT/run/vz/$1/state.json" | sed -n "s/^$2=//p"; }
v1() { [ -n "$(group "$1" "$2")" ]; }
# knob CTID V1-CONTROLLER V1-FILE V2-FILE: its value
knob() { if v1 "$1" "$2"; then cat "$(group "$1" "$2")/$3"; else cat "$(group "$1" v2)/$4"; fi; }
quota() { if v1 "$1" cpu; then cat "$(group "$1" cpu)/cpu.cfs_quota_us"; else cut -d' ' -f1 "$(group "$1" v2)/cpu.max"; fi; }
# burst in microseconds
burst() { knob "$1" cpu cpu.cfs_burst_us cpu.max.burst; }
# weight of the group of all VPSes, 100 for what 1000 cpuunits are
all_vpses() { if v1 "$1" cpu; then echo $(($(cat "$(group "$1" cpu)/../cpu.shares") * 100 / 1024)); else cat "$(group "$1" v2)/../cpu.weight"; fi; }
# CPU time in microseconds
used() { if v1 "$1" cpuacct; then echo $(($(cat "$(group "$1" cpuacct)/cpuacct.usage") / 1000)); else sed -n 's/^usage_usec //p' "$(group "$1" v2)/cpu.stat"; fi; }
vps() { vzctl --quiet create "$@" --ostemplate busybox; }
# told TEXT: standard error is one line, with it
told() {
	[ "${#stderr_lines[@]}" -eq 1 ] && [[ "$stderr" == *"$1"* ]] || {
		echo "not one line with '$1': $stderr" >&2
		return 1
	}
}

@test "VE0CPUUNITS: the group of all VPSes weighs as all of them do beside the node's share" {
	vps 4901
	vps 4902
	vzctl set 4902 --cpuunits 3000 --save
	vzctl --quiet start 4901
	[ "$(all_vpses 4901)" = 100 ]
	vzctl --quiet start 4902
	[ "$(all_vpses 4901)" = 400 ]
	vzctl set 4902 --cpuunits 500 2>/dev/null
	[ "$(all_vpses 4901)" = 150 ]
	vzctl --quiet stop 4902 --fast
	lighter() { [ "$(all_vpses 4901)" = 100 ]; }
	wait_for 10 lighter
	sed -i 's/^VE0CPUUNITS=.*/VE0CPUUNITS=500/' "$CROFT_ROOT/etc/vz/vz.conf"
	"$build/vz-node" start
	[ "$(all_vpses 4901)" = 200 ]
	sed -i 's/^VE0CPUUNITS=.*/VE0CPUUNITS=1000/' "$CROFT_ROOT/etc/vz/vz.conf"
}

@test "--cpuburst: at once, at the start, not without a limit, never above it" {
	vps 4903
	run --separate-stderr vzctl set 4903 --cpuburst 20 --save
	status_is 20
	told '--cpuburst needs --cpulimit or --cpus'
	run --separate-stderr vzctl set 4903 --cpulimit 50 --cpuburst 51 --save
	status_is 21
	told '(allowed: 0 to 50 ms with a limit of 50%)'
	run ! grep -q 'CPUBURST\|CPULIMIT="50"' "$(conf 4903)"
	vzctl set 4903 --cpulimit 50 --cpuburst 20 --save
	grep -qx 'CPUBURST="20"' "$(conf 4903)"
	vzctl --quiet start 4903
	[ "$(quota 4903) $(burst 4903)" = '50000 20000' ]
	vzctl set 4903 --cpuburst 50 --save
	[ "$(burst 4903)" = 50000 ]
	# a smaller limit is no reason to refuse: what fits is in force
	run --separate-stderr vzctl set 4903 --cpulimit 30 --save
	status_is 0
	told '--cpuburst: 50 ms are more than a limit of 30% gives in 100 ms; 30 ms are in force'
	[ "$(quota 4903) $(burst 4903)" = '30000 30000' ]
	vzctl set 4903 --cpulimit 200 --save
	[ "$(quota 4903) $(burst 4903)" = '200000 50000' ]
	run --separate-stderr vzctl set 4903 --cpulimit 0 --save
	told '--cpuburst: there is no --cpulimit to burst above; stored'
	[ "$(burst 4903)" = 0 ]
	vzctl set 4903 --cpulimit 40 --cpuburst 0 --save
	[ "$(quota 4903) $(burst 4903)" = '40000 0' ]
}

@test "--nodemask auto and --cpumask auto choose each other, or the nodes with free memory" {
	vps 4904
	vzctl set 4904 --ram 128M --cpumask 0 --nodemask auto --save
	vzctl --quiet start 4904
	node=$(cd /sys/devices/system/cpu/cpu0 && echo node*)
	[ "$(knob 4904 cpuset cpuset.mems cpuset.mems)" = "${node#node}" ]
	[ "$(knob 4904 cpuset cpuset.cpus cpuset.cpus)" = 0 ]
	vzctl set 4904 --cpumask auto --nodemask "${node#node}" --save
	[ "$(knob 4904 cpuset cpuset.cpus cpuset.cpus)" = "$(cat "/sys/devices/system/node/$node/cpulist")" ]
	vzctl set 4904 --cpumask auto --nodemask auto --save
	n=$(knob 4904 cpuset cpuset.mems cpuset.mems)
	[ "$(knob 4904 cpuset cpuset.cpus cpuset.cpus)" = "$(cat "/sys/devices/system/node/node$n/cpulist")" ]
	grep -qx 'NODEMASK="auto"' "$(conf 4904)"
	[ "$(vzlist -Ho nodemask 4904 | xargs)" = auto ]
}

@test "one CPU, cpuunits 1:3, eight hogs against one: the one with more units runs more" {
	for c in 4905:1000:8 4906:3000:1; do
		IFS=: read -r id units hogs <<<"$c"
		vps "$id"
		vzctl set "$id" --cpuunits "$units" --cpumask 0 --save
		vzctl --quiet start "$id"
		vzctl exec "$id" "i=0; while [ \$i -lt $hogs ]; do (while :; do :; done) & i=\$((i + 1)); done" </dev/null >/dev/null 2>&1
	done
	a=$(used 4905)
	b=$(used 4906)
	both() { [ $(($(used 4905) - a + $(used 4906) - b)) -gt 2000000 ]; }
	wait_for 60 both
	a=$(($(used 4905) - a))
	b=$(($(used 4906) - b))
	echo "1000 units: $a us, 3000 units: $b us"
	[ $((b * 10)) -gt $((a * 20)) ]
	[ $((b * 10)) -lt $((a * 45)) ]
}

@test "vzcpucheck: sum of the cpuunits that run, power of the node, exit codes" {
	vps 4907
	vps 4908
	vzctl set 4907 --cpuunits 3000 --save
	vzctl --quiet start 4907
	power=$(awk -F: 'tolower($1) ~ /^bogomips/ { s += $2 * 25 } END { print s }' /proc/cpuinfo)
	run vzcpucheck
	status_is 0
	[ "$output" = "Current CPU utilization: 4000"$'\n'"Power of the node: $power" ]
	run vzcpucheck -v
	status_is 0
	[ "${lines[0]}" = $'VEID\t\tCPUUNITS' ]
	[ "${lines[1]}" = ------------------------- ]
	[ "$(sed -n '3,4p' <<<"$output" | xargs)" = '0 1000 4907 3000' ]
	has 'Current CPU utilization: 4000'
	# what is in force counts, saved or not
	vzctl set 4907 --cpuunits 500000 2>/dev/null
	run vzcpucheck
	has 'Current CPU utilization: 501000'
	has 'Warning: hardware node is overcommitted'
	vzctl --quiet stop 4907 --fast
	run vzcpucheck
	has 'Current CPU utilization: 1000'
	for bad in -x --nosuch 4907; do
		run --separate-stderr vzcpucheck $bad
		status_is 2
		[ -z "$output" ]
	done
	run vzcpucheck --help
	status_is 0
	run sh -c "'$build/vzcpucheck' >/dev/full 2>/dev/null"
	status_is 1
}

# limit CTID read_bps|write_bps|read_iops|write_iops DEVICE: what is in force, empty without one
limit() {
	local g
	if v1 "$1" blkio; then
		sed -n "s/^$3 //p" "$(group "$1" blkio)/blkio.throttle.$2_device"
	else
		g=${2%%_*}
		sed -n "s/^$3 .*${g:0:1}${2#*_}=\([0-9]*\).*/\1/p" "$(group "$1" v2)/io.max"
	fi
}

# private_on_loop CTID [MKFS...]: a VPS whose private area is on a file system of its own; its device in $disk
private_on_loop() {
	local id=$1 loop
	shift
	truncate -s 160M "$BATS_TEST_TMPDIR/image"
	"$@" "$BATS_TEST_TMPDIR/image" >/dev/null
	mkdir "$BATS_TEST_TMPDIR/disk"
	mount -o loop "$BATS_TEST_TMPDIR/image" "$BATS_TEST_TMPDIR/disk"
	loop=$(findmnt -no SOURCE "$BATS_TEST_TMPDIR/disk")
	disk=$(cat "/sys/block/${loop##*/}/dev")
	vps "$id" --private "$BATS_TEST_TMPDIR/disk/$id"
}

@test "--iolimit and --iopslimit: at once and at the start, on the disk under the private area; 0 removes" {
	private_on_loop 4910 mkfs.ext4 -q
	run --separate-stderr vzctl set 4910 --iolimit 3 --iopslimit 400 --save
	status_is 0
	[ ! -d /sys/fs/cgroup/blkio ] || told 'on cgroup v1 the kernel limits reads, and direct and synchronous writes; others not'
	grep -qx 'IOLIMIT="3145728"' "$(conf 4910)"
	vzctl --quiet start 4910
	for rw in read write; do
		[ "$(limit 4910 ${rw}_bps "$disk") $(limit 4910 ${rw}_iops "$disk")" = '3145728 400' ]
	done
	vzctl set 4910 --iolimit 512K 2>/dev/null
	[ "$(limit 4910 read_bps "$disk") $(limit 4910 write_iops "$disk")" = '524288 400' ]
	[ "$(vzlist -Ho iolimit 4910 | xargs)" = 524288 ]
	run --separate-stderr vzctl set 4910 --iolimit 0 --iopslimit 0 --save
	[ -z "$stderr" ]
	[ -z "$(limit 4910 read_bps "$disk")$(limit 4910 write_bps "$disk")$(limit 4910 read_iops "$disk")$(limit 4910 write_iops "$disk")" ]
}

@test "--iolimit holds: 3 MiB of direct writes and reads at 2 MiB a second take a second and more each" {
	private_on_loop 4911 mkfs.ext4 -q
	vzctl --quiet start 4911
	vzctl set 4911 --iolimit 2 2>/dev/null
	for what in 'if=/dev/zero of=/f oflag=direct' 'if=/f of=/dev/null iflag=direct'; do
		begin=$(date +%s%N)
		vzctl exec2 4911 "dd $what bs=65536 count=48 2>/dev/null"
		ms=$((($(date +%s%N) - begin) / 1000000))
		echo "dd $what: $ms ms"
		[ "$ms" -ge 1000 ] # a loaded machine only adds to it
	done
}

@test "the disk is found under btrfs, too; a private area in memory has none, and that is said" {
	private_on_loop 4912 mkfs.btrfs -q
	vzctl set 4912 --iolimit 3 --save 2>/dev/null
	vzctl --quiet start 4912
	[ "$(limit 4912 write_bps "$disk")" = 3145728 ]
	mkdir "$CROFT_ROOT/memory"
	mount -t tmpfs tmpfs "$CROFT_ROOT/memory"
	vps 4913 --private "$CROFT_ROOT/memory/4913"
	for state in stopped running; do
		[ $state = stopped ] || vzctl --quiet start 4913
		run --separate-stderr vzctl set 4913 --iolimit 3 --save
		status_is 0
		told 'the private area is on tmpfs, under which there is no disk; stored, not enforced'
	done
	vzctl --quiet stop 4913 --fast
	vzctl --quiet destroy 4913
	wait_for 10 umount "$CROFT_ROOT/memory"
}

@test "--ioprio: the weight is set where the kernel has one, and said where no scheduler looks at it" {
	private_on_loop 4914 mkfs.ext4 -q
	vzctl --quiet start 4914
	weight() {
		if v1 4914 blkio; then cat "$(group 4914 blkio)/blkio.bfq.weight"; else sed -n 's/^default //p' "$(group 4914 v2)/io.bfq.weight"; fi
	}
	scheduler=/sys/dev/block/$disk/queue/scheduler
	echo none >"$scheduler"
	run --separate-stderr vzctl set 4914 --ioprio 7 --save
	status_is 0
	told "the I/O scheduler of device $disk is none, and only bfq and io.cost know priorities"
	if grep -qw bfq "$scheduler"; then
		[ "$(weight)" = 160 ]
		echo bfq >"$scheduler"
		run --separate-stderr vzctl set 4914 --ioprio 0 --save
		[ -z "$stderr" ]
		[ "$(weight)" = 20 ]
		vzctl set 4914 --ioprio 4 --save
		[ "$(weight)" = 100 ]
		echo none >"$scheduler"
	fi
}
