#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs of tests/escape as root of a VPS: plain, with every capability, with nesting:on. Each says in its head
# which class of published hole it stands for and which wall should stop it.
# bats file_tags=host,node
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/escape

# 6911 plain, 6912 every capability, 6913 nesting on overlay, 6914 the neighbour
setup_file() {
	escape_root simfs
	prison 6911
	prison 6912 --capability "$(all_capabilities)"
	vzctl --quiet create 6913 --ostemplate busybox --layout overlay
	vzctl --quiet set 6913 --features nesting:on --save
	vzctl --quiet start 6913
	arm 6913
	prison 6914
}
teardown() { [ -z "$victim" ] || kill "$victim" || :; }
teardown_file() {
	destroy_all
	remove_root
}

# everywhere PROGRAM ARG...: contained in each of the three
everywhere() {
	local id
	for id in 6911 6912 6913; do
		contained "$id" "$@"
	done
}

@test "without walls the same programs do get out" {
	mkdir -p "$CROFT_ROOT/open/root" "$CROFT_ROOT/open/tmp" "$CROFT_ROOT/open/dev" "$CROFT_ROOT/open/proc"
	cp "$build"/tests/escape/{chroot,handle,device,leak,process,ipc} "$CROFT_ROOT/open/root/"
	mount -t proc proc "$CROFT_ROOT/open/proc"
	freely() { run unshare --mount chroot "$CROFT_ROOT/open" "/root/$1" "${@:2}"; }
	sleep 1000 3>&- &
	victim=$!
	mkfifo "$CROFT_ROOT/hold"
	"$build/tests/escape/ipc" give croft-free <"$CROFT_ROOT/hold" >"$CROFT_ROOT/key" &
	exec 8>"$CROFT_ROOT/hold"
	wait_for 10 test -s "$CROFT_ROOT/key"
	results=
	for what in "chroot $mark" "handle $mark" device "process $victim" "ipc take croft-free $(cat "$CROFT_ROOT/key")"; do
		# shellcheck disable=SC2086
		freely $what
		results+="$status ${lines[-1]}"$'\n'
	done
	exec 7<"$CROFT_ROOT"
	freely leak "$mark"
	results+="$status ${lines[-1]}"$'\n'
	exec 7<&- 8>&-
	umount "$CROFT_ROOT/open/proc"
	kill $victim
	wait || :
	victim=
	rm -rf "$CROFT_ROOT/open" "$CROFT_ROOT/hold"
	echo "$results"
	# a chroot shares /proc, processes and IPC with the node: "process" sees its victim as one of ours
	[ "$(grep -c '^1 ' <<<"$results")" -ge 5 ]
}

@test "the root of a VPS has no outside: chroot, pivot_root, lazy unmounts, /proc/1/root" {
	everywhere chroot "$mark"
	for id in 6911 6912; do # an overlay tells where its layers are; /run/vz and files of /proc are the node's (docs/security.md)
		run vzctl exec2 $id 'grep -vE " /(run/vz|proc/(stat|vmstat|diskstats)) ro,nosuid,nodev,noexec," /proc/1/mountinfo'
		[[ "$output" != *"$CROFT_ROOT/run"* ]]
	done
}

@test "no file is opened by its number" {
	everywhere handle "$mark"
}

@test "no device of the node: no node made, no disk mounted" {
	everywhere device
}

@test "the kernel's switches stay, with the covers of /proc on and off" {
	switches() { cat /proc/sys/kernel/{core_pattern,modprobe,sysrq,pid_max} 2>/dev/null; ls /proc/sys/fs/binfmt_misc; }
	before=$(switches)
	everywhere knobs
	vzctl exec2 6912 'echo 1000 >/proc/sys/kernel/pid_max' || :
	[ "$before" = "$(switches)" ]
	# what belongs to the VPS's own namespaces can be set; Linux 6.1 shows net.core to the node alone
	vzctl exec2 6911 'cd /proc/sys/net; echo 1 >ipv4/ip_forward && { [ ! -e core/somaxconn ] || echo 4096 >core/somaxconn; }'
	run vzctl exec2 6911 'cd /proc/sys/net; cat ipv4/ip_forward core/somaxconn 2>/dev/null'
	[ "$output" = 1 ] || [ "$output" = $'1\n4096' ]
}

