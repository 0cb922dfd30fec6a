// SPDX-License-Identifier: LGPL-2.0-or-later
// State of a processor that has a form of its own: the XSAVE area and the local APIC's registers.
#include <cstring>

#include "vm.h"

namespace {

// The legacy region of XSAVE (SDM 1 13.4.1), as far as it is used, is these registers one behind
// the other: WHV_REGISTER_VALUE has them as FXSAVE does.
enum : Bit32u {
  kXmm0 = 0x1000,
  kFpMmx0 = 0x1010,
  kFpControlStatus = 0x1018,
  kXmmControlStatus = 0x1019,
};
constexpr unsigned kStRegisters = 8, kXmmRegisters = 16;
constexpr unsigned kStOffset = 32, kXmmOffset = 160;
constexpr unsigned kHeaderOffset = 512, kYmmOffset = 576;
constexpr Bit64u kX87 = 1, kSse = 2, kAvx = 4;
static_assert(kYmmOffset + kXmmRegisters * 16 == SOFTCPU_XSAVE_BYTES);

constexpr unsigned kMxcsrOffset = 24;
constexpr Bit16u kInitialControlWord = 0x37f;
constexpr Bit32u kInitialMxcsr = 0x1f80;

void load(BX_CPU_C* cpu, Bit32u name, const Bit8u* from) {
  softcpu_value value;
  memcpy(&value, from, sizeof value);
  RegisterChanges changes;
  set_register(cpu, name, value, &changes);  // of these none asks for more
}

void store(BX_CPU_C* cpu, Bit32u name, Bit8u* to) {
  softcpu_value value;
  get_register(cpu, name, &value);
  memcpy(to, &value, sizeof value);
}

// Bits 10 and 11 of IA32_APIC_BASE.
bool is_x2apic(BX_CPU_C* cpu) { return (cpu->msr.apicbase >> 10 & 3) == BX_APIC_X2APIC_MODE; }

// Those that a read of the page answers; of others it would note an error.
constexpr Bit32u kApicRegisters[] = {BX_LAPIC_ID,
                                     BX_LAPIC_VERSION,
                                     BX_LAPIC_TPR,
                                     BX_LAPIC_ARBITRATION_PRIORITY,
                                     BX_LAPIC_PPR,
                                     BX_LAPIC_LDR,
                                     BX_LAPIC_DESTINATION_FORMAT,
                                     BX_LAPIC_SPURIOUS_VECTOR,
                                     BX_LAPIC_ESR,
                                     BX_LAPIC_LVT_CMCI,
                                     BX_LAPIC_ICR_LO,
                                     BX_LAPIC_ICR_HI,
                                     BX_LAPIC_LVT_TIMER,
                                     BX_LAPIC_LVT_THERMAL,
                                     BX_LAPIC_LVT_PERFMON,
                                     BX_LAPIC_LVT_LINT0,
                                     BX_LAPIC_LVT_LINT1,
                                     BX_LAPIC_LVT_ERROR,
                                     BX_LAPIC_TIMER_INITIAL_COUNT,
                                     BX_LAPIC_TIMER_CURRENT_COUNT,
                                     BX_LAPIC_TIMER_DIVIDE_CFG};

constexpr Bit32u kLvts[] = {BX_LAPIC_LVT_TIMER, BX_LAPIC_LVT_THERMAL, BX_LAPIC_LVT_PERFMON,
                            BX_LAPIC_LVT_LINT0, BX_LAPIC_LVT_LINT1,   BX_LAPIC_LVT_ERROR,
                            BX_LAPIC_LVT_CMCI};
constexpr Bit32u kTimerModes = 3u << 17, kDeadlineMode = 1u << 18;

// Goes on from its current count; a periodic one that has none begins a period.
void set_timer(bx_local_apic_c* apic, Bit32u initial, Bit32u current) {
  if (apic->timer_active) apic->bx_machine->pc_system->deactivate_timer(apic->timer_handle);
  apic->timer_active = false;
  apic->timer_initial = initial;
  apic->timer_current = 0;
  bool periodic = (apic->lvt[APIC_LVT_TIMER] & kTimerModes) == 1u << 17;
  if (!current && periodic) current = initial;
  if (!initial || !current) return;
  if (current > initial) current = initial;
  Bit64u now = apic->bx_machine->pc_system->apic_ticks();
  Bit64u elapsed = Bit64u(initial - current) * apic->timer_divide_factor;
  apic->timer_current = current;
  apic->timer_active = true;
  // Before the machine's begin for one that is restored early: the difference is what counts.
  apic->ticksInitial = now - elapsed;
  apic->bx_machine->pc_system->arm_apic(apic->timer_handle,
                                        now + Bit64u(current) * apic->timer_divide_factor);
}

}  // namespace

void get_xsave(BX_CPU_C* cpu, Bit8u area[SOFTCPU_XSAVE_BYTES]) {
  memset(area, 0, SOFTCPU_XSAVE_BYTES);
  store(cpu, kFpControlStatus, area);
  store(cpu, kXmmControlStatus, area + 16);
  for (unsigned n = 0; n < kStRegisters; n++) store(cpu, kFpMmx0 + n, area + kStOffset + 16 * n);
  for (unsigned n = 0; n < kXmmRegisters; n++) {
    store(cpu, kXmm0 + n, area + kXmmOffset + 16 * n);
    Bit64u high[] = {cpu->vmm[n].ymm64u(2), cpu->vmm[n].ymm64u(3)};
    memcpy(area + kYmmOffset + 16 * n, high, sizeof high);
  }
  constexpr Bit64u in_use = kX87 | kSse | kAvx;
  memcpy(area + kHeaderOffset, &in_use, sizeof in_use);
}

