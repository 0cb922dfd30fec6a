// What a partition is configured to be: WHvSet/GetPartitionProperty.
#pragma once

#include <vector>

#include "whpapi/whp.h"

namespace runhv::winhv {

inline constexpr UINT64 kDefaultTscHz = 1'000'000'000;
inline constexpr UINT64 kDefaultApicHz = 200'000'000;

// What WHvGetCapability reports of the bits that properties ask for.
inline constexpr UINT64 kExtendedVmExits = 0x3;  // X64CpuidExit, X64MsrExit
inline constexpr UINT64 kX64MsrExits = 0x31;     // UnhandledMsrs, MiscEnableMsrRead, McUpdate…
inline constexpr UINT64 kSyntheticFeatures = 0xB8B;  // bits of hyperv.h

struct Properties {
  UINT32 processor_count = 0;
  WHV_EXTENDED_VM_EXITS extended_vm_exits{};
  WHV_X64_MSR_EXIT_BITMAP msr_exits{};
  UINT64 exception_exits = 0;
  UINT32 local_apic_mode = WHvX64LocalApicEmulationModeNone;
  UINT64 tsc_hz = kDefaultTscHz;
  UINT64 apic_hz = kDefaultApicHz;
  WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS synthetic{1, 0, {}};
  UINT32 unimplemented_msr_action = WHvMsrActionArchitectureDefault;
  std::vector<UINT32> cpuid_exits;
  std::vector<WHV_X64_CPUID_RESULT> cpuid_results;
  std::vector<WHV_X64_CPUID_RESULT2> cpuid_results2;
  std::vector<WHV_MSR_ACTION_ENTRY> msr_actions;

  // `after_setup`: only the exit properties change then; all others are E_INVALIDARG.
  HRESULT set(WHV_PARTITION_PROPERTY_CODE code, const void* buffer, UINT32 size, bool after_setup);
  HRESULT get(WHV_PARTITION_PROPERTY_CODE code, void* buffer, UINT32 size, UINT32* written) const;
};

// Copies a fixed-size answer; WHV_E_INSUFFICIENT_BUFFER where it does not fit. `written`, if any,
// gets the size in both cases.
HRESULT copy_out(const void* value, UINT32 value_size, void* buffer, UINT32 size, UINT32* written);

}  // namespace runhv::winhv
