/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counters of objects: each is taken until it is refused. */
#include "tests/ubc/drive.h"

#include "util/fd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { MOST = 200 };

/* ---- one of each kind more; 0 or errno ---- */

static int take_file(void)
{
	return open("/dev/null", O_RDONLY) < 0 ? errno : 0;
}

/* flock(2) and fcntl(2) in turn */
static int take_lock(void)
{
	static int n;
	struct flock l = { .l_type = F_WRLCK, .l_len = 1 };
	int fd = memfd_create("lock", 0);

	if (fd < 0)
		return errno;
	return (n++ % 2 ? fcntl(fd, F_SETLK, &l) : flock(fd, LOCK_EX)) < 0 ? errno : 0;
}

static int take_tcp(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int take_other(void)
{
	static int n;

	return socket(n++ % 2 ? AF_INET6 : AF_UNIX, SOCK_DGRAM, 0) < 0 ? errno : 0;
}

static int take_pty(void)
{
	return open("/dev/ptmx", O_RDWR | O_NOCTTY) < 0 ? errno : 0;
}

static const struct kind {
	enum ubc_counter c;
	int (*take)(void);
	int err;
} kinds[] = {
	{ UBC_NUMFILE, take_file, ENFILE },	  { UBC_NUMFLOCK, take_lock, ENOLCK },
	{ UBC_NUMTCPSOCK, take_tcp, ENOBUFS },	  { UBC_NUMOTHERSOCK, take_other, ENOBUFS },
	{ UBC_NUMPTY, take_pty, ENOSPC },
};

static void take_all(struct told *t, int kind)
{
	while (t->n < MOST && !(t->err = kinds[kind].take()))
		t->n++;
}

/* Exactly at the limit, with the right errno; nobody else is refused; counted, noted, given back. */
static void try_kind(struct vps *v, int kind)
{
	enum { MORE = 20 };
	const struct kind *k = &kinds[kind];
	struct ubc_row *row = &v->slot->row[k->c];
	const struct ubc_refusal *note;
	uint64_t failed = row->failcnt;
	int64_t before;
	struct told t = { 0 };
	pid_t pid;

	limit(v, k->c, MOST); /* attached, what is there is counted */
	before = held(v, k->c);
	row->maxheld = (uint64_t)before;
	limit(v, k->c, (uint64_t)before + MORE);
	pid = inside(v, take_all, kind, &t);
	check(t.n == MORE && t.err == k->err, "%s: %d of %d, then %s", ubc_name(k->c), t.n, MORE, strerrorname_np(t.err));
	check(held(v, k->c) == before + MORE && row->maxheld == (uint64_t)before + MORE, "held %lld, maxheld %llu",
	      (long long)held(v, k->c), (unsigned long long)row->maxheld);
	check(row->failcnt == failed + 1, "failcnt %llu", (unsigned long long)row->failcnt);
	note = &v->slot->ring[(v->slot->refusals - 1) % UBC_RING];
	check(v->slot->refusals && note->counter == k->c && note->limit == row->limit && note->asked == 1 &&
		      note->seq == v->slot->refusals && !strcmp(note->comm, "drive"),
	      "noted: %s, by %s", ubc_name(note->counter), note->comm);
	t = (struct told){ 0 };
	while (t.n < MORE + 5 && !(t.err = k->take()))
		t.n++;
	check(t.n == MORE + 5 && !t.err, "outside %d more, and %s", t.n, t.err ? strerrorname_np(t.err) : "nothing refused");
	check(held(v, k->c) == before + MORE, "and not counted");
	finish(pid);
	settle(v, k->c, before);
}

void case_numfile(struct vps *v)
{
	try_kind(v, 0);
}

void case_numflock(struct vps *v)
{
	try_kind(v, 1);
}

void case_numtcpsock(struct vps *v)
{
	try_kind(v, 2);
}

void case_numothersock(struct vps *v)
{
	try_kind(v, 3);
}

void case_numpty(struct vps *v)
{
	try_kind(v, 4);
}

/* ---- sockets that come over the network ---- */

enum { PORT = 7777, CALLERS = 30 };

static void serve(struct told *t, int arg)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	(void)arg;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 128) < 0)
		t->err = errno;
	if (fork() == 0) /* the accepting half, which tells nobody */
		for (;;)
			(void)accept(s, NULL, NULL);
}

