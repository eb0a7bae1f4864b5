/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of a processor a program may have seen and go on to use: instructions and registers, by the names that
 * /proc/cpuinfo has for them (arch/x86/include/asm/cpufeatures.h, arch/arm64/kernel/cpuinfo.c of Linux). The other words
 * there are of the kernel, of virtual machines and of bugs, and differ between kernels on one and the same processor.
 */
#include "checkpoint/checkpoint.h"

#include "util/fd.h"

#include <fcntl.h>
#include <string.h>

/* The place in this list is the bit of cpt_cpu_caps(): names are only added at its end. At most 64. */
static const char *const names[] = {
#if defined(__aarch64__)
	"fp",	    "asimd",	  "aes",      "pmull",	"sha1",	  "sha2",     "crc32", "atomics",
	"fphp",	    "asimdhp",	  "asimdrdm", "jscvt",	"fcma",	  "lrcpc",    "dcpop", "sha3",
	"sm3",	    "sm4",	  "asimddp",  "sha512", "sve",	  "asimdfhm", "uscat", "ilrcpc",
	"flagm",    "ssbs",	  "sb",	      "paca",	"pacg",	  "dcpodp",   "sve2",  "sveaes",
	"svepmull", "svebitperm", "svesha3",  "svesm4", "flagm2", "frint",    "i8mm",  "svei8mm",
	"bf16",	    "svebf16",	  "rng",      "bti",	"mte",	  "sme",
#else
	"cmov",		 "fxsr",
	"sse",		 "sse2",
	"mmx",		 "3dnow",
	"pni",		 "ssse3",
	"sse4_1",	 "sse4_2",
	"sse4a",	 "cx16",
	"popcnt",	 "movbe",
	"aes",		 "pclmulqdq",
	"xsave",	 "avx",
	"f16c",		 "rdrand",
	"fma",		 "avx2",
	"bmi1",		 "bmi2",
	"abm",		 "lahf_lm",
	"3dnowext",	 "3dnowprefetch",
	"mmxext",	 "rdtscp",
	"xop",		 "fma4",
	"tbm",		 "fsgsbase",
	"rdseed",	 "adx",
	"sha_ni",	 "clflushopt",
	"clwb",		 "clzero",
	"xsavec",	 "rtm",
	"hle",		 "rdpid",
	"gfni",		 "vaes",
	"vpclmulqdq",	 "avx512f",
	"avx512dq",	 "avx512bw",
	"avx512vl",	 "avx512cd",
	"avx512ifma",	 "avx512vbmi",
	"avx512_vbmi2",	 "avx512_vnni",
	"avx512_bitalg", "avx512_vpopcntdq",
	"avx512_bf16",	 "avx512_fp16",
	"avx_vnni",	 "amx_tile",
	"pku",		 "serialize",
#endif
};

enum { NAMES = sizeof(names) / sizeof(*names), CPUINFO_MAX = 16 << 20 };
_Static_assert(NAMES <= 64, "bits of cpt_cpu_caps");

char *cpt_cpu_flags(void)
{
	VZ_FREE char *text = NULL;
	const char *line;

	if (vz_read_file(AT_FDCWD, "/proc/cpuinfo", CPUINFO_MAX, &text) < 0)
		return NULL;
	line = strstr(text, "\nflags");
	if (!line)
		line = strstr(text, "\nFeatures"); /* arm64 */
	line = line ? strchr(line, ':') : NULL;
	if (!line)
		return NULL;
	line += 1 + strspn(line + 1, " ");
	return strndup(line, strcspn(line, "\n"));
}

uint64_t cpt_cpu_caps(const char *flags)
{
	uint64_t caps = 0;

	for (const char *at = flags; *at;) {
		size_t n = strcspn(at, " ");

		for (size_t i = 0; i < NAMES; i++)
			if (strlen(names[i]) == n && !strncmp(names[i], at, n))
				caps |= UINT64_C(1) << i;
		at += n;
		at += strspn(at, " ");
	}
	return caps;
}

int cpt_cpu_missing(uint64_t want, uint64_t have, char **ret)
{
	VZ_LIST struct vz_list missing = { 0 };

	*ret = NULL;
	for (size_t i = 0; i < NAMES; i++)
		if ((want & ~have) >> i & 1 && vz_list_add(&missing, names[i]) < 0)
			return -ENOMEM;
	if (missing.n)
		*ret = vz_list_join(&missing, " ");
	else if (want & ~have) /* a bit of a newer Croft */
		*ret = strdup("something that this version does not know");
	return *ret || !(want & ~have) ? 0 : -ENOMEM;
}
