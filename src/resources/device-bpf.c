/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "resources/priv.h"

#include "util/fd.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>

/*
 * The device policy of a v2 group: a program called with struct bpf_cgroup_dev_ctx, whose
 * access_type is (access << 16 | type); it returns 1 to allow. Written as instructions by hand: a
 * rule is eight of them at most, and no compiler or library is needed.
 */

enum { RULE_INSNS = 8, HEAD_INSNS = 6, TAIL_INSNS = 2, PROGS_MAX = 64 };

static const char prog_name[] = "croft_devices";

#define INSN_LOAD(dst, field)                                                                      \
	((struct bpf_insn){ .code = BPF_LDX | BPF_MEM | BPF_W,                                     \
			    .dst_reg = (dst),                                                      \
			    .src_reg = BPF_REG_1,                                                  \
			    .off = offsetof(struct bpf_cgroup_dev_ctx, field) })
#define INSN_ALU(op, dst, value)                                                                   \
	((struct bpf_insn){ .code = BPF_ALU | (op) | BPF_K, .dst_reg = (dst), .imm = (value) })
#define INSN_COPY(dst, src)                                                                        \
	((struct bpf_insn){ .code = BPF_ALU | BPF_MOV | BPF_X, .dst_reg = (dst), .src_reg = (src) })
/* jump if not equal, @to counted from the next instruction */
#define INSN_JNE(reg, value, to)                                                                   \
	((struct bpf_insn){ .code = BPF_JMP32 | BPF_JNE | BPF_K,                                   \
			    .dst_reg = (reg),                                                      \
			    .off = (to),                                                           \
			    .imm = (value) })
#define INSN_RETURN(insns, value)                                                                  \
	do {                                                                                       \
		*(insns)++ = INSN_ALU(BPF_MOV, BPF_REG_0, value);                                  \
		*(insns)++ = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };                      \
	} while (0)

enum { R_TYPE = BPF_REG_2, R_ACCESS = BPF_REG_3, R_MAJOR = BPF_REG_4, R_MINOR = BPF_REG_5 };

static int access_bits(const char *access)
{
	return (strchr(access, 'm') ? BPF_DEVCG_ACC_MKNOD : 0) |
	       (strchr(access, 'r') ? BPF_DEVCG_ACC_READ : 0) |
	       (strchr(access, 'w') ? BPF_DEVCG_ACC_WRITE : 0);
}

/*
 * Every condition that fails jumps past the rule's return; how far is known once the rule is
 * written.
 */
static struct bpf_insn *add_rule(struct bpf_insn *p, const struct cg_dev_rule *r)
{
	struct bpf_insn *start = p;
	int denied = 7 & ~access_bits(r->access);

	if (r->type != 'a')
		*p++ = INSN_JNE(R_TYPE, r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR,
				0);
	if (r->major >= 0)
		*p++ = INSN_JNE(R_MAJOR, (int)r->major, 0);
	if (r->minor >= 0)
		*p++ = INSN_JNE(R_MINOR, (int)r->minor, 0);
	if (denied) {
		*p++ = INSN_COPY(BPF_REG_0, R_ACCESS);
		*p++ = INSN_ALU(BPF_AND, BPF_REG_0, denied);
		*p++ = INSN_JNE(BPF_REG_0, 0, 0);
	}
	INSN_RETURN(p, 1);
	for (struct bpf_insn *i = start; i < p; i++)
		if (BPF_CLASS(i->code) == BPF_JMP32)
			i->off = (int16_t)(p - i - 1);
	return p;
}

void cg_bpf_clear(struct cg_bpf *p)
{
	free(p->insns);
	*p = (struct cg_bpf){ 0 };
}

int cg_bpf_build(const struct cg_dev_rule *rules, size_t n, struct cg_bpf *ret)
{
	struct bpf_insn *insns, *p;
	bool all = false;

	insns = calloc(HEAD_INSNS + TAIL_INSNS + n * RULE_INSNS, sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	p = insns;
	*p++ = INSN_LOAD(R_TYPE, access_type);
	*p++ = INSN_COPY(R_ACCESS, R_TYPE);
	*p++ = INSN_ALU(BPF_AND, R_TYPE, 0xffff);
	*p++ = INSN_ALU(BPF_RSH, R_ACCESS, 16);
	*p++ = INSN_LOAD(R_MAJOR, major);
	*p++ = INSN_LOAD(R_MINOR, minor);
	for (size_t i = 0; i < n && !all; i++) {
		struct bpf_insn *next = add_rule(p, &rules[i]);

		all = next - p ==
		      TAIL_INSNS; /* no condition: the verifier takes nothing unreachable */
		p = next;
	}
	if (!all)
		INSN_RETURN(p, 0);
	ret->insns = insns;
	ret->n = (size_t)(p - insns);
	return 0;
}

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	int r = (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));

	return r < 0 ? -errno : r;
}

