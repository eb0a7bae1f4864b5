/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRIU's image streaming (criu restore --stream): it connects to streamer-serve.sock in its directory of images and, for
 * each image, sends a message with the name (length, then images/img-streamer.proto: field 1, a string), is told whether
 * there is one (length, then field 1, a bool), and then sends one byte with the writing end of a pipe. All processes
 * that are restored ask over the same connection, one after the other, and read their pipes at the same time, each in its
 * order. When we end, they find an image cut off; CRIU gives up then, and kills what it has restored.
 */
#include "checkpoint/checkpoint.h"

#include "checkpoint/priv.h"
#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
	PIPE_LEAST = 64 << 10, /* as they come */
	PIPE_BYTES = 1 << 20, /* for memory: fewer changes from one process to the other */
	PAGE = 4 << 10,
	CHUNK = 128
		<< 10, /* read, checked and written in one go: it stays in the processor's cache */
	TURN = 4 << 20, /* into one pipe, before the others have theirs */
	EVENTS = 16,
	ASK_HEAD = 6,
};

static const char socket_name[] = "streamer-serve.sock";

/* An image on its way into a pipe. */
struct out {
	struct out *next;
	int pipe;
	bool watched;
	int from; /* a file; -1: of memory */
	off_t at; /* of the file: begin of the rest */
	const struct cpt_mem_image *image;
	size_t part; /* of it, under way */
	uint64_t done; /* bytes of the part */
	uint32_t crc; /* of these */
};

struct cpt_server {
	char dir[40];
	int dir_fd, images, listener, sk, epoll;
	const struct cpt_memory *memory;
	char asked[ASK_HEAD + CPT_NAME]; /* what has come of a message */
	size_t got;
	struct out *next; /* there is one: its pipe comes next */
	struct out *outs; /* whose pipes are open */
	uint64_t sent;
	struct vz_nopipe alone; /* CRIU may close a pipe before it has read all of it */
	char buf[CHUNK];
};

