#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host
# Full and read-only disks, two commands at once, inits that do not behave, files that vanish under a VPS, missing
# controllers: one clear line, the right code, nothing lost, nothing left.
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { make_root; }
teardown_file() { remove_root; }

setup() {
	etc=$CROFT_ROOT/etc/vz
	private=$(vzdir)/private
}

teardown() {
	# mounts of a test itself; those of VPSes are below root/
	awk -v r="$CROFT_ROOT/" 'index($5, r) == 1 { print $5 }' /proc/self/mountinfo | grep -v "^$(vzdir)/root/" | tac |
		while read -r m; do umount "$m" || umount -l "$m"; done
	[ ! -e "$CROFT_ROOT/busybox.tar.zst" ] || mv "$CROFT_ROOT/busybox.tar.zst" "$(vzdir)/template/cache/"
	destroy_all
	rm -f "$etc"/conf/66*.start "$etc"/conf/66*.stop
	[ -z "$(ls -A "$etc/names")" ]
}

make_vps() { vzctl --quiet create "$1" --ostemplate busybox "${@:2}"; }
status_of() { vzctl status "$1" | cut -d' ' -f3-; }

# small DIR SIZE: a tmpfs of SIZE over DIR, holding what was in it
small() {
	mkdir -p "$1"
	cp -a "$1" "$BATS_TEST_TMPDIR/copy"
	mount -t tmpfs -o "size=$2" small "$1"
	cp -a "$BATS_TEST_TMPDIR/copy/." "$1/"
	rm -rf "$BATS_TEST_TMPDIR/copy"
}

fill() { ! cat /dev/zero >"$1/fill" 2>/dev/null; }

# init NAME: standard input becomes /sbin/init of VPS 6621 (simfs)
init() {
	rm -rf "$private/6621/sbin/init"
	cat >"$private/6621/sbin/init"
	chmod 755 "$private/6621/sbin/init"
}

# ---- full and read-only disks ----

@test "no space for the private area: create gives 46, on both layouts, and nothing is left" {
	small "$private" 600k
	small "$(vzdir)/template/unpacked" 600k
	for layout in simfs overlay; do
		fails 46 "No space left on device" create 6620 --ostemplate busybox --layout $layout --name full
		[ -z "$(ls -A "$private")" ]
		[ -z "$(ls "$(vzdir)/template/unpacked")" ]
		[ ! -e "$(conf 6620)" ]
	done
	umount "$private" "$(vzdir)/template/unpacked"
	make_vps 6620
}

@test "/etc/vz/conf is full: set, create and a new name give 139 and 131, every old file stays whole" {
	make_vps 6620 --hostname old
	small "$etc/conf" 128k
	fill "$etc/conf"
	cp "$(conf 6620)" "$BATS_TEST_TMPDIR/before"
	fails 139 "Unable to save config $(conf 6620): No space left" set 6620 --hostname new --save
	fails 139 "No space left" set 6620 --name full --save
	fails 139 "No space left" create 6622 --ostemplate busybox --name other
	cmp "$(conf 6620)" "$BATS_TEST_TMPDIR/before"
	[ -z "$(ls -A "$etc/names")" ]
	[ "$(ls -A "$etc/conf" | grep -c '^66')" = 1 ]
	[ "$(ls -A "$private")" = 6620 ]
	vzctl start 6620
	[ "$(vzctl exec2 6620 hostname)" = old ]
	vzctl stop 6620 --fast
	rm "$etc/conf/fill"
	vzctl set 6620 --name full --save
	vzctl set full --name '' --save
	cp "$(conf 6620)" "$BATS_TEST_TMPDIR/last"
	umount "$etc/conf"
	cp "$BATS_TEST_TMPDIR/last" "$(conf 6620)"
}

@test "/run is full: start and mount fail, nothing is left, with space again they work" {
	make_vps 6620
	small "$CROFT_ROOT/run" 256k
	vzctl --quiet mount 6620 # caches of this boot
	vzctl --quiet umount 6620
	fill "$CROFT_ROOT/run"
	run --separate-stderr vzctl start 6620
	[ "$status" -eq 3 ] || [ "$status" -eq 7 ] || [ "$status" -eq 50 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ "$stderr" == *"No space left on device" ]]
	[ -z "$(find "$CROFT_ROOT/run" -name '*.lck' -path '*/lock/*')" ]
	leaves_nothing "$CROFT_ROOT/run"
	[ "$(status_of 6620)" = "exist unmounted down" ]
	rm "$CROFT_ROOT/run/fill"
	vzctl start 6620
	vzctl stop 6620 --fast
	wait_for 10 umount -R "$CROFT_ROOT/run" # with the BPF file system below it
}

