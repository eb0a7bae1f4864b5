#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Action scripts (vzctl-cli.md section 10), $VZIN, runscript.
# bats file_tags=host,node
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { make_root; }
teardown_file() { remove_root; }
teardown() {
	local m
	for m in $(grep -oF " $CROFT_ROOT/side " /proc/self/mountinfo); do umount "$m"; done
	destroy_all
	rm -rf "$confdir"/vps.* "$confdir"/5101.* "$log" "$CROFT_ROOT"/env.*
}

setup() {
	confdir=$CROFT_ROOT/etc/vz/conf
	log=$CROFT_ROOT/order
	root=$(vzdir)/root/5101
	private=$(vzdir)/private/5101
	in="env CROFT_ROOT=$CROFT_ROOT CROFT_LIBEXEC=$build \$VZIN"
}

# script NAME TEXT: an action script of the host
script() {
	printf '#!/bin/sh\n%s\n' "$2" >"$confdir/$1"
	chmod 755 "$confdir/$1"
}

# failing NAME: its run is noted, then it fails
failing() { script "$1" "echo $1 >>$log; exit 3"; }
noting() { script "$1" "echo $1 >>$log"; }

# text NAME TEXT: a script for a shell in the VPS; it need not be executable
text() { printf '%s\n' "$2" >"$confdir/$1"; }

order() { tr '\n' ' ' <"$log"; }
status_of() { vzctl status 5101; }
down="CTID 5101 exist unmounted down"

@test "mount, start, stop: each script once and in order" {
	for w in premount mount umount postumount; do
		noting "vps.$w"
		noting "5101.$w"
	done
	script vps.create "echo vps.create >>$log"
	vzctl create 5101 --ostemplate busybox
	vzctl start 5101
	vzctl stop 5101 --fast
	[ "$(order)" = "vps.create vps.premount 5101.premount vps.mount 5101.mount 5101.umount vps.umount 5101.postumount vps.postumount " ]
	rm "$log"
	vzctl mount 5101
	[ "$(order)" = "vps.premount 5101.premount vps.mount 5101.mount " ]
	rm "$log"
	vzctl start 5101
	vzctl stop 5101 --fast --skip-umount
	[[ "$(cat "$log" 2>/dev/null)" != *umount* ]]
	rm -f "$log"
	vzctl umount 5101
	[ "$(order)" = "5101.umount vps.umount 5101.postumount vps.postumount " ]
}

@test "the environment of host scripts is what is documented, stdin is empty, output comes through" {
	vzctl create 5101 --ostemplate busybox
	for w in vps.premount vps.mount 5101.umount vps.postumount; do
		script "$w" "cat /proc/\$\$/environ >$CROFT_ROOT/env.$w; read -r x && exit 9; echo out-$w; echo err-$w >&2; exit 0"
	done
	SECRET=1 run --separate-stderr vzctl mount 5101 </etc/passwd
	status_is 0
	has out-vps.premount
	has out-vps.mount
	[[ "$stderr" == *err-vps.premount* ]]
	vzctl umount 5101
	for w in vps.premount vps.mount 5101.umount vps.postumount; do
		names=$(tr '\0' '\n' <"$CROFT_ROOT/env.$w" | sed 's/=.*//; /^CROFT_/d' | sort | tr '\n' ' ')
		# CROFT_ROOT and CROFT_LIBEXEC are handed on only where a test has set them
		[ "$names" = "HOME PATH TERM VEID VE_CONFFILE VZIN " ] || {
			echo "$w: $names"
			return 1
		}
		env=$(tr '\0' '\n' <"$CROFT_ROOT/env.$w")
		[[ "$env" == *"HOME=/"$'\n'* && "$env" == *"TERM=linux"$'\n'* && "$env" == *"VEID=5101"$'\n'* ]]
		[[ "$env" == *"VE_CONFFILE=$(conf 5101)"$'\n'* ]]
		grep -qx 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' <<<"$env"
	done
}

