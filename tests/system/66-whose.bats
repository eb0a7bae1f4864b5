#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host
# Whose process is it: vzpid, vzps. And names of VPSes wherever a CTID can stand.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/criu

setup_file() {
	make_root overlay && need_criu
	for i in 6701 6702; do vzctl --quiet create $i --ostemplate busybox --name "vps$i"; done
}
teardown_file() {
	destroy_all
	remove_root
}
teardown() {
	for i in 6701 6702; do vzctl --quiet stop $i --fast; done >/dev/null 2>&1 || :
	leaves_nothing
}

vzpid() { "$build/vzpid" "$@"; }
vzps() { "$build/vzps" "$@"; }
both() { for i in 6701 6702; do vzctl --quiet start $i; done; }
init_of() { jq .init_pid "$CROFT_ROOT/run/vz/$1/state.json"; }
# process numbers in the output of a vzps whose second column they are
numbers() { awk -v id="$1" '$1 == id { print $2 }' <<<"$output" | sort -n | xargs; }

@test "vzpid tells the VPS of a process, columns apart by tabs" {
	both
	init=$(init_of 6701)
	run --separate-stderr vzpid "$init" $$ "$(init_of 6702)"
	status_is 0
	[ "${lines[0]}" = $'Pid\tCTID\tName' ]
	[ "${lines[1]}" = "$init"$'\t6701\tinit' ]
	[[ "${lines[2]}" == "$$"$'\t0\tbash' ]]
	[[ "${lines[3]}" == *$'\t6702\tinit' ]]
	[ -z "$stderr" ]
	run vzpid -p "$init"
	[ "$output" = $'Pid\tCT/Pid\tCTID\tName\n'"$init"$'\t1\t6701\tinit' ]
	# a monitor belongs to the node
	run vzpid "$(jq .mon_pid "$CROFT_ROOT/run/vz/6701/state.json")"
	[[ "${lines[1]}" == *$'\t0\tvzmon' ]]
}

@test "vzpid reads numbers from standard input, and says which are no processes" {
	both
	run --separate-stderr vzpid - <<<"$(init_of 6701)  $(init_of 6702)"$'\n\n'"$$"
	status_is 0
	[ "$(awk '{ print $2 }' <<<"$output" | xargs)" = 'CTID 6701 6702 0' ]
	run --separate-stderr vzpid $$ 4194304 x1
	status_is 1
	[ "${#lines[@]}" = 2 ]
	[ "$stderr" = $'vzpid: no process 4194304\nvzpid: x1 is no process number' ]
	for words in '' -x '-p'; do
		# shellcheck disable=SC2086 # none is a word here
		run --separate-stderr vzpid $words
		status_is 1
		[[ "$stderr" == Usage:* ]]
	done
}

