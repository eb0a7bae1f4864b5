#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host
# vz-node: what happens to all VPSes at boot and at shutdown. Order and number at once are looked at
# with a vzctl-admin of ours that waits until it is told to end; the rest with real VPSes.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/criu

setup_file() {
	make_root overlay
	need_criu
	# an init that is told to halt before it listens is killed after that long
	sed -i 's/^STOP_TIMEOUT=.*/STOP_TIMEOUT=5/' "$CROFT_ROOT/etc/vz/vz.conf"
	cp "$CROFT_ROOT/etc/vz/vz.conf" "$CROFT_ROOT/vz.conf.first"
}
teardown_file() { remove_root; }
setup() {
	log=$BATS_TEST_TMPDIR/log
	: >"$log"
}
teardown() {
	[ ! -d "$BATS_TEST_TMPDIR/go" ] || touch "$BATS_TEST_TMPDIR/go/all"
	[ ! -s "$BATS_TEST_TMPDIR/pid" ] || wait_for 10 ended "$(cat "$BATS_TEST_TMPDIR/pid")" || kill "$(cat "$BATS_TEST_TMPDIR/pid")"
	cp "$CROFT_ROOT/vz.conf.first" "$CROFT_ROOT/etc/vz/vz.conf"
	destroy_all
	rm -f "$CROFT_ROOT"/etc/vz/conf/66*.conf* "$CROFT_ROOT"/etc/vz/conf/66*.premount*
}

ended() { [ ! -d "/proc/$1" ] || [ "$(awk '{ print $3 }' "/proc/$1/stat")" = Z ]; }
node() { "$build/vz-node" "$@"; }
global() { sed -i "s/^${1%%=*}=.*/$1/" "$CROFT_ROOT/etc/vz/vz.conf"; } # NAME=value
lines() { [ "$(grep -c "^$1" "$log")" -eq "$2" ]; }
# a configuration only: no files, nothing to start
plain() { # CTID LINE...
	local id=$1
	shift
	printf '%s\n' 'OSTEMPLATE="busybox"' "$@" >"$(conf "$id")"
}
record() { readlink "$(vzdir)/running/$1"; }

# A directory of programs in which vzctl-admin writes what it was asked for, and then waits for go/CTID
# or go/all. fail/CTID: it complains and ends with 79.
fake_programs() {
	fake=$BATS_TEST_TMPDIR/programs
	mkdir -p "$fake" "$BATS_TEST_TMPDIR/go" "$BATS_TEST_TMPDIR/fail"
	cat >"$fake/vzctl-admin" <<T
#!/bin/bash
for id; do [[ \$id == [0-9]* ]] && break; done
echo "begin \$id \$*" >>$log
until [ -e $BATS_TEST_TMPDIR/go/\$id ] || [ -e $BATS_TEST_TMPDIR/go/all ]; do sleep 0.02; done
echo "end \$id" >>$log
[ ! -e $BATS_TEST_TMPDIR/fail/\$id ] || { echo "no mount for \$id" >&2; exit 79; }
T
	chmod 755 "$fake/vzctl-admin"
}
fake_start() { # in the background, output in out and err
	(CROFT_LIBEXEC=$fake exec "$build/vz-node" start >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&-) &
	echo $! >"$BATS_TEST_TMPDIR/pid"
}
# how many went on at once at most
most() { awk '/^begin/ { n++; if (n > m) m = n } /^end/ { n-- } END { print m }' "$log"; }

@test "VPSes start by descending BOOTORDER, unset ones last, equal ones by number" {
	global VE_PARALLEL=1
	plain 6601 ONBOOT=yes
	plain 6602 ONBOOT=yes BOOTORDER=0
	plain 6603 ONBOOT=yes BOOTORDER=20
	plain 6604 ONBOOT=yes BOOTORDER=100
	plain 6605 ONBOOT=yes BOOTORDER=20
	plain 6606 ONBOOT=no BOOTORDER=500
	plain 6607
	fake_programs
	touch "$BATS_TEST_TMPDIR/go/all"
	run --separate-stderr env CROFT_LIBEXEC="$fake" "$build/vz-node" start
	status_is 0
	[ -z "$stderr" ]
	[ "$(sed -n 's/^begin \([0-9]*\).*/\1/p' "$log" | xargs)" = "6604 6603 6605 6602 6601" ]
	[ "$(most)" = 1 ]
	grep -qx 'begin 6604 start 6604' "$log"
}

@test "VE_PARALLEL is how many start at once; the next begins as soon as one ends" {
	global VE_PARALLEL=2
	for i in 1 2 3 4 5; do plain 660$i ONBOOT=yes BOOTORDER=$((10 - i)); done
	fake_programs
	fake_start
	wait_for 10 lines begin 2
	touch "$BATS_TEST_TMPDIR/go/6602" # the second ends first: the third takes its place
	wait_for 10 lines begin 3
	lines end 1
	grep -q '^begin 6603' "$log"
	touch "$BATS_TEST_TMPDIR/go/all"
	wait_for 10 lines end 5
	[ "$(most)" = 2 ]
}

