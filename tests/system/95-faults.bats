#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host,node
# Every host step of every table fails once and is killed once: what is left is told by status, the next command mends
# it, nothing is lost.
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { make_root overlay; }
teardown_file() { remove_root; }
teardown() { destroy_all; }

# run --separate-stderr of bats uses $i: the loops here use $step.
# steps TABLE FILE: how many steps the table in src/ops/FILE.c has
steps() { sed -n "/op_step $1\[\]/,/^};/p" "$top/src/ops/$2.c" | grep -o '{ "' | wc -l; }

# fault TABLE:N[:kill] ARG...: vzctl with that fault
fault() {
	local f=$1
	shift
	run env VZ_FAULT="$f" "$build/vzctl" "$@"
}
killed() {
	fault "$1:kill" "${@:2}"
	status_is 137
}
failed() {
	fault "$1" "${@:2}"
	status_is 3
	has "fault on purpose at step"
}

# told CTID WORD...: status names what is left, in its words
told() {
	local id=$1 w
	shift
	run --separate-stderr vzctl status "$id"
	for w in "$@"; do
		[[ "$stderr" == "CT $id: "*"$w"* ]] || { echo "status of $id does not tell '$w': $stderr" >&2; return 1; }
	done
}

# clean CTID LINE: status says that and nothing else
clean() {
	run --separate-stderr vzctl status "$1"
	[ "$output" = "CTID $1 $2" ] && [ -z "$stderr" ] || { echo "status: $output; $stderr" >&2; return 1; }
}
mended() { clean "$@" && leaves_nothing; }

no_files() { [ -z "$(ls -A "$(vzdir)/private")" ]; }

# a running VPS with something to lose
make_vps() {
	vzctl --quiet create "$1" --ostemplate busybox --ipadd "10.95.1.$((${1} % 100))" --name "$2"
	vzctl --quiet set "$1" --description 'not to be lost' --numproc 200 --save
	vzctl --quiet start "$1"
	vzctl exec "$1" 'echo kept >/root/file'
}
# nothing_lost CTID NAME: of a running one
nothing_lost() {
	[ "$(vzctl exec2 "$2" 'cat /root/file')" = kept ]
	grep -qxF 'DESCRIPTION="not to be lost"' "$(conf "$1")"
	grep -qxF "NAME=\"$2\"" "$(conf "$1")"
	[ "$(find "$CROFT_ROOT/etc/vz/names" -lname "*/$1.conf" -printf '%f\n')" = "$2" ]
}

@test "start: each step fails, everything is taken back, the next start works" {
	n=$(steps start_steps start)
	[ "$n" -ge 9 ]
	make_vps 9501 s1
	vzctl stop 9501 --fast
	for step in $(seq 1 "$n"); do
		failed "start:$step" start 9501
		mended 9501 "exist unmounted down"
	done
	vzctl start 9501
	clean 9501 "exist mounted running"
	nothing_lost 9501 s1
}

@test "start: killed at each step, it is told, the next start mends it" {
	n=$(steps start_steps start)
	make_vps 9501 s1
	vzctl stop 9501 --fast
	for step in $(seq 1 "$n"); do
		killed "start:$step" start 9501
		# vzmon, which sees the hang-up and ends, is not "left over"
		wait_for 10 told 9501 "left over from an interrupted start" lock "the next "
		run vzctl status 9501
		[[ "$output" == *" down"* ]]
		vzctl start 9501
		clean 9501 "exist mounted running"
		vzctl stop 9501 --fast
		mended 9501 "exist unmounted down"
	done
	vzctl start 9501
	nothing_lost 9501 s1
}

@test "start: killed at each step, stop, set, umount and destroy mend it as well" {
	n=$(steps start_steps start)
	vzctl --quiet create 9501 --ostemplate busybox
	for step in $(seq 1 "$n"); do
		killed "start:$step" start 9501
		case $((step % 3)) in
		0)
			vzctl destroy 9501
			mended 9501 "deleted unmounted down"
			vzctl --quiet create 9501 --ostemplate busybox
			;;
		1) vzctl set 9501 --onboot yes --save ;;
		2) vzctl stop 9501 ;;
		esac
		mended 9501 "exist unmounted down"
	done
	killed "start:$n" start 9501
	wait_for 10 told 9501 cgroups "mount $(vzdir)/root/9501" "state file" "the next start or stop cleans up"
	vzctl umount 9501
	mended 9501 "exist unmounted down"
}

