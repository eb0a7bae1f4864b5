#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host,node
# kill -9 of vzmon, vzctl and the others in every phase: never a half-alive VPS, nothing left behind (ADR 18).
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { make_root overlay; }
teardown_file() { remove_root; }
teardown() { destroy_all; }

mon() { jq .mon_pid "$CROFT_ROOT/run/vz/$1/state.json"; }
is() { [ "$(vzctl status "$1")" = "CTID $1 $2" ]; }
down() { [[ "$(vzctl status "$1")" == *" down" ]]; }
gone() { [ ! -d "/proc/$1" ] || grep -q '^State:.[ZX]' "/proc/$1/status"; }
# our_process NAME: pid of the process of this tree that has this name
our_process() {
	local p
	for p in /proc/[0-9]*; do
		[ "$(cat "$p/comm" 2>/dev/null)" = "$1" ] || continue
		tr '\0' '\n' <"$p/environ" 2>/dev/null | grep -qxF "CROFT_ROOT=$CROFT_ROOT" && basename "$p" && return
	done
	return 1
}
stopped() { grep -q '^State:.T' "/proc/$1/status"; }
put_script() { # CTID.WHAT
	cat >"$CROFT_ROOT/etc/vz/conf/$1"
	chmod +x "$CROFT_ROOT/etc/vz/conf/$1"
}
# ends_with CODE PID, of a job of ours
ends_with() {
	local r=0
	wait "$2" || r=$?
	[ "$r" = "$1" ] || { echo "status $r, expected $1" >&2; return 1; }
}
works() {
	vzctl start "$1"
	[ "$(vzctl exec2 "$1" 'cat /proc/1/oom_score_adj')" = 0 ]
	vzctl stop "$1" --fast
	leaves_nothing
}

@test "vzmon killed while the VPS runs: it stops with its sessions, is told, the next start works" {
	vzctl --quiet create 9601 --ostemplate busybox
	vzctl --quiet start 9601
	vzctl exec2 9601 'echo in; sleep 30' >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	session=$!
	wait_for 10 grep -q in "$BATS_TEST_TMPDIR/out"
	kill -9 "$(mon 9601)"
	wait_for 10 down 9601
	ends_with 3 "$session"
	grep -q '^Got signal' "$BATS_TEST_TMPDIR/out"
	run --separate-stderr vzctl status 9601
	[ "$output" = "CTID 9601 exist mounted down" ]
	[ "$stderr" = "CT 9601: left over from a VPS that died with its monitor: state file, cgroups, mount $(vzdir)/root/9601; the next start or stop cleans up" ]
	works 9601
}

@test "vzmon killed at each step of start: start says so and takes everything back" {
	vzctl --quiet create 9602 --ostemplate busybox --ipadd 10.96.1.2
	n=$(sed -n '/op_step start_steps/,/^};/p' "$top/src/ops/start.c" | grep -o '{ "' | wc -l)
	for step in $(seq 2 "$n"); do # from the step after "monitor" on
		VZ_FAULT=start:$step:stop "$build/vzctl" start 9602 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
		start=$!
		wait_for 10 stopped $start || { cat "$BATS_TEST_TMPDIR/out"; false; }
		monitor=$(our_process vzmon)
		kill -9 "$monitor"
		wait_for 10 gone "$monitor"
		kill -CONT $start
		ends_with 7 $start
		[ "$(grep -vc '^Starting VPS\|^VPS is mounted\|^fault on purpose' "$BATS_TEST_TMPDIR/out")" = 1 ]
		is 9602 "exist unmounted down"
		leaves_nothing
	done
	works 9602
}

@test "vzmon and vzctl killed during start: init does not go on alone" {
	vzctl --quiet create 9602 --ostemplate busybox
	for step in 6 8 9; do
		VZ_FAULT=start:$step:stop "$build/vzctl" start 9602 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
		start=$!
		wait_for 10 stopped $start || { cat "$BATS_TEST_TMPDIR/out"; false; }
		kill -9 "$(our_process vzmon)" $start
		wait $start || :
		empty() { ! grep -qs 'populated 1' /sys/fs/cgroup/unified/"$(slice)"/9602/cgroup.events /sys/fs/cgroup/"$(slice)"/9602/cgroup.events; }
		wait_for 10 empty
		down 9602
	done
	works 9602
}

