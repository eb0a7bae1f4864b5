/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Users of the VPS. Caged child; "/" is the VPS's root. */
#include "dist/priv.h"

#include "util/fd.h"
#include "util/parse.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	ID_MIN = 1000,
	ID_END = 60000,
	LOCK_TRIES = 100,
	LOCK_WAIT_MS = 100,
	SKEL_DEPTH = 8,
	SKEL_ENTRIES = 1000,
};

enum { FIELD_PASSWORD = 1, FIELD_ID = 2, FIELD_CHANGED = 2, FIELD_GID = 3 };

/** struct users - the four databases as they were */
struct users {
	struct dist_file passwd, shadow, group, gshadow;
};

static int failed(struct vz_error *err, int r, const char *what)
{
	return vz_fail(err, VZ_EXIT_PASSWORD, -r, "%s", what);
}

/* ---- lines of fields; whatever else a file holds stays as it is ---- */

static bool field(const char *line, size_t n, int want, const char **ret, size_t *ret_len)
{
	const char *end = line + n;

	for (int i = 0;; i++) {
		const char *colon = memchr(line, ':', (size_t)(end - line));
		const char *stop = colon ? colon : end;

		if (i == want) {
			*ret = line;
			*ret_len = (size_t)(stop - line);
			return true;
		}
		if (!colon)
			return false;
		line = colon + 1;
	}
}

static bool find(const struct dist_file *f, const char *name, const char **ret, size_t *ret_len)
{
	const char *line, *first;
	size_t n, len, pos = 0;

	while (dist_line(f, &pos, &line, &n))
		if (field(line, n, 0, &first, &len) && len == strlen(name) && len < n &&
		    !memcmp(first, name, len)) {
			*ret = line;
			*ret_len = n;
			return true;
		}
	return false;
}

/* The line with field 1 and, if @changed is given, field 2 exchanged. */
static void put_line(struct vz_buf *b, const char *line, size_t n, const char *password,
		     const char *changed)
{
	const char *p;
	size_t len;
	int need = changed ? FIELD_CHANGED : FIELD_PASSWORD;

	for (int i = 0; field(line, n, i, &p, &len) || i <= need; i++) {
		if (i)
			vz_buf_str(b, ":");
		if (i == FIELD_PASSWORD)
			vz_buf_str(b, password);
		else if (i == FIELD_CHANGED && changed)
			vz_buf_str(b, changed);
		else if (field(line, n, i, &p, &len))
			vz_buf_add(b, p, len);
	}
}

static int write_db(const struct dist_file *f, const struct vz_buf *b, mode_t mode)
{
	return b->failed ? -ENOMEM : dist_store(f, b->s, b->len, mode, true);
}

static int set_password(const struct dist_file *f, const char *line, size_t n, const char *password,
			const char *changed, mode_t mode)
{
	VZ_BUF struct vz_buf b = { 0 };
	size_t before = (size_t)(line - f->text);

	vz_buf_add(&b, f->text, before);
	put_line(&b, line, n, password, changed);
	vz_buf_add(&b, line + n, f->len - before - n);
	return write_db(f, &b, mode);
}

static int append(const struct dist_file *f, const char *line, mode_t mode)
{
	VZ_BUF struct vz_buf b = { 0 };

	vz_buf_add(&b, f->text, f->len);
	if (f->len && f->text[f->len - 1] != '\n')
		vz_buf_str(&b, "\n");
	vz_buf_str(&b, line);
	return write_db(f, &b, mode);
}

/* ---- hash ---- */

/* What the VPS's own passwd would use: login.defs, then PAM; SHA-512 is what every libc knows. */
static bool pam_says_yescrypt(void)
{
	static const char *const paths[] = {
		"/etc/pam.d/common-password",
		"/etc/pam.d/system-auth",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		DIST_FILE struct dist_file f = { .dirfd = -EBADF };
		const char *line;
		size_t n, pos = 0;

		if (dist_load(paths[i], &f) < 0)
			continue;
		while (dist_line(&f, &pos, &line, &n))
			if (n && *line != '#' && memmem(line, n, "yescrypt", 8))
				return true;
	}
	return false;
}