@test "a mount that somebody asked for stays through a start that is killed" {
	vzctl --quiet create 9501 --ostemplate busybox
	vzctl --quiet mount 9501
	clean 9501 "exist mounted down"
	n=$(steps start_steps start)
	killed "start:$n" start 9501
	vzctl stop 9501
	clean 9501 "exist mounted down"
	vzctl start 9501
	vzctl stop 9501 --fast --skip-umount
	clean 9501 "exist mounted down"
	vzctl set 9501 --onboot no --save
	clean 9501 "exist mounted down"
}

@test "a mount script that was killed half way runs again at the next start" {
	vzctl --quiet create 9501 --ostemplate busybox
	cat >"$CROFT_ROOT/etc/vz/conf/9501.mount" <<-T
		#!/bin/sh
		echo ran >>$BATS_TEST_TMPDIR/ran
		[ -e $BATS_TEST_TMPDIR/second ] || { : >$BATS_TEST_TMPDIR/second; kill -9 \$PPID; }
	T
	chmod +x "$CROFT_ROOT/etc/vz/conf/9501.mount"
	run vzctl start 9501
	status_is 137
	told 9501 "half-made mount $(vzdir)/root/9501"
	vzctl start 9501
	[ "$(wc -l <"$BATS_TEST_TMPDIR/ran")" = 2 ]
	clean 9501 "exist mounted running"
}

@test "stop: each step fails or is killed, the next stop or start mends it" {
	n=$(steps stop_steps stop)
	[ "$n" -ge 4 ]
	make_vps 9506 s6
	for step in $(seq 1 "$n"); do
		failed "stop:$step" stop 9506 --fast
		wait_for 10 vzctl stop 9506 --fast
		wait_for 10 mended 9506 "exist unmounted down"
		vzctl start 9506
		killed "stop:$step" stop 9506 --fast
		# vzmon may have begun to clean up: its lock is waited for
		if [[ "$(vzctl status 9506)" == *running ]]; then
			vzctl restart 9506 --fast
		else
			wait_for 10 vzctl start 9506
		fi
		clean 9506 "exist mounted running"
	done
	nothing_lost 9506 s6
}

@test "stop: killed after the end of init, vzmon cleans up by itself; later, the mount is told" {
	vzctl --quiet create 9506 --ostemplate busybox
	vzctl --quiet start 9506
	killed stop:3 stop 9506 --fast
	wait_for 10 mended 9506 "exist unmounted down"
	vzctl --quiet start 9506
	killed stop:4 stop 9506 --fast
	wait_for 10 told 9506 "left over from an interrupted stop: mount $(vzdir)/root/9506, lock"
	vzctl stop 9506
	mended 9506 "exist unmounted down"
}

@test "restart: killed between stop and start, nothing stays locked, the next start works" {
	[ "$(steps restart_steps stop)" = 2 ]
	make_vps 9507 s7
	failed restart:2 restart 9507 --fast
	mended 9507 "exist unmounted down"
	vzctl start 9507
	for next in start restart; do
		killed restart:2 restart 9507 --fast
		told 9507 "left over from an interrupted restart" lock
		vzctl $next 9507
		clean 9507 "exist mounted running"
	done
	killed restart:1 restart 9507
	[ "$(vzctl status 9507)" = "CTID 9507 exist mounted running" ]
	# the tables within it
	killed stop:3 restart 9507 --fast
	wait_for 10 vzctl restart 9507 --fast
	killed start:6 restart 9507
	vzctl start 9507
	nothing_lost 9507 s7
}

