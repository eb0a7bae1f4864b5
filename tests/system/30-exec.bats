#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host,node
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { make_root; }
teardown_file() { remove_root; }
setup() {
	vzctl --quiet create 3142 --ostemplate busybox
	vzctl --quiet start 3142
}
teardown() { destroy_all; }

# drive PROGRAM-OF-STEPS ARG...: runs vzctl ARG... on a pty of 30 rows and 100 columns. Each line of the steps is
# "send TEXT" (a C-like string), "expect REGEX", "size ROWS COLS" or "end" (wait for its end, print code N).
drive() {
	timeout 60 python3 - "$build/vzctl" "$@" <<'P'
import fcntl, os, pty, re, select, struct, sys, termios, time

def size(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))

prog, steps, args = sys.argv[1], sys.argv[2], sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    size(0, 30, 100)
    os.execv(prog, [prog] + args)
seen, at = '', 0

def more(limit):
    global seen
    if not select.select([fd], [], [], limit)[0]:
        return False
    try:
        got = os.read(fd, 65536)
    except OSError:
        return False
    seen += got.decode('latin-1')
    return bool(got)

for step in steps.strip().splitlines():
    word, _, rest = step.strip().partition(' ')
    if word == 'send':
        os.write(fd, rest.encode().decode('unicode_escape').encode('latin-1'))
    elif word == 'size':
        size(fd, *map(int, rest.split()))
    elif word == 'expect':
        until = time.time() + 20
        while True:
            m = re.search(rest, seen[at:])
            if m:
                at += m.end()
                break
            if time.time() > until or not more(20):
                print(seen)
                sys.exit('never came: ' + rest)
    elif word == 'end':
        while more(20):
            pass
        print(seen.replace('\r', ''))
        print('code', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
P
}

@test "exec gives 0, and 8 for any failing command" {
	run --separate-stderr vzctl exec 3142 true
	status_is 0
	[ -z "$output$stderr" ]
	for c in false 'exit 3' 'exit 255' nosuchprogram; do
		run vzctl exec 3142 "$c"
		status_is 8
	done
}

@test "exec joins its words with blanks for one shell line" {
	run vzctl exec 3142 echo 'a  b;' echo '$HOME' "'c  d'"
	status_is 0
	[ "$output" = $'a b\n/ c  d' ]
	run vzctl exec 3142 echo --fast -x
	[ "$output" = "--fast -x" ]
}

# bats test_tags=lean
@test "exec2 gives the command's own status" {
	for n in 0 1 3 31 126 127 255; do
		run -"$n" vzctl exec2 3142 "exit $n"
		status_is "$n"
	done
}

@test "exec3 runs a program without a shell and searches PATH" {
	run vzctl exec3 3142 echo 'a  b' '$HOME' '*' ';' "it's" ''
	status_is 0
	[ "$output" = "a  b \$HOME * ; it's " ]
	run vzctl exec3 3142 sh -c 'exit 9'
	status_is 9
	run -127 vzctl exec3 3142 nosuchprogram
	status_is 127
	run vzctl exec3 3142 /etc/passwd
	status_is 126
	run -127 vzctl exec3 3142 'echo x'
	status_is 127
	run vzctl exec3 3142 echo -
	[ "$output" = - ]
}

@test "exec2 - : commands from stdin, stdout, stderr and code apart" {
	printf 'echo out\necho err >&2\nexit 5\n' >"$BATS_TEST_TMPDIR/in"
	code=0
	vzctl exec2 3142 - <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" || code=$?
	[ "$code" -eq 5 ]
	[ "$(cat "$BATS_TEST_TMPDIR/out")" = out ]
	[ "$(cat "$BATS_TEST_TMPDIR/err")" = err ]
	run vzctl exec 3142 - <"$BATS_TEST_TMPDIR/in"
	status_is 8
}

@test "stdin reaches the command byte-exact, its end too" {
	head -c 3000000 /dev/urandom >"$BATS_TEST_TMPDIR/in"
	sum=$(md5sum <"$BATS_TEST_TMPDIR/in")
	[ "$(vzctl exec2 3142 md5sum <"$BATS_TEST_TMPDIR/in")" = "$sum" ]
	vzctl exec2 3142 cat <"$BATS_TEST_TMPDIR/in" | cmp - "$BATS_TEST_TMPDIR/in"
}

@test "large output through a pipe is complete, and a closed pipe ends the command" {
	[ "$(vzctl exec2 3142 'yes 0123456789 | head -n 500000' | md5sum)" = "$(yes 0123456789 | head -n 500000 | md5sum)" ]
	[ "$(vzctl exec2 3142 'yes hello' | head -n 2 | tail -n 1)" = hello ]
}

