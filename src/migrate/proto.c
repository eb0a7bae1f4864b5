/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames: what is on the wire between two vzmigrate. */
#include "migrate/migrate.h"

#include "util/fd.h"
#include "util/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <zlib.h>

#define MAGIC UINT32_C(0x565a4d31) /* "VZM1" */

enum { PING_MS = 5000, TICK_MS = 1000, BURST_MS = 200 };

/* ---- the bytes ---- */

static void put32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t checksum(const unsigned char *head, const void *payload, uint32_t len)
{
	uLong crc = crc32(0, head, MIG_HEAD - 4);

	return (uint32_t)(len ? crc32(crc, payload, len) : crc);
}

void mig_frame_head(uint32_t seq, enum mig_type type, const void *payload, uint32_t len,
		    unsigned char ret[MIG_HEAD])
{
	put32(ret, MAGIC);
	put32(ret + 4, seq);
	put32(ret + 8, (uint32_t)type);
	put32(ret + 12, len);
	put32(ret + 16, checksum(ret, payload, len));
}

int mig_frame_parse(const unsigned char head[MIG_HEAD], struct mig_frame *ret)
{
	uint32_t type = get32(head + 8), len = get32(head + 12);

	if (get32(head) != MAGIC || type < MIG_CALL || type >= MIG_TYPES)
		return -EBADMSG;
	if (len > MIG_PAYLOAD_MAX || ((type == MIG_EOF || type == MIG_PING) && len > 0))
		return -EMSGSIZE;
	ret->seq = get32(head + 4);
	ret->type = (enum mig_type)type;
	ret->len = len;
	ret->crc = get32(head + 16);
	return 0;
}

bool mig_frame_intact(const unsigned char head[MIG_HEAD], const void *payload, uint32_t len)
{
	return get32(head + 16) == checksum(head, payload, len);
}

/* ---- the connection ---- */

static int unblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

/* How long poll may wait: pings and ticks are due. */
static int nap_ms(const struct mig_conn *c)
{
	return c->timeout_ms / 4 < TICK_MS ? c->timeout_ms / 4 + 1 : TICK_MS;
}

int mig_conn_init(struct mig_conn *c, int in, int out, int timeout_ms)
{
	int r = unblock(in);

	*c = (struct mig_conn){ .in = in, .out = out, .timeout_ms = timeout_ms };
	if (r == 0 && out != in)
		r = unblock(out);
	c->rd = malloc(MIG_HEAD + MIG_PAYLOAD_MAX);
	c->wr = malloc(MIG_HEAD + MIG_PAYLOAD_MAX);
	c->last_in = c->last_out = c->since = vz_now_ms();
	return r < 0 ? r : c->rd && c->wr ? 0 : -ENOMEM;
}

void mig_conn_end(struct mig_conn *c)
{
	if (c->out != c->in)
		vz_closep(&c->out);
	vz_closep(&c->in);
	c->out = -EBADF;
	vz_freep(&c->rd);
	vz_freep(&c->wr);
}

static int cut(struct vz_error *err, int sys, const char *what)
{
	return vz_fail(err, MIG_EXIT_CONNECT, sys, "connection: %s", what);
}

static int nonsense(struct vz_error *err, const char *what)
{
	return vz_fail(err, MIG_EXIT_PROTOCOL, EBADMSG, "connection: %s", what);
}

bool mig_link_broken(const struct vz_error *err)
{
	return err->exit == MIG_EXIT_CONNECT || err->exit == MIG_EXIT_PROTOCOL;
}

static void queue(struct mig_conn *c, enum mig_type type, const void *payload, size_t len)
{
	mig_frame_head(c->seq_out++, type, payload, (uint32_t)len, c->wr);
	if (len && payload != c->wr + MIG_HEAD)
		memcpy(c->wr + MIG_HEAD, payload, len);
	c->wr_len = MIG_HEAD + len;
	c->wr_off = 0;
}

static bool queued(const struct mig_conn *c)
{
	return c->wr_off < c->wr_len;
}

