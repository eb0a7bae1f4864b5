# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What the recipes of Debian and its kin share; read by them with $suite set, and if they want with $packages (instead
# of the usual ones) and $also (lines of shell that end the making of $root). Needs OUT, the archive to write.
# The archive mirror is MIRROR, or the one that this host itself uses (mirror.sh): no host is named here. A recipe may
# have set $mirror and $keyring already, and $library, where the files beside this one are.

: "${suite:?}" "${OUT:?set OUT to the archive to write}"
NAME=${NAME:-debian-$suite}
umask 022

say() { printf '%s\n' "$NAME: $*" >&2; }
die() { say "$1"; exit "${2:-1}"; }
need() { command -v "$1" >/dev/null 2>&1 || die "$1 not found: install the package $2" 69; }

# shellcheck source=/dev/null
. "${library:-${RECIPES:-$(dirname "$0")}}/mirror.sh"

need mmdebstrap mmdebstrap
need apt-get apt
need tar tar
need zstd zstd
keyring=${keyring:-${KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}}
[ -r "$keyring" ] || die "$keyring not found: install the package debian-archive-keyring" 69
[ "$(id -u)" = 0 ] || die "only root can make a root file system"
mirror=${mirror:-${MIRROR:-$(mirror_uri)}}
[ -n "$mirror" ] || die "no Debian archive over http in this host's /etc/apt/sources.list*"

usual=systemd,systemd-sysv,dbus,libpam-systemd,iproute2,iputils-ping,netbase,openssh-server
usual=$usual,login,passwd,procps,sudo
packages=${packages:-$usual}
case $mirror in https:*) packages=$packages,ca-certificates ;; esac

work=$(mktemp -d "${TMPDIR:-/var/tmp}/croft-$suite.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 0755 "$work"

# The host's way to its mirror (proxy, clock checks) holds for the building, not for the template.
apt-config dump 2>/dev/null | grep -E \
	'^Acquire::((http|https)::|Check-Valid-Until|Check-Date|Retries)' >"$work/apt.conf" || :

cat >"$work/finish" <<'END'
#!/bin/sh
set -eu
root=$1
rm -f "$root/etc/apt/apt.conf.d/00croft-build" "$root"/etc/ssh/ssh_host_*
rm -f "$root"/var/lib/systemd/random-seed
# These two are the building host's own; rm first, since they may be links.
rm -f "$root/etc/resolv.conf" "$root/etc/hostname"
: >"$root/etc/resolv.conf"
echo localhost >"$root/etc/hostname"
# The audit socket needs the host's audit; a masked unit is not a failed one.
[ ! -d "$root/etc/systemd/system" ] ||
	ln -sf /dev/null "$root/etc/systemd/system/systemd-journald-audit.socket"
chroot "$root" usermod -p '*' root
printf '127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
find "$root/var/log" -type f -name '*.log*' -delete
: >"$root/etc/machine-id"
END
printf '%s\n' "${also:-}" >>"$work/finish"
chmod 0755 "$work/finish"

say "bootstrapping $suite from $mirror"
TMPDIR=$work mmdebstrap --mode=root --variant=minbase --quiet --format=tar --keyring="$keyring" \
	--include="$packages" \
	--setup-hook="cp '$work/apt.conf' \"\$1/etc/apt/apt.conf.d/00croft-build\"" \
	--customize-hook="'$work/finish' \"\$1\"" \
	"$suite" "$work/root.tar" "deb $mirror $suite main" >&2

say "packing"
zstd -q -T0 -9 -f -o "$OUT" "$work/root.tar"
say "$(wc -c <"$OUT") bytes"
