/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vz.conf and CTID.conf: shell-like lines, read without a shell. Source: the grammar in
 * ctid.conf(5).
 */
#include "vps/priv.h"

#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX = 4 << 20 };

char *vps_subst(const char *text, uint32_t ctid)
{
	struct vz_buf b = { 0 };

	vz_buf_str(&b, "");
	while (*text) {
		size_t n = strcspn(text, "$");

		vz_buf_add(&b, text, n);
		text += n;
		if (!strncmp(text, "${VEID}", 7)) {
			vz_buf_fmt(&b, "%u", ctid);
			text += 7;
		} else if (!strncmp(text, "$VEID", 5)) {
			vz_buf_fmt(&b, "%u", ctid);
			text += 5;
		} else if (*text) {
			vz_buf_add(&b, text++, 1);
		}
	}
	if (b.failed)
		vz_buf_clear(&b);
	return b.s;
}

/* ---- one line ---- */

/*
 * Key of a "KEY=value" line into @key; the rest starts at *@value. False for comments and blanks.
 */
static bool split_line(const char *line, char key[64], const char **value)
{
	size_t n;

	line += strspn(line, " \t");
	if (*line == '#')
		return false;
	n = strcspn(line, "= \t");
	if (n == 0 || n >= 64 || line[n] != '=')
		return false;
	memcpy(key, line, n);
	key[n] = '\0';
	*value = line + n + 1;
	return true;
}

/*
 * Bare word, or double-quoted up to the last quote of the line; inside, a backslash makes the next
 * character literal. malloc'ed.
 */
static char *unquote(const char *value)
{
	struct vz_buf b = { 0 };
	const char *end;

	vz_buf_str(&b, "");
	if (*value != '"') {
		vz_buf_add(&b, value, strcspn(value, " \t\r"));
	} else {
		end = strrchr(++value, '"');
		if (!end)
			end = value + strlen(value);
		while (value < end) {
			const char *run = value + (*value == '\\' && value + 1 < end);

			/* a character that was escaped, and all up to the next escape */
			value = memchr(run + 1, '\\', (size_t)(end - run - 1));
			if (!value)
				value = end;
			vz_buf_add(&b, run, (size_t)(value - run));
		}
	}
	if (b.failed)
		vz_buf_clear(&b);
	return b.s;
}

/* A shell sources these files too, so what it would expand is escaped; @veid: but for $VEID. */
static void quote_into(struct vz_buf *b, const char *text, bool veid)
{
	vz_buf_str(b, "\"");
	for (; *text; text++) {
		bool own = veid && (!strncmp(text, "$VEID", 5) || !strncmp(text, "${VEID}", 7));

		if (*text == '"' || *text == '\\' || *text == '`' || (*text == '$' && !own))
			vz_buf_str(b, "\\");
		vz_buf_add(b, text, 1);
	}
	vz_buf_str(b, "\"");
}

/* ---- reading ---- */

static int split_lines(char *text, size_t len, struct vz_list *ret)
{
	char *p, *nl;

	if (len && memchr(text, '\0', len))
		return -EINVAL;
	for (p = text; *p; p = nl + 1) {
		nl = strchr(p, '\n');
		if (nl)
			*nl = '\0';
		if (vz_list_add(ret, p) < 0)
			return -ENOMEM;
		if (!nl)
			break;
	}
	return 0;
}

static int take_line(struct vps_config *c, const char *path, size_t number, const char *line,
		     enum vps_source src, const bool *skip, bool seen[VP_MAX])
{
	struct vz_error err;
	char key[64];
	const char *value;
	VZ_FREE char *text = NULL;
	int id;

	if (!split_line(line, key, &value))
		return 0;
	id = vps_param_by_key(key);
	if (id < 0)
		return 0;
	if (skip && skip[id]) {
		if (src == VS_GLOBAL && id == VP_LOCAL_UID)
			vz_info("%s line %zu: LOCAL_UID is ignored here, every VPS has ids of its "
				"own",
				path, number);
		return 0;
	}
	if (seen[id]) {
		vz_info("%s line %zu: %s is set twice, the first one counts", path, number, key);
		return 0;
	}
	seen[id] = true;
	text = unquote(value);
	if (!text)
		return -ENOMEM;
	if (vps_param_parse(c, id, PM_SET, text, src, &err) < 0) {
		vz_warn("WARNING: %s line %zu: %s; line skipped", path, number, err.msg);
		return 1;
	}
	return 0;
}

int vps_load_text(struct vps_config *c, const char *name, char *text, size_t len,
		  enum vps_source src, const bool skip[VP_MAX])
{
	VZ_LIST struct vz_list lines = { 0 };
	bool seen[VP_MAX] = { false };
	int bad = 0, r = split_lines(text, len, &lines);