/* As much of the queued frame as the link takes. */
static int flush(struct mig_conn *c, struct vz_error *err)
{
	while (queued(c)) {
		ssize_t n = write(c->out, c->wr + c->wr_off, c->wr_len - c->wr_off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return cut(err, errno, "write");
		c->wr_off += (size_t)n;
		c->last_out = vz_now_ms();
	}
	return 0;
}

/* As much as there is, up to one frame. Return: 1 it is whole (@ret), 0 not yet, -errno. */
static int fill(struct mig_conn *c, struct mig_frame *ret, struct vz_error *err)
{
	for (;;) {
		size_t want = MIG_HEAD;
		ssize_t n;

		/* a greeting of a login shell is no head and may be shorter than one */
		if (c->rd_len >= 4 && get32(c->rd) != MAGIC)
			return nonsense(err, "this is no frame");
		if (c->rd_len >= MIG_HEAD) {
			if (mig_frame_parse(c->rd, ret) < 0)
				return nonsense(err, "this is no frame");
			want += ret->len;
		}
		if (c->rd_len >= MIG_HEAD && c->rd_len == want)
			break;
		n = read(c->in, c->rd + c->rd_len, want - c->rd_len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return cut(err, errno, "read");
		if (n == 0)
			return cut(err, EPIPE,
				   c->rd_len ? "it ended within a frame" : "the other side ended");
		c->rd_len += (size_t)n;
		c->last_in = vz_now_ms();
	}
	if (!mig_frame_intact(c->rd, c->rd + MIG_HEAD, ret->len))
		return nonsense(err, "a frame is damaged (checksum)");
	if (ret->seq != c->seq_in++)
		return nonsense(err, "a frame is missing or came twice");
	ret->payload = c->rd + MIG_HEAD;
	c->rd_len = 0;
	return 1;
}

/* What is due by the clock. @hears: we read, so that silence means something. */
static int on_time(struct mig_conn *c, bool hears, struct vz_error *err)
{
	uint64_t now = vz_now_ms();

	if (!hears)
		c->last_in = now;
	if (now - c->last_in > (uint64_t)c->timeout_ms)
		return cut(err, ETIMEDOUT, "nothing came from the other side");
	if (queued(c) && now - c->last_out > (uint64_t)c->timeout_ms)
		return cut(err, ETIMEDOUT, "the other side takes nothing");
	if (!queued(c) &&
	    now - c->last_out >=
		    (c->timeout_ms / 4 < PING_MS ? (uint64_t)c->timeout_ms / 4 : PING_MS))
		queue(c, MIG_PING, NULL, 0);
	if (c->tick && now - c->last_tick >= TICK_MS) {
		c->last_tick = now;
		if (c->tick(c->tick_arg) < 0)
			return vz_fail(err, MIG_EXIT_TERMINATED, EINTR, "Cancelling");
	}
	return flush(c, err);
}

int mig_alive(struct mig_conn *c, struct vz_error *err)
{
	return on_time(c, false, err);
}

/* Wait at most TICK_MS for what @p asks. EINTR is a reason to look at the clock as well. */
static int wait_for(struct pollfd *p, nfds_t n, int ms, struct vz_error *err)
{
	int r = poll(p, n, ms);

	if (r < 0 && errno != EINTR)
		return cut(err, errno, "poll");
	if (r < 0)
		for (nfds_t i = 0; i < n; i++)
			p[i].revents = 0;
	return 0;
}

static int drain(struct mig_conn *c, struct vz_error *err)
{
	int r = flush(c, err);

	while (r == 0 && queued(c)) {
		struct pollfd p = { .fd = c->out, .events = POLLOUT };

		r = wait_for(&p, 1, nap_ms(c), err);
		if (r == 0)
			r = on_time(c, false, err);
	}
	return r;
}

int mig_send(struct mig_conn *c, enum mig_type type, const void *payload, size_t len,
	     struct vz_error *err)
{
	int r = drain(c, err); /* a ping may be under way */

	if (r < 0)
		return r;
	if (len > MIG_PAYLOAD_MAX)
		return nonsense(err, "a message is too long");
	c->last_out = vz_now_ms();
	queue(c, type, payload, len);
	return drain(c, err);
}

int mig_send_json(struct mig_conn *c, enum mig_type type, const json_t *j, struct vz_error *err)
{
	VZ_FREE char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

	if (!text)
		return vz_fail(err, MIG_EXIT_PROTOCOL, ENOMEM, "message");
	return mig_send(c, type, text, strlen(text), err);
}

int mig_recv(struct mig_conn *c, struct mig_frame *ret, struct vz_error *err)
{
	int r = drain(c, err);

	c->last_in = vz_now_ms();
	while (r == 0) {
		struct pollfd p = { .fd = c->in, .events = POLLIN };

		r = fill(c, ret, err);
		if (r < 0 || (r == 1 && ret->type != MIG_PING))
			break;
		if (r == 1)
			r = 0;
		else
			r = wait_for(&p, 1, nap_ms(c), err);
		if (r == 0)
			r = on_time(c, true, err);
	}
	return r < 0 ? r : 0;
}

int mig_frame_json(const struct mig_frame *f, json_t **ret, struct vz_error *err)
{
	if (vz_json_parse((const char *)f->payload, f->len, ret) < 0)
		return nonsense(err, "a message is no JSON object");
	return 0;
}

/* ---- calls ---- */

int mig_failure(const json_t *j, struct vz_error *err)
{
	json_int_t exit = vz_json_int(j, "exit", MIG_EXIT_PROTOCOL);
	json_int_t sys = vz_json_int(j, "sys", 0);
	const char *msg = vz_json_str(j, "message");
	char shown[400];

	*err = (struct vz_error){ 0 };
	(void)vz_fail(err, exit > 0 && exit < 256 ? (int)exit : MIG_EXIT_PROTOCOL, 0, "%s",
		      vz_quote(shown, sizeof(shown), *msg ? msg : "it failed there"));
	err->sys = sys > 0 && sys < 4096 ? (int)sys : 0;
	return err->sys ? -err->sys : -EPROTO;
}

/* An answer. Return: 0; what the other side says went wrong. */
static int answer(struct mig_conn *c, json_t **ret, struct vz_error *err)
{
	VZ_JSON json_t *j = NULL;
	struct mig_frame f;
	int r = mig_recv(c, &f, err);

	if (r == 0 && f.type != MIG_OK && f.type != MIG_FAIL)
		return nonsense(err, "no answer where one was due");
	if (r == 0)
		r = mig_frame_json(&f, &j, err);
	if (r < 0)
		return r;
	if (f.type == MIG_FAIL)
		return mig_failure(j, err);
	if (ret)
		*ret = vz_take_ptr(&j);
	return 0;
}

int mig_call(struct mig_conn *c, const char *verb, json_t *args, json_t **ret, struct vz_error *err)
{
	VZ_JSON json_t *j = args ? args : json_object();
	int r = 0;

	if (!j || json_object_set_new(j, "verb", json_string(verb)) < 0)
		return vz_fail(err, MIG_EXIT_PROTOCOL, ENOMEM, "verb %s", verb);
	r = mig_send_json(c, MIG_CALL, j, err);
	return r < 0 ? r : answer(c, ret, err);
}

int mig_answer(struct mig_conn *c, json_t *j, struct vz_error *err)
{
	VZ_JSON json_t *own = j ? j : json_object();

	return mig_send_json(c, MIG_OK, own, err);
}

int mig_refuse(struct mig_conn *c, const struct vz_error *why, struct vz_error *err)
{
	VZ_JSON json_t *msg = vz_json_text(why->msg);
	VZ_JSON json_t *j =
		msg ? json_pack("{si si sO}", "exit", why->exit, "sys", why->sys, "message", msg)
		    : NULL;

	return mig_send_json(c, MIG_FAIL, j, err);
}

/* ---- long work ---- */

struct outcome {
	int r;
	struct vz_error err;
};

static void work(int fd, int (*fn)(void *, struct vz_error *), void *arg)
{
	struct outcome o = { 0 };

	o.r = fn(arg, &o.err);
	(void)fflush(NULL);
	_exit(vz_write_all(fd, &o, sizeof(o)) < 0);
}

static int wait_outcome(struct mig_conn *c, int fd, struct outcome *ret)
{
	struct vz_error err;
	size_t n = 0;

	while (n < sizeof(*ret)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t got;

		if (poll(&p, 1, c ? nap_ms(c) : TICK_MS) <= 0) {
			/* silence of the other side is looked at when we listen again */
			if (c && on_time(c, false, &err) < 0)
				c = NULL;
			continue;
		}
		got = read(fd, (char *)ret + n, sizeof(*ret) - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -ECHILD;
		n += (size_t)got;
	}
	return 0;
}

static volatile sig_atomic_t busy_pid;

void mig_busy_signal(int sig)
{
	int saved = errno;

	if (busy_pid > 0)
		(void)kill((pid_t)busy_pid, sig);
	errno = saved;
}

int mig_busy(struct mig_conn *c, int (*fn)(void *arg, struct vz_error *err), void *arg,
	     struct vz_error *err)
{
	struct outcome o = { 0 };
	VZ_FD int rd = -EBADF;
	VZ_FD int wr = -EBADF;
	int p[2], r = vz_pipe(p);
	sig_atomic_t outer;
	pid_t pid;

	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "pipe");
	rd = p[0];
	wr = p[1];
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "fork");
	if (pid == 0) {
		busy_pid = 0;
		work(wr, fn, arg);
	}
	outer = busy_pid;
	if (!outer)
		busy_pid = pid;
	vz_closep(&wr);
	r = wait_outcome(c, rd, &o);
	busy_pid = outer;
	(void)vz_wait(pid);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, ECHILD, "a helper process died");
	if (o.r < 0) {
		o.err.msg[sizeof(o.err.msg) - 1] = '\0';
		*err = o.err;
	}
	return o.r;
}

