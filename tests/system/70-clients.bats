#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host,node
# What programs that drive vzctl depend on: one test for each point of the list, named after its number.
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { make_root; }
teardown_file() { remove_root; }
teardown() { destroy_all; }

@test "1: the tools are installed in /usr/sbin" {
	local sbin=/usr/sbin # of a node, where there is no make
	if [ -e "$build/Makefile" ]; then
		make -s -C "$build" install "DESTDIR=$BATS_TEST_TMPDIR/dest" >"$BATS_TEST_TMPDIR/log" 2>&1 || {
			tail -n 5 "$BATS_TEST_TMPDIR/log" >&2
			return 1
		}
		sbin=$BATS_TEST_TMPDIR/dest$(sed -n 's/^prefix = //p' "$build/Makefile")/sbin
	fi
	for p in vzctl vzlist; do
		[ -x "$sbin/$p" ]
	done
	run "$sbin/vzctl" --version
	status_is 0
	[[ "$output" == "vzctl version "* ]]
}

@test "2: host root writes through VE_ROOT and VE_PRIVATE of a running simfs VPS, its root owns them" {
	vzctl --quiet create 7142 --ostemplate busybox --layout simfs
	vzctl --quiet start 7142
	root=$(vzdir)/root/7142
	mkdir -p "$root/root/.ssh"
	echo key >"$root/root/.ssh/authorized_keys"
	chmod 600 "$root/root/.ssh/authorized_keys"
	[ "$(vzctl exec2 7142 'stat -c %u:%g:%a /root/.ssh/authorized_keys; cat /root/.ssh/authorized_keys')" = $'0:0:600\nkey' ]
	vzctl exec2 7142 'echo more >>/root/.ssh/authorized_keys'
	[ "$(tail -n 1 "$root/root/.ssh/authorized_keys")" = more ]
	echo live >"$(vzdir)/private/7142/etc/live"
	[ "$(vzctl exec2 7142 'cat /etc/live; stat -c %u /etc/live')" = $'live\n0' ]
	vzctl exec2 7142 'echo of-the-vps >/etc/from-inside'
	[ "$(stat -c %u:%g "$(vzdir)/private/7142/etc/from-inside")" = 0:0 ]
	rm "$root/etc/from-inside"
	run vzctl exec2 7142 'test -e /etc/from-inside'
	status_is 1
}

@test "2: a bind mount made by a .mount script is there inside and writable by the VPS's root" {
	vzctl --quiet create 7142 --ostemplate busybox --layout simfs
	mkdir "$CROFT_ROOT/share"
	echo of-the-host >"$CROFT_ROOT/share/file"
	cat >"$CROFT_ROOT/etc/vz/conf/7142.mount" <<END
#!/bin/bash
. "\$VE_CONFFILE"
mkdir -p "\$VE_ROOT/mnt/share"
mount --bind "$CROFT_ROOT/share" "\$VE_ROOT/mnt/share"
END
	chmod 755 "$CROFT_ROOT/etc/vz/conf/7142.mount"
	vzctl --quiet start 7142
	[ "$(vzctl exec2 7142 cat /mnt/share/file)" = of-the-host ]
	vzctl exec2 7142 'echo of-the-vps >/mnt/share/new'
	[ "$(cat "$CROFT_ROOT/share/new")" = of-the-vps ]
}

@test "3: CTID.conf has plain KEY=\"value\" lines, \$VEID literally, DISKSPACE as numbers; #UUID stays last" {
	vzctl --quiet create 7142 --ostemplate busybox
	run ! grep -vE '^([A-Z0-9_]+="[^"=]*"|#.*|)$' "$(conf 7142)"
	grep -q '^VE_PRIVATE=".*/\$VEID"$' "$(conf 7142)"
	grep -q '^VE_ROOT=".*/\$VEID"$' "$(conf 7142)"
	grep -qE '^DISKSPACE="[0-9]+:[0-9]+"$' "$(conf 7142)"
	echo '#UUID: 7c3d0000-0000-4000-8000-000000000002' >>"$(conf 7142)"
	vzctl --quiet set 7142 --diskspace 2G:3G --nameserver 192.0.2.1 --description x --save
	[ "$(tail -n 1 "$(conf 7142)")" = '#UUID: 7c3d0000-0000-4000-8000-000000000002' ]
	grep -q '^DISKSPACE="2097152:3145728"$' "$(conf 7142)"
	grep -q '^VE_PRIVATE=".*/\$VEID"$' "$(conf 7142)"
}

