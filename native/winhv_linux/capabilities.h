// What an implementation of WHP can do, and WHvGetCapability, which tells it.
#pragma once

#include "whpapi/whp.h"

namespace runhv::winhv_linux {

struct Profile;

// What every engine has.
inline constexpr UINT64 kX64MsrExits = 0x31;  // UnhandledMsrs, MiscEnableMsrRead, McUpdate…
inline constexpr UINT64 kSyntheticFeatures = 0xB8B;  // bits of hyperv.h

struct Capabilities {
  UINT64 features = 0;            // WHV_CAPABILITY_FEATURES
  UINT64 extended_vm_exits = 0;   // WHV_EXTENDED_VM_EXITS
  UINT64 x64_msr_exits = 0;       // WHV_X64_MSR_EXIT_BITMAP
  UINT64 synthetic_features = 0;  // WHV_SYNTHETIC_PROCESSOR_FEATURES
  UINT64 tsc_hz = 0;              // by default
  UINT64 apic_hz = 0;             // by default
  UINT32 physical_address_width = 0;
  bool time_stops = false;  // the engine's clocks all follow CpuAnswers::now_ns()
};

// What is left of `engine` on the Windows of `profile`.
Capabilities narrowed(const Capabilities& engine, const Profile& profile);

// `present`: whether there is an engine. `capabilities` are narrowed.
HRESULT get_capability(bool present, const Capabilities& capabilities, const Profile& profile,
                       WHV_CAPABILITY_CODE code, void* buffer, UINT32 size, UINT32* written);

}  // namespace runhv::winhv_linux
