#include "winhv_linux/engines/kvm_registers.h"

#include <array>
#include <cstring>
#include <optional>

#include "winhv_linux/engines/kvm_error.h"

namespace runhv::winhv_linux {
namespace {

// Which structure of KVM's a register is in.
enum class Place : UINT8 { kShared, kFpu, kDebug, kXcr, kActivity, kWindow, kMsr };

struct Home {
  Place place;
  UINT32 msr = 0;
};

std::optional<Home> home_of(WHV_REGISTER_NAME name) {
  if (name >= WHvX64RegisterRax && name <= WHvX64RegisterCr4) return Home{Place::kShared};
  if (name >= WHvX64RegisterXmm0 && name <= WHvX64RegisterXmm15) return Home{Place::kFpu};
  if (name >= WHvX64RegisterFpMmx0 && name <= WHvX64RegisterFpMmx7) return Home{Place::kFpu};
  switch (name) {
    case WHvX64RegisterCr8:
    case WHvX64RegisterEfer:
    case WHvX64RegisterApicBase:
    case WHvRegisterPendingInterruption:
    case WHvRegisterInterruptState:
    case WHvRegisterPendingEvent:
      return Home{Place::kShared};
    case WHvX64RegisterFpControlStatus:
    case WHvX64RegisterXmmControlStatus:
      return Home{Place::kFpu};
    case WHvX64RegisterDr0:
    case WHvX64RegisterDr1:
    case WHvX64RegisterDr2:
    case WHvX64RegisterDr3:
    case WHvX64RegisterDr6:
    case WHvX64RegisterDr7:
      return Home{Place::kDebug};
    case WHvX64RegisterXCr0:
      return Home{Place::kXcr};
    case WHvRegisterInternalActivityState:
      return Home{Place::kActivity};
    case WHvX64RegisterDeliverabilityNotifications:
      return Home{Place::kWindow};
    case WHvX64RegisterTsc:
      return Home{Place::kMsr, 0x10};
    case WHvX64RegisterSysenterCs:
      return Home{Place::kMsr, 0x174};
    case WHvX64RegisterSysenterEsp:
      return Home{Place::kMsr, 0x175};
    case WHvX64RegisterSysenterEip:
      return Home{Place::kMsr, 0x176};
    case WHvX64RegisterPat:
      return Home{Place::kMsr, 0x277};
    case WHvX64RegisterTscDeadline:
      return Home{Place::kMsr, 0x6E0};
    case WHvX64RegisterStar:
      return Home{Place::kMsr, 0xC0000081};
    case WHvX64RegisterLstar:
      return Home{Place::kMsr, 0xC0000082};
    case WHvX64RegisterCstar:
      return Home{Place::kMsr, 0xC0000083};
    case WHvX64RegisterSfmask:
      return Home{Place::kMsr, 0xC0000084};
    case WHvX64RegisterKernelGsBase:
      return Home{Place::kMsr, 0xC0000102};
    case WHvX64RegisterTscAux:
      return Home{Place::kMsr, 0xC0000103};
    default:
      return std::nullopt;
  }
}

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

// False: a value that KVM cannot be given.
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

// ---- the FPU: the legacy part of XSAVE (SDM Vol.1 §13.4.1), in which KVM gives it ----

struct LegacyFpu {
  UINT16 control;
  UINT16 status;
  UINT8 tag;
  UINT8 reserved;
  UINT16 opcode;
  UINT64 instruction;
  UINT64 operand;
  UINT32 mxcsr;
  UINT32 mxcsr_mask;
  UINT8 st[8][16];
  UINT8 xmm[16][16];
};
static_assert(sizeof(LegacyFpu) == 416);
constexpr std::size_t kXstateBvOffset = 512;
constexpr UINT64 kX87AndSse = 3;

WHV_REGISTER_VALUE read_fpu(LegacyFpu& fpu, WHV_REGISTER_NAME name) {
  WHV_REGISTER_VALUE value{};
  if (name == WHvX64RegisterFpControlStatus) {
    value.FpControlStatus.FpControl = fpu.control;
    value.FpControlStatus.FpStatus = fpu.status;
    value.FpControlStatus.FpTag = fpu.tag;
    value.FpControlStatus.LastFpOp = fpu.opcode;
    value.FpControlStatus.LastFpRip = fpu.instruction;
  } else if (name == WHvX64RegisterXmmControlStatus) {
    value.XmmControlStatus.LastFpRdp = fpu.operand;
    value.XmmControlStatus.XmmStatusControl = fpu.mxcsr;
    value.XmmControlStatus.XmmStatusControlMask = fpu.mxcsr_mask;
  } else if (name >= WHvX64RegisterXmm0 && name <= WHvX64RegisterXmm15) {
    std::memcpy(&value, fpu.xmm[name - WHvX64RegisterXmm0], 16);
  } else {
    std::memcpy(&value, fpu.st[name - WHvX64RegisterFpMmx0], 10);
  }
  return value;
}

void write_fpu(LegacyFpu& fpu, WHV_REGISTER_NAME name, const WHV_REGISTER_VALUE& value) {
  if (name == WHvX64RegisterFpControlStatus) {
    fpu.control = value.FpControlStatus.FpControl;
    fpu.status = value.FpControlStatus.FpStatus;
    fpu.tag = value.FpControlStatus.FpTag;
    fpu.opcode = value.FpControlStatus.LastFpOp;
    fpu.instruction = value.FpControlStatus.LastFpRip;
  } else if (name == WHvX64RegisterXmmControlStatus) {
    fpu.operand = value.XmmControlStatus.LastFpRdp;
    fpu.mxcsr = value.XmmControlStatus.XmmStatusControl;  // the mask is the processor's
  } else if (name >= WHvX64RegisterXmm0 && name <= WHvX64RegisterXmm15) {
    std::memcpy(fpu.xmm[name - WHvX64RegisterXmm0], &value, 16);
  } else {
    std::memcpy(fpu.st[name - WHvX64RegisterFpMmx0], &value, 10);
  }
}

// ---- the others ----

__u64& debug_register(kvm_debugregs& debug, WHV_REGISTER_NAME name) {
  if (name == WHvX64RegisterDr6) return debug.dr6;
  if (name == WHvX64RegisterDr7) return debug.dr7;
  return debug.db[name - WHvX64RegisterDr0];
}

WHV_INTERNAL_ACTIVITY_REGISTER activity(const kvm_mp_state& state) {
  WHV_INTERNAL_ACTIVITY_REGISTER activity{};
  activity.StartupSuspend =
      state.mp_state == KVM_MP_STATE_UNINITIALIZED || state.mp_state == KVM_MP_STATE_INIT_RECEIVED;
  activity.HaltSuspend = state.mp_state == KVM_MP_STATE_HALTED;
  return activity;
}

kvm_mp_state mp_state(const WHV_INTERNAL_ACTIVITY_REGISTER& activity) {
  if (activity.StartupSuspend != 0) return {KVM_MP_STATE_UNINITIALIZED};
  return {activity.HaltSuspend != 0 ? UINT32{KVM_MP_STATE_HALTED} : UINT32{KVM_MP_STATE_RUNNABLE}};
}

struct OneMsr {  // kvm_msrs
  KvmListHeader header{.count = 1, .zero = 0};
  kvm_msr_entry entry;
};

OneMsr one_msr(UINT32 index, UINT64 value = 0) {
  return {.entry = {.index = index, .reserved = 0, .data = value}};
}

// The structures that KVM must be asked for, each fetched by the first register that is in it.
class Fetched {
 public:
  explicit Fetched(const platform::DeviceFile& processor) : processor_(processor) {}

