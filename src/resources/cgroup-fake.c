/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"

#include "util/fd.h"

#include <inttypes.h>
#include <stdarg.h>

/* Driver without a kernel: it keeps what it is told and lists the calls. */

static struct cg_fake *fake(struct cg *cg)
{
	return (struct cg_fake *)cg;
}

__attribute__((format(printf, 2, 3))) static void record(struct cg *cg, const char *fmt, ...);

static void record(struct cg *cg, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	(void)!vz_list_add(&fake(cg)->calls, line);
}

static int told(struct vz_error *err, int sys)
{
	return sys ? vz_fail(err, VZ_EXIT_RESOURCE, sys, "fake") : 0;
}

static int fake_set(struct cg *cg, enum cg_knob knob, uint64_t value, struct vz_error *err)
{
	if (fake(cg)->fail[knob])
		return told(err, fake(cg)->fail[knob]);
	if (value == UINT64_MAX)
		record(cg, "set %d none", knob);
	else
		record(cg, "set %d %" PRIu64, knob, value);
	fake(cg)->knob[knob] = value;
	return 0;
}

static int fake_get(struct cg *cg, enum cg_knob knob, uint64_t *ret, struct vz_error *err)
{
	if (fake(cg)->fail[knob])
		return told(err, fake(cg)->fail[knob]);
	*ret = fake(cg)->knob[knob];
	return 0;
}

static int fake_stat(struct cg *cg, enum cg_stat what, uint64_t *ret)
{
	*ret = fake(cg)->stat[what];
	return 0;
}

static int fake_place(struct cg *cg, enum cg_stat what, struct cg_place *ret)
{
	(void)cg;
	(void)what;
	(void)ret;
	return -EOPNOTSUPP;
}

static int fake_cpuset(struct cg *cg, const char *cpus, const char *mems, struct vz_error *err)
{
	record(cg, "cpuset %s %s", cpus ? cpus : "-", mems ? mems : "-");
	return told(err, fake(cg)->fail_cpuset);
}

static int fake_io_max(struct cg *cg, const struct cg_io_max *m, struct vz_error *err)
{
	record(cg, "io %u:%u %" PRId64 " %" PRId64, m->major, m->minor, (int64_t)m->bps,
	       (int64_t)m->iops);
	return told(err, fake(cg)->fail_io);
}

static int fake_devices(struct cg *cg, const struct cg_dev_rule *rules, size_t n,
			struct vz_error *err)
{
	(void)rules;
	record(cg, "devices %zu", n);
	return told(err, fake(cg)->fail_devices);
}

static int fake_attach(struct cg *cg, pid_t pid, bool payload, struct vz_error *err)
{
	(void)err;
	record(cg, "attach %d %s", (int)pid, payload ? "payload" : "host");
	return 0;
}

static int fake_freeze(struct cg *cg, bool on, int timeout_ms, struct vz_error *err)
{
	(void)err;
	(void)timeout_ms;
	record(cg, "freeze %d", on);
	return 0;
}

static int fake_kill(struct cg *cg, struct vz_error *err)
{
	(void)err;
	record(cg, "kill");
	return 0;
}

static int fake_remove(struct cg *cg, struct vz_error *err)
{
	(void)err;
	record(cg, "remove");
	return 0;
}

static void fake_close(struct cg *cg)
{
	vz_list_clear(&fake(cg)->calls);
	free(cg);
}

static const struct cg_driver fake_driver = {
	.name = "fake",
	.set = fake_set,
	.get = fake_get,
	.stat = fake_stat,
	.place = fake_place,
	.cpuset = fake_cpuset,
	.io_max = fake_io_max,
	.devices = fake_devices,
	.attach = fake_attach,
	.freeze = fake_freeze,
	.kill = fake_kill,
	.remove = fake_remove,
	.close = fake_close,
};

struct cg_fake *cg_fake_new(void)
{
	struct cg_fake *f = calloc(1, sizeof(*f));

	if (f)
		f->cg.drv = &fake_driver;
	return f;
}
