# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Images of test nodes and roots to build Croft in, from Debian packages. Read by tests/node/node, which sets
# $here, $top, $cache and has say and die. What is made is keyed by a hash of all that it is made from.

packages_common=(linux-image-cloud-amd64 systemd systemd-sysv udev dbus kmod iproute2 iputils-ping procps
	nftables lxcfs tar zstd busybox-static openssh-client openssh-server bats jq python3 strace apparmor
	libjansson4 libnl-3-200 libseccomp2 libbpf1 rsync acl attr libcap2-bin)
packages_build=(gcc make pkg-config libc6-dev libjansson-dev libnl-3-dev libseccomp-dev libarchive-dev libcgroup-dev
	libcrypt-dev libbpf-dev zlib1g-dev clang bpftool)

# Never wanted in a node that lives for minutes; each start of a program costs 15 ms and more there. getty and
# the device units of the serial port would be waited for.
masked=(apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
	man-db.timer systemd-tmpfiles-clean.timer getty@.service serial-getty@.service
	systemd-journal-flush.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
	systemd-random-seed.service systemd-pstore.service systemd-sysusers.service systemd-hwdb-update.service
	systemd-journal-catalog-update.service ldconfig.service systemd-machine-id-commit.service
	systemd-firstboot.service kmod-static-nodes.service systemd-remount-fs.service systemd-networkd.service
	modprobe@drm.service modprobe@configfs.service modprobe@efi_pstore.service
	systemd-boot-system-token.service systemd-pcrphase.service systemd-pcrphase-sysinit.service
	systemd-network-generator.service proc-sys-fs-binfmt_misc.automount dev-hugepages.mount
	sys-kernel-debug.mount sys-kernel-tracing.mount dev-mqueue.mount tmp.mount run-lock.mount
	systemd-udev-load-credentials.service systemd-tpm2-setup.service systemd-tpm2-setup-early.service
	systemd-pcrmachine.service systemd-hibernate-clear.service)

# sets $suite and $packages_own, what the release names otherwise
release() { # IMAGE
	case $1 in
	debian-12) suite=bookworm packages_own=(libarchive13 libcgroup2) ;;
	debian-13) suite=trixie packages_own=(libarchive13t64 libcgroup3 criu) ;;
	*) die "unknown image $1: debian-12 or debian-13" ;;
	esac
}

# debian SUITE DIRECTORY PACKAGES: a root in DIRECTORY, from this machine's own mirror (templates/mirror.sh)
debian() {
	local suite=$1 root=$2 uri
	shift 2
	uri=$(. "$top/templates/mirror.sh" && mirror_uri)
	[ -n "$uri" ] || die "no Debian archive over http in this machine's apt sources"
	apt-config dump 2>/dev/null | grep -E '^Acquire::((http|https)::|Check-Valid-Until|Check-Date|Retries)' \
		>"$root.apt.conf" || :
	# No initrd of its own: one is made here with the few modules that this machine model needs.
	# In mounts of its own: a run that is killed leaves none below a directory that is then removed.
	INITRD=No TMPDIR=$(dirname "$root") unshare --mount mmdebstrap --mode=root --variant=minbase --quiet \
		--keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
		--dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--aptopt='APT::Install-Recommends "false"' --include="$(IFS=,; echo "$*")" \
		--setup-hook="cp '$root.apt.conf' \"\$1/etc/apt/apt.conf.d/00croft-build\"" \
		--customize-hook="rm -f \"\$1/etc/apt/apt.conf.d/00croft-build\"" \
		"$suite" "$root" "deb $uri $suite main" >"$root.log" 2>&1 || {
		tail -n 20 "$root.log" >&2
		die "mmdebstrap failed; all of it is in $root.log"
	}
	rm -f "$root.apt.conf" "$root.log"
}

