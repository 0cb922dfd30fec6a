/* runhv: the core's C interface. One micro-VM with one container in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Life (docs/life.md has the state diagram): runhv_vm_create reads and checks the bundle, opens the
 * disks, makes the VM and loads the kernel; nothing runs yet. runhv_vm_boot runs the guest: its
 * agent prepares the container, and RUNHV_EVENT_CREATED says that only execve is left.
 * runhv_vm_start lets the program run, and boots where that was not done; it need not wait for
 * CREATED. Further processes, signals, pause and statistics between start and the end.
 * runhv_vm_destroy gives everything back.
 *
 * What happens is told by events, which the caller pulls: runhv_vm_event, and a handle that is
 * readable while there is one. RUNHV_EVENT_ENDED is the last.
 *
 * Handles carry a generation: a handle that was destroyed, or never made, gives RUNHV_CLOSED on
 * every call and never a crash. One VM at a time may exist in a process: Windows maps memory for
 * one partition per process only, and the rule is the same everywhere.
 *
 * Structures start with struct_size, set by the caller to sizeof; fields are only ever appended; a
 * shorter structure means zeros in what it lacks. Strings are UTF-8, NUL-terminated, owned by the
 * caller and copied. No call keeps a pointer of the caller. There are no callbacks. No call changes
 * what the process does with its signals.
 *
 * Threads: every function may be called from any thread. runhv_vm_wait may block; nothing else does
 * for longer than it takes to make a VM.
 *
 * Errors: every function returns a runhv_code and, where `error` is not null, fills it.
 */
#ifndef RUNHV_RUNHV_H
#define RUNHV_RUNHV_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define RUNHV_API __declspec(dllexport)
#else
#define RUNHV_API __attribute__((visibility("default")))
#endif

#define RUNHV_ABI_VERSION 2u

/* Limits of one VM. */
#define RUNHV_MIN_MEMORY_BYTES (24ull << 20)
#define RUNHV_MAX_MEMORY_BYTES (512ull << 30)
#define RUNHV_MAX_CPUS 64u
#define RUNHV_MAX_ID_BYTES 128u
#define RUNHV_MIN_SCRATCH_BYTES (16ull << 20)
#define RUNHV_MAX_SCRATCH_BYTES (1ull << 40)
#define RUNHV_MAX_PROCESSES 128u /* of a container at one time, the first included */
#define RUNHV_MAX_PROCESS_JSON_BYTES (1u << 20)

typedef uint64_t runhv_vm;      /* generation << 32 | slot; 0 is never valid */
typedef uint32_t runhv_process; /* of a container; a number is used once */
#define RUNHV_FIRST_PROCESS 0u

typedef enum runhv_code {
  RUNHV_OK = 0,
  RUNHV_INVALID_ARGUMENT = 1,
  RUNHV_NOT_FOUND = 2,
  RUNHV_CONFLICT = 3,
  RUNHV_CORRUPT_INPUT = 4,
  RUNHV_UNSUPPORTED = 5,
  RUNHV_ACCESS_DENIED = 6,
  RUNHV_OUT_OF_MEMORY = 7,
  RUNHV_NO_SPACE = 8,
  RUNHV_HYPERVISOR_ABSENT = 9,
  RUNHV_GUEST_FAILED = 10,
  RUNHV_TIMED_OUT = 11,
  RUNHV_CLOSED = 12,
  RUNHV_HOST_FAILED = 13
} runhv_code;

typedef enum runhv_domain {
  RUNHV_DOMAIN_NONE = 0,
  RUNHV_DOMAIN_ERRNO = 1,
  RUNHV_DOMAIN_WIN32 = 2,
  RUNHV_DOMAIN_HRESULT = 3,
  RUNHV_DOMAIN_GUEST_ERRNO = 4
} runhv_domain;

typedef struct runhv_error {
  uint32_t struct_size;
  int32_t code;   /* runhv_code */
  int32_t domain; /* runhv_domain: whose number os_code is */
  int32_t reserved;
  int64_t os_code;
  char operation[256]; /* what was attempted, on what */
  char detail[512];    /* why it failed, what to do */
} runhv_error;

