/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class: what processes share without a file: SysV shared memory, semaphores and messages, POSIX
 * queues and shared memory, abstract unix sockets (containerd CVE-2020-15257), keyrings.
 * Wall: the IPC, mount and network namespaces; keyrings belong to ids, and no two VPSes and no user
 * of the node share one.
 * Usage: ipc give NAME  (makes one of each, says the number of the key, waits for end of input)
 *        ipc take NAME KEY  (tries to reach them)
 */
#include "escape.h"

#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

static char name[64];

static struct sockaddr_un address(socklen_t *len)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s", name + 1);
	*len = (socklen_t)(sizeof(a.sun_family) + strlen(name));
	return a;
}

static key_t ipc_key(void)
{
	unsigned int h = 5381;

	for (const char *c = name; *c; c++)
		h = h * 33 + (unsigned char)*c;
	return (key_t)(h & 0x7fffffff) | 1;
}

static int give(void)
{
	socklen_t len;
	struct sockaddr_un a = address(&len);
	int sk = socket(AF_UNIX, SOCK_STREAM, 0);
	long key = syscall(SYS_add_key, "user", name, "secret", 6, -4 /* user keyring */);
	int shm = shmget(ipc_key(), 4096, IPC_CREAT | 0666);
	int sem = semget(ipc_key(), 1, IPC_CREAT | 0666);
	int msg = msgget(ipc_key(), IPC_CREAT | 0666);
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 16 };
	mqd_t mq = mq_open(name, O_CREAT | O_RDWR, 0666, &attr);
	char c;

	if (sk < 0 || bind(sk, (struct sockaddr *)&a, len) < 0 || listen(sk, 1) < 0 || shm < 0 ||
	    sem < 0 || msg < 0)
		return 2;
	printf("%ld\n", key);
	fflush(stdout);
	(void)!read(0, &c, 1);
	shmctl(shm, IPC_RMID, NULL);
	semctl(sem, 0, IPC_RMID);
	msgctl(msg, IPC_RMID, NULL);
	if (mq >= 0)
		mq_unlink(name);
	if (key > 0)
		syscall(SYS_keyctl, 9 /* unlink */, key, -4);
	return 0;
}

static void take(long key)
{
	socklen_t len;
	struct sockaddr_un a = address(&len);
	int sk = socket(AF_UNIX, SOCK_STREAM, 0);
	char buf[64], line[512];
	FILE *f;

	attempt(connect(sk, (struct sockaddr *)&a, len) == 0, "abstract socket");
	attempt(shmget(ipc_key(), 0, 0) >= 0, "shared memory");
	attempt(semget(ipc_key(), 0, 0) >= 0, "semaphores");
	attempt(msgget(ipc_key(), 0) >= 0, "message queue");
	attempt(mq_open(name, O_RDONLY | O_NONBLOCK) >= 0, "POSIX queue");
	attempt(syscall(SYS_keyctl, 10 /* search */, -4, "user", name, 0) > 0, "key by name");
	attempt(syscall(SYS_request_key, "user", name, NULL, -4) > 0, "key by request");
	if (key > 0) {
		attempt(syscall(SYS_keyctl, 11 /* read */, key, buf, sizeof(buf)) >= 0,
			"key by number");
		attempt(syscall(SYS_keyctl, 8 /* link */, key, -4) == 0, "link of the key");
		attempt(syscall(SYS_keyctl, 6 /* describe */, key, buf, sizeof(buf)) > 0,
			"description of the key");
	}
	umount2("/proc/keys", MNT_DETACH);
	f = fopen("/proc/keys", "r");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, name))
			attempt(true, "/proc/keys: %s", line);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	snprintf(name, sizeof(name), "/%s", argv[2]);
	if (!strcmp(argv[1], "give"))
		return give();
	take(argc > 3 ? atol(argv[3]) : 0);
	return verdict();
}