	if (r < 0)
		return r;
	for (size_t i = 0; i < lines.n; i++) {
		r = take_line(c, name, i + 1, lines.v[i], src, skip, seen);
		if (r < 0)
			return r;
		bad += r;
	}
	return bad;
}

int vps_load_file(struct vps_config *c, const char *path, enum vps_source src,
		  const bool skip[VP_MAX])
{
	VZ_FREE char *text = NULL;
	ssize_t n = vz_read_file(AT_FDCWD, path, FILE_MAX, &text);

	return n < 0 ? (int)n : vps_load_text(c, path, text, (size_t)n, src, skip);
}

/* @r of vps_load_file as an error that says why. */
static int unreadable(struct vz_error *err, int exit, const char *what, const char *path, int r)
{
	if (r == -EINVAL || r == -ENOTSUP) {
		(void)vz_fail(err, exit, 0, "Unable to read %s%s: %s", what, path,
			      r == -EINVAL ? "there is a NUL byte in it" : "it is no regular file");
		return r;
	}
	return vz_fail(err, exit, -r, "Unable to read %s%s", what, path);
}

static int set_default(struct vps_config *c, enum vps_param_id id, const char *text)
{
	struct vz_error err;

	return vps_param_parse(c, id, PM_SET, text, VS_DEFAULT, &err);
}

static int defaults(struct vps_config *c)
{
	const char *vz = vps_paths()->vzdir;
	char lock[PATH_MAX], path[PATH_MAX];
	struct {
		enum vps_param_id id;
		const char *text;
	} plain[] = {
		{ VP_LOGGING, "yes" },	    { VP_LOG_LEVEL, "0" },   { VP_VERBOSE, "0" },
		{ VP_STOP_TIMEOUT, "120" }, { VP_CPUUNITS, "1000" }, { VP_IPV6, "yes" },
		{ VP_VE_LAYOUT, "simfs" },  { VP_IOPRIO, "4" },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(plain) / sizeof(*plain); i++)
		r = set_default(c, plain[i].id, plain[i].text);
	(void)snprintf(lock, sizeof(lock), "%s", vps_paths()->run);
	if (strlen(lock) > 3)
		lock[strlen(lock) - 3] = '\0'; /* .../run/vz -> .../run */
	if (r == 0)
		r = set_default(c, VP_LOCKDIR, vps_path(path, "%s/lock/vz", lock));
	if (r == 0)
		r = set_default(c, VP_DUMPDIR, vps_path(path, "%s/dump", vz));
	if (r == 0)
		r = set_default(c, VP_TEMPLATE, vps_path(path, "%s/template", vz));
	if (r == 0)
		r = set_default(c, VP_VE_ROOT, vps_path(path, "%s/root/$VEID", vz));
	if (r == 0)
		r = set_default(c, VP_VE_PRIVATE, vps_path(path, "%s/private/$VEID", vz));
	return r;
}

int vps_load_global(struct vps_config *ret, struct vz_error *err)
{
	VPS_CONFIG struct vps_config c = { 0 };
	char path[PATH_MAX];
	bool skip[VP_MAX] = { false };
	int r = defaults(&c);

	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "defaults");
	/* vz.conf of OpenVZ gives every VPS one range of ids; here no two VPSes share one */
	skip[VP_LOCAL_UID] = skip[VP_LOCAL_GID] = true;
	(void)vps_path(path, "%s/vz.conf", vps_paths()->etc);
	r = vps_load_file(&c, path, VS_GLOBAL, skip);
	if (r < 0)
		return unreadable(err, VZ_EXIT_NOCONFIG, "global config ", path, r);
	vps_config_clear(ret);
	*ret = c;
	c = (struct vps_config){ 0 };
	return 0;
}

static int subst_path(struct vps_config *c, enum vps_param_id id, char **field)
{
	char *text;

	if (!vps_is_set(c, id) || !*field)
		return 0;
	text = vps_subst(*field, c->ctid);
	if (!text)
		return -ENOMEM;
	free(*field);
	*field = text;
	return 0;
}

int vps_load_over(struct vps_config *c, uint32_t ctid, unsigned int *bad, struct vz_error *err)
{
	char path[PATH_MAX];
	int r;

	c->ctid = ctid;
	(void)vps_path(path, "%s/%u.conf", vps_paths()->conf, ctid);
	r = vps_load_file(c, path, VS_VPS, NULL);
	if (r == -ENOENT)
		return vz_fail(err, VZ_EXIT_NOVECONFIG, ENOENT,
			       "Container config file does not exist: %s", path);
	if (r < 0)
		return unreadable(err, VZ_EXIT_INVALID_CONFIG, "", path, r);
	if (bad)
		*bad = (unsigned int)r;
	if (subst_path(c, VP_VE_ROOT, &c->ve_root) < 0 ||
	    subst_path(c, VP_VE_PRIVATE, &c->ve_private) < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "config");
	vps_imply(c);
	return 0;
}