static const char *hash_prefix(void)
{
	static const struct {
		const char *method, *prefix;
	} known[] = {
		{ "YESCRYPT", "$y$" },
		{ "SHA512", "$6$" },
		{ "SHA256", "$5$" },
		{ "BCRYPT", "$2b$" },
	};
	static const char key[] = "ENCRYPT_METHOD";
	DIST_FILE struct dist_file f = { .dirfd = -EBADF };
	const char *line;
	size_t n, pos = 0;

	if (dist_load("/etc/login.defs", &f) < 0)
		return "$6$";
	while (dist_line(&f, &pos, &line, &n)) {
		char word[16] = "";

		if (n <= sizeof(key) || strncmp(line, key, sizeof(key) - 1) != 0 ||
		    sscanf(line + sizeof(key) - 1, "%15s", word) != 1)
			continue;
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
			if (vz_streq(word, known[i].method))
				return known[i].prefix;
		return "$6$"; /* DES and MD5 are not offered */
	}
	return pam_says_yescrypt() ? "$y$" : "$6$";
}

static int make_hash(const char *password, char ret[CRYPT_OUTPUT_SIZE])
{
	VZ_FREE struct crypt_data *data = calloc(1, sizeof(*data));
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *hash;

	if (!data)
		return -ENOMEM;
	if (!crypt_gensalt_rn(hash_prefix(), 0, NULL, 0, salt, sizeof(salt)))
		return errno > 0 ? -errno : -EIO;
	hash = crypt_rn(password, salt, data, sizeof(*data));
	if (!hash || *hash == '*')
		return errno > 0 ? -errno : -EINVAL;
	return vz_copy(ret, CRYPT_OUTPUT_SIZE, hash);
}

/* ---- a new user ---- */

static void mark_ids(const struct dist_file *f, bool used[ID_END])
{
	const char *line, *p;
	size_t n, len, pos = 0;
	uint64_t id;

	while (dist_line(f, &pos, &line, &n)) {
		char text[16];

		if (!field(line, n, FIELD_ID, &p, &len) || len >= sizeof(text))
			continue;
		memcpy(text, p, len);
		text[len] = '\0';
		if (vz_parse_u64(text, 0, ID_END - 1, &id) == 0)
			used[id] = true;
	}
}

/* The group of the user's name may be there already; else uid and gid are the same free number. */
static int free_ids(const struct users *u, const char *user, unsigned int *ret_uid,
		    unsigned int *ret_gid, bool *ret_new_group)
{
	VZ_FREE bool *used = calloc(ID_END, sizeof(*used));
	const char *line, *p;
	char text[16];
	size_t n, len;
	uint64_t gid;

	if (!used)
		return -ENOMEM;
	mark_ids(&u->passwd, used);
	mark_ids(&u->group, used);
	*ret_uid = ID_MIN;
	while (*ret_uid < ID_END && used[*ret_uid])
		(*ret_uid)++;
	if (*ret_uid == ID_END)
		return -ENOSPC;
	*ret_gid = *ret_uid;
	*ret_new_group = !find(&u->group, user, &line, &n);
	if (*ret_new_group)
		return 0;
	if (!field(line, n, FIELD_ID, &p, &len) || len >= sizeof(text))
		return -EINVAL;
	memcpy(text, p, len);
	text[len] = '\0';
	if (vz_parse_u64(text, 0, 65535, &gid) < 0)
		return -EINVAL;
	*ret_gid = (unsigned int)gid;
	return 0;
}