@test "vzmon killed during the start script inside: start fails, nothing is left" {
	vzctl --quiet create 9603 --ostemplate busybox
	echo ': >/started; sleep 30' | put_script 9603.start
	"$build/vzctl" start 9603 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	start=$!
	wait_for 10 test -e "$(vzdir)/root/9603/started"
	kill -9 "$(our_process vzmon)"
	ends_with 7 $start
	leaves_nothing
	rm "$CROFT_ROOT/etc/vz/conf/9603.start"
	works 9603
}

@test "vzmon killed during stop: the stop goes on to its end" {
	vzctl --quiet create 9604 --ostemplate busybox
	vzctl --quiet start 9604
	echo ': >/stopping; sleep 30' | put_script 9604.stop
	"$build/vzctl" stop 9604 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	stop=$!
	wait_for 10 test -e "$(vzdir)/root/9604/stopping"
	kill -9 "$(mon 9604)"
	wait $stop
	is 9604 "exist unmounted down"
	leaves_nothing
	rm "$CROFT_ROOT/etc/vz/conf/9604.stop"
	works 9604
}

@test "vzmon killed during stop: the stop script dies before init is gone, and the stop goes on all the same" {
	vzctl --quiet create 9604 --ostemplate busybox
	vzctl --quiet start 9604
	vzctl exec 9604 'sleep 47.11 </dev/null >/dev/null 2>&1 &'
	# a process inside that has a tracer is not gone before the tracer saw its end: so long init waits for it
	strace -o "$BATS_TEST_TMPDIR/trace" -p "$(pgrep -f '^sleep 47.11')" >"$BATS_TEST_TMPDIR/strace" 2>&1 3>&- &
	tracer=$!
	wait_for 10 grep -q attached "$BATS_TEST_TMPDIR/strace"
	kill -STOP $tracer
	echo ': >/stopping; sleep 30' | put_script 9604.stop
	"$build/vzctl" stop 9604 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	stop=$!
	wait_for 10 test -e "$(vzdir)/root/9604/stopping"
	init=$(jq .init_pid "$CROFT_ROOT/run/vz/9604/state.json")
	kill -9 "$(mon 9604)"
	script_ended() { ! pgrep -P "$stop" >/dev/null; }
	wait_for 10 script_ended
	run ! gone "$init"
	kill -CONT $tracer
	ends_with 0 $stop
	is 9604 "exist unmounted down"
	leaves_nothing
	rm "$CROFT_ROOT/etc/vz/conf/9604.stop"
	works 9604
}

@test "killed during a reboot from inside: the VPS is down, told, and the next start works" {
	vzctl --quiet create 9605 --ostemplate busybox
	vzctl --quiet start 9605
	put_script 9605.umount <<-T
		#!/bin/sh
		: >$BATS_TEST_TMPDIR/between
		exec sleep 30
	T
	pid=$(mon 9605)
	vzctl exec 9605 'reboot -f' || :
	wait_for 10 test -e "$BATS_TEST_TMPDIR/between"
	kill -9 "$pid" $(pgrep -P "$pid")
	wait_for 10 gone "$pid"
	run --separate-stderr vzctl status 9605
	[ "$output" = "CTID 9605 exist mounted down" ]
	[[ "$stderr" == "CT 9605: left over from an interrupted restart: "*"mount $(vzdir)/root/9605"* ]]
	rm "$CROFT_ROOT/etc/vz/conf/9605.umount"
	works 9605
}

@test "an init that made itself survive vzmon is told, and stop and restart work" {
	vzctl --quiet create 9606 --ostemplate busybox
	# an executable with capabilities of its own loses the signal at its parent's death
	vzctl --quiet mount 9606
	vzctl --quiet runscript 9606 <(echo 'cp /bin/busybox /sbin/init.new; mv /sbin/init.new /sbin/init; chmod u+s /sbin/init')
	vzctl --quiet start 9606
	pid=$(mon 9606)
	kill -9 "$pid"
	wait_for 10 gone "$pid"
	told() { vzctl status 9606 2>&1 | grep -qx 'CT 9606: it runs without its monitor; stop and restart work, a halt or reboot from inside is not noticed'; }
	wait_for 3 down 9606 || told
	if down 9606; then works 9606; else
		vzctl restart 9606 --fast
		[ "$(vzctl status 9606 2>&1)" = "CTID 9606 exist mounted running" ]
	fi
}

