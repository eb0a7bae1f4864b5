/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * That a program loads and attaches proves nothing: with `bpf` missing in lsm= LSM programs attach and are never
 * called, and a function whose callers have it inlined is traced in vain. So each counter is tried.
 */
#include "ubc/load.h"

#include "util/fd.h"
#include "util/log.h"
#include "util/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { CANARY_CTID = 0xfffffffe, WAIT_MS = 5000, LEVEL = 1, MIB = 1 << 20 };

/* ---- in the child, in the group. Return: 0 when it went as promised ---- */

static int try_file(void)
{
	for (int i = 0; i < 3; i++)
		if (vz_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0) < 0)
			return 1;
	return vz_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0) == -ENFILE ? 0 : 2;
}

static int try_lock(void)
{
	int fd[3];

	for (int i = 0; i < 3; i++)
		fd[i] = memfd_create("croft", MFD_CLOEXEC);
	for (int i = 0; i < 2; i++)
		if (flock(fd[i], LOCK_EX) < 0)
			return 1;
	return flock(fd[2], LOCK_EX) < 0 && errno == ENOLCK ? 0 : 2;
}

static int try_tcp(void)
{
	for (int i = 0; i < 2; i++)
		if (vz_socket(AF_INET, SOCK_STREAM, 0) < 0)
			return 1;
	return vz_socket(AF_INET, SOCK_STREAM, 0) == -ENOBUFS ? 0 : 2;
}

static int try_other(void)
{
	for (int i = 0; i < 2; i++)
		if (vz_socket(AF_INET, SOCK_DGRAM, 0) < 0)
			return 1;
	return vz_socket(AF_INET, SOCK_DGRAM, 0) == -ENOBUFS ? 0 : 2;
}

static int try_pty(void)
{
	if (vz_openat(AT_FDCWD, "/dev/ptmx", O_RDWR | O_NOCTTY, 0) < 0)
		return 1;
	return vz_openat(AT_FDCWD, "/dev/ptmx", O_RDWR | O_NOCTTY, 0) == -ENOSPC ? 0 : 2;
}

static int try_memory(void)
{
	for (int i = 0; i < 100; i++)
		if (mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		    MAP_FAILED)
			return i && errno == ENOMEM ? 0 : 1;
	return 2;
}

static int try_locked(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (mmap(NULL, 2 * page, PROT_READ, flags, -1, 0) == MAP_FAILED)
		return 1;
	return mmap(NULL, page, PROT_READ, flags, -1, 0) == MAP_FAILED && errno == EAGAIN ? 0 : 2;
}

