#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host,node
# Mounts of action scripts, and file systems in memory, through a suspend.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/criu

setup_file() {
	make_root overlay && need_criu
	[ -x "$build/tests/checkpoint/resize" ] || make -s -C "$build" checkpoint-programs
}
teardown_file() { remove_root; }
teardown() { destroy_all; }

dump() { echo "$(vzdir)/dump/Dump.$1"; }
rundir() { echo "$CROFT_ROOT/run/vz/$1"; }
confdir() { echo "$CROFT_ROOT/etc/vz/conf"; }
# mount_script CTID COMMANDS: CTID.mount; $side is a directory of the node
mount_script() {
	printf '#!/bin/sh\nset -e\n. "$VE_CONFFILE"\nside=%s\n%s\n' "$CROFT_ROOT/side" "$2" >"$(confdir)/$1.mount"
	chmod 755 "$(confdir)/$1.mount"
}
fails() { # CODE MESSAGE WORDS...
	local code=$1 message=$2
	shift 2
	run --separate-stderr vzctl "$@"
	[ "$status" -eq "$code" ] && [[ "$stderr" == *"$message"* ]] || { echo "status $status: $stderr" >&2; return 1; }
}
# the lines of mountinfo without their numbers. Options of cgroup2 are the node's; a tmpfs that CRIU makes tells whose it is
mounts() {
	vzctl exec2 "$1" 'cut -d" " -f4-6 /proc/self/mountinfo; sed "s/.* - //" /proc/self/mountinfo' | grep -v ' /dev/console ' |
		sed -E 's/^(cgroup2 [^ ]* ).*/\1/; /^tmpfs script /s/,[ug]id=[0-9]*//g' | sort
}

# what the VPS does with them, before
busy() {
	vzctl exec2 "$1" 'set -e
		echo one >/srv/a; echo two >/etc/one; mkdir /mnt/deep/d; echo in memory >/mnt/deep/d/m
		mkdir /home/bound /home/own
		mount --bind /srv /home/bound # of what the node gave, and what it did not
		mount -t tmpfs -o nosuid,nodev own /home/own
		mount --make-rshared / # as systemd does, and a service with mounts of its own
		unshare -m sh -c "mount -t tmpfs none /srv; while :; do sleep 1; done" </dev/null >/dev/null 2>&1 & echo $! >/run/service
		( exec 3>>/srv/a 4>/mnt/deep/d/n 5<>/tmp/gone; rm /tmp/gone; echo kept >&5
		  while :; do date >&3; echo x >&4; usleep 50000; done ) </dev/null >/dev/null 2>&1 &
		echo $! >/run/writer'
	wait_for 5 vzctl exec2 "$1" '[ $(grep -c . /srv/a) -gt 2 ]'
}
grows() { # CTID: the same process writes on, to the same files
	local before
	vzctl exec2 "$1" 'kill -0 $(cat /run/writer) && grep -qx kept /proc/$(cat /run/writer)/fd/5'
	before=$(wc -l <"$CROFT_ROOT/side/dir/a")
	wait_for 5 bash -c "[ \$(wc -l <$CROFT_ROOT/side/dir/a) -gt $before ]"
}
# CTID: sizes of what is in memory are out of reach of the VPS, but for what it mounted itself
out_of_reach() {
	local of_script=/mnt/deep
	# tmpfs carries no ids before Linux 6.3: then it is the VPS's after a resume
	printf '%s\n' 6.3 "$(uname -r)" | sort -CV || of_script=
	run vzctl exec2 "$1" /root/resize /run /tmp /dev/shm $of_script /home/own
	[ "$output" = "$(printf '%s: Operation not permitted\n' /run /tmp /dev/shm $of_script; echo /home/own changed)" ] ||
		{ echo "$output" >&2; return 1; }
}

