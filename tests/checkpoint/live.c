/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs inside a VPS: takes hold of one thing of each kind, writes "armed" into its file, and from then on, whenever the
 * file FILE.ask appears, looks whether all of it is as it was and writes "ok" or what is not. Static. Usage: live FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct {
	int pipe[2], pair[2], listener, client, deleted, lock, memfd, timer, event, ep, ino, fifo;
	int shm, sem, msg;
	char *shared, *attached;
	timer_t posix;
	time_t boot;
} have;

static volatile long ticks, beats;
static char words[300];

static void bad(const char *what)
{
	snprintf(words + strlen(words), sizeof(words) - strlen(words), " %s", what);
}

static void check(int ok, const char *what)
{
	if (!ok)
		bad(what);
}

static void on_tick(int sig)
{
	(void)sig;
	ticks++;
}

static void *beat(void *arg)
{
	uint64_t n;

	(void)arg;
	/* CRIU stops a periodic timerfd whose last tick nobody has read: here somebody always has */
	for (;;)
		if (read(have.timer, &n, sizeof(n)) == 8)
			beats++;
	return NULL;
}

static int unix_listener(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	unlink(path);
	return bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 4) < 0 ? -1 : fd;
}

static int unix_client(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -1 : fd;
}

static void arm_ipc(void)
{
	struct {
		long type;
		char text[8];
	} m = { 7, "letter" };

	have.shm = shmget(IPC_PRIVATE, 8192, 0600);
	have.attached = shmat(have.shm, NULL, 0);
	strcpy(have.attached, "segment");
	have.sem = semget(IPC_PRIVATE, 1, 0600);
	semctl(have.sem, 0, SETVAL, 5);
	have.msg = msgget(IPC_PRIVATE, 0600);
	msgsnd(have.msg, &m, sizeof(m.text), 0);
}

static void arm_time(void)
{
	const struct itimerspec every = { { 0, 50000000 }, { 0, 50000000 } };
	struct sigevent sev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	struct timespec now;

	signal(SIGUSR2, on_tick);
	have.timer = timerfd_create(CLOCK_MONOTONIC, 0);
	timerfd_settime(have.timer, 0, &every, NULL);
	timer_create(CLOCK_MONOTONIC, &sev, &have.posix);
	timer_settime(have.posix, 0, &every, NULL);
	clock_gettime(CLOCK_BOOTTIME, &now);
	have.boot = now.tv_sec;
}

static void arm(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	pthread_t t;

	if (pipe(have.pipe) < 0 || write(have.pipe[1], "in the pipe", 11) != 11 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, have.pair) < 0 ||
	    send(have.pair[0], "on its way", 10, 0) != 10)
		bad("pipe or pair");
	have.listener = unix_listener("/tmp/live.sock");
	have.client = unix_client("/tmp/live.sock");
	have.event = accept(have.listener, NULL, NULL);
	have.deleted = open("/root/deleted", O_RDWR | O_CREAT | O_TRUNC, 0600);
	check(write(have.deleted, "still here", 10) == 10, "deleted");
	unlink("/root/deleted");
	have.lock = open("/root/locked", O_RDWR | O_CREAT, 0600);
	flock(have.lock, LOCK_EX);
	have.memfd = memfd_create("live", MFD_ALLOW_SEALING);
	check(write(have.memfd, "sealed", 6) == 6, "memfd");
	fcntl(have.memfd, F_ADD_SEALS, F_SEAL_WRITE);
	have.shared = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	strcpy(have.shared + 40000, "shared page");
	have.ep = epoll_create1(0);
	epoll_ctl(have.ep, EPOLL_CTL_ADD, have.pipe[0], &ev);
	have.ino = inotify_init1(IN_NONBLOCK);
	check(inotify_add_watch(have.ino, "/root", IN_CREATE) > 0, "inotify");
	mkfifo("/root/fifo", 0600);
	have.fifo = open("/root/fifo", O_RDWR);
	check(write(have.fifo, "queued", 6) == 6, "fifo");
	arm_ipc();
	arm_time();
	pthread_create(&t, NULL, beat, NULL);
}

