# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# For tests/system/*.bats: a tree of its own for each file (CROFT_ROOT), so that the machine's own VPSes are never
# touched; after each test nothing of a VPS may be left.

build=${CROFT_BUILD:?run by tests/run, or set CROFT_BUILD to the build directory}
top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
# Templates are costly: they are kept outside the checkout, keyed by their recipe.
template_cache=${CROFT_TEMPLATE_CACHE:-/var/cache/croft-tests}

vzctl() { "$build/vzctl" "$@"; }
vzlist() { "$build/vzlist" "$@"; }
vztmpl() { "$build/vztmpl" "$@"; }

# slice NAME of the cgroups of this tree, as src/vps/paths.c makes it
slice() {
	local h=2166136261 i c
	for ((i = 0; i < ${#CROFT_ROOT}; i++)); do
		printf -v c %d "'${CROFT_ROOT:i:1}"
		h=$((((h ^ c) * 16777619) & 0xffffffff))
	done
	printf 'vz-%08x\n' $h
}

# template NAME: put it into this tree's cache, building it once per recipe and machine. Recipes that only tests
# need are in tests/data/templates.
template() {
	local key file lock data=$top
	mkdir -p "$template_cache"
	exec {lock}>"$template_cache/lock" # two files that want the same one
	flock "$lock"
	[ -f "$top/templates/$1" ] || data=$top/tests/data
	key=$(cat "$data/templates/$1" "$top"/templates/*.sh 2>/dev/null | sha256sum | cut -c1-16)
	file=$template_cache/$1-$key.tar.zst
	if [ ! -f "$file" ]; then
		rm -f "$template_cache/$1-"????????????????.tar.zst # of this name alone: debian-12, not debian-12-apps
		CROFT_DATADIR=$data vztmpl build "$1" >&2 || return 1
		cp "$CROFT_ROOT/var/lib/vz/template/cache/$1.tar.zst" "$file.tmp.$$" && mv "$file.tmp.$$" "$file"
	fi
	ln -f "$file" "$CROFT_ROOT/var/lib/vz/template/cache/$1.tar.zst" 2>/dev/null ||
		cp "$file" "$CROFT_ROOT/var/lib/vz/template/cache/$1.tar.zst"
	exec {lock}>&-
}

# in setup_file: make the tree. Usage: make_root [LAYOUT [DIRECTORY]]
make_root() {
	CROFT_ROOT=${2:-$(mktemp -d /tmp/croft-bats.XXXXXX)}
	export CROFT_ROOT
	export CROFT_LIBEXEC=$build
	export CROFT_DATADIR=$top
	local vz=$CROFT_ROOT/var/lib/vz
	mkdir -p "$CROFT_ROOT/etc/vz/conf" "$CROFT_ROOT/etc/vz/names" "$vz/template/cache" "$vz/private" "$vz/root" "$vz/dump"
	chmod 755 "$CROFT_ROOT"
	cp "$top"/etc/conf/*.conf-sample "$CROFT_ROOT/etc/vz/conf/"
	sed "s|@VZBASE@|$vz|g; s|^LOGFILE=.*|LOGFILE=$CROFT_ROOT/vzctl.log|; s|^LOCKDIR=.*|LOCKDIR=$CROFT_ROOT/run/lock/vz|
		s|^VE_LAYOUT=.*|VE_LAYOUT=${1:-simfs}|" "$top/etc/vz.conf.in" >"$CROFT_ROOT/etc/vz/vz.conf"
	# of VPSes of other trees and of the machine itself
	ip -o link | grep -oE ' vz[0-9]+-[0-9a-f]+' | sed 's/^ /link /' | sort >"$CROFT_ROOT/links.before"
	template busybox
}

vzdir() { echo "$CROFT_ROOT/var/lib/vz"; }
conf() { echo "$CROFT_ROOT/etc/vz/conf/$1.conf"; }

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local until=$((SECONDS + $1 * 3)) # what should take $1 s, on a machine that is busy with others
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$until" ] || return 1
		sleep 0.1
	done
}

# what a VPS leaves behind, one line each; nothing = clean
leftovers() {
	local s m
	s=$(slice)
	grep -F " $CROFT_ROOT/" /proc/self/mountinfo | awk -v b="$CROFT_ROOT/run/vz/bpf" '$5 != b { print "mount " $5 }'
	for m in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts); do
		[ ! -d "$m/$s" ] || find "$m/$s" -mindepth 1 -maxdepth 1 -type d ! -name mon -printf 'cgroup %p\n'
	done
	find "$CROFT_ROOT/run/lock" -name '*.lck' -printf 'lock %p\n' 2>/dev/null
	grep -lsazF "CROFT_ROOT=$CROFT_ROOT" /proc/[0-9]*/environ 2>/dev/null | while read -r m; do
		m=${m#/proc/}
		m=${m%/environ}
		case "$(cat "/proc/$m/comm" 2>/dev/null)" in vzmon | vzctl-admin) echo "process $m $(tr '\0' ' ' <"/proc/$m/cmdline")" ;; esac
	done
	return 0
}

nothing_left() { # [a mount of the test's own]
	! leftovers | grep -qvxF "mount ${1:-}" && [ -z "$(links)" ]
}

# leaves_nothing [MOUNT]: after a command that ended a VPS. Its mounts, groups, state and lock are gone by then; its
# monitor looks once more whether anything is to be cleaned up, and its links go with the network namespace.
# shellcheck disable=SC2120 # tests pass it
leaves_nothing() {
	wait_for 10 nothing_left "$@" || {
		echo "left behind:" >&2
		leftovers >&2
		links >&2
		return 1
	}
}

# host ends of VPS links of this tree's CTIDs
links() {
	local id
	for id in $(cd "$CROFT_ROOT/etc/vz/conf" && ls | sed -n 's/^\([0-9]*\)\.conf.*/\1/p' | sort -u); do
		ip -o link 2>/dev/null | grep -oE " vz$id-[0-9a-f]+" | sed 's/^ /link /'
	done | grep -vxFf "$CROFT_ROOT/links.before" || :
}

# in teardown: stop and destroy every VPS of this tree, then assert that nothing is left
destroy_all() {
	local id f
	for f in "$CROFT_ROOT"/etc/vz/conf/[0-9]*.conf; do
		[ -e "$f" ] || continue
		id=$(basename "$f" .conf)
		vzctl --quiet stop "$id" --fast >/dev/null 2>&1 || :
		vzctl --quiet umount "$id" >/dev/null 2>&1 || :
		vzctl --quiet destroy "$id" >/dev/null 2>&1 || :
	done
	leaves_nothing
}

# in teardown_file
remove_root() {
	local s m
	s=$(slice)
	# programs, their pins and the file system that these are in: of this tree alone
	"$build/vz-ubc" unload --force
	for m in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts); do
		rmdir "$m/$s/mon" "$m/$s" 2>/dev/null || :
	done
	ip -o link | grep -qE ' vz[0-9]+-' || nft delete table ip6 croft 2>/dev/null || :
	rm -rf "$CROFT_ROOT"
}

# is OUTPUT STATUS: shorthand on bats' $output and $status
status_is() {
	# shellcheck disable=SC2154
	[ "$status" -eq "$1" ] || {
		echo "status $status, expected $1; output: $output${stderr:+; stderr: $stderr}" >&2
		return 1
	}
}

has() {
	# shellcheck disable=SC2154
	[[ "$output" == *"$1"* ]] || {
		echo "no '$1' in: $output" >&2
		return 1
	}
}

# fails CODE TEXT ARG...: vzctl ARG... ends with CODE after one line on stderr that has TEXT; it never waits for anything
fails() {
	local code=$1 text=$2
	shift 2
	run --separate-stderr timeout 60 "$build/vzctl" "$@"
	# shellcheck disable=SC2154
	[ "$status" -eq "$code" ] && [ "${#stderr_lines[@]}" -eq 1 ] && [[ "$stderr" == *"$text"* ]] || {
		echo "vzctl $*: status $status, not $code; stdout: $output; stderr: $stderr" >&2
		return 1
	}
}