# trim ROOT: what makes the boot short, and the agent
trim() {
	local u s=$1/etc/systemd/system
	for u in "${masked[@]}"; do ln -sf /dev/null "$s/$u"; done
	# started by D-Bus when a session wants it
	rm -f "$1"/lib/systemd/system/multi-user.target.wants/{systemd-logind.service,getty.target,systemd-ask-password-wall.path} \
		"$s"/multi-user.target.wants/{ssh.service,nftables.service,lxcfs.service,remote-fs.target,e2scrub_reap.service} \
		"$s"/sysinit.target.wants/{systemd-timesyncd,apparmor}.service # 47-apparmor.bats loads the profiles: seconds
	ln -sf /lib/systemd/system/multi-user.target "$s/default.target"
	install -m 0755 "$work/channel" "$1/usr/local/sbin/croft-node-agent"
	cat >"$s/croft-node-agent.service" <<-'U'
		[Unit]
		Description=Commands from the host
		After=basic.target dbus.socket
		[Service]
		Type=exec
		ExecStart=/bin/sh -c 'exec /usr/local/sbin/croft-node-agent agent /dev/vport*'
		Environment=HOME=/root LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		WorkingDirectory=/root
		KillMode=process
		Restart=always
		# what is run is what an administrator would type: no limits of a service
		TasksMax=infinity
		OOMScoreAdjust=-900
	U
	cat >"$s/croft-node-shell.service" <<-'U'
		[Unit]
		Description=Shell on the serial console
		[Service]
		ExecStart=/bin/bash -i
		Environment=HOME=/root TERM=vt220 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		WorkingDirectory=/root
		StandardInput=tty-force
		StandardOutput=tty
		StandardError=tty
		TTYPath=/dev/ttyS0
		Restart=always
		RestartSec=0
		IgnoreSIGPIPE=no
		SendSIGHUP=yes
	U
	# the initrd has loaded the drivers; a device unit is wanted for few devices
	mkdir -p "$s/systemd-udev-trigger.service.d"
	printf '[Service]\nExecStart=\nExecStart=udevadm trigger --type=devices --action=add --subsystem-match=%s\n' \
		'block --subsystem-match=net --subsystem-match=tty' >"$s/systemd-udev-trigger.service.d/few.conf"
	mkdir -p "$s/multi-user.target.wants"
	ln -sf ../croft-node-agent.service ../croft-node-shell.service "$s/multi-user.target.wants/"
	printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\n' >"$1/etc/systemd/journald.conf"
	# kmod-static-nodes makes the node elsewhere, whose opening loads the module
	echo fuse >"$1/etc/modules-load.d/fuse.conf"
	: >"$1/etc/fstab"
	echo node >"$1/etc/hostname"
	printf '127.0.0.1\tlocalhost node\n::1\tlocalhost\n' >"$1/etc/hosts"
	rm -f "$1/etc/resolv.conf"
	: >"$1/etc/resolv.conf"
	: >"$1/etc/machine-id"
	chroot "$1" usermod -p '*' root
	rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/usr/share/{doc,man,info} "$1"/boot/System.map*
	# units with ConditionNeedsUpdate compare these with /usr
	touch "$1/usr" "$1/etc/.updated" "$1/var/.updated"
}

# modules ROOT VERSION NAMES: files of the modules and of all that they need, in the order of loading
modules() {
	local root=$1 version=$2 m
	shift 2
	for m in "$@"; do
		chroot "$root" modprobe -S "$version" --show-depends "$m" 2>/dev/null
	done | awk -v root="$root" '$1 == "insmod" && !seen[$2]++ { print root $2 }'
}

