#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# bats file_tags=host
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { make_root; }
teardown_file() { remove_root; }
teardown() {
	[ ! -e "$CROFT_ROOT/etc/vz/vz.conf.away" ] || mv "$CROFT_ROOT/etc/vz/vz.conf.away" "$CROFT_ROOT/etc/vz/vz.conf"
	[ ! -e "$CROFT_ROOT/etc/vz/vz.conf.orig" ] || mv "$CROFT_ROOT/etc/vz/vz.conf.orig" "$CROFT_ROOT/etc/vz/vz.conf"
	destroy_all
}

with_ctid="create destroy delete mount umount start stop restart set exec exec2 exec3 enter console runscript status"

# refuses CODE TEXT ARG...: stdout empty, one line on stderr that contains TEXT
refuses() {
	local code=$1 text=$2
	shift 2
	run --separate-stderr vzctl "$@"
	[ "$status" -eq "$code" ] && [ -z "$output" ] && [ "${#stderr_lines[@]}" -eq 1 ] && [[ "$stderr" == *"$text"* ]] || {
		echo "vzctl $*: status $status, not $code; stdout: $output; stderr: $stderr" >&2
		return 1
	}
}

@test "no arguments: the usage on stderr, code 20" {
	run --separate-stderr vzctl
	status_is 20
	[ -z "$output" ]
	[[ "$stderr" == "vzctl version "* ]]
	[[ "$stderr" == *"Usage: vzctl "* ]]
	run --separate-stderr vzctl --verbose --skiplock
	status_is 20
	[ -z "$output" ]
	[[ "$stderr" == *"Usage: vzctl "* ]]
}

@test "--help: the usage on stdout, code 0, every command in it and no hidden one" {
	run --separate-stderr vzctl --help
	status_is 0
	[ -z "$stderr" ]
	[[ "${lines[0]}" =~ ^vzctl\ version\ [0-9]+\.[0-9]+ ]]
	for c in $with_ctid; do
		grep -q "^vzctl $c <ctid>" <<<"$output"
	done
	with=$output
	run ! grep -q internal <<<"$with"
	run --separate-stderr vzctl --quiet --help
	status_is 0
	[ "$output" = "$with" ]
}

@test "--version: three words on stdout, code 0, also beside other flags" {
	for flags in --version "--verbose --version" "--quiet --version" "--version start"; do
		# shellcheck disable=SC2086
		run --separate-stderr vzctl $flags
		status_is 0
		[ -z "$stderr" ]
		[[ "$output" =~ ^vzctl\ version\ [0-9.]+[^\ ]*$ ]]
	done
}

@test "a bad command gives 20, also an unknown global flag and one after the command's place" {
	refuses 20 "Bad command: nosuch" nosuch
	refuses 20 "Bad command: nosuch" --verbose nosuch 2142
	refuses 20 "Bad command: --nosuch" --nosuch status 2142
	refuses 20 "Bad command: 2142" 2142 start
	refuses 20 'Bad command: \x1b[31m' $'\033[31m'
}

@test "CT ID missing gives 21, for every command that takes one" {
	for c in $with_ctid; do
		refuses 21 "CT ID missing" "$c"
		refuses 21 "CT ID missing" "$c" ""
	done
}

@test "a bad CTID gives 21, for every command" {
	for c in $with_ctid; do
		refuses 21 "Bad CT ID 2147483645" "$c" 2147483645
		refuses 21 "Bad CT ID 99999999999999999999999" "$c" 99999999999999999999999
		refuses 21 "Bad CT ID 1/2" "$c" 1/2
	done
	refuses 21 "Bad CT ID ../2142" start ../2142
	refuses 21 'Bad CT ID 1\x0a2' start $'1\n2'
	refuses 21 "Bad CT ID -5" start -5
	refuses 21 "Bad CT ID web" create web
}

@test "the largest CTID is one" {
	run vzctl status 2147483644
	status_is 0
	[ "$output" = "CTID 2147483644 deleted unmounted down" ]
	refuses 14 "config file does not exist" start 2147483644
}

@test "CT0: only set" {
	for c in $with_ctid; do
		case $c in set | status) continue ;; esac
		refuses 21 "Only set actions are allowed for CT0" "$c" 0
	done
	run --separate-stderr vzctl set 0 --description node --save
	status_is 0
	grep -q '^DESCRIPTION="node"' "$(conf 0)"
	rm "$(conf 0)"
}

