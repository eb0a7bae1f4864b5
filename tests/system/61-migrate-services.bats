#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Servers of Debian 12 (VPS 6101) asked by clients in another VPS (6102, on node b) while they move with their memory from
# node a to node b, and back.
# bats file_tags=host
# templates: debian-12-services
bats_require_minimum_version 1.5.0
load ../lib/hosts
load ../lib/criu

setup_file() {
	need_criu
	hosts_up overlay
	[ -x "$build/tests/checkpoint/dirty" ] || make -s -C "$build" checkpoint-programs
	# both nodes have the same store of templates
	host_run a 'template debian-12-services'
	on b mount --bind "$hosts/a/var/lib/vz/template" "$hosts/node/var/lib/vz/template"
	for n in 1 2; do
		h=$([ $n = 1 ] && echo a || echo b)
		on $h vzctl create 610$n --ostemplate debian-12-services --config vswap-1g >/dev/null
		on $h vzctl set 610$n --ipadd "10.99.54.13$n" --save >/dev/null
		on $h vzctl start 610$n --wait >/dev/null
	done
	inside 1 'systemctl is-system-running --wait' || :
	# else it ends a connection after so many answers
	inside 1 'echo "keepalive_requests 1000000000;" >/etc/nginx/conf.d/keep.conf; systemctl reload nginx'
	inside 1 "su postgres -c 'createdb bench && pgbench --quiet -i -s 1 bench'" 2>/dev/null
	inside 2 'systemctl --quiet disable --now postgresql redis-server nginx' 2>/dev/null
	inside 2 'cat >/root/client.py; mkdir -m 700 -p /root/.ssh; ssh-keygen -qt ed25519 -N "" -f /root/.ssh/id_ed25519' <"$top/tests/data/client.py"
	inside 2 'cat /root/.ssh/id_ed25519.pub' | inside 1 'mkdir -m 700 -p /root/.ssh; cat >/root/.ssh/authorized_keys'
	inside 1 'cat >/root/dirty; chmod +x /root/dirty; systemd-run --quiet -u dirty -p StandardOutput=file:/root/dirty.out -p RemainAfterExit=yes /root/dirty 16 1000' <"$build/tests/checkpoint/dirty"
	wait_for 20 inside 1 'grep -q ready /root/dirty.out'
}
teardown_file() {
	on b vzctl --quiet stop 6102 --fast
	hosts_clean
	on b umount "$hosts/node/var/lib/vz/template"
	hosts_down
}

# inside N COMMAND: in VPS 610N, wherever it is
inside() {
	local h=b
	[ "$1" = 2 ] || [ -e "$hosts/b/etc/vz/conf/6101.conf" ] || h=a
	on $h vzctl exec2 "610$1" "$2"
}
sql() { inside 1 "su postgres -c 'psql -qAtc \"$1\" bench'"; }

# ask: all clients begin, each with connections that must last
ask() {
	inside 2 "su postgres -c 'pgbench -h 10.99.54.131 -n -c 2 -R 100 -T 600 bench' >/tmp/pg 2>&1" &
	pg=$!
	pids=
	for kind in http redis ssh; do
		inside 2 "python3 /root/client.py $kind 10.99.54.131 600 >/tmp/$kind 2>&1" &
		pids="$pids $!"
	done
	wait_for 20 asked
}
asked() {
	[ "$(sql 'select count(*) > 20 from pgbench_history')" = t ] && inside 2 '[ $(ls /tmp/asks-* | wc -l) = 3 ]'
}

# answers: they are ended, and nobody missed anything
answers() {
	inside 2 'pkill -TERM -x python3; while pgrep -x python3; do sleep 0.1; done' >/dev/null
	# shellcheck disable=SC2086
	wait $pids
	# a server that goes ends pgbench, which tells then what it was told
	sql 'select count(pg_terminate_backend(pid)) from pg_stat_activity where datname is not null and pid <> pg_backend_pid()' >/dev/null
	wait $pg || :
	for kind in http redis ssh; do
		run inside 2 "cat /tmp/$kind"
		echo "# $kind: $output" >&3
		[[ "$output" =~ ^asked\ ([0-9]+)\ failed\ 0\  ]] || { echo "$kind: $output"; return 1; }
		[ "${BASH_REMATCH[1]}" -gt 100 ]
	done
}

@test "online, there and back under load: no connection breaks, what was acknowledged is there" {
	local told have
	ask
	for to in b a; do
		at=$([ $to = b ] && echo a || echo b)
		run --separate-stderr on $at vzmigrate --transport-command "$hosts/enter-$to" --online -t --timeout 300 $to 6101
		status_is 0
		[ -z "$stderr" ] || { echo "$stderr"; return 1; }
		echo "# to $to: $(grep -E 'Frozen|Sent|Total' <<<"$output" | xargs)" >&3
		running_on $to 6101
	done
	answers
	run inside 2 'cat /tmp/pg'
	told=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' <<<"$output")
	[ "$told" -gt 20 ] || { echo "$output"; return 1; }
	has 'number of failed transactions: 0 '
	have=$(sql 'select count(*) from pgbench_history')
	# each of the two connections may have been cut between a commit and its answer
	[ "$have" -ge "$told" ] && [ "$have" -le $((told + 2)) ] || { echo "$told acknowledged, $have there"; return 1; }
	[ "$(sql 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)')" = t ]
	[ "$(sql 'select (select sum(bbalance) from pgbench_branches) = (select sum(delta) from pgbench_history)')" = t ]
	# memory that was written to all the time
	inside 1 'pkill -TERM -x dirty; while pgrep -x dirty; do sleep 0.1; done' >/dev/null
	run inside 1 'tail -n 1 /root/dirty.out'
	[[ "$output" == 'good after '* ]]
	run inside 1 'systemctl --no-legend --plain --failed; systemctl is-active postgresql@15-main redis-server nginx ssh; systemctl restart nginx && systemd-run --quiet --wait true && echo new'
	[ "$output" = $'active\nactive\nactive\nactive\nnew' ] || { echo "$output"; return 1; }
	[ -z "$(journals a)$(journals b)" ]
}
