// The order of calls, and what each mistake in it gives.
#include <thread>

#include "conformance/bare_partition.h"
#include "conformance/case.h"
#include "conformance/expect.h"
#include "conformance/guest.h"

namespace runhv::conformance {
namespace {

constexpr auto kReadWrite = WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite;

CASE(Contract, SetupNeedsAProcessorCount, kDocumented, "WHvSetupPartition; libwhp's tests") {
  const BarePartition partition;
  EXPECT_EQ(WHvSetupPartition(partition.handle()), WHV_E_INVALID_PARTITION_CONFIG);
}

CASE(Contract, SetupAfterAFailedOneIsFine, kBelieved, "no source") {
  const BarePartition partition;
  EXPECT_EQ(WHvSetupPartition(partition.handle()), WHV_E_INVALID_PARTITION_CONFIG);
  partition.set_up();
}

CASE(Contract, NoProcessorAndNoMemoryBeforeSetup, kReported, "field guide 1.1: libwhp's tests") {
  const BarePartition partition;
  const Pages page = allocate_pages(4096);
  EXPECT_EQ(WHvCreateVirtualProcessor(partition.handle(), 0, 0), E_INVALIDARG);
  EXPECT_EQ(WHvMapGpaRange(partition.handle(), page.get(), 0, 4096, kReadWrite), E_INVALIDARG);
}

CASE(Contract, NothingRunsBeforeSetup, kReported, "field guide 1.1") {
  const BarePartition partition;
  WHV_RUN_VP_EXIT_CONTEXT exit{};
  EXPECT_TRUE(FAILED(WHvRunVirtualProcessor(partition.handle(), 0, &exit, sizeof exit)));
  EXPECT_TRUE(FAILED(WHvCancelRunVirtualProcessor(partition.handle(), 0, 0)));
  EXPECT_EQ(WHvUnmapGpaRange(partition.handle(), 0, 4096), E_INVALIDARG);
}

CASE(Contract, SetupTwiceIsRefused, kReported, "field guide 1.1: wrong state") {
  const BarePartition partition;
  partition.set_up();
  EXPECT_EQ(WHvSetupPartition(partition.handle()), E_INVALIDARG);
}

CASE(Contract, PropertiesAreFrozenAtSetup, kDocumented, "WHvSetPartitionProperty") {
  const BarePartition partition;
  partition.set_up();
  EXPECT_EQ(set_property(partition.handle(), WHvPartitionPropertyCodeProcessorCount, UINT32{2}),
            E_INVALIDARG);
  EXPECT_EQ(set_property(partition.handle(), WHvPartitionPropertyCodeLocalApicEmulationMode,
                         WHvX64LocalApicEmulationModeX2Apic),
            E_INVALIDARG);
  EXPECT_EQ(WHvSetPartitionProperty(partition.handle(), WHvPartitionPropertyCodeCpuidResultList,
                                    nullptr, 0),
            E_INVALIDARG);
}

CASE(Contract, FourExitPropertiesChangeAfterSetup, kDocumented, "WHvSetPartitionProperty") {
  const BarePartition partition;
  partition.set_up();
  WHV_EXTENDED_VM_EXITS exits{};
  exits.X64CpuidExit = 1;
  EXPECT_EQ(set_property(partition.handle(), WHvPartitionPropertyCodeExtendedVmExits, exits), S_OK);
  WHV_X64_MSR_EXIT_BITMAP msrs{};
  msrs.UnhandledMsrs = 1;
  EXPECT_EQ(set_property(partition.handle(), WHvPartitionPropertyCodeX64MsrExitBitmap, msrs), S_OK);
  EXPECT_EQ(
      set_property(partition.handle(), WHvPartitionPropertyCodeExceptionExitBitmap, UINT64{0}),
      S_OK);
  EXPECT_EQ(set_property(partition.handle(), WHvPartitionPropertyCodeCpuidExitList, UINT32{1}),
            S_OK);
}

CASE(Contract, ProcessorIndexes, kDocumented, "WHvCreateVirtualProcessor; header: error names") {
  const BarePartition partition;
  partition.set_up();
  const auto handle = partition.handle();
  EXPECT_EQ(WHvCreateVirtualProcessor(handle, 1, 0), E_INVALIDARG);
  EXPECT_EQ(WHvCreateVirtualProcessor(handle, 0, 0), S_OK);
  EXPECT_EQ(WHvCreateVirtualProcessor(handle, 0, 0), WHV_E_VP_ALREADY_EXISTS);
  EXPECT_EQ(WHvDeleteVirtualProcessor(handle, 0), S_OK);
  EXPECT_EQ(WHvDeleteVirtualProcessor(handle, 0), WHV_E_VP_DOES_NOT_EXIST);
}

CASE(Contract, ProcessorsMayBeFewerThanTheCount, kBelieved, "no source") {
  const BarePartition partition;
  partition.set_up(4);
  EXPECT_EQ(WHvCreateVirtualProcessor(partition.handle(), 3, 0), S_OK);
  WHV_REGISTER_VALUE value{};
  const WHV_REGISTER_NAME rip = WHvX64RegisterRip;
  EXPECT_EQ(WHvGetVirtualProcessorRegisters(partition.handle(), 3, &rip, 1, &value), S_OK);
  EXPECT_EQ(WHvGetVirtualProcessorRegisters(partition.handle(), 2, &rip, 1, &value),
            WHV_E_VP_DOES_NOT_EXIST);
}

CASE(Contract, ADeletedIndexIsNotUsedAgain, kReported, "field guide 1.4: entangled on 19045") {
  const BarePartition partition;
  partition.set_up();
  ASSERT_EQ(WHvCreateVirtualProcessor(partition.handle(), 0, 0), S_OK);
  ASSERT_EQ(WHvDeleteVirtualProcessor(partition.handle(), 0), S_OK);
  EXPECT_EQ(WHvCreateVirtualProcessor(partition.handle(), 0, 0), E_INVALIDARG);
}

CASE(Contract, CallsOnAProcessorThatIsNotThere, kReported, "field guide 1.1: entangled saw 307") {
  const BarePartition partition;
  partition.set_up();
  const auto handle = partition.handle();
  WHV_RUN_VP_EXIT_CONTEXT exit{};
  WHV_REGISTER_VALUE value{};
  WHV_TRANSLATE_GVA_RESULT result{};
  WHV_GUEST_PHYSICAL_ADDRESS gpa = 0;
  const WHV_REGISTER_NAME rax = WHvX64RegisterRax;
  for (const UINT32 vp : {0u, 1u, 63u, 64u, 0xFFFFFFFFu}) {
    EXPECT_EQ(WHvRunVirtualProcessor(handle, vp, &exit, sizeof exit), WHV_E_VP_DOES_NOT_EXIST);
    EXPECT_EQ(WHvCancelRunVirtualProcessor(handle, vp, 0), WHV_E_VP_DOES_NOT_EXIST);
    EXPECT_EQ(WHvGetVirtualProcessorRegisters(handle, vp, &rax, 1, &value),
              WHV_E_VP_DOES_NOT_EXIST);
    EXPECT_EQ(WHvSetVirtualProcessorRegisters(handle, vp, &rax, 1, &value),
              WHV_E_VP_DOES_NOT_EXIST);
    EXPECT_EQ(WHvDeleteVirtualProcessor(handle, vp), WHV_E_VP_DOES_NOT_EXIST);
    EXPECT_EQ(WHvTranslateGva(handle, vp, 0, WHvTranslateGvaFlagValidateRead, &result, &gpa),
              WHV_E_VP_DOES_NOT_EXIST);
  }
}

CASE(Contract, OnePartitionWithMemoryPerProcess, kReported,
     "field guide 1.9: hyperlight, ELF, entangled") {
  const BarePartition partition;
  partition.set_up();
  const Pages page = allocate_pages(4096);
  ASSERT_EQ(WHvMapGpaRange(partition.handle(), page.get(), 0, 4096, kReadWrite), S_OK);

  const BarePartition second;
  second.set_up();
  const Pages other = allocate_pages(4096);
  EXPECT_EQ(WHvMapGpaRange(second.handle(), other.get(), 0, 4096, kReadWrite),
            whpapi::kVidPartitionAlreadyExists);
  ASSERT_EQ(WHvUnmapGpaRange(partition.handle(), 0, 4096), S_OK);
  EXPECT_EQ(WHvMapGpaRange(second.handle(), other.get(), 0, 4096, kReadWrite), S_OK);
}

CASE(Contract, PartitionsWithoutMemoryAreMany, kReported, "field guide 1.9: only the map fails") {
  const BarePartition first;
  const BarePartition second;
  const BarePartition third;
  for (const auto* partition : {&first, &second, &third}) {
    partition->set_up();
    EXPECT_EQ(WHvCreateVirtualProcessor(partition->handle(), 0, 0), S_OK);
  }
}

CASE(Contract, DeleteUndoesWhatIsLeft, kDocumented, "WHvDeletePartition") {
  const Pages page = allocate_pages(4096);
  for (int round = 0; round < 2; ++round) {
    const BarePartition partition;
    partition.set_up();
    ASSERT_EQ(WHvMapGpaRange(partition.handle(), page.get(), 0, 4096, kReadWrite), S_OK);
    ASSERT_EQ(WHvCreateVirtualProcessor(partition.handle(), 0, 0), S_OK);
  }
}

CASE(Contract, ExitContextHasAKnownSize, kReported, "field guide 1.5: 144 and 224 bytes") {
  const BarePartition partition;
  partition.set_up();
  ASSERT_EQ(WHvCreateVirtualProcessor(partition.handle(), 0, 0), S_OK);
  WHV_RUN_VP_EXIT_CONTEXT exit{};
  EXPECT_EQ(WHvRunVirtualProcessor(partition.handle(), 0, &exit, 8), E_INVALIDARG);
}

CASE(Contract, HandleIsGoneAfterDelete, kReported, "field guide 1.3: NANVIX saw E_HANDLE") {
  const WHV_PARTITION_HANDLE handle = create_partition();
  ASSERT_EQ(WHvDeletePartition(handle), S_OK);
  EXPECT_EQ(WHvUnmapGpaRange(handle, 0, 4096), E_HANDLE);
}

CASE(Contract, HandlesDiffer, kBelieved, "no source") {
  const BarePartition first;
  const BarePartition second;
  EXPECT_NE(first.handle(), second.handle());
}

CASE(Contract, RunEndsByCancelThenDelete, kReported, "field guide 1.1: cancel and join first") {
  Guest guest;
  guest.load(kCodeGpa, {0xEB, 0xFE});
  guest.enter_long_mode();
  WHV_RUN_VP_EXIT_REASON reason{};
  std::thread runner([&] { reason = guest.run_once().ExitReason; });
  EXPECT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 0, 0), S_OK);
  runner.join();
  EXPECT_EQ(reason, WHvRunVpExitReasonCanceled);
}

}  // namespace
}  // namespace runhv::conformance
