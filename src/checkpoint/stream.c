/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRIU's image streaming (criu dump --stream): it connects to streamer-capture.sock in its directory of images and sends,
 * for each image, a message with the name (length, then images/img-streamer.proto: field 1, a string) and then one byte
 * with the reading end of a pipe. What comes through the pipes is gathered to parts of an image, each with its checksum.
 * We are the reader of all pipes: when we end, CRIU gets EPIPE, gives up and lets the VPS go on.
 */
#include "checkpoint/checkpoint.h"

#include "checkpoint/priv.h"
#include "util/fd.h"
#include "util/proc.h"

#include <endian.h>
#include <fcntl.h>
#include <search.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
	FIRST_BYTES = 16 << 10, /* of the buffer of an image; most are small */
	PIPE_BYTES = 1 << 20, /* for memory: fewer changes from one process to the other */
	EVENTS = 16,
	LAST_MS = 10000, /* for what is in pipes that nobody writes to any more */
};

static const char socket_name[] = "streamer-capture.sock";

struct image {
	struct image *next;
	char name[CPT_NAME];
	int fd;
	uint32_t parts; /* written */
	char *frame; /* CPT_PART_HEAD, @room bytes, CPT_PART_TAIL; NULL as long as nothing came */
	size_t len, room;
};

struct cpt_stream {
	char *file, *part;
	char dir[40];
	int dir_fd, listener, sk, epoll;
	int out, to; /* FILE.part; where entries go: the same, or to zstd */
	pid_t zstd;
	struct image *images; /* whose pipes are open */
	void *names; /* of all: struct tnode of search.h, its keys are ours */
	uint64_t bytes, entries;
	uint64_t behind; /* of @out, handed to the disk */
	bool committed;
	struct vz_nopipe alone; /* zstd may die */
};

static int watch(const struct cpt_stream *s, int fd, void *what)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = what };

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* ---- opening ---- */

