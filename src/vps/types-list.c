/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Types whose value is a list of words. */
#include "vps/priv.h"

#include "util/fd.h"
#include "util/parse.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Replace *field by *fresh, or free *fresh when @r is a failure. */
static int settle(void *field, struct vz_list *fresh, int r)
{
	if (r < 0) {
		vz_list_clear(fresh);
		return r;
	}
	vz_list_clear(field);
	*(struct vz_list *)field = *fresh;
	return 0;
}

int vps_parse_list(const struct vps_param *p, enum vps_mode mode, const char *text,
		   enum vps_source src, void *field)
{
	struct vz_list fresh = { 0 };

	(void)p;
	(void)mode;
	(void)src;
	if (strpbrk(text, "\n\r\""))
		return -EINVAL;
	return settle(field, &fresh, vz_list_split(&fresh, text, " \t,"));
}

int vps_parse_list_add(const struct vps_param *p, enum vps_mode mode, const char *text,
		       enum vps_source src, void *field)
{
	struct vz_list fresh = { 0 }, words = { 0 };
	int r;

	(void)p;
	if (strpbrk(text, "\n\r\""))
		return -EINVAL;
	r = vz_list_split(&words, text, " \t,");
	if (r == 0 && !(mode == PM_SET && src != VS_CLI) &&
	    !(mode == PM_DEL && !strcmp(text, "all")))
		r = vz_list_copy(&fresh, field);
	for (size_t i = 0; r == 0 && i < words.n; i++) {
		int at = vz_list_find(&fresh, words.v[i]);

		if (mode == PM_DEL && at >= 0)
			vz_list_del(&fresh, (size_t)at);
		else if (mode != PM_DEL && at < 0)
			r = vz_list_add(&fresh, words.v[i]);
	}
	vz_list_clear(&words);
	return settle(field, &fresh, r);
}

/* ---- addresses ---- */

/* "A[/M]" to its canonical form. Return: 0; 1 for a wildcard address (ignored); -EINVAL. */
static int canon_ip(const char *text, char ret[64], size_t *ret_addr_len)
{
	char addr[INET6_ADDRSTRLEN + 1], canon[INET6_ADDRSTRLEN];
	struct in6_addr bin;
	size_t n = strcspn(text, "/");
	uint64_t bits = UINT64_MAX;
	int family;

	if (n == 0 || n >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, n);
	addr[n] = '\0';
	family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, addr, &bin) != 1 || !inet_ntop(family, &bin, canon, sizeof(canon)))
		return -EINVAL;
	if (text[n] == '/') {
		struct in_addr mask;

		if (family == AF_INET && inet_pton(AF_INET, text + n + 1, &mask) == 1) {
			uint32_t m = ntohl(mask.s_addr);

			bits = (uint64_t)__builtin_popcount(m);
			if (bits && m != (UINT32_MAX << (32 - bits)))
				return -EINVAL;
		} else if (vz_parse_u64(text + n + 1, 0, family == AF_INET ? 32 : 128, &bits) < 0) {
			return -EINVAL;
		}
	}
	if (!strcmp(canon, "0.0.0.0") || !strcmp(canon, "::"))
		return 1;
	*ret_addr_len = strlen(canon);
	if (bits == UINT64_MAX)
		(void)snprintf(ret, 64, "%s", canon);
	else
		(void)snprintf(ret, 64, "%s/%u", canon, (unsigned int)bits);
	return 0;
}

static int find_ip(const struct vz_list *l, const char *addr, size_t addr_len)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strncmp(l->v[i], addr, addr_len) &&
		    (l->v[i][addr_len] == '\0' || l->v[i][addr_len] == '/'))
			return (int)i;
	return -1;
}

static int change_ip(struct vz_list *l, enum vps_mode mode, const char *word)
{
	char canon[64];
	size_t len = 0;
	int r = canon_ip(word, canon, &len), at;

	if (r != 0)
		return r < 0 ? r : 0;
	at = find_ip(l, canon, len);
	if (at >= 0 && (mode == PM_DEL || strcmp(l->v[at], canon) != 0)) {
		vz_list_del(l,
			    (size_t)at); /* the same address with another mask: delete, then add */
		at = -1;
	}
	if (mode != PM_DEL && at < 0)
		return vz_list_add(l, canon);
	return 0;
}

int vps_parse_ips(const struct vps_param *p, enum vps_mode mode, const char *text,
		  enum vps_source src, void *field)
{
	struct vz_list fresh = { 0 }, words = { 0 };
	int r = vz_list_split(&words, text, " \t,");