@test "4: --help begins with the version, --version is three words, the usage has set with --force on one line" {
	run --separate-stderr vzctl --help
	[[ "${lines[0]}" =~ ^vzctl\ version\ [0-9]+\.[0-9]+(\.[0-9]+)?$ ]]
	run --separate-stderr vzctl --version
	[ "$(wc -w <<<"$output")" -eq 3 ]
	run --separate-stderr vzctl
	grep -q 'vzctl set.*--force' <<<"$stderr"
}

@test "5: stderr stays empty on success of create, start, stop, destroy; none is told in exactly these words" {
	for c in "create 7142 --ostemplate busybox" "start 7142" "exec 7142 true" "stop 7142" "start 7142" "restart 7142" "stop 7142 --fast" \
		"mount 7142" "umount 7142" "destroy 7142"; do
		# shellcheck disable=SC2086
		run --separate-stderr vzctl $c
		status_is 0
		[ -z "$stderr" ] || {
			echo "$c: $stderr" >&2
			return 1
		}
	done
	run --separate-stderr vzlist
	[ "$stderr" = "Container(s) not found" ]
	[ -z "$output" ]
}

@test "6: the five sentences" {
	run vzctl start 7142
	grep -qi 'config file does not exist' <<<"$output"
	vzctl --quiet create 7142 --ostemplate busybox
	run vzctl start 7142
	grep -qi 'container start in progress' <<<"$output"
	run vzctl start 7142
	grep -qi 'container is already running' <<<"$output"
	run vzctl stop 7142
	grep -qi 'container was stopped' <<<"$output"
	run vzctl exec 7142 true
	grep -qi 'container is not running' <<<"$output"
	run vzctl stop 7142
	grep -qi 'container is not running' <<<"$output"
}

@test "7: vzlist's text: rows begin with a blank, headers are words, -L has two words a line" {
	vzctl --quiet create 7142 --ostemplate busybox --hostname h.example.net
	vzctl --quiet start 7142
	for a in "" -a -n -H -1 -a1; do
		# shellcheck disable=SC2086
		run vzlist $a
		status_is 0
		run ! grep -v '^ ' <<<"$output"
	done
	run vzlist -a
	[ "$(wc -w <<<"${lines[0]}")" -eq 5 ]
	[[ "${lines[1]}" == *"  h.example.net" ]]
	run ! awk 'NF != 2 { print; f = 1 } END { exit !f }' < <(vzlist -L)
	run vzlist -oF
	status_is 1
	[ "$output" = "Unknown field: F" ]
	[ "$(vzlist -Ho hostname 7142)" = h.example.net ]
	[ "$(vzlist -ohostname -H 7142)" = h.example.net ]
	vzctl --quiet stop 7142 --fast
	[[ "$(vzlist -HS)" == *" 7142 "*stopped* ]]
	[ "$(vzlist -t -Ho status 7142)" = "stopped  " ]
}

@test "8: JSON: ctid is a number, [] when absent, counters and disk indexed blindly, -a1j" {
	run --separate-stderr vzlist -j 7999
	[ "$output" = "[]" ]
	[ -z "$stderr" ]
	vzctl --quiet create 7142 --ostemplate busybox
	for state in stopped running; do
		[ $state = stopped ] || vzctl --quiet start 7142
		python3 -c '
import json, sys
v = json.load(sys.stdin)[0]
assert v["ctid"] == 7142 and type(v["ctid"]) is int
for k in "physpages", "swappages", "numproc", "kmemsize", "privvmpages":
    v[k]["held"] + v[k]["limit"] + v[k]["failcnt"]
for k in "diskspace", "diskinodes":
    v[k]["usage"] + v[k]["softlimit"] + v[k]["hardlimit"]
' < <(vzlist -a -j 7142)
	done
	[ "$(vzlist -a1j | jq -c .)" = '[{"veid":7142}]' ]
}

@test "9: exec2 - passes stdin, stdout, stderr and the code apart" {
	vzctl --quiet create 7142 --ostemplate busybox
	vzctl --quiet start 7142
	run --separate-stderr vzctl exec2 7142 - <<<'a=from-stdin; echo "got $a"
echo bad >&2
exit 42'
	status_is 42
	[ "$output" = "got from-stdin" ]
	[ "$stderr" = bad ]
}

@test "10: a digits-only name equal to the CTID is legal" {
	run --separate-stderr vzctl create 7142 --ostemplate busybox --name 7142
	status_is 0
	[ -z "$stderr" ]
	[ "$(vzlist -a -H -o name 7142)" = 7142 ]
	vzctl --quiet start 7142
	vzctl --quiet destroy 7142 && return 1
	[ "$(vzctl status 7142)" = "CTID 7142 exist mounted running" ]
}

