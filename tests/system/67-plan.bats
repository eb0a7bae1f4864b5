#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host
# Planning: what a memory limit implies, what `set` refuses, vzcfgvalidate, vzcalc, vzmemcheck, vzoversell, vzplan,
# vzsplit, vznnc.
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
	make_root overlay
	vzctl --quiet create 6750 --ostemplate busybox --config vswap-256m --name web
	vzctl --quiet create 6751 --ostemplate busybox --config basic
	cp "$(conf 6750)" "$CROFT_ROOT/6750.first"
}
teardown_file() {
	destroy_all
	remove_root
}
teardown() {
	for i in 6750 6751; do vzctl --quiet stop $i --fast; done >/dev/null 2>&1 || :
	cp "$CROFT_ROOT/6750.first" "$(conf 6750)"
	leaves_nothing
}

validate() { run --separate-stderr "$build/vzcfgvalidate" "$@"; }
# fields FIELD[,FIELD...] of 6750, blanks between
fields() { vzlist -H -o "$1" 6750 | xargs; }
unlimited=9223372036854775807
mem_total() { awk '/^MemTotal:/ { print $2 }' /proc/meminfo; } # KiB

# ---- what a memory limit implies ----

@test "a limit of RAM implies locked, guaranteed and allocated memory, in vzlist and in no file" {
	[ "$(fields lockedpages.b,lockedpages.l,oomguarpages.b,oomguarpages.l)" = "65536 65536 65536 $unlimited" ]
	[ "$(fields vmguarpages.b,vmguarpages.l,privvmpages.b,privvmpages.l)" = "196608 $unlimited $unlimited $unlimited" ]
	[ "$(fields kmemsize.l,vswap)" = "$unlimited yes" ]
	run --separate-stderr vzctl set 6750 --ram 128M --swap 64M --vm_overcommit 1.5 --save
	status_is 0
	[ "$(fields lockedpages.l,oomguarpages.b,vmguarpages.b,privvmpages.b,privvmpages.l)" = '32768 32768 49152 73728 73728' ]
	run ! grep -E '^(LOCKED|OOMGUAR|VMGUAR|PRIVVM)PAGES=' "$(conf 6750)"
	# what somebody set stays, and what is no limit implies nothing
	vzctl --quiet set 6750 --oomguarpages 7:unlimited --save
	vzctl --quiet set 6750 --ram 256M --save
	[ "$(fields lockedpages.l,oomguarpages.b)" = '65536 7' ]
	vzctl --quiet set 6750 --ram unlimited --save
	[ "$(fields lockedpages.l,oomguarpages.b,vmguarpages.b,vswap)" = "$unlimited 7 $unlimited no" ]
}

@test "limits of a running VPS that were not saved imply too, until it stops" {
	vzctl --quiet start 6750
	vzctl set 6750 --ram 128M
	[ "$(fields lockedpages.l,oomguarpages.b,vmguarpages.b)" = '32768 32768 163840' ]
	vzctl --quiet set 6750 --cpuunits 500 --save
	[ "$(fields lockedpages.l)" = 32768 ]
	run ! grep -E '^(LOCKED|OOMGUAR|VMGUAR|PRIVVM)PAGES=' "$(conf 6750)"
	vzctl --quiet stop 6750 --fast
	[ "$(fields lockedpages.l,physpages.l)" = '65536 65536' ]
}

@test "set names the option that was typed: --ram never warns of --physpages" {
	vzctl --quiet start 6750
	run --separate-stderr vzctl set 6750 --ram 128M --swap 64M --save
	status_is 0
	[[ "$stderr" != *pages* ]]
	for bad in '--ram 1X' '--swap 1X' '--ram 64Q'; do
		# shellcheck disable=SC2086 # option and value
		fails 21 "Bad value for ${bad% *}: \"${bad#* }\"" set 6750 $bad --save
	done
	fails 21 'Bad value for --physpages: "1X"' set 6750 --physpages 1X --save
}

