// What a partition is configured to be: WHvSet/GetPartitionProperty.
#pragma once

#include <array>
#include <vector>

#include "whpapi/whp.h"
#include "winhv_linux/capabilities.h"
#include "winhv_linux/processor_features.h"
#include "winhv_linux/profile.h"

namespace runhv::winhv_linux {

struct Properties {
  // The profile outlives the properties; capabilities are narrowed to it.
  Properties(const Capabilities& capabilities, const Profile& profile)
      : can(capabilities),
        version(profile),
        processor_features(capabilities.processor_features),
        xsave_features(capabilities.xsave_features),
        tsc_hz(capabilities.tsc_hz),
        apic_hz(capabilities.apic_hz) {}

  const Capabilities can;
  const Profile& version;
  UINT32 processor_count = 0;
  WHV_EXTENDED_VM_EXITS extended_vm_exits{};
  WHV_X64_MSR_EXIT_BITMAP msr_exits{};
  UINT64 exception_exits = 0;
  UINT32 local_apic_mode = WHvX64LocalApicEmulationModeNone;
  std::array<UINT64, WHV_PROCESSOR_FEATURES_BANKS_COUNT> processor_features;
  UINT64 xsave_features;
  UINT64 perfmon_features = 0;
  UINT64 tsc_hz;
  UINT64 apic_hz;
  WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS synthetic{1, 0, {}};
  UINT32 unimplemented_msr_action = WHvMsrActionArchitectureDefault;
  std::vector<UINT32> cpuid_exits;
  std::vector<WHV_X64_CPUID_RESULT> cpuid_results;
  std::vector<WHV_X64_CPUID_RESULT2> cpuid_results2;
  std::vector<WHV_MSR_ACTION_ENTRY> msr_actions;

  // `after_setup`: only the exit properties change then; all others are E_INVALIDARG.
  HRESULT set(WHV_PARTITION_PROPERTY_CODE code, const void* buffer, UINT32 size, bool after_setup);
  HRESULT get(WHV_PARTITION_PROPERTY_CODE code, void* buffer, UINT32 size, UINT32* written) const;

  // What the capabilities have and the partition was not given.
  FeatureSets hidden_features() const;
};

// Copies a fixed-size answer; WHV_E_INSUFFICIENT_BUFFER where it does not fit. `written`, if any,
// gets the size in both cases.
HRESULT copy_out(const void* value, UINT32 value_size, void* buffer, UINT32 size, UINT32* written);

}  // namespace runhv::winhv_linux