bool set_xsave(BX_CPU_C* cpu, const Bit8u given[SOFTCPU_XSAVE_BYTES]) {
  Bit64u in_use;
  memcpy(&in_use, given + kHeaderOffset, sizeof in_use);
  if (in_use & ~(kX87 | kSse | kAvx)) return false;

  // What is not in use is as after INIT.
  Bit8u area[SOFTCPU_XSAVE_BYTES] = {};
  memcpy(area, &kInitialControlWord, sizeof kInitialControlWord);
  memcpy(area + kMxcsrOffset, &kInitialMxcsr, sizeof kInitialMxcsr);
  if (in_use & kX87) {
    memcpy(area, given, kMxcsrOffset);
    memcpy(area + kStOffset, given + kStOffset, kXmmOffset - kStOffset);
  }
  if (in_use & kSse) {
    memcpy(area + kMxcsrOffset, given + kMxcsrOffset, sizeof kInitialMxcsr);
    memcpy(area + kXmmOffset, given + kXmmOffset, kXmmRegisters * 16);
  }
  if (in_use & kAvx) memcpy(area + kYmmOffset, given + kYmmOffset, kXmmRegisters * 16);

  Bit32u mxcsr;
  memcpy(&mxcsr, area + kMxcsrOffset, sizeof mxcsr);
  if (mxcsr & ~cpu->mxcsr_mask) return false;

  load(cpu, kFpControlStatus, area);
  load(cpu, kXmmControlStatus, area + 16);
  for (unsigned n = 0; n < kStRegisters; n++) load(cpu, kFpMmx0 + n, area + kStOffset + 16 * n);
  load(cpu, kFpControlStatus, area);  // again: its tags follow from the registers
  for (unsigned n = 0; n < kXmmRegisters; n++) {
    load(cpu, kXmm0 + n, area + kXmmOffset + 16 * n);
    Bit64u high[2];
    memcpy(high, area + kYmmOffset + 16 * n, sizeof high);
    cpu->vmm[n].ymm64u(2) = high[0];
    cpu->vmm[n].ymm64u(3) = high[1];
  }
  return true;
}

void get_apic(BX_CPU_C* cpu, uint32_t registers[SOFTCPU_APIC_REGISTERS]) {
  bx_local_apic_c* apic = cpu->lapic;
  memset(registers, 0, SOFTCPU_APIC_REGISTERS * sizeof *registers);
  for (Bit32u at : kApicRegisters) registers[at >> 4] = apic->read_aligned(at);
  for (unsigned n = 0; n < 8; n++) {
    registers[(BX_LAPIC_ISR1 >> 4) + n] = apic->isr[n];
    registers[(BX_LAPIC_TMR1 >> 4) + n] = apic->tmr[n];
    registers[(BX_LAPIC_IRR1 >> 4) + n] = apic->irr[n];
  }
  if (!is_x2apic(cpu)) return;
  registers[BX_LAPIC_ID >> 4] = apic->apic_id;
  registers[BX_LAPIC_LDR >> 4] = apic->ldr;
}

void set_apic(BX_CPU_C* cpu, const uint32_t registers[SOFTCPU_APIC_REGISTERS]) {
  bx_local_apic_c* apic = cpu->lapic;
  auto given = [&](Bit32u at) { return registers[at >> 4]; };
  apic->task_priority = given(BX_LAPIC_TPR) & 0xff;
  if (!is_x2apic(cpu)) {  // there both follow from the identity
    apic->ldr = given(BX_LAPIC_LDR) >> 24;
    apic->dest_format = given(BX_LAPIC_DESTINATION_FORMAT) >> 28;
  }
  // Before the vector table: while software has the APIC off, all of it is masked.
  apic->write_spurious_interrupt_register(given(BX_LAPIC_SPURIOUS_VECTOR));
  for (unsigned n = 0; n < 8; n++) {
    Bit32u vectors = n ? ~0u : ~0xffffu;  // 0 to 15 are none
    apic->isr[n] = given(BX_LAPIC_ISR1 + 16 * n) & vectors;
    apic->tmr[n] = given(BX_LAPIC_TMR1 + 16 * n) & vectors;
    apic->irr[n] = given(BX_LAPIC_IRR1 + 16 * n) & vectors;
  }
  apic->error_status = given(BX_LAPIC_ESR);
  apic->shadow_error_status = 0;
  apic->icr_lo = given(BX_LAPIC_ICR_LO) & ~(1u << 12);
  apic->icr_hi = given(BX_LAPIC_ICR_HI);
  bool had_deadline = apic->lvt[APIC_LVT_TIMER] & kDeadlineMode;
  for (Bit32u at : kLvts) apic->set_lvt_entry(at, given(at));
  apic->timer_divconf = given(BX_LAPIC_TIMER_DIVIDE_CFG) & 0xb;
  apic->set_divide_configuration(apic->timer_divconf);
  // A deadline is a register of its own: one that was there stays.
  if (!(apic->lvt[APIC_LVT_TIMER] & kDeadlineMode))
    set_timer(apic, given(BX_LAPIC_TIMER_INITIAL_COUNT), given(BX_LAPIC_TIMER_CURRENT_COUNT));
  else if (!had_deadline)
    apic->ticksInitial = 0;
  cpu->clear_event(BX_EVENT_PENDING_LAPIC_INTR);
  apic->service_local_apic();
}
