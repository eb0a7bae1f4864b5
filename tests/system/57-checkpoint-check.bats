#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# vzctl checkpoint-check: what stands in the way is named before anything is frozen, and nothing else is. One VPS, 5701.
# bats file_tags=host,node
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/escape
load ../lib/criu

setup_file() {
	escape_root && need_criu
	vzctl --quiet create 5701 --ostemplate busybox
	vzctl --quiet set 5701 --features io_uring:on,nesting:on --ram 256M --save
	vzctl --quiet start 5701
	arm 5701
}
teardown_file() {
	destroy_all
	remove_root
}
teardown() { vzctl exec 5701 'killall -9 hold sleep; while pidof hold; do sleep 0.1; done; rm -f /dev/mqueue/*' >/dev/null 2>&1 || :; }

# Held by a process of the VPS itself: one of exec would be an outsider
hold() {
	vzctl exec 5701 "rm -f /tmp/held; (setsid /root/escape/hold $* >/tmp/held 2>&1 &)"
	wait_for 10 vzctl exec2 5701 'grep -q . /tmp/held'
	run vzctl exec 5701 'cat /tmp/held'
	[ "$output" = held ] || { echo "hold $*: $output"; return 1; }
	wait_for 10 settled
}
# its parent, the shell of exec, is gone
settled() { [ "$(vzctl exec 5701 'sed -n "s/^PPid:.//p" /proc/$(pidof hold | tr " " "\n" | sort -n | head -n 1)/status')" = 1 ]; }
check() { vzctl checkpoint-check 5701 --time 0 "$@"; }
# blocked KIND OBJECT: exactly this is found, by name of process, pid inside and object; the VPS is undisturbed
blocked() {
	local inside
	inside=$(vzctl exec 5701 'pidof hold | tr " " "\n" | sort -n | head -n 1')
	run --separate-stderr check --json
	status_is 16
	[ "$stderr" = 'VPS 5701 cannot be checkpointed now: 1 object(s) in the way' ]
	jq -e --arg k "$1" --arg o "$2" --argjson p "$inside" '.possible == false and .blockers == 1 and
		([.findings[] | select(.blocker)] | .[0].kind == $k and (.[0].object | contains($o)) and .[0].command == "hold" and
		(.[0].pid == $p or $k == "ptrace"))' <<<"$output" || {
		echo "$inside: $output"
		return 1
	}
	run check
	status_is 16
	has 'blocker: hold (process'
	vzctl exec2 5701 'kill -0 $(pidof hold)' >/dev/null
}

@test "a VPS at rest has nothing in the way; the answer says what there is to carry" {
	run check --json
	status_is 0
	jq -e '.schema == 1 and .ctid == 5701 and .possible and .blockers == 0 and .processes >= 1 and .memory_bytes > 0 and
		.bandwidth_bytes_per_s > 0 and .frozen_ms > 0 and .dirty_bytes_per_s == null' <<<"$output"
	run check
	status_is 0
	has 'VPS 5701: '
	has 'Frozen for about'
}

@test "what programs usually hold is not in the way" {
	hold usual
	run check --json
	status_is 0
	jq -e '.possible and .blockers == 0 and ([.findings[] | select(.command == "hold")] == [])' <<<"$output"
}

@test "each thing that CRIU refuses, or loses, is named with its process" {
	hold io_uring
	blocked io_uring 'anon_inode:[io_uring]'
	teardown
	hold io_uring_mapped
	blocked io_uring io_uring
	teardown
	hold mqueue
	blocked mqueue /held
	teardown
	hold semaphore
	blocked eventfd-semaphore ''
	teardown
	hold uts
	blocked nested-namespace uts
	teardown
	hold traced
	blocked ptrace ''
	teardown
	hold ruleset
	blocked anonymous-file landlock
}

@test "suspend refuses by the same names, before it freezes; the VPS runs on" {
	hold semaphore
	run --separate-stderr vzctl suspend 5701
	status_is 16
	[[ "$stderr" == 'VPS 5701 cannot be checkpointed now: hold (process '*' inside): an eventfd with EFD_SEMAPHORE, which would become a plain one: '* ]]
	[[ "$output" != *suspend...* ]]
	vzctl exec2 5701 'kill -0 $(pidof hold)'
}

@test "a mount that cannot be made again is named, once, whoever sees it" {
	vzctl exec 5701 'mkdir -p /tmp/l /tmp/u /tmp/w /tmp/m; mount -t ramfs none /tmp/m'
	run check --json
	vzctl exec 5701 'umount /tmp/m'
	status_is 16
	jq -e '[.findings[] | select(.blocker) | .kind, .object] == ["mount", "ramfs /tmp/m"]' < <(printf '%s\n' "${lines[@]}" | grep -v '^VPS ')
}

@test "a session of exec is no blocker, and is said to end" {
	vzctl exec 5701 'sleep 60' &
	local us=$!
	wait_for 10 vzctl exec2 5701 'pidof sleep'
	run check --json
	kill "$us"
	status_is 0
	jq -e '.outsiders >= 1 and ([.findings[] | select(.kind == "outsider" and .command == "sleep" and (.blocker | not))] | length == 1)' <<<"$output"
	wait "$us" || :
}

@test "what a tenant calls its processes cannot forge a line or a colour" {
	vzctl exec 5701 'cp /root/escape/hold "/tmp/$(printf "x\033[31my\nz")"; (setsid /tmp/x* semaphore >/dev/null 2>&1 &)'
	wait_for 10 bash -c "! '$build/vzctl' checkpoint-check 5701 --time 0 >/dev/null 2>&1"
	run check
	vzctl exec 5701 'killall -9 "$(printf "x\033[31my\nz")"; rm -f /tmp/x*' || :
	[[ "$output" != *$'\033'* ]]
	[ "$(grep -c 'blocker:' <<<"$output")" = 1 ]
}

@test "memory and what is written to go into the prediction" {
	vzctl exec 5701 'dd if=/dev/zero of=/dev/shm/block bs=1M count=40 2>/dev/null'
	run check --json --bandwidth 10M
	vzctl exec 5701 'rm /dev/shm/block'
	status_is 0
	jq -e '.memory_bytes >= 41943040 and .bandwidth_bytes_per_s == 10485760 and .frozen_ms >= 4000' <<<"$output"
	run vzctl checkpoint-check 5701 --time 1 --json
	status_is 0
	if [ "$(jq .dirty_bytes_per_s <<<"$output")" != null ]; then
		jq -e '.rounds >= 1 and .frozen_after_rounds_ms > 0' <<<"$output"
	else
		jq -e '.frozen_after_rounds_ms == null' <<<"$output"
	fi
}

@test "bad calls: one line, the documented status" {
	run --separate-stderr check --bandwidth 5x
	status_is 20
	[ "$stderr" = '--bandwidth 5x: bytes a second, with a suffix K, M or G, at least 1K' ]
	run --separate-stderr vzctl checkpoint-check 5701 --time -1
	status_is 20
	vzctl --quiet create 5702 --ostemplate busybox
	run --separate-stderr vzctl checkpoint-check 5702
	status_is 31
	run --separate-stderr vzctl checkpoint-check 5799
	status_is 14
}

@test "vzcptcheck: versions, processors, a dump on this node" {
	hold mqueue
	vzctl exec 5701 'killall -9 hold; while pidof hold; do sleep 0.1; done' >/dev/null
	local caps f=$CROFT_ROOT/dump/Dump.5701
	cptcheck() { run --separate-stderr "$build/vzcptcheck" "$@"; }
	cptcheck version
	status_is 0
	[ "$output" = 1 ]
	cptcheck version 1
	status_is 0
	cptcheck version 2
	status_is 2
	cptcheck caps
	status_is 0
	[[ "$output" =~ ^0x[0-9a-f]+$ ]]
	caps=$output
	cptcheck caps 5701 "$caps"
	status_is 0
	[ -z "$output$stderr" ]
	cptcheck caps 5701 0x1
	status_is 2
	[[ "$stderr" == 'vzcptcheck: that processor lacks '*sse2* ]]
	mkdir -p "${f%/*}"
	# a queue that nobody has open any more
	run --separate-stderr vzctl suspend 5701 --dumpfile "$f"
	status_is 16
	[[ "$stderr" == *'a POSIX message queue: /held'* ]]
	vzctl exec2 5701 'rm /dev/mqueue/held'
	vzctl --quiet suspend 5701 --dumpfile "$f"
	cptcheck dump "$f"
	status_is 0
	[ "$(tail -n 1 <<<"$output")" = 'it can go on here' ]
	head -c -1 "$f" >"$f.cut"
	cptcheck dump "$f.cut"
	status_is 2
	[ "$(wc -l <<<"$stderr")" = 1 ]
	vzctl --quiet resume 5701 --dumpfile "$f"
	for words in '' 'version x' 'version 1 2' 'caps 9999' 'caps 5701 0xg' 'caps 5701 0x' dump 'dump /nowhere' 'dump 5701' 'dumps 5701'; do
		# shellcheck disable=SC2086
		cptcheck $words
		status_is 1
		[ -z "$output" ] && [ -n "$stderr" ] || { echo "$words: $output, $stderr"; return 1; }
	done
}
