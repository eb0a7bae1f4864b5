#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=nodes
# Beancounters where the kernel is against it, on bare kernels (tests/node/bare): each test boots one. CROFT_NODE_IMAGE
# chooses the kernel.
bats_require_minimum_version 1.5.0

setup_file() {
	export build=${CROFT_BUILD:?set CROFT_BUILD to the build directory} image=${CROFT_NODE_IMAGE:-debian-12}
	[ -x "$build/tests/ubc/drive" ] || make -s -C "$build" ubc-programs
}

# boots WORDS <SCRIPT: `drive` in it is that of VPS 4747, `begin` makes its group
boots() {
	run --separate-stderr "$BATS_TEST_DIRNAME/bare" "$image" "$build" "$1" < <(
		echo 'drive() { ./drive 4747 /sys/fs/cgroup/vz/4747 "$@"; }'
		echo 'cases() { drive "$@" >/tmp/out || { grep -v ^ok /tmp/out; return 1; }; }'
		cat
	)
	[ "$status" = 0 ] || {
		echo "status $status: $output $stderr" >&2
		return 1
	}
}
has() { [[ "$output" == *"$1"* ]] || { echo "no '$1' in: $output" >&2; return 1; }; }

@test "all cases: LSM, fmod_ret and control groups" {
	boots '' <<-'END'
		# four at once, when nothing is there yet
		for i in 1 2 3 4; do ./vz-ubc load & done
		wait
		./vz-ubc status | head -n 1
		drive begin
		cases numfile numflock numtcpsock numothersock numpty accept inherit passed cycles nested adopt pid sweep \
			privvmpages fork lockedpages shmpages storm
		./vz-ubc reconcile
		./vz-ubc load-below-lsm
		./vz-ubc status | head -n 1
		cases numfile numflock numtcpsock numothersock numpty accept adopt pid privvmpages fork lockedpages shmpages
		./vz-ubc load-below-fmod_ret
		./vz-ubc status | head -n 1
		cases numtcpsock accepted
		./vz-ubc unload --force
		[ ! -e /sys/fs/bpf/vz ]
	END
	has 'method    lsm'
	has 'nothing was wrong'
	has 'method    fmod_ret'
	has 'method    cgroup'
}

@test "no BTF: sockets by control groups, and one line that says why" {
	boots '' <<-'END'
		mount --bind /dev/null /sys/kernel/btf/vmlinux
		./vz-ubc load
		./vz-ubc status
		drive begin
		cases numtcpsock accepted
	END
	has 'method    cgroup'
	has 'because   lsm, fmod_ret: this kernel has no BTF (/sys/kernel/btf/vmlinux)'
	has 'numtcpsock     enforced'
	[[ "$output" != *'numfile '* ]]
}

@test "lockdown for integrity: all works" {
	boots lockdown=integrity <<-'END'
		grep -F '[integrity]' /sys/kernel/security/lockdown
		./vz-ubc load
		./vz-ubc status
		drive begin
		cases numfile
	END
	has 'method    lsm'
	[[ "$output" != *because* ]]
}

@test "lockdown for confidentiality: sockets by control groups, and one line that says why" {
	boots lockdown=confidentiality <<-'END'
		grep -F '[confidentiality]' /sys/kernel/security/lockdown
		./vz-ubc load
		./vz-ubc status
		drive begin
		cases numtcpsock
	END
	has 'method    cgroup'
	has 'because   lsm, fmod_ret: this kernel is locked down (confidentiality)'
}

@test "bpf not in lsm=: fmod_ret; pins of another layout: made anew, limits and counts are kept" {
	boots lsm=capability <<-'END'
		./vz-ubc load
		./vz-ubc status
		drive begin
		cases layout
	END
	has 'method    fmod_ret'
	has 'because   lsm: its programs are attached and not called'
}