	(void)p;
	if (r == 0 && words.n == 0 && src == VS_CLI)
		r = -EINVAL;
	if (r == 0 && src == VS_CLI && vz_list_find(&words, "all") < 0)
		r = vz_list_copy(&fresh, field);
	for (size_t i = 0; r == 0 && i < words.n; i++) {
		if (!strcmp(words.v[i], "all"))
			r = mode == PM_DEL ? 0 : -EINVAL;
		else
			r = change_ip(&fresh, mode, words.v[i]);
	}
	vz_list_clear(&words);
	return settle(field, &fresh, r);
}

int vps_parse_dns(const struct vps_param *p, enum vps_mode mode, const char *text,
		  enum vps_source src, void *field)
{
	struct vz_list fresh = { 0 }, words = { 0 };
	int r = vz_list_split(&words, text, " \t,");

	(void)p;
	(void)src;
	if (r == 0 && mode == PM_ADD)
		r = vz_list_copy(&fresh, field);
	if (r == 0 && words.n == 1 && !strcmp(words.v[0], "inherit"))
		r = vz_list_add(&fresh, "inherit");
	else
		for (size_t i = 0; r == 0 && i < words.n; i++) {
			char canon[64];
			size_t len;

			r = strchr(words.v[i], '/') || canon_ip(words.v[i], canon, &len) != 0
				    ? -EINVAL
				    : vz_list_add(&fresh, canon);
		}
	/* the file takes one or the other, so no list may have both */
	if (r == 0 && fresh.n > 1 && vz_list_find(&fresh, "inherit") >= 0)
		r = -EINVAL;
	vz_list_clear(&words);
	return settle(field, &fresh, r);
}

bool vps_domain_ok(const char *s, bool underscore)
{
	size_t label = 0;

	if (!*s || strlen(s) > 253)
		return false;
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
			continue;
		}
		if (!isalnum(c) && !(c == '-' && label > 0) && !(c == '_' && underscore))
			return false;
		if (++label > 63)
			return false;
	}
	return true;
}

int vps_parse_search(const struct vps_param *p, enum vps_mode mode, const char *text,
		     enum vps_source src, void *field)
{
	struct vz_list fresh = { 0 }, words = { 0 };
	int r = vz_list_split(&words, text, " \t,");

	(void)p;
	(void)src;
	if (r == 0 && mode == PM_ADD)
		r = vz_list_copy(&fresh, field);
	for (size_t i = 0; r == 0 && i < words.n; i++)
		r = vps_domain_ok(words.v[i], true) ? vz_list_add(&fresh, words.v[i]) : -EINVAL;
	vz_list_clear(&words);
	return settle(field, &fresh, r);
}

/*
 * ---- NETIF: "ifname=eth0,mac=...;ifname=..." in the file, "IF[,MAC,...]" on the command line ----
 */

static bool ifname_ok(const char *s, size_t n)
{
	if (n == 0 || n > 15)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("_-.", s[i]))
			return false;
	return true;
}

/* "00:18:51:00:00:01" */
static bool mac_ok(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (i % 3 == 2 ? s[i] != ':' : !isxdigit((unsigned char)s[i]))
			return false;
	return n == 17;
}

static int netif_from_cli(const char *text, char *ret, size_t size)
{
	static const char *const keys[] = { "ifname", "mac", "host_ifname", "host_mac", "bridge" };
	size_t o = 0;

	for (size_t k = 0; k < 5 && *text; k++) {
		size_t n = strcspn(text, ",");

		if ((k == 0 || n > 0) && !(k % 2 ? mac_ok(text, n) : ifname_ok(text, n)))
			return -EINVAL;
		if (n > 0)
			o += (size_t)snprintf(ret + o, size - o, "%s%s=%.*s", k ? "," : "", keys[k],
					      (int)n, text);
		if (o >= size)
			return -EINVAL;
		text += n;
		text += *text == ',';
	}
	return *text || o == 0 ? -EINVAL : 0;
}

static bool netif_is(const char *entry, const char *ifname)
{
	const char *p = strstr(entry, "ifname=");
	size_t n = strcspn(ifname, ",");

	return p && !strncmp(p + 7, ifname, n) && (p[7 + n] == ',' || p[7 + n] == '\0');
}

/* Put "KEY=value" into @entry in the place of the old value, or at its end. */
static char *netif_set_key(const char *entry, const char *pair)
{
	struct vz_buf b = { 0 };
	size_t key = strcspn(pair, "=") + 1;
	bool done = false;

	while (*entry) {
		size_t n = strcspn(entry, ",");
		bool same = !strncmp(entry, pair, key);

		if (b.len)
			vz_buf_str(&b, ",");
		vz_buf_add(&b, same ? pair : entry, same ? strlen(pair) : n);
		done = done || same;
		entry += n;
		entry += *entry == ',';
	}
	if (!done)
		vz_buf_fmt(&b, "%s%s", b.len ? "," : "", pair);
	if (b.failed)
		vz_buf_clear(&b);
	return b.s;
}