@test "a script learns VE_ROOT by sourcing VE_CONFFILE; one that is not executable does not run" {
	vzctl create 5101 --ostemplate busybox
	script 5101.mount '. "$VE_CONFFILE"; echo from-script >"$VE_ROOT/root/note"'
	failing 5101.premount
	chmod 644 "$confdir/5101.premount"
	vzctl start 5101
	run vzctl exec2 5101 cat /root/note
	[ "$output" = from-script ]
	[ ! -e "$log" ]
}

@test "premount fails: 79, nothing mounted, no further script" {
	vzctl create 5101 --ostemplate busybox
	for w in vps 5101; do
		failing $w.premount
		noting vps.mount
		noting 5101.umount
		for c in mount start; do
			run vzctl $c 5101
			status_is 79
			[ "$(status_of)" = "$down" ]
		done
		[ "$(order)" = "$w.premount $w.premount " ]
		rm "$log" "$confdir/$w.premount"
	done
}

@test "mount fails: 79, unmounted again" {
	vzctl create 5101 --ostemplate busybox
	for w in vps 5101; do
		failing $w.mount
		for c in mount start; do
			run vzctl $c 5101
			status_is 79
			[ "$(status_of)" = "$down" ]
		done
		rm "$confdir/$w.mount"
	done
	vzctl start 5101
}

@test "umount fails: 79, stays mounted; the VPS itself is down" {
	vzctl create 5101 --ostemplate busybox
	vzctl start 5101
	for w in vps 5101; do
		failing $w.umount
		run vzctl stop 5101 --fast
		status_is 79
		[ "$(status_of)" = "CTID 5101 exist mounted down" ]
		run vzctl umount 5101
		status_is 79
		[ "$(status_of)" = "CTID 5101 exist mounted down" ]
		rm "$confdir/$w.umount"
		vzctl start 5101
	done
}

@test "postumount fails: 79, unmounted all the same" {
	vzctl create 5101 --ostemplate busybox
	for w in vps 5101; do
		vzctl mount 5101
		failing $w.postumount
		run vzctl umount 5101
		status_is 79
		[ "$(status_of)" = "$down" ]
		rm "$confdir/$w.postumount"
	done
}

@test "CTID.start runs inside as root, before init, with the default environment" {
	vzctl create 5101 --ostemplate busybox --hostname inside.example
	text 5101.start 'cat /proc/1/comm >/root/one; id -u >/root/id; hostname >/root/name; cat /proc/$$/environ >/root/env
mkdir /run/made-by-start'
	vzctl start 5101
	run vzctl exec2 5101 cat /root/one /root/id /root/name
	[ "${lines[0]}" != init ]
	[ "${lines[1]}" = 0 ]
	[ "${lines[2]}" = inside.example ]
	vzctl exec2 5101 test -d /run/made-by-start
	[ "$(tr '\0' '\n' <"$private/root/env" | sed 's/=.*//' | sort | tr '\n' ' ')" = "HOME PATH TERM " ]
	[ "$(stat -c %u "$private/root/one")" = 0 ]
}

@test "CTID.start fails: 79, nothing left" {
	vzctl create 5101 --ostemplate busybox
	vzctl set 5101 --ipadd 10.95.51.1 --save
	text 5101.start 'touch /root/was-here; exit 5'
	run vzctl start 5101
	status_is 79
	[ -e "$private/root/was-here" ]
	[ "$(status_of)" = "$down" ]
	leaves_nothing
	[ -z "$(ip route show 10.95.51.1)" ]
	text 5101.start 'kill -9 $$'
	run vzctl start 5101
	status_is 79
	rm "$confdir/5101.start"
	vzctl start 5101
}

@test "CTID.stop runs inside before halt; when it fails: 79 and the VPS goes on; --fast does not run it" {
	vzctl create 5101 --ostemplate busybox
	vzctl start 5101
	text 5101.stop 'touch /root/stopping; cat /proc/1/comm >/root/one; exit 4'
	run vzctl stop 5101
	status_is 79
	[ "$(status_of)" = "CTID 5101 exist mounted running" ]
	[ "$(cat "$private/root/one")" = init ]
	rm "$private/root/stopping"
	text 5101.stop 'touch /root/stopping'
	run vzctl stop 5101
	status_is 0
	[[ "$output" != *Killing* ]]
	[ -e "$private/root/stopping" ]
	rm "$private/root/stopping"
	vzctl start 5101
	vzctl stop 5101 --fast
	[ ! -e "$private/root/stopping" ]
}