# ---- what is refused ----

# refused TEXT OPTION...: 21, one line, nothing is changed
refused() {
	local text=$1
	shift
	sha256sum "$(conf 6750)" >"$BATS_TEST_TMPDIR/before"
	fails 21 "$text" set 6750 "$@" --save
	sha256sum --quiet -c "$BATS_TEST_TMPDIR/before"
}

@test "barrier above limit, overflow, negative, unknown suffix, more than the node has: 21, no change" {
	vzctl --quiet start 6750
	held=$(fields physpages.l,numproc.l,kmemsize.l)
	for o in kmemsize lockedpages physpages numproc swappages numfile diskspace diskinodes; do
		refused "--$o: \"20:10\" (allowed: a barrier that is not above the limit)" --$o 20:10
	done
	for o in numproc kmemsize privvmpages; do
		refused "--$o: \"unlimited:10\"" --$o unlimited:10
		refused "--$o: \"99999999999999999999\" (allowed: up to $unlimited" --$o 99999999999999999999
		refused "--$o: \"-5\"" --$o=-5
		refused "--$o: \"10Y\"" --$o 10Y
		refused "--$o: \"1:2:3\"" --$o 1:2:3
	done
	refused '--ram: "99999999T"' --ram 99999999T
	refused '--ram: no memory' --ram 0
	refused "--ram: 8388608 MiB are more than the $(($(mem_total) / 1024)) MiB of this node" --ram 8191G --ram 8192G
	refused '--physpages: 4194304 MiB' --physpages 0:4T
	fails 21 '--ram: 8388608 MiB are more than' create 6753 --ostemplate busybox --ram 8T
	fails 21 '--numfile: "2:1"' create 6753 --ostemplate busybox --numfile 2:1
	[ ! -e "$(conf 6753)" ]
	# good ones before a bad one are not taken either
	refused '--numproc: "2:1"' --ram 64M --numproc 2:1
	[ "$(fields physpages.l,numproc.l,kmemsize.l)" = "$held" ]
}

@test "unlimited is a number of its own; for another node --force stores what this one has not" {
	vzctl --quiet set 6750 --numproc unlimited --kmemsize 1M:unlimited --save
	[ "$(fields numproc.b,numproc.l,kmemsize.b,kmemsize.l)" = "$unlimited $unlimited 1048576 $unlimited" ]
	grep -q '^KMEMSIZE="1048576:unlimited"' "$(conf 6750)"
	vzctl --quiet set 6750 --ram 4T --force --save
	grep -q '^PHYSPAGES="0:1073741824"' "$(conf 6750)"
	# a file may hold what the command line refuses; the validator names it
	sed -i 's/^KMEMSIZE=.*/KMEMSIZE="2:1"/' "$(conf 6750)"
	[ "$(fields kmemsize.b,kmemsize.l)" = '2 1' ]
	validate "$(conf 6750)"
	status_is 2
	has 'Error: kmemsize should have a barrier of at most its limit (now 2:1)'
	has "Error: physpages.lim should be at most the node's RAM"
}

# ---- vzcfgvalidate ----

