/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is written at each start. Caged child; "/" is the VPS's root. */
#include "dist/priv.h"

#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#define HOSTS_COMMENT "# Auto-generated hostname. Please do not remove this comment."
#define HOSTS_LOCAL                                                                                \
	"127.0.0.1 localhost localhost.localdomain\n"                                              \
	"::1 localhost ip6-localhost ip6-loopback\n"

static int failed(struct vz_error *err, int r, const char *path)
{
	return vz_fail(err, VZ_EXIT_SYSTEM, -r, "%s", path);
}

/* Store a finished buffer; its memory failures are found here. */
static int store_buf(const struct dist_file *f, const struct vz_buf *b)
{
	return b->failed ? -ENOMEM : dist_store(f, b->s ? b->s : "", b->len, 0644, false);
}

/* Values were checked when they were parsed; here they must only not become lines of their own. */
static bool one_word(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return false;
	return true;
}

static bool list_fine(const struct vz_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (!one_word(l->v[i]))
			return false;
	return true;
}

/* ---- hostname ---- */

static void hosts_entry(struct vz_buf *b, const struct vps_config *cfg)
{
	const char *name = cfg->hostname;
	const char *ip = cfg->ip_address.n ? cfg->ip_address.v[0] : "127.0.1.1";
	int dot = (int)strcspn(name, ".");

	vz_buf_fmt(b, "%s\n%.*s %s", HOSTS_COMMENT, (int)strcspn(ip, "/"), ip, name);
	if (name[dot])
		vz_buf_fmt(b, " %.*s", dot, name);
	vz_buf_str(b, "\n");
}

/* Our block is the comment and the line after it, unless that is a comment or empty. */
static void hosts_text(const struct dist_file *f, const struct vps_config *cfg, struct vz_buf *b)
{
	const char *line;
	size_t n, pos = 0;
	bool ours = false, done = false;

	if (!f->there)
		vz_buf_str(b, HOSTS_LOCAL);
	while (dist_line(f, &pos, &line, &n)) {
		if (n == strlen(HOSTS_COMMENT) && !memcmp(line, HOSTS_COMMENT, n)) {
			ours = true;
			if (!done)
				hosts_entry(b, cfg);
			done = true;
			continue;
		}
		if (!ours || n == 0 || *line == '#') {
			vz_buf_add(b, line, n);
			vz_buf_str(b, "\n");
		}
		ours = false;
	}
	if (!done)
		hosts_entry(b, cfg);
}

int dist_hostname(const struct dist_job *job, struct vz_error *err)
{
	const struct vps_config *cfg = job->cfg;
	DIST_FILE struct dist_file name = { .dirfd = -EBADF }, hosts = { .dirfd = -EBADF };
	VZ_BUF struct vz_buf short_name = { 0 }, text = { 0 };
	int r;

	if (!vps_is_set(cfg, VP_HOSTNAME) || !cfg->hostname || !*cfg->hostname)
		return 0;
	if (!one_word(cfg->hostname) || !list_fine(&cfg->ip_address))
		return vz_fail(err, VZ_EXIT_BAD_HOSTNAME, EINVAL, "host name");
	r = dist_load("/etc/hostname", &name);
	if (r == -ENOENT)
		return 0; /* no /etc: nobody would read it */
	vz_buf_fmt(&short_name, "%.*s\n", (int)strcspn(cfg->hostname, "."), cfg->hostname);
	if (r == 0)
		r = store_buf(&name, &short_name);
	if (r < 0)
		return failed(err, r, "/etc/hostname");
	r = dist_load("/etc/hosts", &hosts);
	if (r == 0) {
		hosts_text(&hosts, cfg, &text);
		r = store_buf(&hosts, &text);
	}
	return r < 0 ? failed(err, r, "/etc/hosts") : 0;
}

/* ---- name servers ---- */

struct dns {
	struct vz_list servers, search;
	bool set_servers, set_search;
};

