#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# vzmigrate between two nodes on this machine: what arrives, what is refused before anything changes.
# bats file_tags=host,node
bats_require_minimum_version 1.5.0
load ../lib/hosts

setup_file() { hosts_up simfs; }
teardown_file() { hosts_down; }
teardown() { hosts_clean; }

@test "a stopped VPS moves with its files, and is gone here" {
	on a vzctl create 5411 --ostemplate busybox >/dev/null
	run --separate-stderr migrate b 5411
	status_is 0
	echo "$output"
	[ -z "$stderr" ]
	[[ "$(on b vzctl status 5411)" == *"exist unmounted down"* ]]
	[[ "$(on a vzctl status 5411)" == *"deleted unmounted down"* ]]
	on b vzctl start 5411
	[ "$(on b vzctl exec2 5411 cat /etc/hostname 2>&1)" ]
	[ -z "$(journals a)$(journals b)" ]
}