/* @text: "ifname=IF,KEY=VALUE..." for an interface that is there. */
static int netif_edit(struct vz_list *l, const char *text)
{
	struct vz_list pairs = { 0 };
	int r = vz_list_split(&pairs, text, ","), at = -1;

	for (size_t i = 0; r == 0 && pairs.n && i < l->n; i++)
		if (netif_is(l->v[i], pairs.v[0] + strlen("ifname=")))
			at = (int)i;
	if (r == 0 && at < 0)
		r = -EINVAL;
	for (size_t i = 1; r == 0 && i < pairs.n; i++) {
		char *fresh = netif_set_key(l->v[at], pairs.v[i]);

		if (!fresh) {
			r = -ENOMEM;
			break;
		}
		free(l->v[at]);
		l->v[at] = fresh;
	}
	vz_list_clear(&pairs);
	return r;
}

int vps_parse_netif(const struct vps_param *p, enum vps_mode mode, const char *text,
		    enum vps_source src, void *field)
{
	struct vz_list fresh = { 0 };
	char entry[512];
	int r = 0;

	(void)p;
	if (strpbrk(text, "\n\r\" "))
		return -EINVAL;
	if (src != VS_CLI)
		return settle(field, &fresh, vz_list_split(&fresh, text, ";"));
	if (strchr(text, ';')) /* what parts the interfaces in the file */
		return -EINVAL;
	if (mode == PM_DEL && !strcmp(text, "all"))
		return settle(field, &fresh, 0);
	if (mode == PM_EDIT) {
		r = vz_list_copy(&fresh, field);
		if (r == 0)
			r = netif_edit(&fresh, text);
		return settle(field, &fresh, r);
	}
	if (mode != PM_DEL)
		r = netif_from_cli(text, entry, sizeof(entry));
	if (r == 0)
		r = vz_list_copy(&fresh, field);
	for (size_t i = 0; r == 0 && i < fresh.n; i++)
		if (netif_is(fresh.v[i], text))
			vz_list_del(&fresh, i--);
	if (r == 0 && mode != PM_DEL)
		r = vz_list_add(&fresh, entry);
	return settle(field, &fresh, r);
}

/* ---- NAME:on NAME:off ---- */

static const char *const cap_names[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"VE_ADMIN",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
	"FS_MASK",
};
enum { CAP_COUNT = 41, CAP_VE_ADMIN = 30, CAP_BITS = 41 };

static const char *const feature_names[] = { "sysfs",	 "nfs",	      "sit",	  "ipip",
					     "ppp",	 "ipgre",     "bridge",	  "nfsd",
					     "time",	 "nesting",   "io_uring", "socketcall",
					     "procview", "checkpoint" };

static int known_name(const char *const *names, size_t n, const char *word, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(names[i]) == len && !strncasecmp(names[i], word, len))
			return (int)i;
	return -1;
}

static int change_onoff(struct vz_list *l, const char *const *names, size_t n, const char *word)
{
	size_t len = strcspn(word, ":");
	char entry[64];
	int at;
	bool on;

	at = known_name(names, n, word, len);
	if (at < 0 && !strncasecmp(word, "cap_", 4) && len > 4)
		at = known_name(names, n, word + 4, len - 4);
	if (at < 0 || word[len] != ':' || vz_parse_bool(word + len + 1, &on) < 0)
		return -EINVAL;
	for (int state = 0; state < 2; state++) {
		int old;

		(void)snprintf(entry, sizeof(entry), "%s:%s", names[at], state ? "on" : "off");
		old = vz_list_find(l, entry);
		if (old >= 0)
			vz_list_del(l, (size_t)old);
	}
	(void)snprintf(entry, sizeof(entry), "%s:%s", names[at], on ? "on" : "off");
	return vz_list_add(l, entry);
}

static int parse_onoff(const char *const *names, size_t n, const char *text, enum vps_source src,
		       void *field)
{
	struct vz_list fresh = { 0 }, words = { 0 };
	int r = vz_list_split(&words, text, " \t,");

	if (r == 0 && src == VS_CLI)
		r = words.n ? vz_list_copy(&fresh, field) : -EINVAL;
	for (size_t i = 0; r == 0 && i < words.n; i++)
		r = change_onoff(&fresh, names, n, words.v[i]);
	vz_list_clear(&words);
	return settle(field, &fresh, r);
}

int vps_parse_caps(const struct vps_param *p, enum vps_mode mode, const char *text,
		   enum vps_source src, void *field)
{
	(void)p;
	(void)mode;
	return parse_onoff(cap_names, sizeof(cap_names) / sizeof(*cap_names), text, src, field);
}

