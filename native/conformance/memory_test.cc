// Mapping guest memory, and what the guest sees of it.
#include <atomic>
#include <cstring>
#include <thread>

#include "conformance/bare_partition.h"
#include "conformance/case.h"
#include "conformance/expect.h"
#include "conformance/guest.h"

namespace runhv::conformance {
namespace {

constexpr auto kReadWrite = WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite;
constexpr auto kAll = kReadWrite | WHvMapGpaRangeFlagExecute;
const Code kReadRbx = {0x8B, 0x03};   // mov eax, [rbx]
const Code kWriteRbx = {0x89, 0x03};  // mov [rbx], eax

void store(std::byte* at, std::uint32_t value) { std::memcpy(at, &value, sizeof value); }

// Runs `code`, which must report on port 0x80, and gives eax.
UINT64 reported(Guest& guest, const Code& code) {
  guest.load(kCodeGpa, code + out(0x80));
  guest.enter_long_mode();
  const auto exit = guest.run();
  EXPECT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  return exit.IoPortAccess.Rax & 0xFFFFFFFF;
}

CASE(Memory, MappingsArePages, kDocumented, "WHvMapGpaRange; field guide 1.8") {
  const BarePartition partition;
  partition.set_up();
  const auto handle = partition.handle();
  const Pages pages = allocate_pages(8192);
  EXPECT_EQ(WHvMapGpaRange(handle, pages.get() + 16, 0, 4096, kReadWrite), E_INVALIDARG);
  EXPECT_EQ(WHvMapGpaRange(handle, pages.get(), 16, 4096, kReadWrite), E_INVALIDARG);
  EXPECT_EQ(WHvMapGpaRange(handle, pages.get(), 0, 100, kReadWrite), E_INVALIDARG);
  EXPECT_EQ(WHvMapGpaRange(handle, pages.get(), 0, 0, kReadWrite), E_INVALIDARG);
  EXPECT_EQ(WHvMapGpaRange(handle, pages.get(), ~UINT64{4095}, 8192, kReadWrite), E_INVALIDARG);
  EXPECT_EQ(WHvMapGpaRange(handle, pages.get(), 0, 8192, kReadWrite), S_OK);
}

CASE(Memory, UnmapIsOfPages, kBelieved, "as the map") {
  const BarePartition partition;
  partition.set_up();
  const Pages pages = allocate_pages(8192);
  ASSERT_EQ(WHvMapGpaRange(partition.handle(), pages.get(), 0, 8192, kReadWrite), S_OK);
  EXPECT_EQ(WHvUnmapGpaRange(partition.handle(), 16, 4096), E_INVALIDARG);
  EXPECT_EQ(WHvUnmapGpaRange(partition.handle(), 0, 100), E_INVALIDARG);
  EXPECT_EQ(WHvUnmapGpaRange(partition.handle(), 0, 0), E_INVALIDARG);
  EXPECT_EQ(WHvUnmapGpaRange(partition.handle(), ~UINT64{4095}, 8192), E_INVALIDARG);
}

CASE(Memory, UnmapOfWhatIsNotThereIsRefused, kBelieved, "header: WHV_E_GPA_RANGE_NOT_FOUND") {
  const BarePartition partition;
  partition.set_up();
  const auto handle = partition.handle();
  const Pages pages = allocate_pages(8192);
  EXPECT_EQ(WHvUnmapGpaRange(handle, 0, 4096), WHV_E_GPA_RANGE_NOT_FOUND);
  ASSERT_EQ(WHvMapGpaRange(handle, pages.get(), 0, 8192, kReadWrite), S_OK);
  EXPECT_EQ(WHvUnmapGpaRange(handle, 4096, 4096), S_OK);
  EXPECT_EQ(WHvUnmapGpaRange(handle, 0, 8192), WHV_E_GPA_RANGE_NOT_FOUND);
  EXPECT_EQ(WHvUnmapGpaRange(handle, 0, 4096), S_OK);  // the refused one has left it
}

CASE(Memory, TrackingNeedsItsCapability, kBelieved, "no source") {
  WHV_CAPABILITY_FEATURES features{};
  ASSERT_EQ(WHvGetCapability(WHvCapabilityCodeFeatures, &features, sizeof features, nullptr), S_OK);
  const BarePartition partition;
  partition.set_up();
  const Pages page = allocate_pages(4096);
  EXPECT_EQ(WHvMapGpaRange(partition.handle(), page.get(), 0, 4096,
                           kReadWrite | WHvMapGpaRangeFlagTrackDirtyPages),
            features.DirtyPageTracking != 0 ? S_OK : E_INVALIDARG);
}

CASE(Memory, ALaterMapReplacesPageByPage, kDocumented, "WHvMapGpaRange") {
  Guest guest;
  const Pages first = allocate_pages(3 * 4096);
  const Pages second = allocate_pages(4096);
  for (int page = 0; page < 3; ++page) store(first.get() + 4096 * page, 0x11u);
  store(second.get(), 0x22u);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), first.get(), kMmioGpa, 3 * 4096, kAll), S_OK);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), second.get(), kMmioGpa + 4096, 4096, kAll), S_OK);
  EXPECT_EQ(reported(guest, load_rbx(kMmioGpa) + kReadRbx), 0x11u);
  EXPECT_EQ(reported(guest, load_rbx(kMmioGpa + 4096) + kReadRbx), 0x22u);
  EXPECT_EQ(reported(guest, load_rbx(kMmioGpa + 8192) + kReadRbx), 0x11u);
}