void case_accept(struct vps *v)
{
	enum { ROOM = 10 }; /* the listener and nine */
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int64_t before;
	int up = 0, fd[CALLERS];
	struct told t;
	pid_t pid;

	limit(v, UBC_NUMTCPSOCK, MOST);
	before = held(v, UBC_NUMTCPSOCK);
	limit(v, UBC_NUMTCPSOCK, (uint64_t)before + ROOM);
	pid = inside(v, serve, 0, &t);
	check(!t.err, "a server listens");
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < CALLERS; i++) {
		struct tcp_info info = { 0 };
		socklen_t len = sizeof(info);

		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fd[i], (struct sockaddr *)&a, sizeof(a));
		for (int n = 0; n < 20 && info.tcpi_state != TCP_ESTABLISHED && i < ROOM - 1; n++) {
			(void)getsockopt(fd[i], IPPROTO_TCP, TCP_INFO, &info, &len);
			(void)poll(NULL, 0, 5);
		}
		(void)getsockopt(fd[i], IPPROTO_TCP, TCP_INFO, &info, &len);
		up += info.tcpi_state == TCP_ESTABLISHED;
	}
	check(up == ROOM - 1, "%d of %d callers got through", up, CALLERS);
	check(held(v, UBC_NUMTCPSOCK) == before + ROOM, "held %lld", (long long)held(v, UBC_NUMTCPSOCK));
	for (int i = 0; i < CALLERS; i++)
		(void)close(fd[i]);
	(void)pid;
	kill_all(v);
	settle(v, UBC_NUMTCPSOCK, before);
}

/* Sockets that accept(2) gives are counted with each method, also by who cannot refuse the caller. */
void case_accepted(struct vps *v)
{
	enum { N = 9 };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int64_t before;
	struct told t;
	int fd[N];

	limit(v, UBC_NUMTCPSOCK, MOST);
	before = held(v, UBC_NUMTCPSOCK);
	(void)inside(v, serve, 0, &t);
	check(!t.err && held(v, UBC_NUMTCPSOCK) == before + 1, "a server listens: held %lld",
	      (long long)(held(v, UBC_NUMTCPSOCK) - before));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < N; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		check(connect(fd[i], (struct sockaddr *)&a, sizeof(a)) == 0, "a caller");
	}
	settle(v, UBC_NUMTCPSOCK, before + 1 + N);
	kill_all(v);
	settle(v, UBC_NUMTCPSOCK, before);
	for (int i = 0; i < N; i++)
		(void)close(fd[i]);
}

/* ---- files that outlive who opened them ---- */

static void open_some(struct told *t, int n)
{
	while (t->n < n && !(t->err = take_file()))
		t->n++;
}

static void open_and_leave(struct told *t, int n)
{
	pid_t child;

	open_some(t, n);
	child = fork();
	t->err = child;
	if (child == 0)
		for (;;)
			(void)pause();
}

void case_inherit(struct vps *v)
{
	int64_t before;
	struct told t;
	pid_t pid;

	limit(v, UBC_NUMFILE, 10000);
	before = held(v, UBC_NUMFILE);
	pid = inside(v, open_and_leave, 10, &t);
	finish(pid);
	check(held(v, UBC_NUMFILE) == before + 10, "who opened them is dead, its child holds 10: held %lld",
	      (long long)(held(v, UBC_NUMFILE) - before));
	if (t.err > 0)
		(void)kill(t.err, SIGKILL);
	settle(v, UBC_NUMFILE, before);
}

static int pair[2];

static void pass_one(struct told *t, int arg)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 }, c = 'x';
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int fd = open("/dev/null", O_RDONLY);

	(void)arg;
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	t->err = fd < 0 || sendmsg(pair[1], &m, 0) < 0 ? errno : 0;
}