# initrd ROOT FILE: busybox loads what the root disk needs and hands over
initrd() {
	local d=$work/initrd version f n=0
	version=$(ls "$1/lib/modules")
	mkdir -p "$d"/{bin,dev,root}
	cp "$1/bin/busybox" "$d/bin/busybox"
	# virtio_console and virtio_net too: the agent need not wait for udev
	modules "$1" "$version" virtio_pci virtio_blk crc32c_generic crc32c ext4 virtio_console virtio_net | while read -r f; do
		n=$((n + 1))
		case $f in
		*.xz) xz -dc "$f" ;;
		*.zst) zstd -dc "$f" ;;
		*) cat "$f" ;;
		esac >"$d/$(printf %02d $n).ko"
	done
	cat >"$d/init" <<-'I'
		#!/bin/busybox sh
		busybox mount -t devtmpfs dev /dev
		for m in /*.ko; do busybox insmod "$m"; done
		# what kmod-static-nodes.service makes of modules not loaded yet, as far as tests want it; devtmpfs keeps it
		busybox mkdir /dev/net
		busybox mknod -m 0666 /dev/net/tun c 10 200
		n=0
		until busybox mount -t ext4 -o noatime,noinit_itable /dev/vda /root; do
			n=$((n + 1))
			[ $n -lt 50 ] || { echo 'no root disk'; exec busybox poweroff -f; }
			busybox sleep 0.1
		done
		busybox umount /dev
		exec busybox switch_root /root /lib/systemd/systemd "$@"
	I
	chmod 0755 "$d/init"
	(cd "$d" && find . | busybox cpio -o -H newc 2>/dev/null) >"$2"
}

key_of() { sha256sum | cut -c1-16; }

# An image is made from the packages' names and what these functions do; not from how it is kept.
image_dir() { # IMAGE
	local suite packages_own
	release "$1"
	printf '%s/%s-%s\n' "$cache" "$1" "$({
		echo "$suite" "${packages_common[@]}" "${packages_own[@]}" "${masked[@]}"
		declare -f debian trim modules initrd
		cat "$here/channel.c"
	} | key_of)"
}

# drop_old NAME: those of other checkouts stay for a while
drop_old() { find "$cache" -mindepth 1 -maxdepth 1 -name "$1-????????????????" -mtime +14 -exec rm -rf {} +; }

# node build: prints the directory with disk.raw, vmlinuz and initrd; at once if it is there
build_image() { # IMAGE
	local suite packages_own dir
	release "$1"
	dir=$(image_dir "$1")
	[ ! -e "$dir/disk.raw" ] || { touch "$dir"; echo "$dir"; return; }
	local started=$SECONDS
	need mmdebstrap mmdebstrap && need mke2fs e2fsprogs && need gcc gcc && need busybox busybox-static
	mkdir -p "$cache"
	exec 8>"$cache/.$1.lock"
	flock 8
	[ ! -e "$dir/disk.raw" ] || { echo "$dir"; return; }
	drop_old "$1"
	work=$(mktemp -d "$cache/.build.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf --one-file-system '$work'" EXIT
	chmod 0755 "$work"
	gcc -std=gnu11 -O1 -static -o "$work/channel" "$here/channel.c" || die 'channel.c does not compile'
	say "$1: root file system from packages"
	debian "$suite" "$work/root" "${packages_common[@]}" "${packages_own[@]}"
	mkdir "$work/out"
	cp "$work"/root/boot/vmlinuz-* "$work/out/vmlinuz"
	trim "$work/root"
	initrd "$work/root" "$work/out/initrd"
	say "$1: disk image"
	mke2fs -q -t ext4 -L node -m 0 -E lazy_itable_init=1,lazy_journal_init=1 -d "$work/root" "$work/out/disk.raw" 6G >&2 ||
		die 'mke2fs failed'
	mv "$work/out" "$dir"
	say "$1: built in $((SECONDS - started)) s"
	echo "$dir"
}

# A root of the image's release to build Croft in; libraries' names differ between releases.
build_root() { # IMAGE
	local suite packages_own dir
	release "$1"
	dir=$cache/buildroot-$1-$({ echo "$suite" "${packages_build[@]}"; } | key_of)
	[ ! -e "$dir/etc" ] || { touch "$dir"; echo "$dir"; return; }
	mkdir -p "$cache"
	exec 8>"$cache/.buildroot-$1.lock"
	flock 8
	[ ! -e "$dir/etc" ] || { echo "$dir"; return; }
	local started=$SECONDS
	drop_old "buildroot-$1"
	rm -rf "$cache/.buildroot-$1.new"
	say "$1: root to build Croft in"
	debian "$suite" "$cache/.buildroot-$1.new" "${packages_build[@]}"
	mkdir "$cache/.buildroot-$1.new"/mnt/{src,build}
	mv "$cache/.buildroot-$1.new" "$dir"
	say "$1: built in $((SECONDS - started)) s"
	echo "$dir"
}
