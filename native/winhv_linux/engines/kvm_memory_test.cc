#include "winhv_linux/engines/kvm_memory.h"

#include <array>
#include <cerrno>
#include <map>
#include <span>
#include <utility>

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

constexpr UINT32 kRead = WHvMapGpaRangeFlagRead;
constexpr UINT32 kReadWrite = WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite;
constexpr UINT32 kTracked = kReadWrite | WHvMapGpaRangeFlagTrackDirtyPages;

// As KVM: what overlaps, or changes a slot in place, is refused.
class Slots {
 public:
  long set(const kvm_userspace_memory_region& region) {
    logs_.erase(region.slot);
    if (region.memory_size == 0) return slots_.erase(region.slot) == 1 ? 0 : -EINVAL;
    for (const auto& [number, each] : slots_) {
      const bool apart = region.guest_phys_addr + region.memory_size <= each.guest_phys_addr ||
                         each.guest_phys_addr + each.memory_size <= region.guest_phys_addr;
      if (number == region.slot || !apart) return -EEXIST;
    }
    slots_[region.slot] = region;
    return 0;
  }
  // What the guest finds at `gpa`: the host's address, 0 where nothing is.
  UINT64 host_at(UINT64 gpa) const {
    for (const auto& [number, each] : slots_) {
      if (gpa - each.guest_phys_addr < each.memory_size) {
        return each.userspace_addr + (gpa - each.guest_phys_addr);
      }
    }
    return 0;
  }
  std::size_t count() const { return slots_.size(); }

  void write(UINT64 gpa) {
    for (const auto& [number, each] : slots_) {
      const bool is_logged = (each.flags & KVM_MEM_LOG_DIRTY_PAGES) != 0;
      if (is_logged && gpa - each.guest_phys_addr < each.memory_size) {
        logs_[number] |= UINT64{1} << (gpa - each.guest_phys_addr) / kPageBytes;
      }
    }
  }
  long take_log(UINT32 number, std::span<UINT64> bitmap) {
    const auto slot = slots_.find(number);
    if (slot == slots_.end() || (slot->second.flags & KVM_MEM_LOG_DIRTY_PAGES) == 0) return -ENOENT;
    bitmap[0] = std::exchange(logs_[number], 0);
    return 0;
  }

 private:
  std::map<UINT32, kvm_userspace_memory_region> slots_;
  std::map<UINT32, UINT64> logs_;
};

class KvmMemoryTest : public ::testing::Test {
 protected:
  GpaRange range(UINT64 pages, std::byte* host, UINT32 flags = kReadWrite) {
    return {pages * kPageBytes, host, flags};
  }
  UINT64 host(std::size_t page) {
    return reinterpret_cast<UINT64>(bytes_.data() + page * kPageBytes);
  }

  alignas(kPageBytes) std::array<std::byte, 8 * kPageBytes> bytes_{};
  Slots slots_;
  UINT64 dirty(UINT64 page, UINT64 pages) {
    UINT64 bitmap = ~UINT64{0};
    EXPECT_EQ(memory_.take_dirty(page * kPageBytes, pages * kPageBytes, {&bitmap, 1}), S_OK);
    return bitmap;
  }

  DirtyPages dirty_pages_;
  KvmMemory memory_{
      {[this](const kvm_userspace_memory_region& r) { return slots_.set(r); },
       [this](UINT32 slot, std::span<UINT64> bitmap) { return slots_.take_log(slot, bitmap); }},
      4,
      dirty_pages_};
};

TEST_F(KvmMemoryTest, WrittenPagesOfATrackedRangeAreTaken) {
  ASSERT_EQ(memory_.map(0, range(2, bytes_.data())), S_OK);
  ASSERT_EQ(memory_.map(2 * kPageBytes, range(4, bytes_.data() + 2 * kPageBytes, kTracked)), S_OK);
  slots_.write(kPageBytes);
  slots_.write(3 * kPageBytes + 8);
  slots_.write(5 * kPageBytes);
  EXPECT_EQ(dirty(3, 2), 0b1u);  // the other is kept
  EXPECT_EQ(dirty(2, 4), 0b1000u);
  EXPECT_EQ(dirty(2, 4), 0u);
}

TEST_F(KvmMemoryTest, TheRestOfATrackedRangeCountsAsWritten) {
  ASSERT_EQ(memory_.map(0, range(4, bytes_.data(), kTracked)), S_OK);
  ASSERT_EQ(memory_.map(kPageBytes, range(1, bytes_.data() + 4 * kPageBytes, kTracked)), S_OK);
  EXPECT_EQ(dirty(0, 4), 0b1101u);
}

