#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host
# The package: built from the source as it is, put into a copy of this machine (an overlay of its root, so that nothing
# is downloaded and the machine stays as it is), used, upgraded, removed, purged.
bats_require_minimum_version 1.5.0

top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

setup_file() {
	export work
	work=$(mktemp -d /var/tmp/croft-deb.XXXXXX)
	mkdir -p "$work/upper" "$work/work" "$work/root" "$work/vz"
	export deb
	deb=$("$top/tests/lib/make-deb" "$work")
	# the next version, without building everything again
	dpkg-deb -R "$deb" "$work/next"
	sed -i 's/^Version: .*/Version: 99.0/' "$work/next/DEBIAN/control"
	dpkg-deb -b --root-owner-group "$work/next" "$work/next.deb" >/dev/null
	make_copy
}

# A mount namespace whose root is the copy, held by a process. Not a chroot: in one the kernel makes no user namespace.
# /run is its own; no maintainer script reaches a service of this machine.
make_copy() {
	# shellcheck disable=SC2016
	unshare -m --propagation private sh -euc '
		cd "$1"
		mount -t tmpfs tmpfs upper # an overlay cannot lie on what may itself be one
		mkdir upper/u upper/w
		mount -t overlay -o lowerdir=/,upperdir=upper/u,workdir=upper/w overlay root
		for d in proc sys dev; do mount --rbind "/$d" "root/$d"; done
		mount -t tmpfs tmpfs root/run
		mkdir -p root/var/lib/vz root/pkg
		mount --bind vz root/var/lib/vz
		mount --bind "$1" root/pkg
		printf "#!/bin/sh\nexit 101\n" >root/usr/sbin/policy-rc.d
		chmod 755 root/usr/sbin/policy-rc.d
		rm -f root/var/lib/man-db/auto-update # nobody here reads its index
		cd root
		pivot_root . .
		umount -l .
		cd /
		touch /pkg/ready
		exec sleep infinity' sh "$work" >"$work/copy.log" 2>&1 3>&- &
	export holder=$!
	for _ in $(seq 100); do
		[ ! -e "$work/ready" ] || return 0
		sleep 0.1
	done
	cat "$work/copy.log" >&2
	return 1
}

teardown_file() {
	in_root 'vzctl --quiet stop 6801 --fast' >/dev/null 2>&1 || :
	kill "$holder"
	rmdir /sys/fs/cgroup/*/vz/mon /sys/fs/cgroup/*/vz /sys/fs/cgroup/vz/mon /sys/fs/cgroup/vz 2>/dev/null || :
	rm -rf --one-file-system "$work"
}

# in_root COMMAND: in the copy, with no input
in_root() {
	nsenter -t "$holder" -m /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive sh -c "$1" </dev/null 3>&-
}
# files of ours in the copy
ours() { in_root "ls -d /usr/sbin/vz* /usr/libexec/croft /usr/share/croft /etc/vz /etc/init.d/vz /lib/systemd/system/vz* /etc/logrotate.d/croft \
	/usr/share/man/man8/vz* /usr/share/bash-completion/completions/vz* /var/lib/dpkg/info/croft.* 2>/dev/null | grep -v /dev/ | xargs" || :; }
status_is() { [ "$status" -eq "$1" ] || { echo "status $status, expected $1; output: $output" >&2; return 1; }; }

