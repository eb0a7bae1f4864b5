#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Servers of Debian 12 (VPS 5801) asked by clients in another VPS (5802) while the first is suspended and resumed.
# bats file_tags=host
# templates: debian-12-services
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
	make_root overlay
	template debian-12-services
	[ -x "$build/tests/checkpoint/dirty" ] || make -s -C "$build" checkpoint-programs
	for n in 1 2; do
		vzctl create 580$n --ostemplate debian-12-services --config vswap-1g
		vzctl set 580$n --ipadd 10.95.58.$n --save
		vzctl start 580$n --wait
	done
	vzctl exec2 5801 'systemctl is-system-running --wait' || :
	# else it ends a connection after so many answers
	vzctl exec2 5801 'echo "keepalive_requests 1000000000;" >/etc/nginx/conf.d/keep.conf; systemctl reload nginx'
	vzctl exec2 5801 "su postgres -c 'createdb bench && pgbench --quiet -i -s 1 bench'" 2>/dev/null
	vzctl exec2 5802 'systemctl --quiet disable --now postgresql redis-server nginx' 2>/dev/null
	vzctl exec2 5802 'cat >/root/client.py' <"$top/tests/data/client.py"
}
teardown_file() {
	destroy_all
	remove_root
}

# ask SECONDS: all clients at once, in the background; answers when they have ended by answers()
ask() {
	vzctl exec2 5802 "su postgres -c 'pgbench -h 10.95.58.1 -n -c 2 -T $1 bench' >/tmp/pg 2>&1" &
	pids=$!
	for kind in http redis; do
		vzctl exec2 5802 "python3 /root/client.py $kind 10.95.58.1 $1 >/tmp/$kind 2>&1" &
		pids="$pids $!"
	done
}
answers() {
	wait $pids
	for kind in http redis; do
		run vzctl exec2 5802 "cat /tmp/$kind"
		[[ "$output" =~ ^asked\ ([0-9]+)\ failed\ 0\  ]] || { echo "$kind: $output"; return 1; }
		[ "${BASH_REMATCH[1]}" -gt 100 ]
	done
	run vzctl exec2 5802 'cat /tmp/pg'
	has 'number of failed transactions: 0 '
	local done_ count
	done_=$(sed -n 's/^number of transactions actually processed: //p' <<<"$output")
	[ "$done_" -gt 10 ]
	count=$(vzctl exec2 5801 "su postgres -c 'psql -qAtc \"select count(*) from pgbench_history\" bench'")
	[ "$count" = "$done_" ]
	# and the sums agree: no transaction is there by half
	run vzctl exec2 5801 "su postgres -c 'psql -qAtc \"select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)\" bench'"
	[ "$output" = t ]
}

@test "suspended and resumed under load: no connection breaks, no transaction is lost" {
	ask 12
	sleep 3
	run vzctl suspend 5801
	status_is 0
	run vzctl status 5801
	[[ "$output" == *' down suspended' ]]
	sleep 1
	run vzctl resume 5801
	status_is 0
	answers
	run vzctl exec2 5801 'systemctl --no-legend --plain --failed; systemctl is-active postgresql@15-main redis-server nginx ssh'
	[ "$output" = "$(printf 'active\n%.0s' 1 2 3 4 | sed '$s/$//')" ] || { echo "$output"; return 1; }
}

@test "what comes after: services restart, a new one starts, the journal goes on, exec, stop" {
	run vzctl exec2 5801 'systemctl restart nginx && systemctl is-active nginx && systemd-run --quiet --wait true && logger back && sleep 0.2 && journalctl --no-pager -n 50 | grep -c back'
	status_is 0
	[ "${lines[0]}" = active ]
	run vzctl stop 5801
	status_is 0
	[[ "$output" != *Killing* ]]
	vzctl --quiet start 5801 --wait
}

@test "memory that is written to all the time comes back word by word" {
	vzctl exec2 5801 'cat >/root/dirty; chmod +x /root/dirty; systemd-run --quiet -u dirty -p StandardOutput=file:/root/dirty.out -p RemainAfterExit=yes /root/dirty 128' <"$build/tests/checkpoint/dirty"
	wait_for 20 vzctl exec2 5801 'grep -q ready /root/dirty.out'
	for _ in 1 2 3; do
		vzctl --quiet suspend 5801
		vzctl --quiet resume 5801
	done
	vzctl exec2 5801 'pkill -TERM -x dirty; while pgrep -x dirty; do sleep 0.1; done' >/dev/null
	run vzctl exec2 5801 'tail -n 1 /root/dirty.out'
	[[ "$output" == 'good after '* ]]
}
