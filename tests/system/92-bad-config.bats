#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host
# Configurations, state and lock files as an editor, a full disk or a stranger may leave them: one clear line, the right
# code, nothing lost.
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
	make_root
	cp "$CROFT_ROOT/etc/vz/vz.conf" "$CROFT_ROOT/vz.conf.good"
	vzctl create 6601 --ostemplate busybox
	cp "$(conf 6601)" "$CROFT_ROOT/6601.good"
}
teardown_file() {
	destroy_all
	remove_root
}

setup() {
	etc=$CROFT_ROOT/etc/vz
	run=$CROFT_ROOT/run/vz
}

# VPS 6601 is made once: each test only damages its files
teardown() {
	vzctl --quiet stop 6601 --fast || :
	umount "$CROFT_ROOT/home" 2>/dev/null || :
	rm -rf "$etc/vz.conf" "$etc/conf/6601.conf" "$etc/conf/66"[1-9]*.conf "$etc"/conf/ve-bad*.conf-sample
	cp "$CROFT_ROOT/vz.conf.good" "$etc/vz.conf"
	cp "$CROFT_ROOT/6601.good" "$etc/conf/6601.conf"
	leaves_nothing
}

works() {
	vzctl start 6601
	[ "$(vzctl exec2 6601 'echo in')" = in ]
}

add() { printf '%b' "$1" >>"$(conf 6601)"; }

@test "garbage in CTID.conf is no parameter: the VPS starts, set --save keeps every line" {
	add '@#$%%^&*()\n=\n==\nKEY\nKEY =x\n\t \n\x1b[31mX=1\n\xff\xfe=\xc3\x28\n"="\n#\n;;rm -rf /\n'
	cp "$(conf 6601)" "$BATS_TEST_TMPDIR/before"
	works
	vzctl set 6601 --description odd --save
	grep -avx 'DESCRIPTION="odd"' "$(conf 6601)" | cmp - "$BATS_TEST_TMPDIR/before"
}

@test "a bad value in CTID.conf: start says which line and refuses, set mends it, the other rows count" {
	while read -r line; do
		sed "/^${line%%=*}=/d" "$CROFT_ROOT/6601.good" >"$(conf 6601)"
		add "$line\n"
		run --separate-stderr vzctl start 6601
		status_is 85
		[ "${#stderr_lines[@]}" -eq 2 ]
		[[ "${stderr_lines[0]}" == *"6601.conf line $(wc -l <"$(conf 6601)"): Bad value for ${line%%=*}: "* ]]
		[[ "${stderr_lines[1]}" == *"1 bad line"* ]]
	done <<-'T'
		CPUUNITS="999999999999999999999999"
		CPUUNITS="-1"
		CPUUNITS="0x10"
		CPUUNITS="1 0"
		CPUUNITS="7"
		CPULIMIT=""
		NUMPROC="1:2:3"
		PHYSPAGES="1Q"
		PHYSPAGES=":"
		IP_ADDRESS="256.1.1.1"
		HOSTNAME="-a"
		VE_ROOT="vz/root/6601"
		VE_ROOT="/"
		VE_PRIVATE="//"
		VE_PRIVATE="/vz/../private"
		VE_PRIVATE="/vz/private/.."
		STOP_TIMEOUT="18446744073709551616"
		LOCAL_UID="4294967296"
		DEVNODES="../sda:rw"
		CAPABILITY="SYS_EVERYTHING:on"
		OSTEMPLATE="../../etc"
	T
	cp "$CROFT_ROOT/6601.good" "$(conf 6601)"
	add 'CPUUNITS="7"\n'
	vzctl set 6601 --cpuunits 2000 --save
	works
}

@test "numbers too large for a counter are unlimited, not small" {
	sed -i '/^NUMPROC=/d; /^PHYSPAGES=/d' "$(conf 6601)"
	add 'NUMPROC="99999999999999999999999"\nPHYSPAGES="0:999999999999999T"\n'
	works
	run vzlist -H -o numproc.l,physpages.l 6601
	[[ "$output" =~ 9223372036854775807\ +9223372036854775807 ]]
}

