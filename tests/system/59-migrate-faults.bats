#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Whatever dies in a migration, wherever: exactly one node has the VPS, and nothing is lost.
# Some faults; with CROFT_FAULTS=all in the environment every one there is, which takes minutes.
# bats file_tags=node
bats_require_minimum_version 1.5.0
load ../lib/faults

setup_file() { hosts_up; }
teardown_file() { hosts_down; }
setup() { mode=(); }
teardown() { hosts_clean; }

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
	# shellcheck disable=SC2046
	faults 5913 $(these migrate:8:both migrate:12:both finish:1:kill receive:7:kill received:7:both)
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

# whole CTID: it is on node a as it was, and nothing of it on node b
whole() {
	[ "$(on a vzctl exec2 "$1" cat /marker)" = "$1" ]
	running_on a "$1"
	[[ "$(on b vzctl status "$1")" == *"deleted unmounted down"* ]]
	[ -z "$(journals a)$(journals b)" ]
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
	migrate --limit-speed 512 "$@" >"$hosts/out" 2>"$hosts/err" 3>&- &
	mover=$!
	wait_for 60 grep -q "$stage" "$hosts/out"
	for p in $(migrators); do is_receiver "$p" || kill -INT "$p"; done
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
	interrupted 'Copying files' b 5916
	interrupted 'Copying files' --mode stop-and-copy b 5916
	dd if=/dev/urandom of="$hosts/random" bs=1M count=2 2>/dev/null
	on a vzctl exec2 5916 'cat >/dev/shm/random' <"$hosts/random"
	interrupted 'Sending the memory' --mode stop-and-copy b 5916
	on a vzctl exec2 5916 pidof sleep
}
