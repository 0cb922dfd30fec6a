#include "winhv_linux/capabilities.h"

#include <algorithm>

#include "winhv_linux/profile.h"
#include "winhv_linux/properties.h"

namespace runhv::winhv_linux {

Capabilities narrowed(const Capabilities& engine, const Profile& profile) {
  Capabilities capabilities = engine;
  capabilities.features &= profile.features;
  capabilities.extended_vm_exits &= profile.extended_vm_exits;
  capabilities.x64_msr_exits &= profile.x64_msr_exits;
  capabilities.synthetic_features &= profile.synthetic_features;
  return capabilities;
}

bool knows_processor(const Capabilities& capabilities) {
  return capabilities.processor_features.front() != 0;
}

WHV_PROCESSOR_FEATURES_BANKS processor_banks(
    const std::array<UINT64, WHV_PROCESSOR_FEATURES_BANKS_COUNT>& features) {
  WHV_PROCESSOR_FEATURES_BANKS banks{};
  banks.BanksCount = WHV_PROCESSOR_FEATURES_BANKS_COUNT;
  std::ranges::copy(features, banks.AsUINT64);
  return banks;
}

HRESULT get_capability(bool present, const Capabilities& capabilities, const Profile& profile,
                       WHV_CAPABILITY_CODE code, void* buffer, UINT32 size, UINT32* written) {
  const auto fixed = [&](const auto& value) {
    return copy_out(&value, sizeof value, buffer, size, written);
  };
  const auto number = static_cast<UINT32>(code);
  if (is_absent(profile.absent_capabilities, number)) return WHV_E_UNKNOWN_CAPABILITY;
  switch (number) {
    case WHvCapabilityCodeHypervisorPresent:
      return fixed(WINBOOL{present});
    case WHvCapabilityCodeFeatures:
      return fixed(capabilities.features);
    case WHvCapabilityCodeExtendedVmExits:
      return fixed(capabilities.extended_vm_exits);
    case WHvCapabilityCodeExceptionExitBitmap:
      return fixed(capabilities.exception_exits);
    case WHvCapabilityCodeX64MsrExitBitmap:
      return fixed(capabilities.x64_msr_exits);
    case WHvCapabilityCodeProcessorClockFrequency:
      return fixed(capabilities.tsc_hz);
    case WHvCapabilityCodeInterruptClockFrequency:
      return fixed(capabilities.apic_hz);
    case WHvCapabilityCodeProcessorFeatures:
      if (!knows_processor(capabilities)) return WHV_E_UNKNOWN_CAPABILITY;
      return fixed(capabilities.processor_features.front());
    case WHvCapabilityCodeProcessorFeaturesBanks:
      if (!knows_processor(capabilities)) return WHV_E_UNKNOWN_CAPABILITY;
      return fixed(processor_banks(capabilities.processor_features));
    case WHvCapabilityCodeProcessorXsaveFeatures:
      if (!knows_processor(capabilities)) return WHV_E_UNKNOWN_CAPABILITY;
      return fixed(capabilities.xsave_features);
    case WHvCapabilityCodeProcessorPerfmonFeatures:
      return fixed(UINT64{0});  // no engine counts for guests
    case WHvCapabilityCodeSyntheticProcessorFeaturesBanks: {
      WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS banks{};
      banks.BanksCount = WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS_COUNT;
      banks.AsUINT64[0] = capabilities.synthetic_features;
      return fixed(banks);
    }
    case static_cast<UINT32>(whpapi::kWhvCapabilityPhysicalAddressWidth):
      return fixed(capabilities.physical_address_width);
    default:
      return WHV_E_UNKNOWN_CAPABILITY;
  }
}

}  // namespace runhv::winhv_linux
