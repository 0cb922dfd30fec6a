// What a client may get wrong: an error, never a crash. Which error is often nobody's word but
// ours; what only ours forgives (a handle that never was, which Windows would follow) is in
// linux_test.cc.
#include <thread>

#include "conformance/bare_partition.h"
#include "conformance/case.h"
#include "conformance/expect.h"
#include "conformance/guest.h"

namespace runhv::conformance {
namespace {

constexpr auto kReadWrite = WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite;

// Every call of `handle` that a micro-VM makes gives `expected`.
void expect_of_every_call(WHV_PARTITION_HANDLE handle, HRESULT expected) {
  const Pages page = allocate_pages(4096);
  const WHV_REGISTER_NAME rax = WHvX64RegisterRax;
  WHV_REGISTER_VALUE value{};
  WHV_RUN_VP_EXIT_CONTEXT exit{};
  WHV_TRANSLATE_GVA_RESULT result{};
  WHV_GUEST_PHYSICAL_ADDRESS gpa = 0;
  UINT32 count = 1;
  WHV_INTERRUPT_CONTROL interrupt{};
  interrupt.Vector = 0x40;
  EXPECT_EQ(WHvSetupPartition(handle), expected);
  EXPECT_EQ(set_property(handle, WHvPartitionPropertyCodeProcessorCount, count), expected);
  EXPECT_EQ(WHvGetPartitionProperty(handle, WHvPartitionPropertyCodeProcessorCount, &count,
                                    sizeof count, nullptr),
            expected);
  EXPECT_EQ(WHvMapGpaRange(handle, page.get(), 0, 4096, kReadWrite), expected);
  EXPECT_EQ(WHvUnmapGpaRange(handle, 0, 4096), expected);
  EXPECT_EQ(WHvCreateVirtualProcessor(handle, 0, 0), expected);
  EXPECT_EQ(WHvRunVirtualProcessor(handle, 0, &exit, sizeof exit), expected);
  EXPECT_EQ(WHvCancelRunVirtualProcessor(handle, 0, 0), expected);
  EXPECT_EQ(WHvGetVirtualProcessorRegisters(handle, 0, &rax, 1, &value), expected);
  EXPECT_EQ(WHvSetVirtualProcessorRegisters(handle, 0, &rax, 1, &value), expected);
  EXPECT_EQ(WHvRequestInterrupt(handle, &interrupt, sizeof interrupt), expected);
  EXPECT_EQ(WHvTranslateGva(handle, 0, 0, WHvTranslateGvaFlagValidateRead, &result, &gpa),
            expected);
  EXPECT_EQ(WHvDeleteVirtualProcessor(handle, 0), expected);
  EXPECT_EQ(WHvDeletePartition(handle), expected);
}

CASE(BadInput, NoHandle, kBelieved, "as after delete, which NANVIX saw") {
  expect_of_every_call(nullptr, E_HANDLE);
}

CASE(BadInput, NoPlaceForAHandle, kBelieved, "no source") {
  EXPECT_TRUE(FAILED(WHvCreatePartition(nullptr)));
}

CASE(BadInput, NoBufferButASize, kBelieved, "no source") {
  const BarePartition partition;
  EXPECT_TRUE(FAILED(WHvGetCapability(WHvCapabilityCodeFeatures, nullptr, 8, nullptr)));
  EXPECT_TRUE(FAILED(WHvGetPartitionProperty(
      partition.handle(), WHvPartitionPropertyCodeExtendedVmExits, nullptr, 8, nullptr)));
  EXPECT_TRUE(FAILED(WHvSetPartitionProperty(partition.handle(),
                                             WHvPartitionPropertyCodeExtendedVmExits, nullptr, 8)));
}

CASE(BadInput, NoExitContext, kBelieved, "no source") {
  Guest guest;
  EXPECT_TRUE(FAILED(WHvRunVirtualProcessor(guest.handle(), 0, nullptr, 224)));
  WHV_RUN_VP_EXIT_CONTEXT exit{};
  for (const UINT32 size : {0u, 1u, 8u, 48u, 143u}) {
    EXPECT_EQ(WHvRunVirtualProcessor(guest.handle(), 0, &exit, size), E_INVALIDARG) << size;
  }
}

CASE(BadInput, ALargerExitContextGetsItsPart, kBelieved, "field guide 1.5: the size is a version") {
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  struct {
    alignas(16) WHV_RUN_VP_EXIT_CONTEXT exit;
    UINT64 after[8];
  } larger{};
  larger.after[0] = 0x1234;
  EXPECT_EQ(WHvRunVirtualProcessor(guest.handle(), 0, &larger, sizeof larger), S_OK);
  EXPECT_EQ(larger.after[0], 0x1234u);
}

CASE(BadInput, FlagsThatDoNotExist, kBelieved, "WHvCreateVirtualProcessor: must be zero") {
  const BarePartition partition;
  partition.set_up();
  for (const UINT32 flags : {1u, 0x80000000u, 0xFFFFFFFFu}) {
    EXPECT_EQ(WHvCreateVirtualProcessor(partition.handle(), 0, flags), E_INVALIDARG);
  }
  ASSERT_EQ(WHvCreateVirtualProcessor(partition.handle(), 0, 0), S_OK);
  for (const UINT32 flags : {1u, 0xFFFFFFFFu}) {
    EXPECT_EQ(WHvCancelRunVirtualProcessor(partition.handle(), 0, flags), E_INVALIDARG);
  }
}

CASE(BadInput, ProcessorIndexesBeyondTheCount, kDocumented, "WHvCreateVirtualProcessor") {
  const BarePartition partition;
  partition.set_up(2);
  for (const UINT32 vp : {2u, 3u, 63u, 64u, 65u, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
    EXPECT_EQ(WHvCreateVirtualProcessor(partition.handle(), vp, 0), E_INVALIDARG) << vp;
  }
}

CASE(BadInput, NoRegisters, kBelieved, "no source") {
  Guest guest;
  WHV_REGISTER_VALUE value{};
  const WHV_REGISTER_NAME rax = WHvX64RegisterRax;
  EXPECT_TRUE(FAILED(WHvGetVirtualProcessorRegisters(guest.handle(), 0, nullptr, 1, &value)));
  EXPECT_TRUE(FAILED(WHvGetVirtualProcessorRegisters(guest.handle(), 0, &rax, 1, nullptr)));
  EXPECT_TRUE(FAILED(WHvSetVirtualProcessorRegisters(guest.handle(), 0, nullptr, 1, &value)));
  EXPECT_TRUE(FAILED(WHvSetVirtualProcessorRegisters(guest.handle(), 0, &rax, 1, nullptr)));
}

CASE(BadInput, AnEmptyBatchChangesNothing, kBelieved, "no source") {
  Guest guest;
  EXPECT_EQ(WHvGetVirtualProcessorRegisters(guest.handle(), 0, nullptr, 0, nullptr), S_OK);
  EXPECT_EQ(WHvSetVirtualProcessorRegisters(guest.handle(), 0, nullptr, 0, nullptr), S_OK);
}

CASE(BadInput, UnknownRegisters, kDocumented, "header: WHV_E_INVALID_VP_REGISTER_NAME") {
  Guest guest;
  WHV_REGISTER_VALUE value{};
  for (const UINT32 number : {0x28u, 0xFFFu, 0x1027u, 0x7777u, 0x7FFFFFFFu, 0x80000FFFu}) {
    const auto name = static_cast<WHV_REGISTER_NAME>(number);
    EXPECT_EQ(WHvGetVirtualProcessorRegisters(guest.handle(), 0, &name, 1, &value),
              WHV_E_INVALID_VP_REGISTER_NAME)
        << std::hex << number;
    EXPECT_EQ(WHvSetVirtualProcessorRegisters(guest.handle(), 0, &name, 1, &value),
              WHV_E_INVALID_VP_REGISTER_NAME)
        << std::hex << number;
  }
}

CASE(BadInput, AMapOfMoreThanAddressesReach, kBelieved, "no source") {
  const BarePartition partition;
  partition.set_up();
  const Pages page = allocate_pages(4096);
  const auto handle = partition.handle();
  EXPECT_TRUE(FAILED(WHvMapGpaRange(handle, page.get(), UINT64{1} << 52, 4096, kReadWrite)));
  EXPECT_TRUE(FAILED(WHvMapGpaRange(handle, page.get(), UINT64{1} << 63, 4096, kReadWrite)));
  EXPECT_EQ(WHvMapGpaRange(handle, nullptr, 0, 4096, kReadWrite), E_INVALIDARG);
}

CASE(BadInput, OverlappingMapsAreNoError, kDocumented, "WHvMapGpaRange: the later one replaces") {
  const BarePartition partition;
  partition.set_up();
  const Pages pages = allocate_pages(4 * 4096);
  const auto handle = partition.handle();
  EXPECT_EQ(WHvMapGpaRange(handle, pages.get(), 0, 3 * 4096, kReadWrite), S_OK);
  EXPECT_EQ(WHvMapGpaRange(handle, pages.get(), 4096, 3 * 4096, kReadWrite), S_OK);
  EXPECT_EQ(WHvMapGpaRange(handle, pages.get(), 0, 4 * 4096, kReadWrite), S_OK);
  EXPECT_EQ(WHvUnmapGpaRange(handle, 0, 4 * 4096), S_OK);
  EXPECT_EQ(WHvUnmapGpaRange(handle, 0, 4096), WHV_E_GPA_RANGE_NOT_FOUND);
}

CASE(BadInput, InterruptsThatCannotBe, kReported,
     "field guide 2.2, 4.3: no SMI, no ExtINT, no (0, 0)") {
  Guest guest({.apic = WHvX64LocalApicEmulationModeX2Apic});
  WHV_INTERRUPT_CONTROL control{};
  for (const UINT32 vector : {0u, 15u, 256u, 0xFFFFFFFFu}) {
    control.Vector = vector;
    EXPECT_EQ(WHvRequestInterrupt(guest.handle(), &control, sizeof control),
              whpapi::kHvInvalidParameter)
        << vector;
  }
  control.Vector = 0x40;
  for (const UINT64 type : {2u, 3u, 7u, 200u}) {
    control.Type = type & 0xFF;
    EXPECT_EQ(WHvRequestInterrupt(guest.handle(), &control, sizeof control),
              whpapi::kHvInvalidParameter)
        << type;
  }
}

CASE(BadInput, AnInterruptOfAnotherSize, kBelieved, "no source") {
  Guest guest({.apic = WHvX64LocalApicEmulationModeX2Apic});
  WHV_INTERRUPT_CONTROL control{};
  control.Vector = 0x40;
  EXPECT_TRUE(FAILED(WHvRequestInterrupt(guest.handle(), nullptr, sizeof control)));
  for (const UINT32 size : {0u, 8u, 15u, 17u}) {
    EXPECT_EQ(WHvRequestInterrupt(guest.handle(), &control, size), E_INVALIDARG) << size;
  }
}

CASE(BadInput, AnInterruptWithoutAnApic, kReported, "field guide 1.10: needs the emulated APIC") {
  Guest guest;
  WHV_INTERRUPT_CONTROL control{};
  control.Vector = 0x40;
  EXPECT_TRUE(FAILED(WHvRequestInterrupt(guest.handle(), &control, sizeof control)));
}

CASE(BadInput, NoPlaceForATranslation, kBelieved, "no source") {
  Guest guest;
  WHV_TRANSLATE_GVA_RESULT result{};
  WHV_GUEST_PHYSICAL_ADDRESS gpa = 0;
  const auto flags = WHvTranslateGvaFlagValidateRead;
  EXPECT_TRUE(FAILED(WHvTranslateGva(guest.handle(), 0, 0, flags, nullptr, &gpa)));
  EXPECT_TRUE(FAILED(WHvTranslateGva(guest.handle(), 0, 0, flags, &result, nullptr)));
}

// Whether they meet is chance; linux_test.cc has the meeting itself. Neither may crash or lose an
// exit.
CASE(BadInput, TwoRunsOfOneProcessor, kBelieved, "field guide 1.4: nobody documents the code") {
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  const auto run_often = [&] {
    for (int i = 0; i < 2000; ++i) {
      WHV_RUN_VP_EXIT_CONTEXT exit{};
      const HRESULT result = WHvRunVirtualProcessor(guest.handle(), 0, &exit, sizeof exit);
      if (FAILED(result)) {
        EXPECT_EQ(result, WHV_E_INVALID_VP_STATE);
      } else if (exit.ExitReason == WHvRunVpExitReasonX64IoPortAccess) {
        EXPECT_EQ(exit.VpContext.Rip, kCodeGpa);
      }
    }
  };
  std::thread other(run_often);
  run_often();
  other.join();
}

}  // namespace
}  // namespace runhv::conformance
