// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs commands in a test node over a virtio serial port: no network, no keys. One program, both ends.
 *
 *   channel agent PORT...                          in the node, one server a port, one command at a time
 *   channel wait SECONDS SOCKET                    on the host: until the agent behind SOCKET answers
 *   channel run SECONDS SOCKET... -- COMMAND...    on the first SOCKET that is free; SECONDS 0 = no limit
 *   channel console SOCKET                         the node's serial console; Ctrl-] ends it
 *
 * A frame is a head and up to FRAME_MAX bytes. A port keeps what an earlier client left in it, so a client
 * opens with enough zeros to complete whatever frame was cut short, then SYNC with a number that the agent
 * sends back: all that came before the echo is not ours. SYNC ends the command of the earlier client.
 * Standard input is sent a frame at a time, each asked for by WANT, so that neither end ever blocks on it
 * while the other waits to be read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 32768u
#define ARGS_MAX  1024
#define FAILED	  125 /* what `run` returns when it is the rig that failed, not the command */

enum frame_type {
	F_SYNC = 1,
	F_RUN,
	F_STDIN,
	F_EOF,
	F_SIGNAL,
	F_STDOUT,
	F_STDERR,
	F_WANT,
	F_EXIT,
	F_BOOTED
};

struct head {
	char magic[3];
	uint8_t type;
	uint32_t len;
};

/* what has been read and is not taken yet; room for a whole frame */
struct reader {
	size_t have;
	char buf[sizeof(struct head) + FRAME_MAX];
};

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("node: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputs("\n", stderr);
	va_end(ap);
	exit(FAILED);
}

static volatile sig_atomic_t got_signal; /* on the host's end */

/* Returns false if the other end is gone, or a signal asks us to give up. */
static bool put_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && !got_signal && (errno == EINTR || errno == EAGAIN)) {
			if (errno == EAGAIN)
				poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 1000);
			continue;
		}
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool send_frame(int fd, enum frame_type type, const void *data, size_t len)
{
	char out[sizeof(struct head) + FRAME_MAX];
	struct head h = { .magic = "CRO", .type = (uint8_t)type, .len = (uint32_t)len };

	memcpy(out, &h, sizeof(h));
	if (len > 0)
		memcpy(out + sizeof(h), data, len);
	return put_all(fd, out, sizeof(h) + len);
}

static void drop(struct reader *r, size_t n)
{
	r->have -= n;
	memmove(r->buf, r->buf + n, r->have);
}

/*
 * The next whole frame in @r, if there is one; bytes that begin no frame are skipped. The frame stays in the
 * buffer until the caller drops sizeof(head) + len.
 */
static bool next_frame(struct reader *r, struct head *ret)
{
	size_t skip = 0;

	while (r->have - skip >= sizeof(*ret)) {
		memcpy(ret, r->buf + skip, sizeof(*ret));
		if (memcmp(ret->magic, "CRO", 3) == 0 && ret->len <= FRAME_MAX) {
			drop(r, skip);
			return r->have >= sizeof(*ret) + ret->len;
		}
		skip++;
	}
	drop(r, skip);
	return false;
}

/* Returns what read() does, and never overfills: next_frame() leaves room or a whole frame. */
static ssize_t fill(int fd, struct reader *r)
{
	ssize_t n = read(fd, r->buf + r->have, sizeof(r->buf) - r->have);

	if (n > 0)
		r->have += (size_t)n;
	return n;
}

/* ---- the node's end ---- */