enum { RUNHV_STDIN = 0, RUNHV_STDOUT = 1, RUNHV_STDERR = 2 };

typedef struct runhv_vm_config {
  uint32_t struct_size;
  uint32_t flags;              /* RUNHV_FLAG_* */
  const char* id;              /* container id: [A-Za-z0-9_][A-Za-z0-9_.-]{0,127} */
  const char* bundle;          /* absolute path of the OCI bundle; see docs/bundle.md */
  const char* engine;          /* "auto", "soft", "kvm", "whp"; null = auto */
  const char* default_kernel;  /* used where the bundle names no kernel */
  const char* default_initrd;  /* used where the bundle names no initrd: it holds the agent */
  int64_t stdio[3];            /* OS handles, duplicated; -1 = the null device */
  uint64_t spawned_at_ns;      /* monotonic clock when the launcher began; 0 = now */
  const char* default_scratch; /* the empty file system of scratch disks (dev.runhv.scratch) */
  const char* default_modules; /* archive of the default kernel's modules; null = none */
} runhv_vm_config;

enum {
  RUNHV_FLAG_CONSOLE = 1u << 0 /* the guest kernel's console goes to stderr (--debug) */
};

typedef enum runhv_stage {
  RUNHV_STAGE_SPAWN = 0,             /* launcher began -> the VMM's first statement */
  RUNHV_STAGE_PARTITION = 1,         /* configuration read, partition made and set up */
  RUNHV_STAGE_MEMORY = 2,            /* RAM reserved, mapped, kernel and tables loaded */
  RUNHV_STAGE_KERNEL = 3,            /* first guest instruction -> the agent's first */
  RUNHV_STAGE_AGENT = 4,             /* the agent's first instruction -> container started */
  RUNHV_STAGE_FIRST_INSTRUCTION = 5, /* the container's program is in place -> its first output */
  RUNHV_STAGE_FIRST_OUTPUT = 6,      /* first output -> the container ended */
  RUNHV_STAGE_EXIT = 7,              /* the container ended -> the VM is torn down */
  RUNHV_STAGE_COUNT = 8
} runhv_stage;

/* Exits of WHvRunVirtualProcessor, by reason. */
typedef struct runhv_exit_counts {
  uint64_t io_port;
  uint64_t mmio;
  uint64_t cpuid;
  uint64_t msr;
  uint64_t halt;
  uint64_t interrupt_window;
  uint64_t apic_eoi;
  uint64_t canceled;
  uint64_t other;
  uint64_t all;
} runhv_exit_counts;

#define RUNHV_NOT_COUNTED UINT64_MAX

#define RUNHV_MAX_DISKS 8u

/* Requests of the guest that were done, and the bytes of their data. */
typedef struct runhv_disk_counts {
  uint64_t reads;
  uint64_t read_bytes;
  uint64_t writes;
  uint64_t written_bytes;
  uint64_t flushes;
} runhv_disk_counts;

typedef struct runhv_statistics {
  uint32_t struct_size;
  uint32_t processor_count;
  char engine[16];
  char kernel[128]; /* "6.12.117-runhv-minimal", from the image; its file name where it says none */
  uint64_t spawned_at_ns;
  struct {
    uint64_t start_ns;    /* monotonic; 0 = not reached */
    uint64_t duration_ns; /* until the next stage that was reached */
  } stages[RUNHV_STAGE_COUNT];
  runhv_exit_counts exits_to_first_instruction;
  runhv_exit_counts exits_total;              /* until now */
  uint64_t instructions_to_first_instruction; /* RUNHV_NOT_COUNTED where the engine cannot */
  uint64_t instructions_total;
  uint64_t private_bytes; /* of this process, guest RAM included */
  uint64_t guest_memory_resident_bytes;
  uint64_t memory_bytes; /* the guest's RAM */
  uint32_t disk_count;
  uint32_t reserved;
  runhv_disk_counts disks[RUNHV_MAX_DISKS]; /* the guest's /dev/vda, vdb … */
} runhv_statistics;

