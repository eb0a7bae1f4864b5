/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mounts of a VPS that the node makes again for a restore, besides those of every VPS (criu.c): what action scripts
 * mounted in VE_ROOT before the start, found by comparing mountinfo of the VPS's init with the node's, and file systems
 * in memory. The latter are filled by CRIU, but made by the node: so their size is out of the VPS's reach. CRIU makes
 * them anew in every case, so their names in its images are changed to one that criu-owner.so knows (owner.c).
 */
#include "checkpoint/checkpoint.h"
#include "checkpoint/priv.h"

#include "util/fd.h"
#include "util/parse.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- mountinfo ---- */

/** struct line - what we need of one; words in the text it was read from; @peers: "shared:N", or "" */
struct line {
	const char *id, *parent, *dev, *root, *options, *type, *peers;
	char *point;
};

/* Cuts @text. 0 or -EINVAL. */
static int read_line(char *text, struct line *ret)
{
	char *f[6], *save = NULL, *type = strstr(text, " - ");
	const char *peers = "";
	int n = 0;

	if (!type)
		return -EINVAL;
	*type = '\0';
	type += 3;
	type[strcspn(type, " ")] = '\0';
	for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (n < 6)
			f[n++] = w;
		else if (!strncmp(w, "shared:", strlen("shared:")))
			peers = w;
	}
	if (n < 6)
		return -EINVAL;
	vz_mountinfo_unescape(f[3]);
	vz_mountinfo_unescape(f[4]);
	*ret = (struct line){ f[0], f[1], f[2], f[3], f[5], type, peers, f[4] };
	return 0;
}

/** struct lines - all of a mountinfo, in its order */
struct lines {
	char *text;
	struct line *v;
	size_t n;
};

static void lines_clear(struct lines *l)
{
	free(l->text);
	free(l->v);
}

static int read_lines(const char *mountinfo, struct lines *ret)
{
	size_t most = 1;
	char *line, *save = NULL;

	for (const char *p = mountinfo; *p; p++)
		most += *p == '\n';
	ret->text = strdup(mountinfo);
	ret->v = calloc(most, sizeof(*ret->v));
	if (!ret->text || !ret->v)
		return -ENOMEM;
	for (line = strtok_r(ret->text, "\n", &save); line && ret->n < most;
	     line = strtok_r(NULL, "\n", &save))
		if (read_line(line, &ret->v[ret->n]) == 0)
			ret->n++;
	return 0;
}

/* @point below @root: the rest, which begins with a slash; else NULL. */
static const char *below(const char *point, const char *root)
{
	size_t n = strlen(root);

	return !strncmp(point, root, n) && point[n] == '/' ? point + n : NULL;
}

/* ---- which there are ---- */

static const char *const in_memory[] = { "/run", "/tmp", "/dev/shm" };

static bool ours_in_memory(const char *path)
{
	for (size_t i = 0; i < sizeof(in_memory) / sizeof(*in_memory); i++)
		if (!strcmp(path, in_memory[i]))
			return true;
	return false;
}

/* The mount of the node that this one of the VPS is, at the same place; NULL: none. */
static const struct line *on_node(const struct lines *node, const char *root, const struct line *m)
{
	for (size_t i = 0; i < node->n; i++) {
		const char *path = below(node->v[i].point, root);

		if (path && !strcmp(path, m->point) && !strcmp(node->v[i].dev, m->dev) &&
		    !strcmp(node->v[i].root, m->root))
			return &node->v[i];
	}
	return NULL;
}

static const char *peers_of_parent(const struct lines *l, const struct line *m)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->v[i].id, m->parent))
			return l->v[i].peers;
	return "";
}

/*
 * Whether @m, a whole tmpfs in VE_ROOT, lies in a mount that is shared with the node's own, and so is there as well. Who
 * mounted it first, the script or the node before, nobody can tell.
 */
static bool doubtful(const struct lines *node, const char *root, const struct line *m)
{
	const char *peers = peers_of_parent(node, m);

	for (size_t i = 0; *peers && !strcmp(m->root, "/") && i < node->n; i++)
		if (!strcmp(node->v[i].dev, m->dev) && !below(node->v[i].point, root) &&
		    !strcmp(peers_of_parent(node, &node->v[i]), peers))
			return true;
	return false;
}

/* A tmpfs that the node has elsewhere too is no business of the VPS's alone. */
static bool elsewhere(const struct lines *node, const char *root, const char *dev)
{
	for (size_t i = 0; i < node->n; i++)
		if (!strcmp(node->v[i].dev, dev) && !below(node->v[i].point, root))
			return true;
	return false;
}

static bool has_word(const char *options, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = options; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == n && !strncmp(p, word, n))
			return true;
	return false;
}

static size_t times(const struct lines *l, const char *point)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += !strcmp(l->v[i].point, point);
	return n;
}

static bool has_dev(const struct cpt_givens *g, const char *dev)
{
	for (size_t i = 0; i < g->n; i++)
		if (!strcmp(g->v[i].dev, dev))
			return true;
	return false;
}