static int prog_load(const struct cg_bpf *p)
{
	union bpf_attr a = { 0 };

	a.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	a.expected_attach_type = BPF_CGROUP_DEVICE;
	a.insns = (uint64_t)(uintptr_t)p->insns;
	a.insn_cnt = (uint32_t)p->n;
	a.license = (uint64_t)(uintptr_t) "GPL";
	memcpy(a.prog_name, prog_name, sizeof(prog_name));
	return sys_bpf(BPF_PROG_LOAD, &a);
}

static bool prog_is_ours(int fd)
{
	struct bpf_prog_info info = { 0 };
	union bpf_attr a = { 0 };

	a.info.bpf_fd = (uint32_t)fd;
	a.info.info_len = sizeof(info);
	a.info.info = (uint64_t)(uintptr_t)&info;
	return sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &a) == 0 &&
	       !strncmp(info.name, prog_name, sizeof(info.name));
}

/*
 * Program of ours already attached to @group: fd, or -ENOENT. Others' programs stay where they
 * are.
 */
static int prog_attached(int group)
{
	uint32_t ids[PROGS_MAX] = { 0 };
	union bpf_attr a = { 0 };
	int r;

	a.query.target_fd = (uint32_t)group;
	a.query.attach_type = BPF_CGROUP_DEVICE;
	a.query.prog_ids = (uint64_t)(uintptr_t)ids;
	a.query.prog_cnt = PROGS_MAX;
	r = sys_bpf(BPF_PROG_QUERY, &a);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < a.query.prog_cnt; i++) {
		union bpf_attr id = { 0 };
		VZ_FD int fd = -EBADF;

		id.prog_id = ids[i];
		fd = sys_bpf(BPF_PROG_GET_FD_BY_ID, &id);
		if (fd >= 0 && prog_is_ours(fd))
			return vz_take_fd(&fd);
	}
	return -ENOENT;
}

static int prog_attach(int group, int prog)
{
	union bpf_attr a = { 0 };
	VZ_FD int old = prog_attached(group);

	if (old < 0 && old != -ENOENT)
		return old;
	a.target_fd = (uint32_t)group;
	a.attach_bpf_fd = (uint32_t)prog;
	a.attach_type = BPF_CGROUP_DEVICE;
	a.attach_flags = BPF_F_ALLOW_MULTI;
	if (old >= 0) {
		a.attach_flags |= BPF_F_REPLACE; /* 5.6: at no moment is there none */
		a.replace_bpf_fd = (uint32_t)old;
	}
	return sys_bpf(BPF_PROG_ATTACH, &a);
}

int cg_bpf_attach(const char *dir, const struct cg_dev_rule *rules, size_t n, struct vz_error *err)
{
	struct cg_bpf code __attribute__((cleanup(cg_bpf_clear))) = { 0 };
	VZ_FD int group = vz_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	VZ_FD int prog = -EBADF;
	int r;

	if (group < 0)
		return vz_fail(err, VZ_EXIT_DEVICES, -group, "cannot open %s", dir);
	r = cg_bpf_build(rules, n, &code);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_DEVICES, -r, "device rules");
	prog = prog_load(&code);
	if (prog == -EINVAL || prog == -ENOSYS) {
		(void)vz_fail(err, VZ_EXIT_DEVICES, -prog,
			      "this kernel has no cgroup device programs (CONFIG_CGROUP_BPF)");
		return -EOPNOTSUPP;
	}
	if (prog < 0)
		return vz_fail(err, VZ_EXIT_DEVICES, -prog, "cannot load the device program");
	r = prog_attach(group, prog);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_DEVICES, -r, "cannot attach the device program to %s",
			       dir);
	return 0;
}