@test "vps.create fails: 79 and the creation is undone" {
	script vps.create '. "$VE_CONFFILE"; test -d "$VE_PRIVATE/bin" && exit 1'
	for layout in simfs overlay; do
		script vps.create 'exit 1'
		run vzctl create 5101 --ostemplate busybox --layout $layout --name bats-scripts
		status_is 79
		[ ! -e "$private" ]
		[ ! -e "$private.tmp" ]
		[ ! -e "$(conf 5101)" ]
		[ ! -L "$CROFT_ROOT/etc/vz/names/bats-scripts" ]
		[ "$(status_of)" = "CTID 5101 deleted unmounted down" ]
	done
}

@test "vps.create edits /etc of a simfs VPS from the host" {
	script vps.create '. "$VE_CONFFILE"; echo "created $VEID" >"$VE_PRIVATE/etc/motd"; sed -i "s/root:x:/root:x:/" "$VE_PRIVATE/etc/passwd"'
	vzctl create 5101 --ostemplate busybox
	vzctl start 5101
	run vzctl exec2 5101 'cat /etc/motd; stat -c %u /etc/motd /etc/passwd; echo more >>/etc/motd && cat /etc/motd'
	[ "$output" = $'created 5101\n0\n0\ncreated 5101\nmore' ]
}

@test "a bind mount made by CTID.mount is the VPS's root's, on both layouts" {
	mkdir -p "$CROFT_ROOT/side/deep"
	for layout in simfs overlay; do
		vzctl create 5101 --ostemplate busybox --layout $layout
		script 5101.mount ". \"\$VE_CONFFILE\"; mount -n --bind $CROFT_ROOT/side \"\$VE_ROOT/mnt\""
		run --separate-stderr vzctl start 5101
		status_is 0
		[ -z "$stderr" ]
		vzctl exec2 5101 "echo $layout >/mnt/deep/$layout"
		run vzctl exec2 5101 stat -c %u /mnt /mnt/deep "/mnt/deep/$layout"
		[ "$output" = $'0\n0\n0' ]
		[ "$(cat "$CROFT_ROOT/side/deep/$layout")" = $layout ]
		[ "$(stat -c %u "$CROFT_ROOT/side/deep/$layout")" = 0 ]
		vzctl stop 5101 --fast
		[ "$(status_of)" = "$down" ]
		[ -d "$CROFT_ROOT/side/deep" ]
		vzctl destroy 5101
		rm -f "$confdir"/5101.*
	done
	rm -rf "$CROFT_ROOT/side"
}

@test "a submount whose file system cannot carry ids: a warning, files of nobody" {
	vzctl create 5101 --ostemplate busybox
	script 5101.mount '. "$VE_CONFFILE"; mount -n -t ramfs none "$VE_ROOT/mnt"; touch "$VE_ROOT/mnt/file"'
	run --separate-stderr vzctl start 5101
	status_is 0
	[[ "$stderr" == *WARNING*"$root/mnt"*"ids of the VPS"* ]]
	[ "$(grep -c WARNING <<<"$stderr")" = 1 ]
	run vzctl exec2 5101 stat -c %u /mnt/file
	[ "$output" = 65534 ]
	run vzctl exec2 5101 'echo x >/mnt/file'
	[ "$status" -ne 0 ]
}