@test "a command that comes while vzmon cleans up after a halt waits for it" {
	vzctl --quiet create 9605 --ostemplate busybox
	put_script 9605.umount <<-T
		#!/bin/sh
		: >$BATS_TEST_TMPDIR/cleaning
		until [ -e $BATS_TEST_TMPDIR/go ]; do sleep 0.1; done
	T
	vzctl --quiet start 9605
	vzctl exec 9605 halt || :
	wait_for 10 test -e "$BATS_TEST_TMPDIR/cleaning"
	[ "$(sed -n 2p "$CROFT_ROOT/run/lock/vz/9605.lck")" = cleaning-up ]
	"$build/vzctl" --quiet start 9605 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	start=$!
	watches() { find "/proc/$start/fd" -lname 'anon_inode:inotify' | grep -q .; }
	wait_for 10 watches # the lock's directory
	: >"$BATS_TEST_TMPDIR/go"
	ends_with 0 $start
	[ ! -s "$BATS_TEST_TMPDIR/out" ]
	is 9605 "exist mounted running"
}

@test "vzctl killed during exec: the command and what it runs get SIGHUP, nothing of it stays on the node" {
	vzctl --quiet create 9607 --ostemplate busybox
	vzctl --quiet start 9607
	"$build/vzctl" exec 9607 'sleep 7654; echo never' 3>&- &
	v=$!
	inside() { vzctl exec2 9607 'ps | grep -q "[s]leep 7654"'; }
	wait_for 10 inside
	joiner=$(pgrep -P $v)
	kill -9 $v
	ended() { ! inside; }
	wait_for 10 ended
	wait_for 10 gone "$joiner"
	# what asks for it goes on, as a process of the VPS alone
	"$build/vzctl" exec 9607 'trap "" HUP; exec sleep 7654' 3>&- &
	v=$!
	wait_for 10 inside
	joiner=$(pgrep -P $v)
	kill -9 $v
	wait_for 10 gone "$joiner"
	inside
}

@test "vzctl killed during enter: the shell ends with its terminal" {
	vzctl --quiet create 9607 --ostemplate busybox
	vzctl --quiet start 9607
	script -qfc "$build/vzctl enter 9607 --exec 'sleep 7655'" /dev/null </dev/null >/dev/null 2>&1 3>&- &
	t=$!
	inside() { vzctl exec2 9607 'ps | grep -q "[s]leep 7655"'; }
	wait_for 10 inside
	v=$(pgrep -P "$(pgrep -P $t)" -f "enter 9607" || pgrep -P $t -f "enter 9607")
	joiner=$(pgrep -P "$v" || :)
	kill -9 "$v"
	ended() { ! inside; }
	wait_for 10 ended
	[ -z "$joiner" ] || wait_for 10 gone "$joiner"
	kill $t 2>/dev/null || :
}

@test "the deleter of destroy killed: the files are told, the next destroy deletes them" {
	vzctl --quiet create 9608 --ostemplate busybox
	vzctl --quiet create 9609 --ostemplate busybox
	# a large tree would be a matter of luck: the deleter waits for its lock
	exec 9>"$CROFT_ROOT/run/vz/rm.lck"
	flock 9
	vzctl --quiet destroy 9608
	deleter=$(our_process vzctl-admin)
	run --separate-stderr vzctl status 9608 # somebody deletes: nothing is left over
	[ -z "$stderr" ]
	kill -9 "$deleter"
	exec 9>&-
	told() { vzctl status 9608 2>&1 | grep -q "^CT 9608: left over from an interrupted command: deleted files $(vzdir)/private/.vzctl-rm-me.9608.*; destroy completes it"; }
	wait_for 10 told
	vzctl --quiet destroy 9609
	no_files() { [ -z "$(ls -A "$(vzdir)/private")" ]; }
	wait_for 10 no_files
	is 9608 "deleted unmounted down"
}
