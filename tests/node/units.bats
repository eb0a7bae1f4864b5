#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=nodes
# ADR 23 on a node with systemd: what may happen around a VPS without its init noticing, and what a boot and a shutdown
# do. Driven from outside, since the node is rebooted. CROFT_NODE_IMAGE and CROFT_NODE_CGROUP choose the node; CROFT_DEB
# names a package whose upgrade is tried (tests/lib/make-deb makes one), otherwise one is made.
bats_require_minimum_version 1.5.0

setup_file() {
	export build=${CROFT_BUILD:?set CROFT_BUILD to the build directory}
	export node=$BATS_TEST_DIRNAME/node
	export n=units$$ image=${CROFT_NODE_IMAGE:-debian-12}
	"$node" up "$n" --image "$image" --cgroup "${CROFT_NODE_CGROUP:-v2}" 3>&-
	"$node" install "$n" "$build" 3>&-
	package
	# the groups of the VPSes: of cgroup2, and of the pids controller, which v1 has in the group vz at its top
	export cg2=/sys/fs/cgroup/vz-payload.service pids=/sys/fs/cgroup/vz-payload.service
	[ "${CROFT_NODE_CGROUP:-v2}" = v2 ] || { cg2=/sys/fs/cgroup/unified/vz-payload.service pids=/sys/fs/cgroup/pids/vz; }
	on systemctl daemon-reload
	on systemctl enable --now vz-payload vz
	on sh -c 'cp /var/cache/croft-tests/busybox-*.tar.zst /var/lib/vz/template/cache/busybox.tar.zst || vztmpl build busybox'
	# the order of starts, by the clock of the node
	on sh -c 'printf "#!/bin/sh\necho \$VEID >>/root/order\n" >/etc/vz/conf/vps.premount; chmod 755 /etc/vz/conf/vps.premount'
	on sed -i 's/^VE_PARALLEL=.*/VE_PARALLEL=1/' /etc/vz/vz.conf
	for i in 101 102 103; do on vzctl create $i --ostemplate busybox --bootorder "$i"; done
}
teardown_file() {
	"$node" down "$n"
	rm -rf "$work"
}

# The package, with the programs of the image's release, and a version that is newer than any.
package() {
	export work
	work=$(mktemp -d /var/tmp/croft-units.XXXXXX)
	mkdir "$work/deb"
	dpkg-deb -R "${CROFT_DEB:-$("$BATS_TEST_DIRNAME/../lib/make-deb" "$work/deb")}" "$work/tree"
	(cd "$work/tree" && find usr -type f) | while read -r f; do
		[ ! -e "$build/$image/dest/$f" ] || cp "$build/$image/dest/$f" "$work/tree/$f"
	done
	sed -i 's/^Version: .*/Version: 99.0/' "$work/tree/DEBIAN/control"
	dpkg-deb -b --root-owner-group "$work/tree" "$work/croft.deb" >/dev/null
}

on() { "$node" run --timeout 1200 "$n" -- "$@" </dev/null; }
init_of() { on vzctl exec "$1" true >/dev/null && on jq -r '"\(.init_pid) \(.init_start)"' "/run/vz/$1/state.json"; }
status_is() { [ "$status" -eq "$1" ] || { echo "status $status: $output" >&2; return 1; }; }
wait_for() {
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $until ] || return 1; sleep 0.5; done
}