int cpt_listen_in(const char *rundir, const char *name, char ret_dir[40], int *ret_fd)
{
	char path[80];
	int fd = vz_openat(AT_FDCWD, rundir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (fd < 0)
		return fd;
	*ret_fd = fd;
	/* short whatever the directory is called: such an address has 107 bytes */
	(void)snprintf(ret_dir, 40, "/proc/%d/fd/%d", (int)getpid(), fd);
	(void)snprintf(path, sizeof(path), "%s/%s", ret_dir, name);
	return vz_unix_listen(path);
}

static int listen_in(struct cpt_stream *s, const char *rundir)
{
	int r;

	s->listener = cpt_listen_in(rundir, socket_name, s->dir, &s->dir_fd);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = s->listener < 0 ? s->listener : s->epoll < 0 ? -errno : watch(s, s->listener, NULL);
	return r;
}

int cpt_stream_open(const char *file, const char *rundir, struct cpt_stream **ret,
		    struct vz_error *err)
{
	struct cpt_stream *s = calloc(1, sizeof(*s));
	int r = s ? 0 : -ENOMEM;

	if (s) {
		s->dir_fd = s->listener = s->sk = s->epoll = s->out = s->to = -EBADF;
		s->file = strdup(file);
		s->part = vz_fmt("%s.part", file);
		r = s->file && s->part ? 0 : -ENOMEM;
	}
	if (r == 0) {
		(void)unlink(s->part);
		s->out = vz_openat(AT_FDCWD, s->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
				   0600);
		r = s->out < 0 ? s->out : 0;
	}
	if (r < 0) {
		cpt_stream_closep(&s);
		return vz_fail(err, VZ_EXIT_CHKPNT, -r, "write %s", file);
	}
	r = listen_in(s, rundir);
	if (r < 0) {
		cpt_stream_closep(&s);
		return vz_fail(err, VZ_EXIT_CHKPNT, -r, "listen for CRIU in %s", rundir);
	}
	*ret = s;
	return 0;
}

const char *cpt_stream_dir(const struct cpt_stream *s)
{
	return s->dir;
}

int cpt_stream_fd(const struct cpt_stream *s)
{
	return s->epoll;
}

int cpt_stream_begin(struct cpt_stream *s, const struct cpt_desc *d, int level)
{
	int r;

	/* a header of zeros, as long as not all is written */
	if (lseek(s->out, CPT_HEAD_BYTES, SEEK_SET) < 0)
		return -errno;
	s->to = s->out;
	if (level > 0) {
		s->to = cpt_zstd(s->out, level, &s->zstd);
		if (s->to < 0)
			return s->to;
		(void)fcntl(s->to, F_SETPIPE_SZ, PIPE_BYTES);
	}
	vz_nopipe_begin(&s->alone);
	r = cpt_desc_put(s->to, d, &s->bytes);
	s->entries = 1;
	return r;
}

/* ---- taking ---- */

/* Exactly @len bytes of a message that has begun. */
static int get(int sk, void *buf, size_t len)
{
	ssize_t n = recv(sk, buf, len, MSG_WAITALL);

	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EPROTO;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* CRIU writes each image once, or one of them was lost. */
static int new_name(struct cpt_stream *s, const char *name)
{
	char *key = strdup(name);
	char *const *there = key ? tsearch(key, &s->names, by_name) : NULL;

	if (there && *there == key)
		return 0;
	free(key);
	return there ? -EEXIST : -ENOMEM;
}

static int add_image(struct cpt_stream *s, const char *name, int fd)
{
	struct image *i = calloc(1, sizeof(*i));
	int r = i ? watch(s, fd, i) : -ENOMEM;

	if (r < 0) {
		free(i);
		vz_closep(&fd);
		return r;
	}
	(void)!vz_copy(i->name, sizeof(i->name), name);
	if (!strncmp(name, "pages-", 6))
		(void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
	i->fd = fd;
	i->next = s->images;
	s->images = i;
	return 0;
}

/* The message: tag of field 1, length, name. Names of CRIU are short, so the length is one byte. */
static int take_name(int sk, char ret[CPT_NAME])
{
	unsigned char head[6];
	uint32_t len;
	int r = get(sk, head, sizeof(head));

	if (r < 0)
		return r;
	memcpy(&len, head, sizeof(len)); /* of this machine */
	if (head[4] != 0x0a || head[5] >= CPT_NAME || len != head[5] + 2U)
		return -EPROTO;
	r = get(sk, ret, head[5]);
	ret[head[5]] = '\0';
	return r < 0 ? r : cpt_image_name(ret) ? 0 : -EPROTO;
}

/* Return: 1, 0 it has closed the connection. */
static int take_request(struct cpt_stream *s)
{
	char name[CPT_NAME], byte;
	ssize_t n = recv(s->sk, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	size_t nfds = 1;
	int fd = -EBADF, r;

	if (n <= 0) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 1;
		(void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->sk, NULL);
		vz_closep(&s->sk);
		return 0;
	}
	r = take_name(s->sk, name);
	if (r == 0)
		r = (int)vz_recv_fds(s->sk, &byte, 1, &fd, &nfds);
	if (r >= 0)
		r = r == 1 && nfds == 1 ? new_name(s, name) : -EPROTO;
	if (r < 0) {
		vz_closep(&fd);
		return r;
	}
	r = add_image(s, name, fd);
	return r < 0 ? r : 1;
}

static int accept_criu(struct cpt_stream *s)
{
	s->sk = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	if (s->sk < 0)
		return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ? 0 : -errno;
	(void)unlinkat(s->dir_fd, socket_name, 0);
	(void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->listener, NULL);
	vz_closep(&s->listener);
	return watch(s, s->sk, NULL);
}

static int put_part(struct cpt_stream *s, struct image *i, bool last)
{
	char nothing[CPT_PART_HEAD + CPT_PART_TAIL];
	int r = cpt_part_put(s->to, i->frame ? i->frame : nothing, i->name, i->parts, i->len, last);
	struct stat st;

	s->bytes += i->len;
	s->entries++;
	i->parts++;
	i->len = 0;
	if (r == 0 && !last && fstat(s->out, &st) == 0)
		cpt_write_back(s->out, &s->behind, (uint64_t)st.st_size);
	return cpt_zstd_why(s->out, r);
}

static int make_room(struct image *i)
{
	size_t room = i->room ? 2 * i->room : FIRST_BYTES;
	char *frame;

	if (i->len < i->room)
		return 0;
	frame = realloc(i->frame, CPT_PART_HEAD + room + CPT_PART_TAIL);
	if (!frame)
		return -ENOMEM;
	i->frame = frame;
	i->room = room;
	return 0;
}

static void drop(struct cpt_stream *s, struct image *i)
{
	struct image **at = &s->images;

	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	vz_closep(&i->fd); /* and out of epoll with it: nobody else has this end */
	free(i->frame);
	free(i);
}

static int take_bytes(struct cpt_stream *s, struct image *i)
{
	int r = make_room(i);
	ssize_t n;

	if (r < 0)
		return r;
	n = read(i->fd, i->frame + CPT_PART_HEAD + i->len, i->room - i->len);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	if (n == 0) {
		r = put_part(s, i, true);
		drop(s, i);
		return r;
	}
	i->len += (size_t)n;
	return i->len == CPT_PART_BYTES ? put_part(s, i, false) : 0;
}

/* Return: events; 0 none for @timeout_ms; -errno. */
static int step(struct cpt_stream *s, int timeout_ms)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(s->epoll, ev, EVENTS, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	for (int e = 0; e < n; e++) {
		int r = ev[e].data.ptr ? take_bytes(s, ev[e].data.ptr)
			: s->sk >= 0   ? take_request(s)
				       : accept_criu(s);

		if (r < 0)
			return r;
	}
	return n;
}

int cpt_stream_step(struct cpt_stream *s)
{
	int r = step(s, 0);

	return r < 0 ? r : 0;
}

/* ---- the end ---- */

static int close_zstd(struct cpt_stream *s)
{
	int r;

	if (s->zstd <= 0)
		return 0;
	vz_closep(&s->to);
	r = cpt_zstd_end(s->out, s->zstd, 0);
	s->zstd = 0;
	return r;
}

int cpt_stream_finish(struct cpt_stream *s)
{
	char byte;
	int r = 1;

	if (s->sk < 0)
		return -EPROTO;
	/* it has asked for all before it came to the gate */
	while (r > 0 && recv(s->sk, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		r = take_request(s);
	while (r >= 0 && s->images) {
		r = step(s, LAST_MS);
		if (r == 0)
			r = -ETIME;
	}
	if (r >= 0)
		r = cpt_zstd_why(s->out, cpt_end_put(s->to, s->entries));
	if (r >= 0)
		r = close_zstd(s);
	if (r >= 0 && lseek(s->out, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? r : cpt_streamed_head_put(s->out, s->to != s->out, s->bytes);
}

int cpt_stream_commit(struct cpt_stream *s)
{
	int r = fsync(s->out) < 0 || rename(s->part, s->file) < 0 ? -errno : 0;

	if (r < 0)
		return r;
	s->committed = true;
	r = vz_fsync_dir_of(s->file);
	if (r < 0)
		(void)unlink(s->file);
	return r;
}

void cpt_stream_closep(struct cpt_stream **stream)
{
	struct cpt_stream *s = *stream;

	*stream = NULL;
	if (!s)
		return;
	while (s->images)
		drop(s, s->images);
	if (s->listener >= 0)
		(void)unlinkat(s->dir_fd, socket_name, 0);
	vz_closep(&s->listener);
	vz_closep(&s->sk);
	vz_closep(&s->epoll);
	vz_closep(&s->dir_fd);
	if (s->zstd > 0) /* not finished: nobody wants it */
		(void)kill(s->zstd, SIGKILL);
	(void)close_zstd(s);
	if (s->out >= 0 && !s->committed)
		(void)unlink(s->part);
	vz_closep(&s->out);
	vz_nopipe_end(&s->alone);
	tdestroy(s->names, free);
	free(s->file);
	free(s->part);
	free(s);
}
