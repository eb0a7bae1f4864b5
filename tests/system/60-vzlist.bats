#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host,node
bats_require_minimum_version 1.5.0
load ../lib/common

# 6142 running with everything set, 6143 stopped, 6144 mounted, 6145 suspended: made once, only looked at
setup_file() {
	make_root
	vzctl --quiet create 6142 --ostemplate busybox --name web --hostname web.example.net --description 'say "hi" \o/' \
		--ipadd 198.51.100.61 --ipadd 198.51.100.62
	vzctl --quiet set 6142 --numproc 50:60 --ram 100M --swap 50M --cpuunits 1500 --cpulimit 75 --cpus 1 --onboot yes \
		--bootorder 5 --features nfs:on,ppp:off --capability sys_time:on --nameserver '192.0.2.1 192.0.2.2' --save
	for n in 6143 6144 6145; do
		vzctl --quiet create $n --ostemplate busybox
	done
	vzctl --quiet set 6143 --hostname a-very-long-host-name-indeed.example.net --name db --onboot no --bootorder 9 --disabled yes --save
	vzctl --quiet mount 6144
	: >"$(vzdir)/dump/Dump.6145"
	vzctl --quiet start 6142
}
teardown_file() {
	rm -f "$(vzdir)/dump/Dump.6145"
	destroy_all
	remove_root
}

json() { vzlist -a -j "$@"; }

@test "without flags: the header, then running VPSes only" {
	run --separate-stderr vzlist
	status_is 0
	[ -z "$stderr" ]
	[ "${#lines[@]}" -eq 2 ]
	[ "${lines[0]}" = "      CTID      NPROC STATUS    IP_ADDR         HOSTNAME" ]
	[[ "${lines[1]}" =~ ^\ \ \ \ \ \ 6142\ {1,10}[1-9][0-9]*\ running\ \ \ 198\.51\.100\.61\ \ \ web\.example\.net$ ]]
}

@test "-a and --all: all of them, by number, with their states" {
	for f in -a --all; do
		run vzlist $f -H -o ctid,status
		status_is 0
		[ "$output" = $'      6142 running\n      6143 stopped\n      6144 mounted\n      6145 suspended' ]
	done
}

@test "-S: those that do not run; mounted and suspended count" {
	for f in -S --stopped; do
		run vzlist -1 $f
		[ "$output" = $'      6143\n      6144\n      6145' ]
	done
	run vzlist -HS
	[ "${#lines[@]}" -eq 3 ]
}

@test "-n: the name, or the number, comes first" {
	for f in -n --name; do
		run vzlist -a $f
		[ "${lines[0]}" = " SMARTNAME      NPROC STATUS    IP_ADDR         HOSTNAME" ]
		[[ "${lines[1]}" == "       web "* ]]
		[[ "${lines[2]}" == "        db "* ]]
		[[ "${lines[3]}" == "      6144 "* ]]
	done
}

@test "-H, -1 and their attached spellings" {
	run vzlist -a -H -o ctid
	[ "${lines[0]}" = "      6142" ]
	run vzlist -a --no-header -octid
	[ "${lines[0]}" = "      6142" ]
	run vzlist -a1
	[ "${#lines[@]}" -eq 4 ]
	[ "${lines[3]}" = "      6145" ]
	run vzlist -aHohostname
	[ "${lines[0]}" = web.example.net ]
	run vzlist -Ho hostname
	[ "$output" = web.example.net ]
	run vzlist -a --output=ctid,ctid -H
	[ "${lines[0]}" = "      6142       6142" ]
}

@test "a text column that is not last is cut to its width, the last one is whole" {
	run vzlist -a -H -o hostname,ctid 6143
	[ "$output" = "a-very-long-host-name-indeed.exa       6143" ]
	run vzlist -a -H -o ctid,hostname 6143
	[ "$output" = "      6143 a-very-long-host-name-indeed.example.net" ]
}

