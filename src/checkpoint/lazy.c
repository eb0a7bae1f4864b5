/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a node must have for memory that comes after the VPS. */
#include "checkpoint/checkpoint.h"

#include "util/fd.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

int cpt_lazy_target(struct vz_error *err)
{
	enum {
		EVENTS = UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP |
			 UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMOVE
	};
	struct uffdio_api api = { .api = UFFD_API, .features = EVENTS };
	VZ_FD int dev = vz_openat(AT_FDCWD, "/dev/userfaultfd", O_RDWR, 0);
	VZ_FD int fd = -EBADF;

	if (dev < 0)
		return vz_fail(
			err, VZ_EXIT_RESTORE, -dev,
			"this node has no /dev/userfaultfd (Linux 6.1 with CONFIG_USERFAULTFD)");
	fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0)
		return vz_fail(err, VZ_EXIT_RESTORE, errno,
			       "this node's userfaultfd does not tell of forks and mappings");
	return 0;
}
