#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=node
# vzctl suspend and resume, cut off everywhere, and again and again.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/criu
load ../lib/drift

setup_file() {
	make_root overlay && need_criu
	[ -x "$build/tests/checkpoint/dirty" ] || make -s -C "$build" checkpoint-programs
}
teardown_file() { remove_root; }
teardown() {
	umount -q "$(vzdir)/dump" 2>/dev/null || :
	destroy_all
}

dump() { echo "$(vzdir)/dump/Dump.$1"; }
state() { jq -r ".$2" "$CROFT_ROOT/run/vz/$1/state.json"; }
no_dump() { [ -z "$(ls "$(vzdir)/dump")" ] || { ls "$(vzdir)/dump" >&2; return 1; }; }

counter() {
	vzctl --quiet create "$1" --ostemplate busybox --ipadd "10.53.0.$(($1 - 530))" --ram 64M --swap 0 "${@:2}"
	vzctl --quiet start "$1"
	vzctl exec "$1" 'rm -f /tmp/count; (i=0; while :; do i=$((i+1)); echo $i 1<>/tmp/count; usleep 20000; done) </dev/null >/dev/null 2>&1 &'
	wait_for 3 vzctl exec "$1" 'test -s /tmp/count'
}
count() { vzctl exec "$1" cat /tmp/count; } # written in place: never empty
counts_above() { [ "$(count "$1")" -gt "${2:-0}" ]; }
counts_on() {
	wait_for 3 counts_above "$1" "$2"
	[ "$(count "$1")" -lt $((${2:-0} + 3000)) ]
}
gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }

@test "suspend that fails at any step: the VPS goes on, nothing is left" {
	counter 531
	local n before
	for n in 1 2 3 4; do
		before=$(count 531)
		VZ_FAULT=suspend:$n run vzctl suspend 531
		[ "$status" -ne 0 ]
		counts_on 531 "$before"
		no_dump
		[ "$(vzctl status 531)" = "CTID 531 exist mounted running" ]
	done
}

@test "suspend killed at any step: the next command lets it go on, or completes it once the file has its name" {
	counter 532
	local n before
	for n in 1 2 3 4; do
		before=$(count 532)
		VZ_FAULT=suspend:$n:kill run vzctl suspend 532
		status_is 137
		[ "$n" -le 2 ] || { run vzctl status 532; has 'stands still'; }
		vzctl --quiet set 532 --cpuunits 1000 --save
		counts_on 532 "$before"
	done
	before=$(count 532)
	VZ_FAULT=suspend-kill:1:kill run vzctl suspend 532
	status_is 137
	[ -f "$(dump 532)" ]
	vzctl --quiet set 532 --cpuunits 1000 --save
	wait_for 5 sh -c '[ "$('"$build"'/vzctl status 532)" = "CTID 532 exist unmounted down suspended" ]'
	vzctl --quiet resume 532
	counts_on 532 "$before"
	before=$(count 532)
	VZ_FAULT=suspend-kill:2:kill run vzctl suspend 532
	status_is 137
	vzctl --quiet resume 532
	counts_on 532 "$before"
}

@test "resume that fails or is killed at any step: the dump is as it was, and the next one works" {
	counter 533
	local n how before
	before=$(count 533)
	vzctl --quiet suspend 533
	for how in '' :kill; do
		for n in $(seq 1 17); do
			VZ_FAULT=resume:$n$how run vzctl resume 533
			[ "$status" -ne 0 ]
			run vzctl --quiet umount 533
			[ -f "$(dump 533)" ]
			[ "$(vzctl status 533)" = "CTID 533 exist unmounted down suspended" ]
		done
	done
	vzctl --quiet resume 533
	counts_on 533 "$before"
	no_dump
}

@test "vzmon or CRIU killed while a VPS is frozen: it is down or goes on, and starts again" {
	counter 534
	local mon criu
	vzctl --quiet suspend 534 --suspend
	vzctl --quiet suspend 534 --dump
	mon=$(state 534 mon_pid)
	criu=$(pgrep -f "criu.* dump .*-W $CROFT_ROOT/run/vz/534 " | head -n 1)
	kill -9 "$criu"
	wait_for 3 gone "$criu"
	run vzctl suspend 534 --resume
	status_is 0
	run vzctl exec 534 echo alive
	[ "$output" = alive ]
	no_dump
	vzctl --quiet suspend 534 --suspend
	vzctl --quiet suspend 534 --dump
	kill -9 "$mon"
	wait_for 5 gone "$mon"
	# its file is whole, so it goes on from there
	run vzctl start 534
	status_is 0
	has 'trying to restore from it'
	run vzctl exec 534 echo alive
	[ "$output" = alive ]
}

