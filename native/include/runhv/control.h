/* runhv: the control channel of a micro-VM (docs/control.md).
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each runhv-vmm serves one local stream socket, `control` in the container's folder. Both sides
 * send frames; a payload is a structure of runhv.h or of this file, byte for byte (little-endian,
 * the alignment of C on x86-64), then bytes whose number the structure says. A structure may be
 * longer or shorter than the reader's: struct_size is the sender's; what is lacking is zeros, what
 * is more is passed over.
 */
#ifndef RUNHV_CONTROL_H
#define RUNHV_CONTROL_H

#include <stdint.h>

#include "runhv/runhv.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RUNHV_CONTROL_VERSION 1u
#define RUNHV_CONTROL_MAX_PAYLOAD (RUNHV_MAX_PROCESS_JSON_BYTES + 4096u) /* to the VMM */
#define RUNHV_CONTROL_MAX_ANSWER 16384u                                  /* from the VMM */
#define RUNHV_CONTROL_MAX_HANDLES 16u
#define RUNHV_CONTROL_MAX_TAPS 8u      /* of one JOIN */
#define RUNHV_CONTROL_MAX_CLIENTS 512u /* connections at one time, streams included */

typedef struct runhv_control_frame {
  uint32_t length;  /* of the payload */
  uint16_t type;    /* runhv_control_type */
  uint16_t handles; /* descriptors that come with this frame's first byte (SCM_RIGHTS) */
  uint32_t request; /* chosen by the client, given back in the answer; 0 in events */
  uint32_t zero;
} runhv_control_frame;

typedef enum runhv_control_type {
  /* client -> VMM. Each is answered once, in order: by its own type | RUNHV_CONTROL_ANSWER with the
   * payload named here after the arrow, or by RUNHV_CONTROL_ERROR with a runhv_error. */
  RUNHV_CONTROL_HELLO = 1,  /* runhv_control_hello, the first frame -> runhv_control_hello. A VMM of
                               another version answers with its own, and closes. */
  RUNHV_CONTROL_STATE = 2,  /* -> runhv_state */
  RUNHV_CONTROL_START = 3,  /* -> */
  RUNHV_CONTROL_SIGNAL = 4, /* runhv_control_signal -> */
  RUNHV_CONTROL_STOP = 5,   /* runhv_control_stop -> */
  RUNHV_CONTROL_PAUSE = 6,  /* -> */
  RUNHV_CONTROL_RESUME = 7, /* -> */
  RUNHV_CONTROL_STATISTICS = 8,    /* -> runhv_statistics */
  RUNHV_CONTROL_PROCESS_START = 9, /* runhv_control_process_start, then the JSON
                                      -> runhv_control_process */
  RUNHV_CONTROL_RESIZE = 10,       /* runhv_control_resize -> */
  RUNHV_CONTROL_ATTACH = 11,       /* runhv_control_attach -> */
  RUNHV_CONTROL_STREAM = 12,       /* runhv_control_stream, the first frame in place of HELLO. After
                                      the answer the connection carries the bytes of a stream, for
                                      clients that cannot send descriptors. */
  RUNHV_CONTROL_UPDATE = 13,       /* runhv_control_update, then the JSON -> , when the guest has
                                      answered. The client's further requests wait for that. */
  RUNHV_CONTROL_JOIN = 14, /* runhv_control_process_start, then the name of a container below
                              the same root, which is to run in this VM, then its network where it
                              has one of its own -> runhv_control_process: its first process. The
                              PROCESS_* events of that are the container's */
  /* VMM -> client */
  RUNHV_CONTROL_EVENT = 0x4000, /* runhv_event, to clients that asked in HELLO */
  RUNHV_CONTROL_ERROR = 0x4001, /* runhv_error */
  RUNHV_CONTROL_ANSWER = 0x8000
} runhv_control_type;

