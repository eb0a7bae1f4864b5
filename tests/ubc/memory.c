/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counters of pages, and everything at once. */
#include "tests/ubc/drive.h"

#include "util/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { MIB = 1 << 20, MIB_PAGES = 256, ROOM = 20000 };

static void *map_at(size_t bytes, int flags)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static bool map(size_t bytes, int flags)
{
	return map_at(bytes, flags) != MAP_FAILED;
}

static void map_all(struct told *t, int flags)
{
	while (t->n < 200 && map(MIB, flags))
		t->n++;
	t->err = t->n < 200 ? errno : 0;
}

static void try_memory(struct vps *v, int flags)
{
	int64_t before;
	void *outside;
	struct told t;
	pid_t pid;

	limit(v, UBC_PRIVVMPAGES, 1 << 24);
	before = held(v, UBC_PRIVVMPAGES);
	limit(v, UBC_PRIVVMPAGES, (uint64_t)before + ROOM);
	pid = inside(v, map_all, flags, &t);
	check(t.n > 0 && t.err == ENOMEM, "%d MiB, then %s", t.n, t.err ? strerrorname_np(t.err) : "nothing refused");
	check(held(v, UBC_PRIVVMPAGES) <= before + ROOM + (flags ? MIB_PAGES : 0) &&
		      held(v, UBC_PRIVVMPAGES) > before + ROOM - MIB_PAGES,
	      "held %lld of %d pages", (long long)(held(v, UBC_PRIVVMPAGES) - before), ROOM);
	outside = map_at((size_t)64 * MIB, 0);
	check(outside != MAP_FAILED && munmap(outside, (size_t)64 * MIB) == 0, "64 MiB more outside");
	finish(pid);
	settle(v, UBC_PRIVVMPAGES, before);
}

void case_privvmpages(struct vps *v)
{
	try_memory(v, 0);
	try_memory(v, MAP_NORESERVE); /* one mapping may reach above it */
}

static void fork_all(struct told *t, int arg)
{
	pid_t pid;

	(void)arg;
	if (!map(8 * MIB, 0))
		return;
	while (t->n < 40 && (pid = fork()) >= 0) {
		if (pid == 0)
			for (;;)
				(void)pause();
		t->n++;
	}
	t->err = t->n < 40 ? errno : 0;
}

/* The copy of an address space counts whole. */
void case_fork(struct vps *v)
{
	int64_t before;
	struct told t;
	pid_t pid;

	limit(v, UBC_PRIVVMPAGES, 1 << 24);
	before = held(v, UBC_PRIVVMPAGES);
	limit(v, UBC_PRIVVMPAGES, (uint64_t)before + ROOM);
	pid = inside(v, fork_all, 0, &t);
	check(t.n > 1 && t.n < 10 && t.err == ENOMEM, "%d copies of 8 MiB, then %s", t.n,
	      t.err ? strerrorname_np(t.err) : "nothing refused");
	check(held(v, UBC_PRIVVMPAGES) <= before + ROOM, "held %lld", (long long)(held(v, UBC_PRIVVMPAGES) - before));
	(void)pid;
	kill_all(v);
	settle(v, UBC_PRIVVMPAGES, before);
}

static void lock_pages(struct told *t, int arg)
{
	char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	if (mlock(p, MIB / 2) < 0) {
		t->err = errno;
		return;
	}
	(void)munlock(p, MIB / 4);
	while (t->n < 10 && map(MIB / 16, MAP_LOCKED))
		t->n++;
	t->err = t->n < 10 ? errno : 0;
}

/* Everything from now on, without asking for it each time */
static void lock_future(struct told *t, int arg)
{
	(void)arg;
	if (mlockall(MCL_FUTURE) < 0)
		return;
	while (t->n < 20 && map(MIB / 16, 0))
		t->n++;
	t->err = t->n < 20 ? errno : 0;
}