static bool keyword(const char *line, size_t n, const char *word)
{
	size_t w = strlen(word);

	return n > w && !memcmp(line, word, w) && (line[w] == ' ' || line[w] == '\t');
}

static int inherit(struct vz_list *l, const char *host, const char *word, const char *also)
{
	VZ_LIST struct vz_list lines = { 0 };
	int r = vz_list_split(&lines, host, "\n");

	for (size_t i = 0; r == 0 && i < lines.n; i++) {
		const char *s = lines.v[i];

		if (keyword(s, strlen(s), word) || (also && keyword(s, strlen(s), also)))
			r = vz_list_split(l, s + strcspn(s, " \t"), " \t\r");
	}
	return r;
}

/* A list with "inherit" in it is the host's; an empty result leaves the file's own lines. */
static int dns_list(const struct vps_config *cfg, enum vps_param_id id, const struct vz_list *from,
		    const struct dist_job *job, struct vz_list *ret)
{
	if (!vps_is_set(cfg, id))
		return 0;
	if (vz_list_find(from, "inherit") < 0)
		return vz_list_copy(ret, from);
	if (!job->host_resolv)
		return 0;
	if (id == VP_NAMESERVER)
		return inherit(ret, job->host_resolv, "nameserver", NULL);
	return inherit(ret, job->host_resolv, "search", "domain");
}

static int resolv_conf(const struct dns *d, struct vz_error *err)
{
	DIST_FILE struct dist_file f = { .dirfd = -EBADF };
	VZ_BUF struct vz_buf b = { 0 };
	const char *line;
	size_t n, pos = 0;
	int r = dist_load("/etc/resolv.conf", &f);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return failed(err, r, "/etc/resolv.conf");
	while (dist_line(&f, &pos, &line, &n))
		if (!(d->servers.n && keyword(line, n, "nameserver")) &&
		    !(d->search.n && (keyword(line, n, "search") || keyword(line, n, "domain")))) {
			vz_buf_add(&b, line, n);
			vz_buf_str(&b, "\n");
		}
	for (size_t i = 0; i < d->search.n; i++)
		vz_buf_fmt(&b, "%s%s", i ? " " : "search ", d->search.v[i]);
	if (d->search.n)
		vz_buf_str(&b, "\n");
	for (size_t i = 0; i < d->servers.n; i++)
		vz_buf_fmt(&b, "nameserver %s\n", d->servers.v[i]);
	r = store_buf(&f, &b);
	return r < 0 ? failed(err, r, "/etc/resolv.conf") : 0;
}

/* Write @path if there is none or it begins with our marker; its directory must be there. */
static int put_ours(const char *path, const struct vz_buf *b, struct vz_error *err)
{
	DIST_FILE struct dist_file f = { .dirfd = -EBADF };
	int r = dist_load(path, &f);

	if (r == 0 && f.exists && strncmp(f.text, DIST_MARKER, strlen(DIST_MARKER)) != 0)
		return 0; /* the tenant's now */
	if (r == 0)
		r = store_buf(&f, b);
	return r < 0 ? failed(err, r, path) : 0;
}

static int resolved_drop_in(const struct dns *d, struct vz_error *err)
{
	static const char dir[] = "/etc/systemd/resolved.conf.d";
	VZ_BUF struct vz_buf b = { 0 };

	if (mkdir("/etc/systemd", 0755) < 0 && errno != EEXIST)
		return failed(err, -errno, "/etc/systemd");
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return failed(err, -errno, dir);
	vz_buf_str(&b, DIST_MARKER "[Resolve]\n");
	for (size_t i = 0; i < d->servers.n; i++)
		vz_buf_fmt(&b, "DNS=%s\n", d->servers.v[i]);
	for (size_t i = 0; i < d->search.n; i++)
		vz_buf_fmt(&b, "Domains=%s\n", d->search.v[i]);
	return put_ours("/etc/systemd/resolved.conf.d/50-vps.conf", &b, err);
}