@test "set: each step fails, everything is as it was: live values, addresses, name, file" {
	n=$(steps set_steps set)
	[ "$n" -ge 7 ]
	make_vps 9508 s8
	live() {
		vzctl exec2 9508 'hostname; ip -4 addr show venet0 | grep inet; cat /etc/resolv.conf'
		jq -r '.addrs[]' "$CROFT_ROOT/run/vz/9508/state.json"
		cat "$(jq -r '.cgroups[]' "$CROFT_ROOT/run/vz/9508/state.json" | sort | sed -n 's/^pids=//p; s/^v2=//p' | head -n1)/pids.max"
		ip -o route show | grep -o '^10\.95\.1\.[0-9]*' | sort
		ls "$CROFT_ROOT/etc/vz/names"
		cat "$(conf 9508)"
	}
	vzctl set 9508 --hostname first.example.net --nameserver 10.95.1.2 --save
	before=$(live)
	args=(--numproc 99 --hostname new.example.net --ipadd 10.95.1.88 --ipdel 10.95.1.8 --nameserver 10.95.1.1 --name other
		--description changed --userpasswd root:x --save)
	for step in $(seq 1 "$n"); do
		failed "set:$step" set 9508 "${args[@]}"
		[ "$(live)" = "$before" ] || { echo "after step $step:"; diff <(echo "$before") <(live); false; } >&2
		clean 9508 "exist mounted running"
	done
	# a file that cannot be written, a password that cannot be set: the same
	vzctl exec 9508 'mv /etc/passwd /etc/passwd.away'
	run vzctl set 9508 "${args[@]}"
	[ "$status" -ne 0 ]
	vzctl exec 9508 'mv /etc/passwd.away /etc/passwd'
	[ "$(live)" = "$before" ]
	vzctl set 9508 "${args[@]}"
	[ "$(live)" != "$before" ]
	[ "$(vzctl exec2 other 'hostname')" = new.example.net ]
}

@test "set: killed at each step, the same again or another mends it; a name is the old one or the new one" {
	n=$(steps set_steps set)
	make_vps 9508 old
	args=(--numproc 99 --hostname new.example.net --ipadd 10.95.1.88 --name new --save)
	one_name() { [ "$(ls "$CROFT_ROOT/etc/vz/names" | wc -l)" = 1 ]; }
	for step in $(seq 1 "$n"); do
		killed "set:$step" set 9508 "${args[@]}"
		told 9508 "left over from an interrupted set" lock
		# one of the two names leads to it, and only one
		run vzctl status old
		a=$status
		run vzctl status new
		[ $((a == 0)) -ne $((status == 0)) ]
		if [ $((step % 3)) = 0 ]; then # any other command is as good
			vzctl stop 9508 --fast
			mended 9508 "exist unmounted down"
			one_name
			vzctl start 9508
		fi
		vzctl set 9508 "${args[@]}"
		clean 9508 "exist mounted running"
		one_name
		[ "$(vzctl exec2 new 'hostname')" = new.example.net ]
		vzctl exec2 new 'ip -4 addr show venet0' | grep -q 10.95.1.88
		vzctl set 9508 --name old --ipdel 10.95.1.88 --hostname h --save
		[ "$(ls "$CROFT_ROOT/etc/vz/names")" = old ]
	done
	nothing_lost 9508 old
}

@test "set --userpasswd of a stopped VPS, killed: the mount is told and goes" {
	vzctl --quiet create 9508 --ostemplate busybox
	cat >"$CROFT_ROOT/etc/vz/conf/9508.umount" <<-T
		#!/bin/sh
		rm \$0
		kill -9 \$PPID
	T
	chmod +x "$CROFT_ROOT/etc/vz/conf/9508.umount"
	run vzctl set 9508 --userpasswd root:x
	status_is 137
	told 9508 "left over from an interrupted set" "mount $(vzdir)/root/9508"
	vzctl set 9508 --userpasswd root:x
	mended 9508 "exist unmounted down"
}

@test "two VPSes are given one name at the same time: one gets it" {
	vzctl --quiet create 9508 --ostemplate busybox
	vzctl --quiet create 9509 --ostemplate busybox
	for _ in 1 2 3; do
		vzctl set 9508 --name both --save &
		vzctl set 9509 --name both --save || :
		wait $! || :
		[ "$(cat "$(conf 9508)" "$(conf 9509)" | grep -c '^NAME="both"')" = 1 ]
		clean both "x" || [[ "$output" == "CTID 950"[89]" exist unmounted down" ]]
		vzctl --quiet set 9508 --name '' --save
		vzctl --quiet set 9509 --name '' --save
	done
}

