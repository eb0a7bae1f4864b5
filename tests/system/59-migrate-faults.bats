#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Whatever dies in a migration, wherever: exactly one node has the VPS, and nothing is lost.
# bats file_tags=node
bats_require_minimum_version 1.5.0
load ../lib/faults

setup_file() { hosts_up; }
teardown_file() { hosts_down; }
setup() { mode=(); }
teardown() { hosts_clean; }

# steps of "migrate" that fail, that are killed, killed with the supervisor; then those after the commit
source_faults() {
	local n
	for n in 4 5 6 7 8 9 10; do echo "migrate:$n migrate:$n:kill migrate:$n:both"; done
	for n in 1 2 3 4; do echo "finish:$n finish:$n:kill finish:$n:both"; done
}

# verbs at the target: before and after each of CHECK PREPARE FILE PLACE TREE PROMISE COMMIT, FORGET
target_faults() {
	local n
	for n in 2 3 4 5 6 7 8 11; do echo "receive:$n receive:$n:kill received:$n:kill"; done
}

@test "offline: every step of the source fails, dies, dies with its supervisor" {
	victim 5911
	# shellcheck disable=SC2046
	faults 5911 $(source_faults)
}

@test "offline: the target dies before and after every verb" {
	victim 5912
	# shellcheck disable=SC2046
	faults 5912 $(target_faults)
}
