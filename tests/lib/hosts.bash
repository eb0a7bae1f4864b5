# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Two nodes on this machine, for migration: "a" and "b". Each has mounts, a network, groups and a tree of its own; the
# tree is at the same path in both, so that names of groups are the same, as on two real nodes.

load ../lib/common

# hosts_up [LAYOUT]: the nodes and a segment between them: br54 here, eth0 there; in setup_file
hosts_up() {
	local h c
	hosts=$(mktemp -d /tmp/croft-hosts.XXXXXX)
	export hosts
	chmod 755 "$hosts"
	mkdir "$hosts/node"
	setsid sleep 100000 >/dev/null 2>&1 3>&- </dev/null &
	echo $! >"$hosts/outside.pid"
	ip link add br54 type bridge
	ip addr add 10.99.54.254/24 dev br54
	ip link set br54 up
	for h in a b; do
		mkdir "$hosts/$h"
		: >"$hosts/$h.groups"
		for c in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts); do
			mkdir "$c/${hosts##*.}-$h"
			[ ! -e "$c/cpuset.cpus" ] || cat "$c/cpuset.cpus" >"$c/${hosts##*.}-$h/cpuset.cpus"
			# a node is not one process among many
			[ ! -e "$c/${hosts##*.}-$h/cpu.shares" ] || echo 8192 >"$c/${hosts##*.}-$h/cpu.shares"
			[ ! -e "$c/${hosts##*.}-$h/cpu.weight" ] || echo 800 >"$c/${hosts##*.}-$h/cpu.weight"
			[ ! -e "$c/cpuset.mems" ] || cat "$c/cpuset.mems" >"$c/${hosts##*.}-$h/cpuset.mems"
			echo "$c/${hosts##*.}-$h $c" >>"$hosts/$h.groups"
		done
		boot "$h"
		host_run "$h" "make_root ${1:-simfs} '$hosts/node'"
	done
	transport="$hosts/enter-b"
	export transport
}

# boot HOST: its namespaces, its network, the way into it
boot() {
	hold "$1"
	enter "$1" >"$hosts/enter-$1"
	chmod 755 "$hosts/enter-$1"
	ip link add "v54$1" type veth peer name eth0 netns "$(cat "$hosts/$1.pid")"
	ip link set "v54$1" master br54 up
	on "$1" sh -c 'ip link set lo up; ip addr add 198.51.100.1/32 dev lo; ip addr add 2001:db8:ffff::1/128 dev lo
		ip link set eth0 up; echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv4/conf/eth0/proxy_arp'
	on "$1" ip addr add "10.99.54.$([ "$1" = a ] && echo 1 || echo 2)/24" dev eth0
}

# inhabitants HOST: its processes
inhabitants() {
	local group
	while read -r group _; do
		find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null
	done <"$hosts/$1.groups" | sort -u
}