CASE(Memory, ARemappedPageIsSeenAtOnce, kReported, "field guide 1.8: takes effect before return") {
  Guest guest;
  const Pages pages = allocate_pages(2 * 4096);
  store(pages.get(), 1u);
  store(pages.get() + 4096, 2u);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), pages.get(), kMmioGpa, 4096, kAll), S_OK);
  guest.load(kCodeGpa, load_rbx(kMmioGpa) + kReadRbx + out(0x80) + kReadRbx + out(0x81));
  guest.enter_long_mode();
  const auto before = guest.run();
  EXPECT_EQ(before.IoPortAccess.Rax, 1u);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), pages.get() + 4096, kMmioGpa, 4096, kAll), S_OK);
  guest.complete(before);
  EXPECT_EQ(guest.run().IoPortAccess.Rax, 2u);
}

CASE(Memory, MappedAgainItHasItsContents, kDocumented,
     "WHvMapGpaRange: the memory is the client's") {
  Guest guest;
  const Pages page = allocate_pages(4096);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, kAll), S_OK);
  reported(guest, Code{0xB8, 0x77, 0x00, 0x00, 0x00} + load_rbx(kMmioGpa) + kWriteRbx);
  ASSERT_EQ(WHvUnmapGpaRange(guest.handle(), kMmioGpa, 4096), S_OK);
  EXPECT_EQ(page[0], std::byte{0x77});
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, kAll), S_OK);
  EXPECT_EQ(reported(guest, load_rbx(kMmioGpa) + kReadRbx), 0x77u);
}

CASE(Memory, HostAndGuestSeeEachOthersWrites, kDocumented, "WHvMapGpaRange: shared memory") {
  Guest guest;
  const std::uint32_t value = 0xCAFE;
  std::memcpy(guest.ram() + kDataGpa, &value, sizeof value);
  EXPECT_EQ(
      reported(guest, load_rbx(kDataGpa) + kReadRbx + Code{0xFF, 0xC0} + kWriteRbx),  // inc eax
      value + 1);
  EXPECT_EQ(guest.read64(kDataGpa), value + 1);
}

CASE(Memory, OnePageMayBeAtTwoAddresses, kBelieved, "field guide 1.8: no source") {
  Guest guest;
  const Pages page = allocate_pages(4096);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, kAll), S_OK);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa + 4096, 4096, kAll), S_OK);
  EXPECT_EQ(reported(guest, Code{0xB8, 0x44, 0x00, 0x00, 0x00} + load_rbx(kMmioGpa) + kWriteRbx +
                                load_rbx(kMmioGpa + 4096) + kReadRbx),
            0x44u);
}

CASE(Memory, ReadOnlyMemoryIsRead, kReported, "field guide 1.8: Microsoft's sample") {
  Guest guest;
  const Pages page = allocate_pages(4096);
  store(page.get(), 0x5A5Au);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, WHvMapGpaRangeFlagRead),
            S_OK);
  EXPECT_EQ(reported(guest, load_rbx(kMmioGpa) + kReadRbx), 0x5A5Au);
}

