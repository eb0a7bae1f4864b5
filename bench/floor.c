/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floor: what a start cannot be faster than. It makes the kernel objects of a start of Croft's, in
 * the order that is cheapest, with no check, no configuration, no lock, no filter, no protocol, no
 * state, and executes init. What Croft takes beyond it is its own work.
 *
 * Objects, as of `vzctl start` on simfs with one IPv4 address:
 *
 *   processes    a monitor (session of its own), init
 *   namespaces   user (owned by the base id), mount, process, network, IPC, UTS, cgroup, time
 *   groups       v2: CTID, CTID/host, CTID/payload, init in the last; v1: one in each hierarchy
 *                mounted, init in each, the limits of the bench's VPS written (cpu, memory, pids,
 *                devices)
 *   mounts       VE_ROOT (bind of the private area); its idmapped clone as root; tmpfs on /dev,
 *                /dev/shm, /run, /tmp; the console's pty on /dev/console; proc, sysfs, cgroup2,
 *                devpts, mqueue; 6 masks of /dev/null, 4 read-only binds, 1 writable over /proc
 *   files        6 device nodes, 6 symlinks in /dev
 *   network      a veth pair, both ends up, lo up, an address and a default route inside, a route
 *                to it outside
 *   pty          one, on the node's devpts
 *
 * Not made, though Croft makes them: the state and lock files in /run, the log, network sysctls of
 * the host end, the filter, the capability sets, and the child that edits files inside.
 *
 *   floor start NAME BASE PRIVATE ROOT ADDRESS CGROUP...   prints init's and the monitor's pid
 *   floor stop  NAME ROOT INIT CGROUP...                   kills, waits, removes all of it
 *
 * CGROUP: mount points of the hierarchies, that of v2 first.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

struct floor {
	const char *name, *private_dir, *root;
	uid_t base;
	struct in_addr addr;
	char **cgroups;
	int ncgroups;
	int dev, shm, run, tmp; /* file systems, not attached yet */
	int console, console_mnt;
	int go[2], done[2]; /* the monitor hands the root over; init hangs up by its exec */
};

static int must(int r, const char *what)
{
	if (r < 0)
		err(1, "%s", what);
	return r;
}

/* ---- control groups ---- */

static void group_file(const char *mount, const char *name, const char *file, const char *value)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/floor-%s%s", mount, name, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return; /* this hierarchy has other knobs */
	if (write(fd, value, strlen(value)) < 0)
		warn("%s", path);
	close(fd);
}

static void groups_make(const struct floor *f)
{
	static const char *const sub[] = { "", "/host", "/payload" };
	static const struct {
		const char *hierarchy, *file, *value;
	} limits[] = {
		{ "cpuset", "/cpuset.mems", "0" },
		{ "cpuset", "/cpuset.cpus", "0" },
		{ "cpu", "/cpu.shares", "1024" },
		{ "memory", "/memory.limit_in_bytes", "67108864" },
		{ "pids", "/pids.max", "100" },
		{ "devices", "/devices.deny", "a" },
		{ "devices", "/devices.allow", "c *:* rwm" },
	};
	char path[PATH_MAX];

	for (int c = 0; c < f->ncgroups; c++) {
		const char *hierarchy = strrchr(f->cgroups[c], '/') + 1;

		for (int i = 0; i < (c ? 1 : 3); i++) {
			snprintf(path, sizeof(path), "%s/floor-%s%s", f->cgroups[c], f->name,
				 sub[i]);
			must(mkdir(path, 0755), path);
		}
		for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
			if (!strcmp(hierarchy, limits[i].hierarchy))
				group_file(f->cgroups[c], f->name, limits[i].file, limits[i].value);
	}
}

/* As fork, the child born in v2's payload. A move by cgroup.procs would wait 5 to 10 ms for the CPUs. */
static pid_t fork_into_payload(const struct floor *f)
{
	struct clone_args a = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/floor-%s/payload", f->cgroups[0], f->name);
	a.cgroup = (uint64_t)must(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), path);
	return (pid_t)must((int)syscall(SYS_clone3, &a, sizeof(a)), "clone3");
}

