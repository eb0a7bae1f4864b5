# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What recipes of rpm distributions share, after common.sh: dnf installs into an empty root. Read with $release,
# $repositories (below the mirror), $rpmdb (where that distribution keeps its database) and $packages set.

# shellcheck disable=SC2154 # mirror, keyring and work are from common.sh
: "${release:?}" "${repositories:?}" "${rpmdb:?}" "${packages:?}" "${mirror:?}"

need dnf dnf
need unshare util-linux
arch=$(uname -m)
distribution=${NAME%-*}
if [ -z "$keyring" ]; then
	for keyring in "/usr/share/distribution-gpg-keys/$distribution"/RPM-GPG-KEY-*"$release"* \
		/etc/pki/rpm-gpg/RPM-GPG-KEY-*"$release"*; do
		[ ! -r "$keyring" ] || break
	done
fi
[ -r "$keyring" ] || die "no keys of $distribution $release: give KEYRING=FILE, its public key as text" 69

work_directory
root=$work/root
mkdir -p "$work/repos" "$work/home" "$work/log" "$root/proc" "$root/dev" "$root/sys"

n=0
for path in $repositories; do
	n=$((n + 1))
	path=$(printf '%s' "$path" | sed "s/RELEASE/$release/; s/ARCH/$arch/")
	printf '[croft%d]\nname=%s\nbaseurl=%s/%s/\nenabled=1\ngpgcheck=1\ngpgkey=file://%s\n' \
		"$n" "$path" "$mirror" "$path" "$(realpath "$keyring")"
	# only what comes after the first is a supplement
	[ "$n" = 1 ] || echo skip_if_unavailable=1
done >"$work/repos/croft.repo"
printf '[main]\nplugins=0\n' >"$work/dnf.conf"
# Debian's rpm keeps its database in the home of who calls it; the new root looks where its own rpm does.
printf '%%_dbpath %s\n' "$rpmdb" >"$work/home/.rpmmacros"

say "bootstrapping $distribution $release from $mirror"
# Scripts of packages need the usual devices and /proc; the mounts go away with the namespace.
# shellcheck disable=SC2016,SC2086 # expanded inside; a list of packages
HOME=$work/home unshare -m --propagation private sh -euc '
	root=$1
	shift
	mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
	mount -t tmpfs -o mode=755 tmpfs "$root/dev"
	mknod -m 666 "$root/dev/null" c 1 3
	mknod -m 666 "$root/dev/zero" c 1 5
	mknod -m 666 "$root/dev/random" c 1 8
	mknod -m 666 "$root/dev/urandom" c 1 9
	exec dnf "$@"' sh "$root" \
	--quiet --assumeyes --config="$work/dnf.conf" --installroot="$root" --releasever="$release" --forcearch="$arch" \
	--setopt=reposdir="$work/repos" --setopt=varsdir="$work/repos" --setopt=cachedir="$work/cache" \
	--setopt=logdir="$work/log" --setopt=install_weak_deps=False --setopt=tsflags=nodocs --setopt=best=True \
	install bash coreutils systemd passwd sudo $packages >&2

# dnf puts its cache and log below the root, under the names given
rm -rf "${root:?}$work" "$root/var/cache/dnf" "$root/var/lib/dnf/repos" "$root/var/log/dnf"*
neutral "$root"
pack "$root"