static bool resolved_in_charge(void)
{
	char target[PATH_MAX];
	ssize_t n = readlink("/etc/resolv.conf", target, sizeof(target) - 1);

	if (n < 0)
		return false;
	target[n] = '\0';
	return strstr(target, "run/systemd/resolve/") != NULL;
}

int dist_dns(const struct dist_job *job, struct vz_error *err)
{
	const struct vps_config *cfg = job->cfg;
	struct dns d = { 0 };
	int r = dns_list(cfg, VP_NAMESERVER, &cfg->nameserver, job, &d.servers);

	if (r == 0)
		r = dns_list(cfg, VP_SEARCHDOMAIN, &cfg->searchdomain, job, &d.search);
	if (r < 0)
		r = failed(err, r, "name servers");
	else if (!list_fine(&d.servers) || !list_fine(&d.search))
		r = vz_fail(err, VZ_EXIT_BAD_DNS, EINVAL, "name servers");
	else if (d.servers.n || d.search.n)
		r = resolved_in_charge() ? resolved_drop_in(&d, err) : resolv_conf(&d, err);
	vz_list_clear(&d.servers);
	vz_list_clear(&d.search);
	return r;
}

/* ---- network ---- */

/* Addresses and routes are there before init runs: networkd shall only not take them away. */
static int networkd(const struct vps_config *cfg, struct vz_error *err)
{
	VZ_BUF struct vz_buf b = { 0 };
	bool v4 = false, v6 = false;

	vz_buf_str(&b, DIST_MARKER "[Match]\nName=venet0\n\n");
	if (!cfg->ip_address.n)
		vz_buf_str(&b, "[Link]\nRequiredForOnline=no\n\n");
	vz_buf_str(&b, "[Network]\nKeepConfiguration=yes\nDHCP=no\nIPv6AcceptRA=no\n"
		       "LinkLocalAddressing=no\n");
	for (size_t i = 0; i < cfg->ip_address.n; i++) {
		const char *ip = cfg->ip_address.v[i];
		bool six = strchr(ip, ':') != NULL;

		vz_buf_fmt(&b, "Address=%s%s\n", ip, strchr(ip, '/') ? "" : six ? "/128" : "/32");
		*(six ? &v6 : &v4) = true;
	}
	if (v4)
		vz_buf_str(&b, "\n[Route]\nDestination=0.0.0.0/0\nScope=link\n");
	if (v6)
		vz_buf_str(&b, "\n[Route]\nDestination=::/0\n");
	return put_ours("/etc/systemd/network/10-vps-venet0.network", &b, err);
}

static int ifupdown(struct vz_error *err)
{
	DIST_FILE struct dist_file f = { .dirfd = -EBADF };
	static const char lo[] = DIST_MARKER "auto lo\niface lo inet loopback\n";
	int r = dist_load("/etc/network/interfaces", &f);

	if (r == 0 && !f.exists)
		r = dist_store(&f, lo, sizeof(lo) - 1, 0644, false);
	return r < 0 ? failed(err, r, "/etc/network/interfaces") : 0;
}

int dist_network(const struct dist_job *job, struct vz_error *err)
{
	int r = 0;

	if (!list_fine(&job->cfg->ip_address))
		return vz_fail(err, VZ_EXIT_BAD_IP, EINVAL, "addresses");
	if (dist_is_dir("/etc/systemd/network"))
		r = networkd(job->cfg, err);
	if (r == 0 && dist_is_dir("/etc/network"))
		r = ifupdown(err);
	return r;
}

/* ---- boot ---- */

int dist_boot(const struct dist_job *job, struct vz_error *err)
{
	int fd = vz_openat(AT_FDCWD, "/fastboot", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);

	(void)job;
	if (fd < 0)
		return fd == -EEXIST ? 0 : failed(err, fd, "/fastboot");
	(void)close(fd);
	return 0;
}