/* Each way to shared memory, one after the other full. */
static int try_shared(void)
{
	enum { PAGES = 4 };
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const char text[PAGES * 4096] = "";
	VZ_FD int fd = memfd_create("croft", MFD_CLOEXEC), zero = -EBADF;
	char *p;
	int id;

	if (write(fd, text, sizeof(text)) != (ssize_t)sizeof(text))
		return 1;
	if (write(fd, text, 1) >= 0 || errno != ENOSPC)
		return 2;
	/* given back, and taken in another way */
	if (ftruncate(fd, 0) < 0 || fallocate(fd, 0, 0, PAGES * (off_t)page) < 0)
		return 1;
	if (fallocate(fd, 0, PAGES * (off_t)page, 1) == 0 || errno != ENOSPC)
		return 2;
	if (mmap(NULL, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED ||
	    errno != ENOMEM)
		return 2;
	id = shmget(IPC_PRIVATE, page, 0600);
	if (id >= 0) /* it is the node's */
		(void)shmctl(id, IPC_RMID, NULL);
	if (id >= 0 || errno != ENOMEM)
		return 2;
	if (ftruncate(fd, 0) < 0 || ftruncate(fd, (PAGES + 1) * (off_t)page) < 0)
		return 1;
	p = mmap(NULL, (PAGES + 1) * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	zero = vz_openat(AT_FDCWD, "/dev/zero", O_RDONLY, 0);
	if (p == MAP_FAILED || zero < 0)
		return 1;
	/* by a system call, which fails where a process would be killed */
	for (int i = 0; i < PAGES; i++)
		if (pread(zero, p + (size_t)i * page, 1, 0) != 1)
			return 1;
	return pread(zero, p + PAGES * page, 1, 0) < 0 && errno == EFAULT ? 0 : 2;
}

/*
 * @limit: what the child is allowed; @mode: what it proves. lockedpages: only mmap(2) asks us, mlock(2) asks nobody
 * but RLIMIT_MEMLOCK.
 */
static const struct canary {
	enum ubc_counter c;
	uint64_t limit;
	enum ubc_mode mode;
	int (*run)(void);
} canaries[] = {
	{ UBC_NUMFILE, 3, UBC_ENFORCED, try_file },
	{ UBC_NUMFLOCK, 2, UBC_ENFORCED, try_lock },
	{ UBC_NUMTCPSOCK, 2, UBC_ENFORCED, try_tcp },
	{ UBC_NUMOTHERSOCK, 2, UBC_ENFORCED, try_other },
	{ UBC_NUMPTY, 1, UBC_ENFORCED, try_pty },
	{ UBC_PRIVVMPAGES, 20000, UBC_ENFORCED, try_memory },
	{ UBC_LOCKEDPAGES, 2, UBC_ACCOUNTED, try_locked },
	{ UBC_SHMPAGES, 4, UBC_ENFORCED, try_shared },
};

/* ---- around it ---- */

struct cage {
	struct ubc_table *t;
	struct ubc_slot *slot;
	int group;
};

static bool settled(struct ubc_row *row)
{
	const uint64_t until = vz_now_ms() + WAIT_MS;

	while ((int64_t)__atomic_load_n(&row->held, __ATOMIC_RELAXED) != 0) {
		if (vz_now_ms() > until)
			return false;
		(void)poll(NULL, 0, 5);
	}
	return true;
}

/* Refused as promised, counted, and given back when the process is dead. */
static bool sings(struct cage *k, const struct canary *c)
{
	struct ubc_row *row = &k->slot->row[c->c];
	pid_t pid;
	int r;

	for (int i = 0; i < UBC_NR; i++)
		k->slot->row[i] = (struct ubc_row){ .barrier = INT64_MAX, .limit = INT64_MAX };
	row->barrier = row->limit = c->limit;
	pid = vz_fork_into(k->group);
	if (pid == 0) /* in a user namespace, as a VPS is */
		_exit(unshare(CLONE_NEWUSER) < 0 ? 3 : c->run());
	r = pid < 0 ? (int)pid : vz_wait(pid);
	vz_debug("canary %s: %d, held %lld, most %llu, refused %llu", ubc_name(c->c), r,
		 (long long)row->held, (unsigned long long)row->maxheld,
		 (unsigned long long)row->failcnt);
	return r == 0 && row->maxheld > 0 && row->failcnt > 0 && settled(row);
}

static int make_cage(struct cage *k, char name[32], int root, int groups)
{
	const uint32_t index = (uint32_t)(k->slot - k->t->slot);
	struct stat st;
	int r;

	(void)snprintf(name, 32, "croft-canary-%d", (int)getpid());
	if (mkdirat(root, name, 0700) < 0)
		return -errno;
	k->group = vz_openat(root, name, O_RDONLY | O_DIRECTORY, 0);
	if (k->group < 0 || fstat(k->group, &st) < 0)
		return k->group < 0 ? k->group : -errno;
	k->slot->cgroup = st.st_ino;
	r = ubc_level_add(ubc_head(k->t), LEVEL);
	return r < 0 ? r : ubc_group_put(groups, ubc_head(k->t), k->slot->cgroup, index);
}

int ubc_canaries(struct ubc_table *t, int groups, struct vz_error *err)
{
	const struct ubc_head was = *ubc_head(t);
	struct cage k = { .t = t, .slot = ubc_take(t, CANARY_CTID), .group = -EBADF };
	VZ_FD int root = ubc_cgroup_root();
	char name[32] = "";
	int r = root < 0 ? root : k.slot ? make_cage(&k, name, root, groups) : -ENOSPC;

	if (r < 0)
		(void)vz_fail(err, VZ_EXIT_RESOURCE, -r, "a group to try the BPF programs in");
	for (size_t i = 0; r == 0 && i < sizeof(canaries) / sizeof(*canaries); i++)
		if (sings(&k, &canaries[i]))
			ubc_head(t)->modes[canaries[i].c] = canaries[i].mode;
	memcpy(ubc_head(t)->level, was.level, sizeof(was.level));
	if (k.slot) {
		(void)!ubc_group_del(groups, ubc_head(t), k.slot->cgroup);
		memset(k.slot, 0, sizeof(*k.slot));
		k.slot->flags = UBC_WAS;
	}
	vz_closep(&k.group);
	for (int i = 0;
	     *name && unlinkat(root, name, AT_REMOVEDIR) < 0 && errno == EBUSY && i < 200; i++)
		(void)poll(NULL, 0, 10); /* the dead are leaving */
	return r;
}
