#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What Debian's kernel has beside us: AppArmor with the profiles that Debian loads, and its switch against user
# namespaces of users. VPS 4901, and 4902 with systemd.
# bats file_tags=node
# templates: debian-12
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
	make_root simfs
	systemctl start apparmor
	vzctl --quiet create 4901 --ostemplate busybox
}
teardown() {
	[ ! -e "$CROFT_ROOT/profile" ] || apparmor_parser -R "$CROFT_ROOT/profile"
	rm -f "$CROFT_ROOT/profile"
	sysctl -q kernel.unprivileged_userns_clone=1
}
teardown_file() {
	destroy_all
	remove_root
}

# bats test_tags=v2
@test "AppArmor with the profiles of Debian: a VPS starts, execs and stops, and is not confined" {
	[ "$(cat /sys/module/apparmor/parameters/enabled)" = Y ]
	[ "$(aa-status --profiled)" -ge 1 ]
	vzctl --quiet start 4901
	[ "$(vzctl exec2 4901 cat /proc/1/attr/current)" = unconfined ]
	[ "$(vzctl exec2 4901 cat /proc/self/attr/current)" = unconfined ]
	run ! vzctl exec2 4901 'mount -t securityfs none /tmp' # nor does it see or load any profile
	vzctl stop 4901 --fast
}

@test "a profile of the node for a program's path confines the program that a VPS has at that path" {
	cat >"$CROFT_ROOT/profile" <<-'P'
		profile croft-bats /opt/bats/busybox {
		  /opt/bats/busybox mr,
		  /lib/** mr,
		  /etc/allowed r,
		  /proc/*/attr/current r,
		}
	P
	apparmor_parser -r "$CROFT_ROOT/profile"
	vzctl --quiet start 4901
	vzctl exec2 4901 'mkdir -p /opt/bats; cp /bin/busybox /opt/bats/; echo yes >/etc/allowed; echo no >/etc/other'
	[ "$(vzctl exec2 4901 '/opt/bats/busybox cat /proc/self/attr/current')" = "croft-bats (enforce)" ]
	[ "$(vzctl exec2 4901 '/opt/bats/busybox cat /etc/allowed')" = yes ]
	run vzctl exec2 4901 '/opt/bats/busybox cat /etc/other'
	has "Permission denied"
	[ "$(vzctl exec2 4901 'cat /etc/other')" = no ]
	vzctl stop 4901 --fast
}

@test "systemd in a VPS boots under AppArmor, and nothing failed" {
	template debian-12
	vzctl create 4902 --ostemplate debian-12 --config vswap-512m
	vzctl start 4902 --wait
	run vzctl exec2 4902 'systemctl is-system-running --wait; systemctl --no-legend --plain --failed'
	[ "$output" = running ]
	vzctl stop 4902
	vzctl destroy 4902
}

# bats test_tags=v2
@test "kernel.unprivileged_userns_clone=0: a VPS starts all the same, and has no user namespaces inside" {
	sysctl -q kernel.unprivileged_userns_clone=0
	vzctl --quiet start 4901
	[ "$(vzctl exec2 4901 'cat /proc/1/uid_map' | awk '{ print $1, $3 }')" = "0 65536" ]
	vzctl exec2 4901 'unshare -m true'
	# the kernel asks for the node's CAP_SYS_ADMIN, which not even root inside has
	run vzctl exec2 4901 'unshare -U true'
	has "not permitted"
	sysctl -q kernel.unprivileged_userns_clone=1
	vzctl exec2 4901 'unshare -U true'
	vzctl stop 4901 --fast
}