@test "calls about the node are refused, by the 32-bit and the x32 door too" {
	year=$(date +%Y)
	contained 6911 calls
	contained 6912 calls
	contained 6913 calls nesting
	[ "$(date +%Y)" = "$year" ]
	run vzctl exec2 6912 'date -s 2001-01-01'
	has "not permitted"
	run vzctl exec2 6912 'modprobe loop'
	[ "$status" != 0 ]
}

@test "io_uring and 32-bit sockets are there when asked for, and only then" {
	run vzctl exec2 6914 /root/escape/doors
	has "io_uring Function not implemented"
	vzctl --quiet stop 6914 --fast
	vzctl --quiet set 6914 --features io_uring:on,socketcall:off --save
	vzctl --quiet start 6914
	run vzctl exec2 6914 /root/escape/doors
	[[ "$output" != *"io_uring Function not implemented"* ]]
	[ "$(uname -m)" != x86_64 ] || has "socketcall no"
	vzctl --quiet stop 6914 --fast
	vzctl --quiet set 6914 --features io_uring:off,socketcall:on --save
	vzctl --quiet start 6914
	run vzctl exec2 6914 /root/escape/doors
	has "io_uring Function not implemented"
}

@test "socket families that no server needs do not exist" {
	everywhere sockets
}

@test "processes of the node and of the neighbour are neither signalled nor traced nor read" {
	sleep 1000 3>&- &
	victim=$!
	pids=($victim "$(init_of 6914)" "$(jq .mon_pid "$CROFT_ROOT/run/vz/6911/state.json")" $$ 4194303)
	for id in 6911 6912 6913; do
		contained $id process "${pids[@]}"
		vzctl exec 6914 true
		vzctl exec $id 'kill -9 -1' || :
		kill -0 $victim
		kill -0 "$(init_of 6914)"
	done
}

@test "shared memory, queues, abstract sockets and keys of the node and of the neighbour are out of reach" {
	mkfifo "$CROFT_ROOT/hold" "$CROFT_ROOT/hold2"
	"$build/tests/escape/ipc" give croft-node <"$CROFT_ROOT/hold" >"$CROFT_ROOT/key" &
	vzctl exec3 6914 /root/escape/ipc give croft-neighbour <"$CROFT_ROOT/hold2" >"$CROFT_ROOT/key2" &
	exec 8>"$CROFT_ROOT/hold" 9>"$CROFT_ROOT/hold2"
	wait_for 10 test -s "$CROFT_ROOT/key"
	wait_for 10 test -s "$CROFT_ROOT/key2"
	# both are there for those they are meant for
	vzctl exec3 6914 /root/escape/ipc take croft-neighbour "$(cat "$CROFT_ROOT/key2")" >"$CROFT_ROOT/own" || :
	bad=0
	everywhere ipc take croft-node "$(cat "$CROFT_ROOT/key")" || bad=1
	everywhere ipc take croft-neighbour "$(cat "$CROFT_ROOT/key2")" || bad=1
	exec 8>&- 9>&-
	wait
	rm -f "$CROFT_ROOT"/hold*
	grep -q 'ESCAPED: abstract socket' "$CROFT_ROOT/own"
	grep -q 'ESCAPED: shared memory' "$CROFT_ROOT/own"
	[ "$bad" = 0 ]
}

@test "a neighbour's files and the node's configuration have no path" {
	vzctl exec2 6914 'echo mine >/root/private-of-6914'
	for id in 6911 6912 6913; do
		run vzctl exec2 $id 'find / -xdev -name private-of-6914 2>/dev/null; find /proc/[0-9]*/root/ -maxdepth 3 -name private-of-6914 2>/dev/null'
		[ -z "$output" ]
		run vzctl exec2 $id "(ls $CROFT_ROOT /etc/vz $(vzdir)/private; cat $(conf 6914)) 2>/dev/null"
		[ -z "$output" ]
	done
}

