#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host
# The bench runs to its end and cleans up after itself and the peers. No time is judged here.
bats_require_minimum_version 1.5.0
load ../lib/common

groups() { find /sys/fs/cgroup -maxdepth 2 -type d \( -name 'floor-*' -o -name 'croft-bench*' -o -name 'lxc.*' \); }

trees() { find "${TMPDIR:-/var/tmp}" -maxdepth 1 -name 'croft-bench.*'; }

@test "make bench: a table of Croft and its floor, and nothing left on the machine" {
	out=$BATS_TEST_TMPDIR/results
	make -s -C "$build" bench/floor >/dev/null
	before=$(groups)
	trees=$(trees)
	run "$top/bench/run" --build "$build" --out "$out" --rounds 1 --vpses 3 --configs 20 --templates busybox
	status_is 0
	has 'croft simfs'
	has 'floor'
	has 'start (croft simfs) / floor <= 2 x'
	has 'PSS a VPS, 3 running <= 200 KiB'
	[ "$output" = "$(cat "$out/results.txt")" ] || has 'gnuplot is not installed'
	[ "$(jq -r '.values.exec["croft overlay"] | length' "$out/results.json")" = 2 ]
	grep -q '^create,busybox,' "$out/results.csv"
	[ "$(groups)" = "$before" ]
	[ "$(trees)" = "$trees" ]
	run ! grep -F /croft-bench. /proc/self/mountinfo
}

@test "make bench-fairness: shares of unequal VPSes, and nothing left on the machine" {
	out=$BATS_TEST_TMPDIR/results
	before=$(groups)
	trees=$(trees)
	run "$top/bench/fairness" --build "$build" --out "$out" --seconds 1 --sample 0.5 --hogs 20 --only '1:3, one;20 hogs against 1, one'
	status_is 0
	has '1:3, one core: '
	has '20 hogs against 1, one core: '
	[[ "$(cat "$out/fairness.txt")" == "${output%$'\n'no picture*}" ]]
	[ "$(jq -r '.parts[0].rows | map(.ideal_cpus) | join(" ")' "$out/fairness.json")" = '0.25 0.75' ]
	[ "$(jq -r '.parts[1].rows | map(.ideal_cpus) | join(" ")' "$out/fairness.json")" = '0.5 0.5' ]
	grep -q '^"1:3, one core","3000 units, 1 hog",' "$out/fairness.csv"
	[ "$(groups)" = "$before" ]
	[ "$(trees)" = "$trees" ]
	run ! grep -F /croft-bench. /proc/self/mountinfo
	run "$top/bench/fairness" --build "$build" --only nosuch
	status_is 1
	has "no part begins with 'nosuch'"
}
