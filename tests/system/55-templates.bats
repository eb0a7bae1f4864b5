#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# vztmpl, generations of unpacked templates, archives good and hostile.
# bats file_tags=host
# templates: debian-12
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
	make_root overlay
	python3 "$top/tests/data/make-zoo" "$CROFT_ROOT/zoo"
}
teardown_file() { remove_root; }

setup() {
	cache=$(vzdir)/template/cache
	unpacked=$(vzdir)/template/unpacked
}

teardown() {
	destroy_all
	find "$cache" -name 'zoo-*' -delete
}

generations() { find "$unpacked" -mindepth 1 -maxdepth 1 -name "$1@*" 2>/dev/null | wc -l; }

# stage FILE NAME: an archive of the zoo (or any file) as template NAME, with FILE's suffix
stage() {
	local suffix=${1#*.tar}
	cp "$1" "$cache/$2.tar$suffix"
}

# nothing of VPS 5501 from template NAME
nothing_of() {
	[ ! -e "$(vzdir)/private/5501" ]
	[ ! -e "$(vzdir)/private/5501.tmp" ]
	[ ! -e "$(conf 5501)" ]
	[ "$(generations "$1")" = 0 ]
	[ -z "$(find "$CROFT_ROOT" -name 'croft-zoo-escaped*')" ]
	[ ! -e /tmp/croft-zoo-escaped ]
}

@test "build by a recipe, verify, list, remove" {
	mkdir -p "$CROFT_ROOT/etc/vz/templates"
	printf '#!/bin/sh\nset -e\nwork=$(mktemp -d)\nmkdir -p $work/sbin $work/etc\necho x >$work/sbin/init\nchmod 755 $work/sbin/init\ntar -C $work -cf - . | zstd -q -o $OUT\nrm -rf $work\necho note >&2\n' >"$CROFT_ROOT/etc/vz/templates/zoo-own"
	chmod 755 "$CROFT_ROOT/etc/vz/templates/zoo-own"
	run --separate-stderr vztmpl build zoo-own
	status_is 0
	[ "$output" = "$cache/zoo-own.tar.zst" ]
	[ "$stderr" = note ]
	run vztmpl build zoo-own
	[ "$status" -ne 0 ]
	vztmpl build --force zoo-own
	run vztmpl verify zoo-own
	status_is 0
	[ "$output" = "zoo-own: good" ]
	run vztmpl list
	status_is 0
	[[ "${lines[0]}" == "NAME "*"USED BY" ]]
	grep -Eq '^zoo-own +\S+ +\S+ +0  -$' <<<"$output"
	run vztmpl remove zoo-own
	status_is 0
	[ ! -e "$cache/zoo-own.tar.zst" ]
	run vztmpl list
	[[ "$output" != *zoo-own* ]]
	run vztmpl remove zoo-own
	status_is 91
}

@test "build: a failing recipe, a missing one and a bad name leave nothing" {
	mkdir -p "$CROFT_ROOT/etc/vz/templates"
	printf '#!/bin/sh\necho half >$OUT\nexit 1\n' >"$CROFT_ROOT/etc/vz/templates/zoo-fails"
	chmod 755 "$CROFT_ROOT/etc/vz/templates/zoo-fails"
	run vztmpl build zoo-fails
	status_is 8
	printf '#!/bin/sh\necho noise >$OUT\n' >"$CROFT_ROOT/etc/vz/templates/zoo-fails"
	run vztmpl build zoo-fails
	[ "$status" -ne 0 ]
	run vztmpl build zoo-nosuch
	status_is 11
	run vztmpl build ../zoo-fails
	status_is 21
	[ -z "$(find "$cache" -name '*zoo-*')" ]
}

@test "verify tells a damaged archive" {
	stage "$CROFT_ROOT/zoo/bad-cut.tar.gz" zoo-cut
	run vztmpl verify zoo-cut
	[ "$status" -ne 0 ]
	[[ "$output" != *"zoo-cut: good"* ]]
	run vztmpl verify
	[ "$status" -ne 0 ]
	has "busybox: good"
	has "1 bad template"
}

@test "list --json: generations and who needs them" {
	vzctl create 5501 --ostemplate busybox
	vzctl create 5502 --ostemplate busybox --layout simfs
	hash=$(sed -n 's/^OSTEMPLATE_HASH="\(.*\)"/\1/p' "$(conf 5501)")
	run vztmpl list --json
	status_is 0
	[ "$(jq -c '.templates[] | select(.name == "busybox") | [.generations[0].hash, .generations[0].used_by, .used_by]' <<<"$output")" = "[\"$hash\",[5501],[5501]]" ]
}

@test "remove is refused while an overlay VPS pins a generation, and names it" {
	stage "$cache/busybox.tar.zst" zoo-pinned
	vzctl create 5501 --ostemplate zoo-pinned
	vzctl create 5503 --ostemplate zoo-pinned
	run vztmpl remove zoo-pinned
	[ "$status" -ne 0 ]
	has 5501
	has 5503
	[ -e "$cache/zoo-pinned.tar.zst" ]
	[ "$(generations zoo-pinned)" = 1 ]
	vzctl start 5501
	vzctl exec2 5501 true
	vzctl stop 5501 --fast
	vzctl destroy 5501
	run vztmpl remove zoo-pinned
	[ "$status" -ne 0 ]
	has 5503
	vzctl destroy 5503
	vztmpl remove zoo-pinned
	[ "$(generations zoo-pinned)" = 0 ]
	[ ! -e "$cache/zoo-pinned.tar.zst" ]
}

@test "a rebuilt template is a new generation; the old VPS keeps its own" {
	mkdir "$CROFT_ROOT/tree"
	tar -C "$CROFT_ROOT/tree" -xf "$cache/busybox.tar.zst"
	echo one >"$CROFT_ROOT/tree/etc/motd"
	tar -C "$CROFT_ROOT/tree" -cf "$cache/zoo-gen.tar" .
	vzctl create 5501 --ostemplate zoo-gen
	echo two >"$CROFT_ROOT/tree/etc/motd"
	tar -C "$CROFT_ROOT/tree" -cf "$cache/zoo-gen.tar" .
	rm -rf "$CROFT_ROOT/tree"
	vzctl create 5502 --ostemplate zoo-gen
	[ "$(generations zoo-gen)" = 2 ]
	vzctl start 5501
	vzctl start 5502
	[ "$(vzctl exec2 5501 cat /etc/motd)" = one ]
	[ "$(vzctl exec2 5502 cat /etc/motd)" = two ]
	for id in 5501 5502; do
		vzctl stop $id --fast
		vzctl destroy $id
	done
	vztmpl remove zoo-gen
	[ "$(generations zoo-gen)" = 0 ]
}

@test "all kinds of archives are accepted and start" {
	zstd -q -d -c "$cache/busybox.tar.zst" >"$CROFT_ROOT/plain.tar"
	gzip -1 -c "$CROFT_ROOT/plain.tar" >"$cache/zoo-gz.tar.gz"
	bzip2 -1 -c "$CROFT_ROOT/plain.tar" >"$cache/zoo-bz2.tar.bz2"
	xz -0 -c "$CROFT_ROOT/plain.tar" >"$cache/zoo-xz.tar.xz"
	zstd -q -1 -c "$CROFT_ROOT/plain.tar" >"$cache/zoo-zst.tar.zst"
	mv "$CROFT_ROOT/plain.tar" "$cache/zoo-tar.tar"
	for kind in tar gz bz2 xz zst; do
		for layout in simfs overlay; do
			vzctl create 5501 --ostemplate zoo-$kind --layout $layout
			vzctl start 5501
			[ "$(vzctl exec2 5501 echo in)" = in ]
			vzctl stop 5501 --fast
			vzctl destroy 5501
		done
		vztmpl remove zoo-$kind
	done
}

@test "hostile and broken archives: 47 and nothing left, on both layouts" {
	n=0
	for file in "$CROFT_ROOT"/zoo/bad-*; do
		name=zoo-$(basename "${file%%.tar*}")
		stage "$file" "$name"
		for layout in simfs overlay; do
			run vzctl create 5501 --ostemplate "$name" --layout $layout
			[ "$status" = 47 ] || {
				echo "$name ($layout): $status $output"
				return 1
			}
			nothing_of "$name" || {
				echo "$name ($layout) left something"
				return 1
			}
			[[ "$output" != *$'\x1b'* ]]
		done
		rm "$cache/$name".tar*
		n=$((n + 1))
	done
	[ $n -ge 30 ]
}

@test "odd but good archives are unpacked, and contain what they say" {
	for file in "$CROFT_ROOT"/zoo/good-*; do
		name=zoo-$(basename "${file%%.tar*}")
		stage "$file" "$name"
		for layout in simfs overlay; do
			run vzctl create 5501 --ostemplate "$name" --layout $layout
			[ "$status" = 0 ] || {
				echo "$file ($layout): $status $output"
				return 1
			}
			[ -z "$(find "$CROFT_ROOT" -name 'croft-zoo-escaped*')" ]
			vzctl destroy 5501
		done
		vztmpl remove "$name"
	done
	stage "$CROFT_ROOT/zoo/good-plain.tar" zoo-plain
	vzctl create 5501 --ostemplate zoo-plain --layout simfs
	p=$(vzdir)/private/5501
	[ "$(stat -c %a "$p/bin/sh")" = 4755 ]
	[ "$(stat -c %i "$p/bin/sh")" = "$(stat -c %i "$p/bin/ash")" ]
	[ "$(stat -c %u:%g "$p/var/deep/er/file")" = 1000:100 ]
	[[ "$(getcap "$p/caps")" == *cap_net_raw*ep* ]]
	[ "$(stat -c %s "$p/sparse")" = $((64 << 20)) ]
	[ "$(stat -c %b "$p/sparse")" -lt 100 ]
	vzctl destroy 5501
	stage "$CROFT_ROOT/zoo/good-sparse-10g.tar" zoo-sparse
	vzctl create 5501 --ostemplate zoo-sparse --layout simfs
	[ "$(stat -c %s "$p/huge")" = $((10 << 30)) ]
	[ "$(stat -c %b "$p/huge")" -lt 100 ]
}

@test "two VPSes of one overlay template: own machine ids, own ssh host keys" {
	template debian-12
	for id in 5501 5502; do
		vzctl create $id --ostemplate debian-12 --layout overlay
		[[ "$(cat "$(vzdir)/private/$id/upper/etc/machine-id")" =~ ^[0-9a-f]{32}$ ]]
		vzctl start $id # ssh host keys are made by the first start
		[ "$(stat -c %a "$(vzdir)/private/$id/upper/etc/ssh/ssh_host_ed25519_key")" = 600 ]
		vzctl stop $id --fast
	done
	run ! cmp -s "$(vzdir)"/private/550{1,2}/upper/etc/machine-id
	for kind in ed25519 rsa ecdsa; do
		[ -s "$(vzdir)/private/5501/upper/etc/ssh/ssh_host_${kind}_key.pub" ]
		a=$(cut -d' ' -f2 "$(vzdir)/private/5501/upper/etc/ssh/ssh_host_${kind}_key.pub")
		b=$(cut -d' ' -f2 "$(vzdir)/private/5502/upper/etc/ssh/ssh_host_${kind}_key.pub")
		[ "$a" != "$b" ]
	done
	lower=$(echo "$unpacked"/debian-12@*)
	[ ! -s "$lower/etc/machine-id" ]
	[ -z "$(ls "$lower"/etc/ssh/ssh_host_* 2>/dev/null)" ]
}