@test "unknown options: 21 for set and create, 20 for the others" {
	vzctl create 2142 --ostemplate busybox
	cp "$(conf 2142)" "$BATS_TEST_TMPDIR/before"
	refuses 21 "--nosuch" set 2142 --nosuch
	refuses 21 "--nosuch" set 2142 --ram 1G --nosuch=5 --save
	refuses 21 "-Z" set 2142 -Z
	refuses 21 "--nosuch" create 2143 --nosuch
	for c in start stop restart mount umount destroy delete; do
		refuses 20 "--nosuch" "$c" 2142 --nosuch
		refuses 20 "-Z" "$c" 2142 -Z
	done
	cmp "$(conf 2142)" "$BATS_TEST_TMPDIR/before"
	[ ! -e "$(conf 2143)" ]
}

@test "an option without its argument is refused and changes nothing" {
	vzctl create 2142 --ostemplate busybox
	cp "$(conf 2142)" "$BATS_TEST_TMPDIR/before"
	refuses 21 "--ram" set 2142 --save --ram
	refuses 21 "--setmode" set 2142 --save --setmode
	refuses 21 "--ostemplate" create 2143 --ostemplate
	cmp "$(conf 2142)" "$BATS_TEST_TMPDIR/before"
}

@test "an option of another command gives 20 and says so" {
	vzctl create 2142 --ostemplate busybox
	refuses 20 "Option --fast is not applicable to start command" start 2142 --fast
	refuses 20 "Option --wait is not applicable to stop command" stop 2142 --wait
	refuses 20 "Option --save is not applicable to start command" start 2142 --save
	refuses 20 "Option --ram is not applicable to mount command" mount 2142 --ram 1G
	refuses 20 "Option --fast is not applicable to set command" set 2142 --fast
	refuses 20 "Option --skip_ve_setup is not applicable to set command" set 2142 --skip_ve_setup
	refuses 20 "Option --save is not applicable to create command" create 2143 --save
	refuses 20 "Option --userpasswd is not applicable to create command" create 2143 --userpasswd root:x
	[ ! -e "$(conf 2143)" ]
	run vzctl status 2142
	[ "$output" = "CTID 2142 exist unmounted down" ]
}

@test "extra words give 20 and the command is not carried out" {
	vzctl create 2142 --ostemplate busybox
	for c in start stop restart mount umount destroy set enter status; do
		refuses 20 "Invalid extra arguments: word" "$c" 2142 word
	done
	refuses 20 "Invalid extra arguments: word" create 2143 --ostemplate busybox word
	refuses 20 "Invalid extra arguments: word" console 2142 0 word
	refuses 20 "exactly one file" runscript 2142 /bin/true word
	run vzctl status 2142
	[ "$output" = "CTID 2142 exist unmounted down" ]
	[ ! -e "$(conf 2143)" ]
}

@test "exec without a command gives 20, a bad tty number 21, a missing script 11" {
	vzctl create 2142 --ostemplate busybox
	for c in exec exec2 exec3; do
		refuses 20 "No command" "$c" 2142
	done
	refuses 21 "tty number" console 2142 x
	refuses 11 "$CROFT_ROOT/nosuch" runscript 2142 "$CROFT_ROOT/nosuch"
}

@test "names: set --name makes a link, every command finds it, --name '' removes it" {
	vzctl create 2142 --ostemplate busybox
	run --separate-stderr vzctl set 2142 --name "web one" --save
	status_is 0
	[ -z "$stderr" ]
	[ "${lines[0]}" = "Name web one assigned" ]
	[ "${lines[1]}" = "CT configuration saved to $(conf 2142)" ]
	[ -L "$CROFT_ROOT/etc/vz/names/web one" ]
	[ "$(readlink -f "$CROFT_ROOT/etc/vz/names/web one")" = "$(conf 2142)" ]
	grep -q '^NAME="web one"$' "$(conf 2142)"
	run vzctl status "web one"
	[ "$output" = "CTID 2142 exist unmounted down" ]
	vzctl mount "web one"
	vzctl umount "web one"
	vzctl set "web one" --name other --save
	[ ! -L "$CROFT_ROOT/etc/vz/names/web one" ]
	[ -L "$CROFT_ROOT/etc/vz/names/other" ]
	refuses 21 "Unable to find VPS by name web one" status "web one"
	run --separate-stderr vzctl set other --name '' --save
	status_is 0
	[ -z "$(ls -A "$CROFT_ROOT/etc/vz/names")" ]
	run ! grep -q '^NAME=' "$(conf 2142)"
	refuses 21 "Unable to find VPS by name other" status other
}