TEST_F(KvmMemoryTest, WhatWasWrittenOutlivesIt) {
  {
    KvmMemory other(
        {[this](const kvm_userspace_memory_region& r) { return slots_.set(r); },
         [this](UINT32 slot, std::span<UINT64> bitmap) { return slots_.take_log(slot, bitmap); }},
        4, dirty_pages_);
    ASSERT_EQ(other.map(0, range(4, bytes_.data(), kTracked)), S_OK);
    slots_.write(2 * kPageBytes);
  }
  EXPECT_EQ(dirty(0, 4), 0b100u);
}

TEST_F(KvmMemoryTest, NewRangeReplacesThePagesThatItCovers) {
  ASSERT_EQ(memory_.map(0, range(4, bytes_.data())), S_OK);
  ASSERT_EQ(memory_.map(kPageBytes, range(2, bytes_.data() + 5 * kPageBytes)), S_OK);
  EXPECT_EQ(slots_.host_at(0), host(0));
  EXPECT_EQ(slots_.host_at(kPageBytes), host(5));
  EXPECT_EQ(slots_.host_at(2 * kPageBytes), host(6));
  EXPECT_EQ(slots_.host_at(3 * kPageBytes), host(3));
  EXPECT_EQ(slots_.count(), 3u);
}

TEST_F(KvmMemoryTest, RangeOverSeveralReplacesTheirParts) {
  ASSERT_EQ(memory_.map(0, range(2, bytes_.data())), S_OK);
  ASSERT_EQ(memory_.map(2 * kPageBytes, range(2, bytes_.data() + 2 * kPageBytes)), S_OK);
  ASSERT_EQ(memory_.map(kPageBytes, range(2, bytes_.data() + 6 * kPageBytes)), S_OK);
  EXPECT_EQ(slots_.host_at(0), host(0));
  EXPECT_EQ(slots_.host_at(kPageBytes), host(6));
  EXPECT_EQ(slots_.host_at(2 * kPageBytes), host(7));
  EXPECT_EQ(slots_.host_at(3 * kPageBytes), host(3));
}

TEST_F(KvmMemoryTest, UnmapTakesAPageOutOfTheMiddle) {
  ASSERT_EQ(memory_.map(0, range(3, bytes_.data())), S_OK);
  ASSERT_EQ(memory_.unmap(kPageBytes, kPageBytes), S_OK);
  EXPECT_EQ(slots_.host_at(kPageBytes), 0u);
  EXPECT_EQ(slots_.host_at(2 * kPageBytes), host(2));
  EXPECT_FALSE(memory_.has_range(kPageBytes));
  EXPECT_TRUE(memory_.has_range(2 * kPageBytes + 5));
}

TEST_F(KvmMemoryTest, NumbersOfSlotsAreUsedAgainAndEnd) {
  for (int i = 0; i < 10; ++i) ASSERT_EQ(memory_.map(0, range(1, bytes_.data())), S_OK);
  EXPECT_EQ(slots_.count(), 1u);
  for (UINT64 page = 1; page < 4; ++page) {
    ASSERT_EQ(memory_.map(page * kPageBytes, range(1, bytes_.data())), S_OK);
  }
  EXPECT_EQ(memory_.map(4 * kPageBytes, range(1, bytes_.data())), E_OUTOFMEMORY);
}

TEST_F(KvmMemoryTest, RightsAreOfTheRange) {
  ASSERT_EQ(memory_.map(0, range(1, bytes_.data(), kRead)), S_OK);
  ASSERT_EQ(memory_.map(kPageBytes, range(1, bytes_.data(), 0)), S_OK);
  EXPECT_TRUE(memory_.allows(0, WHvMemoryAccessRead));
  EXPECT_FALSE(memory_.allows(0, WHvMemoryAccessWrite));
  EXPECT_TRUE(memory_.has_range(kPageBytes));
  EXPECT_FALSE(memory_.allows(kPageBytes, WHvMemoryAccessRead));
  EXPECT_EQ(slots_.host_at(kPageBytes), 0u);
}

TEST_F(KvmMemoryTest, ReadsAcrossRangesAndNotBehindThem) {
  bytes_[kPageBytes - 1] = std::byte{1};
  bytes_[5 * kPageBytes] = std::byte{2};
  ASSERT_EQ(memory_.map(0, range(1, bytes_.data())), S_OK);
  ASSERT_EQ(memory_.map(kPageBytes, range(1, bytes_.data() + 5 * kPageBytes)), S_OK);
  std::array<std::byte, 2> two{};
  EXPECT_TRUE(memory_.read(kPageBytes - 1, two));
  EXPECT_EQ(two[0], std::byte{1});
  EXPECT_EQ(two[1], std::byte{2});
  EXPECT_FALSE(memory_.read(2 * kPageBytes - 1, two));
  EXPECT_FALSE(memory_.read(UINT64_MAX, two));
}

}  // namespace
}  // namespace runhv::winhv_linux