  HRESULT fetch(Place place) {
    switch (place) {
      case Place::kFpu:
        return once(fpu_fetched_, kGetXsave, xsave_.data());
      case Place::kDebug:
        return once(debug_fetched_, KVM_GET_DEBUGREGS, &debug_);
      case Place::kXcr:
        return once(xcrs_fetched_, KVM_GET_XCRS, &xcrs_);
      default:
        return S_OK;
    }
  }

  // What has been fetched, changed or not, back.
  HRESULT give_back() const {
    // XCR0 first: it says what of XSAVE there is.
    if (xcrs_fetched_) {
      if (const long r = processor_.request(KVM_SET_XCRS, &xcrs_); r < 0) return kvm_error(r);
    }
    if (fpu_fetched_) {
      if (const long r = processor_.request(kSetXsave, xsave_.data()); r < 0) return kvm_error(r);
    }
    if (debug_fetched_) {
      if (const long r = processor_.request(KVM_SET_DEBUGREGS, &debug_); r < 0) return kvm_error(r);
    }
    return S_OK;
  }

  WHV_REGISTER_VALUE read(Place place, WHV_REGISTER_NAME name) {
    WHV_REGISTER_VALUE value{};
    if (place == Place::kFpu) return read_fpu(fpu(), name);
    value.Reg64 = place == Place::kDebug ? debug_register(debug_, name) : xcrs_.xcrs[0].value;
    return value;
  }