/* ---- streams ---- */

/* Milliseconds until more may be sent; 0: now. */
static int throttle(struct mig_conn *c)
{
	uint64_t now = vz_now_ms(), due;

	if (!c->limit)
		return 0;
	/* what was not used a while ago is not saved up */
	due = c->since_sent * 1000 / c->limit;
	if (c->since + due + BURST_MS < now) {
		c->since = now - BURST_MS;
		c->since_sent = 0;
		due = 0;
	}
	return c->since + due > now ? (int)(c->since + due - now) : 0;
}

static void count_sent(struct mig_conn *c, size_t n)
{
	c->sent += n;
	c->since_sent += n;
}

/** struct relay - the local end of a stream */
struct relay {
	struct mig_conn *c;
	int fd;
	bool in_end, out_end; /* the local stream has ended; the other side's has */
	bool one_end; /* an end of either is the end of both */
	bool deaf; /* nobody reads at the local end any more */
	unsigned char pend[MIG_PAYLOAD_MAX];
	size_t pend_len, pend_off;
};

static int from_local(struct relay *s, struct vz_error *err)
{
	struct mig_conn *c = s->c;
	size_t most = c->limit && c->limit / 5 < MIG_PAYLOAD_MAX ? (size_t)(c->limit / 5) + 1
								 : MIG_PAYLOAD_MAX;
	ssize_t n = read(s->fd, c->wr + MIG_HEAD, most);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) { /* a reset is an end too: rsync's exit status tells */
		s->in_end = true;
		queue(c, MIG_EOF, NULL, 0);
	} else {
		count_sent(c, (size_t)n);
		queue(c, MIG_DATA, c->wr + MIG_HEAD, (size_t)n);
	}
	return flush(c, err);
}

