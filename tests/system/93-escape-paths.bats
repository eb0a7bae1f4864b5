#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A tenant who prepared the names below his root, or exchanges them while the node works: what the node writes, mounts
# or reads through them stays in the VPS. Also: what he can make a terminal of the node obey.
# bats file_tags=host,node
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/escape

# The bait: a tree of the node to which the tenant's links lead. Nothing in it may change or show inside.
setup_file() { escape_root simfs; }
setup() {
	bait=$CROFT_ROOT/bait
	mkdir -p "$bait/dir"
	for f in shadow passwd group hosts hostname resolv.conf network interfaces file machine-id; do
		echo "node's own $f" >"$bait/$f"
	done
	print_bait >"$CROFT_ROOT/bait.before"
	vzctl --quiet create 6931 --ostemplate busybox
	p=$(vzdir)/private/6931
}
teardown() {
	exec 8>&-
	wait
	destroy_all
	rm -rf "$bait" "$CROFT_ROOT/hold"
}
teardown_file() { remove_root; }

print_bait() { (cd "$bait" && find . -printf '%p %y %u:%g %m %s\n' | sort && find . -type f -exec sha256sum {} + | sort); }
bait_whole() {
	print_bait | diff "$CROFT_ROOT/bait.before" - || return 1
	! grep -F " $bait" /proc/self/mountinfo
}

# link NAME TARGET: NAME below the VPS's root becomes a link, absolute and relative ones in turn
link() {
	rm -rf "${p:?}/$1"
	mkdir -p "$(dirname "$p/$1")"
	ln -s "$2" "$p/$1"
}

# what start mounts on or writes to, one prepared name at a time
names=(proc sys dev dev/pts dev/shm dev/console dev/ptmx dev/null run tmp run/host sys/fs/cgroup var/lib/docker var/lib/containers
	etc etc/resolv.conf etc/hosts etc/hostname etc/network etc/network/interfaces etc/shadow etc/passwd etc/machine-id
	.vzfifo sbin sbin/init root bin/sh)

@test "a root prepared with links: start refuses or keeps inside, and never leaves anything on the node" {
	cp -a "$p" "$CROFT_ROOT/clean"
	vzctl --quiet set 6931 --features nesting:on --hostname trap --nameserver 192.0.2.1 --ipadd 192.0.2.31 --save
	local ways=("$bait/dir" "../../../../../../../../../../../../..$bait/file" "$bait/file" "../../../../../../../..$bait/dir") i=0
	for name in "${names[@]}"; do
		to=${ways[i++ % 4]}
		rm -rf "$p"
		cp -a "$CROFT_ROOT/clean" "$p"
		link "$name" "$to"
		timeout 60 "$build/vzctl" start 6931 >"$CROFT_ROOT/out" 2>&1 || :
		if vzctl status 6931 | grep -q running; then
			run vzctl exec2 6931 "(cat $mark; ls /$name/../../../..$bait) 2>/dev/null"
			[ -z "$output" ] || [[ "$output" == "No shell in the VPS"* ]] || {
				echo "$name -> $to shows inside: $output"
				return 1
			}
		fi
		vzctl --quiet stop 6931 --fast
		bait_whole || {
			echo "by $name -> $to:"
			cat "$CROFT_ROOT/out"
			return 1
		}
	done
	rm -rf "$CROFT_ROOT/clean"
}

@test "links under a running VPS: exec, enter, runscript, set, --userpasswd, --wait's FIFO keep inside" {
	vzctl --quiet start 6931
	for name in dev/ptmx dev/pts/ptmx dev/null etc/shadow etc/passwd etc/group etc/hosts etc/resolv.conf etc/hostname etc/network/interfaces .vzfifo root; do
		vzctl exec 6931 "mkdir -p /\$(dirname $name); mv /$name /$name.was; ln -s $bait/$(basename $name) /$name" >/dev/null 2>&1 || :
	done
	echo true >"$CROFT_ROOT/script"
	vzctl exec2 6931 true
	vzctl runscript 6931 "$CROFT_ROOT/script"
	python3 "$CROFT_ROOT/typed.py" none "$build/vzctl" enter 6931 --exec exit >/dev/null || :
	vzctl set 6931 --hostname elsewhere --nameserver 192.0.2.2 --searchdomain example.org --save >/dev/null 2>&1 || :
	vzctl set 6931 --userpasswd root:secret >/dev/null 2>&1 || :
	vzctl set 6931 --userpasswd newuser:secret >/dev/null 2>&1 || :
	bait_whole
	vzctl --quiet stop 6931 --fast
	vzctl start 6931 --wait >/dev/null 2>&1 || :
	bait_whole
}

