/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the images of memory are in a dump file, which is read again when CRIU asks for them: serve.c. */
#include "checkpoint/checkpoint.h"

#include "checkpoint/priv.h"
#include "util/fd.h"

#include <fnmatch.h>
#include <search.h>
#include <string.h>

struct cpt_memory {
	int file;
	uint64_t bytes;
	void *images; /* struct tnode of search.h, its keys are struct cpt_mem_image */
};

struct cpt_memory *cpt_memory_new(void)
{
	struct cpt_memory *m = calloc(1, sizeof(*m));

	if (m)
		m->file = -EBADF;
	return m;
}

void cpt_memory_keep(struct cpt_memory *m, int fd)
{
	m->file = fd;
}

int cpt_memory_file(const struct cpt_memory *m)
{
	return m->file;
}

bool cpt_memory_name(const char *name)
{
	return fnmatch("pages-*.img", name, 0) == 0;
}

uint64_t cpt_memory_bytes(const struct cpt_memory *m)
{
	return m->bytes;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

_Static_assert(offsetof(struct cpt_mem_image, name) == 0, "an image is its own key");

int cpt_memory_begin(struct cpt_memory *m, const char *name, struct cpt_mem_image **ret)
{
	struct cpt_mem_image *i = calloc(1, sizeof(*i)), *const * there;

	if (!i)
		return -ENOMEM;
	(void)!vz_copy(i->name, sizeof(i->name), name); /* valid, so it fits */
	there = tsearch(i, &m->images, by_name);
	if (there && *there == i) {
		*ret = i;
		return 0;
	}
	free(i);
	return there ? -EEXIST : -ENOMEM;
}

int cpt_memory_add(struct cpt_memory *m, struct cpt_mem_image *i, const struct cpt_mem_part *part)
{
	if (i->n == i->room) {
		size_t room = i->room ? 2 * i->room : 1;
		struct cpt_mem_part *v = reallocarray(i->v, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		i->v = v;
		i->room = room;
	}
	i->v[i->n++] = *part;
	m->bytes += part->size;
	return 0;
}

const struct cpt_mem_image *cpt_memory_find(const struct cpt_memory *m, const char *name)
{
	struct cpt_mem_image *const *there = tfind(name, &m->images, by_name);

	return there ? *there : NULL;
}

static void drop(void *image)
{
	struct cpt_mem_image *i = image;

	free(i->v);
	free(i);
}

void cpt_memory_closep(struct cpt_memory **memory)
{
	struct cpt_memory *m = *memory;

	*memory = NULL;
	if (!m)
		return;
	tdestroy(m->images, drop);
	vz_closep(&m->file);
	free(m);
}