/* In the order of runhv_exit_counts. */
typedef enum runhv_exit_reason {
  RUNHV_EXIT_IO_PORT = 0,
  RUNHV_EXIT_MMIO = 1,
  RUNHV_EXIT_CPUID = 2,
  RUNHV_EXIT_MSR = 3,
  RUNHV_EXIT_HALT = 4,
  RUNHV_EXIT_INTERRUPT_WINDOW = 5,
  RUNHV_EXIT_APIC_EOI = 6,
  RUNHV_EXIT_CANCELED = 7,
  RUNHV_EXIT_OTHER = 8,
  RUNHV_EXIT_REASON_COUNT = 9
} runhv_exit_reason;

#define RUNHV_STATISTICS_PAGE_VERSION 1u

/* What one virtual processor has done. Its thread alone writes it; 128 bytes of its own. */
typedef struct runhv_processor_counts {
  uint64_t exits[RUNHV_EXIT_REASON_COUNT];
  uint64_t instructions; /* as of its last exit; RUNHV_NOT_COUNTED where the engine cannot */
  uint64_t reserved[6];
} runhv_processor_counts;

/* The statistics of a VM while it runs: where the core itself keeps them, to be read without a
 * call.
 *
 * Each number of 64 bits is written by one atomic store, so a reader that loads it by one load sees
 * a value that it had; numbers of one moment are given by runhv_vm_statistics alone. Counts only
 * grow. A stage's start is 0 until it is reached, then stays; it is stored after what belongs to it
 * (release), so that who loads it with acquire sees with first_instruction the counts until then.
 */
typedef struct runhv_statistics_page {
  uint32_t version; /* RUNHV_STATISTICS_PAGE_VERSION: another one has another layout */
  uint32_t processor_count;
  uint64_t memory_bytes;                      /* the guest's RAM */
  uint64_t guest_memory_resident_bytes;       /* when runhv_vm_statistics last looked; 0 before */
  uint64_t stage_start_ns[RUNHV_STAGE_COUNT]; /* monotonic */
  uint64_t end_ns;                            /* the processors have stopped; 0 = not yet */
  uint64_t exits_to_first_instruction[RUNHV_EXIT_REASON_COUNT];
  uint64_t instructions_to_first_instruction; /* RUNHV_NOT_COUNTED until then, too */
  uint64_t reserved[10];
  runhv_processor_counts processors[RUNHV_MAX_CPUS]; /* processor_count of them are used */
} runhv_statistics_page;

/* A piece of guest RAM as it lies in this process. */
typedef struct runhv_guest_memory {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t address;    /* guest-physical, of its first byte */
  uint64_t size_bytes; /* a multiple of 4096 */
  const void* bytes;
} runhv_guest_memory;

typedef enum runhv_end {
  RUNHV_END_EXITED = 0,   /* value = the program's exit status, 0..255 */
  RUNHV_END_SIGNALED = 1, /* value = the signal that ended it */
  RUNHV_END_NOT_STARTED =
      2 /* value = 125, 126 or 127; error says why (no such file, no permission) */
} runhv_end;

typedef struct runhv_exit_status {
  uint32_t struct_size;
  int32_t end; /* runhv_end */
  int32_t value;
  int32_t exit_status; /* what a shell would show: value, or 128 + value */
  uint32_t oom_kills;  /* how many processes the guest's kernel says it killed because memory had
                          run out; counted where exit_status is not 0 */
} runhv_exit_status;

/* OCI runtime specification, "State"; creating and paused as its errata name them. */
typedef enum runhv_status {
  RUNHV_STATUS_CREATING = 0, /* nothing is prepared yet */
  RUNHV_STATUS_CREATED = 1,  /* all is done but execve of the first program */
  RUNHV_STATUS_RUNNING = 2,
  RUNHV_STATUS_PAUSED = 3,
  RUNHV_STATUS_STOPPED = 4
} runhv_status;

