#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=nodes
# vzmigrate between two nodes with kernels of two releases: a has Debian 12 (Linux 6.1), b has Debian 13 (6.12). OpenSSH is
# the transport; a third party on their segment has a connection to the VPS. And either node's power is cut at chosen
# steps. CROFT_FAULTS=all takes every cut there is, CROFT_FAULTS='source:migrate:12 ...' those.
bats_require_minimum_version 1.5.0

setup_file() {
	export build=${CROFT_BUILD:?set CROFT_BUILD to the build directory}
	export node=$BATS_TEST_DIRNAME/node top=$BATS_TEST_DIRNAME/../..
	export a=miga$$ b=migb$$ link=mig$$ work h
	work=$(mktemp -d /tmp/croft-migrate.XXXXXX)
	ready a debian-12 3>&- &
	ready b debian-13 3>&-
	wait $!
	"$BATS_TEST_DIRNAME/third" $link 10.99.0.254/24 >"$work/third" 2>&1 3>&- </dev/null &
	export third=$!
	know a b
	know b a
	wait_for 60 grep -q ready "$work/third"
}

# ready HOST IMAGE: a node with Croft, and what ssh needs: keys, and the way for the fault that a test wants at the other side
ready() {
	"$node" up "${!1}" --image "$2" --net $link
	"$node" install "${!1}" "$build"
	"$node" list | awk -v n="${!1}" '$1 == n { print "10.99.0." $4 }' >"$work/$1.address"
	on "$1" sh -ec 'mkdir -p -m 700 /root/.ssh; ssh-keygen -qt ed25519 -N "" -f /root/.ssh/id_ed25519
		echo "AcceptEnv VZ_FAULT" >/etc/ssh/sshd_config.d/fault.conf
		printf "#!/bin/sh\nsysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.proxy_arp=1 net.ipv4.neigh.default.proxy_delay=0 net.ipv4.neigh.eth0.proxy_delay=0\n" >/root/segment
		chmod 755 /root/segment; /root/segment
		cp /var/cache/croft-tests/busybox-*.tar.zst /var/lib/vz/template/cache/busybox.tar.zst
		# as systemctl enable does, which takes half a minute under TCG
		for u in ssh vz vz-payload; do ln -sf /lib/systemd/system/$u.service /etc/systemd/system/multi-user.target.wants/; done
		systemctl daemon-reload; systemctl --quiet start vz-payload vz ssh'
	on "$1" cat /root/.ssh/id_ed25519.pub >"$work/$1.pub"
	on "$1" cat /etc/ssh/ssh_host_ed25519_key.pub >"$work/$1.host"
}

# know HOST OTHER: each lets the other's root in
know() {
	printf '%s\n' "$(cat "$work/$2.pub")" | "$node" run "${!1}" -- sh -c 'cat >>/root/.ssh/authorized_keys'
	printf '%s %s\n' "$2" "$(cut -d' ' -f1,2 "$work/$2.host")" | "$node" run "${!1}" -- sh -c 'cat >>/root/.ssh/known_hosts'
	printf '%s %s\n' "$(cat "$work/$2.address")" "$2" | "$node" run "${!1}" -- sh -c 'cat >>/etc/hosts'
}

teardown_file() {
	[ -z "${third:-}" ] || kill "$third"
	"$node" down "$a" "$b"
	rm -rf "$work"
}

