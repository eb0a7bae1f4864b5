/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The dist room on throw-away trees, hostile too. Root: ids from 200000; else one id of our own. */
#include "dist/dist.h"
#include "util/fd.h"
#include "util/proc.h"

#include <crypt.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { BASE = 200000 };

static int tests, failures, base_id, id_count;
static int top = -1, root = -1, userns = -1;
static char top_path[64];
static struct vz_error err;
static struct vps_config cfg;

static void ok(bool good, const char *name)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++tests, name);
	if (!good) {
		failures++;
		printf("# last error: exit %d errno %d %s\n", err.exit, err.sys, err.msg);
	}
}

/* ---- trees ---- */

static void dirs(int at, const char *path)
{
	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		VZ_FREE char *dir = strndup(path, (size_t)(p - path));

		(void)mkdirat(at, dir, 0755);
		(void)!fchownat(at, dir, (uid_t)base_id, (gid_t)base_id, 0);
	}
}

static void put_bytes(int at, const char *path, const char *text, size_t len, mode_t mode)
{
	VZ_FD int fd = -EBADF;

	dirs(at, path);
	(void)unlinkat(at, path, 0);
	fd = vz_openat(at, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (vz_write_all(fd, text, len) < 0 || fchown(fd, (uid_t)base_id, (gid_t)base_id) < 0 ||
	    fchmod(fd, mode) < 0)
		printf("# cannot prepare %s\n", path);
}

static void put(const char *path, const char *text)
{
	put_bytes(root, path, text, strlen(text), 0644);
}

static void link_to(const char *path, const char *target)
{
	dirs(root, path);
	(void)unlinkat(root, path, 0);
	if (symlinkat(target, root, path) < 0)
		printf("# cannot prepare %s\n", path);
}

static bool is(int at, const char *path, const char *want)
{
	VZ_FREE char *text = NULL;
	struct stat st;
	ssize_t n = fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)
			    ? vz_read_file(at, path, 4 << 20, &text)
			    : -1;

	if (n >= 0 && vz_streq(text, want))
		return true;
	printf("# %s: '%s'\n", path, n < 0 ? "(no file)" : text);
	return false;
}