@test "names exchanged all the while: set, --userpasswd, exec and restart by the node against a loop of renames" {
	vzctl --quiet start 6931
	arm 6931
	for dir in /etc /root /var; do
		mkfifo "$CROFT_ROOT/hold"
		rm -f "$CROFT_ROOT/race"
		vzctl exec3 6931 /root/escape/race $dir "../../../../../../../..$bait" <"$CROFT_ROOT/hold" >"$CROFT_ROOT/race" 2>&1 3>&- &
		exec 8>"$CROFT_ROOT/hold"
		wait_for 20 grep -q racing "$CROFT_ROOT/race"
		for n in 1 2 3 4 5 6; do
			vzctl set 6931 --hostname race$n --nameserver 192.0.2.$n --save >/dev/null 2>&1 || :
			vzctl set 6931 --userpasswd root:race$n >/dev/null 2>&1 || :
			vzctl exec 6931 'cd /root; cat /etc/hosts' >"$CROFT_ROOT/out" 2>&1 || :
			! grep -F "node's own" "$CROFT_ROOT/out"
		done
		exec 8>&-
		wait
		rm "$CROFT_ROOT/hold"
		grep -q ' exchanges' "$CROFT_ROOT/race"
		bait_whole
		vzctl exec 6931 "[ -d $dir.escape ] && [ -L $dir ] && rm $dir && mv $dir.escape $dir || rm -f $dir.escape"
	done
}

@test "a private area that changes under its start: the files of simfs from a process of the node with the tenant's ids" {
	vzctl --quiet set 6931 --hostname racer --nameserver 192.0.2.1 --save
	mkfifo "$CROFT_ROOT/hold"
	rm -f "$CROFT_ROOT/race"
	"$build/tests/escape/race" "$p/etc" "$bait" <"$CROFT_ROOT/hold" >"$CROFT_ROOT/race" 2>&1 3>&- &
	exec 8>"$CROFT_ROOT/hold"
	wait_for 20 grep -q racing "$CROFT_ROOT/race"
	for n in 1 2 3 4 5 6; do
		timeout 60 "$build/vzctl" --quiet start 6931 >/dev/null 2>&1 || :
		vzctl --quiet stop 6931 --fast
	done
	exec 8>&-
	wait
	for n in dev proc run; do
		mkfifo "$CROFT_ROOT/hold.$n"
		"$build/tests/escape/race" "$p/$n" "$bait/dir" <"$CROFT_ROOT/hold.$n" >"$CROFT_ROOT/race.$n" 2>&1 3>&- &
		exec 8>"$CROFT_ROOT/hold.$n"
		for i in 1 2 3 4; do
			timeout 60 "$build/vzctl" --quiet start 6931 >/dev/null 2>&1 || :
			vzctl --quiet stop 6931 --fast
		done
		exec 8>&-
		wait
		rm "$CROFT_ROOT/hold.$n"
	done
	bait_whole
	vzctl --quiet umount 6931 >/dev/null 2>&1 || :
}

# nothing that a terminal obeys: no control character but the line's end, no C1 control, no turn of the writing
tame() {
	python3 -c '
import sys, unicodedata
text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
bad = [c for c in text if c not in "\n\t" and (unicodedata.category(c) in ("Cc", "Cf", "Cs"))]
sys.exit(f"{bad!r} in {text!r}" if bad else 0)' <<<"$1"
}

