/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Apart from ubc.c, so that who only reads the table links no libnl. */
#include "ops/ubc.h"

#include "net/net.h"
#include "util/fd.h"

#include <fcntl.h>
#include <stdio.h>

uint32_t op_ubc_net(pid_t init, uint32_t want, uint64_t ret_held[UBC_NR])
{
	static const enum ubc_counter counters[NET_SAMPLED] = {
		[NET_RULES] = UBC_NUMIPTENT,	   [NET_TCP_SND] = UBC_TCPSNDBUF,
		[NET_TCP_RCV] = UBC_TCPRCVBUF,	   [NET_OTHER_SND] = UBC_OTHERSOCKBUF,
		[NET_DGRAM_RCV] = UBC_DGRAMRCVBUF,
	};
	VZ_FD int netns = -EBADF;
	struct net_sample s;
	unsigned int of_net = 0;
	uint32_t got = 0;
	char path[64];

	for (int i = 0; i < NET_SAMPLED; i++)
		of_net |= want & OP_UBC_BIT(counters[i]) ? 1U << i : 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)init);
	netns = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (netns < 0 || net_sample(netns, of_net, &s) < 0)
		return 0;
	for (int i = 0; i < NET_SAMPLED; i++) {
		if (!(s.known & 1U << i) || !(want & OP_UBC_BIT(counters[i])))
			continue;
		ret_held[counters[i]] = s.v[i];
		got |= OP_UBC_BIT(counters[i]);
	}
	return got;
}