@test "names: the link and NAME= must agree, and destroy removes the link" {
	vzctl create 2142 --ostemplate busybox --name web
	vzctl create 2143 --ostemplate busybox
	ln -s ../conf/2143.conf "$CROFT_ROOT/etc/vz/names/false"
	refuses 21 "Unable to find VPS by name false" status false
	rm "$CROFT_ROOT/etc/vz/names/false"
	ln -s ../conf/999.conf "$CROFT_ROOT/etc/vz/names/gone"
	refuses 21 "Unable to find VPS by name gone" status gone
	rm "$CROFT_ROOT/etc/vz/names/gone"
	vzctl destroy web
	[ -z "$(ls -A "$CROFT_ROOT/etc/vz/names")" ]
}

@test "names: two VPSes with one name give 131, and nothing is changed or made" {
	vzctl create 2142 --ostemplate busybox --name web
	vzctl create 2143 --ostemplate busybox
	cp "$(conf 2143)" "$BATS_TEST_TMPDIR/before"
	refuses 131 "Conflict: name web already used by VPS 2142" set 2143 --name web --save
	[[ "$stderr" != *"File exists"* ]]
	cmp "$(conf 2143)" "$BATS_TEST_TMPDIR/before"
	refuses 131 "Conflict: name web already used by VPS 2142" create 2144 --ostemplate busybox --name web
	[ ! -e "$(conf 2144)" ]
	[ ! -e "$(vzdir)/private/2144" ]
	run vzctl status web
	[ "$output" = "CTID 2142 exist unmounted down" ]
	vzctl set 2142 --name web --save
}

@test "names: digits only is legal when equal to the CTID, 131 otherwise; bad characters and no --save give 131" {
	vzctl create 2142 --ostemplate busybox --name 2142
	[ -L "$CROFT_ROOT/etc/vz/names/2142" ]
	run vzctl status 2142
	[ "$output" = "CTID 2142 exist unmounted down" ]
	refuses 131 2143 set 2142 --name 2143 --save
	refuses 131 a/b set 2142 --name a/b --save
	refuses 131 'a\x0ab' set 2142 --name $'a\nb' --save
	refuses 131 .. set 2142 --name .. --save
	refuses 131 --save set 2142 --name web
	[ "$(ls -A "$CROFT_ROOT/etc/vz/names")" = 2142 ]
}

@test "an absent configuration gives 14 and the sentence, except for create, status and set --save" {
	for c in destroy mount umount start stop restart enter console; do
		refuses 14 "onfig file does not exist" "$c" 2142
	done
	for c in exec exec2 exec3; do
		refuses 14 "onfig file does not exist" "$c" 2142 true
	done
	refuses 14 "onfig file does not exist" runscript 2142 /bin/true
	refuses 14 "onfig file does not exist" set 2142 --ram 1G
	run --separate-stderr vzctl status 2142
	status_is 0
	[ "$output" = "CTID 2142 deleted unmounted down" ]
	[ -z "$stderr" ]
	run vzctl set 2142 --ram 1G --save
	status_is 0
	grep -q '^PHYSPAGES="0:262144"' "$(conf 2142)"
	rm "$(conf 2142)"
}

@test "an absent vz.conf gives 10" {
	vzctl create 2142 --ostemplate busybox
	mv "$CROFT_ROOT/etc/vz/vz.conf" "$CROFT_ROOT/etc/vz/vz.conf.away"
	for c in create destroy mount umount start stop restart set; do
		refuses 10 "$CROFT_ROOT/etc/vz/vz.conf" "$c" 2142
	done
}