@test "no escape sequence of a tenant or a configuration comes out of vzlist and vzctl" {
	esc=$'\e]0;owned\a\e[2Jx\xc2\x9b31m\xe2\x80\xaey\x7f'
	local seen=
	vzctl --quiet start 6931
	for bad in "$esc" "$esc"$'\x9b0m'; do # the second is no UTF-8
		vzctl set 6931 --description "$bad" --save >/dev/null 2>&1 || :
		sed -i '/^DESCRIPTION=/d; /^HOSTNAME=/d; /^OSTEMPLATE=/d' "$(conf 6931)"
		printf 'DESCRIPTION="%s"\nHOSTNAME="%s"\nOSTEMPLATE="%s"\n' "$bad" "$bad" "$bad" >>"$(conf 6931)"
		for args in "-a" "-aL" "-a -o ctid,description,hostname,ostemplate,name" "-j" "-aH -o description" "-N $bad"; do
			# shellcheck disable=SC2086
			run vzlist $args
			seen+="$output"$'\n'
		done
		[[ "$(vzlist -aj | jq -r '.[0].description')" == *owned* ]]
	done
	for args in "set 6931 --hostname $esc" "set 6931 --name $esc" "set 6931 --ram $esc" "set 6931 --ipadd $esc" "set 6931 --features $esc" \
		"set 6931 --userpasswd $esc:x" "set 6931 --applyconfig $esc" "start $esc" "$esc 6931" "create 6932 --ostemplate $esc" "create 6932 --config $esc" \
		"set 6931 --$esc x" "exec $esc true" "set 6931 --devnodes $esc:rw" "set 6931 --mac $esc --ifname $esc" "set 6931 --setmode $esc --save" "console 6931 $esc" \
		"mount 6931 $esc" "runscript 6931 $esc" "set 6931 --nameserver $esc" "set 6931 --cpumask $esc" "status 6931 $esc" "enter 6931 $esc"; do
		# shellcheck disable=SC2086
		run vzctl $args </dev/null
		seen+="$output"$'\n'
	done
	run vzctl restart 6931 --fast
	tame "$seen$output$(cat "$CROFT_ROOT/vzctl.log")"
}

@test "the password of --userpasswd is in no process list once its option is read" {
	vzctl --quiet start 6931
	# a lock held by another makes the command wait nowhere, so hold it inside: the cage cannot write its file
	cat >"$CROFT_ROOT/watch.py" <<'P'
import os, subprocess, sys
prog, root = sys.argv[1], sys.argv[2]
env = dict(os.environ)
p = subprocess.Popen(['strace', '-f', '-qq', '-e', 'trace=clone3', '-e', 'inject=clone3:delay_enter=400000', '-o', '/dev/null',
                      prog, 'set', '6931', '--userp', 'root:geheim-42'], env=env)
seen, reads = 0, 0
while p.poll() is None:
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            line = open(f'/proc/{pid}/cmdline', 'rb').read()
        except OSError:
            continue
        if b'--userp' in line and not line.startswith(b'strace') and line.startswith(b'vzctl\0'):
            reads += 1
            seen += b'geheim-42' in line
            last = b'geheim-42' in line
print('reads', reads, 'seen', seen)
sys.exit(0 if reads > 1 and not last else 1)
P
	python3 "$CROFT_ROOT/watch.py" "$build/vzctl" "$CROFT_ROOT"
	vzctl exec2 6931 'grep -q "^root:.6\\$\|^root:.y\\$\|^root:[^!*x:]" /etc/shadow /etc/passwd'
}

@test "vz-unpack reads an archive under a filter of its own, without new privileges" {
	mkdir -p "$CROFT_ROOT/slow/sbin" "$CROFT_ROOT/out.d"
	echo x >"$CROFT_ROOT/slow/sbin/init"
	mkfifo "$CROFT_ROOT/pipe"
	"$build/vz-unpack" 0<"$CROFT_ROOT/pipe" 3<"$CROFT_ROOT/out.d" 4>"$CROFT_ROOT/err" &
	pid=$!
	exec 8>"$CROFT_ROOT/pipe"
	caged() { grep -q '^Seccomp:.2' /proc/$pid/status; }
	wait_for 20 caged
	grep -q '^NoNewPrivs:.1' /proc/$pid/status
	tar -C "$CROFT_ROOT/slow" -cf - . >&8
	exec 8>&-
	wait $pid
	[ "$(cat "$CROFT_ROOT/out.d/sbin/init")" = x ]
	rm -rf "$CROFT_ROOT/slow" "$CROFT_ROOT/out.d" "$CROFT_ROOT/pipe"
}