/* v1: a process of one thread that moves itself need not wait either. */
static void groups_join(const struct floor *f)
{
	for (int c = 1; c < f->ncgroups; c++)
		group_file(f->cgroups[c], f->name, "/tasks", "0");
}

/* ---- file systems ---- */

static int new_fs(const char *type, const char *const opts[][2], unsigned int attrs)
{
	int fs = must(fsopen(type, FSOPEN_CLOEXEC), type), mnt;

	for (; opts && (*opts)[0]; opts++)
		must(fsconfig(fs, FSCONFIG_SET_STRING, (*opts)[0], (*opts)[1], 0), (*opts)[0]);
	must(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), type);
	mnt = must(fsmount(fs, FSMOUNT_CLOEXEC, attrs), type);
	close(fs);
	return mnt;
}

static int new_tmpfs(const struct floor *f, const char *mode)
{
	char id[16];
	const char *const opts[][2] = { { "uid", id },
					{ "gid", id },
					{ "mode", mode },
					{ "size", "33554432" },
					{ "nr_inodes", "100000" },
					{ NULL } };

	snprintf(id, sizeof(id), "%u", f->base);
	return new_fs("tmpfs", opts, 0);
}

static void attach(int mnt, int dir, const char *name)
{
	must(move_mount(mnt, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH), name);
	close(mnt);
}

static void fill_dev(int dev)
{
	static const struct {
		const char *name;
		unsigned int major, minor;
	} nodes[] = { { "null", 1, 3 },	  { "zero", 1, 5 },    { "full", 1, 7 },
		      { "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 } };
	static const char *const links[][2] = {
		{ "fd", "/proc/self/fd" },	 { "stdin", "/proc/self/fd/0" },
		{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
		{ "ptmx", "pts/ptmx" },		 { "core", "/proc/kcore" },
	};

	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++)
		must(mknodat(dev, nodes[i].name, S_IFCHR | 0666,
			     makedev(nodes[i].major, nodes[i].minor)),
		     nodes[i].name);
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		must(symlinkat(links[i][1], dev, links[i][0]), links[i][0]);
	must(mkdirat(dev, "pts", 0755), "pts");
	must(mkdirat(dev, "shm", 0755), "shm");
	must(mkdirat(dev, "mqueue", 0755), "mqueue");
	close(must(openat(dev, "console", O_CREAT | O_WRONLY | O_CLOEXEC, 0600), "console"));
}

static void open_console(struct floor *f)
{
	int unlock = 0, master = must(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), "ptmx");
	char path[32];

	must(ioctl(master, TIOCSPTLCK, &unlock), "unlock the pty");
	f->console = must(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC), "pty");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->console);
	f->console_mnt = must(open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), path);
}

static void bind_at(int root, const char *from, const char *to, bool readonly)
{
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY };
	int mnt = open_tree(root, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (mnt < 0)
		return; /* another kernel's /proc */
	if (readonly)
		must(mount_setattr(mnt, "", AT_EMPTY_PATH, &ro, sizeof(ro)), from);
	if (move_mount(mnt, "", root, to, MOVE_MOUNT_F_EMPTY_PATH) < 0 && errno != ENOENT)
		err(1, "%s", to);
	close(mnt);
}

static void mask_proc(int root)
{
	static const char *const hidden[] = { "kcore",	    "keys",	   "latency_stats",
					      "timer_list", "sched_debug", "sysrq-trigger" };
	static const char *const readonly[] = { "proc/sys", "proc/bus", "proc/fs", "proc/irq" };
	int net = must(open_tree(root, "proc/sys/net", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), "net");
	char to[64];

	for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++) {
		snprintf(to, sizeof(to), "proc/%s", hidden[i]);
		bind_at(root, "dev/null", to, false);
	}
	for (size_t i = 0; i < sizeof(readonly) / sizeof(*readonly); i++)
		bind_at(root, readonly[i], readonly[i], true);
	attach(net, root, "proc/sys/net");
}

