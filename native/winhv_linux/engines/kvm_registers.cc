#include "winhv_linux/engines/kvm_registers.h"

#include <array>
#include <cstring>
#include <optional>

#include "winhv_linux/engines/kvm_error.h"
#include "winhv_linux/engines/kvm_fetched_registers.h"
#include "winhv_linux/engines/kvm_shared_registers.h"

namespace runhv::winhv_linux {
namespace {

// Where KVM has a register.
enum class Place : UINT8 { kShared, kFetched, kActivity, kWindow, kMsr };

struct Home {
  Place place;
  UINT32 msr = 0;
  KvmStructure structure{};
};

constexpr Home fetched_in(KvmStructure structure) {
  return {.place = Place::kFetched, .structure = structure};
}

std::optional<Home> home_of(WHV_REGISTER_NAME name) {
  if (name >= WHvX64RegisterRax && name <= WHvX64RegisterCr4) return Home{Place::kShared};
  if (name >= WHvX64RegisterXmm0 && name <= WHvX64RegisterXmm15)
    return fetched_in(KvmStructure::kXsave);
  if (name >= WHvX64RegisterFpMmx0 && name <= WHvX64RegisterFpMmx7)
    return fetched_in(KvmStructure::kXsave);
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
      return fetched_in(KvmStructure::kXsave);
    case WHvX64RegisterDr0:
    case WHvX64RegisterDr1:
    case WHvX64RegisterDr2:
    case WHvX64RegisterDr3:
    case WHvX64RegisterDr6:
    case WHvX64RegisterDr7:
      return fetched_in(KvmStructure::kDebug);
    case WHvX64RegisterXCr0:
      return fetched_in(KvmStructure::kXcrs);
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

// Of the local APIC's page, in registers of 16 bytes (SDM Vol.3 §11.4.1).
constexpr std::size_t kApicStride = 16;
constexpr std::size_t kApicId = 2;
constexpr std::size_t kApicVersion = 3;
static_assert(sizeof(kvm_lapic_state) == kApicStride * std::tuple_size_v<ApicRegisters>);

struct OneMsr {  // kvm_msrs
  KvmListHeader header{.count = 1, .zero = 0};
  kvm_msr_entry entry;
};

OneMsr one_msr(UINT32 index, UINT64 value = 0) {
  return {.entry = {.index = index, .reserved = 0, .data = value}};
}

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
  KvmFetchedRegisters fetched(processor_);
  for (const auto name : names) {
    const Home home = *home_of(name);
    WHV_REGISTER_VALUE value{};
    switch (home.place) {
      case Place::kShared:
        value = read_shared(run_.s.regs, name);
        break;
      case Place::kFetched:
        if (const HRESULT r = fetched.fetch(home.structure); FAILED(r)) return r;
        value = fetched.read(home.structure, name);
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
  KvmFetchedRegisters fetched(processor_);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Home home = *home_of(names[i]);
    if (home.place == Place::kShared) {
      if (!write_shared(shared, names[i], values[i])) return E_INVALIDARG;
    } else if (home.place == Place::kFetched) {
      if (const HRESULT r = fetched.fetch(home.structure); FAILED(r)) return r;
      fetched.write(home.structure, names[i], values[i]);
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

// ---- state that is not registers by name ----

HRESULT KvmRegisters::get_xsave(std::span<std::byte> area) const {
  std::array<std::byte, kXsaveBytes> whole{};
  if (const long r = processor_.request(kGetXsave, whole.data()); r < 0) return kvm_error(r);
  std::memcpy(area.data(), whole.data(), area.size());
  return S_OK;
}

HRESULT KvmRegisters::set_xsave(std::span<const std::byte> area) {
  std::array<std::byte, kXsaveBytes> whole{};
  std::memcpy(whole.data(), area.data(), area.size());
  const long r = processor_.request(kSetXsave, whole.data());
  return r < 0 ? kvm_error(r) : S_OK;
}

// CR8 and APIC_BASE are the local APIC's as well: what was written to them here KVM must have
// before it is asked about the APIC, and what it has then is here afterwards.
HRESULT KvmRegisters::give_system() {
  if ((run_.kvm_dirty_regs & KVM_SYNC_X86_SREGS) == 0) return S_OK;
  const long r = processor_.request(KVM_SET_SREGS, &run_.s.regs.sregs);
  if (r < 0) return kvm_error(r);
  run_.kvm_dirty_regs &= ~UINT64{KVM_SYNC_X86_SREGS};
  return S_OK;
}

HRESULT KvmRegisters::get_apic(ApicRegisters& registers) {
  if (const HRESULT result = give_system(); FAILED(result)) return result;
  kvm_lapic_state page{};
  if (const long r = processor_.request(KVM_GET_LAPIC, &page); r < 0) return kvm_error(r);
  for (std::size_t n = 0; n < registers.size(); ++n) {
    std::memcpy(&registers[n], page.regs + kApicStride * n, sizeof registers[n]);
  }
  return S_OK;
}

HRESULT KvmRegisters::set_apic(const ApicRegisters& registers) {
  ApicRegisters now{};
  if (const HRESULT result = get_apic(now); FAILED(result)) return result;
  kvm_lapic_state page{};
  for (std::size_t n = 0; n < registers.size(); ++n) {
    const bool is_its_own = n == kApicId || n == kApicVersion;
    const UINT32 value = is_its_own ? now[n] : registers[n];
    std::memcpy(page.regs + kApicStride * n, &value, sizeof value);
  }
  long r = processor_.request(KVM_SET_LAPIC, &page);
  if (r >= 0) r = processor_.request(KVM_GET_SREGS, &run_.s.regs.sregs);
  if (r < 0) return kvm_error(r);
  run_.cr8 = run_.s.regs.sregs.cr8;
  return S_OK;
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
