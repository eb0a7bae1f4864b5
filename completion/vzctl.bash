# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for vzctl and the tools beside it; made by tools/gen-params.c, do not edit
# shellcheck shell=bash disable=SC2207,SC2086

_croft_commands="create destroy delete mount umount start stop restart status set
exec exec2 exec3 enter console runscript ubc-load ubc-unload ubc-status
ubc-reconcile failures suspend chkpnt resume restore checkpoint-check"
_croft_set_options="
--name --description --onboot --bootorder --disabled --stop-timeout --ostemplate --root
--private --layout --mount_opts --local_uid --local_gid --kmemsize --lockedpages --privvmpages
--shmpages --numproc --physpages --vmguarpages --oomguarpages --numtcpsock --numflock --numpty
--numsiginfo --tcpsndbuf --tcprcvbuf --othersockbuf --dgramrcvbuf --numothersock --dcachesize
--numfile --avnumproc --numiptent --swappages --vm_overcommit --meminfo --cpuunits --cpuweight
--cpulimit --cpuburst --cpus --cpumask --nodemask --ioprio --iolimit --iopslimit --diskspace
--diskinodes --quotatime --quotaugidlimit --diskquota --hostname --ipadd --nameserver
--searchdomain --netif_add --netdev_add --netfilter --iptables --capability --features
--devices --devnodes --pci_add --ip --ipdel --ram --swap --ve_layout --velayout --netif_del
--netdev_del --pci_del
--save --force --setmode --reset_ub --applyconfig --skip_arpdetect --userpasswd"

_croft_offer()
{
	COMPREPLY=($(compgen -W "$1" -- "$cur"))
}

# compgen -W expands its words once more: nothing but plain characters may reach it
_croft_plain()
{
	grep -x '[A-Za-z0-9+_.][A-Za-z0-9+_.@-]*'
}

_croft_names()
{
	vzlist -H "$@" -o name 2>/dev/null | _croft_plain
}

# CTIDs and names; arguments choose which: -a all, -S stopped, none running
_croft_vpses()
{
	vzlist -H "$@" -o ctid 2>/dev/null | tr -d ' '
	_croft_names "$@"
}

_croft_samples()
{
	local f

	for f in /etc/vz/conf/ve-*.conf-sample; do
		[ -e "$f" ] || continue
		f=${f##*/ve-}
		echo "${f%.conf-sample}"
	done
}

_croft_templates()
{
	local dir f

	dir=$(sed -n 's/^[[:space:]]*TEMPLATE="\{0,1\}\([^"]*\)"\{0,1\}.*/\1/p' \
		/etc/vz/vz.conf 2>/dev/null | head -n 1)
	for f in "${dir:-/var/lib/vz/template}"/cache/*.tar*; do
		[ -e "$f" ] || continue
		f=${f##*/}
		echo "${f%.tar*}"
	done
}

# what may follow an option; status 1: the option takes nothing we know
_croft_value()
{
	local cur=$1 prev=$2

	case $prev in
	--ostemplate) _croft_offer "$(_croft_templates | _croft_plain)" ;;
	--config|--applyconfig) _croft_offer "$(_croft_samples | _croft_plain)" ;;
	--setmode) _croft_offer 'restart ignore' ;;
	--ipdel) _croft_offer 'all' ;;
	--ve_layout|--velayout) _croft_offer 'simfs overlay' ;;
	--onboot) _croft_offer 'yes no' ;;
	--disabled) _croft_offer 'yes no' ;;
	--root) COMPREPLY=($(compgen -d -- "$cur")) ;;
	--private) COMPREPLY=($(compgen -d -- "$cur")) ;;
	--layout) _croft_offer 'simfs overlay' ;;
	--meminfo) _croft_offer 'none' ;;
	--cpumask) _croft_offer 'all auto' ;;
	--nodemask) _croft_offer 'all auto' ;;
	--diskquota) _croft_offer 'yes no' ;;
	--nameserver) _croft_offer 'inherit' ;;
	--searchdomain) _croft_offer 'inherit' ;;
	--netfilter) _croft_offer 'disabled stateless stateful full' ;;
	--features) _croft_offer 'nesting:on nesting:off' ;;
	--save|--force|--reset_ub|--skip_arpdetect|--fast|--wait|--skip*) return 1 ;;
	--*) COMPREPLY=() ;;
	*) return 1 ;;
	esac
}

_croft_options_of()
{
	case $1 in
	set) echo "$_croft_set_options" ;;
	create) echo '--ostemplate --config --layout --private --root --diskspace --diskinodes
		--ipadd --hostname --name --description --local_uid --local_gid' ;;
	start) echo '--force --wait --skip-fsck --skip-remount' ;;
	stop) echo '--fast --skip-umount' ;;
	restart) echo '--force --wait --skip-fsck --skip-remount --fast' ;;
	enter) echo '--exec' ;;
	failures) echo '--follow --json' ;;
	suspend|chkpnt) echo '--dumpfile --compress --force --skip-umount --suspend --dump --kill --resume' ;;
	resume|restore) echo '--dumpfile --keep --skip-remount --undump --resume --kill' ;;
	checkpoint-check) echo '--json --bandwidth --time' ;;
	esac
}