/* ---- network ---- */

struct request {
	struct nlmsghdr h;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		struct rtmsg route;
	};
	char room[512];
};

static struct rtattr *put(struct request *m, int type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)m + NLMSG_ALIGN(m->h.nlmsg_len));

	a->rta_type = (unsigned short)type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	m->h.nlmsg_len = NLMSG_ALIGN(m->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static void end(struct request *m, struct rtattr *nest)
{
	nest->rta_len = (unsigned short)((char *)m + m->h.nlmsg_len - (char *)nest);
}

static void talk(int sk, struct request *m, int type, int flags, const char *what)
{
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char rest[1024];
	} answer;

	m->h.nlmsg_type = (unsigned short)type;
	m->h.nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags);
	if (send(sk, m, m->h.nlmsg_len, 0) < 0 || recv(sk, &answer, sizeof(answer), 0) < 0)
		err(1, "%s", what);
	if (answer.e.error) {
		errno = -answer.e.error;
		err(1, "%s", what);
	}
}

static void link_up(int sk, int index)
{
	struct request m = {
		.h.nlmsg_len = NLMSG_LENGTH(sizeof(m.link)),
		.link = { .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP }
	};

	talk(sk, &m, RTM_SETLINK, 0, "link up");
}

static void route(int sk, int index, const struct in_addr *to)
{
	struct request m = { .h.nlmsg_len = NLMSG_LENGTH(sizeof(m.route)),
			     .route = { .rtm_family = AF_INET,
					.rtm_dst_len = to ? 32 : 0,
					.rtm_table = RT_TABLE_MAIN,
					.rtm_protocol = RTPROT_STATIC,
					.rtm_scope = RT_SCOPE_LINK,
					.rtm_type = RTN_UNICAST } };

	if (to)
		put(&m, RTA_DST, to, sizeof(*to));
	put(&m, RTA_OIF, &index, sizeof(index));
	talk(sk, &m, RTM_NEWROUTE, NLM_F_CREATE, "route");
}

/* Outside, while init builds its root. */
static void make_veth(const struct floor *f, pid_t init)
{
	struct ifinfomsg up = { .ifi_flags = IFF_UP | IFF_NOARP, .ifi_change = IFF_UP | IFF_NOARP };
	struct ifinfomsg peer = { .ifi_flags = IFF_NOARP, .ifi_change = IFF_NOARP };
	struct request m = { .h.nlmsg_len = NLMSG_LENGTH(sizeof(m.link)), .link = up };
	int sk = must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), "rtnetlink");
	uint32_t pid = (uint32_t)init;
	struct rtattr *info, *data, *other;
	char name[IFNAMSIZ];

	snprintf(name, sizeof(name), "fl%s", f->name);
	put(&m, IFLA_IFNAME, name, strlen(name) + 1);
	info = put(&m, IFLA_LINKINFO, NULL, 0);
	put(&m, IFLA_INFO_KIND, "veth", 4);
	data = put(&m, IFLA_INFO_DATA, NULL, 0);
	other = put(&m, VETH_INFO_PEER, &peer, sizeof(peer));
	put(&m, IFLA_IFNAME, "venet0", 7);
	put(&m, IFLA_NET_NS_PID, &pid, sizeof(pid));
	end(&m, other);
	end(&m, data);
	end(&m, info);
	talk(sk, &m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "veth");
	route(sk, (int)if_nametoindex(name), &f->addr);
	close(sk);
}