@test "a NUL byte in CTID.conf: 85 or 139, the file stays, others are listed" {
	vzctl create 6610 --ostemplate busybox
	add 'DESCRIPTION="a\0b"\n'
	cp "$(conf 6601)" "$BATS_TEST_TMPDIR/before"
	for c in start mount destroy; do
		fails 85 "6601.conf: there is a NUL byte in it" $c 6601
	done
	fails 85 "NUL byte" set 6601 --cpuunits 100 --save
	cmp "$(conf 6601)" "$BATS_TEST_TMPDIR/before"
	run vzlist -a -H -o ctid
	[ "$(echo $output)" = "6601 6610" ]
	[ -d "$(vzdir)/private/6601" ]
	vzctl destroy 6610
}

@test "a line of a megabyte: of no interest, or refused at once" {
	head -c 800000 /dev/zero | tr '\0' x >"$BATS_TEST_TMPDIR/x"
	{ printf 'UNKNOWN="'; cat "$BATS_TEST_TMPDIR/x"; printf '"\n'; cat "$BATS_TEST_TMPDIR/x"; printf '\n#'; cat "$BATS_TEST_TMPDIR/x"; printf '\n'; } >>"$(conf 6601)"
	works
	vzctl stop 6601 --fast
	{ printf 'IP_ADDRESS="'; seq -f '10.1.%g.1' 1 100000 | head -c 1000000 | tr '\n' ' '; printf '"\n'; } >>"$(conf 6601)"
	run timeout 60 "$build/vzctl" start 6601
	status_is 85
	has "Bad value for IP_ADDRESS"
	[ ${#output} -lt 1000 ]
	run timeout 60 "$build/vzlist" -a
	status_is 0
	vzctl set 6601 --ipdel all --ipadd 10.66.1.1 --save
	[ "$(grep -c '^UNKNOWN=' "$(conf 6601)")" = 1 ]
	works
}

@test "duplicate keys: the first one counts, set --save leaves one" {
	sed -i '/^CPUUNITS=/d' "$(conf 6601)"
	add 'CPUUNITS="2000"\nCPUUNITS="3000"\nCPUUNITS="bad"\n'
	works
	[ "$(vzlist -H -o cpuunits 6601 | tr -d ' ')" = 2000 ]
	vzctl set 6601 --cpuunits 4000 --save
	[ "$(grep CPUUNITS "$(conf 6601)")" = 'CPUUNITS="4000"' ]
}

@test "a small number that was saved can be read again" {
	vzctl set 6601 --vm_overcommit 0.00001 --save
	grep -qx 'VM_OVERCOMMIT="0.00001"' "$(conf 6601)"
	works
}

@test "CTID.conf is a directory, a FIFO, a device, too large: nobody waits, the code is 85" {
	for kind in directory FIFO device large; do
		rm -rf "$(conf 6601)"
		case $kind in
		directory) mkdir "$(conf 6601)" ;;
		FIFO) mkfifo "$(conf 6601)" ;;
		device) ln -s /dev/zero "$(conf 6601)" ;;
		large) head -c 5000000 /dev/zero | tr '\0' '\n' >"$(conf 6601)" ;;
		esac
		for c in start destroy; do
			fails 85 "Unable to read $(conf 6601)" $c 6601
		done
		fails 85 "Unable to read $(conf 6601)" set 6601 --cpuunits 100 --save
		run timeout 60 "$build/vzlist" -a -H -o ctid
		[ "$output" = "$(printf '%10s' 6601)" ]
		run timeout 60 "$build/vzctl" status 6601
		status_is 0
		run timeout 60 "$build/vzctl" create 6601 --ostemplate busybox
		[ "$status" -ne 0 ]
		[ -e "$(conf 6601)" ]
		[ -d "$(vzdir)/private/6601" ]
	done
}