@test "what the tenant calls his process or his groups deceives nobody" {
	both
	vzctl exec 6701 'mkdir -p /sys/fs/cgroup/6702/payload
		sh -c "printf \"a\\tb\" >/proc/\$\$/comm; echo \$\$ >/sys/fs/cgroup/6702/payload/cgroup.procs
			while :; do sleep 1000; done" >/dev/null 2>&1 &'
	find_it() { pid=$(grep -lxP 'a\tb' /proc/[0-9]*/comm 2>/dev/null || :) && grep -qs '/6702/payload$' "${pid%comm}cgroup"; }
	wait_for 10 find_it
	find_it
	pid=${pid//[!0-9]/}
	run vzpid "$pid"
	[ "$(awk -F'\t' 'NR == 2 { print $2, NF }' <<<"$output")" = '6701 3' ]
	run vzps -E 6702 -o pid
	[ -z "$(numbers 6702 | grep -w "$pid")" ]
}

@test "vzps shows all VPSes and the node, -E one of them, by number or name" {
	both
	vzctl exec 6702 'sleep 1000 & sleep 1000 &'
	run --separate-stderr vzps -e -o pid,comm
	status_is 0
	[ -z "$stderr" ]
	[[ "${lines[0]}" =~ ^\ *CTID\ +PID\ COMMAND$ ]]
	[ "$(numbers 6701)" = "$(cat "$(cg 6701)"/cgroup.procs "$(cg 6701)"/payload/cgroup.procs 2>/dev/null | sort -n | xargs)" ]
	[ -n "$(numbers 0)" ]
	run vzps -E vps6702 -o pid,comm
	[ "$(awk '$1 == 6702 && $3 == "sleep"' <<<"$output" | wc -l)" = 2 ]
	[ "$(awk 'NR > 1 { print $1 }' <<<"$output" | sort -u)" = 6702 ]
	run vzps -E 6701 -E6702 -o pid=
	[ "$(awk '{ print $1 }' <<<"$output" | sort -u | xargs)" = '6701 6702' ]
	run vzps -E 0 -e -o pid=,comm=
	[ "$(awk '{ print $1 }' <<<"$output" | sort -u)" = 0 ]
	run --separate-stderr vzps -E nobody
	status_is 1
	[ "$stderr" = 'vzps: nobody: no such VPS (a CTID, a name, or 0 for the node)' ]
}
# the group of a VPS in cgroup2
cg() { jq -r '.cgroups[] | select(startswith("v2=")) | ltrimstr("v2=")' "$CROFT_ROOT/run/vz/$1/state.json"; }

@test "threads of the kernel are left out unless they are asked for" {
	run vzps -e -o pid=,ppid=
	[ -n "$output" ]
	[ -z "$(awk '$2 == 2 || $3 == 2' <<<"$output")" ]
	run vzps --kernel -p 2 -o pid=,comm=
	[ "$(xargs <<<"$output")" = '0 2 kthreadd' ]
}

@test "vzps prints the ready-made formats of ps with one column more" {
	both
	init=$(init_of 6701)
	# header and row of the real ps, but for what changes between two calls
	for format in -f -F -j -jf u l j v '' ax -lf; do
		# shellcheck disable=SC2086
		want=$(ps $format -p "$init" | sed -E '1!d; s/ADDR //; s/ +/ /g; s/^ //')
		# shellcheck disable=SC2086
		run --separate-stderr vzps $format -E 6701 -p "$init"
		status_is 0
		[ -z "$stderr" ]
		[ "$(sed -E 's/ +/ /g; s/^ //' <<<"${lines[0]}")" = "CTID $want" ] || {
			echo "$format: ${lines[0]}, expected CTID $want" >&2
			return 1
		}
		grep -E '^ *6701 ' <<<"$output" | grep -w "$init" | grep -q init
	done
	run --separate-stderr vzps -y -l
	status_is 1
	[ "$stderr" = 'vzps: -y: there is no place for the CTID in this; see -o' ]
	run --separate-stderr vzps u -f
	status_is 1
	[[ "$stderr" == *'do not go together' ]]
}

@test "options of ps reach ps as they are: selection, order, headers; no shell sees them" {
	both
	a=$(init_of 6701) b=$(init_of 6702)
	run vzps -p "$a,$b" -o 'pid=$(id>x);`id`' --sort=-pid
	status_is 0
	[[ "${lines[0]}" =~ ^\ *CTID\ +'$(id>x);`id`'$ ]]
	[ "$(awk 'NR > 1 { print $2 }' <<<"$output" | xargs)" = "$(printf '%s\n' "$a" "$b" | sort -rn | xargs)" ]
	run vzps -C init -E 6701 -o pid= --no-headers
	[ "$(xargs <<<"$output")" = "6701 $a" ]
	run vzps --pid "$a" --format pid=
	[ "$(xargs <<<"$output")" = "6701 $a" ]
	run vzps "$a" o pid=
	[ "$(xargs <<<"$output")" = "6701 $a" ]
	run --separate-stderr vzps --nonsense
	status_is 1
	[ -n "$stderr" ]
	run --separate-stderr vzps -p
	status_is 1
	[ "$stderr" = 'vzps: -p: an argument is missing' ]
}

@test "a name stands for the CTID in every command of vzctl, and in vzlist" {
	# commands with a CTID, from the help itself: a new one has to get its line here
	run vzctl --help
	commands=$(sed -n 's/^vzctl \([a-z0-9-]*\) <ctid>.*/\1/p' <<<"$output" | sort | xargs)
	[ "$commands" = 'checkpoint-check chkpnt console create delete destroy enter exec exec2 exec3 failures mount restart restore resume runscript set start status stop suspend umount' ]
	[ "$(vzctl status vps6701)" = 'CTID 6701 exist unmounted down' ]
	vzctl mount vps6701
	vzctl umount vps6701
	vzctl start vps6701
	[ "$(vzctl exec vps6701 echo yes)" = yes ]
	[ "$(vzctl exec2 vps6701 echo yes)" = yes ]
	[ "$(vzctl exec3 vps6701 /bin/echo yes)" = yes ]
	vzctl enter vps6701 --exec exit </dev/null
	[ -z "$(vzctl failures vps6701)" ]
	echo 'echo from-a-script' >"$BATS_TEST_TMPDIR/script"
	[ "$(vzctl runscript vps6701 "$BATS_TEST_TMPDIR/script")" = from-a-script ]
	vzctl set vps6701 --description 'by name' --save
	vzctl restart vps6701 --fast
	vzctl checkpoint-check vps6701 --time 0
	vzctl suspend vps6701
	vzctl resume vps6701
	vzctl chkpnt vps6701
	vzctl restore vps6701
	[ "$(vzlist -H -o ctid,description vps6701 | xargs)" = '6701 by name' ]
	run vzctl console vps6701 5 # reaches the command: the number is what it does not like
	[[ "$output" == 'Invalid tty number 5'* ]]
	vzctl stop vps6701 --fast
	vzctl create 6703 --ostemplate busybox --name third
	vzctl destroy third
	vzctl create 6703 --ostemplate busybox --name third
	vzctl delete third
	# create makes a new one: a name is no number for it
	run --separate-stderr vzctl create vps6701 --ostemplate busybox
	status_is 21
	for c in $commands; do
		[ "$c" != create ] || continue
		run --separate-stderr vzctl "$c" nobody
		status_is 21
		[ "$stderr" = 'Unable to find VPS by name nobody' ]
	done
}