int vps_load(uint32_t ctid, struct vps_config *ret, unsigned int *bad, struct vz_error *err)
{
	VPS_CONFIG struct vps_config c = { 0 };
	int r = vps_load_global(&c, err);

	if (r == 0)
		r = vps_load_over(&c, ctid, bad, err);
	if (r < 0)
		return r;
	vps_config_clear(ret);
	*ret = c;
	c = (struct vps_config){ 0 };
	return 0;
}

/* ---- writing ---- */

/* A line for row @id. Paths that end in the CTID keep the literal $VEID that clients look for. */
static void write_row(struct vz_buf *b, const struct vps_config *c, enum vps_param_id id)
{
	VZ_FREE char *value = vps_param_print(c, id);
	VZ_FREE char *path = NULL;
	bool is_path = id == VP_VE_ROOT || id == VP_VE_PRIVATE;
	char own[32];
	char *at;

	(void)snprintf(own, sizeof(own), "/%u", c->ctid);
	at = value && is_path ? strrchr(value, '/') : NULL;
	if (at && !strcmp(at, own)) {
		*at = '\0';
		path = vz_fmt("%s/$VEID", value);
	}
	if (!value || (at && !*at && !path)) {
		b->failed = true;
		return;
	}
	vz_buf_fmt(b, "%s=", vps_param(id)->key);
	quote_into(b, path ? path : value, is_path);
	vz_buf_str(b, "\n");
}

static void rewrite_lines(struct vz_buf *b, const struct vz_list *lines, const struct vps_config *c,
			  const bool which[VP_MAX], bool done[VP_MAX])
{
	for (size_t i = 0; i < lines->n; i++) {
		char key[64];
		const char *value;
		int id = split_line(lines->v[i], key, &value) ? vps_param_by_key(key) : -1;

		if (id < 0 || !which[id]) {
			vz_buf_str(b, lines->v[i]);
			vz_buf_str(b, "\n");
			continue;
		}
		if (!done[id] && vps_is_set(c, id))
			write_row(b, c, id);
		done[id] = true; /* duplicates of a replaced line would win in a shell: drop them */
	}
}

int vps_save_text(const struct vps_config *c, const bool which[VP_MAX], char *old, size_t len,
		  struct vz_buf *out)
{
	VZ_LIST struct vz_list lines = { 0 };
	bool done[VP_MAX] = { false };
	size_t tail = 0, keep;
	int r = split_lines(old, len, &lines);

	if (r < 0)
		return r;
	/* new lines go before comment lines that end the file: clients keep "#UUID:" there */
	keep = lines.n;
	while (tail < keep && (lines.v[keep - 1 - tail][0] == '#' || !lines.v[keep - 1 - tail][0]))
		tail++;
	if (tail == keep)
		tail = 0;
	lines.n = keep - tail;
	rewrite_lines(out, &lines, c, which, done);
	lines.n = keep;
	for (int id = 0; id < VP_MAX; id++)
		if (which[id] && !done[id] && vps_is_set(c, id) && vps_param(id)->key)
			write_row(out, c, id);
	for (size_t i = keep - tail; i < keep; i++)
		vz_buf_fmt(out, "%s\n", lines.v[i]);
	return out->failed ? -ENOMEM : 0;
}

/* What the administrator has hidden stays hidden. */
static mode_t mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mode & 0777 : 0644;
}

/* @new: a file that is not there is made. */
static int save(const char *path, const struct vps_config *c, const bool which[VP_MAX], bool new,
		struct vz_error *err)
{
	VZ_BUF struct vz_buf b = { 0 };
	VZ_FREE char *old = NULL;
	char none[1] = "";
	ssize_t n = vz_read_file(AT_FDCWD, path, FILE_MAX, &old);
	int r = n < 0 ? (int)n : 0;

	if (n >= 0)
		r = vps_save_text(c, which, old, (size_t)n, &b);
	else if (n == -ENOENT && new)
		r = vps_save_text(c, which, none, 0, &b);
	if (r == 0)
		r = vz_write_atomic(path, b.s ? b.s : "", b.len, mode_of(path));
	if (r < 0)
		return vz_fail(err, VZ_EXIT_CONFIG_SAVE, -r, "Unable to save config %s", path);
	return 0;
}

int vps_save(const struct vps_config *c, const bool which[VP_MAX], struct vz_error *err)
{
	char path[PATH_MAX];
	int r = vz_mkdir_p(vps_paths()->conf, 0755);

	(void)vps_path(path, "%s/%u.conf", vps_paths()->conf, c->ctid);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_CONFIG_SAVE, -r, "Unable to save config %s", path);
	return save(path, c, which, true, err);
}

int vps_save_to(const char *path, const struct vps_config *c, const bool which[VP_MAX],
		struct vz_error *err)
{
	return save(path, c, which, false, err);
}