@test "every sample is valid on a node with that much memory" {
	for f in "$top"/etc/conf/*.conf-sample; do
		pages=$(sed -n 's/^PHYSPAGES="0:\([0-9]*\)"/\1/p' "$f")
		validate "$f"
		if [ $((${pages:-0} * 4)) -le "$(mem_total)" ]; then
			status_is 0
			[ "${lines[-1]}" = 'Validation completed: success' ]
			run ! grep -qE '^(Error|Warning)' <<<"$output"
		else
			status_is 2
		fi
		[ -z "$stderr" ]
	done
}

@test "a broken configuration: what is wrong, 2; -r mends it and keeps all else; -i asks" {
	f=$BATS_TEST_TMPDIR/broken.conf
	{ echo '# mine' && sed 's/^NUMPROC=.*/NUMPROC="230:240"/; s/^NUMFILE=.*/NUMFILE="5000"/; s/^TCPSNDBUF=.*/TCPSNDBUF="1000:2000"/
		s/^DGRAMRCVBUF=.*/DGRAMRCVBUF="40000"/' "$top/etc/conf/ve-basic.conf-sample" && echo 'OTHER="x y"'; } >"$f"
	cp "$f" "$f.first"
	validate "$f"
	status_is 2
	[ "$output" = 'Error: numproc should have a barrier equal to its limit (now 230:240)
Warning: numfile should be at least 5760 (now 5000)
Warning: tcpsndbuf.bar should be at least 65536 (now 1000)
Recommendation: dgramrcvbuf.bar should be at least 132096 (now 40000)
Error: tcpsndbuf.lim - .bar should be at least 921600 (now 1000)' ]
	cmp "$f" "$f.first"
	# no to one: nothing is written
	run "$build/vzcfgvalidate" -i "$f" <<<$'y\nmaybe\nn\ny\ny\ny'
	status_is 2
	has 'set to 5760 (y/n) [y] (y/n) [y] '
	cmp "$f" "$f.first"
	run "$build/vzcfgvalidate" -i "$f" </dev/null
	status_is 2
	# no to a recommendation: all else is
	run "$build/vzcfgvalidate" -i "$f" <<<$'y\n\ny\nn\ny'
	status_is 0
	[ "$(sed 's/^NUMPROC=.*/NUMPROC="240"/; s/^NUMFILE=.*/NUMFILE="5760"/; s/^TCPSNDBUF=.*/TCPSNDBUF="65536:987136"/' "$f.first")" = "$(cat "$f")" ]
	cp "$f.first" "$f"
	validate -r "$f"
	status_is 0
	has 'set to 132096'
	[ "${lines[-1]}" = 'Validation completed: success' ]
	grep -q '^DGRAMRCVBUF="132096"' "$f"
	grep -qx '# mine' "$f" && grep -qx 'OTHER="x y"' "$f"
	validate "$f"
	[ "$output" = 'Validation completed: success' ]
}

@test "vzcfgvalidate: what is missing or unreadable cannot be mended; -v chooses the rules" {
	f=$BATS_TEST_TMPDIR/x.conf
	sed '/^NUMIPTENT=/d' "$top/etc/conf/ve-basic.conf-sample" >"$f"
	validate -r "$f"
	status_is 2
	[ "$output" = 'Error: parameter numiptent not found' ]
	validate -v yes "$f"
	status_is 2
	has "Error: physpages.lim should be at most the node's RAM"
	validate -v no "$top/etc/conf/ve-vswap-256m.conf-sample"
	status_is 2
	[ "$(grep -c 'not found$' <<<"$output")" = 19 ]
	echo 'NUMPROC="many"' >>"$f"
	sed -i '0,/^NUMPROC/{/^NUMPROC/d}' "$f"
	validate -r "$f"
	status_is 2
	has 'Error: 1 line(s) with a bad value'
	validate /nowhere/x.conf
	status_is 1
	[ "$stderr" = 'vzcfgvalidate: /nowhere/x.conf cannot be read: No such file or directory' ]
	for words in '' '-v perhaps x' '-x' 'a b'; do
		# shellcheck disable=SC2086 # words
		validate $words
		status_is 1
		[ -n "$stderr" ]
	done
}

# ---- use of the node ----

@test "vzcalc and vzmemcheck: parts of the node, from the counters of the kernel" {
	vzctl --quiet start 6750
	vzctl --quiet start 6751
	run --separate-stderr "$build/vzcalc" -v web
	status_is 0
	[ "${lines[0]}" = 'Resource     Current(%)  Promised(%)  Max(%)' ]
	[ "${#lines[@]}" = 8 ]
	[ "${lines[6]}" = '--------------------------------------------' ]
	# promised: 256 MiB of RAM + swap (1 byte at least); 768 MiB may be allocated
	ms=$(awk '/^MemTotal:/ { m = $2 * 1024 } /^SwapTotal:/ { s = $2 * 1024 } END { printf "%.2f", 268435456 * 100 / (m + (s ? s : 1)) }' /proc/meminfo)
	[ "$(awk '/^Mem \+ Swap/ { print $5 }' <<<"$output")" = "$ms" ]
	[ "$(awk '/^Total RAM/ { print $4, $5 }' <<<"$output")" = 'n/a n/a' ]
	# no limit of processes: an eighth of the node's, or one for 256 KiB of RAM
	[ "$(awk '/^Num. Proc/ { print ($5 > 0 && $5 <= 12.5) }' <<<"$output")" = 1 ]
	# the last row is the largest of each column
	[ "$(awk 'NR > 1 && NR < 7 { v = $(NF - 2); if (v + 0 > m) m = v + 0 } /^Memory/ { print ($2 + 0 == m) }' <<<"$output")" = 1 ]
	held=$(vzlist -H -o physpages 6750)
	[ "$(awk -v pages="$held" -v kib="$(mem_total)" '/^Total RAM/ { d = $3 - pages * 400 / kib; print (d < 0.05 && d > -0.05) }' <<<"$output")" = 1 ]
	run "$build/vzcalc" 6751
	[ "${#lines[@]}" = 2 ]
	vzctl --quiet stop 6751 --fast
	run "$build/vzcalc" 6751
	[ "$(awk '/^Memory/ { print $2 }' <<<"$output")" = n/a ]
	vzctl --quiet start 6751

	run --separate-stderr "$build/vzmemcheck" -v -A
	status_is 0
	[ "${lines[0]}" = 'Output values in Mbytes' ]
	[ "${lines[1]}" = 'CTID        LowMem  LowMem     RAM MemSwap MemSwap   Alloc   Alloc   Alloc' ]
	[ "${lines[2]}" = '              util  commit    util    util  commit    util  commit   limit' ]
	[ "$(awk 'NR > 3 && NF == 9 && $1 ~ /^[0-9]+$/ { print $1 }' <<<"$output" | xargs)" = '6750 6751' ]
	# sums of the rows; 6751 promises its barriers, 6750 its RAM
	[ "$(awk '$1 ~ /^67/ { for (i = 2; i < 10; i++) t[i] += $i } $1 == "Summary:" { for (i = 2; i < 10; i++) { d = t[i] - $i; if (d > 0.02 || d < -0.02) bad = 1 } print bad + 0 }' <<<"$output")" = 0 ]
	[ "$(awk '$1 == 6750 { print $3, $6, $8, $9 }' <<<"$output")" = '0.00 256.00 768.00 768.00' ]
	# kernel memory is counted apart; nothing is in use that was not allocated
	[ "$(awk '$1 == 6750 { print ($2 > 0 && $7 >= $5 && $5 >= $4) }' <<<"$output")" = 1 ]
	# K.limit of ve-basic: 14790164 + 2 x 2703360 + 262144 + 2097152
	[ "$(awk '$1 == 6751 { print $3 }' <<<"$output")" = 21.51 ]
	[ "$(awk '$1 == 6751 { print $6, $8, $9 }' <<<"$output")" = '123.51 153.51 293.51' ]
	run "$build/vzmemcheck"
	[ "${#lines[@]}" = 4 ] && [ "${lines[0]}" = 'Output values in %' ]
	for words in 'vzmemcheck x' 'vzmemcheck -q' vzcalc 'vzcalc 9999' 'vzcalc nobody'; do
		# shellcheck disable=SC2086 # program and words
		run --separate-stderr "$build/"$words
		status_is 1
		[ -n "$stderr" ] && [ -z "$output" ]
	done
}

@test "vzoversell: limits of those that run against the node; a table of OpenVZ as well" {
	vzctl --quiet start 6750
	vzctl --quiet start 6751
	run --separate-stderr "$build/vzoversell"
	status_is 0
	[ "$(awk '$1 == 6750 { print $4, $8 }' <<<"$output")" = '256M 512M' ]
	[ "$(awk '$1 == 6751 { print $4, $8, $10 }' <<<"$output")" = '136M - RS' ]
	[ "$(awk '$1 == "TOTAL" { print $4, $8 }' <<<"$output")" = '392M 512M' ]
	[ "$(awk '$1 == "RAM" && $2 == "available:" { print $5, $7 }' <<<"$output")" = "392M $(awk -v kib="$(mem_total)" 'BEGIN { printf "%.0f%%", 392 * 102400 / kib }')" ]
	f=$BATS_TEST_TMPDIR/ubc
	cat >"$f" <<-T
		Version: 2.5
		       uid  resource                     held              maxheld              barrier                limit              failcnt
		         0: kmemsize                        1                    1  9223372036854775807  9223372036854775807                    0
		       101: kmemsize                  5242880              6291456             14372700             14790164                    0
		            privvmpages                  1000                 2000                65536                69632                    0
		            physpages                   25600                51200                    0  9223372036854775807                    0
		            dummy                           0                    0                    0                    0                    0
		       102: kmemsize                        1                    1  9223372036854775807  9223372036854775807                    3
		            physpages                   25600                51200                    0               262144                    9
		            swappages                       0                    0                    0               524288                    0
	T
	run "$build/vzoversell" "$f"
	status_is 0
	[ "$(sed -n 3,6p <<<"$output")" = "       101  100M  200M  136M    -      -     -     -     -   RS
       102  100M  200M    1G    9      -     -     2G    -   F
           ----- ----- ----- -----  ----- ----- ----- -----
 TOTAL      200M  400M 1.13G    9      -     -     2G    - " ]
	echo 'Version: 3.0' >"$f"
	run --separate-stderr "$build/vzoversell" "$f"
	status_is 1
	[[ "$stderr" == "vzoversell: $f line 1: "* ]]
}

@test "vzplan: N more like one, by limits and by peaks; its status says whether they fit" {
	json() { "$build/vzplan" --json "$@" | jq -e "$jq"; }
	vzctl --quiet set 6750 --numproc 200 --save
	jq='.vpses == 2 and .running == 0 and .peaks.room == null and .like == 6750 and .limits.one.ram == 268435456' json --like web
	vzctl --quiet start 6750
	run --separate-stderr "$build/vzplan" --add 3 --like 6750
	status_is 0
	has 'By limits: fits, there is RAM'
	has 'By peaks: fits'
	n=$(jq=.limits.room json --like 6750)
	# (RAM - 256 MiB - 136 MiB of ve-basic) / 256 MiB, or what there is less of
	[ "$n" -gt 0 ] && [ "$n" -le $((($(mem_total) / 1024 - 392) / 256)) ]
	jq=.limits.fits json --like 6750 --add "$n"
	run "$build/vzplan" --like 6750 --add $((n + 1))
	status_is 2
	has "By limits: does not fit, there is"
	has "for $n more."
	most=$(jq=.peaks.room json --like 6750)
	[ "$most" -gt "$n" ]
	run "$build/vzplan" --like 6750 --add $((most + 1))
	status_is 3
	# what is together is what there is and N times one
	jq='.add == 7 and .limits.together.ram == .limits.now.ram + 7 * .limits.one.ram and .peaks.together.processes == .peaks.now.processes + 7 * .peaks.one.processes' json --like 6750 --add 7
	jq='.peaks.one.ram > 65536 and .peaks.one.processes >= 1 and .peaks.now == .peaks.one' json --like 6750
	jq='.sample == "vswap-1g" and .like == null and .limits.one.ram == 1073741824 and .peaks.one == null' json --sample vswap-1g
	for words in '' '--like 6750 --sample basic' '--like 9999' '--sample nosuch' '--sample ../x' '--like 6750 --add 0' '--like 6750 --add -1' '--like 6750 x'; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr "$build/vzplan" $words
		status_is 1
		[ -n "$stderr" ] && [ -z "$output" ]
	done
}

# ---- samples ----

@test "vzsplit: a sample that is valid and that a VPS can be made of" {
	run --separate-stderr "$build/vzsplit" -n 5
	status_is 0
	[ -z "$stderr" ]
	has '# Made by vzsplit for 5 VPSes'
	[ "$(sed -n 's/^\([A-Z]*\)=.*/\1/p' <<<"$output" | grep -v DISK | xargs)" = 'PHYSPAGES SWAPPAGES CPUUNITS' ]
	run --separate-stderr "$build/vzsplit" -v no -f fifth <<<5
	status_is 0
	[ "$output" = 'Number of VPSes: ' ]
	f=$CROFT_ROOT/etc/vz/conf/ve-fifth.conf-sample
	[ "$stderr" = "Config $f was created" ]
	validate "$f"
	status_is 0
	vzctl --quiet create 6752 --ostemplate busybox --config fifth
	[ "$(grep ^NUMPROC= "$f")" = "$(grep ^NUMPROC= "$(conf 6752)")" ]
	vzctl --quiet start 6752
	vzctl --quiet stop 6752 --fast
	vzctl --quiet destroy 6752
	# twice the swap is more for each; one that is there is not written over
	a=$("$build/vzsplit" -v no -n 5 -s 0 | sed -n 's/^VMGUARPAGES="\([0-9]*\).*/\1/p')
	b=$("$build/vzsplit" -v no -n 5 -s 5242880 | sed -n 's/^VMGUARPAGES="\([0-9]*\).*/\1/p')
	[ $((b - a)) = 262144 ]
	for words in '-n 5 -f fifth' '-n 0' '-n x' '-n 999999' '-n 5 -s -1' '-n 5 -v maybe' '-n 5 -f ../x' '-n 5 x'; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr "$build/vzsplit" $words
		status_is 1
		[ -n "$stderr" ] && [ -z "$output" ]
	done
	[[ "$("$build/vzsplit" -n 999999 2>&1)" == *'do not fit on this node, at most '[0-9]* ]]
}

# ---- vznnc ----

@test "vznnc joins two programs by a TCP connection; codes 1, 127, 220" {
	connected() { "$build/vznnc" -c -p 6759 -f 5 -- sh -c 'echo ping >&5; head -n 1 <&5 >'"$BATS_TEST_TMPDIR/answer"; }
	"$build/vznnc" -l -p 6759 -- sh -c 'read -r word; echo "$word $0"; exit 7' there &
	pid=$!
	wait_for 10 connected
	[ "$(cat "$BATS_TEST_TMPDIR/answer")" = 'ping there' ]
	status=0
	wait $pid || status=$?
	[ "$status" = 7 ]
	run --separate-stderr "$build/vznnc" -c -p 6758 true
	status_is 220
	[ "$stderr" = 'vznnc: connect: Connection refused' ]
	"$build/vznnc" -l -p 6759 -- cat &
	pid=$!
	wait_for 10 "$build/vznnc" -c -p 6759 -f 9 -- true
	wait $pid
	"$build/vznnc" -l -p 6757 sleep 0 &
	pid=$!
	notfound() { "$build/vznnc" -c -p 6757 /nowhere/program; [ $? = 127 ]; }
	wait_for 10 notfound
	wait $pid
	for words in '' '-l -p 1' '-l -c -p 1 true' '-p 1 true' '-l true' '-l -p 0 true' '-l -p 65536 true' '-l -p 1 -f 2 true'; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr "$build/vznnc" $words
		status_is 1
		[ -n "$stderr" ]
	done
}
