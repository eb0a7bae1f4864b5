#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host
# Recipes of distributions whose mirrors Croft does not know. dnf is run on a tiny distribution of signed packages made
# here; mmdebstrap and apk are replaced by programs that write down what they were asked for.
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
	make_root simfs
	export rpms=$CROFT_ROOT/rpms
	mkdir "$rpms"
	common='bash coreutils systemd passwd sudo iproute iputils openssh-server procps-ng'
	# shellcheck disable=SC2086
	"$top/tests/data/make-rpms" "$rpms" "releases/42/Everything/$(uname -m)/os" $common fedora-release dnf5 almalinux-release dnf
	mkdir -p "$rpms/9/BaseOS/$(uname -m)" && cp -r "$rpms/releases/42/Everything/$(uname -m)/os" "$rpms/9/BaseOS/$(uname -m)/"
}
teardown_file() { remove_root; }
teardown() {
	rm -f "$CROFT_ROOT/etc/vz/templates/mirrors"
	destroy_all
}

cached() { ls "$(vzdir)/template/cache"; }
# no half-made root, no archive under another name
nothing_half() { [ -z "$(ls -d "$BATS_TEST_TMPDIR"/croft-* 2>/dev/null)" ] && [ -z "$(find "$(vzdir)/template/cache" -name '.*.tmp')" ]; }

@test "without a mirror a recipe says in one line how to give one" {
	for name in ubuntu-24.04 fedora-42 almalinux-9 alpine-3.22; do
		run --separate-stderr vztmpl build "$name"
		status_is 6
		[ -z "$output" ]
		[ "$(wc -l <<<"$stderr")" = 2 ]
		[ "$(head -n 1 <<<"$stderr")" = "$name: no mirror: give one by MIRROR=URI in the environment or by a line \"${name%-*} URI\" in $CROFT_ROOT/etc/vz/templates/mirrors" ]
		[[ "$stderr" == *"recipe $top/templates/$name lacks a mirror" ]]
	done
	# no host is named in any of them
	run grep -nE 'https?://' "$top"/templates/*
	status_is 1
}

@test "fedora: a VPS runs from packages that dnf installed" {
	run env TMPDIR="$BATS_TEST_TMPDIR" MIRROR="file://$rpms/" KEYRING="$rpms/key.pub" "$build/vztmpl" build fedora-42
	status_is 0
	nothing_half
	vzctl create 6901 --ostemplate fedora-42
	vzctl start 6901
	# packages of the recipe, and a script of one of them that had /proc and /dev
	[ "$(vzctl exec 6901 'cat /usr/share/tiny/fedora-release /usr/share/tiny/dnf5 /etc/scripts-ran' | xargs)" = 'fedora-release dnf5 yes' ]
	# where Fedora's own rpm looks, and nothing of the builder
	files=$(zstd -dc "$(vzdir)/template/cache/fedora-42.tar.zst" | tar -t)
	grep -qx ./usr/lib/sysimage/rpm/rpmdb.sqlite <<<"$files"
	! grep -E 'ssh_host|/var/tmp/croft|^./dev/.|rpmdb/|/var/log/dnf' <<<"$files"
	[ -z "$(zstd -dc "$(vzdir)/template/cache/fedora-42.tar.zst" | tar -xO ./etc/machine-id)" ]
	[ "$(zstd -dc "$(vzdir)/template/cache/fedora-42.tar.zst" | tar -xO ./etc/shadow | cut -d: -f2)" = '*' ]
}

@test "almalinux: mirror and keys from the file of mirrors; another key is refused" {
	mkdir -p "$CROFT_ROOT/etc/vz/templates"
	printf 'ubuntu file:///nowhere\nalmalinux file://%s %s/key.pub\n' "$rpms" "$rpms" >"$CROFT_ROOT/etc/vz/templates/mirrors"
	run env TMPDIR="$BATS_TEST_TMPDIR" "$build/vztmpl" build almalinux-9
	status_is 0
	zstd -dc "$(vzdir)/template/cache/almalinux-9.tar.zst" | tar -t >"$BATS_TEST_TMPDIR/files"
	grep -qx ./usr/share/tiny/almalinux-release "$BATS_TEST_TMPDIR/files"
	grep -qx ./var/lib/rpm/rpmdb.sqlite "$BATS_TEST_TMPDIR/files"
	vztmpl remove almalinux-9
	(export GNUPGHOME=$BATS_TEST_TMPDIR/g && install -d -m 700 "$GNUPGHOME" &&
		gpg --batch --quiet --passphrase '' --quick-gen-key other rsa2048 sign never && gpg --armor --export && gpgconf --kill all) \
		>"$BATS_TEST_TMPDIR/other.pub" 2>/dev/null
	run env TMPDIR="$BATS_TEST_TMPDIR" KEYRING="$BATS_TEST_TMPDIR/other.pub" "$build/vztmpl" build almalinux-9
	status_is 8
	[[ "$output" == *GPG* ]]
	[[ "$(cached)" != *almalinux* ]]
	nothing_half
	run env KEYRING=/nonexistent "$build/vztmpl" build almalinux-9
	status_is 6
	[[ "$output" == *'no keys of almalinux 9: give KEYRING=FILE'* ]]
}

# fake NAME: a program of that name in a PATH of our own; it writes its arguments and does what comes on its input
fake() {
	mkdir -p "$BATS_TEST_TMPDIR/bin"
	{
		printf '#!/bin/sh\nprintf "%%s\\n" "$@" >%s/asked\n' "$BATS_TEST_TMPDIR"
		cat
	} >"$BATS_TEST_TMPDIR/bin/$1"
	chmod 755 "$BATS_TEST_TMPDIR/bin/$1"
}
recipe() { # NAME VARIABLES...: as vztmpl runs it
	local name=$1
	shift
	env -i PATH="$BATS_TEST_TMPDIR/bin:$PATH" HOME=/root NAME="$name" OUT="$BATS_TEST_TMPDIR/out.tar.zst" RECIPES="$top/templates" \
		TMPDIR="$BATS_TEST_TMPDIR" "$@" "$top/templates/$name"
}

@test "ubuntu: mmdebstrap is asked for the suite, the mirror and the keyring that were given" {
	touch "$BATS_TEST_TMPDIR/keys"
	fake mmdebstrap <<-'T'
		for last; do case $last in */root.tar) tar -cf "$last" -T /dev/null ;; esac; done
	T
	run recipe ubuntu-24.04 MIRROR=file:///some/where/ KEYRING="$BATS_TEST_TMPDIR/keys"
	status_is 0
	grep -qx noble "$BATS_TEST_TMPDIR/asked"
	grep -qx 'deb file:///some/where noble main' "$BATS_TEST_TMPDIR/asked"
	grep -qx -- "--keyring=$BATS_TEST_TMPDIR/keys" "$BATS_TEST_TMPDIR/asked"
	[ -s "$BATS_TEST_TMPDIR/out.tar.zst" ]
	recipe ubuntu-24.04 MIRROR=file:///some/where SUITE=jammy KEYRING="$BATS_TEST_TMPDIR/keys" 2>/dev/null
	grep -qx 'deb file:///some/where jammy main' "$BATS_TEST_TMPDIR/asked"
	run recipe ubuntu-24.04 MIRROR=file:///some/where KEYRING=/nonexistent
	status_is 69
	[ "$output" = 'ubuntu-24.04: /nonexistent not found: install the package ubuntu-keyring, or give KEYRING=FILE' ]
}