@test "lists: the first item unless last; -t shows them whole and keeps the blanks" {
	run vzlist -H -o ip,ctid
	[ "$output" = "198.51.100.61         6142" ]
	run vzlist -H -o ctid,ip
	[ "$output" = "      6142 198.51.100.61 198.51.100.62" ]
	run vzlist -H -o ctid,nameserver
	[ "$output" = "      6142 192.0.2.1 192.0.2.2" ]
	run vzlist -t -H -o ip,ctid
	[ "$output" = "198.51.100.61 198.51.100.62       6142" ]
	run vzlist -t -H -o ctid,status
	[ "$output" = "      6142 running  " ]
	run vzlist -H -o ctid,status
	[ "$output" = "      6142 running" ]
}

@test "a missing value is a dash in the field's alignment" {
	run vzlist -a -H -o numproc,hostname,ctid 6144
	[ "$output" = "         - -                                      6144" ]
	run vzlist -a -H -o uptime,laverage,onboot,bootorder 6144
	[ "$output" = "              -              -      -          -" ]
}

@test "-s sorts, - reverses, an unknown field gives 1" {
	run vzlist -a1 -s -ctid
	[ "$output" = $'      6145\n      6144\n      6143\n      6142' ]
	run vzlist -a1 --sort=hostname
	[ "${lines[2]}${lines[3]}" = "      6143      6142" ]
	run vzlist -a1 -s status
	[ "$output" = $'      6142\n      6143\n      6144\n      6145' ]
	run vzlist -a1 -s -bootorder
	[ "${lines[0]}${lines[1]}" = "      6143      6142" ]
	run --separate-stderr vzlist -s nosuch
	status_is 1
	[ "$stderr" = "Invalid sort field name: nosuch" ]
	[ -z "$output" ]
}

@test "-h, -N and -d are shell patterns" {
	run vzlist -a1 -h '*.example.net'
	[ "$output" = $'      6142\n      6143' ]
	run vzlist -1 -h '*.example.net'
	[ "$output" = "      6142" ]
	run vzlist -a1 --hostname='web.*'
	[ "$output" = "      6142" ]
	run vzlist -a1 -N 'd?'
	[ "$output" = "      6143" ]
	run vzlist -a1 -d 'say*'
	[ "$output" = "      6142" ]
	run --separate-stderr vzlist -a1 -h nosuch
	status_is 0
	[ "$stderr" = "Container(s) not found" ]
}

@test "-L: two words a line, each column 15 wide; code 0" {
	for f in -L --list; do
		run --separate-stderr vzlist $f
		status_is 0
		[ -z "$stderr" ]
		run ! grep -vE '^[a-z0-9_.]{1,15} +[A-Z0-9_.]+ *$' <<<"$output"
	done
	run vzlist -L
	[ "${lines[0]}" = "ctid            CTID           " ]
	for f in $(awk '{ print $1 }' <<<"$output"); do
		run --separate-stderr vzlist -a -o "$f"
		status_is 0
		[ -z "$stderr" ]
		[ "${#lines[@]}" -eq 5 ]
	done
}

@test "every field of the reference is there" {
	run vzlist -L
	have=" $(awk '{ printf "%s ", $1 }' <<<"$output")"
	for f in ctid veid vpsid private root mount_opts origin_sample hostname name smart_name description ostemplate ip nameserver \
		searchdomain status kmemsize lockedpages privvmpages shmpages numproc physpages vmguarpages oomguarpages numtcpsock \
		numflock numpty numsiginfo tcpsndbuf tcprcvbuf othersockbuf dgramrcvbuf numothersock dcachesize numfile numiptent \
		swappages numproc.m numproc.b numproc.l numproc.f diskspace diskspace.s diskspace.h diskinodes diskinodes.s \
		diskinodes.h laverage uptime cpulimit cpuunits cpus ioprio iolimit iopslimit onboot bootorder layout features vswap \
		disabled vm_overcommit netfilter capability; do
		[[ "$have" == *" $f "* ]] || { echo "no $f" >&2; return 1; }
	done
}

