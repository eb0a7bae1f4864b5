# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: GPL-2.0-or-later
# For the tests that try to leave a VPS; after common.bash. The programs are in tests/escape.

# escape_root [LAYOUT]: make_root, the programs, and a file of the node that no VPS may see
escape_root() {
	make_root "$@"
	[ -x "$build/tests/escape/tty" ] && [ -x "$build/tests/escape/interp" ] || make -s -C "$build" escape-programs
	echo secret >"$CROFT_ROOT/mark"
	export mark=$CROFT_ROOT/mark
	write_typed
}

# arm CTID: the programs into /root/escape of the running VPS
arm() {
	tar -C "$build/tests/escape" -cf - . | vzctl exec2 "$1" 'mkdir -p /root/escape && tar -C /root/escape -xf -'
}

# prison CTID [OPTION...]: a running VPS with the programs; options of create
prison() {
	vzctl --quiet create "$1" --ostemplate busybox
	[ $# = 1 ] || vzctl --quiet set "$@" --save
	vzctl --quiet start "$1"
	arm "$1"
}

# every capability there is, as --capability wants them (AUDIT_CONTROL is always on: docs/compat.md)
all_capabilities() {
	setpriv --list-caps | grep -vx audit_control | sed 's/$/:on/' | paste -sd,
}

init_of() { jq .init_pid "$CROFT_ROOT/run/vz/$1/state.json"; }

# contained CTID PROGRAM ARG...: it ran, and nothing it tried got out
contained() {
	local id=$1
	shift
	run vzctl exec3 "$id" "/root/escape/$1" "${@:2}" </dev/null
	[ "$status" = 0 ] && [[ "${lines[-1]}" == *" attempts, 0 escaped" ]] || {
		echo "VPS $id, status $status:"
		grep -v ^contained <<<"$output"
		return 1
	}
}

# typed.py WORD COMMAND...: run it on a pty; 7 if then WORD waits in the pty's input, as if somebody had typed it
write_typed() {
	cat >"$CROFT_ROOT/typed.py" <<'P'
import fcntl, os, pty, select, struct, sys, termios, time
# run argv[2:] on a pty, then look what waits in the pty's input: nothing may be typed there
word, args = sys.argv[1], sys.argv[2:]
master, slave = pty.openpty()
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in 0, 1, 2:
        os.dup2(slave, fd)
    os.execvp(args[0], args)
seen = b''
while True:
    if select.select([master], [], [], 0.2)[0]:
        seen += os.read(master, 65536)
    elif os.waitpid(pid, os.WNOHANG)[0]:
        break
attr = termios.tcgetattr(slave)
attr[3] &= ~(termios.ICANON | termios.ECHO)
termios.tcsetattr(slave, termios.TCSANOW, attr)
typed = os.read(slave, 4096) if select.select([slave], [], [], 0)[0] else b''
sys.stdout.write(seen.decode('latin-1'))
sys.exit(7 if word.encode() in typed else 0)
P
}
