#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What a VPS is made of: ids, namespaces, devices, groups, limits. Attempts to get out are in 91, 92 and 93.
# bats file_tags=host,node
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { make_root; }
teardown_file() { remove_root; }
teardown() { destroy_all; }

init_of() { jq .init_pid "$CROFT_ROOT/run/vz/$1/state.json"; }

# up CTID [SAMPLE]
up() {
	vzctl create "$1" --ostemplate busybox ${2:+--config "$2"} >/dev/null
	vzctl start "$1" >/dev/null
}

# refused CTID LINE: it fails inside
refused() {
	run vzctl exec2 "$1" "$2"
	[ "$status" -ne 0 ] || {
		echo "not refused: $2: $output"
		return 1
	}
}

# bats test_tags=lean
@test "ids: init is CTID<<16 on the host, 0 inside; files of simfs are stored as 0; no two VPSes share ids" {
	up 5901
	up 5902
	for id in 5901 5902; do
		[ "$(stat -c %u "/proc/$(init_of $id)")" = $((id << 16)) ]
		[ "$(awk '{ print $1, $2, $3 }' "/proc/$(init_of $id)/uid_map")" = "0 $((id << 16)) 65536" ]
		[ "$(awk '{ print $1, $2, $3 }' "/proc/$(init_of $id)/gid_map")" = "0 $((id << 16)) 65536" ]
		[ "$(vzctl exec2 $id id -u)" = 0 ]
		vzctl exec2 $id 'touch /root/zero; touch /root/odd; chown 1000:100 /root/odd'
		[ "$(stat -c %u:%g "$(vzdir)/private/$id/root/zero" "$(vzdir)/private/$id/root/odd")" = $'0:0\n1000:100' ]
	done
	vzctl create 5903 --ostemplate busybox
	sed -i "/^LOCAL_UID=/d" "$(conf 5903)"
	echo "LOCAL_UID=\"$((5901 << 16))\"" >>"$(conf 5903)"
	run vzctl start 5903
	if [ "$status" = 0 ]; then
		[ "$(stat -c %u "/proc/$(init_of 5903)")" != $((5901 << 16)) ]
	fi
}

# bats test_tags=lean
@test "all eight namespaces are the VPS's own" {
	up 5901
	up 5902
	for ns in user mnt pid net ipc uts cgroup time; do
		a=$(readlink "/proc/$(init_of 5901)/ns/$ns")
		b=$(readlink "/proc/$(init_of 5902)/ns/$ns")
		[ -n "$a" ] && [ "$a" != "$b" ]
		[ "$a" != "$(readlink /proc/self/ns/$ns)" ] && [ "$b" != "$(readlink /proc/self/ns/$ns)" ]
		[ "$(vzctl exec2 5901 readlink /proc/self/ns/$ns)" = "$a" ]
	done
}

@test "the user namespace belongs to the base id, so that its counts are the VPS's" {
	up 5901
	run python3 - "$(init_of 5901)" <<'P'
import fcntl, os, struct, sys
fd = os.open(f'/proc/{sys.argv[1]}/ns/user', os.O_RDONLY)
print(struct.unpack('I', fcntl.ioctl(fd, 0xb704, struct.pack('I', 0)))[0])
P
	[ "$output" = $((5901 << 16)) ]
}

@test "init holds nothing but its console; an exec'd process nothing but its three streams" {
	up 5901
	for f in /proc/$(init_of 5901)/fd/*; do
		case "${f##*/} $(readlink "$f")" in
		[012]' '/dev/pts/[0-9]* | [012]' /dev/console') ;;
		*)
			echo "$f: $(readlink "$f")"
			return 1
			;;
		esac
	done
	exec 7<"$CROFT_ROOT"
	run vzctl exec2 5901 'pwd; cd /proc/self/fd && echo *' </dev/null
	exec 7<&-
	[ "${lines[0]}" = / ]
	[ "$(sed 's/ 3$//' <<<"${lines[1]}")" = "0 1 2" ]
	run vzctl exec2 5901 'ls -l /proc/1/fd/ /proc/1/root /proc/1/cwd'
	[[ "$output" != *"$CROFT_ROOT"* ]]
}

