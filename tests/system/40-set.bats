#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host,node
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { make_root; }
teardown_file() { remove_root; }
setup() { vzctl --quiet create 4142 --ostemplate busybox; }
teardown() { destroy_all; }

running() { vzctl --quiet start 4142; }
# group CONTROLLER: directory of this VPS's group, empty when the controller is not v1
group() { jq -r '.cgroups[]' "$CROFT_ROOT/run/vz/4142/state.json" | sed -n "s/^$1=//p"; }
# knob V1-CONTROLLER V1-FILE V2-FILE: its value
knob() {
	local g
	g=$(group "$1")
	if [ -n "$g" ]; then cat "$g/$2"; else cat "$(group v2)/$3"; fi
}
# processes of a VPS without numproc: an eighth of the node's, and one for 256 KiB of memory
default_numproc() {
	printf '%s\n' $(($(sort -n /proc/sys/kernel/pid_max /proc/sys/kernel/threads-max | head -n1) / 8)) \
		$(($(knob memory memory.limit_in_bytes memory.max) / 262144)) | sort -n | head -n1
}
v1() { [ -n "$(group "$1")" ]; }
saved() { grep -qxF -- "$1" "$(conf 4142)" || { cat "$(conf 4142)" >&2; return 1; }; }
unchanged() { cmp "$(conf 4142)" "$BATS_TEST_TMPDIR/before"; }
remember() { cp "$(conf 4142)" "$BATS_TEST_TMPDIR/before"; }

# refused CODE ARG...: that code, one line on stderr, nothing on stdout, the file as it was
refused() {
	local code=$1
	shift
	remember
	run --separate-stderr vzctl set 4142 "$@"
	[ "$status" -eq "$code" ] && [ -z "$output" ] && [ "${#stderr_lines[@]}" -eq 1 ] && unchanged || {
		echo "set $*: status $status, not $code; stdout: $output; stderr: $stderr" >&2
		return 1
	}
}

@test "--save on a stopped VPS edits the file and says so; the same again is no change" {
	run --separate-stderr vzctl set 4142 --numproc 77:88 --save
	status_is 0
	[ "$output" = "CT configuration saved to $(conf 4142)" ]
	[ -z "$stderr" ]
	saved 'NUMPROC="77:88"'
	run --separate-stderr vzctl set 4142 --numproc 77:88 --save
	status_is 0
	[ "$output" = "No changes in CT configuration, not saving" ]
	vzctl set 4142 --numproc 90 --save
	saved 'NUMPROC="90"'
	[ "$(grep -c '^NUMPROC=' "$(conf 4142)")" -eq 1 ]
}

@test "without --save nothing is written and a warning says so" {
	remember
	run --separate-stderr vzctl set 4142 --onboot yes
	status_is 0
	[[ "$stderr" == "WARNING: Settings were not saved to config"*"(use --save flag)" ]]
	unchanged
	running
	run --separate-stderr vzctl set 4142 --numproc 55
	status_is 0
	[[ "$stderr" == "WARNING: Settings were not saved to config"* ]]
	[ "$(knob pids pids.max pids.max)" = 55 ]
	unchanged
	vzctl restart 4142 --fast
	[ "$(knob pids pids.max pids.max)" = "$(default_numproc)" ]
}

# bats test_tags=lean
@test "--ram, --swap and --physpages live: the kernel's limits follow" {
	running
	vzctl set 4142 --ram 300M --swap 100M --save
	saved 'PHYSPAGES="0:76800"'
	saved 'SWAPPAGES="0:25600"'
	[ "$(knob memory memory.limit_in_bytes memory.max)" = 314572800 ]
	if v1 memory; then
		[ "$(cat "$(group memory)/memory.memsw.limit_in_bytes")" = 419430400 ]
	else
		[ "$(cat "$(group v2)/memory.swap.max")" = 104857600 ]
	fi
	vzctl set 4142 --ram 80000001 --save # rounded up to pages
	saved 'PHYSPAGES="0:19532"'
	vzctl set 4142 --physpages 0:70000 --save
	saved 'PHYSPAGES="0:70000"'
	[ "$(knob memory memory.limit_in_bytes memory.max)" = 286720000 ]
	vzctl set 4142 --physpages 0:100M --save
	saved 'PHYSPAGES="0:25600"'
}

