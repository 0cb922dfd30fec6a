/* The protocol between the host and the agent (pid 1 of the guest). Prose: guest/proto/README.md.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * All numbers are little-endian. Included by the agent and by native/container; C and C++.
 */
#ifndef RUNHV_AGENT_H
#define RUNHV_AGENT_H

#include <stdint.h>

#define RUNHV_PROTO_MAGIC 0x41565248u /* "HRVA" */
#define RUNHV_PROTO_VERSION 7u

/* vsock: the agent connects to the host (CID 2). The ports of streams are the host's to choose,
 * above this one, each for one connection; those of the first process begin here. */
#define RUNHV_CONTROL_PORT 1024u
#define RUNHV_RESOLVER_DATAGRAM_PORT                                                            \
  1022u                                  /* one connection: u16 length and a datagram, repeated \
                                          */
#define RUNHV_RESOLVER_STREAM_PORT 1023u /* a connection for each of the container's */
#define RUNHV_MAX_RESOLVER_DATAGRAM 4096
#define RUNHV_FIRST_STREAM_PORT 1025u

/* Frame on the control connection: header, then length bytes of payload. */
struct runhv_frame {
  uint32_t length; /* of the payload */
  uint16_t type;   /* RUNHV_MSG_* */
  uint16_t zero;
};
#define RUNHV_MAX_FRAME_TO_AGENT (1u << 20)
#define RUNHV_MAX_FRAME_TO_HOST (64u << 10)

/* Processes that the agent knows at one time: prepared, running, or ended with output on its way.
 * The host asks for no more. */
#define RUNHV_MAX_PROCESSES 128u
/* Containers at one time, the first one included. */
#define RUNHV_MAX_CONTAINERS 64u
/* Of a process, beside stdin, stdout and stderr. */
#define RUNHV_MAX_DESCRIPTORS 13u

enum {
  /* agent -> host */
  RUNHV_MSG_HELLO = 1,          /* struct runhv_hello */
  RUNHV_MSG_STARTED = 3,        /* struct runhv_process_id: execve succeeded */
  RUNHV_MSG_FAILED = 4,         /* struct runhv_failed, then a UTF-8 text without NUL */
  RUNHV_MSG_EXITED = 5,         /* struct runhv_exited */
  RUNHV_MSG_PREPARED = 8,       /* struct runhv_process_id */
  RUNHV_MSG_OUT_OF_MEMORY = 9,  /* struct runhv_out_of_memory */
  RUNHV_MSG_WARNING = 10,       /* struct runhv_process_id, then a UTF-8 text without NUL */
  RUNHV_MSG_RESOURCES_SET = 16, /* struct runhv_resources_set, then a UTF-8 text without NUL */
  /* host -> agent */
  RUNHV_MSG_CONTAINER = 2,  /* records of the first container; once, before the first PREPARE */
  RUNHV_MSG_PREPARE = 11,   /* struct runhv_prepare, then records */
  RUNHV_MSG_EXECUTE = 12,   /* struct runhv_process_id */
  RUNHV_MSG_SIGNAL = 6,     /* struct runhv_signal */
  RUNHV_MSG_RESIZE = 13,    /* struct runhv_resize */
  RUNHV_MSG_NETWORK = 14,   /* records of the network; any number, from CONTAINER on */
  RUNHV_MSG_RESOURCES = 15, /* struct runhv_resources, then records CGROUP_FILE and DEVICE_RULE;
                               answered by RESOURCES_SET */
  RUNHV_MSG_POWER_OFF = 7   /* empty: kill everything, write the exit port */
};

struct runhv_hello {
  uint32_t magic;
  uint16_t version;
  uint16_t zero;
};
/* 0 = the container's first process; every other number is the host's choice and used once. */
struct runhv_process_id {
  uint32_t process;
  uint32_t zero;
};
enum { RUNHV_PREPARE_EXECUTE = 1u << 0 /* as if EXECUTE came, too: no PREPARED is sent */ };
/* A container has the number of its first process, and ends with that. What follows is
 * container_bytes of records of a container, which this process is the first of, then the records
 * of the process. The namespaces for network, ipc and uts of such a container are those of the
 * first one where NAMESPACES does not have them; it has mounts and pids of its own. */
