// What an implementation of WHP can do, and WHvGetCapability, which tells it.
#pragma once

#include <array>

#include "whpapi/whp.h"

namespace runhv::winhv_linux {

struct Profile;

// WHV_SYNTHETIC_PROCESSOR_FEATURES that clients set without asking whether they are there (QEMU),
// so all Windows have them: VP runtime, SynIC, its timers (also direct), the APIC's MSRs, guest
// idle, the flushes of TLBs and IPIs by hypercalls. Guests are told only of what hyperv.h has.
inline constexpr UINT64 kSyntheticForGranted = 0x640'8474;

// What every engine has.
inline constexpr UINT64 kX64MsrExits = 0x31;  // UnhandledMsrs, MiscEnableMsrRead, McUpdate…
inline constexpr UINT64 kSyntheticFeatures = 0xB8B | kSyntheticForGranted;  // bits of hyperv.h

struct Capabilities {
  UINT64 features = 0;            // WHV_CAPABILITY_FEATURES
  UINT64 extended_vm_exits = 0;   // WHV_EXTENDED_VM_EXITS
  UINT64 exception_exits = 0;     // of vectors
  UINT64 x64_msr_exits = 0;       // WHV_X64_MSR_EXIT_BITMAP
  UINT64 synthetic_features = 0;  // WHV_SYNTHETIC_PROCESSOR_FEATURES
  // WHV_PROCESSOR_FEATURES and …1; none: the engine does not know.
  std::array<UINT64, WHV_PROCESSOR_FEATURES_BANKS_COUNT> processor_features{};
  UINT64 xsave_features = 0;  // WHV_PROCESSOR_XSAVE_FEATURES; none: the engine does not know
  UINT64 tsc_hz = 0;          // by default
  UINT64 apic_hz = 0;         // by default
  UINT32 physical_address_width = 0;
  bool time_stops = false;  // the engine's clocks all follow CpuAnswers::now_ns()
};

// What is left of `engine` on the Windows of `profile`.
Capabilities narrowed(const Capabilities& engine, const Profile& profile);

// Whether the engine says what its processors have.
bool knows_processor(const Capabilities& capabilities);
WHV_PROCESSOR_FEATURES_BANKS processor_banks(
    const std::array<UINT64, WHV_PROCESSOR_FEATURES_BANKS_COUNT>& features);

// `present`: whether there is an engine. `capabilities` are narrowed.
HRESULT get_capability(bool present, const Capabilities& capabilities, const Profile& profile,
                       WHV_CAPABILITY_CODE code, void* buffer, UINT32 size, UINT32* written);

}  // namespace runhv::winhv_linux