@test "devices: no node can be made, none of the host opened, the host's disk not mounted" {
	up 5901
	disk=$(stat -c '%Hd %Ld' "$CROFT_ROOT")
	refused 5901 "mknod /root/disk b $disk"
	refused 5901 'mknod /root/mem c 1 1'
	refused 5901 'mknod /dev/kmsg c 1 11'
	refused 5901 "mount -t ext4 /dev/vda /mnt"
	refused 5901 "mount -t ext4 /dev/root /mnt"
	refused 5901 'mount -t devtmpfs none /mnt'
	refused 5901 'mount -t debugfs none /mnt'
	refused 5901 'losetup /dev/loop0 /etc/passwd'
	# what is to work
	vzctl exec2 5901 'echo x >/dev/null; dd if=/dev/zero of=/dev/null bs=1k count=1 2>/dev/null; head -c 4 /dev/urandom >/dev/null; mount -t tmpfs none /mnt'
}

# bats test_tags=lean
@test "the devices group refuses a node that comes by a bind mount with dev" {
	vzctl create 5901 --ostemplate busybox
	mkdir "$CROFT_ROOT/nodes"
	mount -t tmpfs -o mode=755 none "$CROFT_ROOT/nodes"
	mknod -m 666 "$CROFT_ROOT/nodes/kmsg" c 1 11
	mknod -m 666 "$CROFT_ROOT/nodes/null" c 1 3
	vzctl start 5901
	# into the running VPS's mount namespace, without nodev: only the devices group is left
	python3 - "$(init_of 5901)" "$CROFT_ROOT/nodes" <<'P'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
tree = libc.syscall(428, -100, sys.argv[2].encode(), 1 | 0o2000000)  # open_tree, cloned
ns = os.open(f'/proc/{sys.argv[1]}/ns/mnt', os.O_RDONLY)
if tree < 0 or libc.setns(ns, 0x00020000) < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
os.chdir('/')
if libc.syscall(429, tree, b'', -100, b'/mnt', 4) < 0:  # move_mount
    sys.exit(os.strerror(ctypes.get_errno()))
P
	umount "$CROFT_ROOT/nodes"
	vzctl exec2 5901 'echo x >/mnt/null'
	refused 5901 'head -c 1 /mnt/kmsg'
	run vzctl exec2 5901 'echo x >/mnt/kmsg'
	has "not permitted"
}

@test "capabilities and seccomp are as documented, for init and for exec" {
	up 5901
	want=0
	# all but SYS_MODULE 16, SYS_RAWIO 17, SYS_PACCT 20, SYS_TIME 25, MAC_OVERRIDE 32, MAC_ADMIN 33, WAKE_ALARM 35,
	# BLOCK_SUSPEND 36, PERFMON 38, BPF 39
	for cap in $(seq 0 "$(cat /proc/sys/kernel/cap_last_cap)"); do
		case $cap in 16 | 17 | 20 | 25 | 32 | 33 | 35 | 36 | 38 | 39) ;; *) want=$((want | 1 << cap)) ;; esac
	done
	want=$(printf '%016x' $want)
	for p in /proc/1/status /proc/self/status; do
		run vzctl exec2 5901 grep -E "'^(CapBnd|CapInh|CapAmb|Seccomp|NoNewPrivs):'" $p
		[ "$(awk '$1 == "CapBnd:" { print $2 }' <<<"$output")" = "$want" ]
		[ "$(awk '$1 == "CapInh:" || $1 == "CapAmb:" { print $2 }' <<<"$output" | sort -u)" = 0000000000000000 ]
		[ "$(awk '$1 == "Seccomp:" { print $2 }' <<<"$output")" = 2 ]
		[ "$(awk '$1 == "NoNewPrivs:" { print $2 }' <<<"$output")" = 0 ]
	done
}

