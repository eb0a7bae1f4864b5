#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# vzmigrate --mode: which way a VPS takes, and memory in rounds.
# bats file_tags=node
bats_require_minimum_version 1.5.0
load ../lib/faults
load ../lib/criu

setup_file() {
	hosts_up && need_criu
	[ -x "$build/tests/checkpoint/dirty" ] || make -s -C "$build" checkpoint-programs
}
teardown_file() { hosts_down; }
setup() { mode=(--mode pre-copy); }
teardown() { hosts_clean; }

# a_vps CTID LAYOUT OPTION...: a VPS that runs on node a
a_vps() {
	on a vzctl create "$1" --ostemplate busybox --layout "$2" >/dev/null
	[ $# -lt 3 ] || on a vzctl set "$1" "${@:3}" --save >/dev/null
	on a vzctl start "$1" >/dev/null
}

# tracked: does this kernel say what is written to memory?
tracked() { "$build/criu/criu" check --feature mem_dirty_track >/dev/null 2>&1 || criu check --feature mem_dirty_track >/dev/null 2>&1; }

# refused CODE TEXT ARG...: before anything changes
refused() {
	local code=$1 text=$2
	shift 2
	run --separate-stderr migrate "$@"
	[ "$status" -eq "$code" ] && [[ "$stderr" == *"$text"* ]] || {
		echo "vzmigrate $*: status $status, not $code; stderr: $stderr" >&2
		return 1
	}
	[ "$(wc -l <<<"$stderr")" = 1 ]
	[ -z "$(journals a)$(journals b)" ]
	running_on a 621
}

# bats test_tags=host
@test "auto says which mode it takes and why; one that cannot be had is refused in one line" {
	a_vps 621 simfs
	refused 1 'bad value for --mode: "fast" (allowed: offline, warm, stop-and-copy, pre-copy, post-copy, hybrid, auto)' --mode fast b 621
	if tracked; then
		refused 1 "--nostart goes with" --mode pre-copy --nostart b 621
		run migrate --online --dry-run b 621
		has "Mode stop-and-copy: by stop-and-copy it would stand still for about 0."
	else
		refused 57 "this node's kernel does not track what is written to memory" --mode pre-copy b 621
		run migrate --mode online --dry-run b 621
		has "Mode stop-and-copy: this kernel does not track what is written to memory"
	fi
	status_is 0
	has "VPS 621 can be moved to b (stop-and-copy)"
	run migrate --online --noiter --dry-run b 621
	status_is 0
	[[ "$output" != *"Mode "* ]]
	run migrate --noiter b 621
	status_is 0
	running_on b 621
}

# writes CTID MIB PAUSE NAME: tests/checkpoint/dirty there, pages with so many microseconds between
writes() {
	on a vzctl exec2 "$1" "cat >/$4; chmod 755 /$4" <"$build/tests/checkpoint/dirty"
	on a vzctl exec2 "$1" "/$4 $2 $3 </dev/null >/$4.said 2>&1 &"
	wait_for 60 on a vzctl exec2 "$1" grep -q ready "/$4.said"
}

# wrote HOST CTID NAME: it went on, and no word was ever wrong
wrote() {
	on "$1" vzctl exec2 "$2" "kill \$(pidof $3)"
	wait_for 60 on "$1" vzctl exec2 "$2" grep -Eq "'good after|word'" "/$3.said"
	on "$1" vzctl exec2 "$2" cat "/$3.said" | grep '^good after' || {
		on "$1" vzctl exec2 "$2" cat "/$3.said" >&2
		return 1
	}
}

# nothing_left: of dumps and rounds, on either node
nothing_left() {
	[ -z "$(find "$hosts"/[ab]/var/lib/vz/dump "$hosts"/[ab]/run/vz -mindepth 1 \( -path '*/dump/*' -o -name held -o -name round.pid \))" ] || {
		find "$hosts"/[ab]/var/lib/vz/dump "$hosts"/[ab]/run/vz -mindepth 1 >&2
		return 1
	}
}

mib() { sed -n "s/^$1: \([0-9]*\)\..*/\1/p" <<<"$output"; }

@test "pre-copy: memory that is written all the time is right to the last word; the last dump is a small part" {
	a_vps 622 simfs --ram 256M --swap 0
	writes 622 48 900000 idle
	writes 622 4 1000 busy
	run --separate-stderr migrate --mode pre-copy -t -v b 622
	status_is 0
	echo "$output"
	has "Copying memory, round 2"
	running_on b 622
	wrote b 622 busy
	wrote b 622 idle
	[ "$(mib 'Round 1')" -ge 52 ]
	[ "$(mib Dump)" -lt $(($(mib 'Round 1') / 3)) ]
	nothing_left
	# and back, an overlay is no different; compressed
	on b vzmigrate --transport-command "$hosts/enter-a" --mode pre-copy --compress a 622 >/dev/null
	running_on a 622
	nothing_left
}

@test "pre-copy: a connection loses no line; the last dump takes several attempts, and forgets no page" {
	local client other
	a_vps 623 overlay --ipadd '10.99.54.123 fd54::123'
	writes 623 4 1000 busy
	on a vzctl exec2 623 'nc -ll -p 7000 -e cat >/dev/null 2>&1 </dev/null &'
	python3 "$top/tests/lib/echo-client.py" 10.99.54.123 7000 br54 10.99.54.123 fd54::123 "$hosts/stop" >"$hosts/client" 2>&1 3>&- &
	client=$!
	# one that nobody accepts: CRIU refuses until it is told to leave it out
	on a vzctl exec2 623 'nc -ll -p 7001 -e cat >/dev/null 2>&1 </dev/null & echo $! >/nc.pid'
	wait_for 20 on a vzctl exec2 623 'netstat -ltn | grep -q :7001 && kill -STOP $(cat /nc.pid)'
	python3 -c 'import socket, time; s = socket.create_connection(("10.99.54.123", 7001)); time.sleep(1000)' 3>&- &
	other=$!
	wait_for 20 grep -q connected "$hosts/client"
	on a sh -c 'sed -i /^LOG_LEVEL=/d $CROFT_ROOT/etc/vz/vz.conf; echo LOG_LEVEL=1 >>$CROFT_ROOT/etc/vz/vz.conf'
	migrate --mode pre-copy b 623
	kill $other
	grep -q '; once more' "$hosts/a/vzctl.log"
	touch "$hosts/stop"
	wait $client || { cat "$hosts/client" >&2; false; }
	cat "$hosts/client"
	grep -qE '^echoed [0-9]+ lost 0 ' "$hosts/client"
	running_on b 623
	wrote b 623 busy
	nothing_left
}

# the VPS of node a runs on as if nothing had been, once the next command has come
undisturbed() {
	wait_for 30 no_migrators
	on a vzctl --quiet start "$1" >/dev/null 2>&1 || :
	running_on a "$1" && [ -z "$(pgrep -x criu)" ] &&
		[ "$(on a cat "$(sed -n 's/.*"v2=\(.*\)".*/\1/p' "$hosts/a/run/vz/$1/state.json" | head -n 1)/payload/cgroup.freeze")" = 0 ] &&
		on a vzctl exec2 "$1" true
}

# in rounds 1 and 2: we killed while CRIU is at work, all of us; when it is made and not sent; the target before it takes it
@test "killed in a round: the VPS runs on, nothing is left; a dump of the rest is never taken for one" {
	local f
	a_vps 624 simfs
	writes 624 4 1000 busy
	for f in predump:1:kill predump:2:both rounded:2:kill receive:14:kill; do
		disturbed "$f" 624
		undisturbed 624 || { echo "after $f: $(cat "$hosts/out")" >&2; false; }
		[ -z "$(journals a)" ] || on a vzmigrate --recover 624
		[ -z "$(journals b)" ]
		nothing_left
	done
	# frozen, with the dump of the rest there, and everybody killed
	disturbed migrate:11:both 624
	undisturbed 624
	on a vzmigrate --recover 624
	nothing_left
	wrote a 624 busy
}

# in_round CTID N: a migration that goes slowly, in the background, at its round N; output in $hosts/out
in_round() {
	rm -f "$hosts/out" # of one before
	migrate --mode pre-copy --limit-speed 1024 --timeout 60 b "$1" >"$hosts/out" 2>&1 3>&- &
	mover=$!
	wait_for 240 grep -q "Copying memory, round $2" "$hosts/out" || { cat "$hosts/out" >&2; return 1; }
}

@test "pre-copy: ended by Ctrl-C in a round, the VPS runs on; a round keeps to --limit-speed" {
	local status=0 began p
	a_vps 626 simfs --ram 128M --swap 0
	writes 626 12 900000 idle
	# what the first round has is not compressed and has 12 MiB at the least: it takes 12 s at the least
	in_round 626 1
	for p in $(migrators); do is_receiver "$p" || kill -INT "$p" 2>/dev/null || :; done
	wait $mover || status=$?
	status_is 25
	undisturbed 626
	nothing_left
	[ -z "$(journals a)$(journals b)" ]
	in_round 626 1
	began=$SECONDS
	wait_for 240 grep -q 'Copying memory, round 2' "$hosts/out"
	[ $((SECONDS - began)) -ge 10 ]
	wait $mover
	running_on b 626
	wrote b 626 idle
	nothing_left
}

@test "pre-copy: whoever dies, one node has it; promised, it is resumed from its rounds" {
	victim 625
	faults 625 received:7:both finish:1:kill
	nothing_left
}
