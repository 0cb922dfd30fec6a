// SPDX-License-Identifier: LGPL-2.0-or-later
// What the edits to Bochs call: members of BX_CPU_C and of bx_machine_t, and Bochs's own loose
// ends.
#define NEED_CPU_REG_SHORTCUTS 1

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "vm.h"

// Wants cpu.h first.
#include "cpu/msr.h"

#ifdef __ELF__
__thread bx_machine_t* bx_machine;
#else
bx_thread_machine_t bx_machine;
#endif
const char bx_library_anchor[1] = {};

Bit8u bx_cpu_count = SOFTCPU_MAX_CPUS;
Bit32u apic_id_mask = 0xff;
bool simulate_xapic = true;
bx_debug_t bx_dbg;
iofunc_t* io;
logfunc_t* genlog;

// ---- logging: nothing is logged, and a panic ends the run of the processor that ran into it.

logfunctions::logfunctions() {
  name = nullptr;
  prefix = nullptr;
}
logfunctions::~logfunctions() {}
void logfunctions::put(const char*) {}
void logfunctions::put(const char*, const char*) {}
void logfunctions::info(const char*, ...) {}
void logfunctions::error(const char*, ...) {}
void logfunctions::ldebug(const char*, ...) {}

// Outside of softcpu_run there is nothing to stop.
static void stop_on_panic() {
  softcpu_vm* vm = vm_of(bx_machine);
  BX_CPU_C* running = vm ? vm->running.load() : nullptr;
  if (!running) return;
  running->activity_state = BX_CPU_C::BX_ACTIVITY_STATE_SHUTDOWN;
  running->async_event = 1;
  vm->exit.reason = SOFTCPU_EXIT_SHUTDOWN;
  running->exit_now();
}

void logfunctions::panic(const char*, ...) { stop_on_panic(); }

void logfunctions::fatal1(const char*, ...) { stop_on_panic(); }

int bx_pc_system_c::Reset(unsigned) {
  stop_on_panic();
  return 0;
}

// ---- the loop

void BX_CPU_C::exit_now() {
  // As exception() does for a fault: the instruction has not happened.
  RIP = prev_rip;
  if (speculative_rsp) RSP = prev_rsp;
  speculative_rsp = false;
  longjmp(jmp_buf_env, BX_LEAVE_CPU_LOOP);
}

// Another thread that calls meanwhile puts 0 there after this, or is seen here.
void BX_CPU_C::set_run_until() {
  Bit64u last = slice_end > BX_MAX_TRACE_LENGTH ? slice_end - BX_MAX_TRACE_LENGTH : 0;
  run_until.store(std::min(last, poll_at));
  if (called.load()) run_until.store(0);
}

void BX_CPU_C::call() {
  called.store(true);
  run_until.store(0);
}

// Sooner than the interval where a timer is due before it: at 250 MIPS, four nanoseconds each.
void BX_CPU_C::set_next_poll() {
  const bx_pc_system_c& clock = *bx_machine->pc_system;
  Bit64u due = clock.next_due_ns(), steps = kPollInterval;
  if (due != ~Bit64u(0)) {
    Bit64u now = clock.now_ns();
    Bit64u left = due > now ? (due - now) / 4 : 0;
    steps = std::min(kPollInterval, std::max(kMinPollInterval, left));
  }
  poll_at = icount + steps;
  set_run_until();
}

void BX_CPU_C::charge_host_time(Bit64u instructions) {
  charged += instructions;
  if (charged < kChargeStep) return;
  poll_at = poll_at > icount + charged ? poll_at - charged : icount;
  charged = 0;
  set_run_until();
}

void bx_machine_t::charge(Bit64u instructions) {
  softcpu_vm* vm = vm_of(this);
  BX_CPU_C* cpu = vm->running.load();
  if (!cpu) return;
  vm->charged = true;
  cpu->charge_host_time(instructions);
}

bool BX_CPU_C::poll_host() {
  softcpu_vm* vm = vm_of(bx_machine);
  called.store(false);  // before the looks: who calls after this makes us look again
  vm->deliver_events();
  set_next_poll();
  if (vm->take_cancel(bx_cpuid)) {
    vm->exit.reason = SOFTCPU_EXIT_CANCELED;
    return true;
  }
  return vm->charged && vm->time_is_up();
}

extern int fetchDecode32(const Bit8u* fetchPtr, bool is_32, bxInstruction_c* i,
                         unsigned remainingInPage);