# dark HOST: its power is cut. All its processes die at once, its mounts and its network go with them, and what is in /run;
# its files stay.
dark() {
	local group l
	# nobody is to see another die; one that is frozen by cgroup v1 dies when it is thawed, before it does anything
	# shellcheck disable=SC2046
	for l in 1 2 3; do kill -STOP $(inhabitants "$1") 2>/dev/null || :; done
	while [ "$(inhabitants "$1")" ]; do
		# shellcheck disable=SC2046
		kill -9 $(inhabitants "$1") 2>/dev/null || :
		while read -r group _; do
			find "$group" -name freezer.state | while read -r l; do echo THAWED >"$l"; done 2>/dev/null || :
		done <"$hosts/$1.groups"
	done
	ip link del "v54$1" 2>/dev/null || :
	while read -r group _; do
		wait_for 5 sh -c 'find "$1" -mindepth 1 -depth -type d -exec rmdir {} + && [ -z "$(find "$1" -mindepth 1 -type d)" ]' x "$group"
	done <"$hosts/$1.groups"
	rm -rf "$hosts/$1/run" "$hosts/$1.pid"
	# the next boot has another id
	for l in "$hosts/$1"/var/lib/vz/running/*; do
		[ ! -L "$l" ] || [ "$(readlink "$l")" = kept ] || ln -sfn 00000000-0000-4000-8000-000000000000 "$l"
	done
}

# light HOST: it has power again, and does what it does at boot
light() {
	boot "$1"
	on "$1" vz-node start
}

# hold HOST: the process whose namespaces are the node
hold() {
	# shellcheck disable=SC2016
	HOST_GROUPS=$hosts/$1.groups HOST_TREE=$hosts/$1 HOST_NODE=$hosts/node HOST_PID=$hosts/$1.pid setsid bash -c '
		while read -r group _; do echo $$ >"$group/cgroup.procs"; done <"$HOST_GROUPS"
		exec unshare --mount --net --cgroup bash -c "
			mount --bind \$HOST_TREE \$HOST_NODE
			while read -r group at; do
				mount --bind \$group \$at
				# of cgroup2 no process may be where controllers are given on
				[ ! -e \$at/cgroup.controllers ] || { mkdir \$at/here; echo \$\$ >\$at/here/cgroup.procs; }
			done <\$HOST_GROUPS
			echo \$\$ >\$HOST_PID.tmp; mv \$HOST_PID.tmp \$HOST_PID
			exec sleep 100000"' >/dev/null 2>&1 3>&- </dev/null &
	disown # who is killed in dark() is not told of
	wait_for 10 test -e "$hosts/$1.pid"
}

# enter HOST: a program like ssh that runs a command there; its first word, the name of the node, is of no account
enter() {
	cat <<-X
		#!/bin/bash
		# from a node as from here
		[ "\$HOSTS_OUTSIDE" ] || exec env HOSTS_OUTSIDE=1 nsenter -t $(cat "$hosts/outside.pid") -m -n -C --wd=/ "\$0" "\$@"
		shift
		while read -r group _; do
			[ ! -e "\$group/here" ] || group+=/here
			echo \$\$ >"\$group/cgroup.procs"
		done <"$hosts/$1.groups"
		exec nsenter -t $(cat "$hosts/$1.pid") -m -n -C --wd=/ env -u HOSTS_OUTSIDE CROFT_ROOT="$hosts/node" CROFT_LIBEXEC="$build" \\
			CROFT_DATADIR="$top" CROFT_BUILD="$build" PATH="$build:\$PATH" "\$@"
	X
}

# on HOST COMMAND...
on() {
	local h=$1
	shift
	"$hosts/enter-$h" "$h" "$@" 3>&-
}

# host_run HOST TEXT: with the functions of common.bash
host_run() {
	# shellcheck disable=SC2016
	on "$1" env BATS_TEST_DIRNAME="$BATS_TEST_DIRNAME" bash -c 'set -e; . "$BATS_TEST_DIRNAME/../lib/common.bash"; '"$2"
}

# migrate ARG...: on node a, to node b
migrate() { on a vzmigrate --transport-command "$transport" "$@"; }

# exactly ONE HOST CTID: it runs there and nowhere else
running_on() {
	local other=a
	[ "$1" = b ] || other=b
	[[ "$(on "$1" vzctl status "$2" 2>/dev/null)" == *" exist mounted running"* ]] &&
		[[ "$(on $other vzctl status "$2" 2>/dev/null)" != *" running"* ]]
}

# journals HOST: what is left of migrations
journals() { on "$1" sh -c 'cat "$CROFT_ROOT"/etc/vz/migrate/*.journal 2>/dev/null' || :; }

# in teardown: every VPS of both nodes goes, with what is left of migrations; nothing else may be there
hosts_clean() {
	local h bad=0
	for h in a b; do # on both, before either is looked at: their trees have the same name
		host_run $h 'rm -rf "$CROFT_ROOT"/etc/vz/migrate
			for c in "$CROFT_ROOT"/etc/vz/conf/[0-9]*.conf; do vzctl stop "$(basename "$c" .conf)" --fast; done' >/dev/null 2>&1 || :
	done
	for h in a b; do
		host_run $h destroy_all || bad=1
		host_run $h 'ls -A "$(vzdir)/private"; grep -F "migrate" /proc/self/mountinfo' 2>/dev/null >"$hosts/left" || :
		[ ! -s "$hosts/left" ] || {
			echo "left on $h: $(cat "$hosts/left")" >&2
			host_run $h 'rm -rf "$(vzdir)"/private/*'
			bad=1
		}
		host_run $h 'rm -f "$CROFT_ROOT"/etc/vz/conf/[0-9]*'
	done
	return $bad
}

# in teardown_file
hosts_down() {
	local h group
	for h in a b; do
		[ -e "$hosts/$h.pid" ] || continue # it is dark
		host_run $h remove_root || :
		kill -9 "$(cat "$hosts/$h.pid")"
	done
	kill "$(cat "$hosts/outside.pid")"
	ip link del br54
	for h in a b; do
		while read -r group _; do
			find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || :
			wait_for 5 sh -c "! test -e '$group' || rmdir '$group'" || :
		done <"$hosts/$h.groups"
	done
	rm -rf "$hosts"
}
