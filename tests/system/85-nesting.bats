#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Container engines and a data base in Debian 12 with systemd: VPS 8511 on overlay, 8512 on simfs, both nesting:on.
# No registry is asked: images are made of the VPS's own busybox. Networks of containers are inside the VPS.
# bats file_tags=host
# templates: debian-12-apps
bats_require_minimum_version 1.5.0
load ../lib/common

vpses="8511 8512"

setup_file() {
	make_root overlay
	template debian-12-apps
	for pair in "8511 overlay" "8512 simfs"; do
		set -- $pair
		vzctl create "$1" --ostemplate debian-12-apps --layout "$2" --config vswap-1g
		vzctl set "$1" --features nesting:on --devnodes fuse:rw --ipadd "10.95.85.${1#85}" --save
		vzctl start "$1" --wait
		vzctl exec2 "$1" 'mkdir -p /root/image/bin; cp /bin/busybox /root/image/bin/; ln -s busybox /root/image/bin/sh'
		vzctl exec2 "$1" systemctl start docker
		vzctl exec2 "$1" 'tar -C /root/image -c . | docker import - box'
	done
}

teardown_file() {
	destroy_all
	remove_root
}

# in_each COMMAND: in both VPSes, as `run` does; it must succeed with the same output
in_each() {
	local first=
	for c in $vpses; do
		run vzctl exec2 "$c" "$1"
		status_is 0
		[ "$c" = 8511 ] || [ "$output" = "$first" ]
		first=$output
	done
}

@test "docker runs on overlay2 in both layouts, and systemd has no failed unit" {
	in_each 'docker info -f "{{.Driver}} {{.CgroupVersion}}"'
	[ "$output" = "overlay2 2" ]
	in_each 'systemctl --failed --no-legend --plain'
	[ -z "$output" ]
}

@test "docker run: output, error output and exit code come through; ids and /proc are the container's own" {
	for c in $vpses; do
		run --separate-stderr vzctl exec2 "$c" 'docker run --rm --network none box sh -c "echo out; echo err >&2; exit 7"'
		status_is 7
		[ "$output" = out ]
		[ "$stderr" = err ]
	done
	in_each 'docker run --rm --network none box sh -c "busybox id -u; busybox ps -o pid,args | busybox tail -n +2 | busybox head -n 1"'
	[ "${lines[0]}" = 0 ]
	[[ "${lines[1]}" == *"1 "*sh* ]]
	in_each 'docker run --rm --network none -v /root/image:/seen:ro box sh -c "busybox ls /seen; echo >/seen/x || echo refused" 2>/dev/null'
	[ "${lines[0]} ${lines[1]}" = "bin refused" ]
}

@test "docker exec, restart and pause of a container; what it wrote is kept" {
	for c in $vpses; do
		vzctl exec2 "$c" 'docker run -d --name one --network none --stop-signal KILL box busybox sleep 1000' >/dev/null
		run vzctl exec2 "$c" 'docker exec one sh -c "echo kept >/file; exit 3"'
		status_is 3
		vzctl exec2 "$c" 'docker restart -t 0 one' >/dev/null
		[ "$(vzctl exec2 "$c" docker exec one busybox cat /file)" = kept ]
		vzctl exec2 "$c" 'docker pause one && docker inspect -f "{{.State.Status}}" one' | grep -qx paused
		vzctl exec2 "$c" 'docker unpause one && docker rm -f one' >/dev/null
		[ -z "$(vzctl exec2 "$c" docker ps -aq)" ]
	done
}

@test "docker build, and layers over layers" {
	in_each 'cd /root/image && printf "FROM box\nRUN busybox mkdir /d && echo one >/d/a\nRUN busybox rm /d/a && echo two >/d/b\n" | docker build -q --network none -t built -f - . >/dev/null && docker run --rm --network none built sh -c "busybox ls /d; busybox cat /d/b"'
	[ "${lines[0]} ${lines[1]}" = "b two" ]
}

@test "docker's own bridge: a container reaches another VPS, a published port is served to one" {
	vzctl exec2 8511 'docker run -d --name web -p 8080:80 box sh -c "echo page >/index.html; exec busybox httpd -f -p 80 -h /"' >/dev/null
	page() { vzctl exec2 8512 'docker run --rm box busybox timeout 5 busybox wget -qO- http://10.95.85.11:8080/' | grep -qx page; }
	wait_for 10 page
	vzctl exec2 8511 'docker rm -f web' >/dev/null
}

# podman sets a limit of processes by itself; where cgroup2 carries no controllers that has to be switched off
@test "podman, as root and as a user, with the kernel's overlay" {
	for c in $vpses; do
		vzctl exec2 "$c" 'tar -C /root/image -c . | podman import -q - box' >/dev/null
		run vzctl exec2 "$c" 'podman run --rm --pids-limit 0 --network none box sh -c "echo root; exit 5"'
		status_is 5
		[ "$output" = root ]
		vzctl exec2 "$c" 'useradd -m user; for f in uid gid; do echo user:10000:50000 >/etc/sub$f; done; cp -r /root/image /home/user/'
		run vzctl exec2 "$c" 'su - user -c "export STORAGE_DRIVER=overlay; tar -C image -c . | podman import -q - box >/dev/null; podman run --rm --pids-limit 0 --network none --user 7:7 box busybox id -u; podman unshare id -u"'
		status_is 0
		[ "${lines[0]} ${lines[1]}" = "7 0" ]
	done
}

@test "without nesting:on a nested proc is refused and the volumes are not there" {
	vzctl create 8513 --ostemplate busybox >/dev/null
	vzctl start 8513 >/dev/null
	run vzctl exec2 8513 'unshare -Urpf mount -t proc proc /mnt'
	[ "$status" -ne 0 ]
	[ ! -e "$(vzdir)/private/8513/volumes" ]
	vzctl --quiet stop 8513 --fast
	vzctl --quiet destroy 8513
}

@test "vzctl restart: a transaction of PostgreSQL, images and a container of docker's survive it" {
	sql() { vzctl exec2 "$1" "su postgres -c \"psql -qAtc '$2'\""; }
	up() { [ "$(vzctl exec2 "$1" docker inspect -f '{{.State.Status}}' stays)" = running ]; }
	[ -d "$(vzdir)/private/8511/volumes/docker/overlay2" ]
	[ ! -e "$(vzdir)/private/8511/upper/var/lib/docker/overlay2" ]
	for c in $vpses; do
		[ "$(vzctl exec2 "$c" stat -f -c %T /var/lib/docker)" != overlayfs ]
		vzctl exec2 "$c" systemctl --quiet enable --now postgresql docker 2>/dev/null
		sql "$c" 'create table t (x int); begin; insert into t values (41 + 1); commit'
		vzctl exec2 "$c" 'docker run -d --name stays --network none --restart always --stop-signal KILL box busybox sleep 1000' >/dev/null
		vzctl restart "$c" --wait >/dev/null
	done
	for c in $vpses; do
		[ "$(sql "$c" 'select x from t')" = 42 ]
		# the stop was one: nothing had to be recovered
		run vzctl exec2 "$c" 'grep -c "not properly shut down" /var/log/postgresql/*.log'
		[ "$output" = 0 ]
		wait_for 20 up "$c"
	done
}
