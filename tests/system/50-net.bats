#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Routed addresses: who reaches whom, live changes, and that the host's own network stays as it is.
# bats file_tags=host,node
bats_require_minimum_version 1.5.0
load ../lib/common

host4=10.95.50.254
host6=fd95:50::fe

setup_file() {
	make_root
	ip addr add $host4/32 dev lo
	ip addr add $host6/128 dev lo
}

teardown_file() {
	ip addr del $host4/32 dev lo
	ip addr del $host6/128 dev lo
	remove_root
}

setup() { sed -i 's/^IPV6=.*/IPV6="yes"/' "$CROFT_ROOT/etc/vz/vz.conf"; }
teardown() { destroy_all; }

# up CTID ADDRESSES
up() {
	vzctl create "$1" --ostemplate busybox >/dev/null
	vzctl set "$1" --ipadd "$2" --save >/dev/null
	vzctl start "$1" >/dev/null
}

reaches() { busybox ping -c 1 -w 5 "$1" >/dev/null; }
reaches_from() { vzctl exec2 "$1" ping -c 1 -w 5 "$2" >/dev/null; }
no_link() { ! ip -o link | grep -q " vz$1-"; }

# serve CTID: its number for each connection, both families
serve() {
	vzctl exec2 "$1" "echo $1 >/root/who; nc -ll -p 8080 -e cat /root/who </dev/null >/dev/null 2>&1 &"
}

# one connection to ADDRESS, on the host and in a VPS (its busybox may lack IPv6 in wget, not in nc)
asks() { busybox nc -w 5 "$1" 8080 </dev/null; }
asks_from() { vzctl exec2 "$1" nc -w 5 "$2" 8080 </dev/null; }

# sees SOURCE COMMAND...: does an echo request from SOURCE come to this host while COMMAND runs?
sees() {
	python3 - "$@" <<'P'
import select, socket, subprocess, sys, time
src = sys.argv[1]
v6 = ':' in src
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW,
                  socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
p = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
end = None
while True:
    if select.select([s], [], [], 0.05)[0]:
        data, who = s.recvfrom(2048)
        kind = data[0] if v6 else data[(data[0] & 15) * 4]
        if who[0] == src and kind == (128 if v6 else 8):
            p.wait()
            sys.exit(0)
    elif end is None and p.poll() is not None:
        end = time.monotonic() + 0.3
    elif end and time.monotonic() > end:
        sys.exit(1)
P
}

# bats test_tags=lean
@test "host and VPS reach each other over IPv4 and IPv6, by ping and by TCP" {
	up 5011 '10.95.50.1 fd95:50::1'
	serve 5011
	for a in 10.95.50.1 fd95:50::1; do
		reaches $a
	done
	reaches_from 5011 $host4
	reaches_from 5011 $host6
	[ "$(asks 10.95.50.1)" = 5011 ]
	[ "$(asks fd95:50::1)" = 5011 ]
}

@test "two VPSes reach each other over IPv4 and IPv6" {
	up 5011 '10.95.50.1 fd95:50::1'
	up 5012 '10.95.50.2 fd95:50::2'
	serve 5011
	serve 5012
	reaches_from 5011 10.95.50.2
	reaches_from 5011 fd95:50::2
	reaches_from 5012 10.95.50.1
	reaches_from 5012 fd95:50::1
	[ "$(asks_from 5011 10.95.50.2)" = 5012 ]
	[ "$(asks_from 5012 fd95:50::1)" = 5011 ]
}