@test "no descriptor and no working directory of the node: exec, exec2, exec3, runscript, enter, from a leaky caller" {
	cd "$CROFT_ROOT"
	exec 7<"$CROFT_ROOT" 6<"$mark" 5<>"$mark"
	printf '/root/escape/leak %s\n' "$mark" >"$CROFT_ROOT/script"
	for id in 6911 6912 6913; do
		contained $id leak "$mark"
		for how in exec exec2; do
			run vzctl $how $id "/root/escape/leak $mark" </dev/null
			[[ "$status" = 0 && "${lines[-1]}" == *" 0 escaped" ]]
		done
		run vzctl exec2 $id - <"$CROFT_ROOT/script"
		[[ "$status" = 0 && "${lines[-1]}" == *" 0 escaped" ]]
		run vzctl runscript $id "$CROFT_ROOT/script"
		[[ "$status" = 0 && "${lines[-1]}" == *" 0 escaped" ]]
		run python3 "$CROFT_ROOT/typed.py" typed "$build/vzctl" enter $id --exec /root/escape/leak "$mark" \; exit
		has " 0 escaped"
	done
	exec 7<&- 6<&- 5<&-
}

@test "start, start scripts and init get no descriptor and no directory of the node" {
	cd "$CROFT_ROOT"
	vzctl --quiet stop 6914 --fast
	printf '/root/escape/leak %s /root/leak-script\n' "$mark" >"$CROFT_ROOT/etc/vz/conf/6914.start"
	p=$(vzdir)/private/6914
	sed -i "1i ::sysinit:/root/escape/leak $mark /root/leak-init" "$p/etc/inittab"
	exec 7<"$CROFT_ROOT" 6<"$mark"
	vzctl --quiet start 6914
	exec 7<&- 6<&-
	rm "$CROFT_ROOT/etc/vz/conf/6914.start"
	wait_for 20 vzctl exec2 6914 'test -s /root/leak-init'
	for f in script init; do
		run cat "$p/root/leak-$f"
		[[ "$output" == *" attempts, 0 escaped" ]]
	done
	sed -i 1d "$p/etc/inittab"
}

