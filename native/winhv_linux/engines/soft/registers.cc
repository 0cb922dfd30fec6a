// SPDX-License-Identifier: LGPL-2.0-or-later
// Registers by the numbers of WHV_REGISTER_NAME and the layouts of WHV_REGISTER_VALUE.
#include <cstring>

#include "vm.h"

namespace {

enum Name : Bit32u {
  kRax = 0x00,
  kR15 = 0x0f,
  kRip = 0x10,
  kRflags = 0x11,
  kEs = 0x12,
  kGs = 0x17,
  kLdtr = 0x18,
  kTr = 0x19,
  kIdtr = 0x1a,
  kGdtr = 0x1b,
  kCr0 = 0x1c,
  kCr2 = 0x1d,
  kCr3 = 0x1e,
  kCr4 = 0x1f,
  kCr8 = 0x20,
  kDr0 = 0x21,
  kDr3 = 0x24,
  kDr6 = 0x25,
  kDr7 = 0x26,
  kXcr0 = 0x27,
  kXmm0 = 0x1000,
  kXmm15 = 0x100f,
  kFpMmx0 = 0x1010,
  kFpMmx7 = 0x1017,
  kFpControlStatus = 0x1018,
  kXmmControlStatus = 0x1019,
  kTsc = 0x2000,
  kEfer = 0x2001,
  kKernelGsBase = 0x2002,
  kApicBase = 0x2003,
  kPat = 0x2004,
  kSysenterCs = 0x2005,
  kSysenterEip = 0x2006,
  kSysenterEsp = 0x2007,
  kStar = 0x2008,
  kLstar = 0x2009,
  kCstar = 0x200a,
  kSfmask = 0x200b,
  kTscAux = 0x207b,
  kTscDeadline = 0x2095,
  kPendingInterruption = 0x80000000,
  kInterruptState = 0x80000001,
  kPendingEvent = 0x80000002,
  kDeliverabilityNotifications = 0x80000004,
  kInternalActivityState = 0x80000005,
};

// Segments in the order of the names; Bochs numbers them as the instruction set does, which is the
// same.
constexpr unsigned kSegmentCount = 6;

void get_segment(const bx_segment_reg_t& segment, softcpu_value* value) {
  const bx_descriptor_t& d = segment.cache;
  Bit32u attributes = d.type | Bit32u(d.segment) << 4 | Bit32u(d.dpl) << 5 | Bit32u(d.p) << 7 |
                      Bit32u(d.u.segment.avl) << 12 | Bit32u(d.u.segment.l) << 13 |
                      Bit32u(d.u.segment.d_b) << 14 | Bit32u(d.u.segment.g) << 15;
  value->low = d.u.segment.base;
  value->high =
      d.u.segment.limit_scaled | Bit64u(segment.selector.value) << 32 | Bit64u(attributes) << 48;
}

void set_segment(BX_CPU_C* cpu, bx_segment_reg_t* segment, const softcpu_value& value) {
  Bit16u selector = Bit16u(value.high >> 32);
  Bit16u attributes = Bit16u(value.high >> 48);
  bool present = attributes & 0x80;
  cpu->set_segment_ar_data(segment, present ? SegValidCache : 0, selector, value.low,
                           Bit32u(value.high), attributes);
}

void get_table(const bx_global_segment_reg_t& table, softcpu_value* value) {
  value->low = Bit64u(table.limit) << 48;
  value->high = table.base;
}

void set_table(bx_global_segment_reg_t* table, const softcpu_value& value) {
  table->limit = Bit16u(value.low >> 48);
  table->base = value.high;
}

// The abridged tag byte of FXSAVE: a bit for each register that is not empty.
Bit8u abridged_tags(const i387_t& fpu) {
  Bit8u tags = 0;
  for (unsigned n = 0; n < 8; n++)
    if ((fpu.twd >> (2 * n) & 3) != 3) tags |= Bit8u(1 << n);
  return tags;
}

Bit64u get_activity(BX_CPU_C* cpu) {
  switch (cpu->activity_state) {
    case BX_CPU_C::BX_ACTIVITY_STATE_WAIT_FOR_SIPI:
      return 1;
    case BX_CPU_C::BX_ACTIVITY_STATE_HLT:
      return 2;
    default:
      return 0;
  }
}

void set_activity(BX_CPU_C* cpu, Bit64u value) {
  if (value & 1) {
    cpu->activity_state = BX_CPU_C::BX_ACTIVITY_STATE_WAIT_FOR_SIPI;
    cpu->mask_event(BX_EVENT_INIT | BX_EVENT_SMI | BX_EVENT_NMI);
  } else {
    if (cpu->activity_state == BX_CPU_C::BX_ACTIVITY_STATE_WAIT_FOR_SIPI)
      cpu->unmask_event(BX_EVENT_INIT | BX_EVENT_SMI | BX_EVENT_NMI);
    cpu->activity_state =
        value & 2 ? BX_CPU_C::BX_ACTIVITY_STATE_HLT : BX_CPU_C::BX_ACTIVITY_STATE_ACTIVE;
  }
  cpu->async_event = 1;
}

void set_pending_interruption(BX_CPU_C* cpu, Bit64u value) {
  softcpu_vm* vm = vm_of(cpu->bx_machine);
  cpu->injection_pending = value & 1;
  if (!(value & 1)) return;
  softcpu_vm::Injection& event = vm->injection[cpu->bx_cpuid];
  event.type = Bit32u(value >> 1 & 7);
  event.has_error = value >> 4 & 1;
  event.length = Bit32u(value >> 5 & 15);
  event.vector = Bit32u(value >> 16 & 0xff);
  event.error_code = Bit32u(value >> 32);
  cpu->async_event = 1;
}

Bit64u get_pending_interruption(BX_CPU_C* cpu) {
  if (!cpu->injection_pending) return 0;
  const softcpu_vm::Injection& event = vm_of(cpu->bx_machine)->injection[cpu->bx_cpuid];
  return 1 | Bit64u(event.type) << 1 | Bit64u(event.has_error) << 4 | Bit64u(event.length) << 5 |
         Bit64u(event.vector) << 16 | Bit64u(event.error_code) << 32;
}

constexpr Bit32u kEventException = 0, kEventExternal = 5;

void set_pending_event(BX_CPU_C* cpu, const softcpu_value& value) {
  softcpu_vm* vm = vm_of(cpu->bx_machine);
  softcpu_vm::External& external = vm->external[cpu->bx_cpuid];
  bool pending = value.low & 1;
  Bit32u type = Bit32u(value.low >> 1 & 7);
  external.pending = pending && type == kEventExternal;
  if (external.pending) {
    external.vector = Bit8u(value.low >> 8);
    cpu->signal_event(BX_EVENT_PENDING_INTR);
  } else {
    cpu->clear_event(BX_EVENT_PENDING_INTR);
  }
  if (pending && type == kEventException) {
    softcpu_vm::Injection& event = vm->injection[cpu->bx_cpuid];
    event = {};
    event.type = BX_HARDWARE_EXCEPTION;
    event.has_error = value.low >> 8 & 1;
    event.vector = Bit32u(value.low >> 16 & 0xff);
    event.error_code = Bit32u(value.low >> 32);
    if (event.vector == BX_PF_EXCEPTION) cpu->cr2 = value.high;
    cpu->injection_pending = true;
    cpu->async_event = 1;
  }
}

void get_pending_event(BX_CPU_C* cpu, softcpu_value* value) {
  const softcpu_vm::External& external = vm_of(cpu->bx_machine)->external[cpu->bx_cpuid];
  value->low = external.pending ? 1 | kEventExternal << 1 | Bit64u(external.vector) << 8 : 0;
}

template <class T>
void assign(T* field, T value, bool* changed) {
  if (*field == value) return;
  *field = value;
  *changed = true;
}

}  // namespace