@test "bad options and fields give 1, --help the usage" {
	run --separate-stderr vzlist -o nosuch
	status_is 1
	[ "$stderr" = "Unknown field: nosuch" ]
	run --separate-stderr vzlist -o ctid,
	[ "$status" -le 1 ]
	run --separate-stderr vzlist --nosuch
	status_is 1
	[ -z "$output" ]
	[[ "$stderr" == *"Usage: vzlist"* ]]
	run vzlist --help
	status_is 1
	has "Usage: vzlist"
	run --separate-stderr vzlist -j -o numproc.l
	status_is 1
	[ "$stderr" = "Field \`numproc.l' is not available in JSON output" ]
}

@test "arguments: CTIDs and names whatever their state; bad ones give 1" {
	run vzlist -1 6143 web
	status_is 0
	[ "$output" = $'      6142\n      6143' ]
	run vzlist -1 6143 6143
	[ "$output" = "      6143" ]
	run --separate-stderr vzlist nosuch
	status_is 1
	[ "$stderr" = "CT ID nosuch is invalid." ]
	[ -z "$output" ]
	run --separate-stderr vzlist 6999
	status_is 1
	[ "$stderr" = "Container(s) not found" ]
	run --separate-stderr vzlist -j 6999
	status_is 1
	[ "$output" = "[]" ]
	run vzlist -1 6999 6142
	status_is 0
	[ "$output" = "      6142" ]
}

@test "an empty list: code 0; JSON is [] and a newline" {
	mkdir -p "$BATS_TEST_TMPDIR/etc/vz/conf"
	cp "$CROFT_ROOT/etc/vz/vz.conf" "$BATS_TEST_TMPDIR/etc/vz/"
	CROFT_ROOT=$BATS_TEST_TMPDIR run --separate-stderr vzlist -a
	status_is 0
	[ "$stderr" = "Container(s) not found" ]
	[ "$(CROFT_ROOT=$BATS_TEST_TMPDIR vzlist -a -j | od -An -c | tr -d ' ')" = '[]\n' ]
	CROFT_ROOT=$BATS_TEST_TMPDIR run --separate-stderr vzlist -j
	[ "$output" = "[]" ]
	[ -z "$stderr" ]
}

@test "JSON: well formed, numbers are numbers, counters and disks never null" {
	json | jq -e 'length == 4 and all(.[]; (.ctid | type) == "number")'
	json | jq -e '[.[].ctid] == [6142, 6143, 6144, 6145]'
	json | jq -e '[.[].status] == ["running", "stopped", "mounted", "suspended"]'
	for f in kmemsize lockedpages privvmpages shmpages numproc physpages vmguarpages oomguarpages numtcpsock numflock numpty \
		numsiginfo tcpsndbuf tcprcvbuf othersockbuf dgramrcvbuf numothersock dcachesize numfile numiptent swappages; do
		json | jq -e "all(.[].$f; all(.held, .maxheld, .barrier, .limit, .failcnt; type == \"number\"))"
	done
	for f in diskspace diskinodes; do
		json | jq -e "all(.[].$f; all(.usage, .softlimit, .hardlimit; type == \"number\"))"
	done
	json | jq -e 'all(.[]; (.uptime | type) == "number" and (.ip | type) == "array" and (.nameserver | type) == "array")'
	json | jq -e 'all(.[]; (.disabled | type) == "boolean" and (.vswap | type) == "boolean")'
}

