# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a VPS and its node have, counted, to see that nothing of it grows when the same is done again and again.

# drift_sheet CTID: a line for each thing, the same as long as nothing drifts; of a VPS at rest on this node
drift_sheet() {
	local mon init m s
	s=$(slice)
	mon=$(jq -r .mon_pid "$CROFT_ROOT/run/vz/$1/state.json")
	init=$(jq -r .init_pid "$CROFT_ROOT/run/vz/$1/state.json")
	echo "descriptors of vzmon: $(ls "/proc/$mon/fd" | wc -l)"
	echo "descriptors of init: $(ls "/proc/$init/fd" | wc -l)"
	echo "mounts of the VPS: $(wc -l <"/proc/$init/mountinfo")"
	echo "mounts of the node: $(grep -cF " $CROFT_ROOT/" /proc/self/mountinfo)"
	echo "links: $(ip -o link | wc -l)"
	echo "routes: $(ip route | wc -l) $(ip -6 route | wc -l)"
	echo "rules: $(nft list ruleset 2>/dev/null | wc -l)"
	for m in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts); do
		[ ! -d "$m/$s" ] || echo "groups of ${m##*/}: $(find "$m/$s" -type d | wc -l)"
	done
	echo "files in /run: $(cd "$CROFT_ROOT/run" && find . ! -type d ! -path '*/bpf/*' ! -path ./vz/ids | sed 's/vz[0-9]*-[0-9a-f]*/LINK/; s,/private/.*,/private/INODE,' | sort | xargs)"
	echo "dumps: $(find "$(vzdir)/dump" -mindepth 1 -printf '%P ')"
	echo "journals: $(find "$CROFT_ROOT/etc/vz/migrate" -mindepth 1 -printf '%P ' 2>/dev/null)"
	echo "configuration: $(grep -v '^LOCAL_UID' "$CROFT_ROOT/etc/vz/conf/$1.conf" | sort | sha256sum | cut -c1-16)"
	echo "private areas: $(find "$(vzdir)/private" -mindepth 1 -maxdepth 1 ! -name '*rm-me*' -printf '%P ')"
	echo "owners: $(cd "$(vzdir)/private/$1" && find . -path ./work -prune -o -printf '%U:%G\n' | sort | uniq -c | xargs)"
	# exe: BusyBox that has executed itself for a command, and has not yet taken that one's name
	echo "inside: $(vzctl exec2 "$1" 'find /dev /run /tmp /root | wc -l; ps -o comm,user' | grep -vE '^(sh|sleep|usleep|ps|exe) ' | sort | xargs)"
	echo "refused: $(vzlist -Ho kmemsize.f,numproc.f,numfile.f,physpages.f,privvmpages.f "$1" | xargs)"
	echo "limits: $(vzlist -Ho numproc.l,physpages.l,kmemsize.l "$1" | xargs)"
}

# drift_none BEFORE COMMAND...: what COMMAND prints is BEFORE again, within five seconds (what passes by itself is no
# drift); the difference is told
drift_none() {
	local before=$1 now end=$((SECONDS + 5))
	shift
	while now=$("$@") && [ "$now" != "$before" ] && [ "$SECONDS" -lt "$end" ]; do sleep 0.2; done
	[ "$now" = "$before" ] || { diff <(echo "$before") <(echo "$now") || return 1; }
}

# drift_memory CTID: kB that vzmon has, and that the groups of the VPS count; these may move a little
drift_memory() {
	awk '/^VmRSS/ { printf "vzmon %s kB, ", $2 }' "/proc/$(jq -r .mon_pid "$CROFT_ROOT/run/vz/$1/state.json")/status"
	echo "VPS $(vzlist -Ho physpages,kmemsize "$1" | xargs) (physpages kmemsize), free on the node $(awk '/^MemAvailable/ { print $2 }' /proc/meminfo) kB"
}