# bats test_tags=lean
@test "--numproc live" {
	running
	vzctl set 4142 --numproc 77:88 --save
	[ "$(knob pids pids.max pids.max)" = 88 ]
	# no limit is still a part of the node: docs/security.md
	vzctl set 4142 --numproc unlimited --save
	[ "$(knob pids pids.max pids.max)" = "$(default_numproc)" ]
	saved 'NUMPROC="unlimited"'
}

@test "--cpuunits, --cpulimit, --cpus live" {
	running
	run --separate-stderr vzctl set 4142 --cpuunits 2000 --cpulimit 50 --save
	status_is 0
	[ "$output" = $'Setting CPU limit: 50\nSetting CPU units: 2000\nCT configuration saved to '"$(conf 4142)" ]
	[ -z "$stderr" ]
	[ "$(knob cpu cpu.shares cpu.weight)" = "$(v1 cpu && echo 2048 || echo 200)" ]
	quota() { if v1 cpu; then cat "$(group cpu)/cpu.cfs_quota_us"; else cut -d' ' -f1 "$(group v2)/cpu.max"; fi; }
	[ "$(quota)" = 50000 ]
	vzctl set 4142 --cpulimit 150 --cpus 1 --save
	[ "$(quota)" = 100000 ]
	vzctl set 4142 --cpulimit 10% --cpus 0 --save
	saved "CPULIMIT=\"$((10 * $(nproc --all)))\""
	[ "$(quota)" = "$((10000 * $(nproc --all)))" ]
	vzctl set 4142 --cpulimit 0 --save
	[[ "$(quota)" = -1 || "$(quota)" = max ]]
	saved 'CPULIMIT="0"'
}

# bats test_tags=lean
@test "--cpumask and --nodemask live" {
	running
	before=$(knob cpuset cpuset.cpus cpuset.cpus.effective)
	vzctl set 4142 --cpumask 0 --save
	saved 'CPUMASK="0"'
	[ "$(knob cpuset cpuset.cpus cpuset.cpus.effective)" = 0 ]
	[ "$(vzctl exec2 4142 'grep Cpus_allowed_list /proc/self/status | cut -f2')" = 0 ]
	vzctl set 4142 --cpumask all --nodemask all --save
	[ "$(knob cpuset cpuset.cpus cpuset.cpus.effective)" = "$before" ]
	vzctl set 4142 --cpumask all --nodemask 0 --save
	[ "$(knob cpuset cpuset.mems cpuset.mems.effective)" = 0 ]
	refused 20 --nodemask 0 --save
	refused 21 --cpumask 3-1 --save
}

@test "a CPU that does not exist is refused and the mask stays" {
	running
	vzctl set 4142 --cpumask 0 --save
	remember
	run --separate-stderr vzctl set 4142 --cpumask 0,4000 --save
	[ "$status" -ne 0 ]
	[[ "$stderr" == *"failed to apply some parameters, not saving configuration file!"* ]]
	unchanged
	[ "$(knob cpuset cpuset.cpus cpuset.cpus.effective)" = 0 ]
}

@test "--hostname, --nameserver, --searchdomain live" {
	running
	run vzctl set 4142 --hostname h1.example.net --nameserver 192.0.2.1 --nameserver 192.0.2.2 --searchdomain 'a.net b.net' --save
	status_is 0
	has "Set hostname: h1.example.net"
	[ "$(vzctl exec2 4142 hostname)" = h1.example.net ]
	[ "$(vzctl exec2 4142 cat /etc/resolv.conf)" = $'search a.net b.net\nnameserver 192.0.2.1\nnameserver 192.0.2.2' ]
	vzctl exec2 4142 grep -q h1.example.net /etc/hosts
	saved 'HOSTNAME="h1.example.net"'
	saved 'NAMESERVER="192.0.2.1 192.0.2.2"'
	vzctl set 4142 --nameserver 192.0.2.9 --save # replaces
	[ "$(vzctl exec2 4142 grep -c nameserver /etc/resolv.conf)" = 1 ]
	vzctl restart 4142 --fast
	[ "$(vzctl exec2 4142 hostname)" = h1.example.net ]
}