@test "the groups of VPSes and monitors are in vz-payload.service" {
	on vzctl start 101
	on vzctl start 102
	[ "$(on cat /run/vz/payload)" = /vz-payload.service ]
	init=$(init_of 101)
	[[ "$(on grep ^0:: "/proc/${init% *}/cgroup")/" == 0::/vz-payload.service/101/payload/* ]]
	[ "$(on cat "$cg2/mon/cgroup.procs" | wc -l)" = 2 ]
	# and that is how processes are told apart
	[ "$(on vzpid "${init% *}" 1 | awk 'NR > 1 { print $2 }' | xargs)" = '101 0' ]
	[ "$(on vzps -E 102 -o comm= | awk '{ print $1, $2 }' | head -n 1)" = '102 init' ]
	# limits work there
	on vzctl set 101 --ram 64M --numproc 50
	[ "$(on cat "$pids/101/pids.max")" = 50 ]
}

@test "init stays over daemon-reload and daemon-reexec" {
	init=$(init_of 101)
	on systemctl daemon-reload
	[ "$(init_of 101)" = "$init" ]
	on systemctl daemon-reexec
	[ "$(init_of 101)" = "$init" ]
	on vzctl set 101 --numproc 60
	[ "$(on cat "$pids/101/pids.max")" = 60 ]
}

@test "systemd is told the share of the CPU that all VPSes have, and keeps it over daemon-reload" {
	share() { [ "$(on sh -c 'cat /sys/fs/cgroup/vz-payload.service/cpu.weight; systemctl show -P CPUWeight vz-payload.service' | xargs)" = "$1 $1" ]; }
	on vzctl start 101 || :
	on vzctl start 102 || :
	wait_for 300 share 200
	on vzctl set 102 --cpuunits 3000
	wait_for 300 share 400
	on systemctl daemon-reload
	share 400
	on vzctl set 102 --cpuunits 1000
	wait_for 300 share 200
}

@test "init stays over restart and stop of vz, and vz-payload cannot be stopped by hand" {
	init=$(init_of 101)
	on systemctl restart vz
	[ "$(init_of 101)" = "$init" ]
	on systemctl stop vz
	[ "$(init_of 101)" = "$init" ]
	run on systemctl stop vz-payload
	[ "$status" -ne 0 ]
	run on systemctl restart vz-payload
	[ "$status" -ne 0 ]
	[ "$(init_of 101)" = "$init" ]
	on systemctl start vz
}

@test "init stays when the session ends that ran vzctl start" {
	# a session is a scope; its end, with KillUserProcesses, is the end of all processes in it
	on systemd-run --quiet --scope --unit=session-99 sh -c 'setsid sleep 1234 >/dev/null 2>&1 & vzctl start 103'
	on pgrep -f 'sleep 1234'
	on systemctl stop session-99.scope
	wait_for 300 on sh -c '! pgrep -f "[s]leep 1234"' # the proof that it kills
	init=$(init_of 103)
	[ -n "$init" ]
	[[ "$(on grep ^0:: "/proc/$(on jq .mon_pid /run/vz/103/state.json)/cgroup")" == 0::/vz-payload.service/mon ]]
	on vzctl stop 103
}

@test "init stays over the upgrade of the package" {
	init=$(init_of 101)
	"$node" copy "$n" "$work/croft.deb" /root
	on dpkg --force-depends --force-confold -i /root/croft.deb
	[ "$(init_of 101)" = "$init" ]
	on dpkg --force-depends --force-confold -i /root/croft.deb
	[ "$(init_of 101)" = "$init" ]
	[ "$(on systemctl is-active vz-payload vz | xargs)" = 'active active' ]
}

@test "a reboot stops VPSes in order and starts those with ONBOOT=yes by BOOTORDER" {
	on vzctl start 103
	on vzctl set 101 --onboot yes --save
	on vzctl set 103 --onboot yes --save
	on sh -c 'rm -f /root/order; : >/var/log/vzctl.log'
	"$node" reboot "$n" 3>&-
	wait_for 600 on sh -c '[ "$(systemctl is-active vz)" = active ]'
	[ "$(on vzlist -H -o ctid | xargs)" = '101 103' ] # 102 ran too, and was stopped in good order
	[ "$(on cat /root/order | xargs)" = '103 101' ]
	# the reverse of the order of starts
	[ "$(on sed -n 's/.*vz-node : .*VPS \([0-9]*\): stopped/\1/p' /var/log/vzctl.log | xargs)" = '101 102 103' ]
}

@test "after a power cut what ran runs again, but not with ONBOOT=no" {
	on vzctl set 103 --onboot no --save
	on vzctl start 102
	on sync
	was=$(on cat /proc/sys/kernel/random/boot_id)
	run on sh -c 'echo b >/proc/sysrq-trigger'
	again() { now=$(on cat /proc/sys/kernel/random/boot_id) && [ -n "$now" ] && [ "$now" != "$was" ]; }
	wait_for 900 again
	wait_for 600 on sh -c '[ "$(systemctl is-active vz)" = active ]'
	[ "$(on vzlist -H -o ctid | xargs)" = '101 102' ]
}
