// SPDX-License-Identifier: LGPL-2.0-or-later
// What Bochs keeps in globals, per virtual machine. Included by every Bochs file through bochs.h.
#ifndef RUNHV_BX_MACHINE_H
#define RUNHV_BX_MACHINE_H

#include <atomic>

#include "host.h"

class BX_CPU_C;
class BX_MEM_C;
class bx_pc_system_c;
class bx_cpuid_t;
class bxPageWriteStampTable;
struct cpuid_function_t;

// Value of longjmp that ends cpu_loop; 1 is an exception.
#define BX_LEAVE_CPU_LOOP 2

// Nothing between cpu_loop and who leaves it has a destructor. So longjmp may go there at once,
// which that of Windows does where it is told of no frame; else it asks each function on the way
// (RtlUnwindEx), at each fault and exit of a guest.
#ifdef _WIN32
#define BX_SETJMP(buffer) _setjmp(buffer, nullptr)
#else
#define BX_SETJMP(buffer) setjmp(buffer)
#endif

// What these cost, in instructions of 4 ns.
constexpr Bit64u kStampTableCost = 50000;
constexpr Bit64u kInstructionCacheCost = 40000;
constexpr Bit64u kResetCost = 2000;

struct bx_machine_t {
  BX_CPU_C* cpus[64] = {};
  unsigned cpu_count = 0;  // those constructed so far
  BX_MEM_C* memory = nullptr;
  bx_pc_system_c* pc_system = nullptr;
  bxPageWriteStampTable* stamps = nullptr;
  bool has_apic = false;
  struct {  // never filled: no device here moves more than one datum at a time
    Bit8u* bulkIOHostAddr;
    unsigned bulkIOQuantumsRequested, bulkIOQuantumsTransferred;
  } bulk_io = {};

  void charge(Bit64u instructions);  // to the processor that runs, if one does
  void answer_cpuid(BX_CPU_C* cpu, Bit32u function, Bit32u index, cpuid_function_t* leaf);
  // 1: done, 0: #GP, -1: the processor's own answer.
  int read_msr(BX_CPU_C* cpu, Bit32u index, Bit64u* value);
  int write_msr(BX_CPU_C* cpu, Bit32u index, Bit64u value);
  // Exits where the caller wants this exception. `error_code`: kNoErrorCode where it has none.
  static constexpr Bit64s kNoErrorCode = -1;
  void offer_exception(BX_CPU_C* cpu, unsigned vector, Bit64s error_code, Bit64u parameter,
                       bool is_software = false);
  // The access in progress spans two pages: exits before any of it where one cannot be written.
  void check_write_across(BX_CPU_C* cpu, unsigned rw);
  void note_window(BX_CPU_C* cpu);
  [[noreturn]] void io_exit(Bit16u port, unsigned size, bool write);
  void note_eoi(Bit8u vector);
  Bit8u acknowledge_external();
};

// Machine of the calling thread, set at each entry of the library. Not thread_local: who uses one
// of those from another file asks first whether it has to be initialised, which mingw cannot link.
#ifdef __ELF__
extern __thread bx_machine_t* bx_machine __attribute__((tls_model("initial-exec")));
#else
// __thread of mingw is a call of libgcc's, and that one of winpthreads', under a lock.
struct bx_thread_machine_t {
  operator bx_machine_t*() const { return static_cast<bx_machine_t*>(thread_pointer()); }
  bx_machine_t* operator->() const { return *this; }
  void operator=(bx_machine_t* machine) { set_thread_pointer(machine); }
};
extern bx_thread_machine_t bx_machine;
#endif

bx_cpuid_t* bx_create_cpu_model(BX_CPU_C* cpu);

#endif