@test "--devices and --devnodes: the kernel's list follows, none clears" {
	running
	vzctl set 4142 --devices c:10:200:rw --save
	saved 'DEVICES="c:10:200:rw"'
	! v1 devices || grep -q '^c 10:200 rw' "$(group devices)/devices.list"
	vzctl set 4142 --devices none --save
	! v1 devices || run ! grep -q '^c 10:200' "$(group devices)/devices.list"
	refused 21 --devices x:1:2:rw --save
	refused 21 --devices c:1:2:z --save
	refused 21 --devnodes loop0:rw --save
	refused 21 --devnodes ../vda:rw --save
}

@test "--devnodes makes the node at the next start" {
	vzctl set 4142 --devnodes net/tun:rw --save
	saved 'DEVNODES="net/tun:rw"'
	running
	run vzctl exec2 4142 'ls -l /dev/net/tun'
	status_is 0
	[[ "$output" == c* ]]
}

@test "a parameter that is only stored says so, once for each" {
	run --separate-stderr vzctl set 4142 --avnumproc 100 --local_gid 655360 --save
	status_is 0
	[ "${#stderr_lines[@]}" -eq 2 ]
	[[ "$stderr" == *"--avnumproc is stored; this version does not enforce it"* ]]
	[[ "$stderr" == *"--local_gid is stored; this version does not enforce it"* ]]
	saved 'AVNUMPROC="100"'
}

@test "limits that this node does not enforce are named, in one line" {
	run --separate-stderr vzctl set 4142 --dcachesize 100 --kmemsize 10M:12M --save
	status_is 0
	[ "$stderr" = "WARNING: --kmemsize, --dcachesize: counted, but nothing on this node enforces such a limit" ]
	saved 'DCACHESIZE="100"'
	saved 'KMEMSIZE="10485760:12582912"'
	run --separate-stderr vzctl set 4142 --numproc 100 --save
	[ -z "$stderr" ]
}

# value of an option of the parameter table, made from its argument in --help and its name
value_for() {
	case $1 in
	name) echo web ;;
	hostname) echo h.example.net ;;
	root | private) echo "$CROFT_ROOT/x/\$VEID" ;;
	layout | ve_layout | velayout) echo overlay ;;
	ipadd | ip) echo 192.0.2.7 ;;
	nameserver) echo 192.0.2.8 ;;
	searchdomain) echo example.net ;;
	netif_add) echo eth7 ;;
	netdev_add) echo dummy7 ;;
	netfilter) echo full ;;
	capability) echo SYS_TIME:on ;;
	features) echo nfs:on ;;
	devices) echo c:10:200:rw ;;
	devnodes) echo net/tun:rw ;;
	pci_add) echo 0000:00:1f.0 ;;
	meminfo) echo pages:1000 ;;
	iptables) echo iptable_filter ;;
	local_uid | local_gid) echo 655360 ;;
	vm_overcommit) echo 1.5 ;;
	ioprio) echo 6 ;;
	cpumask | nodemask) echo 0 ;;
	*) case $2 in
		'yes|no') echo yes ;;
		*) echo 1234 ;;
		esac ;;
	esac
}

@test "every option of the table is taken by set --save and comes back" {
	options=$(vzctl --help | sed -n 's/^   --\([a-z_-]*\)  *\([^ ]*\) .*/\1 \2/p' | grep -v ' writes$')
	[ "$(wc -l <<<"$options")" -ge 55 ]
	while read -r name arg; do
		value=$(value_for "$name" "$arg")
		cp "$(conf 4142)" "$BATS_TEST_TMPDIR/before"
		extra=()
		[ "$name" != nodemask ] || extra=(--cpumask 0)
		[ "$name" != cpuburst ] || extra=(--cpulimit 1234)
		run vzctl set 4142 "--$name" "$value" "${extra[@]}" --save
		key=$(sed -n "s/^\tX([A-Z0-9_]*, \"$name\", \"\([A-Z0-9_]*\)\".*/\1/p" "$top/src/vps/params.def")
		[ "$status" -eq 0 ] && [ -n "$key" ] && grep "^$key=" "$(conf 4142)" | grep -qF -- "${value/yes/yes}" || {
			case $name in # another unit in the file
			iolimit) grep -q '^IOLIMIT="1293942784"' "$(conf 4142)" && continue ;;
			esac
			echo "--$name $value ($key): status $status, $output" >&2
			grep "^$key=" "$(conf 4142)" >&2
			return 1
		}
		cp "$BATS_TEST_TMPDIR/before" "$(conf 4142)"
		rm -f "$CROFT_ROOT/etc/vz/names/web"
	done <<<"$options"
}

