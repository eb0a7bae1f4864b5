#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Debian 12 (VPS 8012) and 13 (8013) on overlay, shared by the tests of this file; 8014 is made by those that need
# one of their own.
# bats file_tags=host
# templates: debian-12 debian-13
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
	make_root overlay
	for n in 12 13; do
		template debian-$n
		vzctl create 80$n --ostemplate debian-$n --config vswap-512m
		vzctl set 80$n --ipadd "10.95.80.$n fd95:80::$n" --hostname deb$n.example --save
		vzctl start 80$n --wait >"$CROFT_ROOT/start.$n" 2>&1
	done
	ssh-keygen -q -t ed25519 -N '' -f "$CROFT_ROOT/key"
}

teardown_file() {
	destroy_all
	remove_root
}

# own TEMPLATE LAYOUT: VPS 8014
own() {
	vzctl create 8014 --ostemplate "$1" --layout "$2" --config vswap-512m >/dev/null
	vzctl set 8014 --ipadd 10.95.80.14 --save >/dev/null
	vzctl start 8014 --wait >/dev/null
}

teardown() {
	[ ! -e "$(conf 8014)" ] || {
		vzctl --quiet stop 8014 --fast
		vzctl --quiet destroy 8014
	}
}

# su_in CTID USER PASSWORD: su as nobody; it hangs when systemd cannot move it into a session of its own
su_in() { timeout 60 "$build/vzctl" exec2 "$1" "su -s /bin/sh nobody -c 'su $2 -c \"id -un\"'" <<<"$3"; }

init_of() { jq .init_pid "$CROFT_ROOT/run/vz/$1/state.json"; }

@test "start --wait comes back when systemd has booted; nothing has failed" {
	for n in 12 13; do
		grep -qx 'VPS started successfully' "$CROFT_ROOT/start.$n"
		run vzctl exec2 80$n systemctl --no-legend --plain --failed
		[ -z "$output" ]
		run vzctl exec2 80$n 'systemctl is-system-running --wait'
		[ "$output" = running ]
		run vzctl exec2 80$n systemd-detect-virt --container
		status_is 0
	done
}

@test "hostname, addresses, names" {
	for n in 12 13; do
		[ "$(vzctl exec2 80$n hostname)" = deb$n ]
		[ "$(vzctl exec2 80$n cat /etc/hostname)" = deb$n ]
		run vzctl exec2 80$n ip -o addr show venet0
		has 10.95.80.$n/32
		has fd95:80::$n/128
		vzctl exec2 80$n getent hosts deb$n.example
		vzctl exec2 80$n ping -c 1 -W 5 10.95.80.$((25 - n))
		vzctl exec2 80$n ping -c 1 -W 5 fd95:80::$((25 - n))
	done
}

