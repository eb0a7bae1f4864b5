#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# vzmigrate with memory that is fetched after the move, between two nodes on one machine.
bats_require_minimum_version 1.5.0
load ../lib/faults
load ../lib/criu

setup_file() {
	hosts_up && need_criu
	[ -x "$build/tests/checkpoint/dirty" ] || make -s -C "$build" checkpoint-programs
}
teardown_file() { hosts_down; }
teardown() {
	on a umount "$hosts/node/var/lib/vz/dump" 2>/dev/null || : # of a test that failed
	hosts_clean
}

# writer CTID MIB [OPTION...]: a VPS that runs on node a, in which a program writes MIB of memory all the time and checks
# each word before it writes it anew
writer() {
	on a vzctl create "$1" --ostemplate busybox --layout simfs >/dev/null
	[ $# -lt 3 ] || on a vzctl set "$1" "${@:3}" --save >/dev/null
	cp "$build/tests/checkpoint/dirty" "$hosts/a/var/lib/vz/private/$1/dirty"
	on a vzctl start "$1" >/dev/null
	on a vzctl exec2 "$1" "echo $1 >/marker; setsid /dirty $2 200 >/said 2>&1 </dev/null & echo \$! >/writer"
	wait_for 60 on a vzctl exec2 "$1" grep -q ready /said
}

# good HOST CTID: the program still writes there, and every word was right up to its end
good() {
	on "$1" vzctl exec2 "$2" 'kill $(cat /writer)'
	wait_for 120 on "$1" vzctl exec2 "$2" "grep -qE '^(good|word)' /said"
	on "$1" vzctl exec2 "$2" grep good /said
}

# nothing left of CRIU and its helpers
no_criu() { ! pgrep -f "criu (lazy-pages|dump|restore) -D $hosts" >/dev/null; }

# server_of_pages: its process, not the one that keeps its descriptors
server_of_pages() {
	local p
	for p in $(pgrep -f "criu lazy-pages -D $hosts"); do
		[ "$(cat "/proc/$p/comm")" = criu-keeper ] || echo "$p"
	done
}

# bats test_tags=host,node
@test "post-copy: a writer's memory comes after it, word by word; a connection lives" {
	local client
	writer 6301 48 --ipadd '10.99.54.61 fd54::61'
	on a vzctl exec2 6301 'nc -ll -p 7000 -e cat >/dev/null 2>&1 </dev/null &'
	python3 "$top/tests/lib/echo-client.py" 10.99.54.61 7000 br54 10.99.54.61 fd54::61 "$hosts/stop" >"$hosts/client" 2>&1 3>&- &
	client=$!
	wait_for 30 grep -q connected "$hosts/client"
	run --separate-stderr migrate --mode post-copy -t b 6301
	echo "$output $stderr" >&2
	status_is 0
	has "Sending the rest of the memory"
	has "Frozen time"
	has "a link that is cut"
	! grep -v "server of the view" <<<"$stderr" | grep .
	touch "$hosts/stop"
	wait $client || { cat "$hosts/client" >&2; false; }
	grep -qE '^echoed [0-9]+ lost 0 ' "$hosts/client"
	running_on b 6301
	[ "$(cat "$hosts/b/run/vz/6301/pages")" = whole ]
	good b 6301
	[ -z "$(journals a)$(journals b)" ]
	wait_for 10 no_criu
	# what came over the stream is in no file
	[ -z "$(find "$hosts"/[ab]/var/lib/vz/dump -mindepth 1)" ]
}

# the kernel must track what is written to memory
# bats test_tags=node
@test "hybrid: rounds first, the rest of the memory comes after it" {
	writer 6305 48
	run --separate-stderr migrate --mode hybrid -t b 6305
	echo "$output $stderr" >&2
	status_is 0
	has "Sending the rest of the memory"
	running_on b 6305
	[ "$(cat "$hosts/b/run/vz/6305/pages")" = whole ]
	good b 6305
	[ -z "$(journals a)$(journals b)" ]
	wait_for 10 no_criu
	[ -z "$(find "$hosts"/[ab]/var/lib/vz/dump -mindepth 1)" ]
}

# bats test_tags=host,node
@test "post-copy: taken back before the commit, the source is as it was" {
	writer 6302 24 --ipadd 10.99.54.62
	for fault in receive:7 received:7; do
		run --separate-stderr on a env VZ_FAULT=$fault vzmigrate --transport-command "$transport" --mode post-copy b 6302
		echo "$fault: $output $stderr" >&2
		[ "$status" -ne 0 ]
		running_on a 6302
		[ ! -e "$hosts/a/run/vz/6302/held" ]
		busybox ping -c 1 -w 10 10.99.54.62 >/dev/null
		[ -z "$(journals a)$(journals b)" ]
		[[ "$(on b vzctl status 6302)" == *"deleted unmounted down"* ]]
		wait_for 10 no_criu
	done
	good a 6302
}

# packed_in FAULT CTID: a migration that stands still at FAULT, before its dump is packed, which zstd is to compress; $job
packed_in() {
	on a env VZ_FAULT="$1:stop" vzmigrate --transport-command "$transport" --mode post-copy --compress b "$2" >"$hosts/out" 2>&1 3>&- &
	job=$!
	wait_for 60 stopped
}

# goes_on: what stands still there; its end in $status
go_on() {
	local p
	for p in $(migrators); do kill -CONT "$p" 2>/dev/null || :; done
	wait $job && status=0 || status=$?
	cat "$hosts/out" >&2
	wait_for 30 no_migrators
}

# here CTID: it runs on as it did, and nothing is left
here() {
	running_on a "$1"
	[ ! -e "$hosts/a/run/vz/$1/held" ]
	[ -z "$(journals a)$(journals b)" ]
	[ -z "$(find "$hosts"/[ab]/var/lib/vz/dump -mindepth 1 ! -name filler)" ]
	wait_for 10 no_criu
}

# bats test_tags=host,node
@test "post-copy: the disk is full when the dump is packed, or zstd is killed: said in one line, the VPS goes on" {
	local dir=$hosts/node/var/lib/vz/dump
	writer 6307 8
	on a sh -c "mkdir -p $dir; mount -t tmpfs -o size=64m none $dir"
	packed_in suspend-dump:2 6307
	on a sh -c "cat /dev/zero >$dir/filler 2>/dev/null; [ -s $dir/filler ]"
	go_on
	[ $status = 8 ]
	grep -q "write $dir/Dump.6307: No space left on device" "$hosts/out"
	on a rm $dir/filler
	here 6307
	printf '#!/bin/sh\nkill -9 $$\n' >"$hosts/killed"
	chmod 755 "$hosts/killed"
	packed_in suspend-dump:2 6307
	on a mount --bind "$hosts/killed" /usr/bin/zstd
	go_on
	on a umount /usr/bin/zstd
	[ $status = 8 ]
	grep -q "write $dir/Dump.6307: Input/output error" "$hosts/out"
	here 6307
	on a umount $dir
	good a 6307
}

# under_way CTID: it runs on node b, and most of its memory is still to come; in the background, output in $hosts/out
under_way() {
	rm -f "$hosts/out" # of one before
	migrate --mode post-copy --limit-speed "$slow" --timeout 20 b "$1" >"$hosts/out" 2>&1 3>&- &
	mover=$!
	wait_for 120 grep -q 'Sending the rest' "$hosts/out" || { cat "$hosts/out" >&2; return 1; }
	[ "$(cat "$hosts/b/run/vz/$1/pages")" = coming ]
}

# bats test_tags=host,node
@test "post-copy: the server of pages is killed: so is the VPS, which starts anew there" {
	local status=0
	writer 6303 24
	under_way 6303
	kill -9 "$(server_of_pages)"
	wait $mover || status=$?
	cat "$hosts/out" >&2
	[ $status = 7 ]
	grep -q 'not all of its memory came there' "$hosts/out"
	wait_for 60 running_on b 6303
	[ "$(on b vzctl exec2 6303 cat /marker)" = 6303 ]
	! on b vzctl exec2 6303 'kill -0 $(cat /writer)' 2>/dev/null
	[ -z "$(journals a)$(journals b)" ]
	[[ "$(on a vzctl status 6303)" == *"deleted unmounted down"* ]]
	wait_for 10 no_criu
}

# bats test_tags=host,node
@test "post-copy: the source's processes are killed after the commit: one side has the VPS, nothing is left" {
	local p pids=''
	writer 6304 24
	under_way 6304
	for p in $(migrators); do is_receiver "$p" || pids+=" $p"; done
	# shellcheck disable=SC2086
	kill -9 $pids
	wait $mover || :
	settle 6304
	[ "$at" = b ]
	wait_for 10 no_criu
}

# bats test_tags=host,node
@test "post-copy: killed between the commit and the word of it: the memory is lost, the VPS is there" {
	writer 6306 24
	mode=(--mode post-copy)
	disturbed finish:1:kill 6306
	settle 6306
	[ "$at" = b ]
	[ ! -e "$hosts/b/run/vz/6306/held" ]
	wait_for 10 no_criu
}