# holds CTID MIB: a program that keeps so much memory, which does not compress, and verifies it in the end
holds() {
	vzctl exec "$1" 'cat >/root/dirty; chmod 755 /root/dirty' <"$build/tests/checkpoint/dirty"
	vzctl exec "$1" "/root/dirty $2 100000 >/root/dirty.out </dev/null 2>&1 &"
	wait_for 10 vzctl exec2 "$1" 'grep -q ready /root/dirty.out'
}
held_well() {
	vzctl exec "$1" 'killall -TERM dirty; while pidof dirty; do usleep 100000; done' >/dev/null
	run vzctl exec "$1" 'tail -n 1 /root/dirty.out'
	[[ "$output" == 'good after '* ]]
}
some_of_it() { [ "$(stat -c %s "$(dump "$1").part")" -gt 4000000 ]; }
no_criu() { ! pgrep -f "criu.* dump .*-W $CROFT_ROOT/run/vz/$1 "; }

# bats test_tags=host
@test "suspend interrupted or killed while memory comes: the VPS goes on, CRIU takes all back, nothing is left" {
	counter 536 --ram 256M
	holds 536 60
	local how before vzctl
	for how in INT KILL; do
		before=$(count 536)
		# a level that takes its time
		"$build/vzctl" suspend 536 --compress zstd:12 3>&- >"$BATS_TEST_TMPDIR/out" 2>&1 &
		vzctl=$!
		wait_for 20 some_of_it 536
		kill -"$how" "$vzctl"
		if [ "$how" = INT ]; then
			status=0
			wait "$vzctl" || status=$?
			[ "$status" -ne 0 ]
		else
			wait "$vzctl" || [ $? = 137 ]
			run vzctl status 536
			has 'stands still'
			[ ! -e "$(dump 536)" ]
			wait_for 10 no_criu 536
			vzctl --quiet set 536 --cpuunits 1000 --save
		fi
		counts_on 536 "$before"
		no_dump
		[ "$(vzctl status 536)" = "CTID 536 exist mounted running" ]
	done
	held_well 536
}

# bats test_tags=host
@test "the disk is full while memory comes, plain and compressed: the VPS goes on, nothing is left" {
	counter 537 --ram 256M
	holds 537 40
	local o before dir vzctl
	dir=$(vzdir)/dump
	mkdir -p "$dir"
	mount -t tmpfs -o size=140m none "$dir"
	for o in '' '--compress zstd:1'; do
		before=$(count 537)
		# shellcheck disable=SC2086
		VZ_FAULT=suspend:3:stop "$build/vzctl" suspend 537 $o 3>&- >"$BATS_TEST_TMPDIR/out" 2>&1 &
		vzctl=$!
		# there was enough when it was looked at
		wait_for 5 grep -q '^State:.T' "/proc/$vzctl/status"
		head -c 118M /dev/zero >"$dir/filler"
		kill -CONT "$vzctl"
		status=0
		wait "$vzctl" || status=$?
		[ "$status" = 16 ]
		grep -q "write $dir/Dump.537: No space left on device" "$BATS_TEST_TMPDIR/out"
		rm "$dir/filler"
		counts_on 537 "$before"
		no_dump
		[ "$(vzctl status 537)" = "CTID 537 exist mounted running" ]
	done
	# other names that come and go in its directory are not the gate that it waits for
	local run=$CROFT_ROOT/run/vz/537 renamer
	touch "$run/one"
	(while mv "$run/one" "$run/two" && mv "$run/two" "$run/one"; do sleep 0.01; done) 3>&- 2>/dev/null &
	renamer=$!
	vzctl --quiet suspend 537
	rm -f "$run/one" "$run/two"
	kill "$renamer" 2>/dev/null || :
	vzctl --quiet resume 537
	held_well 537
	umount "$dir"
}

# serving CTID: a resume of it that stands still, by VZ_FAULT, when some memory has gone to CRIU; its pid is $vzctl
serving() {
	VZ_FAULT=resume-serve:1:stop "$build/vzctl" resume "$1" 3>&- >"$BATS_TEST_TMPDIR/out" 2>&1 &
	vzctl=$!
	wait_for 20 grep -q '^State:.T' "/proc/$vzctl/status"
}
no_restore() { ! pgrep -f "criu.* restore .*-W $CROFT_ROOT/run/vz/$1 "; }
still_suspended() {
	vzctl --quiet set "$1" --cpuunits 1000 --save
	wait_for 10 no_restore "$1"
	[ "$(vzctl status "$1")" = "CTID $1 exist unmounted down suspended" ]
	[ "$(ls "$(vzdir)/dump")" = "Dump.$1" ]
}