@test "JSON: values of the running one" {
	json 6142 | jq -e '.[0] | .name == "web" and .smart_name == "web" and .hostname == "web.example.net"'
	json 6142 | jq -e '.[0].description == "say \"hi\" \\o/"'
	json 6142 | jq -e '.[0] | .ip == ["198.51.100.61", "198.51.100.62"] and .nameserver == ["192.0.2.1", "192.0.2.2"]'
	json 6142 | jq -e '.[0] | .numproc.barrier == 50 and .numproc.limit == 60 and .physpages.limit == 25600 and .swappages.limit == 12800'
	json 6142 | jq -e '.[0] | .cpuunits == 1500 and .cpulimit == 75 and .cpus == 1 and .onboot == true and .bootorder == 5'
	json 6142 | jq -e '.[0] | .features == {"nfs": true, "ppp": false} and .capability == {"sys_time": true}'
	json 6142 | jq -e '.[0] | .vswap == true and .disabled == false and .layout == "simfs" and .ostemplate == "busybox"'
	json 6143 | jq -e '.[0] | .onboot == false and .disabled == true and .smart_name == "db" and .description == null and .ip == []'
	json 6144 | jq -e '.[0] | .onboot == null and .bootorder == null and .cpulimit == null and .cpus == 0 and .smart_name == "6144"'
	json 6144 | jq -e '.[0] | .numproc.held == 0 and .numproc.limit == 9223372036854775807 and .uptime == 0'
}

@test "JSON with -o and -1: only those columns, in that order" {
	[ "$(vzlist -a1j | jq -c .)" = '[{"veid":6142},{"veid":6143},{"veid":6144},{"veid":6145}]' ]
	[ "$(vzlist -j -o status,ctid | jq -c .)" = '[{"status":"running","ctid":6142}]' ]
	[ "$(vzlist -H -t -j -o ctid)" = "$(vzlist -j -o ctid)" ]
}

@test "what a running VPS holds is plausible and follows" {
	held() { json 6142 | jq ".[0].$1.held"; }
	n=$(held numproc)
	[ "$n" -ge 2 ] && [ "$n" -le 20 ]
	p=$(held physpages)
	[ "$p" -ge 20 ] && [ "$p" -le 25600 ]
	vzctl exec2 6142 'for i in 1 2 3 4 5; do sleep 1000 </dev/null >/dev/null 2>&1 & done; head -c 8000000 /dev/zero >/tmp/fill'
	[ "$(held numproc)" -ge $((n + 5)) ]
	[ "$(held physpages)" -ge $((p + 1500)) ]
	json 6142 | jq -e '.[0] | .numproc.maxheld >= .numproc.held and .physpages.maxheld >= .physpages.held'
	vzctl exec2 6142 'killall sleep; rm /tmp/fill'
	json 6142 | jq -e '.[0].numproc.failcnt == 0'
}

@test "uptime: from the start, the same in JSON, text and inside" {
	run vzlist -H -o uptime
	[[ "$output" =~ ^000d00h:[0-5][0-9]m:[0-5][0-9]s$ ]]
	inside=$(vzctl exec2 6142 'cut -d. -f1 /proc/uptime')
	u=$(json 6142 | jq '.[0].uptime | floor')
	[ $((u - inside)) -le 5 ] && [ $((inside - u)) -le 5 ]
	json 6142 | jq -e '.[0].uptime > 0'
}

@test "configured limits of a stopped one are shown, what it holds is not" {
	vzctl --quiet set 6143 --numproc 7:8 --save
	run vzlist -a -H -o numproc,numproc.m,numproc.b,numproc.l,numproc.f 6143
	[ "$output" = "         -          -          7          8          -" ]
}

@test "bad lines in a configuration do not disturb the list" {
	printf '%s\n' 'NUMPROC="nonsense"' garbage >>"$(conf 6145)"
	run --separate-stderr vzlist -a1
	status_is 0
	[ "${#lines[@]}" -eq 4 ]
	[ -z "$stderr" ]
}

@test "not root: one line, code 1" {
	cp "$build/vzlist" "$BATS_TEST_TMPDIR/vzlist"
	chmod 755 "$BATS_TEST_TMPDIR/vzlist"
	run python3 - "$build/vzlist" <<'P'
import os, subprocess, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
r = subprocess.run(['/proc/self/fd/%d' % fd], pass_fds=[fd], user=65534, group=65534, extra_groups=[], capture_output=True, text=True)
print(r.returncode, r.stdout + r.stderr, end='')
P
	[ "$output" = "1 This program can only be run under root." ]
}
