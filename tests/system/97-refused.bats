#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host,node
# A kernel or sandbox that refuses one system call: every command works all the same, or refuses in one line that names
# the call, with code 5, and leaves nothing behind. tests/lib/deny-syscall refuses it.
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
	make_root overlay
	[ -x "$build/tests/lib/deny-syscall" ] || make -s -C "$build" tests/lib/deny-syscall >&2
}
teardown_file() { remove_root; }
teardown() { destroy_all; }

calls() { sed -n 's/^\t{ "\([a-z0-9_]*\)", "[0-9.]*", SYS_.*/\1/p' "$top/src/util/kernel.c"; }

# refused CALL ERRNO COMMAND...: that line and nothing else
refused() {
	local call=$1 error=$2
	shift 2
	run --separate-stderr "$build/tests/lib/deny-syscall" "$call:$error" "$build/vzctl" "$@"
	[ "$status" -eq 5 ] && [ "${#stderr_lines[@]}" -eq 1 ] && [ -z "$output" ] &&
		[[ "$stderr" == "this kernel or sandbox refuses $call(2) ($error); Linux "*" or newer is needed" ]] || {
		echo "$* without $call ($error): status $status; $output; $stderr" >&2
		return 1
	}
}
# well CALL ERRNO COMMAND...: it works
well() {
	local call=$1 error=$2
	shift 2
	run "$build/tests/lib/deny-syscall" "$call:$error" "$build/vzctl" "$@"
	[ "$status" -eq 0 ] || { echo "$* without $call ($error): status $status; $output" >&2; return 1; }
}

@test "each system call refused in turn: create, mount and start name it and leave nothing" {
	[ "$(calls | wc -l)" -ge 18 ]
	vzctl --quiet create 9702 --ostemplate busybox
	for call in $(calls); do
		for error in ENOSYS EPERM; do
			refused $call $error create 9701 --ostemplate busybox
			[ "$(vzctl status 9701 2>&1)" = "CTID 9701 deleted unmounted down" ]
			refused $call $error start 9702
			refused $call $error restart 9702
			refused $call $error mount 9702
		done
	done
	[ "$(vzctl status 9702 2>&1)" = "CTID 9702 exist unmounted down" ]
	leaves_nothing
}

@test "each system call refused in turn: what does not need it works on a running VPS" {
	vzctl --quiet create 9702 --ostemplate busybox
	vzctl --quiet start 9702
	for call in $(calls); do
		case $call in
		pidfd_open) needs='exec stop set' ;;
		setns | close_range | memfd_create | execveat | seccomp) needs='exec stop set' ;;
		statx | pidfd_send_signal) needs='stop set' ;;
		*) needs=set ;;
		esac
		for error in ENOSYS EPERM; do
			run "$build/tests/lib/deny-syscall" $call:$error "$build/vzctl" status 9702
			[ "${lines[0]}" = "CTID 9702 exist mounted running" ]
			for what in exec set stop; do
				case $what in
				exec) args=(exec2 9702 true) ;;
				set) args=(set 9702 --numproc 333 --save) ;;
				stop) args=(stop 9702 --fast) ;;
				esac
				if [[ " $needs " == *" $what "* ]]; then
					refused $call $error "${args[@]}"
				elif [ $what != stop ]; then
					well $call $error "${args[@]}"
				fi
			done
			run ! grep -q 333 "$(conf 9702)" # a refused set saves nothing
		done
	done
	well openat2 ENOSYS stop 9702 --fast
	leaves_nothing
}

@test "each system call refused in turn: set --save and destroy of a stopped VPS need statx alone" {
	vzctl --quiet create 9703 --ostemplate busybox
	for call in $(calls); do
		if [ $call = statx ]; then
			refused $call ENOSYS set 9703 --onboot yes --save
			refused $call EPERM destroy 9703
		else
			well $call ENOSYS set 9703 --onboot yes --save
			well $call EPERM set 9703 --onboot no --save
		fi
	done
	well openat2 EPERM destroy 9703
	[ ! -e "$(conf 9703)" ]
}

@test "a VPS started without a way to ask for its process is not taken for dead" {
	vzctl --quiet create 9704 --ostemplate busybox
	vzctl --quiet start 9704
	run "$build/tests/lib/deny-syscall" pidfd_open:EPERM "$build/vzctl" destroy 9704
	status_is 32
	[ "$(vzctl exec2 9704 'echo alive')" = alive ]
}