@test "the package is built, and lintian finds no error" {
	run lintian --fail-on error "$deb" "${deb%_*.deb}"_*.changes
	status_is 0
	[ "$(dpkg-deb -f "$deb" Package)" = croft ]
	# what the administrator changes is kept by dpkg
	[ "$(dpkg-deb --ctrl-tarfile "$deb" | tar -xO ./conffiles | sort | xargs)" = "/etc/init.d/vz /etc/logrotate.d/croft $(
		cd "$top/etc" && ls conf/*.conf-sample | sed 's|^|/etc/vz/|' | sort | xargs) /etc/vz/vz.conf" ]
	# the same files in the same places as by ./setup install
	run dpkg-deb -c "$deb"
	for f in ./usr/sbin/vzctl ./usr/sbin/vzcriu ./usr/share/man/man8/vzcriu.8.gz ./usr/share/doc/croft/README.Debian \
		./usr/share/croft/templates/mirror.sh ./usr/libexec/croft/vzmon ./usr/libexec/croft/vz-node ./usr/share/croft/templates/busybox; do
		[[ "$output" == *" $f"* ]]
	done
}

@test "installed: a VPS is created, started, entered and stopped with it" {
	in_root 'dpkg -i /pkg/croft_*.deb' >&2
	run in_root 'vztmpl build busybox && vzctl create 6801 --ostemplate busybox --hostname deb && vzctl start 6801 && vzctl exec 6801 hostname'
	status_is 0
	[[ "$output" == *$'\ndeb' ]]
	run in_root '/etc/init.d/vz status'
	status_is 3
	[ "$output" = 'OpenVZ is stopped.' ]
}

@test "without a CRIU suspend says how to get one; with what vzcriu fetches it works, and an upgrade keeps that" {
	in_root 'command -v criu' || {
		run in_root 'vzctl suspend 6801'
		status_is 16
		[[ "$output" == *'CRIU is not installed (get 4.1 or later: vzcriu get)'* ]]
	}
	# as vzcriu leaves it: 74-vzcriu.bats
	run in_root "vzcriu remove; cp -a ${CROFT_TEMPLATE_CACHE:-/var/cache/croft-tests}/criu /usr/libexec/croft/criu && vzcptcheck criu"
	status_is 0
	[[ "$output" == *', /usr/libexec/croft/criu/criu' ]]
	run in_root 'vzctl --quiet suspend 6801 && vzctl --quiet resume 6801 && vzctl --quiet exec2 6801 hostname'
	status_is 0
	[ "$output" = deb ]
	in_root 'dpkg -i /pkg/next.deb && dpkg -i /pkg/croft_*.deb && vzcptcheck criu' >&2
}

@test "an upgrade leaves the running VPS and the changed configuration alone" {
	init=$(in_root 'jq .init_pid /run/vz/6801/state.json')
	in_root 'sed -i s/^VERBOSE=.*/VERBOSE=1/ /etc/vz/vz.conf; rm /etc/vz/conf/ve-light.conf-sample'
	in_root 'dpkg -i /pkg/next.deb' >&2
	[ "$(in_root 'dpkg-query -W -f "\${Version}" croft')" = 99.0 ]
	[ "$(in_root 'vzctl --quiet exec2 6801 echo alive')" = alive ]
	[ "$(in_root 'jq .init_pid /run/vz/6801/state.json')" = "$init" ]
	in_root 'grep -qx VERBOSE=1 /etc/vz/vz.conf && [ ! -e /etc/vz/conf/ve-light.conf-sample ]'
	# and back
	in_root 'dpkg -i /pkg/croft_*.deb' >&2
	[ "$(in_root 'jq .init_pid /run/vz/6801/state.json')" = "$init" ]
}

@test "a removal is refused while VPSes run, and says which" {
	run in_root 'dpkg -r croft'
	[ "$status" -ne 0 ]
	[[ "$output" == *'VPSes are running: 6801'* ]]
	[ "$(in_root 'vzctl --quiet exec2 6801 echo alive')" = alive ]
	in_root '/etc/init.d/vz stop'
}

@test "removed: no program is left; VPSes and configurations are" {
	in_root 'dpkg -r croft' >&2
	left=$(ours)
	[ "$left" = '/etc/init.d/vz /etc/logrotate.d/croft /etc/vz /var/lib/dpkg/info/croft.list /var/lib/dpkg/info/croft.postrm' ] || { echo "left: $left" >&2; return 1; }
	in_root '[ ! -e /run/vz ] && [ ! -e /usr/libexec/croft ]'
	in_root 'grep -q deb /etc/vz/conf/6801.conf && [ -d /var/lib/vz/private/6801 ]'
	# it comes back with everything
	in_root 'dpkg -i /pkg/croft_*.deb' >&2
	in_root 'vzctl --quiet start 6801 && vzctl --quiet exec2 6801 hostname' >&2
	in_root 'vzctl --quiet stop 6801 --fast && dpkg -r croft' >&2
}

@test "purged: nothing is left but the customers' data" {
	in_root 'dpkg -P croft' >&2
	[ "$(ours)" = /etc/vz ]
	in_root 'cd /etc/vz && find . -type f' | sort >"$BATS_TEST_TMPDIR/left"
	[ "$(cat "$BATS_TEST_TMPDIR/left")" = ./conf/6801.conf ]
	[ -z "$(in_root 'ls /var/log/vzctl.log* 2>/dev/null; find /etc -name "*vz*" -path "*rc?.d*"')" ]
	in_root '[ -d /var/lib/vz/private/6801 ] && [ ! -e /var/lib/vz/running ]'
}