extern int fetchDecode64(const Bit8u* fetchPtr, bxInstruction_c* i, unsigned remainingInPage);

// Executes one instruction outside of the trace cache: the last ones of an instruction budget,
// and those after which an event is looked at.
void BX_CPU_C::run_one() {
  bx_address biased = RIP + eipPageBias;
  if (biased >= eipPageWindowSize) {
    prefetch();
    biased = RIP + eipPageBias;
  }
  unsigned left = eipPageWindowSize - unsigned(biased);
  const Bit8u* bytes = eipFetchPtr + biased;
  bxInstruction_c i[2];
  int decoded = cpu_mode == BX_MODE_LONG_64
                    ? fetchDecode64(bytes, i, left)
                    : fetchDecode32(bytes, sregs[BX_SEG_REG_CS].cache.u.segment.d_b, i, left);
  if (decoded < 0)
    boundaryFetch(bytes, left, i);
  else
    assignHandler(i, fetchModeMask);
  async_event |= BX_ASYNC_EVENT_STOP_TRACE;  // the handler must not go on to i[1]
  RIP += i->ilen();
  BX_CPU_CALL_METHOD(i->execute1, (i));
  async_event &= ~BX_ASYNC_EVENT_STOP_TRACE;
}

void BX_CPU_C::inject_event() {
  softcpu_vm* vm = vm_of(bx_machine);
  const softcpu_vm::Injection event = vm->injection[bx_cpuid];
  injection_pending = false;
  activity_state = BX_ACTIVITY_STATE_ACTIVE;
  unsigned type = event.type;
  if (type == BX_NMI) mask_event(BX_EVENT_NMI);
  // Events of an instruction return to the one after it (SDM 3C 26.6.1.3).
  if (type == BX_SOFTWARE_INTERRUPT || type == BX_SOFTWARE_EXCEPTION ||
      type == BX_PRIVILEGED_SOFTWARE_INTERRUPT)
    RIP += event.length;
  EXT = type == BX_EXTERNAL_INTERRUPT || type == BX_NMI || type == BX_HARDWARE_EXCEPTION;
  interrupt(Bit8u(event.vector), type, event.has_error, Bit16u(event.error_code));
  prev_rip = RIP;
}

// ---- exits

void bx_machine_t::io_exit(Bit16u port, unsigned size, bool write) {
  softcpu_vm* vm = vm_of(this);
  vm->exit.reason = SOFTCPU_EXIT_IO;
  vm->exit.address = port;
  vm->exit.size = size;
  vm->exit.access = write;
  vm->exit.instruction_length =
      Bit32u(vm->running.load()->gen_reg[BX_64BIT_REG_RIP].rrx - vm->running.load()->prev_rip);
  vm->running.load()->exit_now();
}

void bx_machine_t::note_eoi(Bit8u vector) {
  softcpu_vm* vm = vm_of(this);
  vm->exit.reason = SOFTCPU_EXIT_EOI;
  vm->exit.vector = vector;
  vm->clock.kill_bochs_request = true;
  vm->running.load()->async_event = 1;
}

void bx_machine_t::note_window(BX_CPU_C* cpu) {
  cpu->window_requested = cpu->nmi_window_requested = false;
  vm_of(this)->exit.reason = SOFTCPU_EXIT_WINDOW;
}

Bit8u bx_machine_t::acknowledge_external() {
  softcpu_vm* vm = vm_of(this);
  softcpu_vm::External& external = vm->external[vm->running.load()->bx_cpuid];
  external.pending = false;
  vm->running.load()->clear_event(BX_EVENT_PENDING_INTR);
  return external.vector;
}

void bx_machine_t::answer_cpuid(BX_CPU_C* cpu, Bit32u function, Bit32u index,
                                cpuid_function_t* leaf) {
  softcpu_vm* vm = vm_of(this);
  cpu->cpuid->get_cpuid_leaf(function, index, leaf);
  if (!vm->config.callbacks.cpuid) return;
  Bit32u out[4] = {leaf->eax, leaf->ebx, leaf->ecx, leaf->edx};
  if (vm->config.callbacks.cpuid(vm->config.context, cpu->bx_cpuid, function, index, out) ==
      SOFTCPU_ANSWER_EXIT) {
    vm->exit.reason = SOFTCPU_EXIT_CPUID;
    vm->exit.address = function;
    vm->exit.cpuid_index = index;
    vm->exit.cpuid_default[0] = leaf->eax;
    vm->exit.cpuid_default[1] = leaf->ebx;
    vm->exit.cpuid_default[2] = leaf->ecx;
    vm->exit.cpuid_default[3] = leaf->edx;
    vm->exit.instruction_length = Bit32u(cpu->gen_reg[BX_64BIT_REG_RIP].rrx - cpu->prev_rip);
    cpu->exit_now();
  }
  leaf->eax = out[0];
  leaf->ebx = out[1];
  leaf->ecx = out[2];
  leaf->edx = out[3];
}

