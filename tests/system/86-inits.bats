#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Guests that systemd does not boot: Debian 12 with sysvinit (VPS 8621), Debian 13 with OpenRC run by sysvinit's init
# (8622) and by its own (8623); 8624 is BusyBox with an init of the tests' own.
# bats file_tags=host
# templates: debian-12-sysv debian-13-openrc
bats_require_minimum_version 1.5.0
load ../lib/common

guests="8621 8622 8623"

# all VERB [OPTION]: vzctl VERB for each guest at the same time; out.CTID, err.CTID and code.CTID in the tree
all() {
	local c verb=$1
	shift
	for c in $guests; do
		(
			vzctl "$verb" "$c" "$@" >"$CROFT_ROOT/out.$c" 2>"$CROFT_ROOT/err.$c" 3>&-
			echo $? >"$CROFT_ROOT/code.$c"
		) &
	done
	wait
}

# fine LINE: each ended well and quietly, with this last line
fine() {
	local c
	for c in $guests; do
		[ "$(cat "$CROFT_ROOT/code.$c")" = 0 ]
		[ ! -s "$CROFT_ROOT/err.$c" ]
		[ "$(tail -n 1 "$CROFT_ROOT/out.$c")" = "$1" ]
		! grep Killing "$CROFT_ROOT/out.$c"
	done
}

setup_file() {
	make_root overlay
	template debian-12-sysv
	template debian-13-openrc
	vzctl create 8621 --ostemplate debian-12-sysv --config vswap-256m
	vzctl create 8622 --ostemplate debian-13-openrc --config vswap-256m
	vzctl create 8623 --ostemplate debian-13-openrc --config vswap-256m
	echo 'ln -sf openrc-init /sbin/init' >"$CROFT_ROOT/other-init"
	vzctl runscript 8623 "$CROFT_ROOT/other-init"
	for c in $guests; do
		vzctl set "$c" --ipadd "10.95.86.${c#86}" --hostname "init$c.example" --save
	done
	all start --wait
}

teardown_file() {
	destroy_all
	remove_root
}

teardown() {
	[ ! -e "$(conf 8624)" ] || {
		vzctl --quiet stop 8624 --fast
		vzctl --quiet destroy 8624
	}
}

init_of() { jq .init_pid "$CROFT_ROOT/run/vz/$1/state.json"; }
kind_of() { jq -r .init_kind "$CROFT_ROOT/run/vz/$1/state.json"; }
down() { [ "$(vzctl status "$1")" = "CTID $1 exist unmounted down" ]; }

@test "start --wait comes back when the last service is up" {
	fine 'VPS started successfully'
	for c in $guests; do vzctl exec2 "$c" pidof cron; done
	[ "$(kind_of 8621) $(kind_of 8622) $(kind_of 8623)" = "sysvinit openrc openrc-init" ]
	[ "$(vzctl exec2 8621 runlevel)" = "N 2" ]
	for c in 8622 8623; do
		run vzctl exec2 "$c" rc-status -f ini default
		has "vps-wait =  started"
		has "cron =  started"
	done
}

@test "host name, addresses, exec" {
	for c in $guests; do
		[ "$(vzctl exec2 "$c" hostname)" = "init$c" ]
		vzctl exec2 "$c" ping -c 1 -W 5 10.95.86.21
		run vzctl exec2 "$c" 'echo out; exit 9'
		status_is 9
		[ "$output" = out ]
	done
}

prompt() { (sleep 0.3) | vzctl console "$1" | grep -aq 'login:'; }

@test "the console has a login, and no getty fails on terminals that are not there" {
	for c in 8621 8622; do
		wait_for 20 prompt "$c"
		[ "$(vzctl exec2 "$c" 'pidof getty agetty' | wc -w)" = 1 ]
	done
}

rebooted() { [ -e "$CROFT_ROOT/run/vz/$1/state.json" ] && [ "$(init_of "$1")" != "$2" ] && vzctl exec2 "$1" pidof cron; }
reboot_of() { [ "$1" != 8623 ] && echo reboot || echo 'openrc-shutdown --reboot now'; }
halt_of() { [ "$1" != 8623 ] && echo halt || echo 'openrc-shutdown --halt now'; }

@test "reboot and halt from inside" {
	declare -A before
	for c in $guests; do
		before[$c]=$(init_of "$c")
		vzctl exec "$c" "$(reboot_of "$c")" || :
	done
	for c in $guests; do wait_for 60 rebooted "$c" "${before[$c]}"; done
	for c in $guests; do vzctl exec "$c" "$(halt_of "$c")" || :; done
	for c in $guests; do wait_for 60 down "$c"; done
}

@test "started again, a stop is a halt: the VPS itself stops its services, nothing is killed" {
	all start --wait
	fine 'VPS started successfully'
	vzctl exec2 8621 'printf "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: bats\n# Required-Start:\n# Required-Stop:\n# Default-Start: 2\n# Default-Stop: 0 6\n### END INIT INFO\n[ \$1 != stop ] || echo stopped >/root/by-halt\n" >/etc/init.d/bats; chmod 755 /etc/init.d/bats; update-rc.d bats defaults'
	for c in 8622 8623; do
		vzctl exec2 "$c" 'printf "#!/sbin/openrc-run\nstart() { :; }\nstop() { echo stopped >/root/by-halt; }\n" >/etc/init.d/bats; chmod 755 /etc/init.d/bats; rc-update add bats default; rc-service bats start'
	done
	all stop
	fine 'VPS is unmounted'
	for c in $guests; do [ "$(cat "$(vzdir)/private/$c/upper/root/by-halt")" = stopped ]; done
}

@test "restart, and again at once: what has just begun to boot hears the stop" {
	vzctl restart 8621 >/dev/null
	run --separate-stderr vzctl restart 8621 --wait
	status_is 0
	[ -z "$stderr" ]
	[[ "$output" != *Killing* ]]
	[ "$(tail -n 1 <<<"$output")" = 'VPS started successfully' ]
}

# 8624: /sbin/init is a script
own_init() {
	vzctl create 8624 --ostemplate busybox --layout simfs >/dev/null
	p=$(vzdir)/private/8624
	rm "$p/sbin/init"
	printf '#!/bin/sh\n[ ! -x /etc/rc.local ] || /etc/rc.local\nexec sleep 1000\n' >"$p/sbin/init"
	chmod 755 "$p/sbin/init"
}

@test "--wait for an init of which nothing is known: 133, what was looked for is told, nothing stays up" {
	own_init
	run --separate-stderr vzctl start 8624 --wait
	status_is 133
	[[ "$stderr" == *"known to tell the end of its boot"*"/etc/rc.local"* ]]
	down 8624
	vzctl start 8624
}

@test "--wait for an init that runs /etc/rc.local waits for its end" {
	own_init
	printf '#!/bin/sh -e\nsleep 0.2\necho done >/tmp/rc\nexit 0\n' >"$p/etc/rc.local"
	chmod 755 "$p/etc/rc.local"
	run --separate-stderr vzctl start 8624 --wait
	status_is 0
	[ -z "$stderr" ]
	[ "$(vzctl exec2 8624 cat /tmp/rc)" = "done" ]
	[ ! -e "$p/.vzfifo" ]
}
