#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Whatever dies in a migration, wherever: exactly one node has the VPS, and nothing is lost.
# Some faults; with CROFT_FAULTS=all in the environment every one there is, which takes minutes.
# bats file_tags=node
bats_require_minimum_version 1.5.0
load ../lib/faults

setup_file() { hosts_up; }
teardown_file() { hosts_down; }
setup() { mode=() order='a b'; }
teardown() {
	said
	# of a test that failed
	for d in $(migrators); do kill -9 "$d" 2>/dev/null || :; done
	for d in etc/vz/migrate etc/vz var/lib/vz; do on b sh -c '! mountpoint -q "$1" || umount -l "$1"' x "$hosts/node/$d"; done
	hosts_clean
}

# every: steps of "migrate" (4 journal, 5 prepare, 6 copy, 7 halt, 8 rest, 9 dump, 10 serve, 11 promise, 12 commit) that fail, that
# are killed, killed with the supervisor; those after the commit; the target, before and after each of CHECK PREPARE FILE
# PLACE TREE PROMISE COMMIT and FORGET
every() {
	local n
	for n in 4 5 6 7 8 9 10 11 12; do echo "migrate:$n migrate:$n:kill migrate:$n:both"; done
	for n in 1 2 3 4; do echo "finish:$n finish:$n:kill finish:$n:both"; done
	for n in 2 3 4 5 6 7 8 11; do echo "receive:$n receive:$n:kill received:$n:kill received:$n:both"; done
}

# these SAMPLE...: that, or all
these() { if [ "${CROFT_FAULTS:-}" = all ]; then every; else echo "$@"; fi; }

# bats test_tags=host
@test "offline: whoever dies, one node has it" {
	victim 5911
	# shellcheck disable=SC2046
	faults 5911 $(these migrate:8:kill migrate:12:both finish:1:both received:8:kill)
}

@test "warm: whoever dies, one node has it" {
	victim 5912 overlay
	mode=(--mode warm)
	# shellcheck disable=SC2046
	faults 5912 $(these migrate:7:both migrate:9:kill migrate:12 finish:2:kill received:7:both)
}

# bats test_tags=host
@test "online: whoever dies, one node has it" {
	victim 5913
	mode=(--online)
	order='b a' # the target looks first
	# shellcheck disable=SC2046
	faults 5913 $(these migrate:8:both migrate:12:both finish:1:kill receive:7:kill received:7:both)
}

# stopped_in FAULT CTID: a migration that stands still at FAULT; its vzmigrate is $job
stopped_in() {
	on a env VZ_FAULT="$1:stop" vzmigrate --transport-command "$transport" --timeout "$patience" "${mode[@]}" b "$2" >"$hosts/out" 2>&1 3>&- &
	job=$!
	wait_for 120 stopped
}

# runs HOST CTID: there, and there alone; the source has it frozen until it knows that it has moved
runs() { [ "$(running "$2")" = 1 ] && [[ "$(on "$1" vzctl status "$2")" == *" running"* ]] && [ ! -e "$hosts/$1/run/vz/$2/held" ]; }