CASE(Memory, ReadModifyWriteOfReadOnlyMemoryIsAWrite, kBelieved, "no source") {
  Guest guest;
  const Pages page = allocate_pages(4096);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, WHvMapGpaRangeFlagRead),
            S_OK);
  guest.load(kCodeGpa, load_rbx(kMmioGpa) + Code{0xFF, 0x03});  // inc dword [rbx]
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.AccessType, UINT32{WHvMemoryAccessWrite});
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.GpaUnmapped, 0u);
  EXPECT_EQ(page[0], std::byte{0});
}

CASE(Memory, ReadOnlyMadeWritableIsWritten, kReported,
     "field guide 1.8: later clients just remap") {
  Guest guest;
  const Pages page = allocate_pages(4096);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, WHvMapGpaRangeFlagRead),
            S_OK);
  guest.load(kCodeGpa,
             Code{0xB8, 0x09, 0x00, 0x00, 0x00} + load_rbx(kMmioGpa) + kWriteRbx + out(0x80));
  guest.enter_long_mode();
  ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonMemoryAccess);
  ASSERT_EQ(WHvUnmapGpaRange(guest.handle(), kMmioGpa, 4096), S_OK);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, kReadWrite), S_OK);
  EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(page[0], std::byte{9});
}

CASE(Memory, FetchFromNothingIsAnExecute, kDocumented, "WHV_MEMORY_ACCESS_TYPE") {
  Guest guest;
  guest.load(kCodeGpa, load_rbx(kMmioGpa + 0x10) + Code{0xFF, 0xE3});  // jmp rbx
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.AccessType, UINT32{WHvMemoryAccessExecute});
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.GpaUnmapped, 1u);
  EXPECT_EQ(exit.MemoryAccess.Gpa & ~UINT64{0xFFF}, kMmioGpa);
  EXPECT_EQ(exit.VpContext.Rip, kMmioGpa + 0x10);
}

CASE(Memory, FetchFromMemoryThatIsNotExecutableIsAnExecute, kDocumented,
     "header: WHvMapGpaRangeFlagExecute") {
  Guest guest;
  const Pages page = allocate_pages(4096);
  std::memset(page.get(), 0x90, 4096);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, kReadWrite), S_OK);
  guest.load(kCodeGpa, load_rbx(kMmioGpa) + Code{0xFF, 0xE3});
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.AccessType, UINT32{WHvMemoryAccessExecute});
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.GpaUnmapped, 0u);
}

CASE(Memory, MapOfNoRightsForbidsAll, kBelieved, "field guide 1.8: a documented value") {
  Guest guest;
  const Pages page = allocate_pages(4096);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, WHvMapGpaRangeFlagNone),
            S_OK);
  guest.load(kCodeGpa, load_rbx(kMmioGpa) + kReadRbx);
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.GpaUnmapped, 0u);
}

// The access is told by its instruction: WHP has neither its size nor its data.
CASE(Memory, EachWidthOfAnAccessExits, kDocumented, "WHV_MEMORY_ACCESS_CONTEXT; field guide 3.2") {
  const Code instructions[] = {{0x8A, 0x03},              // mov al, [rbx]
                               {0x66, 0x8B, 0x03},        // mov ax, [rbx]
                               {0x8B, 0x03},              // mov eax, [rbx]
                               {0x48, 0x8B, 0x03},        // mov rax, [rbx]
                               {0x0F, 0xB6, 0x03},        // movzx eax, byte [rbx]
                               {0x88, 0x03},              // mov [rbx], al
                               {0x66, 0x89, 0x03},        // mov [rbx], ax
                               {0x48, 0x89, 0x03},        // mov [rbx], rax
                               {0xC6, 0x03, 0x07},        // mov byte [rbx], 7
                               {0xC7, 0x03, 7, 0, 0, 0},  // mov dword [rbx], 7
                               {0x83, 0x0B, 0x01}};       // or dword [rbx], 1
  Guest guest;
  for (const Code& instruction : instructions) {
    guest.load(kCodeGpa, load_rbx(kMmioGpa + 0x20) + instruction);
    guest.enter_long_mode();
    const auto exit = guest.run();
    ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
    EXPECT_EQ(exit.MemoryAccess.Gpa, kMmioGpa + 0x20);
    EXPECT_EQ(exit.VpContext.Rip, kCodeGpa + 10);
    ASSERT_GE(std::size_t{exit.MemoryAccess.InstructionByteCount}, instruction.size());
    EXPECT_EQ(
        std::memcmp(exit.MemoryAccess.InstructionBytes, instruction.data(), instruction.size()), 0);
  }
}

