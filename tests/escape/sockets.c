/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Class: code of the kernel that nobody uses, loaded by the first who asks: a socket of a rare family
 * loads its module into the node (DCCP CVE-2017-6074, RDS CVE-2010-3904, TIPC CVE-2021-43267), AF_ALG
 * drives the node's crypto drivers, AF_VSOCK talks past every namespace to the hypervisor.
 * Wall: the system call filter knows the families that servers need; the others do not exist.
 */
#include "escape.h"

#include <sys/socket.h>

int main(void)
{
	static const int wanted[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET };

	for (int f = 0; f < 50; f++) {
		bool ours = f == AF_KEY || f == AF_PPPOX || f == AF_UNSPEC;

		for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
			ours = ours || wanted[i] == f;
		if (ours)
			continue;
		for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++) {
			int sk[2];

			attempt(socket(f, type, 0) >= 0 || errno != EAFNOSUPPORT,
				"socket of family %d type %d", f, type);
			attempt(syscall(SYS_socket, 0x100000000 | (unsigned int)f, type, 0) >= 0 ||
					errno != EAFNOSUPPORT,
				"the same with rubbish in the upper half");
			attempt(socketpair(f, type, 0, sk) == 0 || errno != EAFNOSUPPORT,
				"pair of family %d", f);
		}
	}
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		int type = wanted[i] == AF_NETLINK || wanted[i] == AF_PACKET ? SOCK_RAW : SOCK_STREAM;

		if (socket(wanted[i], type, 0) < 0) {
			printf("family %d is wanted and refused: %s\n", wanted[i], strerror(errno));
			return 3;
		}
	}
	return verdict();
}
