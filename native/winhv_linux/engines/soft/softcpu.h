/* softcpu: an x86-64 processor in software, as a shared library with a C interface.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * This header is the licence boundary. Behind it stands librunhv-softcpu, built from the Bochs CPU
 * core (LGPL-2.0-or-later) and replaceable by the user; in front of it stands our implementation of
 * the Windows Hypervisor Platform, which opens the library at run time and never links it.
 *
 * Model: one softcpu_vm = guest-physical memory + 1..64 virtual processors, each with its local
 * APIC. Code runs until something happens that the caller must see: softcpu_run() returns an exit
 * with the instruction not executed (IO, MMIO, CPUID, MSR, EXCEPTION: RIP at the instruction,
 * registers as before it; of #DB after an instruction RIP behind that), so the caller completes the
 * instruction by writing registers, as WHP asks its clients.
 *
 * Threads: all calls on one VM are serialised by the caller; any thread may make them; two VMs are
 * independent. Exceptions: softcpu_cancel, softcpu_request_interrupt and softcpu_holds_code, from
 * any thread at any time between create and destroy.
 *
 * Time: the guest's TSC and APIC timer follow callbacks.now_ns (host monotonic nanoseconds), scaled
 * by tsc_hz and apic_hz. The engine has no clock of its own.
 *
 * Errors: a negative softcpu_status. Nothing aborts the process: what Bochs would panic on becomes
 * SOFTCPU_EXIT_SHUTDOWN for that virtual processor.
 */
#ifndef RUNHV_SOFTCPU_H
#define RUNHV_SOFTCPU_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SOFTCPU_ABI_VERSION 3u
#define SOFTCPU_MAX_CPUS 64u
#define SOFTCPU_XSAVE_BYTES 832u
#define SOFTCPU_APIC_REGISTERS 64u

typedef struct softcpu_vm softcpu_vm;

typedef enum softcpu_status {
  SOFTCPU_OK = 0,
  SOFTCPU_E_INVALID = -1,  /* an argument out of its range */
  SOFTCPU_E_MEMORY = -2,   /* the host gave no memory */
  SOFTCPU_E_REGISTER = -3, /* a register this engine does not have */
  SOFTCPU_E_ABI = -4       /* abi_version or struct_size of another version */
} softcpu_status;

/* Answer of a cpuid, msr or exception callback. */
typedef enum softcpu_answer {
  SOFTCPU_ANSWER_DONE = 0,   /* out parameters hold the result; go on */
  SOFTCPU_ANSWER_EXIT = 1,   /* give SOFTCPU_EXIT_CPUID, _MSR or _EXCEPTION to the caller */
  SOFTCPU_ANSWER_FAULT = 2,  /* msr: raise #GP(0) in the guest */
  SOFTCPU_ANSWER_DEFAULT = 3 /* msr: the engine decides (its own MSRs; else #GP);
                                exception: it is the guest's */
} softcpu_answer;

typedef struct softcpu_callbacks {
  /* Host monotonic time in nanoseconds. Called often; must not block. */
  uint64_t (*now_ns)(void* context);
  /* The engine's own answer is in out[4] (eax, ebx, ecx, edx) on entry; change it or ask for an
   * exit. */
  softcpu_answer (*cpuid)(void* context, uint32_t cpu, uint32_t function, uint32_t index,
                          uint32_t out[4]);
  /* Asked for every RDMSR/WRMSR before the engine looks at it, except TSC, TSC_DEADLINE, EFER,
   * STAR.., FS/GS base, APIC_BASE and the x2APIC range when apic_mode is not NONE. */
  softcpu_answer (*read_msr)(void* context, uint32_t cpu, uint32_t msr, uint64_t* value);
  softcpu_answer (*write_msr)(void* context, uint32_t cpu, uint32_t msr, uint64_t value);
  /* The guest writes, or is about to, to the page at `gpa` of a range with SOFTCPU_MAP_TRACK: the
   * first time since softcpu_forget_writes, and whenever it pleases the engine. */
  void (*page_written)(void* context, uint64_t gpa);
  /* An instruction of the guest raises exception `vector` (INT3 and INTO theirs; INT n and INT1 do
   * not). Not asked of one that arises while an event is delivered. */
  softcpu_answer (*exception)(void* context, uint32_t cpu, uint32_t vector);
} softcpu_callbacks;

enum { SOFTCPU_APIC_NONE = 0, SOFTCPU_APIC_XAPIC = 1, SOFTCPU_APIC_X2APIC = 2 };