struct runhv_prepare {
  uint32_t process;
  uint32_t flags;           /* RUNHV_PREPARE_* */
  uint32_t container;       /* that the process is in */
  uint32_t container_bytes; /* 0 = it is there already */
};
struct runhv_failed {
  uint32_t process;
  int32_t guest_errno;  /* 0 = none */
  uint32_t exit_status; /* 126 cannot be run, 127 not found, 125 anything else */
  uint32_t zero;
};
struct runhv_exited {
  uint32_t process;
  uint32_t signaled; /* 0: value is the exit status; 1: the signal */
  uint32_t value;
  uint32_t oom_kills; /* processes that the kernel killed because memory had run out, since the
                         guest began; 0 beside an exit status of 0 */
};
struct runhv_out_of_memory {
  uint32_t kills; /* since the guest began */
  uint32_t zero;
};
struct runhv_resources {
  uint32_t container; /* whose cgroup it is */
  uint32_t zero;
};
struct runhv_resources_set {
  int32_t guest_errno; /* 0 = done, and no text; else of the first file that could not be set: those
                          before it are */
  uint32_t zero;
};
struct runhv_signal {
  uint32_t process;
  uint32_t signal; /* Linux number, 1..64 */
};
struct runhv_resize {
  uint32_t process;
  uint16_t columns, rows;
};

/* Records: header, `length` bytes, padding with zeros to a multiple of 8. A record that may repeat
 * keeps its order. The agent refuses a tag that it does not know, and one in the wrong message. A
 * string is UTF-8 or any bytes, ends with a NUL that `length` counts, and holds no other.
 */
struct runhv_record {
  uint16_t tag;
  uint16_t zero;
  uint32_t length;
};

enum {
  /* of a process */
  RUNHV_REC_ARG = 1,            /* string; repeats, at least one */
  RUNHV_REC_ENV = 2,            /* string NAME=value; repeats */
  RUNHV_REC_CWD = 3,            /* string, absolute; made where missing */
  RUNHV_REC_USER = 4,           /* struct runhv_user */
  RUNHV_REC_GROUPS = 5,         /* u32 each: additional groups */
  RUNHV_REC_CAPS = 6,           /* struct runhv_caps; absent = none in any set */
  RUNHV_REC_RLIMIT = 7,         /* struct runhv_rlimit; repeats */
  RUNHV_REC_FLAGS = 8,          /* u32: RUNHV_PROCESS_* */
  RUNHV_REC_SECCOMP = 17,       /* u32 flags of seccomp(2), u32 zero, then struct sock_filter[] */
  RUNHV_REC_STDIO = 18,         /* struct runhv_stdio */
  RUNHV_REC_OOM_SCORE_ADJ = 20, /* i32 */
  RUNHV_REC_SCHEDULER = 26,     /* struct runhv_scheduler */
  RUNHV_REC_IO_PRIORITY = 27,   /* u32, as ioprio_set(2) has it */
  RUNHV_REC_CPU_AFFINITY = 28,  /* u64: bit n is processor n */
  RUNHV_REC_PERSONALITY = 29,   /* u32, as personality(2) has it */
  RUNHV_REC_DESCRIPTOR = 32,    /* struct runhv_descriptor: 3, 4, … in their order; repeats */
  /* of the container */
  RUNHV_REC_NAMESPACES = 9,  /* u32: CLONE_NEW* of the container */
  RUNHV_REC_HOSTNAME = 10,   /* string */
  RUNHV_REC_DOMAINNAME = 11, /* string */
  RUNHV_REC_ROOT = 12,  /* struct runhv_root, then 2 strings: type ("erofs"), device ("/dev/vda", or
                           of a share its place) */
  RUNHV_REC_MOUNT = 13, /* struct runhv_mount, then 4 strings: destination, type, source, data */
  RUNHV_REC_DEVICE = 14,   /* struct runhv_device, then string path */
  RUNHV_REC_MASKED = 15,   /* string; repeats */
  RUNHV_REC_READONLY = 16, /* string; repeats */
  RUNHV_REC_SYSCTL = 19,   /* 2 strings: name with dots (/ for one in a part), value; repeats */
  RUNHV_REC_CLOCK = 21,    /* u64: nanoseconds since the epoch, at sending */
  RUNHV_REC_ENTROPY = 22,  /* 32 bytes for the guest's generator */
  RUNHV_REC_FILE = 23,     /* struct runhv_file, then 2 strings: path, content or target; repeats */
  RUNHV_REC_CGROUP = 24,   /* empty: the container has a cgroup of its own, that of its namespace */
  RUNHV_REC_CGROUP_FILE = 25,  /* 2 strings: a file of that cgroup (version 2), what is written into
                                  it; repeats */
  RUNHV_REC_DEVICE_RULE = 33,  /* struct runhv_device_rule, of that cgroup; repeats */
  RUNHV_REC_TIME_OFFSETS = 30, /* struct runhv_time_offsets, of the time namespace */
  RUNHV_REC_HOOK = 31,         /* struct runhv_hook, then strings: the state (JSON), the path, its
                                  arguments, its variables; repeats */
  RUNHV_REC_UID_MAP = 34, /* struct runhv_id_range[], of the user namespace, which NAMESPACES has:
                             without maps it is the first container's */
  RUNHV_REC_GID_MAP = 35, /* the same, of groups; neither or both */
  RUNHV_REC_NETLINK = 40, /* struct runhv_netlink, then the message, then a string that says what
                             it does; repeats */
  RUNHV_REC_NETWORK_SLOT = 41, /* struct runhv_network_slot; repeats */
  RUNHV_REC_RESOLVER = 42,     /* struct runhv_resolver */
};

