/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that is fetched after the VPS has moved (post-copy). CRIU at the source hands it out, frozen processes behind it;
 * CRIU's server of pages at the target asks for it, page by page as the VPS needs them and all others in between. The
 * stream between the two is carried by a second connection, in a process of its own at either side. Whatever cuts it
 * ends both: before the commit the VPS goes on at the source, which still has all of it; after it, what runs at the target
 * is killed there and starts anew, since what is missing would read as zeros.
 */
#include "ops/sending.h"
#include "ops/taking.h"

#include "context/gate.h"
#include "ops/cpt.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum { ACCEPT_MS = 10000, NOTE_MS = 10000, NOTE_STEP_MS = 20 };

/** struct told - what the process with the second connection tells: once when it is there, once when it has ended */
struct told {
	int r;
	struct vz_error err;
};

/* ---- the source ---- */

int op_pages_stream(struct sending *s, struct vz_error *err)
{
	int sk[2], r = vz_streampair(sk);

	if (r < 0)
		return vz_fail(err, MIG_EXIT_COPY, -r, "stream for the memory");
	s->pages.ours = sk[0];
	s->pages.theirs = sk[1];
	return 0;
}

static int count(void *arg)
{
	struct sending *s = arg;

	*s->pages.sent = s->pages.link.conn.sent;
	return 0;
}

/* The connection is there, and the one who takes the VPS waits for it. */
static int connect_pages(struct sending *s, struct vz_error *err)
{
	struct op_link *l = &s->pages.link;
	int r = op_link_open(&s->a->transport, s->a->host, s->a->timeout_ms, l, err);

	if (r < 0)
		return r;
	l->conn.limit = s->a->limit;
	l->conn.tick = count;
	l->conn.tick_arg = s;
	return mig_call(&l->conn, "PAGES",
			json_pack("{sI ss}", "ctid", (json_int_t)s->j.peer_ctid, "id", s->j.id),
			NULL, err);
}

/* After the stream: what became of it there. */
static int last_word(struct mig_conn *c, struct vz_error *err)
{
	VZ_JSON json_t *j = NULL;
	struct mig_frame f;
	int r;

	do
		r = mig_recv(c, &f, err);
	while (r == 0 && (f.type == MIG_DATA || f.type == MIG_EOF)); /* of before it ended */
	if (r == 0)
		r = mig_frame_json(&f, &j, err);
	if (r == 0 && f.type == MIG_FAIL)
		r = mig_failure(j, err);
	if (r == 0 && !json_is_true(json_object_get(j, "whole")))
		r = vz_fail(err, MIG_EXIT_COPY, 0, "not all of the memory has come");
	return r;
}

static void tell(int fd, int r, const struct vz_error *err)
{
	struct told t = { .r = r };

	if (r < 0)
		t.err = *err;
	if (vz_write_all(fd, &t, sizeof(t)) < 0)
		_exit(1);
}

/* The process; our own death ends it, and so the stream. */
static void carry(struct sending *s, int out, pid_t parent) __attribute__((noreturn));

