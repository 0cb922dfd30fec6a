#include "winhv_linux/capabilities.h"

#include "winhv_linux/engine.h"
#include "winhv_linux/properties.h"

namespace runhv::winhv {
namespace {

constexpr UINT32 kPhysicalAddressWidth = 40;

WHV_CAPABILITY_FEATURES features() {
  WHV_CAPABILITY_FEATURES features{};
  features.PartialUnmap = 1;
  features.LocalApicEmulation = 1;
  return features;
}

}  // namespace

HRESULT get_capability(WHV_CAPABILITY_CODE code, void* buffer, UINT32 size, UINT32* written) {
  const auto fixed = [&](const auto& value) {
    return copy_out(&value, sizeof value, buffer, size, written);
  };
  switch (static_cast<UINT32>(code)) {
    case WHvCapabilityCodeHypervisorPresent:
      return fixed(WINBOOL{soft_engine().has_value()});
    case WHvCapabilityCodeFeatures:
      return fixed(features());
    case WHvCapabilityCodeExtendedVmExits:
      return fixed(kExtendedVmExits);
    case WHvCapabilityCodeExceptionExitBitmap:
      return fixed(UINT64{0});
    case WHvCapabilityCodeX64MsrExitBitmap:
      return fixed(kX64MsrExits);
    case WHvCapabilityCodeProcessorClockFrequency:
      return fixed(kDefaultTscHz);
    case WHvCapabilityCodeInterruptClockFrequency:
      return fixed(kDefaultApicHz);
    case WHvCapabilityCodeSyntheticProcessorFeaturesBanks: {
      WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS banks{};
      banks.BanksCount = WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS_COUNT;
      banks.AsUINT64[0] = kSyntheticFeatures;
      return fixed(banks);
    }
    case static_cast<UINT32>(kWhvCapabilityPhysicalAddressWidth):
      return fixed(kPhysicalAddressWidth);
    default:
      return WHV_E_UNKNOWN_CAPABILITY;
  }
}

}  // namespace runhv::winhv