int vps_parse_features(const struct vps_param *p, enum vps_mode mode, const char *text,
		       enum vps_source src, void *field)
{
	(void)p;
	(void)mode;
	return parse_onoff(feature_names, sizeof(feature_names) / sizeof(*feature_names), text, src,
			   field);
}

bool vps_onoff(const struct vz_list *l, const char *name, bool fallback)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < l->n; i++)
		if (!strncmp(l->v[i], name, n) && l->v[i][n] == ':')
			return !strcmp(l->v[i] + n + 1, "on");
	return fallback;
}

/*
 * vzctl's default on an upstream kernel, with those that a user namespace makes harmless. Taken
 * away are only the ones that mean nothing but attack surface inside: kernel modules, raw I/O,
 * process accounting, clock.
 */
uint64_t vps_caps_mask(const struct vps_config *c)
{
	static const char *const off[] = {
		"SYS_MODULE",	"SYS_RAWIO",	 "SYS_PACCT",  "SYS_TIME", "MAC_ADMIN",
		"MAC_OVERRIDE", "BLOCK_SUSPEND", "WAKE_ALARM", "PERFMON",  "BPF"
	};
	uint64_t mask = 0;

	for (unsigned int i = 0; i < CAP_COUNT; i++) {
		bool on = known_name(off, sizeof(off) / sizeof(*off), cap_names[i],
				     strlen(cap_names[i])) < 0;

		if (i == CAP_VE_ADMIN) { /* bit 30 is AUDIT_CONTROL on mainline */
			mask |= UINT64_C(1) << i;
			continue;
		}
		if (vps_onoff(&c->capability, cap_names[i], on))
			mask |= UINT64_C(1) << i;
	}
	if (vps_onoff(&c->features, "time", false))
		mask |= UINT64_C(1) << 25;
	return mask;
}

/* ---- devices ---- */

static int access_ok(const char *s)
{
	return strspn(s, "rwq") == strlen(s) && strlen(s) <= 3 ? 0 : -EINVAL;
}

static int device_ok(const char *word)
{
	char major[16], minor[16], acc[8], type;
	uint64_t n;

	if (sscanf(word, "%c:%15[^:]:%15[^:]:%7s", &type, major, minor, acc) != 4 ||
	    (type != 'b' && type != 'c'))
		return -EINVAL;
	if (vz_parse_u64(major, 0, 4095, &n) < 0 ||
	    (strcmp(minor, "all") != 0 && vz_parse_u64(minor, 0, 1048575, &n) < 0))
		return -EINVAL;
	return access_ok(acc);
}

static int devnode_ok(const char *word)
{
	const char *colon = strrchr(word, ':');

	for (const char *p = word; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return -EINVAL;
	if (!colon || colon == word || *word == '/' || strstr(word, "..") ||
	    strpbrk(word, "\"'\\ "))
		return -EINVAL;
	if (!strncmp(word, "loop", 4))
		return -EINVAL; /* a loop device reaches every file of the host */
	return access_ok(colon + 1);
}

/* Words with the same text before the last colon replace each other. */
static int change_device(struct vz_list *l, const char *word)
{
	size_t n = (size_t)(strrchr(word, ':') - word);

	for (size_t i = 0; i < l->n; i++)
		if (!strncmp(l->v[i], word, n + 1) && !strchr(l->v[i] + n + 1, ':')) {
			vz_list_del(l, i);
			break;
		}
	return vz_list_add(l, word);
}

static int parse_devs(const char *text, enum vps_source src, void *field,
		      int (*ok)(const char *word))
{
	struct vz_list fresh = { 0 }, words = { 0 };
	int r = vz_list_split(&words, text, " \t,");

	if (r == 0 && src == VS_CLI && vz_list_find(&words, "none") < 0)
		r = vz_list_copy(&fresh, field);
	for (size_t i = 0; r == 0 && i < words.n; i++) {
		if (!strcmp(words.v[i], "none"))
			continue;
		r = ok(words.v[i]);
		if (r == 0)
			r = change_device(&fresh, words.v[i]);
	}
	vz_list_clear(&words);
	return settle(field, &fresh, r);
}

int vps_parse_devices(const struct vps_param *p, enum vps_mode mode, const char *text,
		      enum vps_source src, void *field)
{
	(void)p;
	(void)mode;
	return parse_devs(text, src, field, device_ok);
}

int vps_parse_devnodes(const struct vps_param *p, enum vps_mode mode, const char *text,
		       enum vps_source src, void *field)
{
	(void)p;
	(void)mode;
	return parse_devs(text, src, field, devnode_ok);
}