CASE(Memory, AStringStoreExitsBeforeItStores, kReported,
     "field guide 3.4: RIP and registers as before") {
  Guest guest;
  guest.load(kCodeGpa, {0xF3, 0xAA});  // rep stosb
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRdi, kMmioGpa}, {WHvX64RegisterRcx, 5}, {WHvX64RegisterRax, 1}});
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.AccessType, UINT32{WHvMemoryAccessWrite});
  EXPECT_EQ(guest.get(WHvX64RegisterRcx).Reg64, 5u);
  EXPECT_EQ(guest.get(WHvX64RegisterRdi).Reg64, kMmioGpa);
}

CASE(Memory, AStringStoreFromRamIntoNothingStopsThere, kReported, "field guide 3.4") {
  Guest guest;
  guest.load(kCodeGpa, {0xF3, 0xAA});
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRdi, kRamBytes - 3}, {WHvX64RegisterRcx, 8}, {WHvX64RegisterRax, 7}});
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
  EXPECT_EQ(exit.MemoryAccess.Gpa, kRamBytes);
  EXPECT_EQ(guest.get(WHvX64RegisterRcx).Reg64, 5u);
  EXPECT_EQ(guest.get(WHvX64RegisterRdi).Reg64, kRamBytes);
  EXPECT_EQ(guest.read64(kRamBytes - 8) >> 40, 0x070707u);
}

CASE(Memory, AnExitOfMemoryComesAgain, kReported, "field guide 1.5: the guest is not advanced") {
  Guest guest;
  guest.load(kCodeGpa, load_rbx(kMmioGpa) + kWriteRbx);
  guest.enter_long_mode();
  for (int i = 0; i < 3; ++i) {
    const auto exit = guest.run();
    ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
    EXPECT_EQ(exit.VpContext.Rip, kCodeGpa + 10);
  }
}

CASE(Memory, AnExitOfMemoryIsGoneOnceItIsMapped, kReported, "field guide 1.8: map on exit, 27 us") {
  Guest guest;
  guest.load(kCodeGpa, load_rbx(kMmioGpa) + kReadRbx + out(0x80));
  guest.enter_long_mode();
  ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonMemoryAccess);
  const Pages page = allocate_pages(4096);
  store(page.get(), 0x31u);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, kAll), S_OK);
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.Rax, 0x31u);
}

CASE(Memory, UnmapReachesARunningProcessor, kReported, "field guide 1.8: legal while it runs") {
  Guest guest;
  const Pages page = allocate_pages(4096);
  ASSERT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, kAll), S_OK);
  guest.load(kCodeGpa, load_rbx(kMmioGpa) + kReadRbx + Code{0xEB, 0xFC});  // forever
  guest.enter_long_mode();
  std::thread host([&] { EXPECT_EQ(WHvUnmapGpaRange(guest.handle(), kMmioGpa, 4096), S_OK); });
  const auto exit = guest.run();
  host.join();
  EXPECT_EQ(exit.ExitReason, WHvRunVpExitReasonMemoryAccess);
  EXPECT_EQ(exit.MemoryAccess.AccessInfo.GpaUnmapped, 1u);
}

CASE(Memory, MapReachesARunningProcessor, kReported, "field guide 1.8: crosvm's balloon, OpenVMM") {
  Guest guest;
  // Reads from the new page as soon as the byte at kDataGpa says that it is there.
  guest.load(kCodeGpa, load_rbx(kMmioGpa) +
                           Code{0x80, 0x3C, 0x25, 0x00, 0x05, 0x00, 0x00, 0x00,  // cmp byte [..], 0
                                0x74, 0xF6} +                                    // je
                           kReadRbx +
                           out(0x80));
  guest.enter_long_mode();
  const Pages page = allocate_pages(4096);
  store(page.get(), 0x99u);
  std::thread host([&] {
    EXPECT_EQ(WHvMapGpaRange(guest.handle(), page.get(), kMmioGpa, 4096, kAll), S_OK);
    std::atomic_ref<std::byte>(guest.ram()[kDataGpa]).store(std::byte{1});
  });
  const auto exit = guest.run();
  host.join();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.Rax, 0x99u);
}

}  // namespace
}  // namespace runhv::conformance