static void carry(struct sending *s, int out, pid_t parent)
{
	const struct sigaction ign = { .sa_handler = SIG_IGN };
	struct vz_error err = { 0 };
	int r;

	(void)setsid(); /* a Ctrl-C is for the others; they end us */
	(void)sigaction(SIGTERM, &ign, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
		_exit(1);
	vz_closep(&s->link.conn.in);
	if (s->link.conn.out != s->link.conn.in)
		vz_closep(&s->link.conn.out);
	r = connect_pages(s, &err);
	tell(out, r, &err);
	if (r < 0)
		_exit(1);
	r = mig_relay_one(&s->pages.link.conn, s->pages.ours, &err);
	vz_closep(&s->pages.ours);
	(void)count(s);
	if (r == 0)
		r = last_word(&s->pages.link.conn, &err);
	tell(out, r, &err);
	op_link_close(&s->pages.link);
	_exit(0);
}

static int hear(void *arg, struct vz_error *err)
{
	const struct sending *s = arg;
	struct told t = { 0 };
	size_t n = 0;

	while (n < sizeof(t)) {
		ssize_t got = read(s->pages.out, (char *)&t + n, sizeof(t) - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return vz_fail(err, MIG_EXIT_CONNECT, ECONNRESET,
				       "the connection for the memory");
		n += (size_t)got;
	}
	if (t.r < 0) {
		*err = t.err;
		err->msg[sizeof(err->msg) - 1] = '\0';
	}
	return t.r;
}

static int serve_child(void *arg, struct vz_error *err)
{
	const struct sending *s = arg;

	op_moving_hush();
	return op_mem_serve(s->o->ctid, err);
}

int op_pages_begin(struct sending *s, struct vz_error *err)
{
	pid_t parent = getpid();
	int p[2], r = vz_pipe(p);

	s->pages.sent = mmap(NULL, sizeof(*s->pages.sent), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r < 0 || s->pages.sent == MAP_FAILED)
		return vz_fail(err, MIG_EXIT_COPY, ENOMEM, "connection for the memory");
	s->pages.out = p[0];
	(void)fflush(NULL);
	s->pages.pid = fork();
	if (s->pages.pid == 0)
		carry(s, p[1], parent);
	vz_closep(&p[1]);
	vz_closep(&s->pages.ours);
	if (s->pages.pid < 0)
		return vz_fail(err, MIG_EXIT_COPY, errno, "fork");
	r = mig_busy(&s->link.conn, hear, s, err);
	if (r == 0)
		r = op_moving_exit(err, mig_busy(&s->link.conn, serve_child, s, err),
				   MIG_EXIT_STOP);
	return r;
}

int op_pages_intact(struct sending *s, struct vz_error *err)
{
	struct pollfd p = { .fd = s->pages.out, .events = POLLIN };

	if (s->pages.pid <= 0 || poll(&p, 1, 0) == 0)
		return 0;
	return hear(s, err) < 0 ? -EPIPE
				: vz_fail(err, MIG_EXIT_CONNECT, EPIPE,
					  "the connection for the memory ended");
}

int op_pages_wait(struct sending *s, struct vz_error *err)
{
	int r = mig_busy(s->link.up ? &s->link.conn : NULL, hear, s, err);

	op_pages_end(s);
	return r;
}

void op_pages_end(struct sending *s)
{
	vz_closep(&s->pages.ours);
	vz_closep(&s->pages.theirs);
	vz_closep(&s->pages.out);
	if (s->pages.pid > 0) {
		(void)kill(s->pages.pid, SIGKILL);
		(void)vz_wait(s->pages.pid);
	}
	s->pages.pid = 0;
}

/* ---- the target ---- */

static char *socket_path(uint32_t ctid, char ret[PATH_MAX])
{
	return vps_path(ret, "%s/%u/pages.sock", vps_paths()->run, ctid);
}

int op_pages_listen(struct taking *t, struct vz_error *err)
{
	char path[PATH_MAX];
	int r = vps_run_dir(t->o.ctid);

	if (t->pages >= 0)
		return 0;
	if (r == 0)
		r = vz_unix_listen(socket_path(t->o.ctid, path));
	if (r < 0)
		return vz_fail(err, MIG_EXIT_COPY, -r, "listen for the memory of VPS %u",
			       t->o.ctid);
	t->pages = r;
	return 0;
}

void op_pages_deaf(struct taking *t)
{
	char path[PATH_MAX];

	if (t->pages >= 0)
		(void)unlink(socket_path(t->o.ctid, path));
	vz_closep(&t->pages);
}

int op_pages_accept(const struct taking *t, struct vz_error *err)
{
	struct pollfd p = { .fd = t->pages, .events = POLLIN };
	int fd = -1;

	if (poll(&p, 1, ACCEPT_MS) == 1)
		fd = accept4(t->pages, NULL, NULL, SOCK_CLOEXEC);
	return fd >= 0 ? fd
		       : vz_fail(err, MIG_EXIT_CONNECT, ENOTCONN,
				 "no connection for the memory has come");
}

/* Is it the migration that is under way here? Its lock is held by the process that takes it. */
static int known(uint32_t ctid, const char *id, struct vz_error *err)
{
	MIG_JOURNAL struct mig_journal j = { 0 };
	int r = mig_journal_load(ctid, &j);

	return r == 0 && j.step == MIG_S_TAKING && !strcmp(j.id, id)
		       ? 0
		       : vz_fail(err, MIG_EXIT_PROTOCOL, r < 0 ? -r : 0,
				 "VPS %u: the target knows nothing of this migration", ctid);
}

/* vzmon's word, soon after the server of pages has ended. */
static bool all_there(struct mig_conn *c, uint32_t ctid)
{
	uint64_t until = vz_now_ms() + NOTE_MS;
	char path[PATH_MAX];
	struct vz_error err;

	(void)vps_path(path, "%s/%u/" GATE_PAGES, vps_paths()->run, ctid);
	while (vz_now_ms() < until) {
		VZ_FREE char *text = NULL;

		/* gone: the VPS was cleaned up after */
		if (vz_read_file(AT_FDCWD, path, 64, &text) < 0 || !strcmp(text, "lost\n"))
			return false;
		if (!strcmp(text, "whole\n"))
			return true;
		(void)poll(NULL, 0, NOTE_STEP_MS);
		if (mig_alive(c, &err) < 0)
			return false;
	}
	return false;
}

int op_pages_carry(struct mig_conn *c, uint32_t ctid, const char *id, json_t **ret,
		   struct vz_error *err)
{
	VZ_FD int fd = -EBADF;
	char path[PATH_MAX];
	int r = known(ctid, id, err);

	if (r < 0)
		return r;
	fd = vz_unix_connect(socket_path(ctid, path));
	if (fd < 0)
		return vz_fail(err, MIG_EXIT_PROTOCOL, -fd, "nobody waits for memory of VPS %u",
			       ctid);
	r = mig_answer(c, NULL, err);
	if (r == 0)
		r = mig_relay_one(c, fd, err);
	vz_closep(&fd);
	if (r == 0)
		*ret = json_pack("{sb}", "whole", all_there(c, ctid));
	return r;
}