enum {
  RUNHV_PROCESS_NO_NEW_PRIVILEGES = 1u << 0,
  RUNHV_PROCESS_UMASK = 1u << 1, /* runhv_user.umask counts */
  RUNHV_PROCESS_WRITES_ARCHIVE =
      1u << 2 /* no program: its output is the container's root as a tar archive */
};

struct runhv_user {
  uint32_t uid, gid, umask, zero;
};
/* Linux capability bits, as in capset(2). */
struct runhv_caps {
  uint64_t bounding, effective, permitted, inheritable, ambient;
};
struct runhv_rlimit {
  uint32_t resource, zero; /* RLIMIT_* */
  uint64_t soft, hard;     /* UINT64_MAX = RLIM_INFINITY */
};
/* As struct sched_attr of sched_setattr(2); the last three in nanoseconds. */
struct runhv_scheduler {
  uint32_t policy; /* SCHED_* */
  int32_t nice;
  uint32_t priority;
  uint32_t zero;
  uint64_t flags; /* SCHED_FLAG_* */
  uint64_t runtime, deadline, period;
};
/* What is added to these clocks; nanoseconds less than a second. */
struct runhv_time_offsets {
  int64_t monotonic_seconds, boottime_seconds;
  uint32_t monotonic_nanoseconds, boottime_nanoseconds;
};
/* A line of /proc/PID/uid_map: user_namespaces(7). */
struct runhv_id_range {
  uint32_t inside, outside, count; /* neither end goes beyond UINT32_MAX - 1 */
};
#define RUNHV_MAX_ID_RANGES 340u /* Linux's own bound */
/* Shares: trees and files of the host, entries "/0", "/1", … of the virtiofs with this tag. */
#define RUNHV_SHARES_TAG "runhv"

enum {
  RUNHV_ROOT_READONLY = 1u << 0,
  RUNHV_ROOT_SCRATCH_DISK = 1u << 1, /* upper on /dev/vdb */
  RUNHV_ROOT_SHARE = 1u << 2         /* the root is a share, as it is: no overlay */
};
struct runhv_root {
  uint32_t flags;
  uint32_t propagation; /* MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE | MS_REC; 0 = slave */
};
enum {
  RUNHV_MOUNT_TMPCOPYUP = 1u << 0,
  RUNHV_MOUNT_RECURSIVE_READONLY = 1u << 1,
  RUNHV_MOUNT_SHARE = 1u << 2 /* source is the place of a share, which is bound to destination */
};
struct runhv_mount {
  uint64_t flags;       /* MS_* of mount(2), propagation excluded */
  uint64_t propagation; /* MS_SHARED … | MS_REC, 0 = as it is */
  uint32_t options;     /* RUNHV_MOUNT_* */
  uint32_t zero;
};
struct runhv_device {
  uint32_t mode; /* S_IFCHR, S_IFBLK or S_IFIFO | permissions */
  uint32_t major, minor, uid, gid, zero;
};
/* What processes may do with devices: of the rules that are about an access the last one decides,
 * and where none is, it is denied. One that denies is about an access where it is about a part of
 * it. */