@test "/run fills up behind the lock: the mount is not made, or taken back" {
	make_vps 6620
	small "$CROFT_ROOT/run/vz" 256k
	fill "$CROFT_ROOT/run/vz"
	for c in start mount; do
		run --separate-stderr vzctl $c 6620
		[ "$status" -ne 0 ]
		[ "${#stderr_lines[@]}" -eq 1 ] || { echo "$stderr"; false; }
		[[ "$stderr" == *"No space left on device" ]]
		leaves_nothing "$CROFT_ROOT/run/vz"
		[ "$(status_of 6620)" = "exist unmounted down" ]
	done
	wait_for 10 umount -R "$CROFT_ROOT/run/vz"
}

@test "the running VPS of a full /run can be stopped" {
	small "$CROFT_ROOT/run" 256k
	make_vps 6620
	vzctl start 6620
	fill "$CROFT_ROOT/run"
	[ "$(vzctl exec2 6620 'echo in')" = in ]
	# there is no room for a lock: said with the way around it
	run --separate-stderr vzctl stop 6620 --fast
	[ "$status" -eq 0 ] || { [ "$status" -eq 3 ] && [[ "$stderr" == *"--skiplock works without"* ]]; }
	vzctl --skiplock stop 6620 --fast
	[ "$(status_of 6620)" = "exist unmounted down" ]
	wait_for 10 umount -R "$CROFT_ROOT/run" # with the BPF file system below it
}

@test "no inode for the mount point: 49" {
	make_vps 6620
	rmdir "$(vzdir)/root/6620" 2>/dev/null || :
	mount -t tmpfs -o nr_inodes=1 small "$(vzdir)/root"
	fails 49 "Unable to make mount point $(vzdir)/root/6620: No space left" start 6620
	umount "$(vzdir)/root"
}

@test "no space for a template that is built: not listed, nothing left" {
	mkdir -p "$etc/templates"
	printf '#!/bin/sh\nexec tar -C / -cf "$OUT" bin/busybox etc/passwd\n' >"$etc/templates/big"
	chmod 755 "$etc/templates/big"
	small "$(vzdir)/template/cache" 3m
	fill "$(vzdir)/template/cache"
	run vztmpl build big
	status_is 8
	has "No space left on device"
	[ -z "$(find "$(vzdir)/template/cache" -name '*big*')" ]
	rm -r "$etc/templates"
	umount "$(vzdir)/template/cache"
}

@test "/etc is read-only: what must write there refuses before it loses anything, the rest works" {
	make_vps 6620
	cp "$(conf 6620)" "$BATS_TEST_TMPDIR/before"
	mount --bind "$CROFT_ROOT/etc" "$CROFT_ROOT/etc"
	mount -o remount,bind,ro "$CROFT_ROOT/etc"
	fails 139 "Read-only file system" set 6620 --cpuunits 100 --save
	fails 131 "Read-only file system" set 6620 --name ro --save
	fails 139 "Read-only file system" create 6622 --ostemplate busybox
	fails 139 "Read-only file system" destroy 6620
	[ "$(ls -A "$private")" = 6620 ]
	cmp "$(conf 6620)" "$BATS_TEST_TMPDIR/before"
	vzctl start 6620
	[ "$(vzctl exec2 6620 'echo in')" = in ]
	vzctl set 6620 --cpuunits 100
	vzctl stop 6620 --fast
	umount "$CROFT_ROOT/etc"
}

# ---- two commands at once ----

# both "A" "B" CODES: run two vzctl lines at once; each ends with one of CODES
both() {
	local a b x=0 y=0
	# shellcheck disable=SC2086
	{
		timeout 60 "$build/vzctl" $1 >"$BATS_TEST_TMPDIR/a" 2>&1 &
		a=$!
		timeout 60 "$build/vzctl" $2 >"$BATS_TEST_TMPDIR/b" 2>&1 &
		b=$!
	}
	wait $a || x=$?
	wait $b || y=$?
	[[ " $3 " == *" $x "* && " $3 " == *" $y "* ]] || {
		echo "$1: $x, $2: $y (allowed: $3)" >&2
		cat "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b" >&2
		return 1
	}
}