@test "one that fails stops nobody: its line has the reason, the last line has the CTIDs, the status is 1" {
	for i in 1 2 3; do plain 660$i ONBOOT=yes; done
	plain 6604 ONBOOT=yes DISABLED=yes
	fake_programs
	touch "$BATS_TEST_TMPDIR/go/all" "$BATS_TEST_TMPDIR/fail/6602"
	run --separate-stderr env CROFT_LIBEXEC="$fake" "$build/vz-node" start
	status_is 1
	[ "$(sort <<<"$output")" = $'VPS 6601: started\nVPS 6603: started\nVPS 6604: not started, DISABLED=yes' ]
	[ "$stderr" = $'VPS 6602: start failed (exit 79): no mount for 6602\n1 of 3 VPSes did not start: 6602' ]
	grep -q 'vz-node : CT 6602 : VPS 6602: start failed (exit 79)' "$CROFT_ROOT/vzctl.log"
}

@test "a program that cannot be run is told, not waited for" {
	plain 6601 ONBOOT=yes
	run --separate-stderr env CROFT_LIBEXEC=/nonexistent "$build/vz-node" start
	status_is 1
	[[ "$stderr" == "VPS 6601: start failed (exit 127)"* ]]
}

@test "VIRTUOZZO=no starts nothing and says so" {
	global VIRTUOZZO=no
	plain 6601 ONBOOT=yes
	fake_programs
	run env CROFT_LIBEXEC="$fake" "$build/vz-node" start
	status_is 0
	[ "$output" = 'VIRTUOZZO=no in vz.conf: no VPS is started' ]
	[ ! -s "$log" ]
}

@test "status has the words and codes of OpenVZ's script" {
	node stop
	run node status
	status_is 3
	[ "$output" = 'OpenVZ is stopped.' ]
	node start
	run node status
	status_is 0
	[ "$output" = 'OpenVZ is running...' ]
	node stop
	run node status
	status_is 3
	run --separate-stderr node nonsense
	status_is 20
	[[ "$stderr" == Usage:* ]]
}

@test "a node's day: boot, restart of the service, shutdown" {
	for i in 1 2 3; do vzctl create 661$i --ostemplate busybox --onboot yes --bootorder $i; done
	vzctl create 6614 --ostemplate busybox
	printf '#!/bin/sh\nexit 5\n' >"$CROFT_ROOT/etc/vz/conf/6612.premount"
	chmod 755 "$CROFT_ROOT/etc/vz/conf/6612.premount"
	run --separate-stderr node start
	status_is 1
	[[ "$stderr" == *"VPS 6612: start failed (exit 79): Script "*"6612.premount failed, exit code 5"* ]]
	[ "$(vzlist -H -o ctid | xargs)" = '6611 6613' ]
	before=$(cat "$CROFT_ROOT"/run/vz/661[13]/state.json)
	rm "$CROFT_ROOT/etc/vz/conf/6612.premount"
	# what runs is left alone, what failed is started
	run --separate-stderr node start
	status_is 0
	[ "$output" = 'VPS 6612: started' ]
	[ "$(cat "$CROFT_ROOT"/run/vz/661[13]/state.json)" = "$before" ]
	vzctl start 6614
	run --separate-stderr node stop
	status_is 0
	[ -z "$stderr" ]
	[ "$(sort <<<"$output")" = $'VPS 6611: stopped\nVPS 6612: stopped\nVPS 6613: stopped\nVPS 6614: stopped' ]
	leaves_nothing
	[ -z "$(ls "$(vzdir)/running")" ]
}

@test "they stop in the reverse order of starts, VE_PARALLEL at once" {
	global VE_PARALLEL=1
	for i in 1 2 3; do
		vzctl create 661$i --ostemplate busybox --bootorder $i
		vzctl start 661$i
	done
	fake_programs
	touch "$BATS_TEST_TMPDIR/go/all"
	# ours stops nobody: three rounds, the last one by force
	run --separate-stderr env CROFT_LIBEXEC="$fake" "$build/vz-node" stop
	status_is 0
	[ "$(sed -n 's/^begin \([0-9]*\).*/\1/p' "$log" | xargs)" = '6611 6612 6613 6611 6612 6613 6611 6612 6613' ]
	[ "$(grep -c '^begin 661. internal-stop 661.$' "$log")" = 6 ]
	[ "$(grep -c '^begin 661. --skiplock stop 661. --fast$' "$log")" = 3 ]
	[ "$(most)" = 1 ]
}

@test "an init that ignores everything does not hold up the shutdown for ever" {
	vzctl create 6611 --ostemplate busybox --stop-timeout 1
	vzctl start 6611
	init=$(jq .init_pid "$CROFT_ROOT/run/vz/6611/state.json")
	kill -STOP "$init"
	run node stop
	status_is 0
	[ -z "$(vzlist -H -o ctid 2>/dev/null)" ]
}