@test "alpine: apk fills the root with checked packages; one console, services of a VPS" {
	mkdir "$BATS_TEST_TMPDIR/keys"
	touch "$BATS_TEST_TMPDIR/keys/some.pub"
	fake apk <<-'T'
		while [ "$1" != --root ]; do shift; done
		root=$2
		[ -e "$root/etc/apk/keys/some.pub" ] || exit 1
		mkdir -p "$root/etc/init.d" "$root/sbin" "$root/dev" "$root/run" "$root/tmp" "$root/var/log"
		printf 'tty1::respawn:/sbin/getty 38400 tty1\n::sysinit:/sbin/openrc sysinit\n' >"$root/etc/inittab"
		touch "$root/etc/rc.conf" "$root/etc/init.d/sshd" "$root/etc/init.d/networking"
		echo 'root::::::::' >"$root/etc/shadow"
	T
	run recipe alpine-3.22 MIRROR=file:///some/where KEYRING="$BATS_TEST_TMPDIR/keys"
	status_is 0
	grep -qx -- --initdb "$BATS_TEST_TMPDIR/asked"
	! grep -q allow-untrusted "$BATS_TEST_TMPDIR/asked"
	zstd -dc "$BATS_TEST_TMPDIR/out.tar.zst" | tar -xf - -C "$(mkdir -p "$BATS_TEST_TMPDIR/r" && echo "$BATS_TEST_TMPDIR/r")"
	cd "$BATS_TEST_TMPDIR/r"
	[ "$(cat etc/apk/repositories | xargs)" = 'file:///some/where/v3.22/main file:///some/where/v3.22/community' ]
	[ "$(grep -v '^#' etc/inittab | xargs)" = '::sysinit:/sbin/openrc sysinit console::respawn:/sbin/getty -L 38400 console linux' ]
	[ "$(readlink etc/runlevels/default/sshd)" = /etc/init.d/sshd ]
	[ ! -s etc/machine-id ]
	[ "$(cut -d: -f2 etc/shadow)" = '*' ]
	cd /
	run recipe alpine-3.22 MIRROR=file:///some/where KEYRING="$BATS_TEST_TMPDIR/none"
	[ "$status" -ne 0 ]
}
