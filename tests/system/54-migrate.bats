#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# vzmigrate between two nodes on this machine: what arrives, what is refused before anything changes.
# bats file_tags=host,node
bats_require_minimum_version 1.5.0
load ../lib/hosts
load ../lib/drift

setup_file() {
	hosts_up
	[ -x "$build/tests/checkpoint/dirty" ] || make -s -C "$build" checkpoint-programs
}
teardown_file() { hosts_down; }
teardown() { hosts_clean; }

# a CTID LAYOUT OPTION...: a VPS on node a
a_vps() {
	on a vzctl create "$1" --ostemplate busybox --layout "$2" >/dev/null
	[ $# -lt 3 ] || on a vzctl set "$1" "${@:3}" --save >/dev/null
}

# moves ARG...: vzmigrate succeeds and says nothing on standard error
moves() {
	run --separate-stderr migrate "$@"
	status_is 0
	[ -z "$stderr" ] || {
		echo "stderr: $stderr" >&2
		return 1
	}
}

# refused CODE TEXT ARG...: before anything changes
refused() {
	local code=$1 text=$2
	shift 2
	run --separate-stderr migrate "$@"
	[ "$status" -eq "$code" ] && [[ "$stderr" == *"$text"* ]] || {
		echo "vzmigrate $*: status $status, not $code; stderr: $stderr" >&2
		return 1
	}
	[ -z "$(journals a)$(journals b)" ]
}

# every kind of file and attribute, below /x of VPS $1 on node a; a VPS that runs makes what a tenant can make
every_attribute() {
	on a vzctl exec2 "$1" 'mkdir -p /x/dir; cd /x; echo text >file; ln file hard; ln -s /etc/passwd sym; ln -s nowhere dangling
		mkfifo fifo; chmod 4755 file; chown 1000:1001 dir; echo mode >secret; chmod 000 secret
		dd if=/dev/zero of=sparse bs=1 seek=64M count=1 2>/dev/null; touch "new
line"; touch -- "-dash"; mkdir "blank dir"; touch "blank dir/$(printf "\377\376")"'
}

# sheet HOST CTID: all of /x, with owners, modes, times to the nanosecond, blocks, links, ACLs and attributes
sheet() {
	on "$1" bash -c 'cd "$0" && find . -printf "%P|%y|%m|%U|%G|%s|%n|%T@|%l|%D\n" | sed "s/|[0-9]*$//" | sort
		getfacl -nR . 2>/dev/null; getfattr -hRm - -d . 2>/dev/null; cat file' "$2"
}

@test "a stopped VPS moves with its files, and is gone here" {
	a_vps 5411 simfs --hostname mover --name moving
	dir=$(host_run a vzdir)/private/5411
	on a vzctl start 5411 >/dev/null
	every_attribute 5411
	on a vzctl stop 5411 --fast >/dev/null
	on a mknod "$dir/x/device" c 1 3
	on a python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$dir/x/sock"
	on a setfattr -n user.note -v kept "$dir/x/file"
	on a setfacl -m u:1234:r "$dir/x/file"
	on a setcap cap_net_raw+ep "$dir/x/hard"
	sheet a "$dir/x" >"$hosts/before"
	moves b 5411
	[[ "$(on b vzctl status 5411)" == *"exist unmounted down"* ]]
	[[ "$(on a vzctl status 5411)" == *"deleted unmounted down"* ]]
	[ -z "$(journals a)$(journals b)" ]
	sheet b "$dir/x" >"$hosts/after"
	diff "$hosts/before" "$hosts/after"
	[ "$(on b stat -c '%t:%T' "$dir/x/device")" = 1:3 ]
	[ "$(on b stat -c %b "$dir/x/sparse")" -lt 1000 ]
	on b vzctl start moving >/dev/null
	[ "$(on b vzctl exec2 5411 hostname)" = mover ]
}

@test "a VPS that runs is stopped, moved and started there; scripts go along" {
	a_vps 5412 simfs --ipadd 10.99.54.112
	on a sh -c 'printf "#!/bin/sh\necho \$VEID >>\$CROFT_ROOT/mounted\n" >$CROFT_ROOT/etc/vz/conf/5412.mount; chmod +x $CROFT_ROOT/etc/vz/conf/5412.mount'
	on a vzctl start 5412 >/dev/null
	# a file that is written without end, times set back after each write
	on a vzctl exec2 5412 'while :; do echo x >>/busy; touch -d @1000000000 /busy; done >/dev/null 2>&1 & echo $!' >/dev/null
	moves -t b 5412
	has "Total time"
	has "Down time"
	running_on b 5412
	busybox ping -c 1 -w 5 10.99.54.112 >/dev/null
	[ "$(on b sh -c 'cat $CROFT_ROOT/mounted')" = 5412 ]
	[ -z "$(journals a)$(journals b)" ]
	# and back, to be kept there under another name, not started
	on b vzmigrate --transport-command "$hosts/enter-a" --remove-area no --nostart a 5412
	[[ "$(on a vzctl status 5412)" == *"exist unmounted down"* ]]
	[[ "$(on b vzctl status 5412)" == *"deleted unmounted down"* ]]
	on b sh -c 'ls $CROFT_ROOT/etc/vz/conf/5412.conf.migrated $CROFT_ROOT/var/lib/vz/private/5412.migrated/busy; rm -r $CROFT_ROOT/var/lib/vz/private/5412.migrated $CROFT_ROOT/etc/vz/conf/*.migrated'
}

@test "an overlay moves as its files are seen, the template by its hash" {
	on b sh -c 'rm -rf $CROFT_ROOT/var/lib/vz/template/cache/* $CROFT_ROOT/var/lib/vz/template/unpacked'
	a_vps 5413 overlay
	on a vzctl start 5413 >/dev/null
	on a vzctl exec2 5413 'rm -r /etc/network; mv /root /boss; sed -i "s/^root:/ROOT:/" /etc/passwd; chmod 700 /home
		mkdir /opt/d; echo a >/opt/d/a; ln /opt/d/a /opt/d/b; find / -xdev | sort' >"$hosts/before"
	# a file of the template, changed within the same second to the same size
	on a vzctl exec2 5413 'cp -p /etc/group /tmp/ref; sed -i "s/root/toor/" /etc/group; touch -r /tmp/ref /etc/group; rm /tmp/ref; cat /etc/group' >"$hosts/group"
	moves b 5413
	running_on b 5413
	on b vzctl exec2 5413 'find / -xdev | sort' >"$hosts/after"
	diff "$hosts/before" "$hosts/after"
	on b vzctl exec2 5413 cat /etc/group | diff "$hosts/group" -
	on b vzctl exec2 5413 'test "$(stat -c %h /opt/d/b)" = 2 && grep -q ^ROOT: /etc/passwd && test "$(stat -c %a /home)" = 700'
	# only what differs from the template lies in the private area
	[ "$(host_run b 'find $(vzdir)/private/5413/upper -type f | wc -l')" -lt 40 ]
	host_run a 'template busybox; cp $(vzdir)/template/cache/* '"$hosts"'/'
	host_run b 'template busybox'
}

@test "nothing changes where the target refuses" {
	a_vps 5414 simfs --ipadd 10.99.54.114 --name blocked
	refused 10 "there is no VPS 5499" b 5499
	refused 1 'bad value for HOST: "-oProxyCommand=x"' -- -oProxyCommand=x 5414
	refused 1 'bad value for --mode: "fast"' --mode fast b 5414
	refused 1 'no such option: --fast (vzmigrate --help' --fast b 5414
	refused 1 'no such option: -x (vzmigrate --help' -tx b 5414
	refused 1 'this option needs a value: --mode (vzmigrate --help' b 5414 --mode
	refused 1 'no VPS is named' b
	refused 1 'bad value for NEWID, after a colon: "" (allowed' b 5414:
	refused 1 '--ours and --theirs are for --recover' --ours b 5414
	refused 1 '--ours or --theirs, not both' --recover --ours --theirs 5414
	refused 1 '--ours and --theirs are for a VPS that is named' --recover --ours
	refused 10 'VPS 5414: no journal of a migration' --recover 5414
	[ "${#stderr_lines[@]}" = 1 ]
	refused 4 "no vzmigrate on b" --transport-command /bin/false b 5414
	refused 4 "no vzmigrate on b" --transport-command /nonexistent b 5414
	refused 4 "" --transport-command "/bin/echo hello" b 5414
	refused 2 "does not run" --online b 5414
	on b vzctl create 5414 --ostemplate busybox >/dev/null
	refused 9 "exists on the target" b 5414
	on b vzctl destroy 5414 >/dev/null
	on b vzctl create 5415 --ostemplate busybox >/dev/null
	on b vzctl set 5415 --ipadd 10.99.54.114/24 --save >/dev/null
	refused 12 "is that of VPS 5415" b 5414
	on b vzctl set 5415 --ipdel all --name blocked --save >/dev/null
	refused 15 "name blocked is that of VPS 5415" b 5414
	on b vzctl destroy 5415 >/dev/null
	on b ip addr add 10.99.54.114/32 dev lo
	refused 12 "is in use" b 5414
	on b ip addr del 10.99.54.114/32 dev lo
	sleep 60 3>&- &
	on b sh -c 'mkdir -p $CROFT_ROOT/run/lock/vz; printf "$0\nbacking-up\n" >$CROFT_ROOT/run/lock/vz/5414.lck' $!
	refused 20 "locked" b 5414
	kill $!
	run --separate-stderr migrate --dry-run b 5414
	status_is 0
	has "VPS 5414 can be moved to b"
	[[ "$(on a vzctl status 5414)" == *"exist unmounted down"* ]]
	[[ "$(on b vzctl status 5414)" == *"deleted unmounted down"* ]]
}

@test "another number and name there; two in one call; shared storage moves nothing" {
	a_vps 5416 simfs --name old
	a_vps 5417 simfs
	a_vps 5418 simfs
	moves --new-id 5419 --new-name new b old
	[[ "$(on b vzctl status new)" == "CTID 5419 exist"* ]]
	moves --compress --whole-file --limit-speed 100000 b 5417 5418
	[[ "$(on b vzctl status 5417)$(on b vzctl status 5418)" == *exist*exist* ]]
	# one directory, seen by both
	mkdir "$hosts/shared"
	on a mount --bind "$hosts/shared" "$hosts/node/var/lib/vz/private"
	on b sh -c 'mkdir $CROFT_ROOT/own; mount --bind "$0" $CROFT_ROOT/var/lib/vz/private' "$hosts/shared"
	a_vps 5420 simfs
	inode=$(stat -c %i "$hosts/shared/5420")
	moves b 5420
	has "The files are on shared storage"
	[ "$(stat -c %i "$hosts/shared/5420")" = "$inode" ]
	[[ "$(on b vzctl status 5420)" == *"exist unmounted down"* ]]
	on b vzctl destroy 5420
	wait_for 5 sh -c "! ls -A $hosts/shared | grep ."
	on a umount "$hosts/node/var/lib/vz/private"
	on b umount "$hosts/node/var/lib/vz/private"
}

# counts CTID: a number that a program there counts in its memory, and writes down ten times a second
counts() { on a vzctl exec2 "$1" 'rm -f /count; (i=0; while :; do i=$((i+1)); echo $i 1<>/count; sleep 0.1; done) >/dev/null 2>&1 &'; }

# goes_on HOST CTID: that program counts there, from where it was
goes_on() {
	local n
	n=$(on "$1" vzctl exec2 "$2" cat /count)
	[ "$n" -ge "$3" ]
	wait_for 10 on "$1" vzctl exec2 "$2" "test \"\$(cat /count)\" -gt $n"
}

@test "online: a program counts on, a connection lives, the neighbours are told, limits and addresses are there" {
	local client seen
	a_vps 5423 simfs --ipadd '10.99.54.123 fd54::123' --ram 64M --numproc 50
	on a vzctl start 5423 >/dev/null
	on a vzctl exec2 5423 'nc -ll -p 7000 -e cat >/dev/null 2>&1 </dev/null & echo kept >/tmp/in-memory'
	counts 5423
	wait_for 5 on a vzctl exec2 5423 test -s /count
	python3 "$top/tests/lib/echo-client.py" 10.99.54.123 7000 br54 10.99.54.123 fd54::123 "$hosts/stop" >"$hosts/client" 2>&1 3>&- &
	client=$!
	wait_for 10 grep -q connected "$hosts/client"
	seen=$(on a vzctl exec2 5423 cat /count)
	moves --online -t b 5423
	has "Frozen time"
	touch "$hosts/stop"
	wait $client || { cat "$hosts/client" >&2; false; }
	cat "$hosts/client"
	grep -qE '^echoed [0-9]+ lost 0 .* arp [1-9][0-9]* na [1-9]' "$hosts/client"
	running_on b 5423
	goes_on b 5423 "$seen"
	[ "$(on b vzctl exec2 5423 cat /tmp/in-memory)" = kept ]
	[ "$(ip -o neigh show 10.99.54.123 | grep -o '[0-9a-f:]\{17\}')" = "$(on b ip -o link show eth0 | grep -o 'ether [0-9a-f:]*' | cut -c7-)" ]
	[ "$(on b vzlist -Ho physpages.l,numproc.l 5423 | xargs)" = '16384 50' ]
	[ -z "$(journals a)$(journals b)" ]
	[ -z "$(find "$hosts"/[ab]/var/lib/vz/dump "$hosts/a/var/lib/vz/private" -mindepth 1 ! -name '.vzctl-rm-me*' | grep -v '/[.]vzctl-rm-me')" ]
}

@test "warm, of an overlay; suspended it arrives suspended; --nostart leaves it so" {
	a_vps 5424 overlay
	on a vzctl start 5424 >/dev/null
	counts 5424
	wait_for 5 on a vzctl exec2 5424 test -s /count
	moves --mode warm b 5424
	running_on b 5424
	goes_on b 5424 1
	on b vzmigrate --transport-command "$hosts/enter-a" --online --nostart a 5424 >/dev/null
	[[ "$(on a vzctl status 5424)" == *"exist unmounted down suspended"* ]]
	moves b 5424
	[[ "$(on b vzctl status 5424)" == *"exist unmounted down suspended"* ]]
	on b vzctl resume 5424 >/dev/null
	goes_on b 5424 1
}

@test "online with what an action script mounts: not there it stays here, there it goes on" {
	local seen
	a_vps 5427 simfs
	# a tmpfs, and a directory that both nodes have: shared storage
	on a sh -c 'cat >$CROFT_ROOT/etc/vz/conf/5427.mount; chmod +x $CROFT_ROOT/etc/vz/conf/5427.mount' <<-'X'
		#!/bin/sh
		. "$VE_CONFFILE"
		[ ! -d "$CROFT_ROOT/../both" ] || [ -e "$CROFT_ROOT/not-here" ] || mount -n --bind "$CROFT_ROOT/../both" "$VE_ROOT/srv"
		mount -n -t tmpfs -o size=1m none "$VE_ROOT/mnt"
	X
	# what the administrator has hidden stays hidden
	on a sh -c 'cd $CROFT_ROOT/etc/vz/conf; chmod 700 5427.mount; chmod 640 5427.conf; printf "# ours\nFOREIGN=\"kept\"\n" >>5427.conf'
	on a vzctl --quiet set 5427 --description 'of two words' --diskspace 1G:2G --quotatime 60 --save
	mkdir -m 777 "$hosts/both"
	on b sh -c 'touch $CROFT_ROOT/not-here'
	on a vzctl start 5427 >/dev/null
	on a vzctl exec2 5427 'echo of memory >/mnt/x; (i=0; while :; do i=$((i+1)); echo $i; usleep 20000; done) >/srv/count 2>/dev/null </dev/null &'
	wait_for 5 on a vzctl exec2 5427 test -s /srv/count
	run --separate-stderr migrate --online b 5427
	[ "$status" -ne 0 ]
	[[ "$stderr" == *'VPS 5427 had a mount at /srv, made by an action script when it was started, and now there is none'* ]]
	running_on a 5427
	[ -z "$(journals a)$(journals b)" ]
	on b sh -c 'rm $CROFT_ROOT/not-here'
	seen=$(wc -l <"$hosts/both/count")
	moves --online b 5427
	running_on b 5427
	seen_more() { [ "$(wc -l <"$hosts/both/count")" -gt "$1" ]; }
	wait_for 5 seen_more "$seen"
	[ "$(tail -n 1 "$hosts/both/count")" -ge "$seen" ]
	[ "$(on b vzctl exec2 5427 'cat /mnt/x; df -k /mnt | tail -n 1 | grep -o 1024 | head -n 1')" = $'of memory\n1024' ]
	[ "$(on b sh -c 'cd $CROFT_ROOT/etc/vz/conf; stat -c %a 5427.mount 5427.conf; grep -E "^# ours|^FOREIGN|^DESCR|^DISKSPACE|^QUOTATIME" 5427.conf')" = '700
640
DISKSPACE="1048576:2097152"
QUOTATIME="60"
# ours
FOREIGN="kept"
DESCRIPTION="of two words"' ]
	[ "$(on b jq .ran_ms "$hosts/node/run/vz/5427/state.json")" -gt 0 ]
}

# what there is of VPS 5426 on node a, and on node b, where it is not: nothing
both_sheets() {
	host_run a '. "$BATS_TEST_DIRNAME/../lib/drift.bash"; drift_sheet 5426'
	host_run b 'leftovers | grep -v ^process || :; ls -A $(vzdir)/private | grep -v rm-me || :; ls $CROFT_ROOT/run/vz $CROFT_ROOT/etc/vz/conf $(vzdir)/dump; ip -o link | wc -l; ip route | wc -l || :'
}

# CROFT_CYCLES in the environment: how many migrations; docs/testing.md
@test "there and back, again and again: nothing drifts on either node" {
	local i from to before=''
	a_vps 5426 overlay --ipadd '10.99.54.126 fd54::126' --ram 64M --numproc 50
	on a vzctl start 5426 >/dev/null
	counts 5426
	on a vzctl exec2 5426 'cat >/root/dirty; chmod 755 /root/dirty' <"$build/tests/checkpoint/dirty"
	on a vzctl exec2 5426 '/root/dirty 8 500 >/root/dirty.out </dev/null 2>&1 &'
	wait_for 5 on a vzctl exec2 5426 grep -q ready /root/dirty.out
	for i in $(seq "${CROFT_CYCLES:-4}"); do
		from=a to=b
		[ $((i % 2)) = 1 ] || { from=b to=a; }
		run --separate-stderr on $from vzmigrate --transport-command "$hosts/enter-$to" --online $to 5426
		status_is 0
		[ -z "$stderr" ] || { echo "$i: $stderr" >&2; return 1; }
		running_on $to 5426
		[ "$to" = a ] || continue
		[ "$before" ] || { before=$(both_sheets); [ -z "${CROFT_CYCLES:-}" ] || echo "# $(host_run a '. "$BATS_TEST_DIRNAME/../lib/drift.bash"; drift_memory 5426')" >&3; }
		drift_none "$before" both_sheets
	done
	[ -z "${CROFT_CYCLES:-}" ] || echo "# $(host_run a '. "$BATS_TEST_DIRNAME/../lib/drift.bash"; drift_memory 5426')" >&3
	goes_on $to 5426 1
	on $to vzctl exec2 5426 'killall -TERM dirty; while pidof dirty; do usleep 100000; done' >/dev/null
	[[ "$(on $to vzctl exec2 5426 tail -n 1 /root/dirty.out)" == 'good after '* ]]
}

@test "what cannot be dumped is named before anything changes; with --fallback warm it moves by a restart" {
	a_vps 5425 simfs
	cp "$build/tests/escape/hold" "$hosts/a/var/lib/vz/private/5425/hold"
	on a vzctl start 5425 >/dev/null
	on a vzctl exec2 5425 '(setsid /hold semaphore >/tmp/held 2>&1 &)'
	wait_for 5 on a vzctl exec2 5425 grep -q held /tmp/held
	refused 57 "VPS 5425 cannot be dumped" --online b 5425
	[[ "$stderr" == *"(hold)"* ]]
	running_on a 5425
	run --separate-stderr migrate --online --fallback warm b 5425
	status_is 0
	[[ "$stderr" == *"its programs end"* ]]
	running_on b 5425
}

@test "who speaks nonsense to vzmigrate --receive is told so, and nothing happens" {
	says() { printf '%s' "$1" | on b vzmigrate --receive 2>&1 >/dev/null; }
	run says 'GET / HTTP/1.0'
	status_is 26
	has "this is no frame"
	run says ''
	status_is 4
	run says 'VZM1'
	has "ended within a frame"
	[ -z "$(journals b)" ]
	# verbs out of their order
	run on b python3 - <<-'P'
		import json, struct, subprocess, zlib
		p = subprocess.Popen(["vzmigrate", "--receive"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
		seq = 0
		def call(**args):
		    global seq
		    text = json.dumps(args).encode()
		    head = b"VZM1" + struct.pack(">III", seq, 1, len(text))
		    seq += 1
		    p.stdin.write(head + struct.pack(">I", zlib.crc32(head + text)) + text)
		    p.stdin.flush()
		    head = p.stdout.read(20)
		    return struct.unpack(">I", head[8:12])[0], p.stdout.read(struct.unpack(">I", head[12:16])[0]).decode()
		for verb in ("COMMIT", "TREE", "PROMISE", "nothing"):
		    print(call(verb=verb))
		print(call(verb="HELLO", version=2))
		for args in ({"ctid": 0}, {"ctid": 5422, "id": "../x", "peer_ctid": 1}, {"ctid": 5422, "id": "0" * 32, "peer_ctid": 1, "layout": "x" * 99}):
		    print(call(verb="CHECK", **args))
		print(call(verb="VERDICT", ctid=5422, id="0" * 32, verdict="commit"))
	P
	status_is 0
	[ "$(grep -c '^(3, .*"exit":26' <<<"$output")" = 8 ]
	[ -z "$(journals b)" ]
	[ -z "$(on b sh -c 'ls $CROFT_ROOT/etc/vz/conf/5422*' 2>/dev/null)" ]
}

@test "on a terminal: stage, bar, bytes, rate and the time that is left" {
	on a vzctl create 5419 --ostemplate busybox --layout simfs >/dev/null
	dd if=/dev/urandom of="$hosts/a/var/lib/vz/private/5419/more" bs=1M count=4 2>/dev/null
	on a script -qec "stty cols 100; exec vzmigrate --transport-command '$transport' --limit-speed 1024 b 5419" "$hosts/typescript" </dev/null
	tr '\r' '\n' <"$hosts/typescript" >"$hosts/lines"
	grep -qE '^Copying files \[#+\.+\] +[0-9]+% [1-4] MiB [0-9]+\.[0-9] MiB/s [0-9]+:[0-9]{2} left' "$hosts/lines" || { cat -v "$hosts/lines" >&2; false; }
	# what is said stands on a line of its own
	grep -q 'VPS 5419 was moved to b' "$hosts/lines"
	! grep -E 'left.*[A-Z][a-z]+ing ' "$hosts/lines"
}