@test "a mount made with -o x-noidmap keeps the node's ids, without a warning; the next one without it does not" {
	mkdir -p "$CROFT_ROOT/with blank"
	vzctl create 5101 --ostemplate busybox
	mkdir "$private/mnt/with blank"
	base=$(($(stat -c %u "$private/root") + 5101 * 65536))
	touch "$CROFT_ROOT/with blank/node" "$CROFT_ROOT/with blank/own"
	chown $base "$CROFT_ROOT/with blank/own"
	for opt in ",x-noidmap" ""; do
		script 5101.mount ". \"\$VE_CONFFILE\"; mount -o bind$opt '$CROFT_ROOT/with blank' \"\$VE_ROOT/mnt/with blank\""
		run --separate-stderr vzctl start 5101
		status_is 0
		[ -z "$stderr" ]
		run vzctl exec2 5101 'cd "/mnt/with blank"; stat -c %u node own | xargs'
		vzctl stop 5101 --fast
		[ "$output" = "$([ -n "$opt" ] && echo 65534 0 || echo 0 65534)" ]
		run ! grep -F "$CROFT_ROOT" /run/mount/utab
	done
}

@test "overlay: the host's root cannot create below VE_ROOT (EOVERFLOW), \$VZIN can" {
	vzctl create 5101 --ostemplate busybox --layout overlay
	script 5101.mount ". \"\$VE_CONFFILE\"; LC_ALL=C mkdir \"\$VE_ROOT/srv/plain\" 2>$log && exit 1
$in mkdir /srv/in && $in sh -c 'id -u >/srv/in/id; pwd >/srv/in/pwd; chown 33 /srv/in/pwd'"
	vzctl start 5101
	grep -q 'Value too large for defined data type' "$log"
	run vzctl exec2 5101 stat -c %u /srv/in /srv/in/id /srv/in/pwd
	[ "$output" = $'0\n0\n33' ]
	[ "$(cat "$private/upper/srv/in/id")" = 0 ]
	[ "$(cat "$private/upper/srv/in/pwd")" = / ]
	[ "$(stat -c %u "$private/upper/srv/in/pwd")" = 33 ]
	run vzctl exec2 5101 test -e /srv/plain
	status_is 1
}

@test "\$VZIN hands on the command's code and works with simfs too" {
	vzctl create 5101 --ostemplate busybox
	script 5101.mount "$in sh -c 'echo x >/srv/file; exit 7'; [ \$? = 7 ]"
	run vzctl mount 5101
	status_is 0
	[ "$(stat -c %u "$private/srv/file")" = 0 ]
	[ "$(status_of)" = "CTID 5101 exist mounted down" ]
	[ ! -e "$CROFT_ROOT/run/vz/5101/state.json" ]
}

@test "runscript on a running VPS: the script's code and output, 11 when it is absent" {
	vzctl create 5101 --ostemplate busybox
	vzctl start 5101
	printf 'echo "in $(hostname) as $(id -u)"; echo oops >&2; exit 42\n' >"$CROFT_ROOT/env.script"
	vzctl set 5101 --hostname scripted
	run --separate-stderr vzctl runscript 5101 "$CROFT_ROOT/env.script"
	status_is 42
	[ "$output" = "in scripted as 0" ]
	[ "$stderr" = oops ]
	run vzctl runscript 5101 "$CROFT_ROOT/env.nosuch"
	status_is 11
	[ "$(status_of)" = "CTID 5101 exist mounted running" ]
}

@test "runscript on a stopped VPS: without init, down and unmounted afterwards" {
	for layout in simfs overlay; do
		vzctl create 5101 --ostemplate busybox --layout $layout
		printf 'echo edited >/etc/motd; echo procs $(ls -d /proc/[0-9]* | wc -l); pidof init && exit 1; exit 43\n' >"$CROFT_ROOT/env.script"
		run --separate-stderr vzctl runscript 5101 "$CROFT_ROOT/env.script"
		status_is 43
		[[ "$output" == "procs "* ]]
		[ "$(status_of)" = "$down" ]
		leaves_nothing
		run vzctl runscript 5101 "$CROFT_ROOT/env.nosuch"
		status_is 11
		[ "$(status_of)" = "$down" ]
		vzctl start 5101
		run vzctl exec2 5101 cat /etc/motd
		[ "$output" = edited ]
		vzctl stop 5101 --fast
		vzctl destroy 5101
	done
}

