// WHvSetPartitionProperty and WHvGetPartitionProperty before setup.
#include <array>
#include <vector>

#include "conformance/bare_partition.h"
#include "conformance/case.h"
#include "conformance/expect.h"
#include "conformance/guest.h"

namespace runhv::conformance {
namespace {

template <class T>
T read_back(WHV_PARTITION_HANDLE handle, WHV_PARTITION_PROPERTY_CODE code) {
  T value{};
  UINT32 written = 0;
  EXPECT_EQ(WHvGetPartitionProperty(handle, code, &value, sizeof value, &written), S_OK)
      << std::hex << code;
  EXPECT_EQ(written, sizeof value) << std::hex << code;
  return value;
}

CASE(Properties, UnknownCodeIsRefused, kDocumented, "WHvSetPartitionProperty") {
  const BarePartition partition;
  UINT64 value = 0;
  for (const auto code : {0x777, 0x1777, 0x7FFFFFFF}) {
    const auto property = static_cast<WHV_PARTITION_PROPERTY_CODE>(code);
    EXPECT_EQ(set_property(partition.handle(), property, value), WHV_E_UNKNOWN_PROPERTY);
    EXPECT_EQ(WHvGetPartitionProperty(partition.handle(), property, &value, sizeof value, nullptr),
              WHV_E_UNKNOWN_PROPERTY);
  }
}

CASE(Properties, UnknownCodeIsUnknownAfterSetupToo, kReported,
     "field guide 2.1: the idiom by which features are found") {
  const BarePartition partition;
  partition.set_up();
  EXPECT_EQ(
      set_property(partition.handle(), static_cast<WHV_PARTITION_PROPERTY_CODE>(0x1777), UINT64{0}),
      WHV_E_UNKNOWN_PROPERTY);
}

CASE(Properties, ReadBackBeforeAndAfterSetup, kDocumented, "WHvGetPartitionProperty") {
  const BarePartition partition;
  EXPECT_EQ(set_property(partition.handle(), WHvPartitionPropertyCodeProcessorCount, UINT32{3}),
            S_OK);
  EXPECT_EQ(read_back<UINT32>(partition.handle(), WHvPartitionPropertyCodeProcessorCount), 3u);
  EXPECT_EQ(WHvSetupPartition(partition.handle()), S_OK);
  EXPECT_EQ(read_back<UINT32>(partition.handle(), WHvPartitionPropertyCodeProcessorCount), 3u);
}

CASE(Properties, ExitsAreOffByDefault, kDocumented, "field guide 2.1") {
  const BarePartition partition;
  const auto handle = partition.handle();
  EXPECT_EQ(read_back<UINT64>(handle, WHvPartitionPropertyCodeExtendedVmExits), 0u);
  EXPECT_EQ(read_back<UINT64>(handle, WHvPartitionPropertyCodeExceptionExitBitmap), 0u);
  EXPECT_EQ(read_back<UINT32>(handle, WHvPartitionPropertyCodeLocalApicEmulationMode),
            UINT32{WHvX64LocalApicEmulationModeNone});
}

CASE(Properties, ClocksAreTheHostsByDefault, kReported, "field guide 2.1") {
  const BarePartition partition;
  UINT64 tsc_hz = 0;
  ASSERT_EQ(WHvGetCapability(WHvCapabilityCodeProcessorClockFrequency, &tsc_hz, 8, nullptr), S_OK);
  EXPECT_EQ(read_back<UINT64>(partition.handle(), WHvPartitionPropertyCodeProcessorClockFrequency),
            tsc_hz);
}

CASE(Properties, ProcessorCountHasBounds, kReported, "field guide 1.4: ELF set up to 2048") {
  const BarePartition partition;
  const auto code = WHvPartitionPropertyCodeProcessorCount;
  EXPECT_EQ(set_property(partition.handle(), code, UINT32{0}), E_INVALIDARG);
  EXPECT_EQ(set_property(partition.handle(), code, UINT32{0xFFFFFFFF}), E_INVALIDARG);
  EXPECT_EQ(set_property(partition.handle(), code, UINT32{64}), S_OK);
  EXPECT_EQ(set_property(partition.handle(), code, UINT32{1}), S_OK);
  EXPECT_EQ(read_back<UINT32>(partition.handle(), code), 1u);
}

CASE(Properties, ApicModeIsOneOfThree, kDocumented, "header: WHV_X64_LOCAL_APIC_EMULATION_MODE") {
  const BarePartition partition;
  const auto code = WHvPartitionPropertyCodeLocalApicEmulationMode;
  for (const UINT32 mode : {0u, 1u, 2u}) {
    EXPECT_EQ(set_property(partition.handle(), code, mode), S_OK) << mode;
    EXPECT_EQ(read_back<UINT32>(partition.handle(), code), mode);
  }
  EXPECT_EQ(set_property(partition.handle(), code, UINT32{3}), E_INVALIDARG);
  EXPECT_EQ(set_property(partition.handle(), code, UINT32{0xFFFFFFFF}), E_INVALIDARG);
}

CASE(Properties, ShortBufferIsRefused, kBelieved, "no source") {
  const BarePartition partition;
  const UINT64 value = 1;
  EXPECT_EQ(WHvSetPartitionProperty(partition.handle(), WHvPartitionPropertyCodeProcessorCount,
                                    &value, 3),
            E_INVALIDARG);
  EXPECT_EQ(WHvSetPartitionProperty(partition.handle(), WHvPartitionPropertyCodeExtendedVmExits,
                                    &value, 4),
            E_INVALIDARG);
  EXPECT_EQ(WHvSetPartitionProperty(partition.handle(), WHvPartitionPropertyCodeProcessorCount,
                                    nullptr, 0),
            E_INVALIDARG);
}

CASE(Properties, ShortBufferTellsTheSize, kDocumented, "WHvGetPartitionProperty") {
  const BarePartition partition;
  UINT32 written = 0;
  EXPECT_EQ(WHvGetPartitionProperty(partition.handle(), WHvPartitionPropertyCodeExtendedVmExits,
                                    nullptr, 0, &written),
            WHV_E_INSUFFICIENT_BUFFER);
  EXPECT_EQ(written, 8u);
}

CASE(Properties, TheWholeUnionMayBePassed, kReported, "Microsoft's sample, QEMU") {
  const BarePartition partition;
  WHV_PARTITION_PROPERTY property{};
  property.ProcessorCount = 2;
  EXPECT_EQ(set_property(partition.handle(), WHvPartitionPropertyCodeProcessorCount, property),
            S_OK);
  EXPECT_EQ(read_back<UINT32>(partition.handle(), WHvPartitionPropertyCodeProcessorCount), 2u);
}

CASE(Properties, ExitsThatTheCapabilityLacksAreRefused, kReported,
     "field guide 2.4: the property or setup fails") {
  const BarePartition partition;
  WHV_EXTENDED_VM_EXITS can{};
  ASSERT_EQ(WHvGetCapability(WHvCapabilityCodeExtendedVmExits, &can, sizeof can, nullptr), S_OK);
  WHV_EXTENDED_VM_EXITS exits{};
  exits.AsUINT64 = ~can.AsUINT64;
  EXPECT_TRUE(
      FAILED(set_property(partition.handle(), WHvPartitionPropertyCodeExtendedVmExits, exits)));
  EXPECT_EQ(read_back<UINT64>(partition.handle(), WHvPartitionPropertyCodeExtendedVmExits), 0u);
}

CASE(Properties, MsrExitsThatTheCapabilityLacksAreRefused, kBelieved, "as the extended exits") {
  const BarePartition partition;
  UINT64 can = 0;
  ASSERT_EQ(WHvGetCapability(WHvCapabilityCodeX64MsrExitBitmap, &can, sizeof can, nullptr), S_OK);
  EXPECT_TRUE(
      FAILED(set_property(partition.handle(), WHvPartitionPropertyCodeX64MsrExitBitmap, ~can)));
}

CASE(Properties, SyntheticFeaturesThatTheCapabilityLacksAreRefused, kBelieved, "no source") {
  const BarePartition partition;
  WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS banks{};
  banks.BanksCount = WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS_COUNT;
  banks.AsUINT64[0] = UINT64{1} << 63;
  EXPECT_EQ(set_property(partition.handle(),
                         WHvPartitionPropertyCodeSyntheticProcessorFeaturesBanks, banks),
            E_INVALIDARG);
  banks.AsUINT64[0] = 0;
  banks.BanksCount = 7;
  EXPECT_EQ(set_property(partition.handle(),
                         WHvPartitionPropertyCodeSyntheticProcessorFeaturesBanks, banks),
            E_INVALIDARG);
}

CASE(Properties, ProcessorFeaturesOfTheCapabilityCanBeSet, kReported, "QEMU 11 sets both so") {
  const BarePartition partition;
  WHV_PROCESSOR_FEATURES_BANKS banks{};
  banks.BanksCount = WHV_PROCESSOR_FEATURES_BANKS_COUNT;
  ASSERT_EQ(
      WHvGetCapability(WHvCapabilityCodeProcessorFeaturesBanks, &banks, sizeof banks, nullptr),
      S_OK);
  EXPECT_EQ(set_property(partition.handle(), WHvPartitionPropertyCodeProcessorFeaturesBanks, banks),
            S_OK);
  UINT64 perfmon = 0;
  ASSERT_EQ(WHvGetCapability(WHvCapabilityCodeProcessorPerfmonFeatures, &perfmon, sizeof perfmon,
                             nullptr),
            S_OK);
  EXPECT_EQ(
      set_property(partition.handle(), WHvPartitionPropertyCodeProcessorPerfmonFeatures, perfmon),
      S_OK);
}

CASE(Properties, ProcessorFeaturesThatTheCapabilityLacksAreRefused, kBelieved,
     "as the extended exits") {
  const BarePartition partition;
  WHV_PROCESSOR_FEATURES_BANKS banks{};
  banks.BanksCount = WHV_PROCESSOR_FEATURES_BANKS_COUNT;
  ASSERT_EQ(
      WHvGetCapability(WHvCapabilityCodeProcessorFeaturesBanks, &banks, sizeof banks, nullptr),
      S_OK);
  const auto code = WHvPartitionPropertyCodeProcessorFeaturesBanks;
  auto wrong = banks;
  wrong.AsUINT64[1] = ~UINT64{0};
  EXPECT_EQ(set_property(partition.handle(), code, wrong), E_INVALIDARG);
  wrong = banks;
  wrong.BanksCount = 7;
  EXPECT_EQ(set_property(partition.handle(), code, wrong), E_INVALIDARG);
  EXPECT_EQ(read_back<WHV_PROCESSOR_FEATURES_BANKS>(partition.handle(), code).Bank0.AsUINT64,
            banks.Bank0.AsUINT64);
}

CASE(Properties, XsaveFeaturesAreThoseOfTheCapability, kReported, "QEMU 11 reads the property") {
  const BarePartition partition;
  WHV_PROCESSOR_XSAVE_FEATURES can{};
  ASSERT_EQ(WHvGetCapability(WHvCapabilityCodeProcessorXsaveFeatures, &can, sizeof can, nullptr),
            S_OK);
  EXPECT_EQ(can.XsaveSupport, 1u);
  EXPECT_EQ(read_back<UINT64>(partition.handle(), WHvPartitionPropertyCodeProcessorXsaveFeatures),
            can.AsUINT64);
}

CASE(Properties, ExceptionsMayExitThoughNoVectorDoes, kReported,
     "QEMU 11 sets the bit without asking, and no vector until somebody debugs") {
  const BarePartition partition;
  WHV_EXTENDED_VM_EXITS exits{};
  exits.ExceptionExit = 1;
  EXPECT_EQ(set_property(partition.handle(), WHvPartitionPropertyCodeExtendedVmExits, exits), S_OK);
  EXPECT_EQ(
      set_property(partition.handle(), WHvPartitionPropertyCodeExceptionExitBitmap, UINT64{0}),
      S_OK);
}

CASE(Properties, AListReplacesTheOneBefore, kBelieved, "field guide 2.1: presumably") {
  const BarePartition partition;
  const auto handle = partition.handle();
  const auto code = WHvPartitionPropertyCodeCpuidExitList;
  const std::array<UINT32, 3> first{1, 2, 3};
  const std::array<UINT32, 1> second{9};
  EXPECT_EQ(set_property(handle, code, first), S_OK);
  EXPECT_EQ(set_property(handle, code, second), S_OK);
  UINT32 written = 0;
  std::array<UINT32, 3> got{};
  EXPECT_EQ(WHvGetPartitionProperty(handle, code, got.data(), sizeof got, &written), S_OK);
  EXPECT_EQ(written, 4u);
  EXPECT_EQ(got[0], 9u);
}

CASE(Properties, AListHasWholeElements, kBelieved, "no source") {
  const BarePartition partition;
  const std::array<std::byte, 64> bytes{};
  EXPECT_EQ(WHvSetPartitionProperty(partition.handle(), WHvPartitionPropertyCodeCpuidExitList,
                                    bytes.data(), 6),
            E_INVALIDARG);
  EXPECT_EQ(WHvSetPartitionProperty(partition.handle(), WHvPartitionPropertyCodeCpuidResultList,
                                    bytes.data(), 33),
            E_INVALIDARG);
  EXPECT_EQ(WHvSetPartitionProperty(partition.handle(), WHvPartitionPropertyCodeMsrActionList,
                                    bytes.data(), 7),
            E_INVALIDARG);
}

CASE(Properties, AnEmptyListIsFine, kBelieved, "no source") {
  const BarePartition partition;
  EXPECT_EQ(set_property(partition.handle(), WHvPartitionPropertyCodeCpuidExitList, UINT32{1}),
            S_OK);
  EXPECT_EQ(WHvSetPartitionProperty(partition.handle(), WHvPartitionPropertyCodeCpuidExitList,
                                    nullptr, 0),
            S_OK);
  UINT32 written = 1;
  EXPECT_EQ(WHvGetPartitionProperty(partition.handle(), WHvPartitionPropertyCodeCpuidExitList,
                                    nullptr, 0, &written),
            S_OK);
  EXPECT_EQ(written, 0u);
}

CASE(Properties, MsrActionsAreThree, kDocumented, "header: WHV_MSR_ACTION") {
  const BarePartition partition;
  WHV_MSR_ACTION_ENTRY entry{0x10, WHvMsrActionExit, WHvMsrActionExit, 0};
  EXPECT_EQ(set_property(partition.handle(), WHvPartitionPropertyCodeMsrActionList, entry), S_OK);
  entry.ReadAction = 3;
  EXPECT_EQ(set_property(partition.handle(), WHvPartitionPropertyCodeMsrActionList, entry),
            E_INVALIDARG);
  EXPECT_EQ(
      set_property(partition.handle(), WHvPartitionPropertyCodeUnimplementedMsrAction, UINT32{3}),
      E_INVALIDARG);
}

CASE(Properties, ClocksAreNotZero, kBelieved, "no source") {
  const BarePartition partition;
  for (const auto code : {WHvPartitionPropertyCodeProcessorClockFrequency,
                          WHvPartitionPropertyCodeInterruptClockFrequency}) {
    EXPECT_EQ(set_property(partition.handle(), code, UINT64{0}), E_INVALIDARG);
    EXPECT_EQ(set_property(partition.handle(), code, UINT64{1'000'000'000}), S_OK);
  }
}

}  // namespace
}  // namespace runhv::conformance
