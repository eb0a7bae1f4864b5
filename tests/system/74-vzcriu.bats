#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host
# vzcriu against an archive of ours on the loopback: signed by a key of ours, which lies over Debian's in a mount namespace.
bats_require_minimum_version 1.5.0

top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
build=${CROFT_BUILD:?}
cached=${CROFT_TEMPLATE_CACHE:-/var/cache/croft-tests}/criu

setup_file() {
	export work
	work=$(mktemp -d /var/tmp/croft-vzcriu.XXXXXX)
	mkdir -p "$work/gpg" "$work/etc/sources.list.d" "$work/www/debian/dists/trixie/main" "$work/pkg/DEBIAN" "$work/lib"
	chmod 700 "$work/gpg"
	# not the machine's proxy, and no long wait for who is not there
	printf 'Acquire::http::Proxy "DIRECT";\nAcquire::Retries "0";\nAcquire::http::Timeout "5";\n' >"$work/apt.conf"
	gpg --homedir "$work/gpg" --batch --quiet --passphrase '' --quick-gen-key archive@croft.invalid >&2
	gpg --homedir "$work/gpg" --batch --export >"$work/keyring.gpg"
	cp -a "$cached/usr" "$work/pkg/"
	make_archive 4.1.1-1
	(cd "$work/www" && exec python3 -c '
import http.server, sys
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
open(sys.argv[1], "w").write(str(s.server_port))
s.serve_forever()' "$work/port") >/dev/null 2>&1 3>&- &
	export server=$!
	for _ in $(seq 100); do [ ! -s "$work/port" ] || break; sleep 0.1; done
	printf 'deb http://127.0.0.1:%s/debian bookworm main\n' "$(cat "$work/port")" >"$work/etc/sources.list"
}

teardown_file() {
	kill "$server"
	gpgconf --homedir "$work/gpg" --kill all
	rm -rf "$work"
}

# make_archive VERSION: with the one package
make_archive() {
	local d=$work/www/debian deb
	deb=pool/criu_$1.deb
	mkdir -p "$d/pool" "$d/dists/trixie/main/binary-$(dpkg --print-architecture)"
	printf 'Package: criu\nVersion: %s\nArchitecture: %s\nMaintainer: nobody <n@croft.invalid>\nDescription: test\n' \
		"$1" "$(dpkg --print-architecture)" >"$work/pkg/DEBIAN/control"
	rm -f "$d"/pool/*
	dpkg-deb -Znone -b --root-owner-group "$work/pkg" "$d/$deb" >/dev/null
	(
		cd "$d"
		list=main/binary-$(dpkg --print-architecture)/Packages
		{
			cat "$work/pkg/DEBIAN/control"
			printf 'Filename: %s\nSize: %s\nSHA256: %s\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
		} >"dists/trixie/$list"
		cd dists/trixie
		{
			printf 'Origin: t\nSuite: trixie\nCodename: trixie\nComponents: main\nArchitectures: %s\nDate: %s\nSHA256:\n' \
				"$(dpkg --print-architecture)" "$(LC_ALL=C date -u -R)"
			printf ' %s %s %s\n' "$(sha256sum "$list" | cut -d' ' -f1)" "$(stat -c %s "$list")" "$list"
		} >Release
		rm -f InRelease
		gpg --homedir "$work/gpg" --batch --quiet --clearsign -o InRelease Release
	)
}

# vzcriu WORDS: with the archive's key over Debian's
vzcriu() {
	# shellcheck disable=SC2016
	env PATH="$build:/usr/sbin:/usr/bin:/sbin:/bin" CROFT_LIBEXEC="$work/lib" CROFT_DATADIR="$top" CROFT_ROOT="$work/root" \
		APT_ETC="$work/etc" APT_CONFIG="$work/apt.conf" unshare -m --propagation private sh -c '
		mount --bind "$1" /usr/share/keyrings/debian-archive-keyring.gpg || exit 99
		shift
		exec "$@"' sh "${key:-$work/keyring.gpg}" "$build/vzcriu" "$@" 3>&-
}
fails() { # CODE MESSAGE WORDS...
	local code=$1 message=$2
	shift 2
	run --separate-stderr vzcriu "$@"
	[ "$status" -eq "$code" ] && [[ "$stderr" == *"$message"* ]] || { echo "status $status: $stderr" >&2; return 1; }
}

@test "wrong usage, and nothing there: one line each, and nothing is made" {
	fails 2 'Usage: vzcriu get'
	fails 2 'Usage: vzcriu get' fetch
	fails 2 'Usage: vzcriu get' get --force
	fails 2 'Usage: vzcriu get' status 101
	fails 1 "there is nothing at $work/lib/criu" remove
	run -0 vzcriu --help
	fails 2 'get' status
	[ -z "$(ls "$work/lib")" ]
}

@test "no archive, one that is not there, one with another key: said, and nothing is left" {
	local etc=$work/etc/sources.list
	mv "$etc" "$etc.off"
	fails 1 "no Debian archive over http in this host's apt sources" get --private
	printf 'deb http://127.0.0.1:1/debian bookworm main\n' >"$etc"
	fails 1 'cannot read trixie from the mirror of this host (http://127.0.0.1:1/debian)' get --private
	mv "$etc.off" "$etc"
	gpg --homedir "$work/gpg" --batch --quiet --passphrase '' --quick-gen-key other@croft.invalid >&2
	gpg --homedir "$work/gpg" --batch --export other@croft.invalid >"$work/other.gpg"
	key=$work/other.gpg fails 1 'cannot read trixie' get --private
	[ -z "$(ls "$work/lib")" ]
}

@test "fetched, verified, found by vzctl; a second time it is current; a newer one replaces it; removed" {
	run -0 vzcriu get --private
	[ "$output" = "vzcriu: $work/lib/criu has CRIU 4.1.1 of Debian trixie" ]
	run -0 vzcriu status
	[[ "$output" == *$'\tcriu 4.1.1-1\n'*"CRIU 4.1.1, $work/lib/criu/criu" ]]
	local first second
	first=$(stat -c %i "$work/lib/criu")
	run -0 vzcriu get
	[ "$output" = "vzcriu: $work/lib/criu has CRIU 4.1.1, the newest there is" ]
	[ "$(stat -c %i "$work/lib/criu")" = "$first" ]
	make_archive 4.1.1-1+deb13u1
	# one that cannot be unpacked leaves what was there
	mv "$work/www/debian/pool" "$work/www/debian/away"
	fails 1 'cannot download CRIU' get
	[ "$(stat -c %i "$work/lib/criu")" = "$first" ]
	mv "$work/www/debian/away" "$work/www/debian/pool"
	run -0 vzcriu get
	second=$(cat "$work/lib/criu/packages")
	[ "$second" = 'criu 4.1.1-1+deb13u1' ]
	[ "$(ls "$work/lib")" = criu ]
	run -0 vzcriu remove
	[ -z "$(ls "$work/lib")" ]
}