@test "exec returns with the command although a child of it keeps running with its streams closed" {
	run vzctl exec2 3142 'sleep 1000 >/dev/null 2>&1 </dev/null & echo started'
	status_is 0
	[ "$output" = started ]
	run vzctl exec2 3142 'pidof sleep'
	status_is 0
}

@test "a signal inside: Got signal N on stderr, code 3" {
	for n in 9 15; do
		for c in exec exec2; do
			run --separate-stderr vzctl $c 3142 "kill -$n \$\$"
			status_is 3
			[ -z "$output" ]
			[ "$stderr" = "Got signal $n" ]
		done
		run --separate-stderr vzctl exec3 3142 sh -c "kill -$n \$\$"
		status_is 3
		[ "$stderr" = "Got signal $n" ]
	done
}

@test "the environment is HOME, TERM and PATH and nothing of the host's" {
	want=$(printf '%s\n' HOME=/ PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=linux)
	run env SECRET=1 LD_PRELOAD= "$build/vzctl" exec3 3142 env
	status_is 0
	[ "$(sort <<<"$output")" = "$want" ]
	run env SECRET=1 "$build/vzctl" exec2 3142 env
	status_is 0
	run ! grep -v '^\(HOME=/\|TERM=linux\|PATH=.*\|PWD=/\|SHLVL=1\|_=.*\)$' <<<"$output" # the last three are the shell's
}

@test "working directory /, umask 022, uid 0, no groups, default signals" {
	cd /tmp
	run vzctl exec2 3142 'pwd; umask; id -u; id -G'
	[ "$output" = $'/\n0022\n0\n0' ]
	trap '' PIPE USR1
	run vzctl exec3 3142 grep -E '^Sig(Ign|Blk)' /proc/self/status
	trap - PIPE USR1
	[ "$output" = $'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000' ]
}

@test "no descriptor of the host leaks into the VPS" {
	exec 7</etc/passwd
	for c in exec2 exec3; do
		run vzctl $c 3142 ls /proc/self/fd 7</etc/passwd 8>"$BATS_TEST_TMPDIR/x"
		status_is 0
		[ "$output" = $'0\n1\n2\n3' ] # 3 is ls's own
	done
	exec 7<&-
}

@test "a process of ours inside has a sealed memfd for its program" {
	vzctl exec2 3142 'sleep 1000' 3>&- &
	pid=$!
	in_sleep() { vzctl exec2 3142 pidof sleep; }
	wait_for 10 in_sleep
	[[ "$(readlink "/proc/$pid/exe")" == "/memfd:vzctl"* ]] || [[ "$(pgrep -P "$pid" | head -n 1 | xargs -I{} readlink /proc/{}/exe)" == "/memfd:vzctl"* ]]
	for p in $(pgrep -P "$pid"); do
		[[ "$(readlink "/proc/$p/exe")" != "$build/"* ]]
	done
	# what the VPS can see: no program of the host
	run ! vzctl exec2 3142 "for p in /proc/[0-9]*; do readlink \$p/exe; done | grep -F '$build'"
	vzctl exec 3142 killall sleep
	wait "$pid" || :
}

@test "exec3 works for the admin in a VPS at its process limit" {
	vzctl exec2 3142 'i=0; while [ $i -lt 12 ]; do sleep 1000 </dev/null >/dev/null 2>&1 & i=$((i+1)); done'
	vzctl set 3142 --numproc 8
	run jq -r '.cgroups[]' "$CROFT_ROOT/run/vz/3142/state.json"
	for d in $(sed -n 's/^pids=//p; s/^v2=//p' <<<"$output"); do
		[ ! -e "$d/pids.max" ] || [ "$(cat "$d/pids.max")" = max ] || [ "$(cat "$d/pids.current")" -ge "$(cat "$d/pids.max")" ]
	done
	run vzctl exec3 3142 cat /proc/1/comm
	status_is 0
	[ "$output" = init ]
	run vzctl exec3 3142 killall sleep
	status_is 0
}

@test "exec of a stopped VPS gives 31, of an absent one 14" {
	vzctl stop 3142 --fast
	run --separate-stderr vzctl exec2 3142 true
	status_is 31
	[ "$stderr" = "Container is not running" ]
	run vzctl exec2 3143 true
	status_is 14
}

@test "no shell in the VPS gives 47" {
	vzctl exec2 3142 'rm -f /bin/sh /bin/bash'
	run vzctl exec2 3142 true
	status_is 47
	run vzctl exec3 3142 /bin/busybox true
	status_is 0
	run vzctl enter 3142 </dev/null
	status_is 47
	has "enter into CT 3142 failed"
}

