// The order of calls and the error of each mistake.

#include "conformance/guest.h"
#include "gtest/gtest.h"

namespace runhv::conformance {
namespace {

constexpr auto kReadWrite = WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite;

// A partition that was set up or not, deleted at the end of the test.
class Contract : public ::testing::Test {
 protected:
  void SetUp() override { handle_ = create_partition(); }
  void TearDown() override {
    if (handle_ != nullptr) {
      EXPECT_EQ(WHvDeletePartition(handle_), S_OK);
    }
  }
  void set_up(UINT32 processors = 1) {
    ASSERT_EQ(set_property(handle_, WHvPartitionPropertyCodeProcessorCount, processors), S_OK);
    ASSERT_EQ(WHvSetupPartition(handle_), S_OK);
  }
  WHV_PARTITION_HANDLE handle_ = nullptr;
};

TEST_F(Contract, UnknownCapability) {
  UINT64 value = 0;
  EXPECT_EQ(WHvGetCapability(static_cast<WHV_CAPABILITY_CODE>(0x1777), &value, 8, nullptr),
            WHV_E_UNKNOWN_CAPABILITY);
}

TEST_F(Contract, ShortBufferOfACapability) {
  UINT32 value = 0;
  UINT32 written = 0;
  EXPECT_EQ(WHvGetCapability(WHvCapabilityCodeFeatures, &value, 4, &written),
            WHV_E_INSUFFICIENT_BUFFER);
  EXPECT_EQ(written, 8u);
}

TEST_F(Contract, UnknownProperty) {
  const UINT64 value = 0;
  EXPECT_EQ(set_property(handle_, static_cast<WHV_PARTITION_PROPERTY_CODE>(0x1777), value),
            WHV_E_UNKNOWN_PROPERTY);
}

TEST_F(Contract, SetupNeedsAProcessorCount) {
  EXPECT_EQ(WHvSetupPartition(handle_), WHV_E_INVALID_PARTITION_CONFIG);
}

TEST_F(Contract, NoProcessorAndNoMemoryBeforeSetup) {
  const Pages page = allocate_pages(4096);
  EXPECT_EQ(WHvCreateVirtualProcessor(handle_, 0, 0), E_INVALIDARG);
  EXPECT_EQ(WHvMapGpaRange(handle_, page.get(), 0, 4096, kReadWrite), E_INVALIDARG);
}

TEST_F(Contract, PropertiesAreFrozenAtSetup) {
  set_up();
  EXPECT_EQ(WHvSetupPartition(handle_), E_INVALIDARG);
  EXPECT_EQ(set_property(handle_, WHvPartitionPropertyCodeProcessorCount, UINT32{2}), E_INVALIDARG);
  EXPECT_EQ(set_property(handle_, WHvPartitionPropertyCodeLocalApicEmulationMode,
                         WHvX64LocalApicEmulationModeX2Apic),
            E_INVALIDARG);
  WHV_EXTENDED_VM_EXITS exits{};
  exits.X64CpuidExit = 1;
  EXPECT_EQ(set_property(handle_, WHvPartitionPropertyCodeExtendedVmExits, exits), S_OK);
}

TEST_F(Contract, PropertiesReadBack) {
  UINT32 count = 0;
  UINT32 written = 0;
  set_up(3);
  ASSERT_EQ(WHvGetPartitionProperty(handle_, WHvPartitionPropertyCodeProcessorCount, &count,
                                    sizeof count, &written),
            S_OK);
  EXPECT_EQ(count, 3u);
  EXPECT_EQ(written, sizeof count);
}

TEST_F(Contract, ExitsThatTheCapabilityLacksAreRefused) {
  WHV_EXTENDED_VM_EXITS can{};
  ASSERT_EQ(WHvGetCapability(WHvCapabilityCodeExtendedVmExits, &can, sizeof can, nullptr), S_OK);
  WHV_EXTENDED_VM_EXITS exits{};
  exits.AsUINT64 = ~can.AsUINT64;
  EXPECT_TRUE(FAILED(set_property(handle_, WHvPartitionPropertyCodeExtendedVmExits, exits)));
}

TEST_F(Contract, ProcessorIndexes) {
  set_up();
  EXPECT_EQ(WHvCreateVirtualProcessor(handle_, 1, 0), E_INVALIDARG);
  EXPECT_EQ(WHvCreateVirtualProcessor(handle_, 0, 0), S_OK);
  EXPECT_EQ(WHvCreateVirtualProcessor(handle_, 0, 0), WHV_E_VP_ALREADY_EXISTS);
  EXPECT_EQ(WHvDeleteVirtualProcessor(handle_, 0), S_OK);
  EXPECT_EQ(WHvDeleteVirtualProcessor(handle_, 0), WHV_E_VP_DOES_NOT_EXIST);
}

TEST_F(Contract, CallsOnAProcessorThatIsNotThere) {
  set_up();
  WHV_RUN_VP_EXIT_CONTEXT exit{};
  WHV_REGISTER_VALUE value{};
  const WHV_REGISTER_NAME rax = WHvX64RegisterRax;
  EXPECT_EQ(WHvRunVirtualProcessor(handle_, 0, &exit, sizeof exit), WHV_E_VP_DOES_NOT_EXIST);
  EXPECT_EQ(WHvCancelRunVirtualProcessor(handle_, 0, 0), WHV_E_VP_DOES_NOT_EXIST);
  EXPECT_EQ(WHvGetVirtualProcessorRegisters(handle_, 0, &rax, 1, &value), WHV_E_VP_DOES_NOT_EXIST);
}

TEST_F(Contract, MappingsArePages) {
  set_up();
  const Pages pages = allocate_pages(8192);
  EXPECT_EQ(WHvMapGpaRange(handle_, pages.get() + 16, 0, 4096, kReadWrite), E_INVALIDARG);
  EXPECT_EQ(WHvMapGpaRange(handle_, pages.get(), 16, 4096, kReadWrite), E_INVALIDARG);
  EXPECT_EQ(WHvMapGpaRange(handle_, pages.get(), 0, 100, kReadWrite), E_INVALIDARG);
  EXPECT_EQ(WHvMapGpaRange(handle_, pages.get(), ~UINT64{4095}, 8192, kReadWrite), E_INVALIDARG);
  EXPECT_EQ(WHvUnmapGpaRange(handle_, 0, 4096), WHV_E_GPA_RANGE_NOT_FOUND);
  EXPECT_EQ(WHvMapGpaRange(handle_, pages.get(), 0, 8192, kReadWrite), S_OK);
  EXPECT_EQ(WHvUnmapGpaRange(handle_, 4096, 4096), S_OK);
  EXPECT_EQ(WHvUnmapGpaRange(handle_, 0, 8192), WHV_E_GPA_RANGE_NOT_FOUND);
}

TEST_F(Contract, OnePartitionWithMemoryPerProcess) {
  set_up();
  const Pages page = allocate_pages(4096);
  ASSERT_EQ(WHvMapGpaRange(handle_, page.get(), 0, 4096, kReadWrite), S_OK);

  const WHV_PARTITION_HANDLE second = create_partition();
  ASSERT_EQ(set_property(second, WHvPartitionPropertyCodeProcessorCount, UINT32{1}), S_OK);
  ASSERT_EQ(WHvSetupPartition(second), S_OK);
  const Pages other = allocate_pages(4096);
  EXPECT_EQ(WHvMapGpaRange(second, other.get(), 0, 4096, kReadWrite),
            whpapi::kVidPartitionAlreadyExists);
  ASSERT_EQ(WHvUnmapGpaRange(handle_, 0, 4096), S_OK);
  EXPECT_EQ(WHvMapGpaRange(second, other.get(), 0, 4096, kReadWrite), S_OK);
  EXPECT_EQ(WHvDeletePartition(second), S_OK);
}

TEST_F(Contract, ExitContextHasAKnownSize) {
  set_up();
  ASSERT_EQ(WHvCreateVirtualProcessor(handle_, 0, 0), S_OK);
  WHV_RUN_VP_EXIT_CONTEXT exit{};
  EXPECT_EQ(WHvRunVirtualProcessor(handle_, 0, &exit, 8), E_INVALIDARG);
}

TEST_F(Contract, HandleIsGoneAfterDelete) {
  ASSERT_EQ(WHvDeletePartition(handle_), S_OK);
  EXPECT_EQ(WHvUnmapGpaRange(handle_, 0, 4096), E_HANDLE);
  handle_ = nullptr;
}

}  // namespace
}  // namespace runhv::conformance