void case_passed(struct vps *v)
{
	char room[CMSG_SPACE(sizeof(int))], c;
	struct iovec io = { &c, 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	int64_t before;
	struct told t;
	int fd = -1;

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
		return;
	limit(v, UBC_NUMFILE, 10000);
	before = held(v, UBC_NUMFILE);
	finish(inside(v, pass_one, 0, &t));
	check(!t.err && held(v, UBC_NUMFILE) == before + 1, "one is under way to us: held %lld",
	      (long long)(held(v, UBC_NUMFILE) - before));
	if (recvmsg(pair[0], &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	check(fd >= 0 && held(v, UBC_NUMFILE) == before + 1, "we have it, who opened it pays");
	(void)close(fd);
	settle(v, UBC_NUMFILE, before);
}

static void cycle(struct told *t, int n)
{
	for (; t->n < n && !t->err; t->n++) {
		int fd = open("/dev/null", O_RDONLY);

		t->err = fd < 0 ? errno : 0;
		(void)close(fd);
	}
}

void case_cycles(struct vps *v)
{
	int64_t before;
	struct told t;
	pid_t pid;

	limit(v, UBC_NUMFILE, 10000);
	before = held(v, UBC_NUMFILE);
	limit(v, UBC_NUMFILE, (uint64_t)before + 5);
	pid = inside(v, cycle, 10000, &t);
	check(t.n == 10000 && !t.err, "%d times open and close, %s", t.n, t.err ? strerrorname_np(t.err) : "none refused");
	check(held(v, UBC_NUMFILE) == before, "held %lld", (long long)(held(v, UBC_NUMFILE) - before));
	finish(pid);
}

/* A group that the tenant makes counts to the VPS. */
void case_nested(struct vps *v)
{
	struct vps inner = *v;
	struct told t;
	int64_t before;
	pid_t pid;

	limit(v, UBC_NUMFILE, 10000);
	before = held(v, UBC_NUMFILE);
	if (mkdirat(v->group, "nested", 0755) < 0 || mkdirat(v->group, "nested/deep", 0755) < 0)
		check(false, "make groups");
	inner.group = openat(v->group, "nested/deep", O_RDONLY | O_DIRECTORY);
	pid = inside(&inner, open_some, 7, &t);
	check(held(v, UBC_NUMFILE) == before + 7, "two groups below: held %lld", (long long)(held(v, UBC_NUMFILE) - before));
	finish(pid);
	settle(v, UBC_NUMFILE, before);
	for (int i = 0; i < 100 && unlinkat(v->group, "nested/deep", AT_REMOVEDIR) < 0 && errno == EBUSY; i++)
		(void)poll(NULL, 0, 10);
	(void)unlinkat(v->group, "nested", AT_REMOVEDIR);
	(void)close(inner.group);
}

/* ---- what was there before anybody counted ---- */

static void have_all(struct told *t, int arg)
{
	(void)arg;
	for (t->n = 0; t->n < 6; t->n++) {
		int err = 0;

		for (int k = 0; k < 5 && !err; k++)
			err = kinds[k].take();
		t->err = t->err ? t->err : err;
	}
}

void case_adopt(struct vps *v)
{
	static const int made[5] = { 6 * 5, 6, 6, 6, 6 }; /* all are files, too; what we brought along is the node's */
	int64_t before[5];
	struct told t;
	pid_t pid;

	for (int k = 0; k < 5; k++) {
		limit(v, kinds[k].c, 10000);
		before[k] = held(v, kinds[k].c);
	}
	limit(v, UBC_NR, 0); /* nobody counts now */
	check(ubc_head(v->t)->attached == 0, "no programs are attached: %x", ubc_head(v->t)->attached);
	pid = inside(v, have_all, 0, &t);
	check(!t.err, "six of each");
	for (int k = 0; k < 5; k++) {
		limit(v, kinds[k].c, 10000);
		check(held(v, kinds[k].c) - before[k] == made[k], "%s: %lld taken in, there are %d", ubc_name(kinds[k].c),
		      (long long)(held(v, kinds[k].c) - before[k]), made[k]);
	}
	finish(pid);
	settle(v, kinds[4].c, before[4]);
}

/* ---- records whose object has gone unseen ---- */

static void have_memory_too(struct told *t, int arg)
{
	(void)mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	have_all(t, arg);
}

void case_sweep(struct vps *v)
{
	static struct ubc_dead d;
	uint64_t limits[UBC_NR];
	struct vz_error err = { 0 };
	struct told t;
	pid_t pid;

	for (int i = 0; i < UBC_NR; i++)
		limits[i] = ubc_group_of(i) < 0 ? INT64_MAX : 1 << 24;
	check(ubc_limits(v->ctid, limits, limits, &err) == 0, "limits %s", err.msg);
	pid = inside(v, have_memory_too, 0, &t);
	check(!t.err && held(v, UBC_NUMFILE) >= 30 && held(v, UBC_NUMFLOCK) >= 6 && held(v, UBC_PRIVVMPAGES) > 0,
	      "six of each");
	check(ubc_sweep(&d) == 0, "all of them live: %u", d.n);
	check(ghost(v) == 0 && ubc_sweep(&d) == 1 && d.at[0].group == UBC_G_FILE, "one more, which is not there: %u", d.n);
	check(ubc_place_del(UBC_G_FILE, d.at[0].key) == 0 && ubc_sweep(&d) == 0, "its record goes");
	finish(pid);
}

/* ---- what a refusal says ---- */

/* In a PID namespace below the node's, the second process opens until it is refused. */
static void second_takes(struct told *t, int arg)
{
	pid_t pid;
	int status = 0;

	(void)arg;
	t->err = unshare(CLONE_NEWPID) < 0 ? errno : 0;
	pid = fork();
	if (pid == 0) {
		pid = fork();
		for (t->n = 0; pid == 0 && t->n < MOST && !take_file(); t->n++)
			;
		if (pid == 0)
			_exit(t->n == MOST);
		(void)waitpid(pid, &status, 0);
		_exit(WEXITSTATUS(status));
	}
	(void)waitpid(pid, &status, 0);
	t->n = WEXITSTATUS(status);
}

void case_pid(struct vps *v)
{
	const struct ubc_refusal *note;
	struct told t;

	limit(v, UBC_NUMFILE, MOST);
	limit(v, UBC_NUMFILE, (uint64_t)held(v, UBC_NUMFILE) + 5);
	finish(inside(v, second_takes, 0, &t));
	note = &v->slot->ring[(v->slot->refusals - 1) % UBC_RING];
	check(!t.err && t.n == 0 && v->slot->refusals && note->counter == UBC_NUMFILE && note->pid == 2,
	      "the refused one is process %u inside", note->pid);
}

/* ---- a table that another version made ---- */

void case_layout(struct vps *v)
{
	const int64_t most = MOST;
	struct ubc_table *t = NULL;
	struct ubc_slot *s;
	struct told told;
	pid_t pid;
	int r;

	limit(v, UBC_NUMFILE, MOST);
	pid = inside(v, open_some, 7, &told);
	ubc_head(v->t)->nr = UBC_NR - 1; /* as if it had one counter less */
	r = ubc_table_open(false, &t);
	check(r == -ESTALE, "it is not taken for ours: %d", r);
	r = system("./vz-ubc load");
	check(r == 0, "vz-ubc load: %x", r);
	r = ubc_table_open(true, &t);
	s = r == 0 ? ubc_slot(t, v->ctid) : NULL;
	if (check(s, "the table is there, and the VPS in it: %d", r)) {
		v->t = t; /* for what comes after us */
		v->slot = s;
		check((int64_t)s->row[UBC_NUMFILE].limit == most && held(v, UBC_NUMFILE) == 7, "its limit, and the 7 files it has: %lld",
		      (long long)held(v, UBC_NUMFILE));
		check(s->row[UBC_SWAPPAGES].limit == INT64_MAX, "what the other did not know is unlimited");
	}
	finish(pid);
	settle(v, UBC_NUMFILE, 0);
}
