// SPDX-License-Identifier: LGPL-2.0-or-later
// The C interface of softcpu.h.
#include "softcpu.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "host.h"
#include "vm.h"

#ifdef _WIN32
#define SOFTCPU_API extern "C" __declspec(dllexport)
#else
#define SOFTCPU_API extern "C" __attribute__((visibility("default")))
#endif

namespace {

constexpr Bit64u kPageMask = 0xfff;
constexpr Bit64u kAddressLimit = Bit64u(1) << BX_PHY_ADDRESS_WIDTH;

// Bochs fills tables that all machines share when the first processor is initialised.
std::mutex& creation_mutex() {
  static std::mutex mutex;
  return mutex;
}

// 22 MiB, of which a boot touches 14, most of it decoded instructions: with large pages ten page
// faults instead of 4000.
constexpr size_t kCpuBytes = (sizeof(BX_CPU_C) + kLargePage - 1) & ~(kLargePage - 1);

void free_cpu(BX_CPU_C* cpu) {
  cpu->~BX_CPU_C();
  free_pages(cpu, kCpuBytes);
}

bool valid_range(uint64_t gpa, uint64_t size) {
  return size != 0 && ((gpa | size) & kPageMask) == 0 && gpa < kAddressLimit &&
         size <= kAddressLimit - gpa;
}

// A halted processor whose caller waits to inject what would wake it.
bool window_open(BX_CPU_C* cpu) {
  return cpu->activity_state == BX_CPU_C::BX_ACTIVITY_STATE_HLT &&
         ((cpu->window_requested && cpu->get_IF()) ||
          (cpu->nmi_window_requested && !cpu->is_masked_event(BX_EVENT_NMI)));
}

bool can_wake(BX_CPU_C* cpu) {
  if (cpu->injection_pending) return true;
  if (cpu->is_unmasked_event_pending(BX_EVENT_NMI | BX_EVENT_INIT)) return true;
  if (window_open(cpu)) return true;
  return cpu->activity_state == BX_CPU_C::BX_ACTIVITY_STATE_HLT && cpu->get_IF() &&
         cpu->is_pending(BX_EVENT_PENDING_INTR | BX_EVENT_PENDING_LAPIC_INTR);
}

bool is_io_string(const softcpu_exit& exit, bool long_mode, Bit32u* rep) {
  *rep = 0;
  for (unsigned n = 0; n < exit.instruction_bytes; n++) {
    Bit8u b = exit.instruction[n];
    switch (b) {
      case 0xf2:
      case 0xf3:
        *rep = 1;
        continue;
      case 0x26:
      case 0x2e:
      case 0x36:
      case 0x3e:
      case 0x64:
      case 0x65:
      case 0x66:
      case 0x67:
      case 0xf0:
        continue;
      default:
        if (long_mode && (b & 0xf0) == 0x40) continue;
        if (b >= 0x6c && b <= 0x6f) return true;
        *rep = 0;
        return false;
    }
  }
  *rep = 0;
  return false;
}

}  // namespace

softcpu_vm::softcpu_vm(const softcpu_config& config_in)
    : config(config_in),
      clock(config_in.callbacks.now_ns, config_in.context, config_in.tsc_hz, config_in.apic_hz) {
  memory = &ranges;
  pc_system = &clock;
  stamps = &stamp_table;
  has_apic = config.apic_mode != SOFTCPU_APIC_NONE;
}

softcpu_vm::~softcpu_vm() {
  enter();
  for (unsigned i = 0; i < cpu_count; i++) free_cpu(cpus[i]);
  bx_machine = nullptr;
}

bool softcpu_vm::create_cpus() {
  std::lock_guard<std::mutex> lock(creation_mutex());
  enter();
  for (unsigned i = 0; i < config.cpu_count; i++) {
    void* place = allocate_pages(kCpuBytes);
    if (!place) return false;
    cpus[i] = new (place) BX_CPU_C(i);
    cpu_count = i + 1;
    cpus[i]->initialize();
    cpus[i]->reset(BX_RESET_HARDWARE);
  }
  return true;
}

void softcpu_vm::flush_data_translations() {
  for (unsigned i = 0; i < cpu_count; i++) {
    cpus[i]->TLB_flush();
    cpus[i]->invalidate_stack_cache();
  }
}