@test "two creates of one VPS at once: one makes it, the other is told so" {
	for i in 1 2 3 4 5; do
		both "create 6620 --ostemplate busybox" "create 6620 --ostemplate busybox --layout overlay" "0 9 44"
		[ "$(status_of 6620)" = "exist unmounted down" ]
		[ "$(ls -A "$private" | grep -vc vzctl-rm-me)" = 1 ]
		vzctl --quiet start 6620
		vzctl --quiet stop 6620 --fast
		vzctl --quiet destroy 6620
	done
}

@test "create and destroy at once: afterwards it is there, or it is not" {
	for i in 1 2 3 4 5; do
		make_vps 6620
		both "destroy 6620" "create 6620 --ostemplate busybox" "0 9 14 44"
		case "$(status_of 6620)" in
		"exist unmounted down")
			vzctl --quiet start 6620
			vzctl --quiet stop 6620 --fast
			vzctl --quiet destroy 6620
			;;
		"deleted unmounted down") [ ! -e "$(conf 6620)" ] ;;
		*) false ;;
		esac
	done
}

@test "two starts, start and stop, stop and set, two sets at once" {
	make_vps 6620
	for i in 1 2 3 4; do
		both "start 6620" "start 6620" "0 9 32"
		[ "$(status_of 6620)" = "exist mounted running" ]
		both "stop 6620 --fast" "set 6620 --cpuunits $((1000 + i)) --save" "0 9"
		both "stop 6620 --fast" "start 6620" "0 9 32"
		vzctl --quiet stop 6620 --fast || :
		both "set 6620 --cpuunits $((2000 + i)) --save" "set 6620 --cpulimit 5$i --save" "0 9"
		grep -qE "^(CPUUNITS=\"200$i\"|CPULIMIT=\"5$i\")$" "$(conf 6620)"
		[ "$(sort "$(conf 6620)" | cut -d= -f1 | uniq -d)" = "" ]
	done
	[ "$(vzctl --quiet start 6620 && vzctl exec2 6620 'echo in')" = in ]
}

@test "two VPSes that take one name at once: one gets it" {
	make_vps 6620
	make_vps 6622
	for i in 1 2 3 4 5; do
		both "set 6620 --name race --save" "set 6622 --name race --save" "0 131"
		[ "$(grep -l '^NAME="race"' "$(conf 6620)" "$(conf 6622)" | wc -l)" = 1 ]
		[[ "$(vzctl status race)" == *" exist unmounted down" ]]
		vzctl --quiet set race --name '' --save
	done
}

@test "start of a running VPS: 32, and it runs on" {
	make_vps 6620
	vzctl start 6620
	pid=$(jq .init_pid "$CROFT_ROOT/run/vz/6620/state.json")
	fails 32 "already running" start 6620
	fails 32 "already running" start 6620 --wait
	[ "$(jq .init_pid "$CROFT_ROOT/run/vz/6620/state.json")" = "$pid" ]
	fails 32 "running" destroy 6620
	fails 32 "running" umount 6620
}

# ---- inits ----

@test "no init that can be executed: 47, unmounted again" {
	make_vps 6621
	i=$private/6621/sbin/init
	for kind in missing directory loop outside fifo mode garbage empty interpreter; do
		rm -rf "$i"
		case $kind in
		missing) ;;
		directory) mkdir "$i" ;;
		loop) ln -s init "$i" ;;
		outside) ln -s ../../../../../../../../bin/bash "$i" ;;
		fifo) mkfifo -m 755 "$i" ;;
		mode) install -m 0644 /dev/null "$i" ;;
		garbage) printf 'garbage\001\002\n' | init ;;
		empty) install -m 0755 /dev/null "$i" ;;
		interpreter) printf '#!/no/such\n' | init ;;
		esac
		fails 47 "init" start 6621
		case $kind in # a program, but none whose boot anybody knows the end of: refused before it is tried
		garbage | empty | interpreter) fails 133 "init" start 6621 --wait ;;
		*) fails 47 "init" start 6621 --wait ;;
		esac
		[ "$(status_of 6621)" = "exist unmounted down" ]
	done
	leaves_nothing
}