# power CTID WHOSE FAULT OWNER: the power of node WHOSE is cut there; node OWNER has it then
power() {
	echo "# $2, $3" >&2
	stopped_in "$3" "$1"
	dark "$2"
	wait $job || :
	wait_for 60 no_migrators
	# one that was promised waits for the word
	if [ "$2" = "$4" ] || [ "$3" = finish:1 ]; then [ "$(running "$1")" = 0 ]; else runs "$4" "$1"; fi
	run light "$2"
	status_is 0
	# what ran runs again by itself, but where only the other knows
	if [ "$2" = "$4" ] && [ "$3" != receive:8 ]; then runs "$4" "$1"; fi
	settle "$1"
	[ "$at" = "$4" ]
	[ -z "$(find "$hosts"/[ab]/var/lib/vz/dump "$hosts"/[ab]/etc/vz -mindepth 1 -path "*/dump/*" -o -name "*.journal")" ]
	home "$1"
}

# every step of the source up to the end, both sides of what the target is told
cuts() {
	local n
	for n in 4 5 6 7 8 9 11 12; do echo "a migrate:$n a"; done
	for n in 1 2 3 4; do echo "a finish:$n b"; done
	for n in 3 5 6 7; do echo "b receive:$n a b received:$n a"; done
	echo b receive:8 b b received:8 b
}

# cut CTID WHOSE FAULT OWNER...: in turn, or all
cut() {
	local id=$1
	shift
	# shellcheck disable=SC2046
	[ "${CROFT_FAULTS:-}" != all ] || set -- $(cuts)
	while [ $# -gt 0 ]; do
		power "$id" "$1" "$2" "$3"
		shift 3
	done
}

# bats test_tags=host
@test "a node's power is cut: what ran on it runs again by itself if it is its own" {
	victim 5916
	order='b a' # the target looks first
	cut 5916 a migrate:8 a b received:8 b
}

# bats test_tags=host
@test "online, a node's power is cut: memory that was dumped goes on, and no half of it is left" {
	victim 5917
	mode=(--online)
	cut 5917 a migrate:12 a b received:7 a
}

@test "warm, a node's power is cut" {
	victim 5918 overlay
	mode=(--mode warm)
	cut 5918 a migrate:9 a a finish:1 b b receive:8 b
}

# whole CTID: it is on node a as it was, and nothing of it on node b
whole() {
	[ "$(on a vzctl exec2 "$1" cat /marker)" = "$1" ]
	running_on a "$1"
	[[ "$(on b vzctl status "$1")" == *"deleted unmounted down"* ]]
	[ -z "$(journals a)$(journals b)" ]
}

# go_on: what stands still there; its end in $status
go_on() {
	local p
	for p in $(migrators); do kill -CONT "$p" 2>/dev/null || :; done
	wait $job && status=0 || status=$?
	cat "$hosts/out" >&2
	wait_for 60 no_migrators
}

# own_disks: etc/vz and var/lib/vz of node b are two small file systems
own_disks() {
	local d
	for d in etc/vz:16 var/lib/vz:64; do
		truncate -s "${d#*:}M" "$hosts/image"
		mkfs.ext4 -q -m 0 -b 4096 "$hosts/image"
		on b sh -ec 'cp -a "$2" "$1/copy"; mount -o loop "$1/image" "$2"; cp -a "$1"/copy/. "$2"; rm -rf "$1/copy" "$1/image"' x "$hosts" "$hosts/node/${d%:*}"
	done
}

# full DIR...: of node b, to the last block, for root too; blocks of what was removed before come free a little later
full() {
	local d
	for d; do
		wait_for 20 on b sh -c 'for bs in 128k 4k 1k; do dd if=/dev/zero bs=$bs >>"$1/fill"; sync -f "$1"; done 2>/dev/null; [ "$(stat -f -c %a "$1")" = 0 ]' x "$hosts/node/$d"
	done
}

# no_room_left: nothing that was set aside on node b for a commit, and nothing that was laid out
no_room_left() { [ -z "$(on b find "$hosts/node/etc" "$hosts/node/var" "$hosts/node/run" '(' -name '*.room' -o -name '*.next' ')')" ]; }

# bats test_tags=host
@test "the target's disks are full to the last block: before the promise it stays, at the commit it moves and runs" {
	own_disks
	victim 5920
	for what in 'etc/vz --mode stop-and-copy' 'var/lib/vz' 'etc/vz var/lib/vz --mode warm'; do
		read -ra mode <<<"--${what#*--}"
		[[ "$what" == *--* ]] || mode=()
		read -ra where <<<"${what%%--*}"
		for fault in migrate:11 finish:1; do
			echo "# $what, $fault" >&2
			stopped_in $fault 5920
			full "${where[@]}"
			go_on
			for d in "${where[@]}"; do on b rm "$hosts/node/$d/fill"; done
			no_room_left
			if [ $fault = migrate:11 ]; then
				[ "$status" = 31 ]
				whole 5920
			else
				[ "$status" = 0 ]
				running_on b 5920
				[ -z "$(journals a)$(journals b)" ]
				on b vzmigrate --transport-command "$hosts/enter-a" "${mode[@]}" a 5920 >/dev/null
				whole 5920
			fi
		done
	done
}

# bats test_tags=host
@test "a target that cannot take what it was promised is asked again for a while; then one line says what to do" {
	local dir=$hosts/node/etc/vz/migrate
	victim 5919
	# the first connection never can, another does
	run --separate-stderr on a env VZ_FAULT=receive:8 vzmigrate --transport-command "$transport" --timeout 3 b 5919
	echo "$output $stderr" >&2
	status_is 0
	[[ "$stderr" == *"VPS 5919 is theirs now, but b cannot take it yet: fault on purpose at step 8 of receive: Input/output error; asking again"* ]]
	running_on b 5919
	at=b
	home 5919
	# none can
	stopped_in finish:1 5919
	on b sh -c 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"' x "$dir"
	go_on
	[ "$status" -ne 0 ]
	[ "$(tail -n 1 "$hosts/out")" = "vzmigrate: VPS 5919 belongs to b, which could not take it yet (vzmigrate --recover 5919 tells it): write the journal of VPS 5919: Read-only file system" ]
	[ "$(running 5919)" = 0 ]
	on b umount "$dir"
	settle 5919
	[ "$at" = b ]
	no_room_left
}

# init CTID: process 1 of it on node a
init() { jq .init_pid "$hosts/a/run/vz/$1/state.json"; }

# bats test_tags=host
@test "cut off while it shuts down: it does, and runs again" {
	victim 5915
	on a vzctl exec2 5915 'echo "::shutdown:/bin/sleep 2" >>/etc/inittab'
	on a vzctl restart 5915 >/dev/null
	for f in stop:2 stop:2:kill stop:2:both; do
		was=$(init 5915)
		disturbed $f 5915
		wait_for 60 no_migrators
		[ $f != stop:2:both ] || on a vzmigrate --recover 5915
		running_on a 5915
		[ "$(init 5915)" != "$was" ]
		settle 5915
	done
	# dead before it was known to have stopped, and nobody looked: an order to stop it is the last word
	disturbed stop:2:both 5915
	on a vzctl stop 5915
	on a vzmigrate --recover 5915
	[[ "$(on a vzctl status 5915)" == *" down" ]]
	[ ! -L "$hosts/a/var/lib/vz/running/5915" ]
}

@test "with --keep-dst the next try uses what was copied, and trusts none of it" {
	victim 5914
	on a vzctl exec2 5914 'echo right >/file; touch -d 2001-01-01 /file'
	run on a env VZ_FAULT=migrate:8 vzmigrate --transport-command "$transport" --keep-dst b 5914
	[ "$status" -ne 0 ]
	running_on a 5914
	kept=$hosts/b/var/lib/vz/private/5914.migrate
	inode=$(stat -c %i "$kept/bin/busybox")
	# what would pass for the same by size and time
	echo wrong >"$kept/file"
	touch -d 2001-01-01 "$kept/file"
	[ -z "$(journals a)$(journals b)" ]
	migrate b 5914
	running_on b 5914
	[ "$(on b vzctl exec2 5914 cat /file)" = right ]
	[ "$(stat -c %i "$hosts/b/var/lib/vz/private/5914/bin/busybox")" = "$inode" ]
}

# over HOW ARG...: a migration of 5421 over a link that misbehaves
over() {
	run --separate-stderr on a vzmigrate --transport-command "$top/tests/lib/bad-link.py $1 $transport" --timeout 2 "${@:2}" b 5421
}

@test "over a bad link nothing moves: damaged, doubled, cut, silent" {
	victim 5421
	over flip:out:100000
	[ "$status" -ne 0 ] && whole 5421
	over flip:in:300
	[[ "$stderr" == *"damaged"* ]] && whole 5421
	over twice:out:2000
	[ "$status" -ne 0 ] && whole 5421
	over cut:out:200000
	[ "$status" -ne 0 ] && whole 5421
	over cut:in:10
	status_is 4
	over hang:out:300000
	[[ "$stderr" == *"nothing came from the other side"* || "$stderr" == *"takes nothing"* ]] && whole 5421
}

@test "no space there: refused, or taken back when nobody looked" {
	victim 5421
	on b mount -t tmpfs -o size=1m none "$hosts/node/var/lib/vz/private"
	run --separate-stderr migrate b 5421
	status_is 31
	[[ "$stderr" == *"MiB free, the VPS needs"* ]] && whole 5421
	run --separate-stderr migrate --nodeps=space b 5421
	[ "$status" = 6 ] || [ "$status" = 31 ]
	whole 5421
	[ -z "$(on b ls -A "$hosts/node/var/lib/vz/private")" ]
	on b umount "$hosts/node/var/lib/vz/private"
}

# interrupted STAGE ARG...: Ctrl-C when that stage goes on; exit 25, one line, and the VPS is as it was
interrupted() {
	local stage=$1 status=0 p mover
	shift
	rm -f "$hosts/out" # of one before
	migrate --limit-speed 512 "$@" >"$hosts/out" 2>"$hosts/err" 3>&- &
	mover=$!
	wait_for 60 grep -q "$stage" "$hosts/out"
	for p in $(migrators); do is_receiver "$p" || kill -INT "$p" 2>/dev/null || :; done
	wait $mover || status=$?
	[ $status = 25 ] && [ "$(wc -l <"$hosts/err")" = 1 ] && grep -q Cancelling "$hosts/err" || {
		echo "at $stage: status $status; $(cat "$hosts/out" "$hosts/err")" >&2
		return 1
	}
	wait_for 20 no_migrators
	[ -z "$(journals a)$(journals b)" ]
	[[ "$(on b vzctl status "${!#}")" == *"deleted unmounted down"* ]]
	running_on a "${!#}"
}

# bats test_tags=host
@test "Ctrl-C while files or memory go: exit 25, and the VPS is as it was" {
	victim 5916
	on a vzctl exec2 5916 'sleep 7654 >/dev/null 2>&1 &'
	# enough to be at it for a while
	dd if=/dev/urandom of="$hosts/random" bs=1M count=6 2>/dev/null
	on a vzctl exec2 5916 'cat >/random' <"$hosts/random"
	interrupted 'Copying files' b 5916
	interrupted 'Copying files' --mode stop-and-copy b 5916
	on a vzctl exec2 5916 'mv /random /dev/shm/random'
	interrupted 'Sending the memory' --mode stop-and-copy b 5916
	on a vzctl exec2 5916 pidof sleep
}
