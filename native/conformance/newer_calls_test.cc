// Functions that came after 1803: the partition's time, reset, dirty pages, mapping another
// process's memory.
#include <array>
#include <atomic>
#include <cstring>
#include <thread>

#include "conformance/bare_partition.h"
#include "conformance/case.h"
#include "conformance/expect.h"
#include "conformance/guest.h"
#include "conformance/newer_calls.h"

namespace runhv::conformance {
namespace {

constexpr auto kReadWrite = WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite;
constexpr auto kTracked = kReadWrite | WHvMapGpaRangeFlagTrackDirtyPages;
constexpr const char* kAbsent = "this version of Windows does not have the call";
constexpr const char* kUntracked = "the capability DirtyPageTracking is not there";

UINT64 tsc_of(Guest& guest) { return guest.get(WHvX64RegisterTsc).Reg64; }

// Reads the counter until it moves, so that no test has to know how fast it is.
bool moves(Guest& guest, UINT64 from) {
  for (int i = 0; i < 10'000'000; ++i) {
    if (tsc_of(guest) != from) return true;
  }
  return false;
}

// ---- time ----

CASE(Time, SuspendedItStandsStill, kDocumented, "WHvSuspendPartitionTime; QEMU, OpenVMM") {
  if (newer_calls().suspend_time == nullptr) SKIP_CASE(kAbsent);
  Guest guest;
  ASSERT_EQ(newer_calls().suspend_time(guest.handle()), S_OK);
  const UINT64 tsc = tsc_of(guest);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(tsc_of(guest), tsc);
  }
}

CASE(Time, ResumedItGoesOn, kDocumented, "WHvResumePartitionTime") {
  if (newer_calls().resume_time == nullptr) SKIP_CASE(kAbsent);
  Guest guest;
  ASSERT_EQ(newer_calls().suspend_time(guest.handle()), S_OK);
  const UINT64 tsc = tsc_of(guest);
  ASSERT_EQ(newer_calls().resume_time(guest.handle()), S_OK);
  EXPECT_TRUE(moves(guest, tsc));
  EXPECT_GE(tsc_of(guest), tsc);
}

CASE(Time, RunResumesIt, kDocumented, "WHvSuspendPartitionTime") {
  if (newer_calls().suspend_time == nullptr) SKIP_CASE(kAbsent);
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  guest.enter_long_mode();
  ASSERT_EQ(newer_calls().suspend_time(guest.handle()), S_OK);
  const UINT64 tsc = tsc_of(guest);
  guest.run();
  EXPECT_TRUE(moves(guest, tsc));
}

CASE(Time, SuspendedTscsAreSetToBeEqual, kReported, "field guide 2.7: QEMU restores so") {
  if (newer_calls().suspend_time == nullptr) SKIP_CASE(kAbsent);
  Guest guest({.processors = 2, .apic = WHvX64LocalApicEmulationModeX2Apic});
  ASSERT_EQ(newer_calls().suspend_time(guest.handle()), S_OK);
  constexpr UINT64 kTsc = UINT64{1} << 50;
  for (UINT32 vp = 0; vp < 2; ++vp) guest.set({{WHvX64RegisterTsc, kTsc}}, vp);
  for (UINT32 vp = 0; vp < 2; ++vp) EXPECT_EQ(guest.get(WHvX64RegisterTsc, vp).Reg64, kTsc);
}

CASE(Time, SuspendedTwiceOrResumedTwiceIsFine, kBelieved, "no source") {
  if (newer_calls().suspend_time == nullptr) SKIP_CASE(kAbsent);
  Guest guest;
  EXPECT_EQ(newer_calls().suspend_time(guest.handle()), S_OK);
  EXPECT_EQ(newer_calls().suspend_time(guest.handle()), S_OK);
  EXPECT_EQ(newer_calls().resume_time(guest.handle()), S_OK);
  EXPECT_EQ(newer_calls().resume_time(guest.handle()), S_OK);
}

CASE(Time, NotBeforeSetup, kBelieved, "no source") {
  if (newer_calls().suspend_time == nullptr) SKIP_CASE(kAbsent);
  const BarePartition partition;
  EXPECT_EQ(newer_calls().suspend_time(partition.handle()), E_INVALIDARG);
  EXPECT_EQ(newer_calls().resume_time(partition.handle()), E_INVALIDARG);
  EXPECT_EQ(newer_calls().suspend_time(nullptr), E_HANDLE);
  EXPECT_EQ(newer_calls().resume_time(nullptr), E_HANDLE);
}

// ---- reset ----

// Null where this version lacks it, which its answer may say as well.
bool has_reset() {
  if (newer_calls().reset == nullptr) return false;
  return newer_calls().reset(nullptr) != whpapi::kProcNotFound;
}

CASE(Reset, RegistersAreThoseOfSetup, kDocumented, "WHvResetPartition") {
  if (!has_reset()) SKIP_CASE(kAbsent);
  Guest guest;
  guest.enter_long_mode();
  guest.set({{WHvX64RegisterRax, 77}});
  ASSERT_EQ(newer_calls().reset(guest.handle()), S_OK);
  EXPECT_EQ(guest.get(WHvX64RegisterRip).Reg64, 0xFFF0u);
  EXPECT_EQ(guest.get(WHvX64RegisterCr0).Reg64 & 1, 0u);
  EXPECT_EQ(guest.get(WHvX64RegisterRax).Reg64, 0u);
}

CASE(Reset, MemoryAndMappingsStay, kDocumented, "WHvResetPartition") {
  if (!has_reset()) SKIP_CASE(kAbsent);
  Guest guest;
  guest.load(kCodeGpa, Code{0xB0, 0x05} + out(0x80));
  guest.enter_long_mode();
  ASSERT_EQ(newer_calls().reset(guest.handle()), S_OK);
  guest.enter_long_mode();
  const auto exit = guest.run();
  ASSERT_EQ(exit.ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  EXPECT_EQ(exit.IoPortAccess.Rax & 0xFF, 5u);
}

CASE(Reset, PropertiesStay, kDocumented, "WHvResetPartition") {
  if (!has_reset()) SKIP_CASE(kAbsent);
  Guest guest({.processors = 2, .apic = WHvX64LocalApicEmulationModeX2Apic});
  ASSERT_EQ(newer_calls().reset(guest.handle()), S_OK);
  UINT32 mode = 0;
  EXPECT_EQ(WHvGetPartitionProperty(guest.handle(), WHvPartitionPropertyCodeLocalApicEmulationMode,
                                    &mode, sizeof mode, nullptr),
            S_OK);
  EXPECT_EQ(mode, UINT32{WHvX64LocalApicEmulationModeX2Apic});
  EXPECT_EQ(guest.get(WHvX64RegisterRip, 1).Reg64, 0xFFF0u);
}

CASE(Reset, APendingCancelIsForgotten, kDocumented, "WHvResetPartition") {
  if (!has_reset()) SKIP_CASE(kAbsent);
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  ASSERT_EQ(WHvCancelRunVirtualProcessor(guest.handle(), 0, 0), S_OK);
  ASSERT_EQ(newer_calls().reset(guest.handle()), S_OK);
  guest.enter_long_mode();
  EXPECT_EQ(guest.run_once().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
}

CASE(Reset, NotBeforeSetup, kDocumented, "WHvResetPartition: ERROR_INVALID_STATE") {
  if (!has_reset()) SKIP_CASE(kAbsent);
  const BarePartition partition;
  EXPECT_EQ(newer_calls().reset(partition.handle()), whpapi::kInvalidState);
  EXPECT_EQ(newer_calls().reset(nullptr), E_HANDLE);
}

CASE(Reset, ManyInARowAreFine, kReported, "hyperlight resets each sandbox between calls") {
  if (!has_reset()) SKIP_CASE(kAbsent);
  Guest guest;
  guest.load(kCodeGpa, out(0x80));
  for (int i = 0; i < 20; ++i) {
    guest.enter_long_mode();
    ASSERT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
    ASSERT_EQ(newer_calls().reset(guest.handle()), S_OK);
  }
}

// ---- dirty pages ----

bool has_dirty_tracking() {
  WHV_CAPABILITY_FEATURES features{};
  return newer_calls().dirty_bitmap != nullptr &&
         SUCCEEDED(
             WHvGetCapability(WHvCapabilityCodeFeatures, &features, sizeof features, nullptr)) &&
         features.DirtyPageTracking != 0;
}

constexpr UINT32 kTrackedPages = 100;

// A guest with tracked pages at kMmioGpa.
struct TrackedGuest {
  TrackedGuest() {
    EXPECT_EQ(WHvMapGpaRange(guest.handle(), pages.get(), kMmioGpa, kTrackedPages * 4096, kTracked),
              S_OK);
    clear();
  }

  void run(const Code& code) {
    guest.load(kCodeGpa, code + out(0x80));
    guest.enter_long_mode();
    EXPECT_EQ(guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  }
  // Which pages were written since the last time.
  std::array<UINT64, 2> take() {
    std::array<UINT64, 2> bitmap{~UINT64{0}, ~UINT64{0}};
    EXPECT_EQ(newer_calls().dirty_bitmap(guest.handle(), kMmioGpa, kTrackedPages * 4096,
                                         bitmap.data(), sizeof bitmap),
              S_OK);
    return bitmap;
  }
  void clear() {
    EXPECT_EQ(
        newer_calls().dirty_bitmap(guest.handle(), kMmioGpa, kTrackedPages * 4096, nullptr, 0),
        S_OK);
  }

  Pages pages = allocate_pages(kTrackedPages * 4096);
  Guest guest;
};

Code write_to_page(UINT32 page) {
  return load_rbx(kMmioGpa + page * 4096 + 8) + Code{0xC6, 0x03, 0x07};  // mov byte [rbx], 7
}

CASE(Dirty, WrittenPagesAreTold, kDocumented, "WHvQueryGpaRangeDirtyBitmap") {
  if (!has_dirty_tracking()) SKIP_CASE(kUntracked);
  TrackedGuest tracked;
  tracked.run(write_to_page(0) + write_to_page(3) + write_to_page(70));
  const auto bitmap = tracked.take();
  EXPECT_EQ(bitmap[0], 0b1001u);
  EXPECT_EQ(bitmap[1], UINT64{1} << 6);
  EXPECT_EQ(tracked.pages[3 * 4096 + 8], std::byte{7});
}

CASE(Dirty, AskingClears, kDocumented, "WHvQueryGpaRangeDirtyBitmap") {
  if (!has_dirty_tracking()) SKIP_CASE(kUntracked);
  TrackedGuest tracked;
  tracked.run(write_to_page(1));
  EXPECT_EQ(tracked.take()[0], 2u);
  EXPECT_EQ(tracked.take()[0], 0u);
  tracked.run(write_to_page(1));
  EXPECT_EQ(tracked.take()[0], 2u);
}

CASE(Dirty, WithoutABufferItIsOnlyCleared, kDocumented, "WHvQueryGpaRangeDirtyBitmap") {
  if (!has_dirty_tracking()) SKIP_CASE(kUntracked);
  TrackedGuest tracked;
  tracked.run(write_to_page(1));
  tracked.clear();
  EXPECT_EQ(tracked.take()[0], 0u);
}

CASE(Dirty, APartIsAskedForAndTheRestStays, kBelieved, "no source") {
  if (!has_dirty_tracking()) SKIP_CASE(kUntracked);
  TrackedGuest tracked;
  tracked.run(write_to_page(1) + write_to_page(5));
  UINT64 part = ~UINT64{0};
  EXPECT_EQ(newer_calls().dirty_bitmap(tracked.guest.handle(), kMmioGpa + 4 * 4096, 4 * 4096, &part,
                                       sizeof part),
            S_OK);
  EXPECT_EQ(part, 2u);
  EXPECT_EQ(tracked.take()[0], 2u);
}

CASE(Dirty, TheHostsWritesAreNotTold, kReported, "field guide 1.8: entangled") {
  if (!has_dirty_tracking()) SKIP_CASE(kUntracked);
  TrackedGuest tracked;
  tracked.pages[4096] = std::byte{1};
  EXPECT_EQ(tracked.take()[0], 0u);
}

CASE(Dirty, ReadPagesAreNotTold, kReported, "field guide 1.8: entangled") {
  if (!has_dirty_tracking()) SKIP_CASE(kUntracked);
  TrackedGuest tracked;
  tracked.run(load_rbx(kMmioGpa + 4096) + Code{0x8B, 0x03});
  EXPECT_EQ(tracked.take()[0], 0u);
}

CASE(Dirty, AWriteAcrossTwoPagesIsOfBoth, kBelieved, "no source") {
  if (!has_dirty_tracking()) SKIP_CASE(kUntracked);
  TrackedGuest tracked;
  tracked.run(load_rbx(kMmioGpa + 2 * 4096 - 2) + Code{0x89, 0x03});
  EXPECT_EQ(tracked.take()[0], 0b110u);
}

CASE(Dirty, AResetForgetsNothing, kBelieved, "WHvResetPartition keeps memory and mappings") {
  if (!has_dirty_tracking()) SKIP_CASE(kUntracked);
  if (!has_reset()) SKIP_CASE(kAbsent);
  TrackedGuest tracked;
  tracked.run(write_to_page(2));
  ASSERT_EQ(newer_calls().reset(tracked.guest.handle()), S_OK);
  tracked.run(write_to_page(4));
  EXPECT_EQ(tracked.take()[0], 0b10100u);
}

CASE(Dirty, ANewMappingIsClean, kBelieved, "no source") {
  if (!has_dirty_tracking()) SKIP_CASE(kUntracked);
  TrackedGuest tracked;
  tracked.run(write_to_page(1) + write_to_page(2));
  ASSERT_EQ(WHvMapGpaRange(tracked.guest.handle(), tracked.pages.get(), kMmioGpa,
                           kTrackedPages * 4096, kTracked),
            S_OK);
  EXPECT_EQ(tracked.take()[0], 0u);
  tracked.run(write_to_page(3));
  EXPECT_EQ(tracked.take()[0], 0b1000u);
}

CASE(Dirty, PagesBesideAMappingThatIsReplacedAreNotForgotten, kBelieved, "no source") {
  if (!has_dirty_tracking()) SKIP_CASE(kUntracked);
  TrackedGuest tracked;
  tracked.run(write_to_page(1));
  ASSERT_EQ(WHvMapGpaRange(tracked.guest.handle(), tracked.pages.get() + 8 * 4096,
                           kMmioGpa + 8 * 4096, 4096, kTracked),
            S_OK);
  const auto bitmap = tracked.take();
  EXPECT_EQ(bitmap[0] >> 1 & 1, 1u);
  EXPECT_EQ(bitmap[0] >> 8 & 1, 0u);
}

CASE(Dirty, WhatAProcessorThatRunsWritesIsNotLost, kReported, "QEMU migrates running guests so") {
  if (!has_dirty_tracking()) SKIP_CASE(kUntracked);
  TrackedGuest tracked;
  // Writes one page again and again, until the host's byte at kDataGpa says that it has asked.
  const Code again = {0xC6, 0x03, 0x07,                                // mov byte [rbx], 7
                      0x80, 0x3C, 0x25, 0x00, 0x05, 0x00, 0x00, 0x00,  // cmp byte [kDataGpa], 0
                      0x74, 0xF3,                                      // je
                      0xC6, 0x03, 0x08};                               // mov byte [rbx], 8
  tracked.guest.load(kCodeGpa, load_rbx(kMmioGpa + 5 * 4096) + again + out(0x80));
  tracked.guest.enter_long_mode();
  std::thread host([&] {
    while (tracked.take()[0] == 0) {
    }
    std::atomic_ref<std::byte>(tracked.guest.ram()[kDataGpa]).store(std::byte{1});
  });
  EXPECT_EQ(tracked.guest.run().ExitReason, WHvRunVpExitReasonX64IoPortAccess);
  host.join();
  EXPECT_EQ(tracked.take()[0], 0b100000u);
}

CASE(Dirty, WhatIsNotTrackedIsNotFound, kDocumented, "WHvQueryGpaRangeDirtyBitmap") {
  if (!has_dirty_tracking()) SKIP_CASE(kUntracked);
  TrackedGuest tracked;
  UINT64 bitmap = 0;
  EXPECT_EQ(newer_calls().dirty_bitmap(tracked.guest.handle(), 0, 4096, &bitmap, sizeof bitmap),
            WHV_E_GPA_RANGE_NOT_FOUND);
  EXPECT_EQ(newer_calls().dirty_bitmap(tracked.guest.handle(), UINT64{0xE0000000}, 4096, &bitmap,
                                       sizeof bitmap),
            WHV_E_GPA_RANGE_NOT_FOUND);
}

CASE(Dirty, RangesAndBuffersHaveTheirSizes, kDocumented, "WHvQueryGpaRangeDirtyBitmap") {
  if (!has_dirty_tracking()) SKIP_CASE(kUntracked);
  TrackedGuest tracked;
  std::array<UINT64, 4> bitmap{};
  const auto handle = tracked.guest.handle();
  const auto query = newer_calls().dirty_bitmap;
  EXPECT_EQ(query(handle, kMmioGpa + 8, 4096, bitmap.data(), 8), E_INVALIDARG);
  EXPECT_EQ(query(handle, kMmioGpa, 100, bitmap.data(), 8), E_INVALIDARG);
  EXPECT_EQ(query(handle, kMmioGpa, 0, bitmap.data(), 8), E_INVALIDARG);
  EXPECT_TRUE(FAILED(query(handle, kMmioGpa, kTrackedPages * 4096, bitmap.data(), 8)));
  EXPECT_TRUE(FAILED(query(handle, kMmioGpa, 4096, nullptr, 8)));
  EXPECT_EQ(query(nullptr, kMmioGpa, 4096, bitmap.data(), 8), E_HANDLE);
}

// ---- memory of a process ----

// The pseudo-handle of the calling process.
HANDLE this_process() { return reinterpret_cast<HANDLE>(~std::uintptr_t{0}); }

CASE(Map2, OfThisProcessIsAMap, kDocumented, "WHvMapGpaRange2") {
  if (newer_calls().map2 == nullptr) SKIP_CASE(kAbsent);
  Guest guest;
  const Pages page = allocate_pages(4096);
  page[0] = std::byte{0x6C};
  ASSERT_EQ(
      newer_calls().map2(guest.handle(), this_process(), page.get(), kMmioGpa, 4096, kReadWrite),
      S_OK);
  guest.load(kCodeGpa, load_rbx(kMmioGpa) + Code{0x8A, 0x03} + out(0x80));
  guest.enter_long_mode();
  EXPECT_EQ(guest.run().IoPortAccess.Rax & 0xFF, 0x6Cu);
  EXPECT_EQ(WHvUnmapGpaRange(guest.handle(), kMmioGpa, 4096), S_OK);
}

CASE(Map2, ChecksAsAMapDoes, kBelieved, "no source") {
  if (newer_calls().map2 == nullptr) SKIP_CASE(kAbsent);
  Guest guest;
  const Pages page = allocate_pages(4096);
  const auto map = newer_calls().map2;
  EXPECT_EQ(map(guest.handle(), this_process(), page.get() + 1, kMmioGpa, 4096, kReadWrite),
            E_INVALIDARG);
  EXPECT_EQ(map(guest.handle(), this_process(), page.get(), kMmioGpa, 1, kReadWrite), E_INVALIDARG);
  EXPECT_TRUE(FAILED(map(guest.handle(), nullptr, page.get(), kMmioGpa, 4096, kReadWrite)));
  EXPECT_EQ(map(nullptr, this_process(), page.get(), kMmioGpa, 4096, kReadWrite), E_HANDLE);
}

}  // namespace
}  // namespace runhv::conformance