static int watch(const struct cpt_server *s, int fd, uint32_t events, void *what)
{
	struct epoll_event ev = { .events = events, .data.ptr = what };

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* ---- opening ---- */

static int begin(struct cpt_server *s, const char *rundir, const char *images)
{
	s->images = vz_openat(AT_FDCWD, images, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (s->images < 0)
		return s->images;
	s->listener = cpt_listen_in(rundir, socket_name, s->dir, &s->dir_fd);
	if (s->listener < 0)
		return s->listener;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0)
		return -errno;
	vz_nopipe_begin(&s->alone);
	return watch(s, s->listener, EPOLLIN, NULL);
}

int cpt_server_open(const char *rundir, const char *images, const struct cpt_memory *memory,
		    struct cpt_server **ret, struct vz_error *err)
{
	struct cpt_server *s = calloc(1, sizeof(*s));
	int r = -ENOMEM;

	if (s) {
		s->dir_fd = s->images = s->listener = s->sk = s->epoll = -EBADF;
		s->memory = memory;
		r = begin(s, rundir, images);
	}
	if (r < 0) {
		cpt_server_closep(&s);
		return vz_fail(err, VZ_EXIT_RESTORE, -r, "listen for CRIU in %s", rundir);
	}
	*ret = s;
	return 0;
}

const char *cpt_server_dir(const struct cpt_server *s)
{
	return s->dir;
}

int cpt_server_fd(const struct cpt_server *s)
{
	return s->epoll;
}

uint64_t cpt_server_sent(const struct cpt_server *s)
{
	return s->sent;
}

/* ---- giving ---- */

static void free_out(struct out *o)
{
	if (!o)
		return;
	vz_closep(&o->pipe);
	vz_closep(&o->from);
	free(o);
}

static void drop(struct cpt_server *s, struct out *o)
{
	struct out **at = &s->outs;

	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	if (o->watched) /* closing is not enough: CRIU may still have this end as well, for a moment */
		(void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, o->pipe, NULL);
	free_out(o);
}

/* Exactly @len bytes of the dump file. */
static int get(struct cpt_server *s, uint64_t at, size_t len)
{
	for (size_t have = 0; have < len;) {
		ssize_t n = pread(cpt_memory_file(s->memory), s->buf + have, len - have,
				  (off_t)(at + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG; /* it is shorter than it was */
		have += (size_t)n;
	}
	return 0;
}

/* How much a pipe takes now; memory comes in whole pages, so each of its buffers is full. */
static size_t room_of(int pipe)
{
	int size = fcntl(pipe, F_GETPIPE_SZ), filled = 0;

	if (size <= 0 || ioctl(pipe, FIONREAD, &filled) < 0 || filled >= size)
		return 0;
	return (size_t)(size - filled);
}

/* The next @len bytes of a part at most into s->buf; with its last ones it is known whether it is right. Return: bytes; -errno. */
static ssize_t next_piece(struct cpt_server *s, const struct out *o, size_t len, uint32_t *ret_crc)
{
	const struct cpt_mem_part *p = &o->image->v[o->part];
	int r;

	len = len < CHUNK ? len : CHUNK;
	len = p->size - o->done < len ? (size_t)(p->size - o->done) : len;
	r = get(s, p->at + o->done, len);
	if (r < 0)
		return r;
	*ret_crc = cpt_crc(o->crc, s->buf, len);
	return o->done + len == p->size && *ret_crc != p->crc ? -EBADMSG : (ssize_t)len;
}

static void advance(struct out *o, size_t len, uint32_t crc)
{
	o->crc = crc;
	o->done += len;
	if (o->done < o->image->v[o->part].size)
		return;
	o->part++;
	o->done = 0;
	o->crc = 0;
}

/* Return: 1 all of it went; 0 not yet; -EPIPE; -errno. */
static int give_memory(struct cpt_server *s, struct out *o)
{
	/* room is said to be there also where nobody reads any more: then writing tells */
	size_t room = room_of(o->pipe);

	room = room ? room : PAGE;
	for (size_t turn = 0; room > 0 && turn < TURN && o->part < o->image->n;) {
		uint32_t crc;
		ssize_t len = next_piece(s, o, room, &crc);
		ssize_t n = len <= 0 ? len : write(o->pipe, s->buf, (size_t)len);

		if (n < 0)
			return len < 0 ? (int)len : errno == EAGAIN || errno == EINTR ? 0 : -errno;
		advance(o, (size_t)n, n == len ? crc : cpt_crc(o->crc, s->buf, (size_t)n));
		s->sent += (uint64_t)n;
		turn += (size_t)n;
		room = room_of(o->pipe);
	}
	return o->part == o->image->n;
}

/* It was closed before its end: what was read of its last part must be right all the same. Return: 0; -errno. */
static int check_rest(struct cpt_server *s, struct out *o)
{
	size_t part = o->part;

	while (o->part == part && part < o->image->n) {
		uint32_t crc;
		ssize_t len = next_piece(s, o, CHUNK, &crc);

		if (len < 0)
			return (int)len;
		advance(o, (size_t)len, crc);
	}
	return 0;
}

static int give_file(struct out *o)
{
	ssize_t n = 1;

	while (n > 0)
		n = sendfile(o->pipe, o->from, &o->at, PIPE_LEAST);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return 1;
}

/* Most images fit into their pipe; of the rest we are told when there is room. */
static int wait_for_room(const struct cpt_server *s, struct out *o)
{
	int r = o->watched ? 0 : watch(s, o->pipe, EPOLLOUT, o);

	o->watched = true;
	return r;
}

/* CRIU, and not we, knows whether it needs the rest of an image whose pipe it has closed. */
static int give(struct cpt_server *s, struct out *o)
{
	int r = o->from >= 0 ? give_file(o) : give_memory(s, o);

	if (r == 0)
		return wait_for_room(s, o);
	if (r == -EPIPE)
		r = o->from >= 0 ? 0 : check_rest(s, o);
	drop(s, o);
	return r < 0 ? r : 0;
}

/* ---- being asked ---- */

static int find(struct cpt_server *s, const char *name, struct out **ret)
{
	const struct cpt_mem_image *image = cpt_memory_find(s->memory, name);
	int from = image ? -EBADF : vz_openat(s->images, name, O_RDONLY | O_NOFOLLOW, 0);
	struct out *o;

	if (!image && from < 0)
		return from;
	o = calloc(1, sizeof(*o));
	if (!o) {
		vz_closep(&from);
		return -ENOMEM;
	}
	o->pipe = -EBADF;
	o->from = from;
	o->image = image;
	*ret = o;
	return 0;
}

static int answer(struct cpt_server *s, const char *name)
{
	const uint32_t len = 2;
	char reply[sizeof(len) + 2] = "";
	int r = cpt_image_name(name) ? find(s, name, &s->next) : -EPROTO;

	if (r < 0 && r != -ENOENT)
		return r;
	memcpy(reply, &len, sizeof(len)); /* of this machine */
	reply[sizeof(len)] = 0x08;
	reply[sizeof(len) + 1] = r == 0;
	/* there is room: it waits for the answer before it asks again */
	return send(s->sk, reply, sizeof(reply), MSG_NOSIGNAL | MSG_DONTWAIT) ==
			       (ssize_t)sizeof(reply)
		       ? 0
		       : -EPROTO;
}

/* The first @want bytes of a message. Return: 1 they are there; 0 not yet; -EPIPE no more will come. */
static int gather(struct cpt_server *s, size_t want)
{
	ssize_t n = s->got < want ? recv(s->sk, s->asked + s->got, want - s->got, MSG_DONTWAIT) : 1;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EPIPE;
	if (s->got < want)
		s->got += (size_t)n;
	return s->got >= want;
}

/* The message: tag of field 1, length, name. Names of CRIU are short, so the length is one byte. */
static int hear(struct cpt_server *s)
{
	char name[CPT_NAME];
	uint32_t len;
	size_t size;
	int r = gather(s, ASK_HEAD);

	if (r <= 0)
		return r;
	memcpy(&len, s->asked, sizeof(len)); /* of this machine */
	size = (unsigned char)s->asked[ASK_HEAD - 1];
	if (s->asked[sizeof(len)] != 0x0a || size == 0 || size >= CPT_NAME || len != size + 2)
		return -EPROTO;
	r = gather(s, ASK_HEAD + size);
	if (r <= 0)
		return r;
	memcpy(name, s->asked + ASK_HEAD, size);
	name[size] = '\0';
	s->got = 0;
	return strlen(name) == size ? answer(s, name) : -EPROTO;
}

static uint64_t bytes_of(const struct cpt_mem_image *i)
{
	uint64_t sum = 0;

	for (size_t p = 0; i && p < i->n; p++)
		sum += i->v[p].size;
	return sum;
}

/* Much of it goes at once. */
static int take_pipe(struct cpt_server *s)
{
	struct out *o = s->next;
	uint64_t bytes = bytes_of(o->image);
	size_t nfds = 1;
	char byte;
	ssize_t n = vz_recv_fds(s->sk, &byte, 1, &o->pipe, &nfds);

	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return -EPIPE;
	if (nfds != 1 || fcntl(o->pipe, F_SETFL, O_NONBLOCK) < 0)
		return -EPROTO;
	if (bytes > PIPE_LEAST)
		(void)fcntl(o->pipe, F_SETPIPE_SZ, bytes < PIPE_BYTES ? (int)bytes : PIPE_BYTES);
	s->next = NULL;
	o->next = s->outs;
	s->outs = o;
	return give(s, o);
}

static int on_socket(struct cpt_server *s)
{
	int r = s->next ? take_pipe(s) : hear(s);

	if (r != -EPIPE)
		return r;
	/* it has closed the connection: it will not ask any more, or it is dead, which others see */
	(void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->sk, NULL);
	vz_closep(&s->sk);
	free_out(s->next);
	s->next = NULL;
	return 0;
}

static int accept_criu(struct cpt_server *s)
{
	s->sk = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	if (s->sk < 0)
		return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ? 0 : -errno;
	(void)unlinkat(s->dir_fd, socket_name, 0);
	(void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->listener, NULL);
	vz_closep(&s->listener);
	return watch(s, s->sk, EPOLLIN, NULL);
}

int cpt_server_step(struct cpt_server *s)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(s->epoll, ev, EVENTS, 0);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int e = 0; e < n; e++) {
		int r = ev[e].data.ptr ? give(s, ev[e].data.ptr)
			: s->sk >= 0   ? on_socket(s)
				       : accept_criu(s);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the end ---- */

int cpt_server_finish(struct cpt_server *s)
{
	/* pipes that it has closed before their end, and we were not told of yet */
	for (struct out *o = s->outs, *next; o; o = next) {
		int r;

		next = o->next;
		r = o->from < 0 ? give(s, o) : 0;
		if (r < 0)
			return r;
	}
	for (const struct out *o = s->outs; o; o = o->next)
		if (o->from < 0)
			return -EPROTO;
	return s->listener >= 0 ? -EPROTO : 0;
}

void cpt_server_closep(struct cpt_server **server)
{
	struct cpt_server *s = *server;

	*server = NULL;
	if (!s)
		return;
	while (s->outs)
		drop(s, s->outs);
	free_out(s->next);
	if (s->listener >= 0)
		(void)unlinkat(s->dir_fd, socket_name, 0);
	vz_closep(&s->listener);
	vz_closep(&s->sk);
	vz_closep(&s->epoll);
	vz_closep(&s->images);
	vz_closep(&s->dir_fd);
	vz_nopipe_end(&s->alone);
	free(s);
}