# bats test_tags=host
@test "a disk without room for the memory: it resumes, each word of each process is there, and nothing was unpacked" {
	counter 538 --ram 400M
	local i dir free vzctl
	vzctl exec 538 'cat >/root/dirty; chmod 755 /root/dirty' <"$build/tests/checkpoint/dirty"
	vzctl exec 538 'cat >/root/live; chmod 755 /root/live' <"$build/tests/checkpoint/live"
	for i in 9 16 31; do
		vzctl exec 538 "/root/dirty $i 100000 >/root/dirty.$i </dev/null 2>&1 &"
		wait_for 10 vzctl exec2 538 "grep -q ready /root/dirty.$i"
	done
	# shared memory among other things
	vzctl exec 538 '/root/live /root/live.out </dev/null >/dev/null 2>&1 &'
	wait_for 10 vzctl exec2 538 'grep -q armed /root/live.out'
	dir=$(vzdir)/dump
	mkdir -p "$dir"
	mount -t tmpfs -o size=300m none "$dir"
	vzctl --quiet suspend 538 --compress zstd:1
	free=$(df -k --output=avail "$dir" | tail -n 1)
	head -c "$((free - 4096))K" /dev/zero >"$dir/filler"
	# compressed, it must be unpacked
	fails 17 'has no room for' resume 538
	rm "$dir/filler"
	vzctl --quiet resume 538
	vzctl --quiet suspend 538
	free=$(df -k --output=avail "$dir" | tail -n 1)
	head -c "$((free - 4096))K" /dev/zero >"$dir/filler"
	serving 538
	[ -f "$(dump 538).restore/inventory.img" ]
	[ -z "$(find "$(dump 538).restore" -name 'pages-*')" ]
	kill -CONT "$vzctl"
	wait "$vzctl"
	rm "$dir/filler"
	no_dump
	vzctl exec 538 'killall -TERM dirty; while pidof dirty; do usleep 100000; done' >/dev/null
	for i in 9 16 31; do
		run vzctl exec 538 "tail -n 1 /root/dirty.$i"
		[[ "$output" == 'good after '* ]]
	done
	vzctl exec 538 'touch /root/live.out.ask'
	wait_for 10 vzctl exec2 538 'grep -qx ok /root/live.out'
	umount "$dir"
}

# bats test_tags=host
@test "a resume cut off while memory comes, or whose dump is changed then: nothing runs, the next one works" {
	counter 539 --ram 256M
	holds 539 60
	local how vzctl size
	vzctl --quiet suspend 539
	for how in '' :kill; do
		VZ_FAULT=resume-serve:1$how run vzctl resume 539
		[ "$status" = "$([ "$how" ] && echo 137 || echo 17)" ]
		still_suspended 539
	done
	serving 539
	kill -INT "$vzctl"
	kill -CONT "$vzctl"
	status=0
	wait "$vzctl" || status=$?
	[ "$status" -ne 0 ]
	still_suspended 539
	serving 539
	kill -9 "$(pgrep -f "criu.* restore .*-W $CROFT_ROOT/run/vz/539 " | head -n 1)"
	kill -CONT "$vzctl"
	status=0
	wait "$vzctl" || status=$?
	[ "$status" = 17 ]
	still_suspended 539
	# memory that was right when it was looked at
	size=$(stat -c %s "$(dump 539)")
	for how in flip truncate; do
		cp "$(dump 539)" "$CROFT_ROOT/good"
		serving 539
		if [ "$how" = flip ]; then
			python3 -c "import os; f = os.open('$(dump 539)', os.O_RDWR); at = $((size * 3 / 4)); b = os.pread(f, 1, at)[0]; os.pwrite(f, bytes([b ^ 4]), at)"
		else
			truncate -s $((size * 3 / 4)) "$(dump 539)"
		fi
		kill -CONT "$vzctl"
		status=0
		wait "$vzctl" || status=$?
		[ "$status" = 17 ]
		grep -q "dump file $(dump 539): it has changed while it was read" "$BATS_TEST_TMPDIR/out"
		still_suspended 539
		mv "$CROFT_ROOT/good" "$(dump 539)"
	done
	vzctl --quiet resume 539
	held_well 539
	no_dump
}

# CROFT_CYCLES in the environment: how many; docs/testing.md
@test "20 times in a row: no descriptor, mount, link, group, owner, process or file too many" {
	counter 535
	local i before left=0
	vzctl exec 535 'cat >/root/dirty; chmod 755 /root/dirty' <"$build/tests/checkpoint/dirty"
	vzctl exec 535 '/root/dirty 8 500 >/root/dirty.out </dev/null 2>&1 &'
	wait_for 5 vzctl exec2 535 'grep -q ready /root/dirty.out'
	for i in $(seq 0 "${CROFT_CYCLES:-20}"); do
		vzctl --quiet suspend 535
		vzctl --quiet resume 535
		[ "$i" != 0 ] || { before=$(drift_sheet 535); [ -z "${CROFT_CYCLES:-}" ] || echo "# $(drift_memory 535)" >&3; }
	done
	drift_none "$before" drift_sheet 535 || left=1
	[ -z "${CROFT_CYCLES:-}" ] || echo "# $(drift_memory 535)" >&3
	vzctl exec 535 'killall -TERM dirty; while pidof dirty; do usleep 100000; done' >/dev/null
	run vzctl exec 535 'tail -n 1 /root/dirty.out'
	[[ "$output" == 'good after '* ]]
	[ $left = 0 ]
}