  void write(Place place, WHV_REGISTER_NAME name, const WHV_REGISTER_VALUE& value) {
    if (place == Place::kFpu) {
      write_fpu(fpu(), name, value);
      // Else what was written would be taken for state that was never used.
      UINT64 in_use = 0;
      std::memcpy(&in_use, bytes() + kXstateBvOffset, sizeof in_use);
      in_use |= kX87AndSse;
      std::memcpy(bytes() + kXstateBvOffset, &in_use, sizeof in_use);
    } else if (place == Place::kDebug) {
      debug_register(debug_, name) = value.Reg64;
    } else {
      xcrs_.nr_xcrs = 1;
      xcrs_.xcrs[0].xcr = 0;
      xcrs_.xcrs[0].value = value.Reg64;
    }
  }

 private:
  HRESULT once(bool& fetched, unsigned long request, void* to) {
    if (fetched) return S_OK;
    const long result = processor_.request(request, to);
    fetched = result >= 0;
    return fetched ? S_OK : kvm_error(result);
  }
  std::byte* bytes() { return xsave_.data(); }
  LegacyFpu& fpu() { return *reinterpret_cast<LegacyFpu*>(bytes()); }

  const platform::DeviceFile& processor_;
  bool fpu_fetched_ = false;
  bool debug_fetched_ = false;
  bool xcrs_fetched_ = false;
  alignas(LegacyFpu) std::array<std::byte, kXsaveBytes> xsave_{};
  kvm_debugregs debug_{};
  kvm_xcrs xcrs_{};
};

HRESULT know_all(std::span<const WHV_REGISTER_NAME> names) {
  for (const auto name : names) {
    if (!home_of(name)) return WHV_E_INVALID_VP_REGISTER_NAME;
  }
  return S_OK;
}

}  // namespace

HRESULT KvmRegisters::load() {
  kvm_sync_regs& shared = run_.s.regs;
  const std::pair<unsigned long, const void*> requests[] = {{KVM_GET_REGS, &shared.regs},
                                                            {KVM_GET_SREGS, &shared.sregs},
                                                            {KVM_GET_VCPU_EVENTS, &shared.events}};
  for (const auto& [request, to] : requests) {
    if (const long result = processor_.request(request, to); result < 0) return kvm_error(result);
  }
  run_.cr8 = shared.sregs.cr8;
  run_.kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
  return S_OK;
}

HRESULT KvmRegisters::get(std::span<const WHV_REGISTER_NAME> names,
                          WHV_REGISTER_VALUE* values) const {
  if (const HRESULT known = know_all(names); FAILED(known)) return known;
  Fetched fetched(processor_);
  for (const auto name : names) {
    const Home home = *home_of(name);
    WHV_REGISTER_VALUE value{};
    switch (home.place) {
      case Place::kShared:
        value = read_shared(run_.s.regs, name);
        break;
      case Place::kFpu:
      case Place::kDebug:
      case Place::kXcr:
        if (const HRESULT r = fetched.fetch(home.place); FAILED(r)) return r;
        value = fetched.read(home.place, name);
        break;
      case Place::kActivity: {
        kvm_mp_state state{};
        if (const long r = processor_.request(KVM_GET_MP_STATE, &state); r < 0) return kvm_error(r);
        value.InternalActivity = activity(state);
        break;
      }
      case Place::kWindow:
        value.DeliverabilityNotifications.InterruptNotification =
            run_.request_interrupt_window != 0;
        break;
      case Place::kMsr: {
        OneMsr msr = one_msr(home.msr);
        const long r = processor_.request(kGetMsrs, &msr);
        if (r != 1) return r < 0 ? kvm_error(r) : WHV_E_INVALID_VP_REGISTER_NAME;
        value.Reg64 = msr.entry.data;
        break;
      }
    }
    *values++ = value;
  }
  return S_OK;
}

HRESULT KvmRegisters::set(std::span<const WHV_REGISTER_NAME> names,
                          const WHV_REGISTER_VALUE* values) {
  if (const HRESULT known = know_all(names); FAILED(known)) return known;
  // What may be refused comes first.
  kvm_sync_regs shared = run_.s.regs;
  Fetched fetched(processor_);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Home home = *home_of(names[i]);
    if (home.place == Place::kShared) {
      if (!write_shared(shared, names[i], values[i])) return E_INVALIDARG;
    } else if (home.place == Place::kFpu || home.place == Place::kDebug ||
               home.place == Place::kXcr) {
      if (const HRESULT r = fetched.fetch(home.place); FAILED(r)) return r;
      fetched.write(home.place, names[i], values[i]);
    }
  }
  if (const HRESULT result = fetched.give_back(); FAILED(result)) return result;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Home home = *home_of(names[i]);
    if (home.place == Place::kMsr) {
      const OneMsr msr = one_msr(home.msr, values[i].Reg64);
      const long r = processor_.request(kSetMsrs, &msr);
      if (r != 1) return r < 0 ? kvm_error(r) : E_INVALIDARG;
    } else if (home.place == Place::kActivity) {
      const kvm_mp_state state = mp_state(values[i].InternalActivity);
      if (const long r = processor_.request(KVM_SET_MP_STATE, &state); r < 0) return kvm_error(r);
    } else if (home.place == Place::kWindow) {
      run_.request_interrupt_window =
          values[i].DeliverabilityNotifications.InterruptNotification != 0;
    }
  }
  take_shared(shared);
  return S_OK;
}