typedef struct runhv_state {
  uint32_t struct_size;
  int32_t status; /* runhv_status */
  char id[RUNHV_MAX_ID_BYTES + 8];
  int64_t pid;            /* of this process */
  uint64_t created_at_ns; /* since 1970, when the VM was made */
  uint64_t started_at_ns; /* since 1970, when the first program was in place; 0 = not yet */
  uint64_t ended_at_ns;   /* since 1970; 0 = not yet */
  uint32_t process_count; /* prepared or running now */
  int32_t end_code;       /* of RUNHV_EVENT_ENDED, where status is STOPPED */
  runhv_exit_status end;  /* the same */
} runhv_state;

typedef enum runhv_event_kind {
  RUNHV_EVENT_CREATED = 1, /* the container is prepared */
  RUNHV_EVENT_STARTED = 2, /* the first program is in place; runhv_vm_statistics has its counts */
  RUNHV_EVENT_PROCESS_STARTED = 3, /* another process's program is in place */
  RUNHV_EVENT_PROCESS_ENDED = 4, /* another process has ended and its output is delivered, or it was
                                    not started: status, and error where that has a reason */
  RUNHV_EVENT_OUT_OF_MEMORY = 5, /* oom_kills has grown */
  RUNHV_EVENT_PAUSED = 6,
  RUNHV_EVENT_RESUMED = 7,
  RUNHV_EVENT_WARNING = 8, /* something that was asked for could not be granted: error says what */
  RUNHV_EVENT_ENDED = 9 /* the container has ended, its output is delivered and its machine is off:
                           code, status, error as runhv_vm_wait gives them. The last. */
} runhv_event_kind;

typedef struct runhv_event {
  uint32_t struct_size;
  int32_t kind;          /* runhv_event_kind; a caller passes over kinds that it does not know */
  runhv_process process; /* of PROCESS_* and WARNING */
  int32_t code;          /* runhv_code of ENDED */
  uint64_t at_ns;        /* monotonic */
  uint32_t oom_kills;    /* of OUT_OF_MEMORY: since the guest began */
  uint32_t reserved;
  runhv_exit_status status; /* of PROCESS_ENDED and ENDED */
  runhv_error error;        /* of PROCESS_ENDED, WARNING and ENDED; code 0 = none */
} runhv_event;

enum {
  RUNHV_PROCESS_TERMINAL = 1u << 0, /* stdio[0] carries both directions of a pseudo-terminal */
  RUNHV_PROCESS_ARCHIVE = 1u << 1 /* no program is run: stdio[1] gets the root file system as a tar
                                     archive (pax), without what is mounted over it */
};

/* Another process in a running container. */
typedef struct runhv_process_config {
  uint32_t struct_size;
  uint32_t flags;   /* RUNHV_PROCESS_* */
  const char* json; /* the `process` object of the OCI runtime specification; what it leaves out
                       (user, env, cwd, capabilities, rlimits, seccomp …) is none, not the first
                       process's; at most RUNHV_MAX_PROCESS_JSON_BYTES */
  int64_t stdio[3]; /* as runhv_vm_config.stdio */
  uint16_t columns, rows; /* of a terminal, 0 = unknown */
  uint32_t reserved;
} runhv_process_config;

RUNHV_API uint32_t runhv_abi_version(void);
RUNHV_API const char* runhv_version(void);           /* "0.1.0" */
RUNHV_API const char* runhv_code_name(int32_t code); /* "not found"; never null */
RUNHV_API const char* runhv_stage_name(int32_t stage);

RUNHV_API int32_t runhv_vm_create(const runhv_vm_config* config, runhv_vm* vm, runhv_error* error);
/* Runs the guest up to RUNHV_EVENT_CREATED. RUNHV_CONFLICT where it was booted or started before.
 */
RUNHV_API int32_t runhv_vm_boot(runhv_vm vm, runhv_error* error);
/* Once, before or after RUNHV_EVENT_CREATED; RUNHV_CONFLICT the second time. */
RUNHV_API int32_t runhv_vm_start(runhv_vm vm, runhv_error* error);

/* The next event; RUNHV_NOT_FOUND where there is none now. Events that nobody takes are kept. */
RUNHV_API int32_t runhv_vm_event(runhv_vm vm, runhv_event* event, runhv_error* error);
/* Of the operating system, readable (poll(2); a waitable handle on Windows) while there is an
 * event. Valid until runhv_vm_destroy; not to be read from or closed. */