bool is_register(Bit32u name) {
  return name <= kXcr0 || (name >= kXmm0 && name <= kXmmControlStatus) ||
         (name >= kTsc && name <= kSfmask) || name == kTscAux || name == kTscDeadline ||
         (name >= kPendingInterruption && name <= kPendingEvent) ||
         name == kDeliverabilityNotifications || name == kInternalActivityState;
}

softcpu_status get_register(BX_CPU_C* cpu, Bit32u name, softcpu_value* value) {
  *value = {};
  if (name <= kR15) {
    value->low = cpu->gen_reg[name].rrx;
    return SOFTCPU_OK;
  }
  if (name >= kEs && name < kEs + kSegmentCount) {
    get_segment(cpu->sregs[name - kEs], value);
    return SOFTCPU_OK;
  }
  if (name >= kDr0 && name <= kDr3) {
    value->low = cpu->dr[name - kDr0];
    return SOFTCPU_OK;
  }
  if (name >= kXmm0 && name <= kXmm15) {
    value->low = cpu->vmm[name - kXmm0].ymm64u(0);
    value->high = cpu->vmm[name - kXmm0].ymm64u(1);
    return SOFTCPU_OK;
  }
  if (name >= kFpMmx0 && name <= kFpMmx7) {
    const floatx80& st = cpu->the_i387.st_space[(cpu->the_i387.tos + name - kFpMmx0) & 7];
    value->low = st.signif;
    value->high = st.signExp;
    return SOFTCPU_OK;
  }
  switch (name) {
    case kRip:
      value->low = cpu->gen_reg[BX_64BIT_REG_RIP].rrx;
      break;
    case kRflags:
      value->low = cpu->read_eflags();
      break;
    case kLdtr:
      get_segment(cpu->ldtr, value);
      break;
    case kTr:
      get_segment(cpu->tr, value);
      break;
    case kIdtr:
      get_table(cpu->idtr, value);
      break;
    case kGdtr:
      get_table(cpu->gdtr, value);
      break;
    case kCr0:
      value->low = cpu->cr0.get32();
      break;
    case kCr2:
      value->low = cpu->cr2;
      break;
    case kCr3:
      value->low = cpu->cr3;
      break;
    case kCr4:
      value->low = cpu->cr4.get32();
      break;
    case kCr8:
      value->low = cpu->lapic->get_tpr() >> 4;
      break;
    case kDr6:
      value->low = cpu->dr6.get32();
      break;
    case kDr7:
      value->low = cpu->dr7.get32();
      break;
    case kXcr0:
      value->low = cpu->xcr0.get32();
      break;
    case kFpControlStatus: {
      const i387_t& fpu = cpu->the_i387;
      value->low = fpu.cwd | Bit64u(fpu.get_status_word()) << 16 |
                   Bit64u(abridged_tags(fpu)) << 32 | Bit64u(fpu.foo) << 48;
      value->high = fpu.fip;
      break;
    }
    case kXmmControlStatus:
      value->low = cpu->the_i387.fdp;
      value->high = cpu->mxcsr.mxcsr | Bit64u(cpu->mxcsr_mask) << 32;
      break;
    case kTsc:
      value->low = cpu->get_TSC();
      break;
    case kEfer:
      value->low = cpu->efer.get32();
      break;
    case kKernelGsBase:
      value->low = cpu->msr.kernelgsbase;
      break;
    case kApicBase:
      value->low = cpu->msr.apicbase;
      break;
    case kPat:
      value->low = cpu->msr.pat.u64;
      break;
    case kSysenterCs:
      value->low = cpu->msr.sysenter_cs_msr;
      break;
    case kSysenterEip:
      value->low = cpu->msr.sysenter_eip_msr;
      break;
    case kSysenterEsp:
      value->low = cpu->msr.sysenter_esp_msr;
      break;
    case kStar:
      value->low = cpu->msr.star;
      break;
    case kLstar:
      value->low = cpu->msr.lstar;
      break;
    case kCstar:
      value->low = cpu->msr.cstar;
      break;
    case kSfmask:
      value->low = cpu->msr.fmask;
      break;
    case kTscAux:
      value->low = cpu->msr.tsc_aux;
      break;
    case kTscDeadline:
      value->low = cpu->lapic->get_tsc_deadline();
      break;
    case kPendingInterruption:
      value->low = get_pending_interruption(cpu);
      break;
    case kInterruptState:
      value->low = Bit64u(cpu->interrupts_inhibited(BX_INHIBIT_INTERRUPTS)) |
                   Bit64u(cpu->is_masked_event(BX_EVENT_NMI)) << 1;
      break;
    case kPendingEvent:
      get_pending_event(cpu, value);
      break;
    case kDeliverabilityNotifications:
      value->low = Bit64u(cpu->nmi_window_requested) | Bit64u(cpu->window_requested) << 1;
      break;
    case kInternalActivityState:
      value->low = get_activity(cpu);
      break;
    default:
      return SOFTCPU_E_REGISTER;
  }
  return SOFTCPU_OK;
}

