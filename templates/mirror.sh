# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Which Debian archive this host itself uses; read by debian.sh and by tests/node. No host is named here.

# apt_uris - URIs of enabled "deb" entries that serve a Debian suite's section main, in apt's order.
apt_uris() {
	etc=${APT_ETC:-/etc/apt}
	for file in "$etc/sources.list" "$etc"/sources.list.d/*; do
		[ -r "$file" ] || continue
		case $file in
		*.list) one_line "$file" ;;
		*.sources) deb822 "$file" ;;
		esac
	done
}

one_line() {
	awk '
	function debian(s) {
		return s ~ /^(buster|bullseye|bookworm|trixie|forky|duke|sid)$/ ||
			s ~ /^(oldoldstable|oldstable|stable|testing|unstable)$/
	}
	$1 == "deb" {
		sub(/#.*/, "")
		i = 2
		if ($2 ~ /^\[/) {
			while (i < NF && $i !~ /\]$/)
				i++
			i++
		}
		if (!debian($(i + 1)))
			next
		for (c = i + 2; c <= NF; c++)
			if ($c == "main")
				print $i
	}' "$1"
}

deb822() {
	awk '
	function debian(s) {
		return s ~ /^(buster|bullseye|bookworm|trixie|forky|duke|sid)$/ ||
			s ~ /^(oldoldstable|oldstable|stable|testing|unstable)$/
	}
	function has(text, word,    a, n, i) {
		n = split(text, a)
		for (i = 1; i <= n; i++)
			if (a[i] == word)
				return 1
		return 0
	}
	function flush(    a, n, i, ok) {
		n = split(f["suites"], a)
		for (i = 1; i <= n; i++)
			ok = ok || debian(a[i])
		if (ok && has(f["types"], "deb") && has(f["components"], "main") &&
		    tolower(f["enabled"]) !~ /^ *(no|false|0|off|without|disable)/) {
			n = split(f["uris"], a)
			for (i = 1; i <= n; i++)
				print a[i]
		}
		split("", f)
		key = ""
	}
	/^#/ { next }
	/^[ \t]*$/ { flush(); next }
	/^[ \t]/ { f[key] = f[key] " " $0; next }
	{
		key = tolower(substr($0, 1, index($0, ":") - 1))
		f[key] = substr($0, index($0, ":") + 1)
	}
	END { flush() }' "$1"
}

# mirror_uri - the first of them that a new root can use as well; a mirror list is looked into.
mirror_uri() {
	apt_uris | while read -r uri; do
		case $uri in
		mirror+file:*)
			list=${uri#mirror+file:}
			sed -n 's/^[[:space:]]*\(https\{0,1\}:[^[:space:]#]*\).*/\1/p' \
				"/${list#"${list%%[!/]*}"}" 2>/dev/null
			;;
		http:* | https:*) printf '%s\n' "$uri" ;;
		esac
	done | sed -n 1p
}