static int copy_file(int from, int to, const char *name, uid_t uid, gid_t gid)
{
	VZ_FD int in = vz_openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	VZ_FD int out = -EBADF;
	VZ_FREE char *text = NULL;
	struct stat st;
	ssize_t n;
	int r;

	if (in < 0)
		return in;
	if (fstat(in, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return 0;
	n = vz_read_all(in, DIST_FILE_MAX, &text);
	if (n < 0)
		return (int)n;
	out = vz_openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (out < 0)
		return out;
	r = vz_write_all(out, text, (size_t)n);
	if (r < 0)
		return r;
	return fchown(out, uid, gid) < 0 || fchmod(out, st.st_mode & 0777) < 0 ? -errno : 0;
}

static int open_dir(int at, const char *name)
{
	return vz_openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

/* Plain files and directories of the directory open as @from (consumed). */
static int copy_skel(int from, int to, uid_t uid, gid_t gid, int depth, int *left)
{
	VZ_DIR DIR *d = fdopendir(from);
	struct dirent *e;
	int r = 0;

	if (!d) {
		vz_closep(&from);
		return -ENOMEM;
	}
	while (r == 0 && (e = readdir(d))) {
		VZ_FD int sub = -EBADF;
		struct stat st;

		if (vz_streq(e->d_name, ".") || vz_streq(e->d_name, "..") ||
		    fstatat(from, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if ((*left)-- <= 0 || depth > SKEL_DEPTH)
			return -E2BIG;
		if (S_ISREG(st.st_mode))
			r = copy_file(from, to, e->d_name, uid, gid);
		if (!S_ISDIR(st.st_mode))
			continue;
		if (mkdirat(to, e->d_name, 0700) < 0)
			return -errno;
		sub = open_dir(to, e->d_name);
		if (sub < 0)
			return sub;
		r = open_dir(from, e->d_name);
		if (r >= 0)
			r = copy_skel(r, sub, uid, gid, depth + 1, left);
		if (r == 0 && (fchown(sub, uid, gid) < 0 || fchmod(sub, st.st_mode & 0777) < 0))
			r = -errno;
	}
	return r;
}

static int make_home(const char *user, uid_t uid, gid_t gid)
{
	VZ_FD int all = -EBADF, home = -EBADF;
	int skel, r = 0, left = SKEL_ENTRIES;

	if (mkdir("/home", 0755) < 0 && errno != EEXIST)
		return -errno;
	all = vz_openat(AT_FDCWD, "/home", O_RDONLY | O_DIRECTORY, 0);
	if (all < 0)
		return all;
	if (mkdirat(all, user, 0700) < 0)
		return errno == EEXIST ? 0 : -errno; /* somebody's already: left alone */
	home = open_dir(all, user);
	if (home < 0)
		return home;
	skel = open_dir(AT_FDCWD, "/etc/skel");
	if (skel >= 0)
		r = copy_skel(skel, home, uid, gid, 0, &left);
	if (r == 0 && fchown(home, uid, gid) < 0)
		r = -errno;
	return r;
}

static int make_group(const struct users *u, const char *user, unsigned int gid)
{
	VZ_FREE char *line = vz_fmt("%s:x:%u:\n", user, gid);
	VZ_FREE char *hidden = vz_fmt("%s:!::\n", user);
	const char *old;
	size_t n;
	int r = line && hidden ? append(&u->group, line, 0644) : -ENOMEM;

	if (r == 0 && u->gshadow.there && !find(&u->gshadow, user, &old, &n))
		r = append(&u->gshadow, hidden, 0640);
	return r;
}

/* /etc/passwd last: a user that is seen there is complete. */
static int make_user(const struct users *u, const char *user, const char *password,
		     struct vz_error *err)
{
	const char *shell = access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh";
	VZ_FREE char *line = NULL;
	unsigned int uid, gid;
	bool new_group;
	int r = free_ids(u, user, &uid, &gid, &new_group);

	if (r < 0)
		return failed(err, r, "a free user id");
	r = new_group ? make_group(u, user, gid) : 0;
	if (r < 0)
		return failed(err, r, "/etc/group");
	r = make_home(user, uid, gid);
	if (r < 0)
		return failed(err, r, "home directory");
	line = vz_fmt("%s:%s:%u:%u::/home/%s:%s\n", user, password, uid, gid, user, shell);
	r = line ? append(&u->passwd, line, 0644) : -ENOMEM;
	return r < 0 ? failed(err, r, "/etc/passwd") : 0;
}

/* ---- the work ---- */

/* lckpwdf(3)'s lock, so that the VPS's own passwd does not write at the same time. */
static int lock_databases(void)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	VZ_FD int fd = vz_openat(AT_FDCWD, "/etc/.pwd.lock",
				 O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (fcntl(fd, F_SETLK, &all) == 0)
			return vz_take_fd(&fd);
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return -errno;
		(void)poll(NULL, 0, LOCK_WAIT_MS); /* F_SETLKW could be held up for ever */
	}
	return -EBUSY;
}

static void users_clear(struct users *u)
{
	dist_file_clear(&u->passwd);
	dist_file_clear(&u->shadow);
	dist_file_clear(&u->group);
	dist_file_clear(&u->gshadow);
}

static int users_load(struct users *u, struct vz_error *err)
{
	const struct {
		const char *path;
		struct dist_file *f;
	} all[] = {
		{ "/etc/passwd", &u->passwd },
		{ "/etc/shadow", &u->shadow },
		{ "/etc/group", &u->group },
		{ "/etc/gshadow", &u->gshadow },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		int r = dist_load(all[i].path, all[i].f);

		if (r == 0 && all[i].f->exists && !all[i].f->there)
			r = -ELOOP; /* a link or worse: a copy in its place is not meant */
		if (r < 0)
			return failed(err, r, all[i].path);
	}
	return u->passwd.there ? 0 : failed(err, -ENOENT, "/etc/passwd");
}

static int set_shadow(const struct users *u, const char *user, const char *hash,
		      struct vz_error *err)
{
	VZ_FREE char *line = NULL;
	const char *old;
	char today[24];
	size_t n;
	int r;

	(void)snprintf(today, sizeof(today), "%lld", (long long)time(NULL) / 86400);
	if (find(&u->shadow, user, &old, &n)) {
		r = set_password(&u->shadow, old, n, hash, today, 0640);
	} else {
		line = vz_fmt("%s:%s:%s:0:99999:7:::\n", user, hash, today);
		r = line ? append(&u->shadow, line, 0640) : -ENOMEM;
	}
	return r < 0 ? failed(err, r, "/etc/shadow") : 0;
}

static int set_user(const struct users *u, const struct dist_job *job, struct vz_error *err)
{
	char hash[CRYPT_OUTPUT_SIZE];
	const char *line;
	size_t n;
	int r = make_hash(job->password, hash);

	if (r < 0)
		return failed(err, r, "hash of the password");
	if (u->shadow.there) {
		r = set_shadow(u, job->user, hash, err);
		if (r < 0)
			return r;
		(void)!vz_copy(hash, sizeof(hash), "x");
	}
	if (!find(&u->passwd, job->user, &line, &n))
		return make_user(u, job->user, hash, err);
	r = set_password(&u->passwd, line, n, hash, NULL, 0644);
	return r < 0 ? failed(err, r, "/etc/passwd") : 0;
}

int dist_passwd_caged(const struct dist_job *job, struct dist_result *ret)
{
	struct users u = {
		.passwd = { .dirfd = -EBADF },
		.shadow = { .dirfd = -EBADF },
		.group = { .dirfd = -EBADF },
		.gshadow = { .dirfd = -EBADF },
	};
	VZ_FD int lock = lock_databases();
	int r;

	if (lock < 0)
		return failed(&ret->err, lock, "/etc/.pwd.lock");
	r = users_load(&u, &ret->err);
	if (r == 0)
		r = set_user(&u, job, &ret->err);
	users_clear(&u);
	return r;
}

int dist_lock_root(struct vz_error *err)
{
	DIST_FILE struct dist_file f = { .dirfd = -EBADF };
	const char *line, *p;
	size_t n, len;
	int r = dist_load("/etc/shadow", &f);

	if (r == -ENOENT)
		return 0;
	if (r == 0 && find(&f, "root", &line, &n) && field(line, n, FIELD_PASSWORD, &p, &len) &&
	    len == 0)
		r = set_password(&f, line, n, "!!", NULL, 0640);
	return r < 0 ? vz_fail(err, VZ_EXIT_SYSTEM, -r, "/etc/shadow") : 0;
}