void set_register(BX_CPU_C* cpu, Bit32u name, const softcpu_value& value,
                  RegisterChanges* changes) {
  const Bit64u v = value.low;
  softcpu_value before;
  if (name <= kR15) {
    cpu->gen_reg[name].rrx = v;
    return;
  }
  if ((name >= kEs && name < kEs + kSegmentCount) || name == kLdtr || name == kTr) {
    get_register(cpu, name, &before);
    if (before.low == value.low && before.high == value.high) return;
    set_segment(cpu,
                name == kLdtr ? &cpu->ldtr
                : name == kTr ? &cpu->tr
                              : &cpu->sregs[name - kEs],
                value);
    changes->context = true;
    return;
  }
  if (name >= kDr0 && name <= kDr3) {
    assign(&cpu->dr[name - kDr0], v, &changes->context);
    return;
  }
  if (name >= kXmm0 && name <= kXmm15) {
    cpu->vmm[name - kXmm0].ymm64u(0) = value.low;
    cpu->vmm[name - kXmm0].ymm64u(1) = value.high;
    return;
  }
  if (name >= kFpMmx0 && name <= kFpMmx7) {
    floatx80& st = cpu->the_i387.st_space[(cpu->the_i387.tos + name - kFpMmx0) & 7];
    st.signif = value.low;
    st.signExp = Bit16u(value.high);
    return;
  }
  switch (name) {
    case kRip:
      cpu->gen_reg[BX_64BIT_REG_RIP].rrx = v;
      changes->rip = true;
      break;
    case kRflags:
      cpu->setEFlags(Bit32u(v) | 2);
      break;
    case kIdtr:
      set_table(&cpu->idtr, value);
      break;
    case kGdtr:
      set_table(&cpu->gdtr, value);
      break;
    case kCr0:
      if (cpu->cr0.get32() != Bit32u(v)) {
        cpu->cr0.set32(Bit32u(v));
        changes->context = true;
      }
      break;
    case kCr2:
      cpu->cr2 = v;
      break;
    case kCr3:
      assign(&cpu->cr3, v, &changes->context);
      break;
    case kCr4:
      if (cpu->cr4.get32() != Bit32u(v)) {
        cpu->cr4.set32(Bit32u(v));
        cpu->linaddr_width = cpu->cr4.get_LA57() ? 57 : 48;
        changes->context = true;
      }
      break;
    case kCr8:
      cpu->lapic->set_tpr(Bit8u((v & 15) << 4));
      break;
    case kDr6:
      cpu->dr6.set32(Bit32u(v));
      break;
    case kDr7:
      if (cpu->dr7.get32() != Bit32u(v)) {
        cpu->dr7.set32(Bit32u(v));
        changes->context = true;
      }
      break;
    case kXcr0:
      if (cpu->xcr0.get32() != Bit32u(v)) {
        cpu->xcr0.set32((Bit32u(v) & cpu->xcr0_suppmask) | 1);
        changes->context = true;
      }
      break;
    case kFpControlStatus: {
      i387_t& fpu = cpu->the_i387;
      fpu.cwd = Bit16u(v);
      fpu.swd = Bit16u(v >> 16) & ~FPU_SW_Top;
      fpu.tos = Bit8u(v >> 27 & 7);
      fpu.foo = Bit16u(v >> 48) & 0x7ff;
      fpu.fip = value.high;
      fpu.twd = unpack_FPU_TW(&fpu, Bit8u(v >> 32));
      break;
    }
    case kXmmControlStatus:
      cpu->the_i387.fdp = v;
      cpu->mxcsr.mxcsr = Bit32u(value.high) & cpu->mxcsr_mask;
      break;
    case kTsc:
      cpu->set_TSC(v);
      break;
    case kEfer:
      if (cpu->efer.get32() != Bit32u(v)) {
        cpu->efer.set32(Bit32u(v) & (cpu->efer_suppmask | BX_EFER_LMA_MASK));
        changes->context = true;
      }
      break;
    case kKernelGsBase:
      cpu->msr.kernelgsbase = v;
      break;
    case kApicBase:
      if (cpu->bx_machine->has_apic && cpu->msr.apicbase != v) {
        cpu->msr.apicbase = v;
        cpu->lapic->set_base(v);
        changes->context = true;
      }
      break;
    case kPat:
      cpu->msr.pat.u64 = v;
      break;
    case kSysenterCs:
      cpu->msr.sysenter_cs_msr = Bit32u(v);
      break;
    case kSysenterEip:
      cpu->msr.sysenter_eip_msr = v;
      break;
    case kSysenterEsp:
      cpu->msr.sysenter_esp_msr = v;
      break;
    case kStar:
      cpu->msr.star = v;
      break;
    case kLstar:
      cpu->msr.lstar = v;
      break;
    case kCstar:
      cpu->msr.cstar = v;
      break;
    case kSfmask:
      cpu->msr.fmask = Bit32u(v);
      break;
    case kTscAux:
      cpu->msr.tsc_aux = Bit32u(v);
      break;
    case kTscDeadline:
      cpu->lapic->set_tsc_deadline(v);
      break;
    case kPendingInterruption:
      set_pending_interruption(cpu, v);
      break;
    case kInterruptState:
      changes->interrupt_state = true;
      cpu->inhibit_mask = v & 1 ? BX_INHIBIT_INTERRUPTS : 0;
      cpu->inhibit_icount = cpu->get_icount();
      if (v & 2)
        cpu->mask_event(BX_EVENT_NMI);
      else if (cpu->activity_state != BX_CPU_C::BX_ACTIVITY_STATE_WAIT_FOR_SIPI)
        cpu->unmask_event(BX_EVENT_NMI);
      cpu->async_event = 1;
      break;
    case kPendingEvent:
      set_pending_event(cpu, value);
      break;
    case kDeliverabilityNotifications:
      cpu->nmi_window_requested = v & 1;
      cpu->window_requested = v & 2;
      cpu->async_event = 1;
      break;
    case kInternalActivityState:
      set_activity(cpu, v);
      break;
    default:
      break;
  }
}

void finish_registers(BX_CPU_C* cpu, const RegisterChanges& changes) {
  if (changes.rip) {
    cpu->prev_rip = cpu->gen_reg[BX_64BIT_REG_RIP].rrx;
    // The caller has completed the instruction that an STI or MOV SS protected.
    if (!changes.interrupt_state) cpu->inhibit_mask = 0;
  }
  if (!changes.context) return;
  // SDM 3A 9.8.5: long mode is active where it is enabled and paging is on.
  cpu->efer.set_LMA(cpu->efer.get_LME() && cpu->cr0.get_PG() && cpu->cr0.get_PE());
  if (cpu->cr0.get_PG() && cpu->cr4.get_PAE() && !cpu->long_mode()) {
    Bit64u table = cpu->cr3 & 0xffffffe0;
    for (unsigned n = 0; n < 4; n++)
      cpu->bx_machine->memory->read_table(table + 8 * n, 8, &cpu->PDPTR_CACHE.entry[n]);
  }
  // Data segments: what the cached access checks allow is worked out anew at their next use.
  cpu->handleCpuContextChange();
  cpu->prev_rip = cpu->gen_reg[BX_64BIT_REG_RIP].rrx;
}