#define RUNHV_MAX_DEVICE_RULES 256u
#define RUNHV_ANY_DEVICE UINT32_MAX
struct runhv_device_rule {
  uint32_t allowed;      /* 1 or 0 */
  uint32_t types;        /* BPF_DEVCG_DEV_* as bits: 1 = block, 2 = character */
  uint32_t access;       /* BPF_DEVCG_ACC_*: 1 = mknod, 2 = read, 4 = write */
  uint32_t major, minor; /* RUNHV_ANY_DEVICE = each */
  uint32_t zero;
};
/* A program that the first process runs before its own, with the state as stdin. */
struct runhv_hook {
  uint32_t timeout_seconds;      /* then it is killed; 0 = none */
  uint32_t arguments, variables; /* how many; without an argument the path is the first */
  uint32_t zero;
};
/* A file of the container's root, written before its mounts are made. */
enum { RUNHV_FILE_IF_MISSING = 1u << 0 /* else it replaces what the image has */ };
struct runhv_file {
  uint32_t mode;  /* S_IFREG, S_IFLNK or S_IFDIR | permissions; uid and gid are 0 */
  uint32_t flags; /* RUNHV_FILE_* */
};
/* A message of rtnetlink(7) for the kernel of the guest, about one of its virtio-net devices: the
 * agent writes the index of the device's interface into it. The device is found by the last byte of
 * its MAC address. */
#define RUNHV_NETWORK_MAC \
  { 0x02, 0x72, 0x76, 0, 0, 0 }
#define RUNHV_MAX_NETWORKS 8u
struct runhv_netlink {
  uint32_t interface;     /* less than RUNHV_MAX_NETWORKS */
  uint32_t index_offset;  /* in the message, of a u32 */
  uint32_t message_bytes; /* a multiple of 4, the message's header included */
  uint32_t zero;
};
/* Of NETWORK: a network device has come to its place, or has gone from it. */
struct runhv_network_slot {
  uint32_t interface; /* less than RUNHV_MAX_NETWORKS */
  uint32_t device;    /* the place: virtio-mmio.N of Linux */
  uint32_t present;   /* 1 or 0 */
  uint32_t zero;
};
/* A resolver of names that the guest has on its loopback, and the host serves. */
struct runhv_resolver {
  uint8_t address[4]; /* of IPv4 */
  uint16_t port;      /* of UDP and TCP */
  uint16_t zero;
};
enum {
  RUNHV_STDIO_TERMINAL = 1u << 0 /* one pseudo-terminal: stdin_port carries both directions */
};
struct runhv_stdio {
  uint32_t stdin_port, stdout_port, stderr_port; /* the agent connects to these; 0 = /dev/null */
  uint32_t flags;                                /* RUNHV_STDIO_* */
  uint16_t columns, rows;                        /* of a terminal, 0 = unknown */
  uint32_t zero;
};

/* One more descriptor: a pipe, to whose other end the agent connects this port. */
enum { RUNHV_DESCRIPTOR_TO_HOST = 1u << 0 /* the process writes to it; else it reads */ };
struct runhv_descriptor {
  uint32_t port;  /* not 0 */
  uint32_t flags; /* RUNHV_DESCRIPTOR_* */
};

/* Ports of the machine's own device (native/devices/exitport), for the agent with iopl(3). */
#define RUNHV_PORT_EXIT 0xf4u     /* outb: the machine powers off */
#define RUNHV_PORT_STAGE 0xf5u    /* outb RUNHV_STAGE_PORT_*: the agent says how far the start is */
#define RUNHV_STAGE_PORT_AGENT 1u /* the agent's first act */
#define RUNHV_STAGE_PORT_FIRST_INSTRUCTION 2u /* execve of the first process's program is done */

#endif