@test "abbreviations: unambiguous ones work, ambiguous ones are refused, --name=value and mixed order too" {
	vzctl create 2142 --ostemplate busybox
	vzctl set 2142 --desc=a=b --sa
	grep -q '^DESCRIPTION="a=b"$' "$(conf 2142)"
	vzctl set 2142 --save --searchd example.net --cpul 50
	grep -q '^SEARCHDOMAIN="example.net"$' "$(conf 2142)"
	grep -q '^CPULIMIT="50"$' "$(conf 2142)"
	vzctl set 2142 -p 77:78 --save
	grep -q '^NUMPROC="77:78"$' "$(conf 2142)"
	vzctl set 2142 --ip 10.9.9.9 --save
	grep -q '^IP_ADDRESS=".*10.9.9.9' "$(conf 2142)"
	cp "$(conf 2142)" "$BATS_TEST_TMPDIR/before"
	refuses 21 --num set 2142 --num 5 --save
	refuses 21 --net set 2142 --net 5 --save
	cmp "$(conf 2142)" "$BATS_TEST_TMPDIR/before"
	vzctl start 2142
	vzctl stop 2142 --fas --skip-u
	run vzctl status 2142
	[ "$output" = "CTID 2142 exist mounted down" ]
}

@test "--quiet prints nothing at all, the codes stay" {
	quiet() {
		run vzctl --quiet "$@"
		[ -z "$output" ] || {
			echo "vzctl --quiet $*: $output" >&2
			return 1
		}
	}
	quiet create 2142 --ostemplate busybox
	status_is 0
	quiet set 2142 --numfile 100 --save
	status_is 0
	quiet start 2142
	status_is 0
	quiet start 2142
	status_is 32
	quiet set 2142 --ram nonsense --save
	status_is 21
	quiet set 2142 --nosuch
	status_is 21
	quiet start
	status_is 21
	quiet exec 2142 true
	status_is 0
	quiet exec 2142 false
	status_is 8
	quiet stop 2142
	status_is 0
	quiet exec 2142 true
	status_is 31
	quiet destroy 2142
	status_is 0
	quiet start 2142
	status_is 14
}

@test "--verbose says more" {
	run vzctl create 2142 --ostemplate busybox
	plain=${#lines[@]}
	run ! grep -q busybox <<<"$output"
	run vzctl --verbose create 2143 --ostemplate busybox
	status_is 0
	[ "${#lines[@]}" -ge "$plain" ]
	has busybox
}

@test "VERBOSE, LOGGING, LOG_LEVEL in vz.conf are followed" {
	cp "$CROFT_ROOT/etc/vz/vz.conf" "$CROFT_ROOT/etc/vz/vz.conf.orig"
	rm -f "$CROFT_ROOT/vzctl.log"
	sed -i 's/^LOGGING=.*/LOGGING=no/; s/^VERBOSE=.*/VERBOSE=-1/' "$CROFT_ROOT/etc/vz/vz.conf"
	run vzctl create 2142 --ostemplate busybox
	status_is 0
	[ -z "$output" ]
	[ ! -e "$CROFT_ROOT/vzctl.log" ]
	sed -i 's/^LOGGING=.*/LOGGING=yes/; s/^LOG_LEVEL=.*/LOG_LEVEL=-1/' "$CROFT_ROOT/etc/vz/vz.conf"
	vzctl mount 2142
	run vzctl destroy 2142
	status_is 41
	[ "$(wc -l <"$CROFT_ROOT/vzctl.log")" -eq 1 ]
	grep -q ' : CT 2142 : ' "$CROFT_ROOT/vzctl.log"
}

@test "the log file: every line has time, program and text; lines about a VPS have its number; mode 600" {
	rm -f "$CROFT_ROOT/vzctl.log"
	vzctl --quiet create 2142 --ostemplate busybox
	vzctl --quiet start 2142
	run vzctl --quiet start 2142
	run vzctl --quiet start nosuch
	run vzctl --quiet set 2142 --name $'two\nlines' --save
	vzctl --quiet stop 2142 --fast
	[ "$(stat -c %a "$CROFT_ROOT/vzctl.log")" = 600 ]
	run ! grep -vE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{4} vz(ctl|mon) : (CT [0-9]+ : )?[^ ].*$' "$CROFT_ROOT/vzctl.log"
	grep -qE ' vzctl : CT 2142 : Creating VPS private area' "$CROFT_ROOT/vzctl.log"
	grep -qE ' vzctl : CT 2142 : Container is already running$' "$CROFT_ROOT/vzctl.log"
	grep -qE ' vzctl : Unable to find VPS by name nosuch$' "$CROFT_ROOT/vzctl.log"
	grep -qE ' vzctl : CT 2142 : Container was stopped$' "$CROFT_ROOT/vzctl.log"
}

@test "a global flag after the command is no global flag" {
	vzctl create 2142 --ostemplate busybox
	for f in --quiet --verbose --version --skiplock; do
		refuses 20 "$f" start 2142 "$f"
	done
}