there_and_back() { # LAYOUT CTID
	local before sizes ran=0
	mkdir -p "$CROFT_ROOT/side/dir" "$CROFT_ROOT/side/below" "$CROFT_ROOT/side/other"
	echo of the node >"$CROFT_ROOT/side/file"
	chmod -R a+rwX "$CROFT_ROOT/side"
	vzctl --quiet create "$2" --ostemplate busybox --layout "$1" --ram 64M --swap 0 --numproc 200
	mount_script "$2" '$VZIN mkdir -p /srv /mnt; $VZIN touch /etc/one
		mount -n --bind $side/dir "$VE_ROOT/srv"
		mount -n --bind $side/file "$VE_ROOT/etc/one"
		mount -n --bind $side/below "$VE_ROOT/mnt"
		mount -n --make-private "$VE_ROOT/mnt" # else, on a node with systemd, what is in it would be on the node as well
		mkdir -p "$VE_ROOT/mnt/deep" "$VE_ROOT/mnt/with blank"
		mount -n -t tmpfs -o size=3m,mode=1777 script "$VE_ROOT/mnt/deep"
		mount -n --bind $side/other "$VE_ROOT/mnt/with blank"
		mount -n -o remount,bind,ro,noatime "$VE_ROOT/mnt/with blank"'
	vzctl --quiet start "$2"
	vzctl exec2 "$2" 'cat >/root/resize; chmod 755 /root/resize' <"$build/tests/checkpoint/resize"
	busy "$2"
	out_of_reach "$2"
	before=$(mounts "$2")
	sizes=$(vzctl exec2 "$2" 'df -k /run /tmp /dev/shm /mnt/deep | awk "{ print \$2, \$NF }"')
	for _ in 1 2; do
		vzctl --quiet suspend "$2"
		[ -z "$(grep "$CROFT_ROOT/root/$2" /proc/self/mountinfo)" ]
		vzctl --quiet resume "$2" 
		grows "$2"
		vzctl exec2 "$2" 'grep -q " / /srv .* - tmpfs" /proc/$(cat /run/service)/mountinfo && ! ls /proc/$(cat /run/service)/root/srv | grep -q .'
		[ "$(mounts "$2")" = "$before" ] || { diff <(echo "$before") <(mounts "$2") >&2; return 1; }
		[ "$(vzctl exec2 "$2" 'df -k /run /tmp /dev/shm /mnt/deep | awk "{ print \$2, \$NF }"')" = "$sizes" ]
		out_of_reach "$2"
		# uptime goes on as well
		[ "$(jq .ran_ms "$(rundir "$2")/state.json")" -gt "$ran" ]
		ran=$(jq .ran_ms "$(rundir "$2")/state.json")
		vzctl exec2 "$2" 'grep -q "in memory" /mnt/deep/d/m && [ "$(head -n 1 /etc/one)" = two ] && [ "$(stat -c %u /srv/a /mnt/deep/d)" = "0
0" ] && ! touch "/mnt/with blank/x"'
		[ "$(stat -c %u "$CROFT_ROOT/side/dir/a")" = 0 ]
	done
	vzctl --quiet stop "$2" --fast
	[ -z "$(grep "$CROFT_ROOT/root/$2" /proc/self/mountinfo)" ]
}

@test "overlay: a directory, a file, a tmpfs, mounts below mounts, twice; sizes of memory stay out of reach" {
	there_and_back overlay 5261
}

@test "simfs: the same" {
	there_and_back simfs 5262
}

@test "a mount that its script does not make any more: named, the dump stays; made again it resumes" {
	mkdir -p "$CROFT_ROOT/side/dir" "$CROFT_ROOT/side/new"
	vzctl --quiet create 5263 --ostemplate busybox
	mount_script 5263 'mount -n --bind $side/dir "$VE_ROOT/srv"; mount -n -t tmpfs none "$VE_ROOT/mnt"'
	$build/vzctl --quiet start 5263
	vzctl exec2 5263 'echo kept >/mnt/x'
	vzctl --quiet suspend 5263
	local begins='VPS 5263 had a mount at' by='made by an action script when it was started, and now'
	mount_script 5263 'mount -n -t tmpfs none "$VE_ROOT/mnt"'
	fails 17 "$begins /srv, $by there is none" resume 5263
	mount_script 5263 'mount -n --bind $side/dir "$VE_ROOT/srv"; mount -n --bind $side/dir "$VE_ROOT/mnt"'
	! printf '%s\n' 6.3 "$(uname -r)" | sort -CV || fails 17 "$begins /mnt, $by it is no tmpfs" resume 5263
	mount_script 5263 'mount -n --bind $side/dir "$VE_ROOT/srv"; mount -n -o remount,bind,ro "$VE_ROOT/srv"; mount -n -t tmpfs none "$VE_ROOT/mnt"'
	fails 17 "$begins /srv, $by it is read-only" resume 5263
	[ -s "$(dump 5263)" ]
	[ "$(vzctl status 5263)" = 'CTID 5263 exist unmounted down suspended' ]
	# start, at boot perhaps, when the directory is not there yet
	mount_script 5263 'mount -n --bind $side/absent "$VE_ROOT/srv"'
	fails 79 'its dump is' start 5263
	[ "$(vzctl status 5263)" = 'CTID 5263 exist unmounted down suspended' ]
	# a new one is not in the VPS before its next start
	mount_script 5263 'mount -n --bind $side/dir "$VE_ROOT/srv"; mount -n -t tmpfs none "$VE_ROOT/mnt"; mount -n --bind $side/new "$VE_ROOT/home"'
	vzctl --quiet start 5263
	[ "$(vzctl exec2 5263 'cat /mnt/x; grep -c " /home " /proc/mounts')" = $'kept\n0' ]
	# what is mounted over one of them would be taken for it
	vzctl exec2 5263 mount -t tmpfs none /srv
	fails 16 'the mount at /srv of an action script has another one over it' suspend 5263
	vzctl exec2 5263 umount /srv
	run -0 vzctl checkpoint-check 5263 --time 0
	vzctl --quiet stop 5263 --fast
}

@test "more was in memory than the size of today: it has room" {
	vzctl --quiet create 5264 --ostemplate busybox --ram 64M --swap 0
	vzctl --quiet start 5264
	vzctl exec2 5264 'dd if=/dev/urandom of=/tmp/big bs=1M count=25; md5sum /tmp/big >/root/sum' 2>/dev/null
	vzctl --quiet suspend 5264
	# half of it is less than that; CRIU and tar need some of it as well
	vzctl --quiet set 5264 --ram 48M --save
	vzctl resume 5264 >&2 || { tail -n 20 "$(rundir 5264)/restore.log" >&2; dmesg | tail -n 5 >&2; return 1; }
	vzctl exec2 5264 'md5sum -c /root/sum' >&2
	vzctl --quiet stop 5264 --fast
}