@test "CTID.conf is a symlink: set --save writes its target; to nowhere: 14" {
	mv "$(conf 6601)" "$CROFT_ROOT/elsewhere"
	ln -s "$CROFT_ROOT/elsewhere" "$(conf 6601)"
	vzctl set 6601 --cpuunits 1234 --save
	[ -L "$(conf 6601)" ]
	grep -q 'CPUUNITS="1234"' "$CROFT_ROOT/elsewhere"
	works
	vzctl stop 6601 --fast
	rm "$CROFT_ROOT/elsewhere"
	fails 14 "config file does not exist" start 6601
}

@test "vz.conf missing, a directory, a FIFO, with a NUL: 10 for all" {
	for kind in missing directory FIFO nul; do
		rm -rf "$etc/vz.conf"
		case $kind in
		directory) mkdir "$etc/vz.conf" ;;
		FIFO) mkfifo "$etc/vz.conf" ;;
		nul) printf 'LOGGING=no\0\n' >"$etc/vz.conf" ;;
		esac
		for c in "start 6601" "create 6602 --ostemplate busybox" "destroy 6601" "set 6601 --cpuunits 100 --save"; do
			# shellcheck disable=SC2086
			fails 10 "Unable to read global config $etc/vz.conf" $c
		done
	done
	[ -d "$(vzdir)/private/6601" ]
}

@test "vz.conf with garbage and bad values: warned about, the rest counts" {
	printf '%b' '@@@@\n\xff=\xfe\nVE_LAYOUT="nosuch"\nSTOP_TIMEOUT="-5"\nLOG_LEVEL=-50\nIPV6="maybe"\nTEMPLATE="relative"\n' >"$etc/vz.conf"
	cat "$CROFT_ROOT/vz.conf.good" >>"$etc/vz.conf"
	run --separate-stderr vzctl start 6601
	status_is 0
	[ "$(grep -c 'WARNING: .*vz.conf line .*line skipped' <<<"$stderr")" = 5 ]
	vzctl exec2 6601 true
}

@test "a log that is a FIFO or a full device holds nobody up" {
	rm -f "$CROFT_ROOT/fifo"
	mkfifo "$CROFT_ROOT/fifo"
	for log in "$CROFT_ROOT/fifo" /dev/full "$CROFT_ROOT/no/such"; do
		sed "s|^LOGFILE=.*|LOGFILE=$log|" "$CROFT_ROOT/vz.conf.good" >"$etc/vz.conf"
		timeout 60 "$build/vzctl" start 6601
		timeout 60 "$build/vzctl" stop 6601 --fast
	done
}

@test "samples: damaged ones give 82 and 109, nothing is made or changed" {
	printf 'CPUUNITS="x"\n' >"$etc/conf/ve-bad1.conf-sample"
	mkfifo "$etc/conf/ve-bad2.conf-sample"
	mkdir "$etc/conf/ve-bad3.conf-sample"
	printf 'CPUUNITS="100"\0\n' >"$etc/conf/ve-bad4.conf-sample"
	ln -s nowhere "$etc/conf/ve-bad5.conf-sample"
	for n in 1 2 3 4 5 6; do
		run timeout 60 "$build/vzctl" create 6602 --ostemplate busybox --config bad$n
		status_is 82
		has "ve-bad$n.conf-sample"
		[ ! -e "$(conf 6602)" ]
		[ ! -e "$(vzdir)/private/6602" ]
		run timeout 60 "$build/vzctl" set 6601 --applyconfig bad$n --save
		status_is 109
		cmp "$(conf 6601)" "$CROFT_ROOT/6601.good"
	done
	run vzctl create 6602 --ostemplate busybox --config ../../passwd
	[ "$status" -ne 0 ]
	[ ! -e "$(conf 6602)" ]
}

@test "--description: a newline is refused, control bytes and bad UTF-8 are shown harmless" {
	fails 21 "Bad value for --description" set 6601 --description $'a\nb' --save
	vzctl set 6601 --description $'esc \033[31m bell \a bad \xff\xc3( end' --save
	run vzlist -a -H -o description 6601
	status_is 0
	[[ "$output" == *"esc "*" end"* ]]
	[[ "$output" != *$'\033'* && "$output" != *$'\a'* ]]
	run vzlist -a -j 6601
	status_is 0
	[[ "$(jq -r '.. | .description? // empty' <<<"$output")" == "esc "*" end" ]]
	works
}

