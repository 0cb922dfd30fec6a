#include "winhv_linux/engines/kvm_shared_registers.h"

#include <array>

namespace runhv::winhv_linux {
namespace {

// ---- segments and tables ----

// SDM Vol.3 §24.4.1, as WHV_X64_SEGMENT_REGISTER has it.
WHV_X64_SEGMENT_REGISTER to_whp(const kvm_segment& from) {
  WHV_X64_SEGMENT_REGISTER segment{};
  segment.Base = from.base;
  segment.Limit = from.limit;
  segment.Selector = from.selector;
  segment.SegmentType = from.type & 15u;
  segment.NonSystemSegment = from.s & 1u;
  segment.DescriptorPrivilegeLevel = from.dpl & 3u;
  segment.Present = from.present & 1u;
  segment.Available = from.avl & 1u;
  segment.Long = from.l & 1u;
  segment.Default = from.db & 1u;
  segment.Granularity = from.g & 1u;
  return segment;
}

kvm_segment from_whp(const WHV_X64_SEGMENT_REGISTER& from) {
  kvm_segment segment{};
  segment.base = from.Base;
  segment.limit = from.Limit;
  segment.selector = from.Selector;
  segment.type = from.SegmentType;
  segment.s = from.NonSystemSegment;
  segment.dpl = from.DescriptorPrivilegeLevel;
  segment.present = from.Present;
  segment.avl = from.Available;
  segment.l = from.Long;
  segment.db = from.Default;
  segment.g = from.Granularity;
  segment.unusable = from.Present == 0;
  return segment;
}

// Null: not a segment.
kvm_segment* segment_of(kvm_sregs& s, WHV_REGISTER_NAME name) {
  switch (name) {
    case WHvX64RegisterEs:
      return &s.es;
    case WHvX64RegisterCs:
      return &s.cs;
    case WHvX64RegisterSs:
      return &s.ss;
    case WHvX64RegisterDs:
      return &s.ds;
    case WHvX64RegisterFs:
      return &s.fs;
    case WHvX64RegisterGs:
      return &s.gs;
    case WHvX64RegisterLdtr:
      return &s.ldt;
    case WHvX64RegisterTr:
      return &s.tr;
    default:
      return nullptr;
  }
}

kvm_dtable* table_of(kvm_sregs& s, WHV_REGISTER_NAME name) {
  if (name == WHvX64RegisterIdtr) return &s.idt;
  return name == WHvX64RegisterGdtr ? &s.gdt : nullptr;
}

// Null: not a register of 64 bits among those that are shared.
__u64* number_of(kvm_sync_regs& shared, WHV_REGISTER_NAME name) {
  kvm_regs& r = shared.regs;
  kvm_sregs& s = shared.sregs;
  // In WHP's order, which is the processor's.
  __u64* const general[] = {&r.rax, &r.rcx, &r.rdx, &r.rbx, &r.rsp, &r.rbp,
                            &r.rsi, &r.rdi, &r.r8,  &r.r9,  &r.r10, &r.r11,
                            &r.r12, &r.r13, &r.r14, &r.r15, &r.rip, &r.rflags};
  static_assert(std::size(general) == WHvX64RegisterRflags + 1);
  if (name <= WHvX64RegisterRflags) return general[name];
  switch (name) {
    case WHvX64RegisterCr0:
      return &s.cr0;
    case WHvX64RegisterCr2:
      return &s.cr2;
    case WHvX64RegisterCr3:
      return &s.cr3;
    case WHvX64RegisterCr4:
      return &s.cr4;
    case WHvX64RegisterCr8:
      return &s.cr8;
    case WHvX64RegisterEfer:
      return &s.efer;
    case WHvX64RegisterApicBase:
      return &s.apic_base;
    default:
      return nullptr;
  }
}

// ---- events ----

WHV_X64_PENDING_INTERRUPTION_REGISTER pending_interruption(const kvm_vcpu_events& events) {
  WHV_X64_PENDING_INTERRUPTION_REGISTER pending{};
  if (events.exception.injected != 0) {
    pending.InterruptionType = WHvX64PendingException;
    pending.InterruptionVector = events.exception.nr;
    pending.DeliverErrorCode = events.exception.has_error_code & 1u;
    pending.ErrorCode = events.exception.error_code;
  } else if (events.nmi.injected != 0) {
    pending.InterruptionType = WHvX64PendingNmi;
    pending.InterruptionVector = 2;
  } else if (events.interrupt.injected != 0) {
    pending.InterruptionType = WHvX64PendingInterrupt;
    pending.InterruptionVector = events.interrupt.nr;
  } else {
    return pending;
  }
  pending.InterruptionPending = 1;
  return pending;
}

void inject_exception(kvm_vcpu_events& events, UINT32 vector, bool has_error_code,
                      UINT32 error_code) {
  events.exception = {};
  events.exception.injected = 1;
  events.exception.nr = static_cast<__u8>(vector);
  events.exception.has_error_code = has_error_code;
  events.exception.error_code = error_code;
}

// False: an event that KVM cannot be given.
bool set_pending_interruption(const WHV_X64_PENDING_INTERRUPTION_REGISTER& pending,
                              kvm_vcpu_events& events) {
  events.exception.injected = 0;
  events.nmi.injected = 0;
  events.interrupt.injected = 0;
  if (pending.InterruptionPending == 0) return true;
  switch (pending.InterruptionType) {
    case WHvX64PendingInterrupt:
      events.interrupt.injected = 1;
      events.interrupt.soft = 0;
      events.interrupt.nr = static_cast<__u8>(pending.InterruptionVector);
      return pending.InterruptionVector <= 255;
    case WHvX64PendingNmi:
      events.nmi.injected = 1;
      return true;
    case WHvX64PendingException:
      inject_exception(events, pending.InterruptionVector, pending.DeliverErrorCode != 0,
                       pending.ErrorCode);
      return pending.InterruptionVector < 32 && pending.InterruptionVector != 2;
    default:
      return false;
  }
}

bool set_pending_event(const WHV_X64_PENDING_EXCEPTION_EVENT& event, kvm_sync_regs& shared) {
  if (event.EventPending == 0) {
    shared.events.exception.injected = 0;
    return true;
  }
  constexpr UINT32 kPageFault = 14;
  if (event.EventType != WHvX64PendingEventException || event.Vector >= 32 || event.Vector == 2) {
    return false;
  }
  inject_exception(shared.events, event.Vector, event.DeliverErrorCode != 0, event.ErrorCode);
  if (event.Vector == kPageFault) shared.sregs.cr2 = event.ExceptionParameter;
  return true;
}

}  // namespace

WHV_REGISTER_VALUE read_shared(kvm_sync_regs& shared, WHV_REGISTER_NAME name) {
  WHV_REGISTER_VALUE value{};
  if (const __u64* number = number_of(shared, name)) {
    value.Reg64 = *number;
  } else if (const kvm_segment* segment = segment_of(shared.sregs, name)) {
    value.Segment = to_whp(*segment);
  } else if (const kvm_dtable* table = table_of(shared.sregs, name)) {
    value.Table.Base = table->base;
    value.Table.Limit = table->limit;
  } else if (name == WHvRegisterPendingInterruption) {
    value.PendingInterruption = pending_interruption(shared.events);
  } else if (name == WHvRegisterInterruptState) {
    value.InterruptState.InterruptShadow = shared.events.interrupt.shadow != 0;
    value.InterruptState.NmiMasked = shared.events.nmi.masked != 0;
  }
  return value;  // of PendingEvent: none, as KVM keeps one in PendingInterruption
}

bool write_shared(kvm_sync_regs& shared, WHV_REGISTER_NAME name, const WHV_REGISTER_VALUE& value) {
  if (__u64* number = number_of(shared, name)) {
    *number = value.Reg64;
  } else if (kvm_segment* segment = segment_of(shared.sregs, name)) {
    *segment = from_whp(value.Segment);
  } else if (kvm_dtable* table = table_of(shared.sregs, name)) {
    table->base = value.Table.Base;
    table->limit = value.Table.Limit;
  } else if (name == WHvRegisterPendingInterruption) {
    return set_pending_interruption(value.PendingInterruption, shared.events);
  } else if (name == WHvRegisterPendingEvent) {
    return set_pending_event(value.ExceptionEvent, shared);
  } else {
    shared.events.interrupt.shadow = value.InterruptState.InterruptShadow != 0;
    shared.events.nmi.masked = value.InterruptState.NmiMasked != 0;
  }
  return true;
}

}  // namespace runhv::winhv_linux