static bool there(const char *path)
{
	struct stat st;

	return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

static void fresh_root(void)
{
	char path[96];

	vz_closep(&root);
	(void)snprintf(path, sizeof(path), "%s/root", top_path);
	(void)nftw(path, drop, 16, FTW_DEPTH | FTW_PHYS);
	dirs(top, "root/etc/");
	root = vz_openat(top, "root", O_RDONLY | O_DIRECTORY, 0);
}

static bool no_litter(const char *path)
{
	VZ_DIR DIR *d = vz_opendirat(root, path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (!strncmp(e->d_name, ".vps-", 5))
			return false;
	return d != NULL;
}

static int apply(unsigned int what, const char *host_resolv)
{
	memset(&err, 0, sizeof(err));
	return dist_apply(root, userns, &cfg, what, host_resolv, &err);
}

static void config(const char *hostname, const char *ips, const char *dns, const char *search)
{
	struct {
		struct vz_list *l;
		enum vps_param_id id;
		const char *v;
	} lists[] = {
		{ &cfg.ip_address, VP_IP_ADDRESS, ips },
		{ &cfg.nameserver, VP_NAMESERVER, dns },
		{ &cfg.searchdomain, VP_SEARCHDOMAIN, search },
	};

	free(cfg.hostname);
	cfg.hostname = hostname ? strdup(hostname) : NULL;
	cfg.source[VP_HOSTNAME] = hostname ? VS_VPS : VS_UNSET;
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		vz_list_clear(lists[i].l);
		cfg.source[lists[i].id] = lists[i].v ? VS_VPS : VS_UNSET;
		if (lists[i].v)
			(void)!vz_list_split(lists[i].l, lists[i].v, " ");
	}
}

/* ---- tests ---- */

#define BLOCK "# Auto-generated hostname. Please do not remove this comment.\n"

static void test_hostname(void)
{
	struct stat st;

	fresh_root();
	config("vps7.example.org", "10.0.0.7/24 10.0.0.8", NULL, NULL);
	ok(apply(DIST_HOSTNAME, NULL) == 0 && is(root, "etc/hostname", "vps7\n"),
	   "short host name");
	ok(is(root, "etc/hosts",
	      "127.0.0.1 localhost localhost.localdomain\n"
	      "::1 localhost ip6-localhost ip6-loopback\n" BLOCK
	      "10.0.0.7 vps7.example.org vps7\n"),
	   "hosts is made");
	put("etc/hosts", "1.2.3.4 x\n" BLOCK "10.0.0.7 old\n# mine\n5.6.7.8 y");
	(void)!fchmodat(root, "etc/hosts", 0640, 0);
	config("plain", NULL, NULL, NULL);
	ok(apply(DIST_HOSTNAME, NULL) == 0 &&
		   is(root, "etc/hosts",
		      "1.2.3.4 x\n" BLOCK "127.0.1.1 plain\n# mine\n5.6.7.8 y\n"),
	   "our block is replaced, the rest stays");
	ok(fstatat(root, "etc/hosts", &st, 0) == 0 && (st.st_mode & 07777) == 0640 &&
		   st.st_uid == (uid_t)base_id,
	   "mode and owner stay");
	put("etc/hosts", BLOCK "\n" BLOCK "# mine\n" BLOCK);
	ok(apply(DIST_HOSTNAME, NULL) == 0 &&
		   is(root, "etc/hosts", BLOCK "127.0.1.1 plain\n\n# mine\n"),
	   "a broken block takes nothing of the tenant's with it");
	config(NULL, NULL, NULL, NULL);
	ok(apply(DIST_HOSTNAME, NULL) == 0 && is(root, "etc/hostname", "plain\n"),
	   "no name configured: left alone");
	config("evil\nname", NULL, NULL, NULL);
	ok(apply(DIST_HOSTNAME, NULL) == -EINVAL && err.exit == VZ_EXIT_BAD_HOSTNAME,
	   "no second line");
	ok(no_litter("etc"), "no temporary files");
}

static void test_links(void)
{
	config("vps8", NULL, "10.0.0.53", NULL);
	fresh_root();
	put_bytes(top, "outside", "secret\n", 7, 0666);
	put_bytes(top, "etc/hosts", "host\n", 5, 0666);
	put("inside", "inside\n");
	link_to("etc/hosts", "../../outside");
	ok(apply(DIST_HOSTNAME, NULL) == 0 && is(top, "outside", "secret\n") &&
		   is(root, "etc/hosts",
		      "127.0.0.1 localhost localhost.localdomain\n"
		      "::1 localhost ip6-localhost ip6-loopback\n" BLOCK "127.0.1.1 vps8\n"),
	   "hosts linked upwards: replaced, not followed or read");
	link_to("etc/hosts", "/inside");
	ok(apply(DIST_HOSTNAME, NULL) == 0 && is(root, "inside", "inside\n") && there("etc/hosts"),
	   "hosts linked absolutely: replaced");
	link_to("etc/hosts", "/proc/self/root/outside");
	ok(apply(DIST_HOSTNAME, NULL) == 0 && is(top, "outside", "secret\n"),
	   "hosts linked by magic");
	(void)unlinkat(root, "etc/hosts", 0);
	(void)mkdirat(root, "etc/hosts", 0755);
	ok(apply(DIST_HOSTNAME, NULL) < 0 && err.exit == VZ_EXIT_SYSTEM && no_litter("etc"),
	   "hosts a directory: an error");
	(void)unlinkat(root, "etc/hosts", AT_REMOVEDIR);
	(void)unlinkat(root, "etc/resolv.conf", 0);
	(void)mkfifoat(root, "etc/resolv.conf", 0666);
	{
		uint64_t t = vz_now_ms();

		ok(apply(DIST_DNS, NULL) == 0 && vz_now_ms() - t < 5000 &&
			   is(root, "etc/resolv.conf", "nameserver 10.0.0.53\n"),
		   "resolv.conf a FIFO: does not hang");
	}
	fresh_root();
	(void)unlinkat(root, "etc", AT_REMOVEDIR);
	link_to("etc", "../../etc");
	ok(apply(DIST_HOSTNAME | DIST_DNS | DIST_NETWORK, NULL) == -ELOOP &&
		   is(top, "etc/hosts", "host\n"),
	   "etc linked upwards stays inside");
	link_to("etc", "sub/../../../real");
	dirs(root, "sub/");
	dirs(root, "real/");
	ok(apply(DIST_HOSTNAME, NULL) == 0 && is(root, "real/hostname", "vps8\n"),
	   "etc linked elsewhere in the root is its own affair");
	fresh_root();
	(void)unlinkat(root, "etc", AT_REMOVEDIR);
	ok(apply(DIST_HOSTNAME | DIST_DNS | DIST_NETWORK | DIST_FIRST, NULL) == 0 && !there("etc"),
	   "a root without etc");
}

static void test_dns(void)
{
	static const char host[] = "# host\nsearch h.example\nnameserver 9.9.9.9\n"
				   "nameserver\t2001:db8::53\noptions rotate\n";

	fresh_root();
	put("etc/resolv.conf", "# top\nnameserver 1.1.1.1\noptions edns0\nsearch old.example\n");
	config(NULL, NULL, NULL, NULL);
	ok(apply(DIST_DNS, host) == 0 &&
		   is(root, "etc/resolv.conf",
		      "# top\nnameserver 1.1.1.1\noptions edns0\nsearch old.example\n"),
	   "unset: resolv.conf is left alone");
	config(NULL, NULL, "10.0.0.53 10.0.0.54", NULL);
	ok(apply(DIST_DNS, host) == 0 && is(root, "etc/resolv.conf",
					    "# top\noptions edns0\nsearch old.example\n"
					    "nameserver 10.0.0.53\nnameserver 10.0.0.54\n"),
	   "name servers are replaced");
	config(NULL, NULL, "inherit", "a.example b.example");
	ok(apply(DIST_DNS, host) == 0 && is(root, "etc/resolv.conf",
					    "# top\noptions edns0\nsearch a.example b.example\n"
					    "nameserver 9.9.9.9\nnameserver 2001:db8::53\n"),
	   "inherited name servers");
	config(NULL, NULL, "inherit", "inherit");
	ok(apply(DIST_DNS, NULL) == 0, "nothing to inherit");
	link_to("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
	ok(apply(DIST_DNS, host) == 0 && is(root, "etc/systemd/resolved.conf.d/50-vps.conf",
					    "# Written by vzctl at each start; remove this line "
					    "and it is yours.\n[Resolve]\n"
					    "DNS=9.9.9.9\nDNS=2001:db8::53\nDomains=h.example\n"),
	   "systemd-resolved gets a drop-in");
	put("etc/systemd/resolved.conf.d/50-vps.conf", "mine\n");
	ok(apply(DIST_DNS, host) == 0 &&
		   is(root, "etc/systemd/resolved.conf.d/50-vps.conf", "mine\n"),
	   "the tenant's own drop-in stays");
}

static void test_network(void)
{
	fresh_root();
	config(NULL, "10.0.0.7 10.1.0.7/24 2001:db8::7", NULL, NULL);
	dirs(root, "etc/systemd/network/");
	ok(apply(DIST_NETWORK | DIST_BOOT, NULL) == 0 &&
		   is(root, "etc/systemd/network/10-vps-venet0.network",
		      "# Written by vzctl at each start; remove this line and it is yours.\n"
		      "[Match]\nName=venet0\n\n[Network]\nKeepConfiguration=yes\nDHCP=no\n"
		      "IPv6AcceptRA=no\nLinkLocalAddressing=no\nAddress=10.0.0.7/32\n"
		      "Address=10.1.0.7/24\nAddress=2001:db8::7/128\n\n[Route]\n"
		      "Destination=0.0.0.0/0\nScope=link\n\n[Route]\nDestination=::/0\n"),
	   "systemd-networkd");
	ok(is(root, "fastboot", ""), "fastboot");
	put("etc/systemd/network/10-vps-venet0.network", "mine\n");
	dirs(root, "etc/network/");
	ok(apply(DIST_NETWORK | DIST_BOOT, NULL) == 0 &&
		   is(root, "etc/systemd/network/10-vps-venet0.network", "mine\n"),
	   "the tenant's own file stays");
	ok(is(root, "etc/network/interfaces",
	      "# Written by vzctl at each start; remove this line and it is yours.\n"
	      "auto lo\niface lo inet loopback\n"),
	   "ifupdown without a file gets lo");
	put("etc/network/interfaces", "mine\n");
	ok(apply(DIST_NETWORK, NULL) == 0 && is(root, "etc/network/interfaces", "mine\n"),
	   "interfaces stays");
	fresh_root();
	ok(apply(DIST_NETWORK, NULL) == 0 && !there("etc/systemd") && !there("etc/network"),
	   "nothing for other systems");
}

static void test_first(void)
{
	VZ_FREE char *a = NULL, *b = NULL;
	static const char old[] = "0123456789abcdef0123456789abcdef\n";

	fresh_root();
	config(NULL, NULL, NULL, NULL);
	put("etc/machine-id", old);
	put("var/lib/dbus/machine-id", old);
	put("etc/ssh/ssh_host_rsa_key", "key");
	put("etc/ssh/ssh_host_rsa_key.pub", "key");
	put("etc/ssh/sshd_config", "config");
	put("etc/shadow", "root::1:0:99999:7:::\nx:*:1::::::\n");
	ok(apply(DIST_FIRST, NULL) == 0, "first");
	ok(vz_read_file(root, "etc/machine-id", 100, &a) == 33 && !vz_streq(a, old) &&
		   strspn(a, "0123456789abcdef") == 32,
	   "a machine id of its own");
	ok(vz_read_file(root, "var/lib/dbus/machine-id", 100, &b) == 33 && a && vz_streq(a, b),
	   "the same for D-Bus");
	ok(!there("etc/ssh/ssh_host_rsa_key") && !there("etc/ssh/ssh_host_rsa_key.pub") &&
		   there("etc/ssh/sshd_config"),
	   "ssh host keys are removed");
	ok(is(root, "etc/shadow", "root:!!:1:0:99999:7:::\nx:*:1::::::\n"),
	   "root's empty password is locked");
	put_bytes(root, "usr/bin/ssh-keygen", "no program", 10, 0755);
	put("dev/null", "");
	(void)!fchmodat(root, "dev/null", 0, 0);
	ok(apply(DIST_KEYS, NULL) < 0 && strstr(err.msg, "ssh-keygen"), "an ssh-keygen that fails");
	ok(there("dev/null") && no_litter("dev"), "what /dev/null was is back");
	fresh_root();
	ok(apply(DIST_FIRST, NULL) == 0 && !there("etc/machine-id") && !there("etc/shadow"),
	   "nothing is made where nothing was");
}

/* The second field of the line of @user in @path verifies @password. */
static bool verifies(const char *path, const char *user, const char *password, const char *prefix)
{
	VZ_FREE char *text = NULL;
	char key[40], hash[256];
	const char *p;

	if (vz_read_file(root, path, 4 << 20, &text) < 0)
		return false;
	(void)snprintf(key, sizeof(key), "\n%s:", user);
	p = !strncmp(text, key + 1, strlen(key) - 1) ? text - 1 : strstr(text, key);
	if (!p)
		return false;
	p += strlen(key);
	(void)snprintf(hash, sizeof(hash), "%.*s", (int)strcspn(p, ":\n"), p);
	if (strncmp(hash, prefix, strlen(prefix)) != 0) {
		printf("# %s %s\n", user, hash);
		return false;
	}
	p = crypt(password, hash);
	return p && vz_streq(p, hash);
}

static int set(const char *user_pw)
{
	memset(&err, 0, sizeof(err));
	return dist_passwd(root, userns, user_pw, &err);
}

static void test_bad_users(void)
{
	static const char *const bad[] = {
		"",	    ":pw",	"root",		  "root:",
		"Root:pw",  "ro ot:pw", "../etc:pw",	  "root\n:pw",
		"0root:pw", "-root:pw", "a:b\nroot::0:0", "aaaaaaaaaabbbbbbbbbbccccccccccddd:pw",
	};
	bool good = true;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (set(bad[i]) != -EINVAL || err.exit != VZ_EXIT_PASSWORD ||
		    strchr(err.msg, '\n')) {
			printf("# taken: '%s'\n", bad[i]);
			good = false;
		}
	ok(good, "bad users and passwords are refused");
}

static void test_passwd(void)
{
	static const char garbage[] =
		"::::::::\nroot\nrootx:x:5:\n\0bin\0:x\nroot:old:0:0:r:/root:/bin/sh\n"
		":\nroot:second:0:0::/:\nno newline";
	VZ_FREE char *text = NULL, *huge = NULL;
	ssize_t n;

	fresh_root();
	put_bytes(root, "etc/passwd", garbage, sizeof(garbage) - 1, 0644);
	put("etc/shadow", "bin:*:1::::::\nroot:!:7:0:99999:7:::\nlast:*");
	(void)!fchmodat(root, "etc/shadow", 0600, 0);
	ok(set("root:se:cr et") == 0 && verifies("etc/shadow", "root", "se:cr et", "$6$"),
	   "root's password, colon and blank in it, SHA-512 by default");
	n = vz_read_file(root, "etc/passwd", 4096, &text);
	ok(text && n == (ssize_t)sizeof(garbage) - 1 - 2 && !memcmp(text, garbage, 30) &&
		   !memcmp(text + n - 10, "no newline", 10) &&
		   memmem(text, (size_t)n, "root:x:0:0:r", 12) &&
		   memmem(text, (size_t)n, "root:second:", 12),
	   "lines that are no entries stay byte by byte");
	put("etc/login.defs", "#ENCRYPT_METHOD DES\nENCRYPT_METHOD YESCRYPT\n");
	ok(set("root:two") == 0 && verifies("etc/shadow", "root", "two", "$y$"), "yescrypt");
	put("etc/login.defs", "ENCRYPT_METHOD\tSHA256\n");
	ok(set("last:three") == 0 || base_id == 0,
	   "a user with no line in passwd but one in shadow");
	ok(no_litter("etc") && there("etc/.pwd.lock"), "no temporary files");
	link_to("etc/shadow", "/etc/passwd");
	ok(set("root:x") == -ELOOP && err.exit == VZ_EXIT_PASSWORD, "shadow a link: refused");
	(void)unlinkat(root, "etc/shadow", 0);
	put("etc/passwd", "root::0:0:root:/root:/bin/sh\n");
	ok(set("root:bb") == 0 && verifies("etc/passwd", "root", "bb", "$5$"),
	   "without shadow the hash stands in passwd");
	link_to("etc/.pwd.lock", "/etc/passwd");
	ok(set("root:x") == -ELOOP && err.exit == VZ_EXIT_PASSWORD, "lock file a link: refused");
	(void)unlinkat(root, "etc/.pwd.lock", 0);
	huge = calloc(1, (1 << 20) + 2);
	memset(huge, 'a', (1 << 20) + 1);
	put("etc/passwd", huge);
	ok(set("root:x") == -EFBIG && err.exit == VZ_EXIT_PASSWORD, "a huge passwd is refused");
	(void)unlinkat(root, "etc/passwd", 0);
	ok(set("root:x") == -ENOENT && err.exit == VZ_EXIT_PASSWORD, "no passwd");
}

static void test_new_user(void)
{
	struct stat st;

	if (id_count == 1) {
		ok(true, "new users # SKIP one id only");
		return;
	}
	fresh_root();
	put("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000::/:\n");
	put("etc/group", "root:x:0:\ng:x:1001:\n");
	put("etc/gshadow", "root:*::\n");
	put("etc/shadow", "root:*:1::::::\n");
	put("etc/skel/.profile", "hello\n");
	put("etc/skel/dir/file", "deep\n");
	link_to("etc/skel/link", "/etc/shadow");
	(void)mkfifoat(root, "etc/skel/fifo", 0666);
	ok(set("neu:pw") == 0 && verifies("etc/shadow", "neu", "pw", "$6$"), "a new user");
	ok(is(root, "etc/passwd",
	      "root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000::/:\n"
	      "neu:x:1002:1002::/home/neu:/bin/sh\n"),
	   "with the next number free as uid and gid");
	ok(is(root, "etc/group", "root:x:0:\ng:x:1001:\nneu:x:1002:\n") &&
		   is(root, "etc/gshadow", "root:*::\nneu:!::\n"),
	   "with a group");
	ok(is(root, "home/neu/.profile", "hello\n") && is(root, "home/neu/dir/file", "deep\n") &&
		   !there("home/neu/link") && !there("home/neu/fifo"),
	   "with a home: plain files and directories only");
	ok(fstatat(root, "home/neu", &st, 0) == 0 && st.st_uid == BASE + 1002 &&
		   (st.st_mode & 0777) == 0700 && fstatat(root, "home/neu/dir/file", &st, 0) == 0 &&
		   st.st_uid == BASE + 1002,
	   "that is his");
	put("bin/bash", "");
	(void)!fchmodat(root, "bin/bash", 0755, 0);
	link_to("home/evil", "../../../outside");
	ok(set("evil:pw") == 0 && is(top, "outside", "secret\n") && there("etc/group") &&
		   set("evil:pw2") == 0 && verifies("etc/shadow", "evil", "pw2", "$6$"),
	   "a home that is there already is left alone");
}

static void test_init(void)
{
	static const struct {
		const char *link, *target, *file, *also, *kind, *path;
	} cases[] = {
		{ "sbin/init", "../lib/systemd/systemd", "lib/systemd/systemd", NULL, "systemd",
		  "/sbin/init" },
		{ "sbin/init", "/bin/busybox", "bin/busybox", NULL, "busybox", "/sbin/init" },
		{ "sbin/init", "/bin/busybox", "bin/busybox", "sbin/openrc", "openrc",
		  "/sbin/init" },
		{ "sbin/init", "openrc-init", "sbin/openrc-init", NULL, "openrc-init",
		  "/sbin/init" },
		{ NULL, NULL, "sbin/init", "etc/inittab", "sysvinit", "/sbin/init" },
		{ NULL, NULL, "sbin/init", NULL, "other", "/sbin/init" },
		{ NULL, NULL, "bin/init", NULL, "other", "/bin/init" },
		{ "sbin/init", "runit-init", "sbin/runit-init", NULL, "other", "/sbin/init" },
		{ "sbin/init", "../../../../outside", NULL, NULL, "", "" },
		{ "sbin/init", "init", NULL, NULL, "", "" },
		{ NULL, NULL, NULL, NULL, "", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct dist_init found = { .kind = "?" };
		struct vz_error files;
		char name[96];

		fresh_root();
		if (cases[i].file)
			put_bytes(root, cases[i].file, "\177ELF....", 8, 0755);
		if (cases[i].also)
			put_bytes(root, cases[i].also, "", 0, 0755);
		if (cases[i].link)
			link_to(cases[i].link, cases[i].target);
		(void)snprintf(name, sizeof(name), "init %zu: '%s'", i, cases[i].kind);
		ok(dist_start(root, userns, &cfg, 0, NULL, &found, &files, &err) == 0 &&
			   files.exit == 0 && vz_streq(found.kind, cases[i].kind) &&
			   vz_streq(found.path, cases[i].path),
		   name);
	}
}

static bool holds(const char *path, const char *part)
{
	VZ_FREE char *text = NULL;

	return vz_read_file(root, path, 65536, &text) >= 0 && strstr(text, part);
}

static void test_wait(void)
{
	struct stat st;

	fresh_root();
	put_bytes(root, "sbin/init", "\177ELF", 4, 0755);
	ok(apply(DIST_WAIT, NULL) < 0 && err.exit == VZ_EXIT_WAIT &&
		   strstr(err.msg, "/etc/rc.local") && !there(".vzfifo"),
	   "--wait: an init of which nothing is known is refused");
	put_bytes(root, "etc/rc.local", "#!/bin/sh -e\nexit 0\n", 20, 0644);
	ok(apply(DIST_WAIT, NULL) < 0 && err.exit == VZ_EXIT_WAIT,
	   "so is one with an rc.local that is not run");
	(void)!fchmodat(root, "etc/rc.local", 0755, 0);
	ok(apply(DIST_WAIT, NULL) == 0 && holds("etc/rc.local", "#!/bin/sh -e\ntrap '") &&
		   holds("etc/rc.local", "' 0\nexit 0\n") &&
		   fstatat(root, ".vzfifo", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISFIFO(st.st_mode),
	   "an executable rc.local tells when it ends");
	put("etc/inittab", "id:2:initdefault:\nl2:2:wait:/etc/rc 2");
	ok(apply(DIST_WAIT, NULL) == 0 && holds("etc/inittab", "/etc/rc 2\nvz:2345:once:"),
	   "sysvinit");
	{
		VZ_FREE char *before = NULL, *after = NULL;

		ok(vz_read_file(root, "etc/inittab", 65536, &before) > 0 &&
			   apply(DIST_WAIT, NULL) == 0 &&
			   vz_read_file(root, "etc/inittab", 65536, &after) > 0 &&
			   vz_streq(before, after),
		   "a second start adds nothing");
	}
	put_bytes(root, "sbin/openrc", "", 0, 0755);
	ok(apply(DIST_WAIT, NULL) < 0 && err.exit == VZ_EXIT_WAIT,
	   "OpenRC without a runlevel default");
	put("etc/runlevels/default/x", "");
	put("etc/init.d/x", "");
	ok(apply(DIST_WAIT, NULL) == 0 && holds("etc/init.d/vps-wait", "after *") &&
		   holds("etc/init.d/vps-wait", "#!/sbin/openrc-run\n") &&
		   there("etc/runlevels/default/vps-wait") &&
		   fstatat(root, "etc/init.d/vps-wait", &st, 0) == 0 && (st.st_mode & 0777) == 0755,
	   "OpenRC: a service of the runlevel default");
	put("etc/init.d/vps-wait", "mine\n");
	ok(apply(DIST_WAIT, NULL) == 0 && is(root, "etc/init.d/vps-wait", "mine\n"),
	   "which the tenant may take over");
	link_to(".vzfifo", "/etc/inittab");
	ok(apply(DIST_WAIT, NULL) == 0 && holds("etc/inittab", "initdefault"),
	   "a link in the FIFO's place goes");
	fresh_root();
	put_bytes(root, "sbin/init", "\177ELF", 4, 0755);
	put_bytes(root, "sbin/initctl", "", 0, 0755);
	put("etc/init/rc.conf", "");
	ok(apply(DIST_WAIT, NULL) == 0 && holds("etc/init/vps-wait.conf", "start on stopped rc"),
	   "Upstart");
}

static void test_getty(void)
{
	fresh_root();
	put("etc/inittab", "id:2:initdefault:\n1:2345:respawn:/sbin/getty --noclear 38400 tty1\n"
			   "2:23:respawn:/sbin/getty 38400 tty2\n#T0:23:respawn:/sbin/getty ttyS0\n"
			   "T1:23:respawn:/sbin/getty -L ttyS1");
	ok(apply(DIST_FIRST, NULL) == 0 &&
		   is(root, "etc/inittab",
		      "id:2:initdefault:\n1:2345:respawn:/sbin/getty --noclear 38400 console\n"
		      "#2:23:respawn:/sbin/getty 38400 tty2\n#T0:23:respawn:/sbin/getty ttyS0\n"
		      "T1:23:respawn:/sbin/getty -L ttyS1\n"),
	   "gettys of an inittab: the first asks on the console, other terminals there are none");
	put("etc/inittab",
	    "::sysinit:x\ntty1::respawn:/sbin/getty 0 tty1\n::respawn:getty 0 console\n");
	ok(apply(DIST_FIRST, NULL) == 0 && is(root, "etc/inittab",
					      "::sysinit:x\n#tty1::respawn:/sbin/getty 0 "
					      "tty1\n::respawn:getty 0 console\n"),
	   "an inittab that has a console keeps it");
	put("etc/inittab", "tty1::respawn:/sbin/getty 38400 tty1\n");
	ok(apply(DIST_FIRST, NULL) == 0 &&
		   is(root, "etc/inittab", "console::respawn:/sbin/getty 38400 console\n"),
	   "BusyBox names the terminal twice");
}

/* ---- set up ---- */

static bool write_maps(const char *who, unsigned int outside_uid, unsigned int outside_gid, int n)
{
	char path[64], text[64];

	(void)snprintf(path, sizeof(path), "/proc/%s/uid_map", who);
	(void)snprintf(text, sizeof(text), "0 %u %d", outside_uid, n);
	if (vz_write_value(AT_FDCWD, path, text) < 0)
		return false;
	if (n == 1) {
		(void)snprintf(path, sizeof(path), "/proc/%s/setgroups", who);
		(void)!vz_write_value(AT_FDCWD, path, "deny");
	}
	(void)snprintf(path, sizeof(path), "/proc/%s/gid_map", who);
	(void)snprintf(text, sizeof(text), "0 %u %d", outside_gid, n);
	return vz_write_value(AT_FDCWD, path, text) == 0;
}

static int make_userns(void)
{
	int up[2], fd = -1;
	char who[16], path[64], c;
	pid_t pid;

	if (vz_pipe(up) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || unshare(CLONE_NEWUSER) < 0 ||
		    write(up[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(up[1]);
	if (pid > 0 && read(up[0], &c, 1) == 1) {
		(void)snprintf(who, sizeof(who), "%d", (int)pid);
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
		if (write_maps(who, (unsigned int)base_id, (unsigned int)base_id, id_count))
			fd = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
	}
	(void)close(up[0]);
	(void)kill(pid, SIGKILL);
	(void)vz_wait(pid);
	return fd;
}

static bool set_up(void)
{
	unsigned int uid = geteuid(), gid = getegid();
	const char *tmp = getenv("TMPDIR");

	base_id = uid == 0 ? BASE : 0;
	id_count = uid == 0 ? 65536 : 1;
	if (uid != 0 && (unshare(CLONE_NEWUSER) < 0 || !write_maps("self", uid, gid, 1)))
		return false;
	userns = make_userns();
	(void)snprintf(top_path, sizeof(top_path), "%.40s/test-dist.XXXXXX", tmp ? tmp : "/tmp");
	if (userns < 0 || !mkdtemp(top_path))
		return false;
	top = vz_openat(AT_FDCWD, top_path, O_RDONLY | O_DIRECTORY, 0);
	return top >= 0;
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (!set_up()) {
		printf("1..0 # SKIP no user namespaces\n");
		return 0;
	}
	test_hostname();
	test_links();
	test_dns();
	test_network();
	test_first();
	test_bad_users();
	test_passwd();
	test_new_user();
	test_init();
	test_wait();
	test_getty();
	printf("1..%d\n", tests);
	config(NULL, NULL, NULL, NULL);
	vz_closep(&root);
	vz_closep(&top);
	vz_closep(&userns);
	(void)nftw(top_path, drop, 16, FTW_DEPTH | FTW_PHYS);
	return failures != 0;
}