typedef struct softcpu_config {
  uint32_t abi_version; /* SOFTCPU_ABI_VERSION */
  uint32_t struct_size;
  uint32_t cpu_count; /* 1..SOFTCPU_MAX_CPUS; initial APIC id = index; cpu 0 is the BSP, the others
                         wait for SIPI */
  uint32_t apic_mode; /* SOFTCPU_APIC_* */
  uint64_t tsc_hz;
  uint64_t apic_hz; /* APIC timer before its divider */
  softcpu_callbacks callbacks;
  void* context; /* handed to every callback */
} softcpu_config;

uint32_t softcpu_abi_version(void);
const char* softcpu_description(void); /* "Bochs 3.0 CPU core", for --version and licences */

softcpu_status softcpu_create(const softcpu_config* config, softcpu_vm** vm);
void softcpu_destroy(softcpu_vm* vm);

/* ---- memory ---- */
enum {
  SOFTCPU_MAP_READ = 1,
  SOFTCPU_MAP_WRITE = 2,
  SOFTCPU_MAP_EXECUTE = 4,
  SOFTCPU_MAP_TRACK = 8 /* tell page_written of it */
};

/* Backs [gpa, gpa + size) with host memory, replacing what was mapped there page by page. 4 KiB
 * multiples. A write to a range without WRITE, and any access to no range, is SOFTCPU_EXIT_MMIO. */
softcpu_status softcpu_map(softcpu_vm* vm, uint64_t gpa, uint64_t size, void* host, uint32_t flags);
softcpu_status softcpu_unmap(softcpu_vm* vm, uint64_t gpa, uint64_t size);

/* The host wrote to guest memory (a device's DMA): decoded instructions of these bytes are stale.
 */
softcpu_status softcpu_memory_written(softcpu_vm* vm, uint64_t gpa, uint64_t size);

/* 0 where nothing decoded can be stale of bytes that were written before this call: then
 * softcpu_memory_written has nothing to do. Any thread. */
int softcpu_holds_code(softcpu_vm* vm, uint64_t gpa, uint64_t size);

/* From now on page_written is told anew of each page that is written. */
void softcpu_forget_writes(softcpu_vm* vm);

/* ---- running ---- */
typedef enum softcpu_exit_reason {
  SOFTCPU_EXIT_NONE = 0, /* the budget of instructions, or its time, is used up */
  SOFTCPU_EXIT_IO = 1,
  SOFTCPU_EXIT_MMIO = 2,
  SOFTCPU_EXIT_CPUID = 3,
  SOFTCPU_EXIT_MSR = 4,
  SOFTCPU_EXIT_HALT = 5,     /* HLT executed (RIP after it), or still halted, or waiting for SIPI */
  SOFTCPU_EXIT_SHUTDOWN = 6, /* triple fault, or a state that the engine cannot run */
  SOFTCPU_EXIT_CANCELED = 7,
  SOFTCPU_EXIT_EOI = 8,    /* EOI of a level-triggered vector; the instruction is complete */
  SOFTCPU_EXIT_WINDOW = 9, /* interrupt window, where softcpu_set asked for one */
  SOFTCPU_EXIT_EXCEPTION = 10
} softcpu_exit_reason;

typedef struct softcpu_exit {
  uint32_t reason;
  uint32_t instruction_length; /* IO, CPUID, MSR: exact; MMIO: 0 where not known; EXCEPTION: of
                                  INT3 and INTO, else 0 */
  uint8_t instruction[16];     /* from RIP; instruction_bytes of them are valid */
  uint32_t instruction_bytes;
  uint32_t access;    /* IO, MMIO, MSR: 0 read, 1 write, 2 instruction fetch */
  uint32_t size;      /* IO: 1, 2, 4; MMIO: bytes of the access */
  uint32_t io_string; /* IO: INS/OUTS */
  uint32_t io_rep;
  uint32_t vector;           /* EOI, EXCEPTION */
  uint32_t error_code_valid; /* EXCEPTION */
  uint32_t error_code;
  uint32_t is_software; /* EXCEPTION: INT3, INTO */
  uint64_t address;     /* IO: port; MMIO: gpa; MSR: number; CPUID: function */
  uint64_t gva;         /* MMIO: linear address, where gva_valid */
  uint32_t gva_valid;
  uint32_t unmapped;         /* MMIO: 1 = no range there, 0 = a range that forbids the access */
  uint64_t value;            /* MSR write: value; EXCEPTION: #PF the linear address, which CR2 does
                                not have yet, #DB what it would set in DR6, which has not */
  uint32_t cpuid_index;      /* CPUID: ECX */
  uint32_t cpuid_default[4]; /* CPUID: what the engine would answer (eax, ebx, ecx, edx) */
} softcpu_exit;

/* Runs `cpu` for at most `max_instructions` (0 = no limit but the engine's own, at most 1 M) or
 * until an exit; for fewer where the guest flushes and resets so that they take long (5 ns each, at
 * least 1 ms). A halted cpu returns
 * SOFTCPU_EXIT_HALT at once unless an interrupt is deliverable.
 */