enum {
  RUNHV_CONTROL_WANTS_EVENTS = 1u << 0 /* in runhv_control_hello.flags. Events that came before are
                                          sent first, each kind but PROCESS_* and the like once: a
                                          client that comes late misses neither CREATED, STARTED nor
                                          ENDED */
};
typedef struct runhv_control_hello {
  uint32_t struct_size;
  uint32_t version; /* RUNHV_CONTROL_VERSION */
  uint32_t flags;
  uint32_t reserved;
} runhv_control_hello;

typedef struct runhv_control_signal {
  uint32_t struct_size;
  runhv_process process;
  int32_t signal;
  uint32_t reserved;
} runhv_control_signal;

typedef struct runhv_control_stop {
  uint32_t struct_size;
  int32_t signal; /* 0 = the bundle's stop signal */
  uint32_t grace_ms;
  uint32_t reserved;
} runhv_control_stop;

/* Where a stream of a process has its end on the host. */
typedef enum runhv_control_end {
  RUNHV_CONTROL_END_NONE = 0,   /* the null device; in ATTACH: no end */
  RUNHV_CONTROL_END_HANDLE = 1, /* the next descriptor of the frame */
  RUNHV_CONTROL_END_STREAM = 2  /* the connection that said STREAM with this token */
} runhv_control_end;

enum {
  /* in runhv_control_process_start.flags */
  RUNHV_CONTROL_ENDS_WITH_CLIENT = 1u << 16, /* the process is killed when the connection that
                                                started it ends */
  RUNHV_CONTROL_OWN_NETWORK = 1u << 17 /* of JOIN: the container has a network namespace of its
                                          own, with an interface for each of `taps` */
};
typedef struct runhv_control_process_start {
  uint32_t struct_size;
  uint32_t flags; /* RUNHV_PROCESS_*, RUNHV_CONTROL_ENDS_WITH_CLIENT */
  uint16_t columns, rows;
  uint32_t json_bytes;     /* or of the name */
  uint32_t ends[3];        /* runhv_control_end of stdin, stdout, stderr */
  runhv_process container; /* that the process is in: 0, or what JOIN has answered. Of JOIN: 0 */
  uint64_t tokens[3];
  uint32_t descriptors; /* so many of the frame, after those of `ends`, are the process's 3, 4, …:
                           each open one way; at most 13 */
  uint32_t taps;        /* of JOIN with OWN_NETWORK: so many of the frame, after those, are taps.
                           Behind the name are as many runhv_control_tap, in their order, then
                           records RUNHV_REC_NETLINK (guest/proto/runhv_agent.h) in whose
                           `interface` is the place of a tap in that order */
} runhv_control_process_start;

typedef struct runhv_control_tap {
  uint32_t struct_size;
  uint32_t mtu; /* 68 to 65535 (virtio 1.2 §5.1.4.1) */
} runhv_control_tap;

typedef struct runhv_control_process {
  uint32_t struct_size;
  runhv_process process;
} runhv_control_process;

/* Of the JSON of linux.resources: what is about the guest (docs/bundle.md). */
typedef struct runhv_control_update {
  uint32_t struct_size;
  uint32_t json_bytes;
  runhv_process container; /* whose: 0, or what JOIN has answered */
  uint32_t reserved;
} runhv_control_update;

typedef struct runhv_control_resize {
  uint32_t struct_size;
  runhv_process process;
  uint16_t columns, rows;
  uint32_t reserved;
} runhv_control_resize;

typedef struct runhv_control_attach {
  uint32_t struct_size;
  runhv_process process;
  int32_t stream; /* 0, 1, 2 */
  uint32_t end;   /* runhv_control_end */
  uint64_t token;
} runhv_control_attach;

typedef struct runhv_control_stream {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t token; /* chosen by the client at random, not 0; taken once, and forgotten with the
                     connection */
} runhv_control_stream;

#ifdef __cplusplus
}
#endif
#endif
