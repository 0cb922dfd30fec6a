// WHvGetCapability.
#include "conformance/case.h"
#include "conformance/expect.h"
#include "whpapi/whp.h"

namespace runhv::conformance {
namespace {

template <class T>
HRESULT ask(WHV_CAPABILITY_CODE code, T& value) {
  UINT32 written = 0;
  const HRESULT result = WHvGetCapability(code, &value, sizeof value, &written);
  if (SUCCEEDED(result)) {
    EXPECT_LE(written, sizeof value);
  }
  return result;
}

CASE(Capabilities, HypervisorIsPresent, kDocumented, "WHvGetCapability") {
  WINBOOL present = FALSE;
  EXPECT_EQ(ask(WHvCapabilityCodeHypervisorPresent, present), S_OK);
  EXPECT_EQ(present, TRUE);
}

CASE(Capabilities, UnknownCodeIsRefused, kDocumented, "WHvGetCapability") {
  UINT64 value = 0;
  for (const auto code : {0x777, 0x1777, 0x7FFFFFFF}) {
    EXPECT_EQ(ask(static_cast<WHV_CAPABILITY_CODE>(code), value), WHV_E_UNKNOWN_CAPABILITY);
  }
}

CASE(Capabilities, ShortBufferTellsTheSize, kDocumented, "WHvGetCapability") {
  UINT32 value = 0;
  UINT32 written = 0;
  EXPECT_EQ(WHvGetCapability(WHvCapabilityCodeFeatures, &value, 4, &written),
            WHV_E_INSUFFICIENT_BUFFER);
  EXPECT_EQ(written, 8u);
}

CASE(Capabilities, NoBufferTellsTheSize, kBelieved,
     "as hyperlight asks for the XSAVE state's size") {
  UINT32 written = 0;
  EXPECT_EQ(WHvGetCapability(WHvCapabilityCodeFeatures, nullptr, 0, &written),
            WHV_E_INSUFFICIENT_BUFFER);
  EXPECT_EQ(written, 8u);
}

CASE(Capabilities, LongerBufferIsFine, kReported, "clients pass the whole WHV_CAPABILITY") {
  WHV_CAPABILITY all{};
  UINT32 written = 0;
  EXPECT_EQ(WHvGetCapability(WHvCapabilityCodeFeatures, &all, sizeof all, &written), S_OK);
  EXPECT_EQ(written, 8u);
}

CASE(Capabilities, SizeNeedNotBeAskedFor, kDocumented, "WHvGetCapability: an optional parameter") {
  UINT64 value = 0;
  EXPECT_EQ(WHvGetCapability(WHvCapabilityCodeFeatures, &value, sizeof value, nullptr), S_OK);
}

CASE(Capabilities, FeaturesHaveNoUnknownBits, kDocumented, "header: WHV_CAPABILITY_FEATURES") {
  WHV_CAPABILITY_FEATURES features{};
  ASSERT_EQ(ask(WHvCapabilityCodeFeatures, features), S_OK);
  EXPECT_EQ(features.AsUINT64 & ~UINT64{0x7FF}, 0u);
}

CASE(Capabilities, MemoryIsUnmappedInPartsAndTheApicIsThere, kReported,
     "field guide 1.2: 0x2FF on 26200") {
  WHV_CAPABILITY_FEATURES features{};
  ASSERT_EQ(ask(WHvCapabilityCodeFeatures, features), S_OK);
  EXPECT_EQ(features.PartialUnmap, 1u);
  EXPECT_EQ(features.LocalApicEmulation, 1u);
}

CASE(Capabilities, CpuidAndMsrExitsAreThere, kReported, "field guide 1.2: 0x7FFF on 26200") {
  WHV_EXTENDED_VM_EXITS exits{};
  ASSERT_EQ(ask(WHvCapabilityCodeExtendedVmExits, exits), S_OK);
  EXPECT_EQ(exits.X64CpuidExit, 1u);
  EXPECT_EQ(exits.X64MsrExit, 1u);
  EXPECT_EQ(exits.AsUINT64 & ~UINT64{0x7FFF}, 0u);
}

CASE(Capabilities, UnhandledMsrsCanExit, kDocumented, "header: WHV_X64_MSR_EXIT_BITMAP") {
  WHV_X64_MSR_EXIT_BITMAP msrs{};
  ASSERT_EQ(ask(WHvCapabilityCodeX64MsrExitBitmap, msrs), S_OK);
  EXPECT_EQ(msrs.UnhandledMsrs, 1u);
}

CASE(Capabilities, ExceptionBitmapIsReadable, kDocumented, "WHvGetCapability") {
  UINT64 bitmap = 0;
  EXPECT_EQ(ask(WHvCapabilityCodeExceptionExitBitmap, bitmap), S_OK);
}

CASE(Capabilities, ClocksTick, kReported, "field guide 1.2: 200 MHz and 3.5 GHz on 19045") {
  UINT64 tsc_hz = 0;
  UINT64 apic_hz = 0;
  ASSERT_EQ(ask(WHvCapabilityCodeProcessorClockFrequency, tsc_hz), S_OK);
  ASSERT_EQ(ask(WHvCapabilityCodeInterruptClockFrequency, apic_hz), S_OK);
  EXPECT_GE(tsc_hz, 100'000'000u);
  EXPECT_GE(apic_hz, 1'000'000u);
}

CASE(Capabilities, SyntheticFeaturesAreABank, kDocumented,
     "header: WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS") {
  WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS banks{};
  banks.BanksCount = WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS_COUNT;
  ASSERT_EQ(ask(WHvCapabilityCodeSyntheticProcessorFeaturesBanks, banks), S_OK);
  EXPECT_EQ(banks.BanksCount, UINT32{WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS_COUNT});
  EXPECT_EQ(banks.Bank0.HypervisorPresent, 1u);
  EXPECT_EQ(banks.Bank0.Hv1, 1u);
}

// QEMU sets these bits without asking, and gives up where one is refused.
CASE(Capabilities, SyntheticFeaturesThatClientsTakeForGranted, kReported,
     "QEMU 11, accelerator whpx") {
  WHV_SYNTHETIC_PROCESSOR_FEATURES wanted{};
  wanted.HypervisorPresent = 1;
  wanted.Hv1 = 1;
  wanted.AccessVpRunTimeReg = 1;
  wanted.AccessPartitionReferenceCounter = 1;
  wanted.AccessSynicRegs = 1;
  wanted.AccessSyntheticTimerRegs = 1;
  wanted.AccessIntrCtrlRegs = 1;
  wanted.AccessHypercallRegs = 1;
  wanted.AccessVpIndex = 1;
  wanted.AccessPartitionReferenceTsc = 1;
  wanted.AccessGuestIdleReg = 1;
  wanted.AccessFrequencyRegs = 1;
  wanted.EnableExtendedGvaRangesForFlushVirtualAddressList = 1;
  wanted.DirectSyntheticTimers = 1;
  wanted.TbFlushHypercalls = 1;
  wanted.SyntheticClusterIpi = 1;
  WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS banks{};
  ASSERT_EQ(ask(WHvCapabilityCodeSyntheticProcessorFeaturesBanks, banks), S_OK);
  EXPECT_EQ(wanted.AsUINT64 & ~banks.Bank0.AsUINT64, 0u);
}

CASE(Capabilities, ProcessorFeaturesAreTwoBanks, kReported, "QEMU 11 gives up without them") {
  WHV_PROCESSOR_FEATURES_BANKS banks{};
  banks.BanksCount = WHV_PROCESSOR_FEATURES_BANKS_COUNT;
  ASSERT_EQ(ask(WHvCapabilityCodeProcessorFeaturesBanks, banks), S_OK);
  EXPECT_EQ(banks.BanksCount, UINT32{WHV_PROCESSOR_FEATURES_BANKS_COUNT});
  UINT64 first = 0;
  ASSERT_EQ(ask(WHvCapabilityCodeProcessorFeatures, first), S_OK);
  EXPECT_EQ(banks.Bank0.AsUINT64, first);
}

CASE(Capabilities, PerformanceCountersAreTold, kReported,
     "QEMU 11 takes a Windows without the capability for an old one") {
  UINT64 features = ~UINT64{0};
  ASSERT_EQ(ask(WHvCapabilityCodeProcessorPerfmonFeatures, features), S_OK);
  EXPECT_EQ(features & ~UINT64{3}, 0u);
}

CASE(Capabilities, AddressesHaveAWidth, kReported,
     "field guide 1.2: 48 on 26200; unknown before 26100") {
  UINT32 width = 0;
  const HRESULT result = ask(whpapi::kWhvCapabilityPhysicalAddressWidth, width);
  if (result == WHV_E_UNKNOWN_CAPABILITY) SKIP_CASE("this version does not know the capability");
  EXPECT_EQ(result, S_OK);
  EXPECT_GE(width, 36u);
  EXPECT_LE(width, 52u);
}

}  // namespace
}  // namespace runhv::conformance