void case_lockedpages(struct vps *v)
{
	int64_t before;
	struct told t;
	pid_t pid;

	limit(v, UBC_LOCKEDPAGES, 1 << 20);
	before = held(v, UBC_LOCKEDPAGES);
	limit(v, UBC_LOCKEDPAGES, (uint64_t)before + 96);
	pid = inside(v, lock_pages, 0, &t);
	/* 64 pages by mlock(2), and mappings of 16 up to 96 */
	check(t.n == 2 && t.err == EAGAIN, "%d mappings, then %s", t.n, t.err ? strerrorname_np(t.err) : "nothing refused");
	check(held(v, UBC_LOCKEDPAGES) == before + 96, "held %lld", (long long)(held(v, UBC_LOCKEDPAGES) - before));
	finish(pid);
	settle(v, UBC_LOCKEDPAGES, before);
	pid = inside(v, lock_future, 0, &t);
	check(t.n >= 5 && t.n <= 6 && t.err == EAGAIN, "%d mappings after mlockall, then %s", t.n,
	      t.err ? strerrorname_np(t.err) : "nothing refused");
	finish(pid);
	settle(v, UBC_LOCKEDPAGES, before);
}

/* ---- shared memory ---- */

enum { SHARED = 64, PAGE = 4096 };

/* Pages of a file without a name, until no more are given. @arg: above 0: cut to so many then */
static void shared_file(struct told *t, int arg)
{
	static char page[PAGE];
	int fd = memfd_create("x", 0);

	while (t->n < 200 && write(fd, page, PAGE) == PAGE)
		t->n++;
	t->err = t->n < 200 ? errno : 0;
	if (arg)
		(void)!ftruncate(fd, (off_t)arg * PAGE);
}