@test "VE_ROOT is a file, or below one: 49, nothing is left" {
	echo x >"$CROFT_ROOT/file"
	for p in "$CROFT_ROOT/file" "$CROFT_ROOT/file/root"; do
		add "VE_ROOT=\"$p\"\n"
		sed -i "0,/^VE_ROOT=/{/^VE_ROOT=/d}" "$(conf 6601)"
		fails 49 "$p" start 6601
		fails 49 "$p" mount 6601
	done
	[ "$(cat "$CROFT_ROOT/file")" = x ]
}

@test "VE_ROOT is a mount of something else: start refuses with 50 and it stays mounted" {
	mkdir -p "$CROFT_ROOT/home"
	mount -t tmpfs home "$CROFT_ROOT/home"
	echo precious >"$CROFT_ROOT/home/file"
	sed -i "s|^VE_ROOT=.*|VE_ROOT=\"$CROFT_ROOT/home\"|" "$(conf 6601)"
	fails 50 "something else than VPS 6601 is mounted at its VE_ROOT" start 6601
	fails 51 "something else" umount 6601
	fails 41 "mounted" destroy 6601
	[ "$(cat "$CROFT_ROOT/home/file")" = precious ]
	# told to use it, start does; stop leaves it as it was
	cp -a "$(vzdir)/private/6601/." "$CROFT_ROOT/home/"
	vzctl start 6601 --skip-remount
	[ "$(vzctl exec2 6601 cat /file)" = precious ]
	vzctl stop 6601 --fast
	[ "$(cat "$CROFT_ROOT/home/file")" = precious ]
	umount "$CROFT_ROOT/home"
	works
}

@test "the facts of a mount are lost: it is still known as ours, used and unmounted" {
	for layout in simfs overlay; do
		vzctl create 6610 --ostemplate busybox --layout $layout
		vzctl mount 6610
		rm -rf "$run/6610"
		vzctl start 6610
		vzctl stop 6610 --fast
		vzctl mount 6610
		rm -rf "$run/6610"
		vzctl umount 6610
		vzctl destroy 6610
	done
}

@test "destroy does not take along what VE_PRIVATE should not hold" {
	vzctl create 6610 --ostemplate busybox
	for p in "$(vzdir)/private" "$(vzdir)" "$CROFT_ROOT/etc" "$CROFT_ROOT" "$(vzdir)/private/6601"; do
		sed -i "s|^VE_PRIVATE=.*|VE_PRIVATE=\"$p\"|" "$(conf 6610)"
		fails 52 "VE_PRIVATE $p holds" destroy 6610
	done
	[ -x "$(vzdir)/private/6601/bin/busybox" ]
	sed -i "s|^VE_PRIVATE=.*|VE_PRIVATE=\"$(vzdir)/private/6610\"|" "$(conf 6610)"
	vzctl destroy 6610
	works
}

@test "a copied CTID.conf: two VPSes do not run on one private area, on neither layout" {
	for layout in simfs overlay; do
		vzctl create 6610 --ostemplate busybox --layout $layout
		sed '/^NAME=/d' "$(conf 6610)" | sed "s|^VE_PRIVATE=.*|VE_PRIVATE=\"$(vzdir)/private/6610/\"|" >"$(conf 6611)"
		vzctl start 6610
		fails 50 "is mounted for VPS 6610" start 6611
		[ "$(vzctl status 6611)" = "CTID 6611 exist unmounted down" ]
		vzctl stop 6610 --fast
		vzctl start 6611
		fails 50 "is mounted for VPS 6611" mount 6610
		vzctl stop 6611 --fast
		fails 52 "holds the files of VPS" destroy 6611
		rm "$(conf 6611)"
		vzctl start 6610
		vzctl stop 6610 --fast
		vzctl destroy 6610
	done
}