@test "the options that write another's row, and those that remove" {
	vzctl set 4142 --ip '192.0.2.1 192.0.2.2' --netif_add eth0 --netif_add eth1 --save
	saved 'IP_ADDRESS="192.0.2.1 192.0.2.2"'
	vzctl set 4142 --ipdel 192.0.2.1 --netif_del eth0 --save
	saved 'IP_ADDRESS="192.0.2.2"'
	grep -q '^NETIF="ifname=eth1' "$(conf 4142)"
	vzctl set 4142 --ipadd 192.0.2.9 --ipdel all --ipadd 2001:DB8::0:1 --save
	saved 'IP_ADDRESS="192.0.2.9 2001:db8::1"'
	vzctl set 4142 --ipdel all --netif_del eth1 --save
	saved 'IP_ADDRESS=""'
}

@test "bad values: one line, the right code, the file unchanged" {
	for state in stopped running; do
		[ $state = stopped ] || running
		for o in ram swap physpages numproc kmemsize numfile diskspace diskinodes cpuunits cpulimit cpuburst cpus cpumask ioprio iolimit iopslimit onboot disabled bootorder stop-timeout vm_overcommit; do
			for v in nonsense -1 '' 1x '1 2 3'; do
				refused 21 "--$o" "$v" --save
			done
		done
		refused 21 --cpuunits 7 --save
		refused 21 --cpuunits 500001 --save
		refused 21 --ioprio 8 --save
		refused 21 --cpulimit 101% --save
		refused 21 --description $'two\nlines' --save
		refused 21 --capability NOSUCH:on --save
		refused 21 --capability CHOWN:maybe --save
		refused 21 --features nosuch:on --save
		refused 21 --netfilter some --save
		refused 70 --hostname 'no blanks' --save
		refused 71 --ipadd 192.0.2.300 --save
		refused 71 --ipadd 192.0.2.3/33 --save
		refused 72 --nameserver nonsense --save
		refused 73 --searchdomain '-bad-' --save
		refused 131 --name a/b --save
	done
}

@test "one bad value among good ones: nothing is applied, nothing saved" {
	running
	vzctl set 4142 --numproc 50 --save
	refused 21 --numproc 60 --ram nonsense --save
	[ "$(knob pids pids.max pids.max)" = 50 ]
	refused 21 --ram nonsense --numproc 60 --save
	[ "$(knob pids pids.max pids.max)" = 50 ]
}

@test "failure to apply: an error, the old values again, not saved" {
	running
	vzctl set 4142 --ram 128M --numproc 50 --save
	vzctl exec2 4142 'head -c 6000000 /dev/zero >/tmp/eater'
	remember
	run --separate-stderr vzctl set 4142 --numproc 60 --ram 1M --save
	status_is 1
	[[ "$stderr" == *"Error: failed to apply some parameters, not saving configuration file!"* ]]
	[ -z "$output" ]
	unchanged
	[ "$(knob memory memory.limit_in_bytes memory.max)" = 134217728 ]
	[ "$(knob pids pids.max pids.max)" = 50 ]
}