@test "set on a running VPS: added at once, kept only with --save, deleted with its route" {
	up 5011 10.95.50.1
	run --separate-stderr vzctl set 5011 --ipadd 10.95.50.3
	status_is 0
	has "Adding IP address(es): 10.95.50.3"
	[[ "$stderr" == *"not saved"* ]]
	reaches 10.95.50.3
	grep -qx 'IP_ADDRESS="10.95.50.1"' "$(conf 5011)"
	run vzctl set 5011 --ipadd 10.95.50.4 --ipadd fd95:50::4 --save
	status_is 0
	reaches 10.95.50.4
	reaches fd95:50::4
	grep -qx 'IP_ADDRESS="10.95.50.1 10.95.50.4 fd95:50::4"' "$(conf 5011)"
	run vzctl set 5011 --ipdel 10.95.50.1 --ipdel fd95:50::4 --save
	status_is 0
	has "Deleting IP address(es): 10.95.50.1 fd95:50::4"
	grep -qx 'IP_ADDRESS="10.95.50.4"' "$(conf 5011)"
	[ -z "$(ip route show 10.95.50.1)$(ip -6 route show fd95:50::4)" ]
	run vzctl exec2 5011 ip addr show venet0
	has 10.95.50.4/32
	[[ "$output" != *10.95.50.1/* && "$output" != *fd95:50::4/* ]]
	reaches 10.95.50.4
}

@test "--ipdel all with --ipadd 'A B' in one call replaces, whatever the order" {
	up 5011 '10.95.50.1 10.95.50.2'
	vzctl set 5011 --ipdel all --ipadd '10.95.50.3 10.95.50.4' --save
	grep -qx 'IP_ADDRESS="10.95.50.3 10.95.50.4"' "$(conf 5011)"
	reaches 10.95.50.3
	reaches 10.95.50.4
	[ -z "$(ip route show 10.95.50.1)$(ip route show 10.95.50.2)" ]
	vzctl set 5011 --ipadd 10.95.50.5 --ipdel all --save
	grep -qx 'IP_ADDRESS="10.95.50.5"' "$(conf 5011)"
	reaches 10.95.50.5
	vzctl set 5011 --ipdel all --save
	[ -z "$(ip -o route | grep " dev vz5011-")" ]
	run vzctl exec2 5011 ip -4 -o addr show venet0
	[ -z "$output" ]
}

@test "the address of another running VPS: 78, nothing saved, its holder keeps it" {
	up 5011 10.95.50.1
	up 5012 10.95.50.2
	run vzctl set 5012 --ipadd 10.95.50.1 --save
	status_is 78
	has "not saving configuration"
	grep -qx 'IP_ADDRESS="10.95.50.2"' "$(conf 5012)"
	run vzctl exec2 5012 ip -4 -o addr show venet0
	[[ "$output" != *10.95.50.1/* ]]
	[[ "$(ip route show 10.95.50.1)" == *"dev vz5011-"* ]]
	reaches 10.95.50.1
	reaches 10.95.50.2
}

@test "a start with the address of another running VPS or of the host: 78 and nothing left" {
	up 5011 10.95.50.1
	vzctl create 5012 --ostemplate busybox
	for a in 10.95.50.1 $host4; do
		vzctl set 5012 --ipdel all --ipadd $a --save
		run vzctl start 5012
		status_is 78
		[ "$(vzctl status 5012)" = "CTID 5012 exist unmounted down" ]
		wait_for 10 no_link 5012
	done
	reaches 10.95.50.1
	vzctl stop 5011 --fast
	vzctl set 5012 --ipdel all --ipadd 10.95.50.1 --save
	vzctl start 5012
	reaches 10.95.50.1
}

@test "the same address with another mask replaces it" {
	up 5011 10.95.50.1
	vzctl set 5011 --ipadd 10.95.50.1/24 --save
	grep -qx 'IP_ADDRESS="10.95.50.1/24"' "$(conf 5011)"
	run vzctl exec2 5011 ip -4 -o addr show venet0
	has 10.95.50.1/24
	[[ "$output" != *10.95.50.1/32* ]]
	[ "$(ip -o route show 10.95.50.1 | wc -l)" = 1 ]
	reaches 10.95.50.1
	reaches_from 5011 $host4
	vzctl set 5011 --ipadd 10.95.50.1 --save
	grep -qx 'IP_ADDRESS="10.95.50.1"' "$(conf 5011)"
	reaches 10.95.50.1
}

@test "addresses that mean none are ignored, bad ones refused with nothing changed" {
	up 5011 10.95.50.1
	for a in 0.0.0.0 :: ::0; do
		run vzctl set 5011 --ipadd $a --save
		status_is 0
	done
	for a in 10.95.50 10.95.50.1/33 fd95:50::1/129 10.95.50.1x; do
		run vzctl set 5011 --ipadd "$a" --save
		[ "$status" -ne 0 ]
	done
	grep -qx 'IP_ADDRESS="10.95.50.1"' "$(conf 5011)"
	reaches 10.95.50.1
}

@test "IPV6=no: such an address is dropped with a warning, the rest applied" {
	sed -i 's/^IPV6=.*/IPV6="no"/' "$CROFT_ROOT/etc/vz/vz.conf"
	vzctl create 5011 --ostemplate busybox
	run --separate-stderr vzctl set 5011 --ipadd '10.95.50.1 fd95:50::1' --save
	status_is 0
	[[ "$stderr" == *WARNING*fd95:50::1* ]]
	grep -qx 'IP_ADDRESS="10.95.50.1"' "$(conf 5011)"
	sed -i 's/^IP_ADDRESS=.*/IP_ADDRESS="10.95.50.1 fd95:50::1"/' "$(conf 5011)"
	vzctl start 5011
	reaches 10.95.50.1
	[ -z "$(ip -6 route show fd95:50::1)" ]
	run vzctl exec2 5011 ip -6 -o addr show scope global
	[ -z "$output" ]
}

@test "no link and no route is left after stop" {
	up 5011 '10.95.50.1 fd95:50::1'
	run ! no_link 5011
	vzctl stop 5011 --fast
	wait_for 10 no_link 5011
	[ -z "$(ip route show 10.95.50.1)$(ip -6 route show fd95:50::1)" ]
}

@test "stop and start at once, five times: reachable each time" {
	up 5011 '10.95.50.1 fd95:50::1'
	for _ in 1 2 3 4 5; do
		vzctl stop 5011 --fast
		run --separate-stderr vzctl start 5011
		status_is 0
		[ -z "$stderr" ]
		reaches 10.95.50.1
		reaches fd95:50::1
		[ "$(ip -o route show 10.95.50.1 | wc -l)" = 1 ]
	done
	one_link() { [ "$(ip -o link | grep -c ' vz5011-')" = 1 ]; }
	wait_for 10 one_link
}

@test "a spoofed source address is dropped (IPv4)" {
	up 5011 10.95.50.1
	up 5012 10.95.50.2
	sees 10.95.50.1 "$build/vzctl" exec2 5011 ping -c 2 -w 3 $host4
	vzctl exec2 5011 'ip addr add 10.95.50.2/32 dev venet0; ip addr add 10.95.50.66/32 dev venet0'
	for a in 10.95.50.2 10.95.50.66; do
		run ! sees $a "$build/vzctl" exec2 5011 ping -c 2 -w 2 -I $a $host4
	done
	reaches 10.95.50.2
}

@test "a spoofed source address is dropped (IPv6)" {
	up 5011 fd95:50::1
	up 5012 fd95:50::2
	sees fd95:50::1 "$build/vzctl" exec2 5011 ping -c 2 -w 3 $host6
	vzctl exec2 5011 'ip addr add fd95:50::2/128 dev venet0 nodad 2>/dev/null || ip addr add fd95:50::2/128 dev venet0'
	run ! sees fd95:50::2 "$build/vzctl" exec2 5011 ping -c 2 -w 2 -I fd95:50::2 $host6
	reaches fd95:50::2
}

# what a VPS must not change: routes of the host, its links, forwarding of links that are not a VPS's
host_net() {
	ip route show default
	ip -6 route show default
	ip -o link | awk '$2 !~ /^vz[0-9]/ { print $2, $3, $4, $5 }'
	for f in /proc/sys/net/ipv4/conf/*/{rp_filter,proxy_arp,accept_redirects,accept_local}; do
		case $f in */conf/vz[0-9]*) ;; *) echo "$f $(cat "$f")" ;; esac
	done
	cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/default/forwarding
}

@test "the host's routes, links and settings are the same with and after a VPS" {
	before=$(host_net)
	up 5011 '10.95.50.1 fd95:50::1'
	vzctl exec 5011 'ip link set venet0 mtu 1280; ip route add 192.0.2.99 dev venet0' || :
	[ "$(host_net)" = "$before" ]
	vzctl stop 5011 --fast
	wait_for 10 no_link 5011
	[ "$(host_net)" = "$before" ]
}

@test "loopback is up, the VPS sees no link of the host" {
	up 5011 10.95.50.1
	reaches_from 5011 127.0.0.1
	run vzctl exec2 5011 ls /sys/class/net
	[ "$(tr '\n' ' ' <<<"$output")" = "lo venet0 " ]
}
