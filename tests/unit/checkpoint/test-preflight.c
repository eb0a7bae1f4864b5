/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands in the way of a checkpoint: each word of /proc, and the arithmetic of the prediction. */
#include "checkpoint/checkpoint.h"
#include "checkpoint/judge.h"
#include "tests/lib/tap.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static void test_links(void)
{
	static const struct {
		const char *link;
		enum cpt_verdict verdict;
		enum cpt_kind kind;
	} rows[] = {
		{ "socket:[123]", CPT_ASK_SOCKET, 0 },
		{ "pipe:[123]", CPT_GOOD, 0 },
		{ "/etc/passwd", CPT_ASK_FILE, 0 },
		{ "/dev/null", CPT_ASK_FILE, 0 },
		{ "/memfd:x (deleted)", CPT_ASK_FILE, 0 },
		{ "/secretmem (deleted)", CPT_BAD, CPT_SECRET_MEMORY },
		{ "anon_inode:[eventfd]", CPT_ASK_FDINFO, 0 },
		{ "anon_inode:[eventpoll]", CPT_GOOD, 0 },
		{ "anon_inode:inotify", CPT_GOOD, 0 },
		{ "anon_inode:[signalfd]", CPT_GOOD, 0 },
		{ "anon_inode:[timerfd]", CPT_GOOD, 0 },
		{ "anon_inode:[pidfd]", CPT_GOOD, 0 },
		{ "anon_inode:[io_uring]", CPT_BAD, CPT_IO_URING },
		{ "anon_inode:[userfaultfd]", CPT_BAD, CPT_ANON_FILE },
		{ "anon_inode:bpf-prog", CPT_BAD, CPT_ANON_FILE },
		{ "anon_inode:[perf_event]", CPT_BAD, CPT_ANON_FILE },
		{ "anon_inode:", CPT_BAD, CPT_ANON_FILE },
		{ "", CPT_GOOD, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		enum cpt_kind kind = CPT_IO_URING;

		OK(cpt_judge_link(rows[i].link, &kind) == rows[i].verdict && kind == rows[i].kind);
	}
}

static void test_words(void)
{
	OK(cpt_judge_socket("TCP") && cpt_judge_socket("UNIX-STREAM") && cpt_judge_socket("RAWv6"));
	OK(!cpt_judge_socket("PING") && !cpt_judge_socket("PINGv6")); /* CRIU 4.1 cannot */
	OK(!cpt_judge_socket("MPTCP") && !cpt_judge_socket("AF_VSOCK") &&
	   !cpt_judge_socket("SCTP") && !cpt_judge_socket(""));
	OK(cpt_judge_device(1, 3) && cpt_judge_device(5, 2) && cpt_judge_device(136, 9) &&
	   cpt_judge_device(10, 200));
	OK(!cpt_judge_device(1, 1) && !cpt_judge_device(10, 229) && !cpt_judge_device(4, 64));
	OK(cpt_judge_mount("tmpfs") && !cpt_judge_mount("overlay") &&
	   !cpt_judge_mount("fuse.sshfs"));
	OK(cpt_judge_eventfd("pos:\t0\neventfd-count:\t1\neventfd-semaphore: 0\n"));
	OK(!cpt_judge_eventfd("pos:\t0\neventfd-count:\t1\neventfd-semaphore: 1\n"));
	OK(cpt_judge_eventfd("pos:\t0\n")); /* a kernel before 5.19 does not say */
	for (int k = 0; k < CPT_KINDS; k++)
		OK(cpt_kind_name(k)[0] && cpt_kind_text(k)[0] && !strchr(cpt_kind_name(k), ' '));
}

static void test_mounts(void)
{
	struct cpt_mount m;
	char line[2000];

	OK(cpt_mount_line(
		   "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw\nx",
		   &m) == 0);
	OK(m.id == 36 && m.major == 98 && m.minor == 0 && !strcmp(m.root, "/mnt1") &&
	   !strcmp(m.point, "/mnt2") && !strcmp(m.type, "ext3"));
	OK(cpt_mount_line("36 35 0:5 / / rw - proc proc rw", &m) == 0 && !strcmp(m.type, "proc"));
	OK(cpt_mount_line("36 35 0:5 / / rw\n37 35 0:6 / /x rw - tmpfs t rw", &m) < 0);
	OK(cpt_mount_line("", &m) < 0 && cpt_mount_line("garbage", &m) < 0 &&
	   cpt_mount_line("1 2 3:4", &m) < 0);
	/* a root too long for us is cut and hides nothing behind it */
	memset(line, 'a', sizeof(line));
	memcpy(line, "1 2 0:9 /", 9);
	(void)snprintf(line + 1500, 100, " /at rw - fuse.x y rw");
	OK(cpt_mount_line(line, &m) == 0 && !strcmp(m.point, "/at") && !strcmp(m.type, "fuse.x") &&
	   strlen(m.root) == sizeof(m.root) - 1);
}

static void test_estimate(void)
{
	struct cpt_load none = { 0 }, l = { .processes = 1, .memory_bytes = 1024 * MIB };
	unsigned int rounds;
	uint64_t still = cpt_frozen_ms(&none, 0), all = cpt_frozen_ms(&l, 1024 * MIB), live;

	OK(still > 0);
	OK(all >= still + 1000 && all < still + 1100);
	OK(cpt_rounds_ms(&l, 1024 * MIB, 0, &rounds) < still + 100 && rounds == 1);
	live = cpt_rounds_ms(&l, 1024 * MIB, 100 * MIB, &rounds);
	OK(rounds > 1 && live < still + 100);
	/* written to faster than it can be sent: one round, no gain, never more than all of it */
	live = cpt_rounds_ms(&l, 100 * MIB, 1024 * MIB, &rounds);
	OK(rounds == 1 && live <= cpt_frozen_ms(&l, 100 * MIB));
	OK(cpt_rounds_ms(&l, 0, 5, &rounds) && rounds == 0);
}

static void test_scan_self(void)
{
	static struct cpt_findings f;
	const struct vz_list view = { 0 };
	const struct cpt_givens given = { 0 };
	const struct cpt_ours all = { &view, &given };
	struct cpt_load l;
	struct vz_error err = { 0 };
	pid_t us = getpid(), gone = 0x3ffffff;
	uint64_t rate;
	int r;

	OK(cpt_scan(&us, 1, us, &all, &f, &l, &err) == 0 && l.processes == 1 && l.memory_bytes > 0);
	OK(cpt_scan(&gone, 1, gone, &all, &f, &l, &err) == -ESRCH && err.exit == VZ_EXIT_CHKPNT);
	OK(cpt_write_rate("/tmp", &rate) == 0 && rate > 0);
	OK(cpt_write_rate("/no/such/place", &rate) == -ENOENT);
	r = cpt_dirty(&us, 1, 10, &rate);
	OK(r == 0 || r == -EOPNOTSUPP);
}

static void test_vfork(void)
{
	struct cpt_finding f = { 0 };
	pid_t us = getpid(), pid = fork();
	bool there = false;

	if (pid == 0) {
		(void)setpgid(0, 0);
		if (vfork() == 0)
			for (;;)
				pause();
		_exit(0);
	}
	OK(pid > 0);
	(void)setpgid(pid, pid);
	for (int i = 0; i < 1000 && !there; i++) {
		there = cpt_in_vfork(&pid, 1, &f);
		(void)usleep(10000);
	}
	OK(there && f.kind == CPT_VFORK && f.blocker && f.pid == pid && f.comm[0]);
	OK(!cpt_in_vfork(&us, 1, &f));
	(void)kill(-pid, SIGKILL);
	OK(waitpid(pid, NULL, 0) == pid);
	OK(!cpt_in_vfork(&pid, 1, &f));
}

int main(void)
{
	test_links();
	test_words();
	test_mounts();
	test_estimate();
	test_scan_self();
	test_vfork();
	return tap_done();
}