void KvmRegisters::restore(const kvm_sync_regs& before) { take_shared(before); }

// Only what differs: the system's registers cost KVM most.
void KvmRegisters::take_shared(const kvm_sync_regs& wanted) {
  kvm_sync_regs& shared = run_.s.regs;
  const auto take = [&](auto& to, const auto& from, UINT64 what) {
    if (std::memcmp(&to, &from, sizeof to) == 0) return;
    std::memcpy(&to, &from, sizeof to);
    run_.kvm_dirty_regs |= what;
  };
  take(shared.regs, wanted.regs, KVM_SYNC_X86_REGS);
  take(shared.sregs, wanted.sregs, KVM_SYNC_X86_SREGS);
  take(shared.events, wanted.events, KVM_SYNC_X86_EVENTS);
  // Of events only what is this processor's own: others may send it an NMI or a SIPI meanwhile.
  shared.events.flags = KVM_VCPUEVENT_VALID_SHADOW;
  run_.cr8 = shared.sregs.cr8;
}

ExitRegisters KvmRegisters::at_exit() const {
  alignas(16) std::array<WHV_REGISTER_VALUE, ExitRegisters::kNames.size()> values;
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = read_shared(run_.s.regs, ExitRegisters::kNames[i]);
  }
  ExitRegisters registers{};
  std::memcpy(&registers, values.data(), sizeof registers);
  return registers;
}

PagingState KvmRegisters::paging() const {
  const kvm_sregs& s = run_.s.regs.sregs;
  constexpr UINT64 kProtected = 1;
  return {.cr0 = s.cr0,
          .cr3 = s.cr3,
          .cr4 = s.cr4,
          .efer = s.efer,
          .user = (s.cr0 & kProtected) != 0 && s.ss.dpl == 3};
}

}  // namespace runhv::winhv_linux