struct job {
	pid_t pid; /* 0: none; also the id of its process group */
	int pidfd, in, out, err;
	bool want; /* WANT was sent, no frame came yet */
	size_t pending; /* bytes of @input that the command has not taken */
	char input[FRAME_MAX];
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void job_end(struct job *j)
{
	if (j->pid > 0) {
		kill(-j->pid, SIGKILL);
		waitpid(j->pid, NULL, 0);
	}
	close_fd(&j->pidfd);
	close_fd(&j->in);
	close_fd(&j->out);
	close_fd(&j->err);
	j->pid = 0;
	j->pending = 0;
	j->want = false;
}

static void job_exec(char **argv, int in, int out, int err)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(FAILED);
	execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* @data: the arguments, each with its NUL */
static bool job_start(struct job *j, char *data, size_t len)
{
	char *argv[ARGS_MAX + 1];
	size_t n = 0;
	int in[2], out[2], err[2];

	if (len == 0 || data[len - 1] != '\0')
		return false;
	for (char *p = data; p < data + len && n < ARGS_MAX; p += strlen(p) + 1)
		argv[n++] = p;
	argv[n] = NULL;
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		return false;
	j->pid = fork();
	if (j->pid == 0)
		job_exec(argv, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	j->in = in[1];
	j->out = out[0];
	j->err = err[0];
	j->pidfd = j->pid > 0 ? (int)syscall(SYS_pidfd_open, j->pid, 0) : -1;
	if (fcntl(j->in, F_SETFL, O_NONBLOCK) < 0)
		return false;
	return j->pidfd >= 0;
}

/* One read of the command's output; false at its end. */
static bool pass_output(int port, int *fd, enum frame_type type)
{
	char buf[FRAME_MAX];
	ssize_t n = read(*fd, buf, sizeof(buf));

	if (n > 0 && send_frame(port, type, buf, (size_t)n))
		return true;
	close_fd(fd);
	return false;
}

/* What the command wrote is passed on, but not waited for: a daemon that it left may hold the pipes open. */
static void job_finish(struct job *j, int port)
{
	int status = 0;
	int32_t code;

	while (waitpid(j->pid, &status, 0) < 0 && errno == EINTR)
		;
	j->pid = 0;
	for (int i = 0; i < 2; i++) {
		int *fd = i == 0 ? &j->out : &j->err;
		struct pollfd p = { .fd = *fd, .events = POLLIN };

		while (*fd >= 0 && poll(&p, 1, 0) > 0 && (p.revents & POLLIN))
			if (!pass_output(port, fd, i == 0 ? F_STDOUT : F_STDERR))
				break;
	}
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	send_frame(port, F_EXIT, &code, sizeof(code));
	job_end(j);
}

static void serve_frame(struct job *j, int port, const struct head *h, char *data)
{
	int32_t code = FAILED;

	switch (h->type) {
	case F_SYNC:
		job_end(j);
		send_frame(port, F_SYNC, data, h->len);
		break;
	case F_RUN:
		job_end(j);
		if (!job_start(j, data, h->len)) {
			job_end(j);
			send_frame(port, F_EXIT, &code, sizeof(code));
		}
		break;
	case F_STDIN:
		memcpy(j->input, data, h->len);
		j->pending = h->len;
		j->want = false;
		break;
	case F_EOF:
		close_fd(&j->in);
		break;
	case F_SIGNAL:
		if (j->pid > 0 && h->len == sizeof(code)) {
			memcpy(&code, data, sizeof(code));
			kill(-j->pid, code);
		}
		break;
	default:
		break;
	}
}

/* The command's input can be written to: what is there, or the next frame is asked for. */
static void feed(struct job *j, int port)
{
	ssize_t n;

	if (j->pending == 0) {
		j->want = send_frame(port, F_WANT, NULL, 0);
		return;
	}
	n = write(j->in, j->input, j->pending);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		close_fd(&j->in);
	if (n > 0) {
		j->pending -= (size_t)n;
		memmove(j->input, j->input + n, j->pending);
	}
}

static void serve_job(struct job *j, int port, const struct pollfd p[5])
{
	if (j->in >= 0 && (p[2].revents & (POLLERR | POLLHUP)))
		close_fd(&j->in);
	else if (j->in >= 0 && (p[2].revents & POLLOUT))
		feed(j, port);
	if (j->out >= 0 && p[3].revents)
		pass_output(port, &j->out, F_STDOUT);
	if (j->err >= 0 && p[4].revents)
		pass_output(port, &j->err, F_STDERR);
	if (p[1].revents)
		job_finish(j, port);
}

static void serve(const char *path)
{
	static struct reader r;
	static struct job j = { .pidfd = -1, .in = -1, .out = -1, .err = -1 };
	struct head h;
	sigset_t io;
	int port = open(path, O_RDWR | O_CLOEXEC);
	struct pollfd up = { .fd = port, .events = POLLOUT };

	if (port < 0)
		die("%s: %s", path, strerror(errno));
	sigemptyset(&io);
	sigaddset(&io, SIGIO);
	if (sigprocmask(SIG_BLOCK, &io, NULL) < 0 || fcntl(port, F_SETOWN, getpid()) < 0 ||
	    fcntl(port, F_SETFL, O_ASYNC) < 0)
		die("%s: no signals: %s", path, strerror(errno));
	if (poll(&up, 1, 0) > 0 &&
	    up.revents == POLLOUT) /* a client from before a reboot of the node */
		send_frame(port, F_BOOTED, NULL, 0);
	for (;;) {
		struct pollfd p[5] = {
			{ .fd = port, .events = POLLIN },
			{ .fd = j.pidfd, .events = POLLIN },
			{ .fd = j.want ? -1 : j.in, .events = POLLOUT },
			{ .fd = j.out, .events = POLLIN },
			{ .fd = j.err, .events = POLLIN },
		};

		poll(p, 5, -1);
		if (p[0].revents &
		    POLLHUP) { /* nobody is connected; the port has no event for the next one */
			job_end(&j);
			r.have = 0;
			sigtimedwait(&io, NULL, &(struct timespec){ .tv_sec = 1 });
			continue;
		}
		if (j.pid > 0)
			serve_job(&j, port, p);
		if ((p[0].revents & POLLIN) && fill(port, &r) > 0)
			while (next_frame(&r, &h)) {
				serve_frame(&j, port, &h, r.buf + sizeof(h));
				drop(&r, sizeof(h) + h.len);
			}
	}
}

static int agent(char **ports)
{
	signal(SIGPIPE, SIG_IGN);
	for (; *ports != NULL; ports++)
		if (fork() == 0)
			serve(*ports);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	return 1;
}

/* ---- the host's end ---- */

static void on_signal(int sig)
{
	got_signal = sig;
}

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int sk = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (sk < 0 || strlen(path) >= sizeof(a.sun_path))
		die("%s: path too long", path);
	strcpy(a.sun_path, path);
	if (connect(sk, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("%s: %s (is the node up?)", path, strerror(errno));
	return sk;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/*
 * Says hello until the agent answers; again each 5 seconds, since a booting node loses what comes early. The
 * alarm also ends a write that a node which does not boot never reads.
 */
static bool synchronise(int sk, struct reader *r, unsigned int seconds)
{
	static const char zeros[sizeof(struct head) + FRAME_MAX];
	uint64_t nonce = 0;
	struct head h;
	double again = 0;

	if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
		die("no random number");
	alarm(seconds ? seconds : 1);
	for (;;) {
		struct pollfd p = { .fd = sk, .events = POLLIN };

		if (got_signal == SIGALRM) {
			got_signal = 0;
			return false;
		}
		if (got_signal)
			exit(128 + got_signal);
		if (now() > again) {
			if (!put_all(sk, zeros, sizeof(zeros)) ||
			    !send_frame(sk, F_SYNC, &nonce, sizeof(nonce))) {
				if (got_signal)
					continue;
				die("the node went down");
			}
			again = now() + 5;
		}
		if (poll(&p, 1, 200) <= 0)
			continue;
		if (fill(sk, r) == 0)
			die("the node went down");
		while (next_frame(r, &h)) {
			bool ours = h.type == F_SYNC && h.len == sizeof(nonce) &&
				    memcmp(r->buf + sizeof(h), &nonce, sizeof(nonce)) == 0;

			drop(r, sizeof(h) + h.len);
			if (ours) {
				alarm(0);
				return true;
			}
		}
	}
}

/* @wanted: the node asked for input; *@in becomes -1 at its end */
static void send_input(int sk, int *in, bool *wanted)
{
	char buf[FRAME_MAX];
	ssize_t n = read(*in, buf, sizeof(buf));

	if (n < 0 && errno == EINTR)
		return;
	if (n > 0) {
		send_frame(sk, F_STDIN, buf, (size_t)n);
	} else {
		send_frame(sk, F_EOF, NULL, 0);
		*in = -1;
	}
	*wanted = false;
}

/* Returns true when the command is over; its code is in *@ret_code. */
static bool take_frames(struct reader *r, bool *wanted, int *ret_code)
{
	struct head h;
	int32_t code;

	while (next_frame(r, &h)) {
		const char *data = r->buf + sizeof(h);

		if (h.type == F_STDOUT || h.type == F_STDERR) {
			if (!put_all(h.type == F_STDOUT ? 1 : 2, data, h.len))
				exit(128 + SIGPIPE);
		} else if (h.type == F_WANT) {
			*wanted = true;
		} else if (h.type == F_EXIT) {
			memcpy(&code, data, sizeof(code));
			*ret_code = code;
			return true;
		} else if (h.type == F_BOOTED || h.type == F_SYNC) {
			die("the node was started anew while the command ran");
		}
		drop(r, sizeof(h) + h.len);
	}
	return false;
}

/* On a machine with much to do, a node may miss that somebody has connected to a port, and hears nothing then. */
static int connect_and_synchronise(const char *path, struct reader *r, double until)
{
	enum { MISSED = 20 };

	do {
		double left = until - now();
		int sk = connect_to(path);

		r->have = 0;
		if (synchronise(sk, r, left < MISSED ? (unsigned int)left + 1 : MISSED))
			return sk;
		close(sk);
	} while (now() < until);
	die("the node does not answer");
}

static int run_on(const char *path, char **argv, double until)
{
	static struct reader r;
	char args[FRAME_MAX];
	size_t len = 0;
	int in = 0, code = FAILED;
	bool wanted = false, over = false;
	int sk = connect_and_synchronise(path, &r, until - now() < 120 ? until : now() + 120);

	for (; *argv != NULL; argv++) {
		size_t n = strlen(*argv) + 1;

		if (len + n > sizeof(args))
			die("more than %u bytes of arguments", FRAME_MAX);
		memcpy(args + len, *argv, n);
		len += n;
	}
	send_frame(sk, F_RUN, args, len);
	while (!over) {
		struct pollfd p[2] = { { .fd = sk, .events = POLLIN },
				       { .fd = wanted ? in : -1, .events = POLLIN } };
		int left = until > 1e17 ? 1000 : (int)((until - now()) * 1000);

		if (left <= 0 && got_signal == 0) {
			fprintf(stderr, "node: time is up\n");
			got_signal = SIGALRM;
		}
		if (got_signal) {
			int32_t sig = got_signal == SIGALRM ? SIGKILL : got_signal;

			send_frame(sk, F_SIGNAL, &sig, sizeof(sig));
			code = got_signal == SIGALRM ? 124 : 128 + got_signal;
			exit(code);
		}
		if (poll(p, 2, left < 1000 ? left : 1000) <= 0)
			continue;
		if (p[1].revents)
			send_input(sk, &in, &wanted);
		if (p[0].revents) {
			if (fill(sk, &r) <= 0)
				die("the node went down while the command ran");
			over = take_frames(&r, &wanted, &code);
		}
	}
	return code;
}

/* The first port that nobody uses; they are locked so that clients do not end each other's commands. */
static const char *free_port(char **sockets, int n)
{
	for (;;) {
		for (int i = 0; i < n; i++) {
			char lock[256];
			int fd;

			snprintf(lock, sizeof(lock), "%s.lock", sockets[i]);
			fd = open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
			if (fd < 0)
				die("%s: %s", lock, strerror(errno));
			if (flock(fd, LOCK_EX | LOCK_NB) == 0)
				return sockets[i]; /* kept until we exit */
			close(fd);
		}
		if (got_signal)
			exit(128 + got_signal);
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
}

static int run(char **args)
{
	double limit = atof(args[0]);
	int n = 0;

	args++;
	while (args[n] != NULL && strcmp(args[n], "--") != 0)
		n++;
	if (n == 0 || args[n] == NULL || args[n + 1] == NULL)
		die("usage: channel run SECONDS SOCKET... -- COMMAND...");
	return run_on(free_port(args, n), args + n + 1, limit > 0 ? now() + limit : 1e18);
}

static int console(const char *path)
{
	struct termios was, raw;
	bool tty = tcgetattr(0, &was) == 0;
	int sk = connect_to(path);
	char buf[4096];
	ssize_t n;

	raw = was;
	cfmakeraw(&raw);
	if (tty) {
		fprintf(stderr, "(Ctrl-] leaves the console)\n");
		tcsetattr(0, TCSANOW, &raw);
	}
	while (!got_signal) {
		struct pollfd p[2] = { { .fd = sk, .events = POLLIN },
				       { .fd = 0, .events = POLLIN } };

		poll(p, 2, -1);
		if (p[0].revents) {
			n = read(sk, buf, sizeof(buf));
			if (n <= 0 || !put_all(1, buf, (size_t)n))
				break;
		}
		if (p[1].revents) {
			n = read(0, buf, sizeof(buf));
			if (n <= 0 || (tty && memchr(buf, 0x1d, (size_t)n)) ||
			    !put_all(sk, buf, (size_t)n))
				break;
		}
	}
	if (tty)
		tcsetattr(0, TCSANOW, &was);
	return 0;
}

int main(int argc, char **argv)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGALRM };

	if (argc >= 3 && strcmp(argv[1], "agent") == 0)
		return agent(argv + 2);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 4; i++)
		sigaction(signals[i], &(struct sigaction){ .sa_handler = on_signal }, NULL);
	if (argc >= 5 && strcmp(argv[1], "run") == 0)
		return run(argv + 2);
	if (argc == 4 && strcmp(argv[1], "wait") == 0) {
		static struct reader r;

		if (!synchronise(connect_to(argv[3]), &r, (unsigned int)atoi(argv[2])))
			die("the node does not answer");
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "console") == 0)
		return console(argv[2]);
	die("usage: see the head of channel.c");
}