static void look_ipc(void)
{
	struct {
		long type;
		char text[8];
	} m = { 0 };

	check(!strcmp(have.attached, "segment"), "shm");
	check(semctl(have.sem, 0, GETVAL) == 5, "sem");
	check(msgrcv(have.msg, &m, sizeof(m.text), 7, IPC_NOWAIT) > 0 && !strcmp(m.text, "letter"),
	      "msg");
	m.type = 7;
	msgsnd(have.msg, &m, sizeof(m.text), 0);
}

static void look_time(void)
{
	long t = ticks, b = beats;
	const struct timespec wait = { 0, 300000000 };
	struct timespec left = wait, now;

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
	check(ticks > t, "posix timer");
	check(beats > b, "thread on timerfd");
	clock_gettime(CLOCK_BOOTTIME, &now);
	check(now.tv_sec >= have.boot && now.tv_sec < have.boot + 3600, "clock");
}

static void look(void)
{
	struct epoll_event ev;
	char buf[32] = "";
	struct stat st;
	int other;

	check(epoll_wait(have.ep, &ev, 1, 0) == 1, "epoll");
	check(read(have.pipe[0], buf, 11) == 11 && !memcmp(buf, "in the pipe", 11), "pipe");
	check(write(have.pipe[1], "in the pipe", 11) == 11, "pipe again");
	check(recv(have.pair[1], buf, sizeof(buf), MSG_DONTWAIT) == 10, "pair");
	check(send(have.pair[0], "on its way", 10, 0) == 10, "pair again");
	check(send(have.client, "x", 1, MSG_NOSIGNAL) == 1 && recv(have.event, buf, 1, 0) == 1,
	      "unix connection");
	other = unix_client("/tmp/live.sock");
	check(other >= 0, "unix listener");
	close(other);
	close(accept(have.listener, NULL, NULL));
	check(pread(have.deleted, buf, 10, 0) == 10 && !memcmp(buf, "still here", 10) &&
		      fstat(have.deleted, &st) == 0 && st.st_nlink == 0,
	      "deleted file");
	other = open("/root/locked", O_RDWR);
	check(flock(other, LOCK_EX | LOCK_NB) < 0, "flock");
	close(other);
	check(fcntl(have.memfd, F_GET_SEALS) & F_SEAL_WRITE, "seal");
	check(!strcmp(have.shared + 40000, "shared page"), "shared memory");
	close(open("/root/created", O_RDWR | O_CREAT, 0600));
	check(read(have.ino, buf, sizeof(buf)) > 0, "inotify");
	unlink("/root/created");
	check(read(have.fifo, buf, 6) == 6 && !memcmp(buf, "queued", 6) &&
		      write(have.fifo, "queued", 6) == 6,
	      "fifo");
	look_ipc();
	look_time();
}

static void tell(const char *path, const char *text)
{
	char fresh[200];
	FILE *f;

	snprintf(fresh, sizeof(fresh), "%s.new", path);
	f = fopen(fresh, "w");
	if (!f)
		exit(1);
	fprintf(f, "%s\n", text);
	fclose(f);
	rename(fresh, path);
}

int main(int argc, char **argv)
{
	const struct timespec pause = { 0, 50000000 };
	char ask[200];

	if (argc != 2)
		return 2;
	snprintf(ask, sizeof(ask), "%s.ask", argv[1]);
	arm();
	tell(argv[1], words[0] ? words : "armed");
	for (;;) {
		nanosleep(&pause, NULL);
		if (access(ask, F_OK) != 0)
			continue;
		words[0] = '\0';
		look();
		unlink(ask);
		tell(argv[1], words[0] ? words : "ok");
	}
}
