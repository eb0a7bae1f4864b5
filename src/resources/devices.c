/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"

#include "util/fd.h"
#include "util/parse.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Which devices a VPS may use: parameters into rules, one rule a device. */

/* A node made in a user namespace opens nothing by itself: mknod is allowed for all. */
static const struct cg_dev_rule defaults[] = {
	{ 'c', -1, -1, "m" },	 { 'b', -1, -1, "m" }, { 'c', 1, 3, "rwm" }, /* null */
	{ 'c', 1, 5, "rwm" }, /* zero */
	{ 'c', 1, 7, "rwm" }, /* full */
	{ 'c', 1, 8, "rwm" }, /* random */
	{ 'c', 1, 9, "rwm" }, /* urandom */
	{ 'c', 5, 0, "rwm" }, /* tty */
	{ 'c', 5, 1, "rwm" }, /* console */
	{ 'c', 5, 2, "rwm" }, /* ptmx */
	{ 'c', 136, -1, "rwm" }, /* pts/N */
};

void cg_dev_rules_clear(struct cg_dev_rules *r)
{
	free(r->v);
	*r = (struct cg_dev_rules){ 0 };
}

static void add_letters(char access[4], const char *more)
{
	char all[4] = "";
	size_t n = 0;

	for (const char *p = "rwm"; *p; p++)
		if (strchr(access, *p) || strchr(more, *p))
			all[n++] = *p;
	memcpy(access, all, sizeof(all));
}

/*
 * Two rules of one device are one: the kernel asks that a single rule grant all that an open
 * wants.
 */
static int add_rule(struct cg_dev_rules *r, const struct cg_dev_rule *rule)
{
	struct cg_dev_rule *more;

	for (size_t i = 0; i < r->n; i++) {
		struct cg_dev_rule *have = &r->v[i];

		if (have->type == rule->type && have->major == rule->major &&
		    have->minor == rule->minor) {
			add_letters(have->access, rule->access);
			return 0;
		}
	}
	more = reallocarray(r->v, r->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	r->v = more;
	r->v[r->n++] = *rule;
	return 0;
}

/* "rwq" and the like; q (quota) has no meaning here. A user of a device may make its node. */
static void set_access(struct cg_dev_rule *rule, const char *word)
{
	rule->access[0] = '\0';
	if (strpbrk(word, "rw")) {
		add_letters(rule->access, word);
		add_letters(rule->access, "m");
	}
}

static int parse_number(const char *s, int64_t *ret)
{
	uint64_t v;
	int r;

	if (vz_streq(s, "all")) {
		*ret = -1;
		return 0;
	}
	r = vz_parse_u64(s, 0, UINT32_MAX >> 1, &v);
	if (r == 0)
		*ret = (int64_t)v;
	return r;
}

/* "b:8:16:rw", "c:10:all:r" */
static int parse_device(const char *word, struct cg_dev_rule *ret)
{
	VZ_LIST struct vz_list f = { 0 };
	int r = vz_list_split(&f, word, ":");

	if (r < 0)
		return r;
	/* no letters at all after the last colon: listed, but nothing is allowed */
	if ((f.n != 4 && f.n != 3) || f.v[0][1] != '\0' || !strchr("bc", f.v[0][0]))
		return -EINVAL;
	ret->type = f.v[0][0];
	if (parse_number(f.v[1], &ret->major) < 0 || parse_number(f.v[2], &ret->minor) < 0)
		return -EINVAL;
	set_access(ret, f.n == 4 ? f.v[3] : "");
	return 0;
}

/* "net/tun:rw": the numbers are those of the host's node. */
static int parse_devnode(const char *word, int devfd, struct cg_dev_rule *ret, struct vz_error *err)
{
	const char *colon = strrchr(word, ':');
	char quoted[128];
	struct stat st;
	VZ_FREE char *name = colon ? strndup(word, (size_t)(colon - word)) : NULL;

	(void)vz_quote(quoted, sizeof(quoted), word);
	if (!colon)
		return vz_fail(err, VZ_EXIT_DEVICES, EINVAL, "--devnodes %s", quoted);
	if (!name)
		return vz_fail(err, VZ_EXIT_DEVICES, ENOMEM, "--devnodes %s", quoted);
	if (*name == '/' || strstr(name, ".."))
		return vz_fail(err, VZ_EXIT_DEVICES, EINVAL, "--devnodes %s: not below /dev",
			       quoted);
	if (fstatat(devfd, name, &st, 0) < 0)
		return vz_fail(err, VZ_EXIT_DEVICES, errno,
			       "--devnodes %s: no node of this name in /dev", quoted);
	if (!S_ISBLK(st.st_mode) && !S_ISCHR(st.st_mode))
		return vz_fail(err, VZ_EXIT_DEVICES, ENODEV, "--devnodes %s: not a device", quoted);
	ret->type = S_ISBLK(st.st_mode) ? 'b' : 'c';
	ret->major = major(st.st_rdev);
	ret->minor = minor(st.st_rdev);
	set_access(ret, colon + 1);
	return 0;
}

static int add_devices(const struct vz_list *words, struct cg_dev_rules *rules,
		       struct vz_error *err)
{
	for (size_t i = 0; i < words->n; i++) {
		struct cg_dev_rule rule = { 0 };
		int r = parse_device(words->v[i], &rule);

		if (r == 0 && rule.access[0])
			r = add_rule(rules, &rule);
		if (r < 0) {
			char quoted[128];

			return vz_fail(err, VZ_EXIT_DEVICES, -r, "--devices %s",
				       vz_quote(quoted, sizeof(quoted), words->v[i]));
		}
	}
	return 0;
}

static int add_devnodes(const struct vz_list *words, int devfd, struct cg_dev_rules *rules,
			struct vz_error *err)
{
	for (size_t i = 0; i < words->n; i++) {
		struct cg_dev_rule rule = { 0 };
		int r = parse_devnode(words->v[i], devfd, &rule, err);

		if (r < 0)
			return r;
		if (rule.access[0] && add_rule(rules, &rule) < 0)
			return vz_fail(err, VZ_EXIT_DEVICES, ENOMEM, "--devnodes");
	}
	return 0;
}

int cg_dev_rules_make(const struct vps_config *cfg, int devfd, struct cg_dev_rules *ret,
		      struct vz_error *err)
{
	struct cg_dev_rules rules __attribute__((cleanup(cg_dev_rules_clear))) = { 0 };
	int r = 0;

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (add_rule(&rules, &defaults[i]) < 0)
			return vz_fail(err, VZ_EXIT_DEVICES, ENOMEM, "device rules");
	if (vps_is_set(cfg, VP_DEVICES))
		r = add_devices(&cfg->devices, &rules, err);
	if (r == 0 && vps_is_set(cfg, VP_DEVNODES))
		r = add_devnodes(&cfg->devnodes, devfd, &rules, err);
	if (r < 0)
		return r;
	*ret = rules;
	rules = (struct cg_dev_rules){ 0 };
	return 0;
}