static void to_local(struct relay *s)
{
	while (s->pend_off < s->pend_len) {
		ssize_t n = s->deaf ? (ssize_t)(s->pend_len - s->pend_off)
				    : send(s->fd, s->pend + s->pend_off, s->pend_len - s->pend_off,
					   MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno != EINTR)
			s->deaf = true;
		if (n > 0)
			s->pend_off += (size_t)n;
	}
	s->pend_off = s->pend_len = 0;
	if (s->out_end && !s->deaf) {
		(void)shutdown(s->fd, SHUT_WR);
		s->deaf = true;
	}
}

static int from_link(struct relay *s, struct vz_error *err)
{
	struct mig_frame f;
	int r = fill(s->c, &f, err);

	if (r <= 0)
		return r;
	if (f.type == MIG_PING)
		return 0;
	if (f.type == MIG_EOF)
		s->out_end = true;
	else if (f.type != MIG_DATA || s->out_end)
		return nonsense(err, "something else within a stream");
	if (f.type == MIG_DATA) {
		memcpy(s->pend, f.payload, f.len);
		s->pend_len = f.len;
		s->c->heard += f.len;
	}
	to_local(s);
	return 0;
}

static int relay_once(struct relay *s, struct vz_error *err)
{
	enum { LOCAL, IN, OUT };
	struct mig_conn *c = s->c;
	bool hears = s->pend_len == 0 && !s->out_end;
	int late = throttle(c), ms = late && late < nap_ms(c) ? late : nap_ms(c);
	struct pollfd p[] = {
		[LOCAL] = { .fd = s->fd },
		[IN] = { .fd = hears ? c->in : -1, .events = POLLIN },
		[OUT] = { .fd = queued(c) ? c->out : -1, .events = POLLOUT },
	};
	int r;

	if (!s->in_end && !queued(c) && !late)
		p[LOCAL].events |= POLLIN;
	if (s->pend_len)
		p[LOCAL].events |= POLLOUT;
	if (!p[LOCAL].events)
		p[LOCAL].fd = -1;
	r = wait_for(p, 3, ms, err);
	if (r == 0 && p[OUT].revents)
		r = flush(c, err);
	if (r == 0 && p[LOCAL].revents && s->pend_len)
		to_local(s);
	if (r == 0 && (p[LOCAL].revents & (POLLIN | POLLHUP | POLLERR)) && !s->in_end &&
	    !queued(c) && !late)
		r = from_local(s, err);
	if (r == 0 && p[IN].revents)
		r = from_link(s, err);
	return r < 0 ? r : on_time(c, hears, err);
}