@test "init ends at once, with whatever status: the VPS is down, nothing is left, --wait says 133" {
	make_vps 6621
	for n in 0 1 42 255; do
		printf '#!/bin/sh\nexit %s\n' $n | init
		run vzctl start 6621
		# whether init is seen to live depends on who is faster
		[ "$status" -eq 0 ] || { [ "$status" -eq 7 ] && has "init of the VPS ended at once"; }
		leaves_nothing
		[ "$(status_of 6621)" = "exist unmounted down" ]
		run vzctl start 6621 --wait
		[ "$status" -eq 133 ] || { [ "$status" -eq 7 ] && has "init of the VPS ended at once"; }
		leaves_nothing
	done
	printf '#!/bin/sh\nexec /bin/busybox halt -f\n' | init
	run vzctl start 6621
	leaves_nothing
	[ "$(status_of 6621)" = "exist unmounted down" ]
}

@test "an init that ignores every signal is killed after STOP_TIMEOUT" {
	make_vps 6621
	vzctl set 6621 --stop-timeout 1 --save
	printf '#!/bin/sh\nn=1\nwhile [ $n -lt 65 ]; do trap "" $n 2>/dev/null; n=$((n + 1)); done\nwhile :; do sleep 1; done\n' | init
	vzctl start 6621
	run timeout 60 "$build/vzctl" stop 6621
	status_is 0
	has "Killing VPS"
	has "Container was stopped"
}

@test "a halt command that never ends does not hold stop up, nor does a stop script" {
	make_vps 6621
	vzctl set 6621 --stop-timeout 1 --save
	printf '#!/bin/sh\nwhile :; do sleep 1; done\n' | init
	rm "$private/6621/sbin/halt"
	cp "$private/6621/sbin/init" "$private/6621/sbin/halt"
	vzctl start 6621
	run timeout 60 "$build/vzctl" stop 6621
	status_is 0
	has "Container was stopped"
	vzctl start 6621
	cp "$private/6621/sbin/init" "$etc/conf/6621.stop"
	fails 15 "stop script of VPS 6621 did not end in 1 s" stop 6621
	[ "$(status_of 6621)" = "exist mounted running" ]
}

# ---- what vanishes under a VPS ----

@test "the private area is deleted under a running VPS: it is told, and can be stopped and destroyed" {
	make_vps 6621
	vzctl set 6621 --stop-timeout 1 --save
	vzctl start 6621
	rm -rf "$private/6621"
	[ "$(status_of 6621)" = "deleted mounted running" ]
	[ "$(vzlist -H -o ctid,status | tr -s ' ')" = " 6621 running" ]
	fails 47 "No shell in the VPS" exec2 6621 true
	vzctl set 6621 --cpuunits 100 --save
	run timeout 60 "$build/vzctl" stop 6621
	status_is 0
	[ "$(status_of 6621)" = "deleted unmounted down" ]
	fails 43 "VPS private area $private/6621 does not exist" start 6621
	vzctl destroy 6621
	[ ! -e "$(conf 6621)" ]
}

@test "the template's generation is deleted under an overlay VPS: unpacked anew, or 91; what was written is kept" {
	make_vps 6620 --layout overlay
	vzctl start 6620
	vzctl exec2 6620 'echo mine >/etc/mine; mv /etc/passwd /etc/passwd.old; ln /etc/group /etc/second'
	rm -rf "$(vzdir)"/template/unpacked/busybox@*
	vzctl stop 6620 --fast
	vzctl start 6620
	[ "$(vzctl exec2 6620 'cat /etc/mine; ls /etc/passwd.old; ls /etc/passwd 2>/dev/null; cmp /etc/group /etc/second && echo same')" = $'mine\n/etc/passwd.old\nsame' ]
	vzctl stop 6620 --fast
	rm -rf "$(vzdir)"/template/unpacked/busybox@*
	mv "$(vzdir)/template/cache/busybox.tar.zst" "$CROFT_ROOT/"
	fails 91 "busybox.tar" start 6620
	fails 91 "busybox.tar" mount 6620
	fails 91 "busybox.tar" set 6620 --userpasswd root:x
	[ "$(status_of 6620)" = "exist unmounted down" ]
	vzctl set 6620 --cpuunits 100 --save
	mv "$CROFT_ROOT/busybox.tar.zst" "$(vzdir)/template/cache/"
	vzctl start 6620
	[ "$(vzctl exec2 6620 cat /etc/mine)" = mine ]
	vzctl stop 6620 --fast
	# another archive of that name is another generation: the VPS has none
	rm -rf "$(vzdir)"/template/unpacked/busybox@*
	mv "$(vzdir)/template/cache/busybox.tar.zst" "$CROFT_ROOT/"
	tar -C "$private" -c 6620 | zstd -q -o "$(vzdir)/template/cache/busybox.tar.zst"
	fails 91 "is a newer one" start 6620
	rm "$(vzdir)/template/cache/busybox.tar.zst"
}