@test "VE_PRIVATE is a file or missing: 43" {
	for p in "$CROFT_ROOT/file" "$CROFT_ROOT/nosuch"; do
		echo x >"$CROFT_ROOT/file"
		sed -i "s|^VE_PRIVATE=.*|VE_PRIVATE=\"$p\"|" "$(conf 6601)"
		fails 43 "VPS private area $p does not exist" start 6601
	done
}

@test "state.json truncated, garbage, with wrong types: what runs is ended by stop, start starts anew" {
	works
	cp "$run/6601/state.json" "$BATS_TEST_TMPDIR/good"
	for bad in truncated empty garbage array types negative fifo; do
		rm -f "$run/6601/state.json"
		case $bad in
		truncated) head -c 100 "$BATS_TEST_TMPDIR/good" ;;
		empty) : ;;
		garbage) printf '\xff\x00{{{' ;;
		array) echo '[1,2]' ;;
		types) jq '.init_pid = "1"' "$BATS_TEST_TMPDIR/good" ;;
		negative) jq '.init_start = 0' "$BATS_TEST_TMPDIR/good" ;;
		fifo) : ;;
		esac >"$run/6601/state.json"
		[ $bad != fifo ] || { rm "$run/6601/state.json"; mkfifo "$run/6601/state.json"; }
		run --separate-stderr timeout 60 "$build/vzctl" status 6601
		[ "$output" = "CTID 6601 exist mounted down" ]
		[[ "$stderr" == "CT 6601: left over from "*"damaged state file"* ]]
		run timeout 60 "$build/vzlist" -a
		status_is 0
		fails 31 "not running" exec 6601 true
		if [ $bad = truncated ]; then
			run timeout 60 "$build/vzctl" stop 6601
			has "Container was stopped"
			leaves_nothing
		fi
		timeout 60 "$build/vzctl" start 6601
		[ "$(vzctl exec2 6601 'echo in')" = in ]
		cp "$run/6601/state.json" "$BATS_TEST_TMPDIR/good"
	done
}

@test "state.json of another boot: the VPS is down, and starts" {
	works
	jq '.boot_id = "00000000-0000-0000-0000-000000000000"' "$run/6601/state.json" >"$BATS_TEST_TMPDIR/s"
	vzctl stop 6601 --fast
	cp "$BATS_TEST_TMPDIR/s" "$run/6601/state.json"
	[ "$(vzctl status 6601)" = "CTID 6601 exist unmounted down" ]
	works
}

@test "/run/vz is gone: a VPS that is down starts" {
	umount "$run/bpf" 2>/dev/null || : # where the node has no BPF file system of its own
	rm -rf "$run" "$CROFT_ROOT/run/lock"
	works
	[ "$(vzctl status 6601)" = "CTID 6601 exist mounted running" ]
}

@test "what is kept of this boot is damaged: made anew, every VPS starts with its filter and limits" {
	vzctl --quiet set 6601 --ram 64M --save
	works
	vzctl stop 6601 --fast
	cp -ax "$run" "$CROFT_ROOT/run.good"
	for f in "$run/cgroups" "$run"/seccomp-*.bpf "$run/6601/generation"; do
		for kind in empty garbage truncated zeros fifo directory; do
			rm -rf "$f"
			case $kind in
			empty) : >"$f" ;;
			garbage) head -c 800 "$build/vzctl" >"$f" ;;
			truncated) head -c 160 "$CROFT_ROOT/run.good${f#"$run"}" >"$f" ;;
			zeros) head -c 800 /dev/zero >"$f" ;;
			fifo) mkfifo "$f" ;;
			directory) mkdir "$f" ;;
			esac
			timeout 60 "$build/vzctl" --quiet start 6601
			[ "$(vzctl exec2 6601 'grep -c "^Seccomp:.*2$" /proc/1/status')" = 1 ]
			[ "$(vzlist -H -o physpages.l 6601 | tr -d ' ')" = 16384 ]
			grep -q memory= "$run/6601/state.json" || [ ! -d /sys/fs/cgroup/memory ]
			vzctl --quiet stop 6601 --fast
			rm -rf "$f"
		done
	done
	rm -rf "$CROFT_ROOT/run.good"
}