static void inner_network(const struct floor *f)
{
	int sk = must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), "rtnetlink");
	int index = (int)if_nametoindex("venet0");
	struct request m = { .h.nlmsg_len = NLMSG_LENGTH(sizeof(m.addr)),
			     .addr = { .ifa_family = AF_INET,
				       .ifa_prefixlen = 32,
				       .ifa_index = (unsigned int)index } };

	link_up(sk, 1);
	link_up(sk, index);
	put(&m, IFA_LOCAL, &f->addr, sizeof(f->addr));
	put(&m, IFA_ADDRESS, &f->addr, sizeof(f->addr));
	talk(sk, &m, RTM_NEWADDR, NLM_F_CREATE, "address");
	route(sk, index, NULL);
	close(sk);
}

/* ---- the two processes ---- */

static void send_root(int sk, int fd)
{
	char room[CMSG_SPACE(sizeof(fd))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	must((int)sendmsg(sk, &m, 0), "hand the root over");
}

static int receive_root(int sk)
{
	char room[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	int fd;

	if (recvmsg(sk, &m, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m))
		errx(1, "no root from the monitor");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

static void init_main(const struct floor *f) __attribute__((noreturn));

static void init_main(const struct floor *f)
{
	static const char *const pts[][2] = {
		{ "mode", "0620" }, { "ptmxmode", "0666" }, { "gid", "5" }, { NULL }
	};
	static char *const argv[] = { (char *)"/sbin/init", NULL };
	static char *const env[] = { (char *)"HOME=/", NULL };
	int root = receive_root(f->go[1]); /* the maps are written now */
	char byte;

	must(setresgid(0, 0, 0), "gid");
	must(setresuid(0, 0, 0), "uid");
	must(setsid(), "setsid");
	must(sethostname(f->name, strlen(f->name)), "host name");
	attach(root, AT_FDCWD, f->root);
	root = must(open(f->root, O_PATH | O_DIRECTORY | O_CLOEXEC), f->root);
	attach(f->dev, root, "dev");
	attach(f->console_mnt, root, "dev/console");
	attach(f->shm, root, "dev/shm");
	attach(f->run, root, "run");
	attach(f->tmp, root, "tmp");
	attach(new_fs("proc", NULL, 0), root, "proc");
	attach(new_fs("sysfs", NULL, MOUNT_ATTR_RDONLY), root, "sys");
	attach(new_fs("cgroup2", NULL, 0), root, "sys/fs/cgroup");
	attach(new_fs("devpts", pts, 0), root, "dev/pts");
	attach(new_fs("mqueue", NULL, 0), root, "dev/mqueue");
	mask_proc(root);
	must(fchdir(root), "root");
	must((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "old root");
	must((int)read(f->go[1], &byte, 1) - 1, "wait for the link");
	inner_network(f);
	must(dup2(f->console, 0) | dup2(f->console, 1) | dup2(f->console, 2), "console");
	execve(argv[0], argv, env);
	err(1, "%s", argv[0]);
}

static void write_maps(const struct floor *f, pid_t pid)
{
	static const char *const names[] = { "uid_map", "gid_map" };
	char path[64], map[64];

	for (int i = 0; i < 2; i++) {
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, names[i]);
		snprintf(map, sizeof(map), "0 %u 65536\n", f->base);
		fd = must(open(path, O_WRONLY | O_CLOEXEC), path);
		must((int)write(fd, map, strlen(map)), path);
		close(fd);
	}
}

/* The clone that carries the ids; VE_ROOT is there already. */
static int idmapped_root(const struct floor *f, pid_t pid)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NODEV,
				   .propagation = MS_PRIVATE };
	int mnt = must(open_tree(AT_FDCWD, f->root, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), f->root);
	char path[64];
	int userns;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	userns = must(open(path, O_RDONLY | O_CLOEXEC), path);
	attr.userns_fd = (uint64_t)userns;
	must(mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)), "idmap");
	close(userns);
	return mnt;
}

static void monitor_main(struct floor *f) __attribute__((noreturn));