// MSRs that never reach the caller: softcpu.h, softcpu_callbacks.
static bool is_engine_msr(const softcpu_vm* vm, Bit32u index) {
  switch (index) {
    case BX_MSR_TSC:
    case BX_MSR_EFER:
    case BX_MSR_STAR:
    case BX_MSR_LSTAR:
    case BX_MSR_CSTAR:
    case BX_MSR_FMASK:
    case BX_MSR_FSBASE:
    case BX_MSR_GSBASE:
    case BX_MSR_KERNELGSBASE:
      return true;
    case BX_MSR_TSC_DEADLINE:
    case BX_MSR_APICBASE:
      return vm->has_apic;
    default:
      return vm->has_apic && is_x2apic_msr_range(index);
  }
}

static int msr_result(softcpu_vm* vm, BX_CPU_C* cpu, softcpu_answer answer, Bit32u index,
                      Bit32u access, Bit64u value) {
  switch (answer) {
    case SOFTCPU_ANSWER_DONE:
      return 1;
    case SOFTCPU_ANSWER_FAULT:
      return 0;
    case SOFTCPU_ANSWER_EXIT:
      vm->exit.reason = SOFTCPU_EXIT_MSR;
      vm->exit.address = index;
      vm->exit.access = access;
      vm->exit.value = value;
      vm->exit.instruction_length = Bit32u(cpu->gen_reg[BX_64BIT_REG_RIP].rrx - cpu->prev_rip);
      cpu->exit_now();
    default:
      return -1;
  }
}

int bx_machine_t::read_msr(BX_CPU_C* cpu, Bit32u index, Bit64u* value) {
  softcpu_vm* vm = vm_of(this);
  if (is_engine_msr(vm, index)) return -1;
  if (!vm->config.callbacks.read_msr) return -1;
  return msr_result(vm, cpu,
                    vm->config.callbacks.read_msr(vm->config.context, cpu->bx_cpuid, index, value),
                    index, 0, 0);
}

int bx_machine_t::write_msr(BX_CPU_C* cpu, Bit32u index, Bit64u value) {
  softcpu_vm* vm = vm_of(this);
  if (is_engine_msr(vm, index)) return -1;
  if (!vm->config.callbacks.write_msr) return -1;
  return msr_result(vm, cpu,
                    vm->config.callbacks.write_msr(vm->config.context, cpu->bx_cpuid, index, value),
                    index, 1, value);
}

void bx_machine_t::offer_exception(BX_CPU_C* cpu, unsigned vector, Bit64s error_code,
                                   Bit64u parameter, bool is_software) {
  softcpu_vm* vm = vm_of(this);
  if (cpu->delivering_event || !vm->config.callbacks.exception ||
      vm->config.callbacks.exception(vm->config.context, cpu->bx_cpuid, vector) !=
          SOFTCPU_ANSWER_EXIT)
    return;
  vm->exit.reason = SOFTCPU_EXIT_EXCEPTION;
  vm->exit.vector = vector;
  vm->exit.error_code_valid = error_code != kNoErrorCode;
  vm->exit.error_code = vm->exit.error_code_valid ? Bit32u(error_code) : 0;
  vm->exit.is_software = is_software;
  vm->exit.value = parameter;
  if (is_software)
    vm->exit.instruction_length = Bit32u(cpu->gen_reg[BX_64BIT_REG_RIP].rrx - cpu->prev_rip);
  if (vector == BX_DB_EXCEPTION) cpu->debug_trap = 0;  // what was pending is the caller's now
  cpu->exit_now();
}

// The debugger's printers, which Bochs calls on its way to a shutdown.
void BX_CPU_C::debug(bx_address) {}
void BX_CPU_C::debug_disasm_instruction(bx_address) {}
