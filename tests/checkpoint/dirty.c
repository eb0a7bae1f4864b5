/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes to memory all the time and checks every word before it writes it anew, so that a page that was
 * lost, old or mixed up by a checkpoint is seen.
 * Usage: dirty MIB [PAUSE_US]; PAUSE_US after each page. Says "ready" after the first pass, "pass N" after each
 * 2^k-th. On SIGTERM: one more check of all, "good after N passes" and 0; a wrong word is told and gives 1.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { PAGE_WORDS = 4096 / sizeof(uint64_t) };

static volatile sig_atomic_t ending;

static void end(int sig)
{
	(void)sig;
	ending = 1;
}

/* What word @i holds after pass @pass. */
static uint64_t word(uint64_t pass, uint64_t i)
{
	return (pass * 0x9e3779b97f4a7c15u) ^ (i * 0xc2b2ae3d27d4eb4fu);
}

static void check(const uint64_t *at, uint64_t pass, uint64_t i)
{
	if (at[i] == word(pass, i))
		return;
	printf("word %" PRIu64 " of pass %" PRIu64 " is %" PRIx64 " and not %" PRIx64 "\n", i, pass,
	       at[i], word(pass, i));
	fflush(stdout);
	exit(1);
}

int main(int argc, char **argv)
{
	uint64_t words, pass = 0, done = 0; /* words of the pass that is under way */
	struct timespec pause = { 0 };
	uint64_t *at;

	if (argc < 2)
		return 2;
	words = strtoull(argv[1], NULL, 10) << 20 >> 3;
	pause.tv_nsec = argc > 2 ? strtol(argv[2], NULL, 10) * 1000 : 0;
	at = mmap(NULL, words * sizeof(*at), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!words || at == MAP_FAILED)
		return 2;
	signal(SIGTERM, end);
	for (uint64_t i = 0; i < words; i++)
		at[i] = word(0, i);
	printf("ready\n");
	fflush(stdout);
	while (!ending) {
		for (done = 0; done < words && !ending; done++) {
			check(at, pass, done);
			at[done] = word(pass + 1, done);
			if (pause.tv_nsec && done % PAGE_WORDS == 0)
				nanosleep(&pause, NULL);
		}
		if (done < words)
			break;
		done = 0;
		pass++;
		if ((pass & (pass - 1)) == 0) {
			printf("pass %" PRIu64 "\n", pass);
			fflush(stdout);
		}
	}
	for (uint64_t i = 0; i < words; i++)
		check(at, i < done ? pass + 1 : pass, i);
	printf("good after %" PRIu64 " passes\n", pass);
	return 0;
}