@test "tmpfs limits of /run, /tmp, /dev/shm hold, cannot be raised and not taken off" {
	up 5901 vswap-256m
	for d in /run /tmp /dev/shm; do
		vzctl exec 5901 "mount -o remount,size=4g,nr_inodes=0 $d" >/dev/null 2>&1 || :
		vzctl exec 5901 "umount $d; umount -l $d" >/dev/null 2>&1 || :
		run vzctl exec2 5901 "df -k $d | awk 'END { print \$2 }'"
		[ "$output" -le 131072 ]
		run vzctl exec2 5901 "dd if=/dev/zero of=$d/fill bs=1M count=140; rm -f $d/fill"
		[[ "$output" == *"No space left"* ]] || {
			echo "$d: $output"
			return 1
		}
		echo x >"$CROFT_ROOT/fine"
	done
	run vzctl exec2 5901 'dd if=/dev/zero of=/dev/fill bs=1M count=2; rm -f /dev/fill'
	has "No space left"
	vzctl exec2 5901 'echo ok >/run/again'
}

# bats test_tags=lean
@test "inside there is one control group tree, init at its root, limits out of reach" {
	up 5901
	[ "$(vzctl exec2 5901 "grep ^0: /proc/1/cgroup")" = 0::/ ]
	run vzctl exec2 5901 "awk '\$3 ~ /^cgroup/ { print \$3, \$2 }' /proc/mounts"
	[ "$output" = "cgroup2 /sys/fs/cgroup" ]
	run vzctl exec2 5901 'cat /proc/1/cgroup /proc/self/cgroup'
	[[ "$output" != *"$(slice)"* && "$output" != *..* ]]
	vzctl exec2 5901 'mkdir /sys/fs/cgroup/mine && echo 0 >/sys/fs/cgroup/mine/cgroup.procs'
	for f in memory.max pids.max cpu.max cgroup.freeze cgroup.kill; do
		refused 5901 "echo 1 >/sys/fs/cgroup/$f"
	done
	# version 1 trees may be mounted, their files are the host's
	for c in devices memory pids freezer; do
		vzctl exec 5901 "mkdir -p /root/v1/$c; mount -t cgroup -o $c none /root/v1/$c" >/dev/null 2>&1 || :
		refused 5901 "mkdir /root/v1/$c/sub && test -e /root/v1/$c/sub/tasks"
	done
	# where no such tree can be mounted, as on hosts with v2 alone, the file is not there
	refused 5901 'cd /root/v1/devices && test -e devices.allow && echo "a *:* rwm" >devices.allow'
	refused 5901 'cd /root/v1/pids && test -e pids.max && echo max >pids.max'
	refused 5901 'cd /root/v1/memory && test -e memory.limit_in_bytes && echo -1 >memory.limit_in_bytes'
	refused 5901 'cd /root/v1/pids && test -e cgroup.procs && echo 1 >cgroup.procs'
	vzctl exec2 5901 true
}

@test "a fork bomb under numproc: host and neighbour go on, exec gets in, stop --fast ends it" {
	vzctl create 5901 --ostemplate busybox
	vzctl set 5901 --numproc 120 --save
	vzctl start 5901
	up 5902
	vzctl exec2 5901 'cat >/root/bomb; chmod 755 /root/bomb' <<'S'
#!/bin/sh
while :; do /root/bomb & sleep 5; done
S
	vzctl exec 5901 'setsid /root/bomb </dev/null >/dev/null 2>&1 &'
	full() { [ "$(cat /sys/fs/cgroup/pids/"$(slice)"/5901/pids.current /sys/fs/cgroup/*/"$(slice)"/5901/pids.current /sys/fs/cgroup/"$(slice)"/5901/pids.current 2>/dev/null | sort -n | tail -n1)" -ge 118 ]; }
	wait_for 30 full
	[ "$(sh -c 'echo host')" = host ]
	[ "$(vzctl exec2 5902 'echo $(echo neighbour)')" = neighbour ]
	run vzctl exec3 5901 /bin/cat /proc/self/status
	status_is 0
	has "Name:"
	run vzctl stop 5901 --fast
	status_is 0
	[ "$(vzctl status 5901)" = "CTID 5901 exist unmounted down" ]
	[ -z "$(ps -eo uid=,pid= | awk -v b=$((5901 << 16)) '$1 >= b && $1 < b + 65536')" ]
}