const struct cpt_given *cpt_given_at(const struct cpt_givens *g, const char *path)
{
	for (size_t i = 0; i < g->n; i++)
		if (!strcmp(g->v[i].path, path))
			return &g->v[i];
	return NULL;
}

static int add(struct cpt_givens *g, char kind, const struct line *m)
{
	struct cpt_given *e = &g->v[g->n];

	if (g->n == CPT_GIVEN)
		return -E2BIG;
	*e = (struct cpt_given){ .kind = kind };
	if (vz_copy(e->dev, sizeof(e->dev), m->dev) < 0 ||
	    vz_copy(e->options, sizeof(e->options), m->options) < 0)
		return -EINVAL;
	e->path = strdup(m->point);
	if (!e->path)
		return -ENOMEM;
	g->n++;
	return 0;
}

/* 0: none of these; '?' doubtful; else its kind. */
static char kind_of(const struct lines *node, const char *root, const struct cpt_givens *g,
		    const struct line *m)
{
	bool memory = !strcmp(m->type, "tmpfs");
	const struct line *there;

	if (!strcmp(m->point, "/"))
		return 0;
	there = on_node(node, root, m);
	if (!there)
		return memory && ours_in_memory(m->point) && !strcmp(m->root, "/") &&
				       !cpt_given_at(g, m->point)
			       ? 'n'
			       : 0;
	if (memory && doubtful(node, root, there))
		return '?';
	if (!memory || elsewhere(node, root, m->dev))
		return 'd';
	/*
	 * Others that show it are binds, which CRIU makes by itself. One without the ids of the VPS (before Linux 6.3) cannot
	 * be filled by its root: CRIU makes it anew.
	 */
	return strcmp(m->root, "/") != 0 || has_dev(g, m->dev) || !has_word(m->options, "idmapped")
		       ? 0
		       : 'm';
}

static int refuse(const struct line *m, const char *why, struct vz_error *err)
{
	char shown[200];

	return vz_fail(err, VZ_EXIT_CHKPNT, EOPNOTSUPP, "the mount at %s of an action script %s",
		       vz_quote(shown, sizeof(shown), m->point), why);
}

int cpt_given_find(const char *inside, const char *node, const char *root, struct cpt_givens *ret,
		   struct vz_error *err)
{
	__attribute__((cleanup(lines_clear))) struct lines in = { 0 }, on = { 0 };
	int r = read_lines(inside, &in);

	if (r == 0)
		r = read_lines(node, &on);
	for (size_t i = 0; r == 0 && i < in.n; i++) {
		char kind = kind_of(&on, root, ret, &in.v[i]);

		if (!kind)
			continue;
		if (kind == '?')
			return refuse(&in.v[i],
				      "is on the node as well, for what it lies in is shared with "
				      "the node's (mount --make-private)",
				      err);
		if (kind == 'd' && strpbrk(in.v[i].point, "[]:\n"))
			return refuse(&in.v[i], "has a name that CRIU does not take", err);
		if (kind == 'd' && times(&in, in.v[i].point) > 1)
			return refuse(&in.v[i], "has another one over it", err);
		r = add(ret, kind, &in.v[i]);
		if (r == -E2BIG)
			return refuse(&in.v[i], "is one too many", err);
	}
	return r < 0 ? vz_fail(err, VZ_EXIT_CHKPNT, -r, "mounts of the VPS") : 0;
}

bool cpt_given_dev(const struct cpt_givens *g, unsigned int major, unsigned int minor)
{
	char dev[24];

	(void)snprintf(dev, sizeof(dev), "%u:%u", major, minor);
	return has_dev(g, dev);
}

void cpt_givens_clear(struct cpt_givens *g)
{
	for (size_t i = 0; i < g->n; i++)
		free(g->v[i].path);
	g->n = 0;
}

/* ---- as text, for the descriptor ---- */

char *cpt_given_text(const struct cpt_given *g)
{
	return vz_fmt("%c %s %s %" PRIu64 " %" PRIu64 " %s", g->kind, g->dev, g->options, g->bytes,
		      g->inodes, g->path);
}

static bool path_valid(const char *s)
{
	size_t n = strlen(s);

	if (s[0] != '/' || n < 2 || n >= CPT_GIVEN_PATH || s[n - 1] == '/' || strstr(s, "//"))
		return false;
	return cpt_dev_path_valid(s + 1);
}

int cpt_given_parse(const char *text, struct cpt_given *ret)
{
	struct cpt_given g = { 0 };
	VZ_FREE char *copy = strdup(text);
	char *w[5], *at = copy;

	if (!copy)
		return -ENOMEM;
	for (int i = 0; i < 5; i++) {
		w[i] = at;
		at = strchr(at, ' ');
		if (!at)
			return -EINVAL;
		*at++ = '\0';
	}
	if (strlen(w[0]) != 1 || !strchr("dfmn", w[0][0]) ||
	    strspn(w[1], "0123456789:") != strlen(w[1]) ||
	    strspn(w[2], "abcdefghijklmnopqrstuvwxyz0123456789,=_-") != strlen(w[2]) ||
	    vz_copy(g.dev, sizeof(g.dev), w[1]) < 0 ||
	    vz_copy(g.options, sizeof(g.options), w[2]) < 0 ||
	    vz_parse_u64(w[3], 0, INT64_MAX, &g.bytes) < 0 ||
	    vz_parse_u64(w[4], 0, INT64_MAX, &g.inodes) < 0 || !path_valid(at) ||
	    (w[0][0] == 'n' && !ours_in_memory(at)))
		return -EINVAL;
	g.kind = w[0][0];
	g.path = strdup(at);
	if (!g.path)
		return -ENOMEM;
	*ret = g;
	return 0;
}