@test "the program that enters or starts a VPS cannot be written to: a shell, an init or a command that is #!/proc/self/exe" {
	p=$(vzdir)/private/6914
	sum=$(sha256sum "$build/vzctl" "$build/vzctl-admin" "$build/vzmon")
	mkdir -p "$p/lib64" "$p/lib"
	for l in lib64/ld-linux-x86-64.so.2 lib/ld-linux-aarch64.so.1; do
		cp "$build/tests/escape/interp" "$p/$l"
	done
	printf '#!/proc/self/exe\n' >"$p/root/self"
	chmod 755 "$p/root/self"
	verdict() { # WHAT COMMAND...
		local what=$1
		shift
		rm -f "$p/root/exe-report" "$CROFT_ROOT/watching"
		# a program linked statically is caught while it runs, which is short: try until it was
		vzctl exec3 6914 /root/escape/exe watch >"$CROFT_ROOT/watching" 2>&1 </dev/null 3>&- &
		wait_for 20 grep -q watching "$CROFT_ROOT/watching"
		for _ in $(seq 200); do
			"$@" >/dev/null 2>&1 </dev/null || :
			[ ! -s "$p/root/exe-report.new" ] && [ ! -s "$p/root/exe-report" ] || break
		done
		wait_for 20 test -s "$p/root/exe-report" || {
			echo "$what: the program of the node was never seen inside"
			return 1
		}
		grep -qx 'verdict 0' "$p/root/exe-report" || {
			echo "$what:"
			cat "$p/root/exe-report"
			return 1
		}
	}
	verdict exec3 vzctl exec3 6914 /root/self
	mv "$p/bin/sh" "$p/bin/sh.real"
	cp "$p/root/self" "$p/bin/sh"
	verdict exec-shell vzctl exec 6914 true
	verdict runscript vzctl runscript 6914 "$CROFT_ROOT/script"
	verdict enter vzctl enter 6914
	# CTID.stop is a shell of the VPS too, and comes from vzctl stop; as that fails the VPS goes on
	echo true >"$CROFT_ROOT/etc/vz/conf/6914.stop"
	verdict stop-script vzctl stop 6914
	vzctl --quiet stop 6914 --fast
	wait
	rm "$CROFT_ROOT/etc/vz/conf/6914.stop"
	[ "$sum" = "$(sha256sum "$build/vzctl" "$build/vzctl-admin" "$build/vzmon")" ]
	# start: process 1 before it is init, and the start script's shell; what they report comes after the VPS is gone
	echo true >"$CROFT_ROOT/etc/vz/conf/6914.start"
	for what in script init; do
		[ $what = script ] || {
			rm "$CROFT_ROOT/etc/vz/conf/6914.start"
			mv "$p/sbin/init" "$p/sbin/init.real"
			cp "$p/root/self" "$p/sbin/init"
		}
		run vzctl start 6914
		vzctl --quiet stop 6914 --fast
	done
	[ "$sum" = "$(sha256sum "$build/vzctl" "$build/vzctl-admin" "$build/vzmon")" ]
	rm -f "$p/sbin/init" "$p/bin/sh" "$p"/lib64/ld-linux* "$p"/lib/ld-linux*
	mv "$p/sbin/init.real" "$p/sbin/init"
	mv "$p/bin/sh.real" "$p/bin/sh"
	vzctl --quiet start 6914
	arm 6914
}

@test "vzmon runs from a read-only mount of its program" {
	python3 - "$(jq .mon_pid "$CROFT_ROOT/run/vz/6911/state.json")" <<'P'
import os, sys
exe = f'/proc/{sys.argv[1]}/exe'
assert os.statvfs(exe).f_flag & os.ST_RDONLY, 'not read-only'
assert open(f'/proc/{sys.argv[1]}/comm').read() == 'vzmon\n'
P
}

@test "nothing is typed at the node's terminal by what runs inside: enter, exec, console" {
	# the program does type where it runs on the terminal itself, if this kernel still can
	if [ "$(cat /proc/sys/dev/tty/legacy_tiocsti 2>/dev/null || echo 1)" = 1 ]; then
		run python3 "$CROFT_ROOT/typed.py" typed "$build/tests/escape/tty" typed
		status_is 7
	fi
	for id in 6911 6912 6913; do
		run python3 "$CROFT_ROOT/typed.py" typed "$build/vzctl" exec3 $id /root/escape/tty typed
		status_is 0
		has " attempts, 0 escaped"
		run python3 "$CROFT_ROOT/typed.py" typed "$build/vzctl" enter $id --exec /root/escape/tty typed \; exit
		status_is 0
		has " attempts, 0 escaped"
		# the console brings its words to the terminal, and only its words
		run python3 "$CROFT_ROOT/typed.py" typed sh -c "$build/vzctl exec2 $id '/root/escape/tty typed <>/dev/console >&0 2>&1'
			printf '\033.' | $build/vzctl console $id"
		status_is 0
		has " attempts, 0 escaped"
	done
}

@test "reboot(2) inside ends that VPS and nothing else" {
	boot=$(cat /proc/sys/kernel/random/boot_id)
	old=$(init_of 6912)
	vzctl exec 6912 'reboot -f' || :
	again() { [ "$(init_of 6912)" != "$old" ] && vzctl exec2 6912 true; }
	wait_for 30 again
	[ "$(cat /proc/sys/kernel/random/boot_id)" = "$boot" ]
	vzctl exec2 6911 true
	vzctl exec2 6914 true
}
