/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tries to get nowhere: says which doors that a VPS may ask for are open, io_uring and the 32-bit
 * socketcall. One line each: "NAME yes", "NAME no", or the error.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	char params[256] = { 0 };

	printf("io_uring %s\n",
	       syscall(SYS_io_uring_setup, 4, params) >= 0 ? "yes" : strerror(errno));
#ifdef __x86_64__
	{
		long r;

		__asm__ volatile("int $0x80"
				 : "=a"(r)
				 : "0"(102L), "b"(99L), "c"(0L)
				 : "memory", "r8", "r9", "r10", "r11");
		printf("socketcall %s\n", r == -ENOSYS ? "no" : "yes");
	}
#endif
	return 0;
}
