#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host,node
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { make_root; }
teardown_file() { remove_root; }
teardown() { destroy_all; }

@test "create prints the two seed lines and nothing on stderr" {
	run --separate-stderr vzctl create 142 --ostemplate busybox
	status_is 0
	[ "$output" = $'Creating VPS private area\nVPS private area was created' ]
	[ -z "$stderr" ]
	[ -f "$(conf 142)" ]
	[ -d "$(vzdir)/private/142/bin" ]
}

# bats test_tags=lean
@test "start begins with the two seed lines; status, stop and destroy as documented" {
	vzctl create 142 --ostemplate busybox
	run --separate-stderr vzctl start 142
	status_is 0
	[ "${lines[0]}" = "Starting VPS ..." ]
	[ "${lines[1]}" = "VPS is mounted" ]
	[ -z "$stderr" ]
	run vzctl status 142
	[ "$output" = "CTID 142 exist mounted running" ]
	run vzctl start 142
	status_is 32
	run vzctl destroy 142
	status_is 32
	run --separate-stderr vzctl stop 142
	status_is 0
	[ -z "$stderr" ]
	[[ "$output" == "Stopping VPS ..."*"Container was stopped"*"VPS is unmounted" ]]
	[[ "$output" != *Killing* ]]
	run vzctl status 142
	[ "$output" = "CTID 142 exist unmounted down" ]
	run --separate-stderr vzctl destroy 142
	status_is 0
	[ -z "$stderr" ]
	run vzctl status 142
	[ "$output" = "CTID 142 deleted unmounted down" ]
	[ -f "$(conf 142).destroyed" ]
}

# bats test_tags=lean
@test "overlay: the template is shared, changes stay in the private area" {
	vzctl create 142 --ostemplate busybox --layout overlay
	vzctl create 143 --ostemplate busybox --layout overlay
	grep -q '^OSTEMPLATE_HASH="[0-9a-f]\{64\}"' "$(conf 142)"
	vzctl start 142
	vzctl start 143
	vzctl exec2 142 'echo mine > /etc/only-142'
	run vzctl exec2 143 'cat /etc/only-142'
	status_is 1
	[ -f "$(vzdir)/private/142/upper/etc/only-142" ]
	[ "$(stat -c %u "$(vzdir)/private/142/upper/etc/only-142")" = 0 ]
	vzctl stop 142 --fast
	vzctl start 142
	run vzctl exec2 142 cat /etc/only-142
	[ "$output" = mine ]
}

@test "overlay: stop and start at once, although another mount namespace still holds the old mount" {
	vzctl create 142 --ostemplate busybox --layout overlay
	vzctl start 142
	unshare --mount --propagation private sleep 1.5 3>&- &
	holds() { grep -qF "$CROFT_ROOT/var/lib/vz/root/142" "/proc/$!/mountinfo"; }
	wait_for 5 holds
	vzctl stop 142 --fast
	vzctl start 142
	[ "$(vzctl status 142)" = "CTID 142 exist mounted running" ]
	wait "$!"
}

@test "mount, umount, and a start that uses the mount" {
	vzctl create 142 --ostemplate busybox
	run vzctl mount 142
	status_is 0
	[ "$output" = "VPS is mounted" ]
	run vzctl status 142
	[ "$output" = "CTID 142 exist mounted down" ]
	run vzctl destroy 142
	status_is 41
	vzctl start 142
	run vzctl umount 142
	status_is 32
	vzctl stop 142 --fast --skip-umount
	run vzctl status 142
	[ "$output" = "CTID 142 exist mounted down" ]
	vzctl umount 142
	run vzctl umount 142
	status_is 40
}

@test "restart keeps the files and gives a new init" {
	vzctl create 142 --ostemplate busybox
	vzctl start 142
	vzctl exec2 142 'echo 1 > /root/file'
	before=$(jq .init_pid "$CROFT_ROOT/run/vz/142/state.json")
	run vzctl restart 142 --fast
	status_is 0
	[ "${lines[0]}" = "Restarting VPS" ]
	[ "$(jq .init_pid "$CROFT_ROOT/run/vz/142/state.json")" != "$before" ]
	run vzctl exec2 142 cat /root/file
	[ "$output" = 1 ]
}

is_down() { [ "$(vzctl status 142)" = "CTID 142 exist unmounted down" ]; }
rebooted() { [ "$(jq .init_pid "$CROFT_ROOT/run/vz/142/state.json")" != "$1" ] && [[ "$(vzctl status 142)" == *running ]]; }

# bats test_tags=lean
@test "halt from inside cleans up, reboot from inside starts again" {
	vzctl create 142 --ostemplate busybox
	vzctl start 142
	vzctl exec 142 'poweroff -f' || :
	wait_for 20 is_down
	vzctl start 142
	before=$(jq .init_pid "$CROFT_ROOT/run/vz/142/state.json")
	vzctl exec 142 'reboot -f' || :
	wait_for 20 rebooted "$before"
}

@test "a stopped VPS: stop says so with code 0, exec and enter give 31" {
	vzctl create 142 --ostemplate busybox
	run vzctl stop 142
	status_is 0
	has "is not running"
	run vzctl exec 142 true
	status_is 31
	run vzctl enter 142
	status_is 31
	run vzctl console 142
	status_is 31
}

@test "create refuses: existing private area 44, missing template 91, existing config with --config 82" {
	run vzctl create 142 --ostemplate nosuch
	status_is 91
	[ ! -e "$(conf 142)" ]
	vzctl create 142 --ostemplate busybox
	run vzctl create 142 --ostemplate busybox
	status_is 44
	run vzctl create 143 --ostemplate busybox --config nosuch
	status_is 82
	[ ! -e "$(vzdir)/private/143" ]
}

@test "disabled: 105, and --force overrides" {
	vzctl create 142 --ostemplate busybox
	vzctl set 142 --disabled yes --save
	run vzctl start 142
	status_is 105
	vzctl start 142 --force
}

@test "a root without init gives 47 and leaves nothing mounted" {
	vzctl create 142 --ostemplate busybox
	rm "$(vzdir)/private/142/sbin/init"
	run vzctl start 142
	status_is 47
	run vzctl status 142
	[ "$output" = "CTID 142 exist unmounted down" ]
}

@test "the lock: a held one gives 9, --skiplock goes on, a dead holder's is taken over" {
	vzctl create 142 --ostemplate busybox
	mkdir -p "$CROFT_ROOT/run/lock/vz"
	printf '%s\nlocked\n' "$$" >"$CROFT_ROOT/run/lock/vz/142.lck"
	run vzctl start 142
	status_is 9
	vzctl --skiplock mount 142
	printf '4194300\nlocked\n' >"$CROFT_ROOT/run/lock/vz/142.lck"
	vzctl umount 142
}