@test "what needs a restart: a warning, --setmode ignore gives 32, --setmode restart restarts" {
	running
	pid=$(jq .init_pid "$CROFT_ROOT/run/vz/4142/state.json")
	run --separate-stderr vzctl set 4142 --capability net_raw:off --save
	status_is 0
	[ "$stderr" = "WARNING: some parameters take effect at the next start of the VPS" ]
	saved 'CAPABILITY="NET_RAW:off"'
	refused 32 --capability net_raw:on --save --setmode ignore
	[ "$(jq .init_pid "$CROFT_ROOT/run/vz/4142/state.json")" = "$pid" ]
	run vzctl set 4142 --capability net_admin:off --save --setmode restart
	status_is 0
	saved 'CAPABILITY="NET_RAW:off NET_ADMIN:off"'
	[ "$(jq .init_pid "$CROFT_ROOT/run/vz/4142/state.json")" != "$pid" ]
	bnd=$((16#$(vzctl exec2 4142 'sed -n "s/^CapBnd:[^0-9a-f]*//p" /proc/1/status')))
	[ $((bnd >> 12 & 1)) -eq 0 ] # NET_ADMIN
	[ $((bnd >> 13 & 1)) -eq 0 ] # NET_RAW
	[ $((bnd & 1)) -eq 1 ]       # CHOWN
	# exec has them no more either
	eff=$((16#$(vzctl exec3 4142 sed -n 's/^CapEff:[^0-9a-f]*//p' /proc/self/status)))
	[ $((eff >> 12 & 1)) -eq 0 ]
}

@test "--setmode, --force, --stop-timeout, --ostemplate, --name need --save; --root and --private a stopped VPS" {
	refused 20 --setmode restart --capability chown:off
	refused 20 --force --numproc 5
	refused 20 --stop-timeout 5
	refused 20 --ostemplate x
	refused 131 --name web
	refused 21 --setmode often --save
	running
	refused 32 --root /x --save
	refused 32 --private /x --save
}

@test "--applyconfig: merges a sample, keeps what is the VPS's own, 109 without it" {
	vzctl set 4142 --hostname own.example.net --description mine --ipadd 192.0.2.5 --save
	printf '%s\n' 'NUMPROC="33"' 'HOSTNAME="sample"' 'IP_ADDRESS="192.0.2.99"' 'DESCRIPTION="sample"' \
		'OSTEMPLATE="other"' 'VE_ROOT="/sample"' 'VE_PRIVATE="/sample"' >"$CROFT_ROOT/etc/vz/conf/ve-mine.conf-sample"
	running
	run vzctl set 4142 --applyconfig mine --save
	status_is 0
	[ "$(knob pids pids.max pids.max)" = 33 ]
	saved 'NUMPROC="33"'
	saved 'HOSTNAME="own.example.net"'
	saved 'DESCRIPTION="mine"'
	saved 'IP_ADDRESS="192.0.2.5"'
	saved 'OSTEMPLATE="busybox"'
	run ! grep -q sample "$(conf 4142)"
	saved 'ORIGIN_SAMPLE="mine"'
	refused 109 --applyconfig nosuch --save
}

@test "--reset_ub: alone 20, stopped 31, running: the limits of the configuration again" {
	refused 31 --reset_ub
	refused 20 --reset_ub --numproc 5
	vzctl set 4142 --numproc 44 --ram 200M --save
	running
	refused 20 --reset_ub --save
	vzctl set 4142 --numproc 55 --ram 150M
	[ "$(knob pids pids.max pids.max)" = 55 ]
	run vzctl set 4142 --reset_ub
	status_is 0
	[ "$(knob pids pids.max pids.max)" = 44 ]
	[ "$(knob memory memory.limit_in_bytes memory.max)" = 209715200 ]
}

@test "--userpasswd on a stopped VPS: the hash is inside, the user is made, nothing stays mounted or stored" {
	remember
	run --separate-stderr vzctl set 4142 --userpasswd root:S3cret
	status_is 0
	run --separate-stderr vzctl set 4142 --userpasswd newuser:S3cret:with:colons
	status_is 0
	grep -q '^root:\$' "$(vzdir)/private/4142/etc/shadow"
	grep -q '^newuser:\$' "$(vzdir)/private/4142/etc/shadow"
	grep -q '^newuser:x:[1-9][0-9]*:' "$(vzdir)/private/4142/etc/passwd"
	run ! grep -rq S3cret "$(vzdir)/private/4142/etc" "$(conf 4142)" "$CROFT_ROOT/vzctl.log"
	unchanged
	run vzctl status 4142
	[ "$output" = "CTID 4142 exist unmounted down" ]
	refused 74 --userpasswd nocolon
}

@test "--userpasswd on a running VPS, and it logs in" {
	running
	vzctl set 4142 --userpasswd root:first
	before=$(vzctl exec2 4142 grep ^root: /etc/shadow)
	vzctl set 4142 --userpasswd root:second
	after=$(vzctl exec2 4142 grep ^root: /etc/shadow)
	[ "$before" != "$after" ]
	[[ "$after" == 'root:$'* ]]
	hash=${after#root:}
	hash=${hash%%:*}
	[ "$(perl -e 'print crypt("second", $ARGV[0])' "$hash")" = "$hash" ]
	[ "$(vzctl exec2 4142 'stat -c %u:%g /etc/shadow')" = 0:0 ]
}

@test "comments, unknown keys, order and the last line survive --save" {
	printf '%s\n' '# a comment at the top' 'UNKNOWN_KEY="left alone"' "ODD='single'" '' '#UUID: 5c3d0000-0000-4000-8000-000000000001' >>"$(conf 4142)"
	cp "$(conf 4142)" "$BATS_TEST_TMPDIR/old"
	vzctl set 4142 --numproc 99 --description 'x' --cpuunits 3000 --save
	[ "$(tail -n 1 "$(conf 4142)")" = '#UUID: 5c3d0000-0000-4000-8000-000000000001' ]
	for line in '# a comment at the top' 'UNKNOWN_KEY="left alone"' "ODD='single'"; do
		saved "$line"
	done
	saved 'NUMPROC="99"'
	saved 'CPUUNITS="3000"'
	# nothing but the changed rows differs
	diff <(grep -v '^\(NUMPROC\|DESCRIPTION\|CPUUNITS\)=' "$BATS_TEST_TMPDIR/old") <(grep -v '^\(NUMPROC\|DESCRIPTION\|CPUUNITS\)=' "$(conf 4142)")
}

@test "a bad line in the file is told, kept, and does not stop the rest" {
	echo 'NUMFLOCK="nonsense"' >>"$(conf 4142)"
	run --separate-stderr vzctl set 4142 --numproc 99 --save
	status_is 0
	[[ "$stderr" == *"bad line"* ]]
	saved 'NUMFLOCK="nonsense"'
	saved 'NUMPROC="99"'
}

@test "a description with every special character comes back, also for a shell that sources the file" {
	d='a "quoted" $HOME `id` \ back'\''s; #x =y'
	vzctl set 4142 --description "$d" --save
	[ "$(vzlist -a -H -o description 4142)" = "$d" ]
	# shellcheck disable=SC1090
	[ "$(. "$(conf 4142)" && printf %s "$DESCRIPTION")" = "$d" ]
}

@test "after a stop the lock is free at once: nothing of the VPS's end is in the next command's way" {
	for i in 1 2 3 4 5 6 7 8; do
		vzctl --quiet start 4142
		vzctl --quiet stop 4142 --fast
		run vzctl set 4142 --numproc $((100 + i)) --save
		status_is 0
		saved "NUMPROC=\"$((100 + i))\""
	done
}

@test "a limit set without --save stays in force when another of its group is set; vzlist shows it; a restart ends it" {
	running
	vzctl set 4142 --cpulimit 50 --ram 128M --save
	vzctl set 4142 --cpulimit 25 --swap 64M 2>/dev/null
	vzctl set 4142 --cpuunits 2000 --ram 256M 2>/dev/null
	[ "$(vzlist -Ho cpulimit,cpuunits,physpages.l,swappages.l 4142 | xargs)" = "25 2000 65536 16384" ]
	# what is saved is only what was given with --save
	vzctl set 4142 --cpus 1 --save
	for line in 'CPULIMIT="50"' 'CPUUNITS="1000"' 'CPUS="1"' 'PHYSPAGES="0:32768"'; do saved "$line"; done
	[ "$(vzlist -Ho cpulimit,cpus 4142 | xargs)" = "25 1" ]
	# and the same value saved is in the file then
	vzctl set 4142 --cpulimit 25 --save
	saved 'CPULIMIT="25"'
	vzctl set 4142 --reset_ub
	[ "$(vzlist -Ho cpulimit,cpuunits,physpages.l,swappages.l 4142 | xargs)" = "25 2000 32768 131072" ]
	vzctl restart 4142 --fast >/dev/null
	[ "$(vzlist -Ho cpulimit,cpuunits,physpages.l 4142 | xargs)" = "25 1000 32768" ]
}

@test "vzlist shows the addresses that are up, and those of the configuration" {
	running
	vzctl set 4142 --ipadd 10.95.40.1 --save
	vzctl set 4142 --ipadd 10.95.40.2 2>/dev/null
	[ "$(vzlist -Ho configured_ip 4142 | xargs)" = 10.95.40.1 ]
	[ "$(vzlist -Ho ip 4142 | xargs)" = "10.95.40.1 10.95.40.2" ]
	[ "$(vzlist -jo ip 4142 | jq -c '.[0].ip')" = '["10.95.40.1","10.95.40.2"]' ]
}
