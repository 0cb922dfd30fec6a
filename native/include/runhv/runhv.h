/* runhv: the core's C interface. One micro-VM with one container in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Life: runhv_vm_create (reads and checks the bundle, opens the disks, makes the VM and loads the
 * kernel; nothing runs yet) -> runhv_vm_start -> runhv_vm_wait -> runhv_vm_destroy. Signals and
 * statistics between start and destroy.
 *
 * Handles carry a generation: a handle that was destroyed, or never made, gives RUNHV_CLOSED on
 * every call and never a crash. One VM at a time may exist in a process: Windows maps memory for
 * one partition per process only, and the rule is the same everywhere.
 *
 * Structures start with struct_size, set by the caller to sizeof; fields are only ever appended; a
 * shorter structure means zeros in what it lacks. Strings are UTF-8, NUL-terminated, owned by the
 * caller and copied. No call keeps a pointer of the caller. There are no callbacks.
 *
 * Threads: every function may be called from any thread. runhv_vm_wait may block; nothing else does
 * for longer than it takes to start a VM.
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

#define RUNHV_ABI_VERSION 1u

/* Limits of one VM. */
#define RUNHV_MIN_MEMORY_BYTES (24ull << 20)
#define RUNHV_MAX_MEMORY_BYTES (512ull << 30)
#define RUNHV_MAX_CPUS 64u
#define RUNHV_MAX_ID_BYTES 128u
#define RUNHV_MIN_SCRATCH_BYTES (16ull << 20)
#define RUNHV_MAX_SCRATCH_BYTES (1ull << 40)

typedef uint64_t runhv_vm; /* generation << 32 | slot; 0 is never valid */

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
  runhv_exit_counts exits_total;
  uint64_t instructions_to_first_instruction; /* RUNHV_NOT_COUNTED where the engine cannot */
  uint64_t instructions_total;
  uint64_t private_bytes; /* of this process, guest RAM included */
  uint64_t guest_memory_resident_bytes;
  uint64_t memory_bytes; /* the guest's RAM */
} runhv_statistics;

typedef enum runhv_end {
  RUNHV_END_EXITED = 0,     /* value = the program's exit status, 0..255 */
  RUNHV_END_SIGNALED = 1,   /* value = the signal that ended it */
  RUNHV_END_NOT_STARTED = 2 /* value = 126 or 127; error says why (no such file, no permission) */
} runhv_end;

typedef struct runhv_exit_status {
  uint32_t struct_size;
  int32_t end; /* runhv_end */
  int32_t value;
  int32_t exit_status; /* what a shell would show: value, or 128 + value */
} runhv_exit_status;

RUNHV_API uint32_t runhv_abi_version(void);
RUNHV_API const char* runhv_version(void);           /* "0.1.0" */
RUNHV_API const char* runhv_code_name(int32_t code); /* "not found"; never null */
RUNHV_API const char* runhv_stage_name(int32_t stage);

RUNHV_API int32_t runhv_vm_create(const runhv_vm_config* config, runhv_vm* vm, runhv_error* error);
RUNHV_API int32_t runhv_vm_start(runhv_vm vm, runhv_error* error);

/* Until the VM has ended and all output is delivered, or timeout_ms has passed (RUNHV_TIMED_OUT;
 * UINT32_MAX = no limit). A guest that crashed or lied gives RUNHV_GUEST_FAILED. May be called
 * again; the answer stays the same. With RUNHV_END_NOT_STARTED the code is RUNHV_OK and `error`
 * holds the reason. */
RUNHV_API int32_t runhv_vm_wait(runhv_vm vm, uint32_t timeout_ms, runhv_exit_status* status,
                                runhv_error* error);

/* A Linux signal number for the container's first process. SIGKILL ends the VM at once, whatever
 * the guest does, with RUNHV_END_SIGNALED 9. Before the container started the signal is kept;
 * before the guest's agent has spoken, SIGINT and SIGTERM end the VM with RUNHV_END_SIGNALED. */
RUNHV_API int32_t runhv_vm_signal(runhv_vm vm, int32_t signal, runhv_error* error);

RUNHV_API int32_t runhv_vm_statistics(runhv_vm vm, runhv_statistics* statistics,
                                      runhv_error* error);

/* Ends the VM if it runs, waits for its threads, gives everything back. Once. */
RUNHV_API int32_t runhv_vm_destroy(runhv_vm vm, runhv_error* error);

#ifdef __cplusplus
}
#endif
#endif