void softcpu_vm::flush_translations() {
  flush_data_translations();
  for (unsigned i = 0; i < cpu_count; i++) cpus[i]->invalidate_prefetch_q();
  flushICaches();
}

bool softcpu_vm::time_is_up() {
  charged = false;
  Bit64u now = clock.now_ns();
  if (!run_deadline_ns) run_deadline_ns = now + run_ns;
  return now >= run_deadline_ns;
}

void softcpu_vm::deliver_events() {
  clock.fire_due();
  if (!has_requests.load(std::memory_order_acquire)) return;
  std::vector<softcpu_interrupt> taken;
  {
    std::lock_guard<std::mutex> lock(requests_mutex);
    taken.swap(requests);
    has_requests.store(false, std::memory_order_relaxed);
  }
  for (const softcpu_interrupt& request : taken) {
    unsigned mode = request.type;
    if (mode == SOFTCPU_INTERRUPT_LOWEST && !request.logical_destination)
      mode = SOFTCPU_INTERRUPT_FIXED;  // Bochs refuses it; a physical destination is one processor
    apic_bus_deliver_interrupt(Bit8u(request.vector), request.destination, Bit8u(mode),
                               request.logical_destination != 0, true,
                               request.level_triggered != 0);
  }
}

softcpu_status softcpu_vm::run(unsigned index, Bit64u max_instructions, softcpu_exit* exit_out) {
  BX_CPU_C* cpu = cpus[index];
  exit = {};
  clock.kill_bochs_request = false;
  deliver_events();

  auto finish = [&](Bit32u reason) {
    exit.reason = reason;
    *exit_out = exit;
    return SOFTCPU_OK;
  };
  if (take_cancel(index)) return finish(SOFTCPU_EXIT_CANCELED);
  if (cpu->activity_state != BX_CPU_C::BX_ACTIVITY_STATE_ACTIVE && !can_wake(cpu))
    return finish(cpu->activity_state == BX_CPU_C::BX_ACTIVITY_STATE_SHUTDOWN
                      ? SOFTCPU_EXIT_SHUTDOWN
                      : SOFTCPU_EXIT_HALT);

  if (!cpu->injection_pending && window_open(cpu)) {
    note_window(cpu);
    return finish(SOFTCPU_EXIT_WINDOW);
  }

  Bit64u limit = max_instructions && max_instructions < kMaxSlice ? max_instructions : kMaxSlice;
  cpu->slice_end = cpu->get_icount() + limit;
  run_ns = std::max(kShortestRunNs, limit * kNanosecondsAnInstruction);
  run_deadline_ns = 0;
  charged = false;
  running = cpu;
  // Who asked for something too early to find us running is seen at the first poll.
  if (has_requests.load()) cpu->called.store(true);
  cpu->set_next_poll();
  cpu->cpu_loop();
  running = nullptr;

  if (exit.reason == SOFTCPU_EXIT_NONE && cpu->activity_state != BX_CPU_C::BX_ACTIVITY_STATE_ACTIVE)
    exit.reason = cpu->activity_state == BX_CPU_C::BX_ACTIVITY_STATE_SHUTDOWN
                      ? SOFTCPU_EXIT_SHUTDOWN
                      : SOFTCPU_EXIT_HALT;
  switch (exit.reason) {
    case SOFTCPU_EXIT_IO:
    case SOFTCPU_EXIT_MMIO:
    case SOFTCPU_EXIT_CPUID:
    case SOFTCPU_EXIT_MSR:
    case SOFTCPU_EXIT_EXCEPTION:
      exit.instruction_bytes = fetch_bytes(cpu, exit.instruction);
      break;
    default:
      break;
  }
  if (exit.reason == SOFTCPU_EXIT_IO)
    exit.io_string = is_io_string(exit, cpu->cpu_mode == BX_MODE_LONG_64, &exit.io_rep);
  *exit_out = exit;
  return SOFTCPU_OK;
}

SOFTCPU_API uint32_t softcpu_abi_version(void) { return SOFTCPU_ABI_VERSION; }

SOFTCPU_API const char* softcpu_description(void) { return "Bochs 3.0 CPU core"; }