@test "somebody works on a VPS: the shutdown waits for him" {
	vzctl create 6611 --ostemplate busybox
	vzctl start 6611
	# a foreign lock, as scripts write it
	sleep 1000 3>&- &
	holder=$!
	printf '%s\nworking\n' "$holder" >"$CROFT_ROOT/run/lock/vz/6611.lck"
	"$build/vz-node" stop >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	echo $! >"$BATS_TEST_TMPDIR/pid"
	wait_for 10 pgrep -f 'vzctl-admin internal-stop 6611'
	[ "$(vzctl status 6611)" = 'CTID 6611 exist mounted running' ]
	kill "$holder"
	wait "$holder" || :
	wait_for 60 grep -qx 'VPS 6611: stopped' "$BATS_TEST_TMPDIR/out"
}

@test "what ran when the power went comes back, but not with ONBOOT=no" {
	vzctl create 6611 --ostemplate busybox
	vzctl create 6612 --ostemplate busybox --onboot no
	vzctl create 6613 --ostemplate busybox
	for i in 1 2 3; do vzctl start 661$i; done
	boot=$(cat /proc/sys/kernel/random/boot_id)
	for i in 1 2 3; do [ "$(record 661$i)" = "$boot" ]; done
	vzctl stop 6613 # by hand: it is not to run
	[ ! -L "$(vzdir)/running/6613" ]
	# the power goes: nobody writes anything any more, and the next boot has another id
	for i in 1 2; do
		cp -P "$(vzdir)/running/661$i" "$BATS_TEST_TMPDIR/"
		vzctl stop 661$i --fast
		ln -sfn 00000000-0000-4000-8000-000000000000 "$(vzdir)/running/661$i"
	done
	run --separate-stderr node start
	status_is 0
	[ "$output" = 'VPS 6611: started' ]
	[ "$(record 6611)" = "$boot" ]
	vzctl destroy 6612
	[ ! -L "$(vzdir)/running/6612" ]
}

@test "a VPS that halts by itself is not started again, one that dies in this boot neither" {
	vzctl create 6611 --ostemplate busybox
	vzctl start 6611
	vzctl exec 6611 poweroff
	wait_for 20 test ! -L "$(vzdir)/running/6611"
	vzctl start 6611
	kill -KILL "$(jq .mon_pid "$CROFT_ROOT/run/vz/6611/state.json")"
	wait_for 10 bash -c "[ -z \"\$('$build/vzlist' -H -o ctid 2>/dev/null)\" ]"
	run node start
	status_is 0
	[ -z "$output" ]
}

@test "VE_STOP_MODE=suspend: suspended, and back at the next start; one with ONBOOT=no waits" {
	global VE_STOP_MODE=suspend
	vzctl create 6611 --ostemplate busybox
	vzctl create 6612 --ostemplate busybox --onboot no
	vzctl start 6611
	vzctl start 6612
	run --separate-stderr node stop
	status_is 0
	[ "$(sort <<<"$output")" = $'VPS 6611: suspended\nVPS 6612: suspended' ]
	[ -z "$(vzlist -H -o ctid 2>/dev/null)" ]
	run --separate-stderr node start
	status_is 0
	[ "$output" = 'VPS 6611: started' ]
	[ "$(vzctl status 6612)" = 'CTID 6612 exist unmounted down suspended' ]
}

@test "under vz-payload.service the groups are below its own one" {
	unit=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	[ -n "$unit" ]
	# at the top nothing is delegated: all stays as it is
	bash -c "echo 0 >'$unit/cgroup.procs' && exec '$build/vz-node' home"
	[ ! -e "$CROFT_ROOT/run/vz/payload" ]
	name=croft-bats-$$.service
	mkdir "$unit/$name"
	# as systemd does: the program runs in the unit's group and ends
	bash -c "echo 0 >'$unit/$name/cgroup.procs' && exec '$build/vz-node' home"
	[ "$(cat "$CROFT_ROOT/run/vz/payload")" = "/$name" ]
	vzctl create 6611 --ostemplate busybox
	vzctl start 6611
	init=$(jq .init_pid "$CROFT_ROOT/run/vz/6611/state.json")
	mon=$(jq .mon_pid "$CROFT_ROOT/run/vz/6611/state.json")
	grep -qx "0::/$name/6611/payload" "/proc/$init/cgroup"
	grep -qx "0::/$name/mon" "/proc/$mon/cgroup"
	[ "$("$build/vzpid" "$init" | awk 'NR == 2 { print $2 }')" = 6611 ]
	vzctl exec 6611 true
	vzctl stop 6611
	rm "$CROFT_ROOT/run/vz/payload"
	[ ! -d "$unit/$name/6611" ]
	wait_for 10 rmdir "$unit/$name/mon" # vzmon ends a moment after the VPS
	rmdir "$unit/$name"
}