static void monitor_main(struct floor *f)
{
	struct clone_args a = {
		.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
			 CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWTIME,
		.exit_signal = SIGCHLD,
	};
	pid_t init;

	setsid();
	close(STDIN_FILENO);
	must(open("/dev/null", O_RDWR), "/dev/null"); /* 0 again */
	must(dup2(STDIN_FILENO, STDOUT_FILENO),
	     "stdout"); /* else we would hold the caller's pipe */
	open_console(f);
	f->dev = new_tmpfs(f, "0755");
	fill_dev(f->dev);
	f->shm = new_tmpfs(f, "1777");
	f->run = new_tmpfs(f, "0755");
	f->tmp = new_tmpfs(f, "1777");
	groups_join(f); /* for the cgroup namespace; init is born there */
	must(setresuid((uid_t)-1, f->base, (uid_t)-1), "euid"); /* who owns the user namespace */
	init = (pid_t)must((int)syscall(SYS_clone3, &a, sizeof(a)), "clone3");
	if (init == 0) {
		close(f->go[0]);
		init_main(f);
	}
	must(setresuid((uid_t)-1, 0, (uid_t)-1), "euid");
	write_maps(f, init);
	send_root(f->go[0], idmapped_root(f, init));
	make_veth(f, init);
	must((int)write(f->go[0], "", 1), "init");
	must((int)dprintf(f->done[1], "%d %d\n", (int)init, (int)getpid()), "tell");
	close(f->done[1]);
	while (waitpid(init, NULL, 0) < 0 && errno == EINTR)
		;
	_exit(0);
}

static void start(struct floor *f)
{
	char text[64] = "";
	size_t len = 0;
	ssize_t n;

	groups_make(f);
	attach(must(open_tree(AT_FDCWD, f->private_dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC),
		    f->private_dir),
	       AT_FDCWD, f->root);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, f->go), "socketpair");
	must(pipe2(f->done, O_CLOEXEC), "pipe");
	if (fork_into_payload(f) == 0)
		monitor_main(f);
	close(f->done[1]);
	while ((n = read(f->done[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n; /* ends by the exec of init */
	if (len == 0)
		errx(1, "init was not started");
	fputs(text, stdout);
}

static void stop(const struct floor *f, pid_t init)
{
	struct pollfd p = { .fd = must(pidfd_open(init, 0), "pidfd"), .events = POLLIN };
	char path[PATH_MAX];

	group_file(f->cgroups[0], f->name, "/cgroup.kill", "1");
	must(poll(&p, 1, 10000), "poll");
	for (int c = 0; c < f->ncgroups; c++)
		for (int s = c ? 2 : 0; s < 3; s++) {
			static const char *const sub[] = { "/host", "/payload", "" };

			snprintf(path, sizeof(path), "%s/floor-%s%s", f->cgroups[c], f->name,
				 sub[s]);
			for (int i = 0; rmdir(path) < 0 && errno == EBUSY && i < 1000; i++)
				(void)poll(NULL, 0, 1); /* the monitor reaps and ends */
		}
	must(umount2(f->root, 0), f->root);
}

int main(int argc, char **argv)
{
	struct floor f = { 0 };

	if (argc > 7 && !strcmp(argv[1], "start")) {
		f = (struct floor){ .name = argv[2], .private_dir = argv[4], .root = argv[5] };
		f.base = (uid_t)strtoul(argv[3], NULL, 10);
		if (inet_pton(AF_INET, argv[6], &f.addr) != 1)
			errx(1, "address %s", argv[6]);
		f.cgroups = argv + 7;
		f.ncgroups = argc - 7;
		start(&f);
	} else if (argc > 5 && !strcmp(argv[1], "stop")) {
		f = (struct floor){ .name = argv[2], .root = argv[3] };
		f.cgroups = argv + 5;
		f.ncgroups = argc - 5;
		stop(&f, (pid_t)strtol(argv[4], NULL, 10));
	} else {
		errx(2, "see the comment at the top of floor.c");
	}
	return 0;
}