RUNHV_API int32_t runhv_vm_event_handle(runhv_vm vm, int64_t* handle, runhv_error* error);

/* Until the VM has ended and all output is delivered, or timeout_ms has passed (RUNHV_TIMED_OUT;
 * UINT32_MAX = no limit). A guest that crashed or lied gives RUNHV_GUEST_FAILED. May be called
 * again; the answer stays the same. With RUNHV_END_NOT_STARTED the code is RUNHV_OK and `error`
 * holds the reason. Takes no event. */
RUNHV_API int32_t runhv_vm_wait(runhv_vm vm, uint32_t timeout_ms, runhv_exit_status* status,
                                runhv_error* error);

RUNHV_API int32_t runhv_vm_state(runhv_vm vm, runhv_state* state, runhv_error* error);

/* A Linux signal number for a process: RUNHV_NOT_FOUND where there is none of that number, or it
 * has ended. Before its program runs the signal is kept. For the first process, SIGKILL ends the VM
 * at once, whatever the guest does, with RUNHV_END_SIGNALED 9; before the guest's agent has spoken,
 * SIGINT and SIGTERM end the VM with RUNHV_END_SIGNALED, and a second one does before the container
 * started. */
RUNHV_API int32_t runhv_vm_signal(runhv_vm vm, runhv_process process, int32_t signal,
                                  runhv_error* error);

/* `signal` to the first process (0 = the bundle's stop signal, else SIGTERM), and SIGKILL after
 * grace_ms. Returns at once. */
RUNHV_API int32_t runhv_vm_stop(runhv_vm vm, int32_t signal, uint32_t grace_ms, runhv_error* error);

/* No instruction of the guest runs and no device acts when it returns; output that has left the
 * guest still reaches the host. The guest's clocks go on, as under SIGSTOP. RUNHV_CONFLICT where it
 * is paused, or not running. */
RUNHV_API int32_t runhv_vm_pause(runhv_vm vm, runhv_error* error);
RUNHV_API int32_t runhv_vm_resume(runhv_vm vm, runhv_error* error);

/* Begins another process: its events tell the rest. RUNHV_CONFLICT where the container does not run
 * or has RUNHV_MAX_PROCESSES. */
RUNHV_API int32_t runhv_process_start(runhv_vm vm, const runhv_process_config* config,
                                      runhv_process* process, runhv_error* error);
RUNHV_API int32_t runhv_process_resize(runhv_vm vm, runhv_process process, uint16_t columns,
                                       uint16_t rows, runhv_error* error);
/* Gives stream 0, 1 or 2 of a process another end on the host (duplicated), or none (-1): then
 * output waits until there is one again, and input has no end. What an end took is not given again.
 */
RUNHV_API int32_t runhv_process_attach(runhv_vm vm, runhv_process process, int32_t stream,
                                       int64_t handle, runhv_error* error);

RUNHV_API int32_t runhv_vm_statistics(runhv_vm vm, runhv_statistics* statistics,
                                      runhv_error* error);

/* Where the statistics are kept, from create on. To be read only; valid until runhv_vm_destroy is
 * called: whoever reads it on another thread must have stopped by then. */
RUNHV_API int32_t runhv_vm_statistics_page(runhv_vm vm, const runhv_statistics_page** page,
                                           uint64_t* size_bytes, runhv_error* error);

/* The piece number `index` of guest RAM, from 0, by ascending addresses: RUNHV_NOT_FOUND after the
 * last. More than 3 GiB lie in two pieces. Valid as the statistics page is, and to be read only:
 * the core would not learn of a write. The guest writes to it at any moment. */
RUNHV_API int32_t runhv_vm_guest_memory(runhv_vm vm, uint32_t index, runhv_guest_memory* memory,
                                        runhv_error* error);

/* Ends the VM if it runs, waits for its threads, gives everything back. Once. */
RUNHV_API int32_t runhv_vm_destroy(runhv_vm vm, runhv_error* error);

#ifdef __cplusplus
}
#endif
#endif
