#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# vzmigrate --mode: which way a VPS takes, and memory in rounds.
# bats file_tags=node
bats_require_minimum_version 1.5.0
load ../lib/hosts
load ../lib/criu

setup_file() {
	hosts_up && need_criu
	[ -x "$build/tests/checkpoint/dirty" ] || make -s -C "$build" checkpoint-programs
}
teardown_file() { hosts_down; }
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
		run migrate --online --dry-run b 621
		has "Mode stop-and-copy: by stop-and-copy it would stand still for about 0."
		refused 1 "--nostart goes with" --mode pre-copy --nostart b 621
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