softcpu_status softcpu_run(softcpu_vm* vm, uint32_t cpu, uint64_t max_instructions,
                           softcpu_exit* exit);

/* Makes the running softcpu_run of `cpu`, or the next one, return SOFTCPU_EXIT_CANCELED. Sticky,
 * one-shot, not counted. Seen before the next few instructions, whatever they cost. Any thread. */
void softcpu_cancel(softcpu_vm* vm, uint32_t cpu);

/* When the next timer of any cpu of this VM fires (now_ns clock); UINT64_MAX = none armed. A caller
 * whose cpus are all halted sleeps until then or until it requests an interrupt. */
uint64_t softcpu_next_timer_ns(softcpu_vm* vm);

/* 1 where `cpu` could make progress if run now. */
int softcpu_is_runnable(softcpu_vm* vm, uint32_t cpu);

/* ---- interrupts ---- */
enum {
  SOFTCPU_INTERRUPT_FIXED = 0,
  SOFTCPU_INTERRUPT_LOWEST = 1,
  SOFTCPU_INTERRUPT_NMI = 4,
  SOFTCPU_INTERRUPT_INIT = 5,
  SOFTCPU_INTERRUPT_SIPI = 6
};
typedef struct softcpu_interrupt {
  uint32_t type;
  uint32_t logical_destination; /* 0 physical, 1 logical */
  uint32_t level_triggered;
  uint32_t destination; /* 0xff (xAPIC) or 0xffffffff = all */
  uint32_t vector;
} softcpu_interrupt;

/* Delivers to the local APICs: where a processor runs, within its next few instructions, else
 * before the next run. Any thread. */
softcpu_status softcpu_request_interrupt(softcpu_vm* vm, const softcpu_interrupt* interrupt);

/* ---- registers ----
 * Names are the numbers of WHV_REGISTER_NAME and values have the layout of WHV_REGISTER_VALUE (16
 * bytes): a segment is {u64 base; u32 limit; u16 selector; u16 attributes}, a table is {u16 pad[3];
 * u16 limit; u64 base}. Supported: general registers, RIP, RFLAGS, segments, LDTR, TR, IDTR, GDTR,
 * CR0-4, CR8, DR0-3/6/7, XCR0, XMM0-15, FP/MMX and their control registers, TSC, EFER,
 * KERNEL_GS_BASE, APIC_BASE, PAT, SYSENTER_*, STAR, LSTAR, CSTAR, SFMASK, TSC_AUX, TSC_DEADLINE,
 * PendingInterruption, InterruptState, PendingEvent, DeliverabilityNotifications,
 * InternalActivityState. All-or-nothing: a bad name changes nothing. cpu must not be running. */
typedef struct softcpu_value {
  uint64_t low, high;
} softcpu_value;

softcpu_status softcpu_get(softcpu_vm* vm, uint32_t cpu, const uint32_t* names, uint32_t count,
                           softcpu_value* values);
softcpu_status softcpu_set(softcpu_vm* vm, uint32_t cpu, const uint32_t* names, uint32_t count,
                           const softcpu_value* values);

/* The state of XSAVE in its standard form (SDM Vol.1 13.4): x87, SSE, AVX. Of what its XSTATE_BV
 * does not name the state is that after INIT. set: E_INVALID, and nothing changed, for an XSTATE_BV
 * or an MXCSR that no processor has. */
softcpu_status softcpu_get_xsave(softcpu_vm* vm, uint32_t cpu, void* area);
softcpu_status softcpu_set_xsave(softcpu_vm* vm, uint32_t cpu, const void* area);

/* The local APIC: the register at byte 16 n of its page (SDM Vol.3 11.4.1) is registers[n]. set
 * takes no identity, version or priority that follows from others, and sends nothing. E_INVALID:
 * apic_mode is SOFTCPU_APIC_NONE. */
softcpu_status softcpu_get_apic(softcpu_vm* vm, uint32_t cpu, uint32_t* registers);
softcpu_status softcpu_set_apic(softcpu_vm* vm, uint32_t cpu, const uint32_t* registers);

/* Page walk of `cpu` for linear address `gva`. access: as softcpu_exit.access. Returns OK with
 * *gpa, or E_INVALID where the guest's tables do not map it. Sets no accessed or dirty bit. */
softcpu_status softcpu_translate(softcpu_vm* vm, uint32_t cpu, uint64_t gva, uint32_t access,
                                 uint64_t* gpa);

/* ---- counters ---- */
/* Guest instructions that `cpu` has completed; an iteration of a repeated string instruction does
 * not count on its own. */
uint64_t softcpu_instructions(softcpu_vm* vm, uint32_t cpu);

#ifdef __cplusplus
}
#endif
#endif