SOFTCPU_API softcpu_status softcpu_create(const softcpu_config* config, softcpu_vm** vm) {
  if (!config || !vm) return SOFTCPU_E_INVALID;
  if (config->abi_version != SOFTCPU_ABI_VERSION || config->struct_size != sizeof *config)
    return SOFTCPU_E_ABI;
  if (config->cpu_count < 1 || config->cpu_count > SOFTCPU_MAX_CPUS ||
      config->apic_mode > SOFTCPU_APIC_X2APIC || !config->tsc_hz || !config->apic_hz ||
      !config->callbacks.now_ns || !config->callbacks.page_written)
    return SOFTCPU_E_INVALID;
  auto* made = new (std::nothrow) softcpu_vm(*config);
  if (!made) return SOFTCPU_E_MEMORY;
  if (!made->stamp_table.allocated() || !made->create_cpus()) {
    delete made;
    return SOFTCPU_E_MEMORY;
  }
  *vm = made;
  return SOFTCPU_OK;
}

SOFTCPU_API void softcpu_destroy(softcpu_vm* vm) { delete vm; }

SOFTCPU_API softcpu_status softcpu_map(softcpu_vm* vm, uint64_t gpa, uint64_t size, void* host,
                                       uint32_t flags) {
  if (!valid_range(gpa, size) || !host || (flags & ~15u)) return SOFTCPU_E_INVALID;
  prefer_large_pages(host, size);
  vm->enter();
  // Also where nothing was mapped: a TLB entry may say so.
  vm->ranges.map({gpa, size, static_cast<Bit8u*>(host), flags});
  vm->flush_translations();
  return SOFTCPU_OK;
}

SOFTCPU_API softcpu_status softcpu_unmap(softcpu_vm* vm, uint64_t gpa, uint64_t size) {
  if (!valid_range(gpa, size)) return SOFTCPU_E_INVALID;
  vm->enter();
  if (vm->ranges.unmap(gpa, size)) vm->flush_translations();
  return SOFTCPU_OK;
}

SOFTCPU_API softcpu_status softcpu_memory_written(softcpu_vm* vm, uint64_t gpa, uint64_t size) {
  if (gpa >= kAddressLimit || size > kAddressLimit - gpa) return SOFTCPU_E_INVALID;
  vm->enter();
  for (Bit64u at = gpa, end = gpa + size; at < end;) {
    Bit64u part = std::min(end, (at | kPageMask) + 1) - at;
    if (part > 128)
      vm->stamps->decWriteStamp(at);
    else
      vm->stamps->decWriteStamp(at, unsigned(part));
    at += part;
  }
  return SOFTCPU_OK;
}

SOFTCPU_API int softcpu_holds_code(softcpu_vm* vm, uint64_t gpa, uint64_t size) {
  if (gpa >= kAddressLimit || size > kAddressLimit - gpa) return 1;
  std::atomic_thread_fence(std::memory_order_seq_cst);  // of the writes, before the marks are read
  for (Bit64u at = gpa, end = gpa + size; at < end; at = (at | kPageMask) + 1) {
    if (vm->stamp_table.holds_code(at)) return 1;
  }
  return 0;
}

SOFTCPU_API void softcpu_forget_writes(softcpu_vm* vm) {
  vm->enter();
  vm->flush_data_translations();
}

SOFTCPU_API softcpu_status softcpu_run(softcpu_vm* vm, uint32_t cpu, uint64_t max_instructions,
                                       softcpu_exit* exit) {
  if (cpu >= vm->cpu_count || !exit) return SOFTCPU_E_INVALID;
  vm->enter();
  return vm->run(cpu, max_instructions, exit);
}

SOFTCPU_API void softcpu_cancel(softcpu_vm* vm, uint32_t cpu) {
  if (cpu >= vm->cpu_count) return;
  vm->cancel[cpu].store(true);
  vm->cpus[cpu]->call();
}

SOFTCPU_API uint64_t softcpu_next_timer_ns(softcpu_vm* vm) { return vm->clock.next_due_ns(); }

SOFTCPU_API int softcpu_is_runnable(softcpu_vm* vm, uint32_t index) {
  if (index >= vm->cpu_count) return 0;
  vm->enter();
  vm->deliver_events();
  BX_CPU_C* cpu = vm->cpus[index];
  return cpu->activity_state == BX_CPU_C::BX_ACTIVITY_STATE_ACTIVE || can_wake(cpu);
}