@test "11: one argument with a list, --option=S:H, descriptions with quotes come back" {
	vzctl --quiet create 7142 --ostemplate busybox
	vzctl --quiet set 7142 --nameserver '192.0.2.1 192.0.2.2' --save
	[ "$(vzlist -a -H -o nameserver 7142)" = "192.0.2.1 192.0.2.2" ]
	vzctl --quiet set 7142 --ipadd '198.51.100.71 198.51.100.72' --save
	vzctl --quiet set 7142 --ipdel all --ipadd '198.51.100.73 198.51.100.74' --save
	[ "$(vzlist -a -H -o ip 7142)" = "198.51.100.73 198.51.100.74" ]
	vzctl --quiet set 7142 --diskspace='1048576:2097152' --save
	grep -q '^DISKSPACE="1048576:2097152"' "$(conf 7142)"
	d='{"owner": "Ann \"A\" B", "tags": ["x", "y"], "cost": "$5"}'
	vzctl --quiet set 7142 --description="$d" --save
	[ "$(vzlist -a -Ho description 7142)" = "$d" ]
	[ "$(vzlist -a -j 7142 | jq -r '.[0].description')" = "$d" ]
}

@test "14: the status line: five words, word 3 exist or deleted, word 5 running or down, a sixth only when suspended" {
	[ "$(vzctl status 7142)" = "CTID 7142 deleted unmounted down" ]
	vzctl --quiet create 7142 --ostemplate busybox
	[ "$(vzctl status 7142)" = "CTID 7142 exist unmounted down" ]
	: >"$(vzdir)/dump/Dump.7142"
	[ "$(vzctl status 7142)" = "CTID 7142 exist unmounted down suspended" ]
	rm "$(vzdir)/dump/Dump.7142"
	vzctl --quiet start 7142
	[ "$(vzctl status 7142)" = "CTID 7142 exist mounted running" ]
}

# transcript of a fixed list of commands, with what differs from run to run replaced
told() {
	local code=0
	echo "== $*"
	vzctl "$@" >"$BATS_TEST_TMPDIR/o" 2>"$BATS_TEST_TMPDIR/e" </dev/null || code=$?
	sed "s|$CROFT_ROOT|ROOT|g; s/^/out: /" "$BATS_TEST_TMPDIR/o"
	sed "s|$CROFT_ROOT|ROOT|g; s/^/err: /" "$BATS_TEST_TMPDIR/e"
	echo "code: $code"
}

transcript() {
	told start 7142
	told create 7142 --ostemplate nosuch
	told create 7142 --ostemplate busybox
	told create 7142 --ostemplate busybox
	told exec 7142 true
	told enter 7142
	told stop 7142
	told umount 7142
	told mount 7142
	told mount 7142
	told destroy 7142
	told umount 7142
	told set 7142 --name web --hostname h.example.net --save
	told set 7142 --name web --save
	told set 7142 --numproc 100
	told set 7142 --diskinodes 100 --save
	told set 7142 --numproc nonsense --save
	told set 7142 --reset_ub
	told start 7142
	told start 7142
	told mount 7142
	told umount 7142
	told destroy 7142
	told status 7142
	told set 7142 --numproc 100 --save
	told set 7142 --cpulimit 50 --cpuunits 500 --cpus 1 --save
	told set 7142 --hostname g.example.net --save
	told set 7142 --nameserver 192.0.2.1 --save
	told set 7142 --ram 4K --save
	told set 7142 --capability chown:off --save
	told exec 7142 'exit 3'
	told exec2 7142 'exit 3'
	told exec2 7142 "kill -9 \$\$"
	told exec 7142
	told restart 7142 --fast
	told stop 7142
	told status web
	told set 7142 --disabled yes --save
	told start 7142
	told create 7143 --ostemplate busybox --name web
	told destroy 7142
	told status 7142
	told nosuch 7142
	told start
	told start 0
	told start web
	told start 7142 --nosuch
	told set 7142 --nosuch
	told start 7142 --save
	told start 7142 word
}

@test "18: the lines are those of tests/data/messages.golden" {
	transcript | sed 's/uses [0-9]* bytes/uses N bytes/' >"$BATS_TEST_TMPDIR/told"
	[ -z "${CROFT_NEW_GOLDEN:-}" ] || cp "$BATS_TEST_TMPDIR/told" "$top/tests/data/messages.golden"
	diff -u "$top/tests/data/messages.golden" "$BATS_TEST_TMPDIR/told"
}