static bool relayed(const struct relay *s)
{
	if (s->pend_len)
		return false;
	return s->one_end ? s->in_end || s->out_end : s->in_end && s->out_end;
}

static int relay(struct mig_conn *c, int fd, bool one_end, struct vz_error *err)
{
	VZ_FREE struct relay *s = calloc(1, sizeof(*s));
	int r = drain(c, err);

	if (!s)
		return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "stream");
	s->c = c;
	s->fd = fd;
	s->one_end = one_end;
	if (r == 0 && unblock(fd) < 0)
		r = cut(err, errno, "local stream");
	c->last_in = vz_now_ms();
	c->in_stream = true;
	while (r == 0 && !relayed(s))
		r = relay_once(s, err);
	if (r < 0)
		return r;
	c->in_stream = false;
	return drain(c, err);
}

int mig_relay(struct mig_conn *c, int fd, struct vz_error *err)
{
	return relay(c, fd, false, err);
}

int mig_relay_one(struct mig_conn *c, int fd, struct vz_error *err)
{
	return relay(c, fd, true, err);
}

/** struct maker - what a child makes of a stream */
struct maker {
	int fd;
	int (*fn)(int fd, void *arg, struct vz_error *err);
	void *arg;
};

static int make_stream(void *arg, struct vz_error *err)
{
	struct maker *m = arg;
	int r = m->fn(m->fd, m->arg, err);

	(void)shutdown(m->fd, SHUT_RDWR);
	return r;
}

int mig_stream(struct mig_conn *c, int (*fn)(int fd, void *arg, struct vz_error *err), void *arg,
	       struct vz_error *err)
{
	struct outcome o = { 0 };
	struct maker m = { .fn = fn, .arg = arg };
	VZ_FD int sk = -EBADF;
	VZ_FD int rd = -EBADF;
	int p[2], pair[2], r = vz_streampair(pair), end;
	pid_t pid;

	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "socketpair");
	sk = pair[0];
	m.fd = pair[1];
	r = vz_pipe(p);
	if (r < 0) {
		vz_closep(&m.fd);
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "pipe");
	}
	rd = p[0];
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		busy_pid = 0;
		vz_closep(&sk); /* whose end is to be seen */
		work(p[1], make_stream, &m);
	}
	vz_closep(&m.fd);
	vz_closep(&p[1]);
	if (pid < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, errno, "fork");
	r = mig_relay(c, sk, err);
	vz_closep(&sk);
	end = wait_outcome(NULL, rd, &o);
	(void)vz_wait(pid);
	if (r < 0)
		return r;
	if (end < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, ECHILD, "a helper process died");
	if (o.r < 0) {
		o.err.msg[sizeof(o.err.msg) - 1] = '\0';
		*err = o.err;
	}
	return o.r;
}

int mig_send_file(struct mig_conn *c, int fd, struct vz_error *err)
{
	VZ_FREE unsigned char *buf = malloc(MIG_PAYLOAD_MAX);
	int r = buf ? 0 : vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "file");

	c->in_stream = true;
	while (r == 0) {
		int late = throttle(c);
		ssize_t n;

		if (late) {
			(void)poll(NULL, 0, late < TICK_MS ? late : TICK_MS);
			r = on_time(c, false, err);
			continue;
		}
		n = read(fd, buf, MIG_PAYLOAD_MAX);
		if (n < 0)
			return vz_fail(err, MIG_EXIT_COPY, errno, "read a file");
		if (n == 0)
			break;
		count_sent(c, (size_t)n);
		r = mig_send(c, MIG_DATA, buf, (size_t)n, err);
		if (r == 0)
			r = on_time(c, false, err);
	}
	if (r < 0)
		return r;
	c->in_stream = false;
	return mig_send(c, MIG_EOF, NULL, 0, err);
}

int mig_recv_file(struct mig_conn *c, int fd, uint64_t max, struct vz_error *err)
{
	uint64_t total = 0;
	int bad = 0;

	for (;;) {
		struct mig_frame f;
		int r = mig_recv(c, &f, err);

		if (r < 0)
			return r;
		if (f.type == MIG_EOF)
			break;
		if (f.type != MIG_DATA)
			return nonsense(err, "something else within a file");
		total += f.len;
		c->heard += f.len;
		/* a full disk is told after the stream, where an answer is due */
		if (!bad && total > max)
			bad = EFBIG;
		if (!bad && (r = vz_write_all(fd, f.payload, f.len)) < 0)
			bad = -r;
	}
	return bad ? vz_fail(err, bad == ENOSPC ? MIG_EXIT_SPACE : MIG_EXIT_COPY, bad,
			     "write a file")
		   : 0;
}