/* Half of it by a mapping that a child has, too, and that is touched; more than the rest is refused. */
static void shared_mapping(struct told *t, int arg)
{
	char *p = mmap(NULL, SHARED / 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	if (p == MAP_FAILED)
		return;
	for (int i = 0; i < SHARED / 2; i++)
		p[i * PAGE] = 1;
	if (fork() == 0) {
		p[0] = 2;
		for (;;)
			(void)pause();
	}
	t->n = 1;
	if (mmap(NULL, (SHARED / 2 + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		t->err = errno;
}

static void shared_segment(struct told *t, int arg)
{
	int id = shmget(IPC_PRIVATE, SHARED / 2 * PAGE, 0600), more;
	void *p = id < 0 ? (void *)-1 : shmat(id, NULL, 0);

	(void)arg;
	t->n = p != (void *)-1;
	more = shmget(IPC_PRIVATE, (SHARED / 2 + 1) * PAGE, 0600);
	t->err = more < 0 ? errno : 0;
	(void)shmctl(id, IPC_RMID, NULL);
	if (more >= 0)
		(void)shmctl(more, IPC_RMID, NULL);
}

/* What is there before anybody counts: a file, and a mapping whose file is closed */
static void shared_before(struct told *t, int arg)
{
	static char pages[16 * PAGE];
	int fd = memfd_create("x", 0), other = memfd_create("y", 0);
	char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);

	(void)arg;
	t->n = write(fd, pages, sizeof(pages)) == (ssize_t)sizeof(pages) && ftruncate(other, 8 * PAGE) == 0 &&
	       p != MAP_FAILED;
	for (int i = 0; t->n && i < 8; i++)
		p[i * PAGE] = 1;
	(void)close(other);
}

static void try_shared(struct vps *v, void (*body)(struct told *t, int arg), int arg, int n, int err, int left)
{
	int64_t before;
	struct told t;
	pid_t pid;

	limit(v, UBC_SHMPAGES, 1 << 24);
	before = held(v, UBC_SHMPAGES);
	limit(v, UBC_SHMPAGES, (uint64_t)before + SHARED);
	/* the most so far may be of another limit */
	__atomic_store_n(&v->slot->row[UBC_SHMPAGES].maxheld, (uint64_t)before, __ATOMIC_RELAXED);
	pid = inside(v, body, arg, &t);
	check(t.n == n && t.err == err, "%d of %d, then %s", t.n, n, t.err ? strerrorname_np(t.err) : "nothing refused");
	check(held(v, UBC_SHMPAGES) == before + left, "held %lld of %d pages",
	      (long long)(held(v, UBC_SHMPAGES) - before), left);
	check(v->slot->row[UBC_SHMPAGES].maxheld <= v->slot->row[UBC_SHMPAGES].limit, "at most %llu",
	      (unsigned long long)v->slot->row[UBC_SHMPAGES].maxheld);
	(void)pid;
	kill_all(v);
	settle(v, UBC_SHMPAGES, before);
}

void case_shmpages(struct vps *v)
{
	struct told t;
	pid_t pid;
	int64_t before;
	int fd;

	try_shared(v, shared_file, 0, SHARED, ENOSPC, SHARED);
	try_shared(v, shared_file, 16, SHARED, ENOSPC, 16);
	try_shared(v, shared_mapping, 0, 1, ENOMEM, SHARED / 2);
	try_shared(v, shared_segment, 0, 1, ENOMEM, SHARED / 2);
	/* outside nothing is refused */
	limit(v, UBC_SHMPAGES, 0);
	fd = memfd_create("x", 0);
	check(fd >= 0 && fallocate(fd, 0, 0, MIB) == 0, "1 MiB outside");
	(void)close(fd);
	before = held(v, UBC_SHMPAGES);
	limit(v, UBC_NR, 0);
	pid = inside(v, shared_before, 0, &t);
	limit(v, UBC_SHMPAGES, 1 << 20);
	check(t.n == 1 && held(v, UBC_SHMPAGES) == before + 24, "held %lld of 24 pages from before",
	      (long long)(held(v, UBC_SHMPAGES) - before));
	finish(pid);
	settle(v, UBC_SHMPAGES, before);
}

/* ---- four processes that do everything at once, until they are killed in the middle of it ---- */

static void round_of_all(int n)
{
	int fd[8], sv[2], lock = memfd_create("x", 0);
	pid_t pid;

	for (int i = 0; i < 8; i++)
		fd[i] = open("/dev/null", O_RDONLY);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0) {
		(void)close(sv[0]);
		(void)close(sv[1]);
	}
	(void)close(socket(AF_INET, SOCK_STREAM, 0));
	(void)flock(lock, LOCK_EX);
	(void)close(lock);
	if (n % 8 == 0)
		(void)close(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	if (n % 8 == 4) {
		pid = fork();
		if (pid == 0)
			_exit(map(MIB, 0) ? 0 : 1);
		(void)waitpid(pid, NULL, 0);
	}
	for (int i = 0; i < 8; i++)
		(void)close(fd[i]);
}

static void storm(struct told *t, int arg)
{
	t->n = arg;
	for (int i = 0; i < 4; i++)
		if (fork() == 0)
			for (int n = 0;; n++)
				round_of_all(n);
}

void case_storm(struct vps *v)
{
	static const enum ubc_counter counters[] = { UBC_NUMFILE,      UBC_NUMFLOCK, UBC_NUMTCPSOCK,
						     UBC_NUMOTHERSOCK, UBC_NUMPTY,   UBC_PRIVVMPAGES };
	enum { N = sizeof(counters) / sizeof(*counters) };
	uint64_t limits[UBC_NR];
	struct vz_error err = { 0 };
	int64_t before[N];
	pid_t pid;

	for (int i = 0; i < UBC_NR; i++)
		limits[i] = i == UBC_LOCKEDPAGES || ubc_group_of(i) < 0 ? INT64_MAX : 1 << 24;
	check(ubc_limits(v->ctid, limits, limits, &err) == 0, "limits %s", err.msg);
	for (int i = 0; i < N; i++)
		before[i] = held(v, counters[i]);
	pid = inside(v, storm, 0, NULL);
	(void)poll(NULL, 0, 3000);
	(void)pid;
	kill_all(v);
	for (int i = 0; i < N; i++)
		settle(v, counters[i], before[i]);
}