SOFTCPU_API softcpu_status softcpu_request_interrupt(softcpu_vm* vm,
                                                     const softcpu_interrupt* interrupt) {
  switch (interrupt->type) {
    case SOFTCPU_INTERRUPT_FIXED:
    case SOFTCPU_INTERRUPT_LOWEST:
    case SOFTCPU_INTERRUPT_NMI:
    case SOFTCPU_INTERRUPT_INIT:
    case SOFTCPU_INTERRUPT_SIPI:
      break;
    default:
      return SOFTCPU_E_INVALID;
  }
  if (interrupt->vector > 0xff || !vm->has_apic) return SOFTCPU_E_INVALID;
  {
    std::lock_guard<std::mutex> lock(vm->requests_mutex);
    vm->requests.push_back(*interrupt);
    vm->has_requests.store(true);
  }
  // Whoever runs delivers them, to whichever processor.
  if (BX_CPU_C* cpu = vm->running.load()) cpu->call();
  return SOFTCPU_OK;
}

SOFTCPU_API softcpu_status softcpu_get(softcpu_vm* vm, uint32_t cpu, const uint32_t* names,
                                       uint32_t count, softcpu_value* values) {
  if (cpu >= vm->cpu_count) return SOFTCPU_E_INVALID;
  vm->enter();
  for (uint32_t n = 0; n < count; n++) {
    softcpu_status status = get_register(vm->cpus[cpu], names[n], &values[n]);
    if (status != SOFTCPU_OK) return status;
  }
  return SOFTCPU_OK;
}

SOFTCPU_API softcpu_status softcpu_set(softcpu_vm* vm, uint32_t cpu, const uint32_t* names,
                                       uint32_t count, const softcpu_value* values) {
  if (cpu >= vm->cpu_count) return SOFTCPU_E_INVALID;
  for (uint32_t n = 0; n < count; n++)
    if (!is_register(names[n])) return SOFTCPU_E_REGISTER;
  vm->enter();
  RegisterChanges changes;
  for (uint32_t n = 0; n < count; n++) set_register(vm->cpus[cpu], names[n], values[n], &changes);
  finish_registers(vm->cpus[cpu], changes);
  return SOFTCPU_OK;
}

SOFTCPU_API softcpu_status softcpu_get_xsave(softcpu_vm* vm, uint32_t cpu, void* area) {
  if (cpu >= vm->cpu_count || !area) return SOFTCPU_E_INVALID;
  vm->enter();
  get_xsave(vm->cpus[cpu], static_cast<Bit8u*>(area));
  return SOFTCPU_OK;
}

SOFTCPU_API softcpu_status softcpu_set_xsave(softcpu_vm* vm, uint32_t cpu, const void* area) {
  if (cpu >= vm->cpu_count || !area) return SOFTCPU_E_INVALID;
  vm->enter();
  return set_xsave(vm->cpus[cpu], static_cast<const Bit8u*>(area)) ? SOFTCPU_OK : SOFTCPU_E_INVALID;
}

SOFTCPU_API softcpu_status softcpu_get_apic(softcpu_vm* vm, uint32_t cpu, uint32_t* registers) {
  if (cpu >= vm->cpu_count || !registers || !vm->has_apic) return SOFTCPU_E_INVALID;
  vm->enter();
  vm->deliver_events();  // what was requested is in it
  get_apic(vm->cpus[cpu], registers);
  return SOFTCPU_OK;
}

SOFTCPU_API softcpu_status softcpu_set_apic(softcpu_vm* vm, uint32_t cpu,
                                            const uint32_t* registers) {
  if (cpu >= vm->cpu_count || !registers || !vm->has_apic) return SOFTCPU_E_INVALID;
  vm->enter();
  vm->deliver_events();  // what was requested before is replaced
  set_apic(vm->cpus[cpu], registers);
  return SOFTCPU_OK;
}

SOFTCPU_API softcpu_status softcpu_translate(softcpu_vm* vm, uint32_t cpu, uint64_t gva,
                                             uint32_t access, uint64_t* gpa) {
  if (cpu >= vm->cpu_count || access > 2 || !gpa) return SOFTCPU_E_INVALID;
  vm->enter();
  return walk(vm->cpus[cpu], gva, access, gpa) ? SOFTCPU_OK : SOFTCPU_E_INVALID;
}

SOFTCPU_API uint64_t softcpu_instructions(softcpu_vm* vm, uint32_t cpu) {
  if (cpu >= vm->cpu_count) return 0;
  return vm->cpus[cpu]->get_icount() - vm->cpus[cpu]->uncounted;
}