_croft_vzctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i=1 cmd

	COMPREPLY=()
	while [[ $i -lt $COMP_CWORD && ${COMP_WORDS[i]} == -* ]]; do ((i++)); done
	if [[ $i -ge $COMP_CWORD ]]; then
		_croft_offer "$_croft_commands --quiet --verbose --version --skiplock --help"
		return
	fi
	cmd=${COMP_WORDS[i]}
	if [[ $COMP_CWORD -eq $((i + 1)) ]]; then
		local which=-a
		case $cmd in
		create) return ;;
		start|mount|destroy|delete) which=-S ;;
		stop|restart|exec*|enter|console|failures|checkpoint-check) which= ;;
		esac
		local IFS=$'\n'
		_croft_offer "$(_croft_vpses $which)"
		return
	fi
	case $cmd in
	exec*) return ;;
	runscript) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	esac
	_croft_value "$cur" "$prev" && return
	_croft_offer "$(_croft_options_of "$cmd")"
}

_croft_vzlist()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} head='' fields

	COMPREPLY=()
	case $prev in
	-o|--output|-*o)
		[[ $cur == *,* ]] && head=${cur%,*},
		fields=$(vzlist -L 2>/dev/null | while read -r f _; do echo "$head$f"; done)
		compopt -o nospace 2>/dev/null
		_croft_offer "$fields"
		return ;;
	-s|--sort)
		[[ $cur == -* ]] && head=-
		fields=$(vzlist -L 2>/dev/null | while read -r f _; do echo "$head$f"; done)
		_croft_offer "$fields"
		return ;;
	-h|--hostname|-d|--description) return ;;
	-N|--name_filter)
		local IFS=$'\n'
		_croft_offer "$(_croft_names -a)"
		return ;;
	esac
	if [[ $cur == -* ]]; then
		_croft_offer '-a -S -n -H -t -j -o -1 -s -h -N -d -L --all --stopped --name
			--no-header --no-trim --json --output --sort --hostname --name_filter --description
			--list --help'
		return
	fi
	local IFS=$'\n'
	_croft_offer "$(_croft_vpses -a)"
}

_croft_vzps()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}

	COMPREPLY=()
	if [[ $prev == -E ]]; then
		local IFS=$'\n'
		_croft_offer "0
$(_croft_vpses)"
	elif [[ $cur == -* ]]; then
		_croft_offer '-E -e -f -l -o --kernel --sort --forest --help'
	fi
}

_croft_vzubc()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}

	COMPREPLY=()
	case $prev in
	-f) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	-rd|-id) COMPREPLY=($(compgen -d -- "$cur")); return ;;
	-qh|-qm|-wn) return ;;
	esac
	if [[ $cur == -* ]]; then
		_croft_offer '-v -q -qh -qm -c -r -rc -rd -i -ic -id -w -wd -wt -wn -f --help'
		return
	fi
	local IFS=$'\n'
	_croft_offer "0
$(_croft_vpses)"
}

_croft_vzplan()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}

	COMPREPLY=()
	case $prev in
	--add) ;;
	--sample) _croft_offer "$(_croft_samples | _croft_plain)" ;;
	--like)
		local IFS=$'\n'
		_croft_offer "$(_croft_vpses -a)" ;;
	*) _croft_offer '--add --like --sample --json --help' ;;
	esac
}

_croft_vzmigrate()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} word hosts=0

	COMPREPLY=()
	case $prev in
	--mode) _croft_offer 'offline warm stop-and-copy pre-copy post-copy hybrid auto'; return ;;
	--fallback) _croft_offer warm; return ;;
	-r|--remove-area) _croft_offer 'yes no'; return ;;
	--transport-command) COMPREPLY=($(compgen -c -- "$cur")); return ;;
	--ssh|--new-id|--new-name|--limit-speed|--timeout) return ;;
	esac
	if [[ $cur == -* ]]; then
		_croft_offer '--online --noiter --mode --fallback --remove-area --keep-dst --dry-run --new-id --new-name
			--nostart --nodeps --limit-speed --compress --whole-file --timeout --ssh --transport-command --times
			--verbose --recover --ours --theirs --help'
		return
	fi
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		[[ $word == -* ]] || hosts=1
	done
	if [ $hosts = 0 ]; then
		COMPREPLY=($(compgen -A hostname -- "$cur"))
	else
		local IFS=$'\n'
		_croft_offer "$(_croft_vpses -a)"
	fi
}

# vzcalc, vzcfgvalidate, vzmemcheck, vzoversell, vzsplit: letters, then a VPS, a file or nothing
_croft_tool()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}

	COMPREPLY=()
	case $1:$prev:$cur in
	vzcfgvalidate:-v:*|vzsplit:-v:*) _croft_offer 'yes no' ;;
	vzsplit:-?:*) ;;
	vzcalc:*:-*) _croft_offer '-v -h' ;;
	vzcfgvalidate:*:-*) _croft_offer '-r -i -v -h' ;;
	vzmemcheck:*) _croft_offer '-v -A -h' ;;
	vzsplit:*) _croft_offer '-n -f -s -v -h' ;;
	vzcalc:*)
		local IFS=$'\n'
		_croft_offer "$(_croft_vpses -a)" ;;
	*) COMPREPLY=($(compgen -f -- "$cur")) ;;
	esac
}

complete -F _croft_vzmigrate vzmigrate
complete -F _croft_vzplan vzplan
complete -F _croft_tool vzcalc vzcfgvalidate vzmemcheck vzoversell vzsplit
complete -F _croft_vzubc vzubc
complete -F _croft_vzctl vzctl
complete -F _croft_vzlist vzlist
complete -F _croft_vzps vzps
complete -W '-v --help' vzcpucheck
complete -W 'version caps criu dump --help' vzcptcheck
complete -W 'get status remove --private --help' vzcriu