@test "create: each step fails, nothing remains, the next create works" {
	n=$(steps create_steps create)
	[ "$n" -ge 7 ]
	for step in $(seq 1 "$n"); do
		failed "create:$step" create 9502 --ostemplate busybox --name fault --config vswap-256m
		mended 9502 "deleted unmounted down"
		[ ! -e "$(conf 9502)" ]
		[ -z "$(ls -A "$(vzdir)/private")" ]
		[ -z "$(ls -A "$CROFT_ROOT/etc/vz/names")" ]
	done
	vzctl create 9502 --ostemplate busybox --name fault --config vswap-256m
	vzctl start fault
}

@test "create: killed at each step, it is told; the same again, or destroy, mends it" {
	n=$(steps create_steps create)
	for layout in simfs overlay; do
		for step in $(seq 1 "$n"); do
			killed "create:$step" create 9503 --ostemplate busybox --layout $layout --config vswap-256m \
				--name begun --ipadd 10.95.1.3
			told 9503 "left over from an interrupted create" lock
			run vzctl status 9503
			# from the rename on the VPS is complete; before it the next create is the one that counts
			if [[ "$output" == *" exist "* ]]; then
				[ "$step" = "$n" ]
				vzctl start begun
				vzctl stop begun --fast
			elif [ $(((step + ${#layout}) % 2)) = 0 ]; then
				vzctl create 9503 --ostemplate busybox --layout $layout --config vswap-512m --name second
				grep -q '^PHYSPAGES="0:131072"' "$(conf 9503)"
				run ! grep -q 10.95.1.3 "$(conf 9503)"
				[ "$(ls "$CROFT_ROOT/etc/vz/names")" = second ]
				vzctl start 9503
				vzctl stop 9503 --fast
			fi
			run vzctl destroy 9503
			[ "$status" -eq 0 ] || { [ "$status" -eq 14 ] && [ "$step" -le 2 ]; }
			mended 9503 "deleted unmounted down"
			wait_for 10 no_files
			[ -z "$(ls -A "$CROFT_ROOT/etc/vz/names")" ]
		done
	done
}

@test "create over a configuration that was there: killed at each step, its lines stay" {
	n=$(steps create_steps create)
	for step in $(seq 1 $((n - 1))); do
		printf '%s\n' '# mine' 'NUMPROC="77"' >"$(conf 9503)"
		killed "create:$step" create 9503 --ostemplate busybox
		vzctl create 9503 --ostemplate busybox
		grep -qx 'NUMPROC="77"' "$(conf 9503)"
		grep -qx '# mine' "$(conf 9503)"
		vzctl destroy 9503
	done
}

@test "create with a private area of its own, killed: destroy finds it" {
	for step in 3 4 5; do
		killed "create:$step" create 9503 --ostemplate busybox --private "$(vzdir)/elsewhere/9503"
		[ "$step" = 3 ] || told 9503 "half-made private area $(vzdir)/elsewhere/9503.tmp"
		[ "$step" = 3 ] || vzctl destroy 9503
		[ "$step" = 3 ] || [ -z "$(ls -A "$(vzdir)/elsewhere")" ]
	done
}

@test "destroy: each step fails or is killed, it is told, destroy completes it" {
	n=$(steps destroy_steps destroy)
	[ "$n" -ge 5 ]
	for how in failed killed; do
		for step in $(seq 1 "$n"); do
			vzctl --quiet create 9510 --ostemplate busybox --name gone
			: >"$CROFT_ROOT/etc/vz/conf/9510.mount"
			$how "destroy:$step" destroy 9510
			[ $how = failed ] || told 9510 "left over from an interrupted destroy" lock
			[ "$step" -le 2 ] || told 9510 "destroy completes it"
			if [ "$step" -le 2 ]; then # nothing was done yet: it is all there
				vzctl start gone
				vzctl stop gone --fast
			fi
			vzctl destroy 9510
			mended 9510 "deleted unmounted down"
			wait_for 10 no_files
			[ -z "$(ls -A "$CROFT_ROOT/etc/vz/names")" ]
			[ "$(cd "$CROFT_ROOT/etc/vz/conf" && echo 9510.*)" = "9510.conf.destroyed 9510.mount.destroyed" ]
			run vzctl destroy 9510
			status_is 14
			rm "$CROFT_ROOT/etc/vz/conf/"9510.*
		done
	done
}

@test "destroy: killed at each step, create makes a new VPS with nothing of the old one" {
	n=$(steps destroy_steps destroy)
	for step in $(seq 3 "$n"); do
		vzctl --quiet create 9510 --ostemplate busybox --name gone --numproc 77
		: >"$CROFT_ROOT/etc/vz/conf/9510.mount"
		killed "destroy:$step" destroy 9510
		vzctl create 9510 --ostemplate busybox --config vswap-256m
		run ! grep -q 'NUMPROC="77"\|gone' "$(conf 9510)"
		[ ! -e "$CROFT_ROOT/etc/vz/conf/9510.mount" ]
		clean 9510 "exist unmounted down"
		vzctl destroy 9510
		[ -z "$(ls -A "$CROFT_ROOT/etc/vz/names")" ]
		wait_for 10 no_files
	done
}

@test "files that a destroyed VPS left are told until somebody deletes them, by destroy of it or of another" {
	no_trash() { [ -z "$(find "$(vzdir)/private" -name '.vz*')" ]; }
	for next in 9510 9511; do
		vzctl --quiet create 9510 --ostemplate busybox
		vzctl --quiet create 9511 --ostemplate busybox
		killed destroy:5 destroy 9510
		told 9510 "deleted files $(vzdir)/private/.vzctl-rm-me.9510."
		vzctl destroy $next
		wait_for 10 no_trash
		run vzctl destroy 9510 # nothing but the lock is left now
		status_is 14
		clean 9510 "deleted unmounted down"
		[ $next = 9511 ] || vzctl destroy 9511
	done
}

@test "an id range that was allocated stays the VPS's own through a create that was cut off" {
	killed create:5 create 70001 --ostemplate busybox
	before=$(grep LOCAL_UID "$(conf 70001)")
	[ -n "$before" ]
	vzctl create 70001 --ostemplate busybox
	[ "$(grep LOCAL_UID "$(conf 70001)")" = "$before" ]
	vzctl start 70001
}

@test "SIGINT during start: taken back, code 3" {
	vzctl create 9504 --ostemplate busybox
	cat >"$CROFT_ROOT/etc/vz/conf/9504.mount" <<-T
		#!/bin/sh
		kill -INT \$PPID
	T
	chmod +x "$CROFT_ROOT/etc/vz/conf/9504.mount"
	run vzctl start 9504
	status_is 3
	has "Cancelling"
	[ "$(vzctl status 9504)" = "CTID 9504 exist unmounted down" ]
}

@test "status tells of what no command of ours left: a configuration or a private area alone, a damaged state" {
	vzctl --quiet create 9512 --ostemplate busybox
	mv "$(conf 9512)" "$BATS_TEST_TMPDIR/conf"
	told 9512 "private area without a configuration $(vzdir)/private/9512"
	mv "$BATS_TEST_TMPDIR/conf" "$(conf 9512)"
	mv "$(vzdir)/private/9512" "$BATS_TEST_TMPDIR/private"
	told 9512 "configuration without a private area $(vzdir)/private/9512" "create makes it anew, destroy removes it"
	mv "$BATS_TEST_TMPDIR/private" "$(vzdir)/private/9512"
	vzctl start 9512
	echo '{' >"$CROFT_ROOT/run/vz/9512/state.json"
	told 9512 "damaged state file" cgroups "the next start or stop cleans up"
	vzctl stop 9512
	wait_for 10 mended 9512 "exist unmounted down"
	run --separate-stderr vzctl --quiet status 9512
	[ -z "$stderr" ]
}