@test "runscript on a mounted VPS leaves it mounted; a killed script is code 3; mount scripts run" {
	vzctl create 5101 --ostemplate busybox
	for w in premount mount umount postumount; do noting 5101.$w; done
	vzctl mount 5101
	printf 'kill -9 $$\n' >"$CROFT_ROOT/env.script"
	run vzctl runscript 5101 "$CROFT_ROOT/env.script"
	status_is 3
	[ "$(status_of)" = "CTID 5101 exist mounted down" ]
	vzctl umount 5101
	rm "$log"
	printf 'true\n' >"$CROFT_ROOT/env.script"
	vzctl runscript 5101 "$CROFT_ROOT/env.script"
	[ "$(order)" = "5101.premount 5101.mount 5101.umount 5101.postumount " ]
}

@test "scripts hold the lock: vzctl needs --skiplock in them" {
	vzctl create 5101 --ostemplate busybox
	script 5101.mount "export CROFT_ROOT=$CROFT_ROOT CROFT_LIBEXEC=$build
$build/vzctl set 5101 --description first --save; echo \$? >>$log
$build/vzctl --skiplock set 5101 --description second --save; echo \$? >>$log"
	vzctl mount 5101
	[ "$(order)" = "9 0 " ]
	grep -qx 'DESCRIPTION="second"' "$(conf 5101)"
}

@test "destroy keeps the scripts under another name" {
	vzctl create 5101 --ostemplate busybox
	noting 5101.mount
	text 5101.start true
	vzctl destroy 5101
	[ -e "$confdir/5101.mount.destroyed" ]
	[ ! -e "$confdir/5101.mount" ]
	[ ! -e "$confdir/5101.start" ]
}

@test "mounts below mounts, and one made before the root was there" {
	mkdir -p "$CROFT_ROOT/side/deep" "$CROFT_ROOT/env.below/deeper" "$CROFT_ROOT/env.moved" "$CROFT_ROOT/early/x"
	vzctl create 5101 --ostemplate busybox
	mount --bind "$CROFT_ROOT/early" "$CROFT_ROOT/early"
	mount --make-private "$CROFT_ROOT/early"
	mount --bind "$CROFT_ROOT/env.moved" "$CROFT_ROOT/early/x"
	script 5101.mount ". \"\$VE_CONFFILE\"; mount -n --bind $CROFT_ROOT/side \"\$VE_ROOT/mnt\"; mount -n --bind $CROFT_ROOT/env.below \"\$VE_ROOT/mnt/deep\"; mount -n -t tmpfs -o mode=1777 none \"\$VE_ROOT/mnt/deep/deeper\"; mount -n --move $CROFT_ROOT/early/x \"\$VE_ROOT/srv\""
	run --separate-stderr vzctl start 5101
	umount "$CROFT_ROOT/early"
	status_is 0
	owner=0
	if printf '%s\n' 6.3 "$(uname -r)" | sort -CV; then
		[ -z "$stderr" ]
	else # tmpfs carries no ids before Linux 6.3
		owner=65534
		[ "${#stderr_lines[@]}" = 1 ]
		[[ "$stderr" == "WARNING: mount at $root/mnt/deep/deeper cannot carry the ids of the VPS"* ]]
	fi
	vzctl exec2 5101 'touch /mnt/a /mnt/deep/b /srv/c; rm /mnt/a; exit 0'
	run vzctl exec2 5101 stat -c %u /mnt /mnt/deep /mnt/deep/b /srv/c /mnt/deep/deeper
	[ "$output" = "$(printf '%s\n' 0 0 0 0 $owner)" ]
	[ "$(cd "$CROFT_ROOT" && stat -c %u env.below/b env.moved/c)" = $'0\n0' ]
	vzctl stop 5101 --fast
	[ "$(status_of)" = "$down" ]
	[ -z "$(ls -A "$CROFT_ROOT/side/deep" "$CROFT_ROOT/env.below/deeper" | grep -v : | xargs)" ]
	rm -rf "$CROFT_ROOT/side"
}
