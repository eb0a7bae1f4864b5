# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# For tests that suspend: a CRIU of this machine, else the one that vzcriu or ./setup test has got, beside the build.

# in setup_file, after make_root
need_criu() {
	local dir
	for dir in /usr/libexec/croft/criu "${CROFT_TEMPLATE_CACHE:-/var/cache/croft-tests}/criu"; do
		# shellcheck disable=SC2154
		[ -e "$build/criu" ] || [ ! -x "$dir/criu" ] || ln -sfn "$dir" "$build/criu"
	done
	[ -x "$build/criu/criu" ] || command -v criu >/dev/null || {
		echo 'no CRIU: vzcriu get, or ./setup criu' >&2
		return 1
	}
}
