# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034 # what is set here is read by recipes
# What recipes of several distributions share. Needs NAME and OUT.

: "${NAME:?}" "${OUT:?set OUT to the archive to write}"
umask 022

say() { printf '%s\n' "$NAME: $*" >&2; }
die() { say "$1"; exit "${2:-1}"; }
need() { command -v "$1" >/dev/null 2>&1 || die "$1 not found: install the package $2" 69; }

# mirror_line DISTRIBUTION FIELD: of the line "DISTRIBUTION URI [KEYS]" in the file that vztmpl names
mirror_line() {
	[ -r "${MIRRORS:-}" ] || return 0
	awk -v d="$1" -v f="$2" '$1 == d { print $f; exit }' "$MIRRORS"
}

# find_mirror DISTRIBUTION: sets mirror, and keyring when one was named. No host is known here: who builds says whom he
# trusts to be near.
find_mirror() {
	mirror=${MIRROR:-$(mirror_line "$1" 2)}
	mirror=${mirror%/}
	keyring=${KEYRING:-$(mirror_line "$1" 3)}
	[ -n "$mirror" ] ||
		die "no mirror: give one by MIRROR=URI in the environment or by a line \"$1 URI\" in ${MIRRORS:-/etc/vz/templates/mirrors}" 78
}

# work_directory: sets work; removed at the end, together with what is mounted below
work_directory() {
	work=$(mktemp -d "${TMPDIR:-/var/tmp}/croft-$NAME.XXXXXX")
	trap 'rm -rf --one-file-system "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	chmod 0755 "$work"
}

# neutral ROOT: nothing of the building host or of one machine only
neutral() {
	rm -f "$1"/etc/ssh/ssh_host_* "$1/var/lib/systemd/random-seed" "$1/etc/resolv.conf" "$1/etc/hostname"
	: >"$1/etc/resolv.conf"
	echo localhost >"$1/etc/hostname"
	printf '127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n' >"$1/etc/hosts"
	: >"$1/etc/machine-id"
	[ ! -f "$1/etc/shadow" ] || sed -i 's/^root:[^:]*:/root:*:/' "$1/etc/shadow"
	# The audit socket needs the host's audit; a masked unit is not a failed one.
	[ ! -d "$1/etc/systemd/system" ] || ln -sf /dev/null "$1/etc/systemd/system/systemd-journald-audit.socket"
	find "$1/var/log" -type f -name '*.log*' -delete 2>/dev/null || :
}

# pack ROOT: into OUT
pack() {
	say packing
	rm -rf "${1:?}"/dev/* "${1:?}"/run/* "${1:?}"/tmp/*
	tar --create --numeric-owner --sort=name --xattrs --acls --one-file-system --format=pax \
		--file="$work/root.tar" -C "$1" .
	zstd -q -T0 -9 -f -o "$OUT" "$work/root.tar"
	say "$(wc -c <"$OUT") bytes"
}

need tar tar
need zstd zstd
[ "$(id -u)" = 0 ] || die "only root can make a root file system"
