#include "winhv_linux/engines/kvm_memory.h"

#include <array>
#include <cerrno>
#include <map>

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

constexpr UINT64 kPage = 4096;
constexpr UINT32 kRead = WHvMapGpaRangeFlagRead;
constexpr UINT32 kReadWrite = WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite;

// As KVM: what overlaps, or changes a slot in place, is refused.
class Slots {
 public:
  long set(const kvm_userspace_memory_region& region) {
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

 private:
  std::map<UINT32, kvm_userspace_memory_region> slots_;
};

class KvmMemoryTest : public ::testing::Test {
 protected:
  GpaRange range(UINT64 pages, std::byte* host, UINT32 flags = kReadWrite) {
    return {pages * kPage, host, flags};
  }
  UINT64 host(std::size_t page) { return reinterpret_cast<UINT64>(bytes_.data() + page * kPage); }

  alignas(kPage) std::array<std::byte, 8 * kPage> bytes_{};
  Slots slots_;
  KvmMemory memory_{[this](const kvm_userspace_memory_region& r) { return slots_.set(r); }, 4};
};

TEST_F(KvmMemoryTest, NewRangeReplacesThePagesThatItCovers) {
  ASSERT_EQ(memory_.map(0, range(4, bytes_.data())), S_OK);
  ASSERT_EQ(memory_.map(kPage, range(2, bytes_.data() + 5 * kPage)), S_OK);
  EXPECT_EQ(slots_.host_at(0), host(0));
  EXPECT_EQ(slots_.host_at(kPage), host(5));
  EXPECT_EQ(slots_.host_at(2 * kPage), host(6));
  EXPECT_EQ(slots_.host_at(3 * kPage), host(3));
  EXPECT_EQ(slots_.count(), 3u);
}

TEST_F(KvmMemoryTest, RangeOverSeveralReplacesTheirParts) {
  ASSERT_EQ(memory_.map(0, range(2, bytes_.data())), S_OK);
  ASSERT_EQ(memory_.map(2 * kPage, range(2, bytes_.data() + 2 * kPage)), S_OK);
  ASSERT_EQ(memory_.map(kPage, range(2, bytes_.data() + 6 * kPage)), S_OK);
  EXPECT_EQ(slots_.host_at(0), host(0));
  EXPECT_EQ(slots_.host_at(kPage), host(6));
  EXPECT_EQ(slots_.host_at(2 * kPage), host(7));
  EXPECT_EQ(slots_.host_at(3 * kPage), host(3));
}

TEST_F(KvmMemoryTest, UnmapTakesAPageOutOfTheMiddle) {
  ASSERT_EQ(memory_.map(0, range(3, bytes_.data())), S_OK);
  ASSERT_EQ(memory_.unmap(kPage, kPage), S_OK);
  EXPECT_EQ(slots_.host_at(kPage), 0u);
  EXPECT_EQ(slots_.host_at(2 * kPage), host(2));
  EXPECT_FALSE(memory_.has_range(kPage));
  EXPECT_TRUE(memory_.has_range(2 * kPage + 5));
}

TEST_F(KvmMemoryTest, NumbersOfSlotsAreUsedAgainAndEnd) {
  for (int i = 0; i < 10; ++i) ASSERT_EQ(memory_.map(0, range(1, bytes_.data())), S_OK);
  EXPECT_EQ(slots_.count(), 1u);
  for (UINT64 page = 1; page < 4; ++page) {
    ASSERT_EQ(memory_.map(page * kPage, range(1, bytes_.data())), S_OK);
  }
  EXPECT_EQ(memory_.map(4 * kPage, range(1, bytes_.data())), E_OUTOFMEMORY);
}

TEST_F(KvmMemoryTest, RightsAreOfTheRange) {
  ASSERT_EQ(memory_.map(0, range(1, bytes_.data(), kRead)), S_OK);
  ASSERT_EQ(memory_.map(kPage, range(1, bytes_.data(), 0)), S_OK);
  EXPECT_TRUE(memory_.allows(0, WHvMemoryAccessRead));
  EXPECT_FALSE(memory_.allows(0, WHvMemoryAccessWrite));
  EXPECT_TRUE(memory_.has_range(kPage));
  EXPECT_FALSE(memory_.allows(kPage, WHvMemoryAccessRead));
  EXPECT_EQ(slots_.host_at(kPage), 0u);
}

TEST_F(KvmMemoryTest, ReadsAcrossRangesAndNotBehindThem) {
  bytes_[kPage - 1] = std::byte{1};
  bytes_[5 * kPage] = std::byte{2};
  ASSERT_EQ(memory_.map(0, range(1, bytes_.data())), S_OK);
  ASSERT_EQ(memory_.map(kPage, range(1, bytes_.data() + 5 * kPage)), S_OK);
  std::array<std::byte, 2> two{};
  EXPECT_TRUE(memory_.read(kPage - 1, two));
  EXPECT_EQ(two[0], std::byte{1});
  EXPECT_EQ(two[1], std::byte{2});
  EXPECT_FALSE(memory_.read(2 * kPage - 1, two));
  EXPECT_FALSE(memory_.read(UINT64_MAX, two));
}

}  // namespace
}  // namespace runhv::winhv_linux
