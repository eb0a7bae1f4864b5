# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A migration from node a to node b that is disturbed, and what must hold after it: exactly one of them has the VPS.

load ../lib/hosts

# seconds of silence after which a link counts as cut; a program takes its time to start in a node
# shellcheck disable=SC2154
if [ "$top" = /opt/croft ]; then patience=20; else patience=4; fi
# KiB a second at which memory comes for long enough to do something meanwhile
if [ "$top" = /opt/croft ]; then slow=400; else slow=2000; fi

# running CTID: on how many nodes; what stands still, frozen or restored and not let go, does not run
running() {
	local h n=0
	for h in a b; do
		[ ! -e "$hosts/$h/run/vz/$1/held" ] || continue
		[[ "$(on $h vzctl status "$1" 2>/dev/null)" != *" running"* ]] || n=$((n + 1))
	done
	echo $n
}

# migrators: processes of a migration that are there now
migrators() {
	local p
	for p in $(pgrep -x vzmigrate); do
		! grep -qsazF "CROFT_ROOT=$hosts/node" "/proc/$p/environ" || echo "$p"
	done
}
no_migrators() { [ -z "$(migrators)" ]; }

# settle CTID: nothing goes on any more; at no time two run; in the end one does, with its files, and nothing is left
settle() {
	local h starts=0
	wait_for 60 no_migrators || {
		echo "still at it: $(ps -o pid,args -p "$(migrators | paste -sd,)")" >&2
		return 1
	}
	[ "$(running "$1")" -le 1 ]
	for h in a b; do
		on $h vzctl --quiet start "$1" >/dev/null 2>&1 || :
		[ "$(running "$1")" -le 1 ] || {
			echo "$1 runs on both" >&2
			return 1
		}
	done
	for h in ${order:-a b}; do
		[ -z "$(journals $h)" ] || on $h vzmigrate --recover "$1" >"$hosts/recover-$h" 2>&1 || :
		[ "$(running "$1")" -le 1 ]
	done
	[ -z "$(journals a)$(journals b)" ] || {
		echo "journals: $(journals a) $(journals b) $(cat "$hosts"/recover-*)" >&2
		return 1
	}
	for h in a b; do
		if [[ "$(on $h vzctl status "$1")" == *" exist "* ]]; then
			starts=$((starts + 1))
			on $h vzctl --quiet start "$1" >/dev/null 2>&1 || [ "$(running "$1")" = 1 ]
			[ "$(on $h vzctl exec2 "$1" cat /marker)" = "$1" ]
			at=$h
		fi
	done
	[ $starts = 1 ] && [ "$(running "$1")" = 1 ] || {
		echo "$1 is on $starts nodes" >&2
		return 1
	}
}

# victim CTID LAYOUT: a VPS that runs on node a
victim() {
	on a vzctl create "$1" --ostemplate busybox --layout "${2:-simfs}" >/dev/null
	on a vzctl start "$1" >/dev/null
	on a vzctl exec2 "$1" "echo $1 >/marker; sync"
}

# home CTID: it is on node a again, for the next fault
home() {
	if [ "$at" = b ]; then on b vzmigrate --transport-command "$hosts/enter-a" "${mode[@]}" a "$1" >/dev/null; fi
}

# disturbed FAULT CTID: one migration with VZ_FAULT=FAULT, its output in $hosts/out. ":both" kills worker and supervisor
# of the side that it stops.
disturbed() {
	local pids p side
	if [[ "$1" == *:both ]]; then
		on a env VZ_FAULT="${1%:both}:stop" vzmigrate --transport-command "$transport" --timeout "$patience" "${mode[@]}" b "$2" >"$hosts/out" 2>&1 &
		wait_for 120 stopped
		# all processes of the side that stopped; the other sees its connection end
		side=-v
		for p in $(migrators); do
			! grep -q '^State:.*T' "/proc/$p/status" || ! is_receiver "$p" || side=
		done
		pids=
		for p in $(migrators); do
			if is_receiver "$p"; then [ "$side" ] || pids+=" $p"; else [ -z "$side" ] || pids+=" $p"; fi
		done
		# shellcheck disable=SC2086
		kill -9 $pids
		wait $! || :
	else
		on a env VZ_FAULT="$1" vzmigrate --transport-command "$transport" --timeout "$patience" "${mode[@]}" b "$2" >"$hosts/out" 2>&1 || :
		grep -q 'fault on purpose' "$hosts/out" || {
			echo "it did not come to $1: $(cat "$hosts/out")" >&2
			return 1
		}
	fi
}

is_receiver() { grep -sqazx -e --receive "/proc/$1/cmdline"; }

# stopped: some process of the migration stands still by VZ_FAULT
stopped() {
	local p
	for p in $(migrators); do
		grep -q '^State:.*T' "/proc/$p/status" && return 0
	done
	return 1
}

# said: in teardown, what the migration that failed a test has said
said() { [ -n "${BATS_TEST_COMPLETED:-}" ] || cat "$hosts/out" "$hosts"/recover-* 2>/dev/null || :; }

# faults CTID FAULT...: each in turn. Never called with `||`, which would make a failure in it one that does not matter.
faults() {
	local id=$1 f
	shift
	for f; do
		echo "# $f" >&2
		disturbed "$f" "$id"
		settle "$id"
		home "$id"
	done
}