@test "the filter of a running VPS is damaged: exec refuses, and does not wait" {
	works
	for kind in missing empty garbage fifo; do
		rm -f "$run/6601/seccomp.bpf"
		case $kind in
		empty) : >"$run/6601/seccomp.bpf" ;;
		garbage) head -c 800 "$build/vzctl" >"$run/6601/seccomp.bpf" ;;
		fifo) mkfifo "$run/6601/seccomp.bpf" ;;
		esac
		run --separate-stderr timeout 60 "$build/vzctl" exec3 6601 true
		status_is 3
		[ "${#stderr_lines[@]}" -eq 1 ]
	done
}

@test "lock file: garbage, a dead holder, one byte are taken over; a living holder is honoured; no file: 3" {
	mkdir -p "$CROFT_ROOT/run/lock/vz"
	lock=$CROFT_ROOT/run/lock/vz/6601.lck
	for text in '' 'x' '\xff\xfe' '-1\nstarting\n' '0\n' '99999999999999999999\n' '4000000\nstarting\n' "$$\nstarting\n1\n"; do
		printf '%b' "$text" >"$lock"
		vzctl --quiet mount 6601
		vzctl --quiet umount 6601
		[ ! -e "$lock" ]
	done
	printf '%s\nstarting\n' $$ >"$lock"
	fails 9 "locked (by pid $$)" start 6601
	rm "$lock"
	for kind in directory fifo link; do
		case $kind in
		directory) mkdir "$lock" ;;
		fifo) mkfifo "$lock" ;;
		link) ln -s /etc/hostname "$lock" ;;
		esac
		fails 3 "Unable to make lock file $lock" start 6601
		vzctl --quiet --skiplock mount 6601
		vzctl --quiet --skiplock umount 6601
		rm -rf "$lock"
	done
}

@test "name servers: inherit beside an address is refused, so that no saved file is unreadable" {
	fails 72 "Bad value for --nameserver" set 6601 --nameserver 8.8.8.8 --nameserver inherit --save
	fails 72 "Bad value for --nameserver" set 6601 --nameserver inherit --nameserver 8.8.8.8 --save
	cmp "$(conf 6601)" "$CROFT_ROOT/6601.good"
}

@test "no option puts a second line into the configuration" {
	fails 21 "Bad value for --devnodes" set 6601 --devnodes $'null\nONBOOT=yes:rw' --save
	fails 21 "Bad value for --devices" set 6601 --devices $'c:1:3:r\nONBOOT=yes' --save
	fails 21 "Bad value for --iptables" set 6601 --iptables $'a\nONBOOT=yes' --save
	fails 72 "Bad value for --nameserver" set 6601 --nameserver $'8.8.8.8\nONBOOT=yes' --save
	cmp "$(conf 6601)" "$CROFT_ROOT/6601.good"
}

@test "--netif_add: a MAC address or name that is none is refused" {
	for v in 'eth0,00:18:51' 'eth0,00:18:51:00:00:0g' 'eth0;eth1' 'eth0,,v;0' 'eth0,00:18:51:00:00:01,../v' 'eth 0' ',' \
		'eth0,00:18:51:00:00:01,v0,00:18:51:00:00:02,br0,x'; do
		fails 21 "Bad value for --netif_add" set 6601 --netif_add "$v" --save
	done
	cmp "$(conf 6601)" "$CROFT_ROOT/6601.good"
}

@test "names: a directory, a FIFO, a link to nowhere in the place of a link" {
	mkdir "$etc/names/d1"
	mkfifo "$etc/names/d2"
	ln -s nowhere "$etc/names/d3"
	ln -s ../conf/6699.conf "$etc/names/d4"
	for n in 1 2 3 4; do
		fails 21 "Unable to find VPS by name d$n" start d$n
	done
	fails 131 "d1" set 6601 --name d1 --save
	run ! grep -q '^NAME=' "$(conf 6601)"
	vzctl set 6601 --name d4 --save
	[ "$(vzctl status d4)" = "CTID 6601 exist unmounted down" ]
	vzctl set d4 --name '' --save
	rm -rf "$etc"/names/d*
}