teardown() {
	local h
	[ ! -e "$work/client.pid" ] || kill "$(cat "$work/client.pid")" 2>/dev/null || :
	rm -f "$work/client.pid"
	[ -n "${BATS_TEST_COMPLETED:-}" ] || cat "$work/out" "$work"/recover-* 2>/dev/null || :
	for h in a b; do
		"$node" list | grep -q "^${!h} " || continue
		on $h sh -c 'rm -rf /etc/vz/migrate; for c in /etc/vz/conf/[0-9]*.conf; do [ ! -e "$c" ] || {
			vzctl --quiet stop "$(basename "$c" .conf)" --fast; vzctl --quiet destroy "$(basename "$c" .conf)"; }; done
			rm -rf /var/lib/vz/dump/*; systemctl reset-failed' >/dev/null 2>&1 || :
	done
}

# on HOST COMMAND...: HOST is a or b
on() { "$node" run --timeout 600 "${!1}" -- "${@:2}" </dev/null; }
status_is() { [ "$status" -eq "$1" ] || { echo "status $status: $output; ${stderr:-}" >&2; return 1; }; }
has() { [[ "$output" == *"$1"* ]] || { echo "no '$1' in: $output" >&2; return 1; }; }
wait_for() {
	local until=$((SECONDS + $1 * 3)) # on a machine that is busy with others
	shift
	until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $until ] || return 1; sleep 0.3; done
}
other() { if [ "$1" = a ]; then echo b; else echo a; fi; }

# a_vps CTID OPTION...: it runs on a, and counts in its memory
a_vps() {
	on a sh -ec 'id=$1; shift; vzctl --quiet create $id --ostemplate busybox "$@"; vzctl --quiet start $id
		vzctl exec2 $id "echo $id >/marker; sync"' x "$@"
	counter a "$1"
}
# counter HOST CTID [FROM]
counter() {
	on "$1" vzctl exec2 "$2" "rm -f /tmp/count; (i=${3:-0}; while :; do i=\$((i+1)); echo \$i 1<>/tmp/count; usleep 200000; done) </dev/null >/dev/null 2>&1 &"
	wait_for 20 on "$1" vzctl exec2 "$2" test -s /tmp/count
}
count() { on "$1" vzctl exec2 "$2" cat /tmp/count; }
# goes_on HOST CTID COUNT: its program counts on there from COUNT
goes_on() {
	local n
	n=$(count "$1" "$2")
	[ "$n" -ge "$3" ] || { echo "$n after $3" >&2; return 1; }
	wait_for 20 counts_above "$1" "$2" "$n"
}
counts_above() { [ "$(count "$1" "$2")" -gt "$3" ]; }

# runs HOST CTID: does it run there (1) or not (0)? What stands still, frozen or not let go, does not run.
runs() { on "$1" sh -c 'if [ ! -e "/run/vz/$1/held" ] && vzctl status "$1" 2>/dev/null | grep -q " running"; then echo 1; else echo 0; fi' x "$2"; }

# only HOST CTID: it runs there, and on the other there is nothing of it: files, journals, routes, dumps, groups, links
only() {
	local left
	[ "$(runs "$1" "$2")" = 1 ] || { echo "$2 does not run on $1: $(on "$1" vzctl status "$2")" >&2; return 1; }
	left=$(on "$(other "$1")" sh -c 'ls -d /etc/vz/conf/$1.* 2>/dev/null | grep -v destroyed; ls -d /var/lib/vz/private/$1* /var/lib/vz/dump/*$1* /run/vz/$1 /sys/fs/cgroup/vz-payload.service/$1 2>/dev/null
		ls /etc/vz/migrate 2>/dev/null; ip route | grep -F "vz$1-"; ip -o link | grep -F "vz$1-"; grep -F "/$1 " /proc/self/mountinfo; true' x "$2")
	[ -z "$left" ] || { echo "left on $(other "$1"): $left" >&2; return 1; }
	left=$(on "$1" sh -c 'find /etc/vz/migrate /var/lib/vz/dump -mindepth 1; ls -d /var/lib/vz/private/*.migrate; true' x 2>/dev/null)
	[ -z "$left" ] || { echo "left on $1: $left" >&2; return 1; }
}

# moves FROM ARG...: to the other, with nothing on standard error
moves() {
	run --separate-stderr on "$1" vzmigrate -t "${@:2}"
	status_is 0
	[ -z "$stderr" ] || { echo "stderr: $stderr" >&2; return 1; }
	echo "# $*: $(grep -E ' time' <<<"$output" | xargs)" >&3
}

# bats test_tags=lean
@test "online from Linux 6.1 to 6.12 and back: a connection, memory, timers, locks, pipes, IPC go along" {
	local client seen from
	a_vps 101 --ipadd 10.99.0.101 --ram 128M
	on a sh -ec 'for p in live dirty; do vzctl exec2 101 "cat >/root/$p; chmod 755 /root/$p" </opt/croft/build/tests/checkpoint/$p; done
		vzctl exec2 101 "cd /; /root/live /root/said </dev/null >/dev/null 2>&1 & (/root/dirty 4 5000 >/root/dirty.out </dev/null 2>&1 &) ; nc -ll -p 7000 -e cat >/dev/null 2>&1 </dev/null &"'
	wait_for 60 on a vzctl exec2 101 'grep -q armed /root/said && grep -q ready /root/dirty.out'
	rm -f "$work/stop"
	nsenter -t "$third" -n python3 "$top/tests/lib/echo-client.py" 10.99.0.101 7000 seg0 10.99.0.101 fe80::1 "$work/stop" >"$work/client" 2>&1 3>&- &
	client=$!
	echo $client >"$work/client.pid"
	wait_for 20 grep -q connected "$work/client"
	for from in a b; do
		seen=$(count $from 101)
		moves $from --mode stop-and-copy "$(other $from)" 101
		only "$(other $from)" 101
		goes_on "$(other $from)" 101 "$seen"
		on "$(other $from)" vzctl exec2 101 'rm /root/said; touch /root/said.ask'
		wait_for 30 on "$(other $from)" vzctl exec2 101 test -s /root/said
		[ "$(on "$(other $from)" vzctl exec2 101 cat /root/said)" = ok ]
	done
	on a vzctl exec2 101 'killall -TERM dirty; while pidof dirty; do usleep 100000; done' >/dev/null
	[[ "$(on a vzctl exec2 101 tail -n 1 /root/dirty.out)" == 'good after '* ]]
	touch "$work/stop"
	wait $client || { cat "$work/client" >&2; false; }
	echo "# $(tail -n 1 "$work/client")" >&3
	grep -qE '^echoed [0-9]+ lost 0 .* arp [1-9]' "$work/client"
}

@test "stopped, and with memory by way of its dump, there and back, of both layouts" {
	a_vps 102 --layout simfs --ipadd 10.99.0.102
	moves a b 102
	only b 102
	counter b 102 100000
	moves b --mode warm a 102
	only a 102
	goes_on a 102 100000
	BATS_TEST_COMPLETED=1 teardown
	a_vps 102 --layout overlay
	moves a --mode warm b 102
	only b 102
	goes_on b 102 1
	moves b a 102
	only a 102
	[ "$(on a vzctl exec2 102 cat /marker)" = 102 ]
}

# ---- power cuts ----

# The table of cuts: whose power; VZ_FAULT of the source, or of the target; who has the VPS then. Verb 7 is PROMISE, 8 COMMIT.
cuts() {
	cat <<-'T'
		source migrate:11 source before the promise
		target receive:7 source before the promise
		source migrate:12 source promised, not committed
		target received:7 source promised, not committed
		source finish:1 target committed, COMMIT not sent
		target receive:8 target committed, COMMIT came and was not read
		source finish:2 target taken, not cleaned up
		target received:8 target taken, not cleaned up
	T
}

# stopped HOST: a vzmigrate there stands still by VZ_FAULT
stopped() { on "$1" sh -c 'for p in $(pgrep -x vzmigrate); do grep -q "^State:.*T" /proc/$p/status && exit 0; done; exit 1'; }
stopped_or_ended() { stopped "$1" || ! kill -0 "$2"; }
no_migrator() { on "$1" sh -c '! pgrep -x vzmigrate'; }
one_at_most() { [ $(($(runs a "$1") + $(runs b "$1"))) -le 1 ] || { echo "$1 runs on both" >&2; return 1; }; }
booted() { on "$1" sh -c 's=$(systemctl is-active vz); [ "$s" = active ] || [ "$s" = failed ]'; }

# cut_at CTID FROM WHOSE FAULT OWNER ARG...: a migration with ARG, in which the power of WHOSE is cut at FAULT. Sets $at.
cut_at() {
	local id=$1 from=$2 whose=$3 fault=$4 dead alive job to
	to=$(other "$from")
	if [ "$3" = source ]; then dead=$from; else dead=$to; fi
	if [ "$5" = source ]; then at=$from; else at=$to; fi
	alive=$(other "$dead")
	shift 5
	[ "$whose" = source ] || set -- --ssh '-o SendEnv=VZ_FAULT' "$@"
	on "$from" env VZ_FAULT="$fault:stop" vzmigrate --timeout 45 "$@" "$to" "$id" >"$work/out" 2>&1 3>&- &
	job=$!
	wait_for 100 stopped_or_ended "$dead" $job
	stopped "$dead" || { echo "it did not come to $fault"; cat "$work/out"; false; }
	"$node" cut "${!dead}"
	# the one that lives comes to its own decision
	[ "$whose" = source ] || wait $job || :
	wait_for 60 no_migrator "$alive"
	# one that was promised waits for the word
	if [ "$alive" = "$at" ] && [ "$fault" != finish:1 ]; then
		[ "$(runs "$alive" "$id")" = 1 ]
	else
		[ "$(runs "$alive" "$id")" = 0 ]
		run on "$alive" vzctl start "$id"
		# a target that has promised nothing has removed all by now
		case $alive:$fault in
		$to:migrate:11) status_is 14 ;;
		$to:*) status_is 9 && has 'alone knows whether it has moved' ;;
		$from:*) status_is 9 && has "has moved to $to" ;;
		esac
	fi
	"$node" light "${!dead}"
	if [ "$whose" = source ]; then kill $job 2>/dev/null || :; wait $job || :; fi
	on "$dead" /root/segment
	wait_for 100 booted "$dead"
	[ "$(on "$dead" systemctl is-active vz)" = active ]
	one_at_most "$id"
	# what ran runs by itself, but where only the other knows
	if [ "$dead" = "$at" ] && [ "$fault" != receive:8 ]; then [ "$(runs "$dead" "$id")" = 1 ]; fi
	# the other refuses
	run on "$(other "$at")" vzctl --quiet start "$id"
	[ "$status" -ne 0 ]
	one_at_most "$id"
	for h in a b; do
		[ -z "$(on $h ls /etc/vz/migrate 2>/dev/null)" ] || on $h vzmigrate --recover "$id" >"$work/recover-$h" 2>&1 || :
		one_at_most "$id"
	done
	[ "$(runs "$at" "$id")" = 1 ] || on "$at" vzctl --quiet start "$id"
	only "$at" "$id"
	[ "$(on "$at" vzctl exec2 "$id" cat /marker)" = "$id" ]
}

# cut_all ARG...: those of the table that the time allows, from wherever the VPS is
cut_all() {
	local whose fault owner text n=0 seen
	at=a
	[ "${CROFT_FAULTS:-all}" = all ] || sample=$CROFT_FAULTS
	while read -r whose fault owner text <&4; do
		[ "${CROFT_FAULTS:-}" = all ] || [[ " $sample " == *" $whose:$fault "* ]] || continue
		echo "# from $at, $whose, $text ($*)" >&3
		on $at vzctl exec2 103 test -s /tmp/count || counter $at 103 # it may have begun anew
		seen=$(count $at 103)
		rm -f "$work"/recover-*
		cut_at 103 $at "$whose" "$fault" "$owner" "$@"
		kept $at "$seen" "$whose:$fault"
		n=$((n + 1))
	done 4< <(cuts)
	[ $n -ge 2 ] || [ $n = "$(wc -w <<<"$sample")" ]
}

# kept HOST COUNT CUT: memory that was dumped is there; what ran on the node that was cut began anew
kept() { [ "$3" = target:received:8 ] || goes_on "$1" 103 "$2"; }

@test "online, the power of either node is cut: one runs it, with its memory, or can; the other refuses; nothing is left" {
	a_vps 103 --onboot yes --ipadd 10.99.0.103
	sample='source:migrate:12 target:received:7 source:finish:1 target:receive:8'
	cut_all --mode stop-and-copy
}

@test "stopped for its move, the power of either node is cut: one has it and starts it" {
	a_vps 103 --layout simfs
	sample='source:migrate:11 target:receive:8'
	kept() { :; }
	cut_all --mode offline
}

# ---- the link, the disk ----

# The table of cut links: for how many seconds; where the source stands; who has the VPS then, "?": who it was promised to, or not
links() {
	cat <<-'T'
		1 migrate:9 target before the memory is sent
		30 migrate:9 ? before the memory is sent
		300 migrate:9 source before the memory is sent
		30 migrate:12 target promised, not committed
		1 finish:1 target committed, COMMIT not sent
		300 finish:1 target committed, COMMIT not sent
	T
}

# standing HOST CTID FAULT ARG...: a vzmigrate of it on HOST that stands still there; its job is $job
standing() {
	on "$1" env VZ_FAULT="$3:stop" vzmigrate "${@:4}" "$(other "$1")" "$2" >"$work/out" 2>&1 3>&- &
	job=$!
	wait_for 100 stopped_or_ended "$1" $job
	stopped "$1"
}
# goes HOST: and it goes on
goes() { on "$1" sh -c 'for p in $(pgrep -x vzmigrate); do ! grep -q "^State:.*T" /proc/$p/status || kill -CONT $p; done'; }

# ended CTID FROM OWNER: by itself, or by --recover; one has it, with its memory, and nothing is left
ended() {
	wait_for 60 no_migrator a
	wait_for 60 no_migrator b
	one_at_most "$1"
	for h in a b; do
		[ -z "$(on $h ls /etc/vz/migrate 2>/dev/null)" ] || on $h vzmigrate --recover "$1" >"$work/recover-$h" 2>&1 || :
		one_at_most "$1"
	done
	at=$2
	[ "$(runs "$at" "$1")" = 1 ] || at=$(other "$at")
	[ "$3" != source ] || [ "$at" = "$2" ]
	[ "$3" != target ] || [ "$at" != "$2" ]
	only "$at" "$1"
}

@test "online, the link is cut for a while: one runs it, with its memory; nothing is left" {
	local seconds fault owner text seen n=0
	a_vps 104 --ipadd 10.99.0.104
	at=a
	while read -r seconds fault owner text <&4; do
		case ${CROFT_FAULTS:-} in
		'') [ "$seconds" != 300 ] || continue ;;
		all) ;;
		*) [[ " $CROFT_FAULTS " == *" $seconds:$fault "* ]] || continue ;;
		esac
		from=$at
		echo "# from $from, $seconds s, $text" >&3
		seen=$(count $from 104)
		rm -f "$work"/recover-*
		standing $from 104 "$fault" --mode stop-and-copy
		on "$(other $from)" nft 'table inet cut { chain i { type filter hook input priority -300; iifname eth0 drop; }; chain o { type filter hook output priority -300; oifname eth0 drop; }; }'
		goes $from
		sleep "$seconds" # this is what is tried
		on "$(other $from)" nft delete table inet cut
		wait $job || :
		ended 104 $from "$owner"
		goes_on $at 104 "$seen"
		n=$((n + 1))
	done 4< <(links)
	[ $n -ge 1 ]
}

@test "the target's disk is full, before the memory, at the promise: it stays; at the commit: it moves" {
	local fault seen
	a_vps 106
	at=a
	for fault in migrate:6 migrate:9 migrate:11 finish:1; do
		from=$at
		echo "# from $from, $fault" >&3
		seen=$(count $from 106)
		rm -f "$work"/recover-*
		standing $from 106 $fault --mode stop-and-copy
		# to the last block
		on "$(other $from)" sh -c 'cd /var/lib/vz; fallocate -l $(($(stat -f -c "%a * %S" .) - 1048576)) fill; cat /dev/zero >>fill 2>/dev/null; sync; [ "$(stat -f -c %a .)" -lt 64 ]'
		goes $from
		wait $job && status=0 || status=$?
		echo "# $status: $(tail -n 1 "$work/out")" >&3
		one_at_most 106
		if [ $fault = finish:1 ]; then
			# what it takes was set aside before: nobody has to help
			[ "$status" = 0 ]
			[ "$(runs "$(other $from)" 106)" = 1 ]
		else
			[ "$(runs $from 106)" = 1 ]
		fi
		on "$(other $from)" rm /var/lib/vz/fill
		ended 106 $from "$([ $fault = finish:1 ] && echo target || echo source)"
		goes_on $at 106 "$seen"
	done
}

# ---- memory in rounds ----

@test "pre-copy from Linux 6.1 to 6.12 and back; limited, and interrupted in a round, it runs on where it was" {
	local from seen
	a_vps 105 --ram 256M --ipadd 10.99.0.105
	on a sh -ec 'vzctl exec2 105 "cat >/root/dirty; chmod 755 /root/dirty" </opt/croft/build/tests/checkpoint/dirty
		vzctl exec2 105 "/root/dirty 24 2000 </dev/null >/root/dirty.out 2>&1 &"'
	wait_for 60 on a vzctl exec2 105 grep -q ready /root/dirty.out
	for from in a b; do
		seen=$(count $from 105)
		moves $from --mode pre-copy "$(other $from)" 105
		grep -q '^Round 2' <<<"$output"
		only "$(other $from)" 105
		goes_on "$(other $from)" 105 "$seen"
	done
	# 26 MiB take 26 s and more; interrupted when a round is on its way
	seen=$(count a 105)
	rm -f "$work/out"
	on a vzmigrate --mode pre-copy --limit-speed 1024 b 105 >"$work/out" 2>&1 3>&- &
	job=$!
	wait_for 60 grep -q 'memory, round 1' "$work/out"
	on a sh -c 'kill -INT $(pgrep -ox vzmigrate)'
	wait $job && status=0 || status=$?
	grep -q 'Cancelling\|interrupted' "$work/out"
	[ "$status" -ne 0 ]
	only a 105
	goes_on a 105 "$seen"
	on a vzctl exec2 105 'killall -TERM dirty; while pidof dirty; do usleep 100000; done' >/dev/null
	[[ "$(on a vzctl exec2 105 tail -n 1 /root/dirty.out)" == 'good after '* ]]
}