bool cpt_given_option(const struct cpt_given *g, const char *word)
{
	return has_word(g->options, word);
}

/* ---- names in CRIU's images ---- */

/* mountpoints-N.img. images/mnt.proto: 1 type, 3 device, 8 source */
enum { F_TYPE = 1, F_DEV = 3, F_SOURCE = 8, TMPFS = 5, IMAGE_MAX = 16 << 20 };

/* Which of @g has the device of the tmpfs that the message describes; -1 none; -EBADMSG. */
static int which(const unsigned char *b, size_t len, const struct cpt_givens *g)
{
	uint64_t type = 0, dev = 0;
	struct cpt_field f;

	for (size_t at = 0; at < len;) {
		if (cpt_field_next(b, len, &at, &f) < 0)
			return -EBADMSG;
		if (f.number == F_TYPE)
			type = f.value;
		else if (f.number == F_DEV)
			dev = f.value;
	}
	for (size_t i = 0; type == TMPFS && i < g->n; i++) {
		char text[24];

		/* CRIU's own way to number a device: 20 bits of minor */
		(void)snprintf(text, sizeof(text), "%" PRIu64 ":%" PRIu64, dev >> 20,
			       dev & 0xfffff);
		if (strchr("mn", g->v[i].kind) && !strcmp(g->v[i].dev, text))
			return (int)i;
	}
	return -1;
}

static void put_varint(struct vz_buf *to, uint64_t v)
{
	for (; v > 0x7f; v >>= 7) {
		char c = (char)(0x80 | (v & 0x7f));

		vz_buf_add(to, &c, 1);
	}
	vz_buf_add(to, &(char){ (char)v }, 1);
}

/* A source of the VPS's own that looks like ours becomes "none". */
static int rename_source(const unsigned char *b, size_t len, const struct cpt_givens *g,
			 struct vz_buf *to)
{
	const size_t mark = strlen(CPT_GIVEN_SOURCE);
	int n = which(b, len, g);
	struct cpt_field f;

	for (size_t at = 0; n != -EBADMSG && at < len;) {
		char source[32] = "none";

		if (cpt_field_next(b, len, &at, &f) < 0)
			return -EBADMSG;
		if (f.number != F_SOURCE ||
		    (n < 0 &&
		     (f.value < mark || memcmp(b + f.text, CPT_GIVEN_SOURCE, mark) != 0))) {
			vz_buf_add(to, (const char *)b + f.begin, f.end - f.begin);
			continue;
		}
		if (n >= 0)
			(void)snprintf(source, sizeof(source), CPT_GIVEN_SOURCE "%d", n);
		put_varint(to, F_SOURCE << 3 | 2);
		put_varint(to, strlen(source));
		vz_buf_str(to, source);
	}
	return n == -EBADMSG ? n : 0;
}

static int rename_sources(int fd, const struct cpt_givens *g)
{
	VZ_FREE char *text = NULL;
	VZ_BUF struct vz_buf out = { 0 };
	ssize_t n = vz_read_all(fd, IMAGE_MAX, &text);

	if (n < CPT_IMAGE_HEAD)
		return n < 0 ? (int)n : -EBADMSG;
	vz_buf_add(&out, text, CPT_IMAGE_HEAD);
	for (size_t at = CPT_IMAGE_HEAD; at < (size_t)n;) {
		VZ_BUF struct vz_buf message = { 0 };
		uint32_t len;
		int r = cpt_message_next((const unsigned char *)text, (size_t)n, &at, &len);

		if (r == 0)
			r = rename_source((const unsigned char *)text + at - len, len, g, &message);
		if (r < 0)
			return r;
		len = (uint32_t)message.len;
		vz_buf_add(&out, (const char *)&len, sizeof(len));
		if (message.len)
			vz_buf_add(&out, message.s, message.len);
		out.failed = out.failed || message.failed;
	}
	if (out.failed)
		return -ENOMEM;
	if (lseek(fd, 0, SEEK_SET) < 0 || ftruncate(fd, 0) < 0)
		return -errno;
	return vz_write_all(fd, out.s, out.len);
}

int cpt_given_name(const char *images, const struct cpt_givens *g)
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, images);
	struct dirent *e;
	int r = d ? 0 : -errno;

	while (r == 0 && (e = readdir(d))) {
		VZ_FD int fd = -EBADF;

		if (strncmp(e->d_name, "mountpoints-", strlen("mountpoints-")) != 0)
			continue;
		fd = vz_openat(dirfd(d), e->d_name, O_RDWR | O_NOFOLLOW, 0);
		r = fd < 0 ? fd : rename_sources(fd, g);
	}
	return r;
}