@test "enter: a pty of its own, the terminal's size and its changes, job control, the lines around" {
	run drive '
expect entered into CT 3142
expect #
send tty\n
expect /dev/pts/[0-9]+
send stty size\n
expect 30 100
size 41 111
send stty size\n
expect 41 111
send sleep 1000 &\n
send jobs\n
expect Running
send sh -c "echo re""ady; exec cat"\n
expect ready
send \x03
expect #
send echo code=$?\n
expect code=130
send kill %1; exit 7\n
end' enter 3142
	status_is 0
	has "exited from CT 3142"
	[ "${lines[-1]}" = "code 7" ]
	[[ "$output" != *"job control"* ]]
}

@test "enter: environment and directory of a root login" {
	run drive '
expect #
send env; pwd; echo $0; echo done\n
expect \ndone
send exit\n
end' enter 3142
	for v in HISTFILE=/dev/null HOME=/root USER=root LOGNAME=root "TERM=$(printenv TERM || echo linux)" -sh /root; do
		grep -qxF -- "$v" <<<"$output"
	done
	run ! grep -q CROFT_ROOT <<<"$output"
}

@test "enter --exec types the words, the shell stays" {
	run drive '
expect #
expect one two
send echo $((20+3))\n
expect 23
send exit\n
end' enter 3142 --exec echo one two
	status_is 0
	[ "${lines[-1]}" = "code 0" ]
}

@test "enter with stdin that is no terminal runs what comes in" {
	run --separate-stderr vzctl enter 3142 <<<'echo here; exit 4'
	status_is 4
	has here
}

@test "console: what was on the screen first, typing goes through, ESC . detaches" {
	vzctl set 3142 --userpasswd root:pw1
	vzctl exec2 3142 'echo earlier-line >/dev/console'
	run drive '
expect Attached to CT 3142
expect earlier-line
send \n
expect login:
send root\n
expect assword:
send pw1\n
expect #
send echo $((40+2)); tty; stty size\n
expect 42
expect 30 100
send exit\n
expect login:
send \n\x1b.
expect Detached from CT 3142
end' console 3142
	status_is 0
	[ "${lines[-1]}" = "code 0" ]
	[[ "$output" != *TIOCSCTTY* && "$output" != *"job control"* ]]
	run vzctl status 3142
	[ "$output" = "CTID 3142 exist mounted running" ]
}

@test "console: the getty keeps the console, it is not started again and again" {
	login_waits() { [ -n "$(vzctl exec3 3142 pidof getty)" ]; }
	wait_for 10 login_waits
	before=$(vzctl exec3 3142 pidof getty)
	vzctl exec2 3142 'for i in 1 2 3; do sleep 1; done'
	[ "$(vzctl exec3 3142 pidof getty)" = "$before" ]
}

@test "console: the end of stdin detaches, ESC . at once too, the VPS runs on" {
	vzctl console 3142 0 </dev/null >"$BATS_TEST_TMPDIR/one" 2>&1 || :
	grep -q "Attached to CT 3142" "$BATS_TEST_TMPDIR/one"
	grep -q "Detached from CT 3142" "$BATS_TEST_TMPDIR/one"
	# what was on the screen is shown even so, by a slow monitor too
	vzctl exec2 3142 'echo on the screen >/dev/console'
	strace -o "$BATS_TEST_TMPDIR/trace" -e trace=sendto -e inject=sendto:delay_enter=100000 \
		-p "$(jq .mon_pid "$CROFT_ROOT/run/vz/3142/state.json")" >"$BATS_TEST_TMPDIR/strace" 2>&1 3>&- &
	tracer=$!
	wait_for 10 grep -q attached "$BATS_TEST_TMPDIR/strace"
	vzctl console 3142 </dev/null >"$BATS_TEST_TMPDIR/one"
	kill $tracer
	wait $tracer || :
	grep -q 'on the screen' "$BATS_TEST_TMPDIR/one"
	run drive '
expect Attached to CT 3142
send \x1b.
expect Detached
end' console 3142
	status_is 0
	run vzctl status 3142
	[ "$output" = "CTID 3142 exist mounted running" ]
}

@test "runscript: a host file by a shell inside, with its code" {
	printf 'echo in $(hostname)\nexit 6\n' >"$BATS_TEST_TMPDIR/script"
	vzctl set 3142 --hostname inside-3142
	run vzctl runscript 3142 "$BATS_TEST_TMPDIR/script"
	status_is 6
	has "in inside-3142"
}
