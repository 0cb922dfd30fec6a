// SPDX-License-Identifier: LGPL-2.0-or-later
// One virtual machine: what the C interface calls softcpu_vm.
#ifndef RUNHV_SOFT_VM_H
#define RUNHV_SOFT_VM_H

#include <atomic>
#include <mutex>
#include <vector>

#include "bochs.h"
#include "cpu/apic.h"
#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "memory/memory-bochs.h"
#include "pc_system.h"
#include "softcpu.h"

// Instructions between two looks at the clock: some 60 us. What other threads ask for is seen
// before the next trace.
constexpr Bit64u kPollInterval = 20000;
constexpr Bit64u kMinPollInterval = 100;
constexpr Bit64u kChargeStep =
    10000;  // smaller ones are collected: publishing one waits for stores
constexpr Bit64u kMaxSlice = 1000000;
// A run in which something dear was charged ends when this much time has passed since: 5 ns for
// each instruction of its budget. Others need no clock, which costs as much as a thousand
// instructions.
constexpr Bit64u kNanosecondsAnInstruction = 5;
constexpr Bit64u kShortestRunNs = 1000000;

struct softcpu_vm : bx_machine_t {
  explicit softcpu_vm(const softcpu_config& config_in);
  ~softcpu_vm();
  softcpu_vm(const softcpu_vm&) = delete;
  softcpu_vm& operator=(const softcpu_vm&) = delete;

  bool create_cpus();
  // Makes this the machine of the calling thread.
  void enter() { bx_machine = this; }
  // Timers that are due and interrupts that other threads requested.
  void deliver_events();
  bool take_cancel(unsigned cpu) {
    return cancel[cpu].load(std::memory_order_relaxed) && cancel[cpu].exchange(false);
  }
  bool time_is_up();
  void flush_data_translations();
  void flush_translations();
  softcpu_status run(unsigned cpu, Bit64u max_instructions, softcpu_exit* exit_out);

  softcpu_config config;
  bx_pc_system_c clock;
  BX_MEM_C ranges;
  bxPageWriteStampTable stamp_table;

  // Set while a processor runs; exits are noted here.
  std::atomic<BX_CPU_C*> running{nullptr};
  Bit64u run_ns = 0;           // of this run
  Bit64u run_deadline_ns = 0;  // 0: nothing dear yet
  bool charged = false;        // since the last look at the clock
  softcpu_exit exit = {};
  bool leave = false;  // after the instruction in progress

  struct External {
    bool pending = false;
    Bit8u vector = 0;
  };
  External external[SOFTCPU_MAX_CPUS];
  struct Injection {
    Bit32u type = 0, vector = 0, error_code = 0, length = 0;
    bool has_error = false;
  };
  Injection injection[SOFTCPU_MAX_CPUS];

  std::atomic<bool> cancel[SOFTCPU_MAX_CPUS] = {};
  std::atomic<bool> has_requests{false};
  std::mutex requests_mutex;
  std::vector<softcpu_interrupt> requests;
};

inline softcpu_vm* vm_of(bx_machine_t* machine) { return static_cast<softcpu_vm*>(machine); }

softcpu_status get_register(BX_CPU_C* cpu, Bit32u name, softcpu_value* value);
bool is_register(Bit32u name);
// Follow-up work that a set of registers asks for, done once at its end.
struct RegisterChanges {
  bool context = false;  // modes, segments or page tables
  bool rip = false;
  bool interrupt_state = false;
};
void set_register(BX_CPU_C* cpu, Bit32u name, const softcpu_value& value, RegisterChanges* changes);
void finish_registers(BX_CPU_C* cpu, const RegisterChanges& changes);
void get_xsave(BX_CPU_C* cpu, Bit8u area[SOFTCPU_XSAVE_BYTES]);
// False: values that no processor has; nothing is changed then.
bool set_xsave(BX_CPU_C* cpu, const Bit8u given[SOFTCPU_XSAVE_BYTES]);
void get_apic(BX_CPU_C* cpu, uint32_t registers[SOFTCPU_APIC_REGISTERS]);
void set_apic(BX_CPU_C* cpu, const uint32_t registers[SOFTCPU_APIC_REGISTERS]);
bool walk(BX_CPU_C* cpu, Bit64u gva, Bit32u access, Bit64u* gpa);
// Up to 15 bytes from RIP; returns how many the guest's tables and memory give.
unsigned fetch_bytes(BX_CPU_C* cpu, Bit8u bytes[16]);

#endif