@test "ssh from the host with a key" {
	for n in 12 13; do
		vzctl exec2 80$n 'mkdir -p -m 700 /root/.ssh; cat >/root/.ssh/authorized_keys' <"$CROFT_ROOT/key.pub"
		for a in 10.95.80.$n fd95:80::$n; do
			run --separate-stderr ssh -F none -i "$CROFT_ROOT/key" -o BatchMode=yes -o StrictHostKeyChecking=no \
				-o UserKnownHostsFile=/dev/null -o ConnectTimeout=60 root@$a 'id -u; hostname; tty || :'
			status_is 0
			[ "${lines[0]}" = 0 ]
			[ "${lines[1]}" = deb$n ]
		done
		run ssh -F none -tt -i "$CROFT_ROOT/key" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
			-o LogLevel=ERROR root@10.95.80.$n tty
		[[ "$output" == /dev/pts/* ]]
	done
}

@test "--userpasswd makes a user whose password is good for su, and changes it" {
	for n in 12 13; do
		vzctl set 80$n --userpasswd "bats$n:first secret:x"
		for pair in 'first secret:x' 'other$1'; do
			vzctl set 80$n --userpasswd "bats$n:$pair"
			run su_in 80$n bats$n "$pair"
			status_is 0
			has bats$n
		done
		[ "$(stat -c %u "$(vzdir)/private/80$n/upper/etc/shadow")" = 0 ]
		vzctl exec2 80$n 'stat -c %U:%G:%a /etc/shadow' | grep -qx root:shadow:640
	done
	run su_in 8012 bats12 wrong
	[ "$status" -ne 0 ]
}

@test "sudo of another user, ping as nobody, file capabilities" {
	for n in 12 13; do
		vzctl exec2 80$n "useradd -m sudoer; echo 'sudoer ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/bats; chmod 440 /etc/sudoers.d/bats"
		run vzctl exec2 80$n "su sudoer -c 'id -u; sudo -n id -u; sudo -n grep ^root: /etc/shadow'"
		status_is 0
		[ "${lines[0]}" != 0 ]
		[ "${lines[1]}" = 0 ]
		[[ "${lines[2]}" == root:* ]]
		vzctl exec2 80$n su -s /bin/sh nobody -c "'ping -c 1 -W 5 127.0.0.1'"
	done
	# a capability set on a file by the VPS's root works, and is of no use on the host
	cat >"$CROFT_ROOT/setcap.pl" <<'P'
my ($f, $n) = ($ARGV[0], "security.capability");
my $v = pack("VVVVV", 0x02000001, 1 << 2, 0, 0, 0); # cap_dac_read_search=ep
exit(syscall(188, $f, $n, $v, length $v, 0) == 0 ? 0 : 1); # setxattr on x86_64
P
	[ "$(uname -m)" != x86_64 ] || {
		vzctl exec2 8012 'cp /usr/bin/cat /usr/local/bin/capcat; cat >/root/setcap.pl' <"$CROFT_ROOT/setcap.pl"
		run vzctl exec2 8012 "su -s /bin/sh nobody -c 'capcat /etc/shadow'"
		[ "$status" -ne 0 ]
		vzctl exec2 8012 perl /root/setcap.pl /usr/local/bin/capcat
		vzctl exec2 8012 "su -s /bin/sh nobody -c 'capcat /etc/shadow'" | grep -q ^root:
	}
}

@test "overlay: rename(2), rm -r, hard links and whiteouts of what the template has" {
	vzctl exec2 8012 "perl -e 'rename(\"/usr/share/perl5\", \"/usr/share/moved\") or die \$!'"
	vzctl exec2 8012 'test -d /usr/share/moved && ! test -e /usr/share/perl5'
	vzctl exec2 8012 "perl -e 'rename(\"/usr/share/moved\", \"/usr/share/perl5\") or die \$!'"
	vzctl exec2 8012 'test -n "$(ls /usr/share/perl5)"'
	vzctl exec2 8012 'rm -r /usr/share/common-licenses && mkdir /usr/share/common-licenses && test -z "$(ls /usr/share/common-licenses)"'
	vzctl exec2 8012 'cp -a /usr/share/zoneinfo /root/zi 2>/dev/null; rm -rf /usr/share/zoneinfo; ! test -e /usr/share/zoneinfo'
	vzctl exec2 8012 'ln /etc/login.defs /etc/linked && echo "# bats was here" >>/etc/linked && tail -n1 /etc/login.defs | grep -qx "# bats was here"'
	[ "$(vzctl exec2 8012 stat -c %i:%h /etc/login.defs)" = "$(vzctl exec2 8012 stat -c %i:%h /etc/linked)" ]
	vzctl exec2 8012 'chown 12:34 /etc/login.defs; test "$(stat -c %u:%g /etc/linked)" = 12:34'
	# the template itself, and so another VPS, sees nothing of it
	lower=$(echo "$(vzdir)"/template/unpacked/debian-12@*)
	[ -n "$(ls "$lower/usr/share/common-licenses")" ]
	run ! grep -q '^# bats was here' "$lower/etc/login.defs"
}

@test "overlay: a second mount of the same upper directory is refused" {
	vzctl create 8014 --ostemplate debian-12
	vzctl set 8014 --private "$(vzdir)/private/8012" --save
	run vzctl mount 8014
	status_is 50
	run vzctl start 8014
	[ "$status" -ne 0 ]
	vzctl exec2 8012 true
	vzctl set 8014 --private "$(vzdir)/private/8014" --save
}

prompt() { (sleep 0.3) | vzctl console "$1" | grep -aq 'login:'; }

@test "systemd's getty shows a login prompt on the console" {
	for n in 12 13; do
		wait_for 20 prompt 80$n
	done
}

@test "systemd-run: services, scopes and nested groups inside" {
	for n in 12 13; do
		vzctl exec2 80$n systemd-run --quiet --wait true
		run vzctl exec2 80$n systemd-run --quiet --wait false
		[ "$status" -ne 0 ]
		vzctl exec2 80$n systemd-run --quiet --scope true
		vzctl exec2 80$n systemd-run --quiet --unit bats-nest -p Delegate=yes sleep 600
		run vzctl exec2 80$n 'p=$(systemctl show -P MainPID bats-nest); grep ^0: /proc/$p/cgroup'
		[ "$output" = 0::/system.slice/bats-nest.service ]
		vzctl exec2 80$n systemctl stop bats-nest
	done
}

@test "dpkg installs, upgrades and removes a package, with a user, a conffile and a set-user-id program" {
	d=$CROFT_ROOT/deb
	mkdir -p "$d/DEBIAN" "$d/usr/bin" "$d/etc"
	printf 'Package: bats-tiny\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.invalid>\nDescription: test\n' >"$d/DEBIAN/control"
	echo /etc/bats-tiny.conf >"$d/DEBIAN/conffiles"
	printf '#!/bin/sh\nset -e\nuseradd --system bats-tiny 2>/dev/null || :\nchown bats-tiny /usr/bin/bats-tiny\n' >"$d/DEBIAN/postinst"
	chmod 755 "$d/DEBIAN/postinst"
	printf '#!/bin/sh\necho tiny\n' >"$d/usr/bin/bats-tiny"
	chmod 4755 "$d/usr/bin/bats-tiny"
	echo 1 >"$d/etc/bats-tiny.conf"
	dpkg-deb --root-owner-group -b "$d" "$CROFT_ROOT/1.deb" >/dev/null
	sed -i s/^Version.*/Version:\ 2/ "$d/DEBIAN/control"
	dpkg-deb --root-owner-group -b "$d" "$CROFT_ROOT/2.deb" >/dev/null
	for n in 12 13; do
		for v in 1 2; do
			vzctl exec2 80$n "cat >/tmp/$v.deb" <"$CROFT_ROOT/$v.deb"
			vzctl exec2 80$n dpkg -i /tmp/$v.deb
			[ "$(vzctl exec2 80$n bats-tiny)" = tiny ]
			[ "$(vzctl exec2 80$n stat -c %U:%a /usr/bin/bats-tiny)" = bats-tiny:4755 ] ||
				[ "$(vzctl exec2 80$n stat -c %U:%a /usr/bin/bats-tiny)" = bats-tiny:755 ]
		done
		vzctl exec2 80$n dpkg --purge bats-tiny
		vzctl exec2 80$n '! test -e /usr/bin/bats-tiny && ! test -e /etc/bats-tiny.conf'
		# diversion and rename of a file of the template, as upgrades of base packages do
		vzctl exec2 80$n dpkg-divert --quiet --local --rename --add /usr/bin/free
		vzctl exec2 80$n '! test -e /usr/bin/free && test -x /usr/bin/free.distrib'
		vzctl exec2 80$n dpkg-divert --quiet --local --rename --remove /usr/bin/free
	done
}

rebooted() { [ -e "$CROFT_ROOT/run/vz/8014/state.json" ] && [ "$(init_of 8014)" != "$1" ] && vzctl exec2 8014 systemctl is-system-running | grep -qx running; }
down() { [ "$(vzctl status 8014)" = "CTID 8014 exist unmounted down" ]; }

@test "systemctl reboot and poweroff from inside; addresses come again" {
	own debian-12 overlay
	vzctl exec2 8014 'echo kept >/root/file'
	before=$(init_of 8014)
	vzctl exec 8014 systemctl reboot || :
	wait_for 60 rebooted "$before"
	[ "$(vzctl exec2 8014 cat /root/file)" = kept ]
	busybox ping -c 1 -w 5 10.95.80.14
	vzctl exec 8014 systemctl poweroff || :
	wait_for 60 down
}

@test "stop goes through systemd: stop jobs run, nothing is killed, the journal is whole" {
	own debian-13 overlay
	vzctl exec2 8014 'mkdir -p /var/log/journal; systemctl restart systemd-journald; printf "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\nExecStop=sh -c \"echo stopped >/root/by-systemd\"\n" >/etc/systemd/system/bats.service; systemctl daemon-reload; systemctl start bats'
	run --separate-stderr vzctl stop 8014
	status_is 0
	[ -z "$stderr" ]
	[[ "$output" != *Killing* ]]
	[ "$(cat "$(vzdir)/private/8014/upper/root/by-systemd")" = stopped ]
	[ "$(vzctl status 8014)" = "CTID 8014 exist unmounted down" ]
	vzctl start 8014 --wait
	# the VPS has the host's boot id, so there is one boot in the journal: the messages of the stop are in it
	run vzctl exec2 8014 'journalctl --no-pager -q --verify 2>&1 | grep -c FAIL; journalctl -q --no-pager -o cat | grep -c "Stopped .*bats.service"'
	[ "${lines[0]}" = 0 ]
	[ "${lines[1]}" -gt 0 ]
}

@test "a stop right after the start is heard: systemd halts and is not killed after its time-out" {
	vzctl create 8014 --ostemplate debian-12 --layout overlay --config vswap-512m >/dev/null
	for i in 1 2 3; do
		vzctl start 8014 >/dev/null
		run --separate-stderr vzctl stop 8014
		status_is 0
		[ -z "$stderr" ]
		[[ "$output" != *Killing* ]]
	done
}

@test "debian on simfs: boots, sudo works, the host sees unshifted files" {
	own debian-12 simfs
	[ "$(vzctl exec2 8014 systemctl is-system-running --wait)" = running ]
	vzctl exec2 8014 "useradd -m sudoer; echo 'sudoer ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/bats"
	[ "$(vzctl exec2 8014 "su sudoer -c 'sudo -n id -u'")" = 0 ]
	uid=$(vzctl exec2 8014 id -u sudoer)
	[ "$(stat -c %u "$(vzdir)/private/8014/home/sudoer")" = "$uid" ]
	[ "$(stat -c %u "$(vzdir)/private/8014/etc/shadow")" = 0 ]
	run vzctl stop 8014
	status_is 0
	[[ "$output" != *Killing* ]]
}