@test "a generation that was emptied: 47, and destroy works" {
	make_vps 6620 --layout overlay
	rm -rf "$(vzdir)"/template/unpacked/busybox@*/*
	fails 47 "no init in the VPS" start 6620
	[ "$(status_of 6620)" = "exist unmounted down" ]
	vzctl destroy 6620
	rm -rf "$(vzdir)"/template/unpacked/busybox@*
}

@test "an overlay VPS without its upper or work directory: 50" {
	make_vps 6620 --layout overlay
	for d in work upper; do
		mv "$private/6620/$d" "$CROFT_ROOT/aside"
		fails 50 "overlay mount of $private/6620: No such file" start 6620
		mv "$CROFT_ROOT/aside" "$private/6620/$d"
		[ "$(status_of 6620)" = "exist unmounted down" ]
	done
	vzctl start 6620
}

@test "a missing template, and one of another name: 91, nothing made" {
	for t in nosuch busybox.tar; do
		fails 91 "template" create 6620 --ostemplate $t
		[ ! -e "$(conf 6620)" ]
		[ -z "$(ls -A "$private")" ]
	done
	fails 21 "--ostemplate" create 6620 --ostemplate ../busybox
	mkdir "$(vzdir)/template/cache/dir.tar"
	mkfifo "$(vzdir)/template/cache/fifo.tar"
	for t in dir fifo; do
		for layout in simfs overlay; do
			run timeout 60 "$build/vzctl" create 6620 --ostemplate $t --layout $layout
			[ "$status" -eq 91 ] || [ "$status" -eq 47 ]
			[ -z "$(ls -A "$private")" ]
		done
		run timeout 60 "$build/vztmpl" list
		status_is 0
	done
	rm -r "$(vzdir)"/template/cache/{dir,fifo}.tar
}

# ---- controllers ----

cgroup_mounts() { awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts; }

# without "MOUNTS" LINE...: vzctl lines in a mount namespace where these cgroup hierarchies are not mounted
without() {
	local mounts=$1
	shift
	unshare -m bash -c 'umount $1 || exit 99; vzctl=$2; shift 2
		for line; do $vzctl $line 2>&1; echo "status $?"; done' bash "$mounts" "$build/vzctl" "$@"
}

@test "a host without a controller: start works, set of its limit says so, the others are set" {
	make_vps 6620
	for c in memory:--ram=64M pids:--numproc=50 cpu:--cpuunits=500 cpuset:--cpumask=0; do
		IFS=: read -r controller option <<<"$c"
		# v2 alone shows them all in one place
		cgroup_mounts | grep -qx "/sys/fs/cgroup/$controller" || continue
		run without "/sys/fs/cgroup/$controller" "start 6620" "set 6620 $option --save" "exec2 6620 echo in" "stop 6620 --fast"
		echo "$controller: $output"
		[ "$(grep -c '^status 0$' <<<"$output")" = 4 ]
		grep -qx in <<<"$output"
		grep -Eq "^WARNING: .*no $controller controller on this kernel; stored, not enforced" <<<"$output"
	done
	# none at all: a hierarchy of our own
	run without "$(cgroup_mounts | tac | tr '\n' ' ')" "start 6620" "exec2 6620 echo in" "stop 6620 --fast"
	echo "$output"
	[ "$(grep -c '^status 0$' <<<"$output")" = 3 ]
	grep -qx in <<<"$output"
}
