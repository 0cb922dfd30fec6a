#include "winhv_linux/engines/page_walk.h"

#include <cstring>
#include <vector>

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

constexpr UINT64 kPaging = UINT64{1} << 31;
constexpr UINT64 kWriteProtect = UINT64{1} << 16;
constexpr UINT64 kLongMode = UINT64{1} << 10;
constexpr UINT64 kNoExecuteEnabled = UINT64{1} << 11;
constexpr UINT64 kPae = UINT64{1} << 5;
constexpr UINT64 kPse = UINT64{1} << 4;
constexpr UINT64 kLa57 = UINT64{1} << 12;

class Memory final : public PhysicalMemory {
 public:
  bool read(UINT64 gpa, std::span<std::byte> to) const override {
    if (gpa > bytes_.size() || to.size() > bytes_.size() - gpa) return false;
    std::memcpy(to.data(), bytes_.data() + gpa, to.size());
    return true;
  }
  template <class Entry>
  void put(UINT64 gpa, Entry entry) {
    std::memcpy(bytes_.data() + gpa, &entry, sizeof entry);
  }

 private:
  std::vector<std::byte> bytes_ = std::vector<std::byte>(0x10000);
};

// 0xFFFF800000201234 by four levels, to 0xABC000.
class FourLevels : public ::testing::Test {
 protected:
  FourLevels() {
    memory_.put<UINT64>(0x1000 + 256 * 8, 0x2007);
    memory_.put<UINT64>(0x2000, 0x3007);
    memory_.put<UINT64>(0x3000 + 8, 0x4007);
    memory_.put<UINT64>(0x4000 + 8, last_ | 0xABC000);
  }
  std::optional<UINT64> walk(WHV_MEMORY_ACCESS_TYPE access = WHvMemoryAccessRead) {
    memory_.put<UINT64>(0x4000 + 8, last_ | 0xABC000);
    return walk_page_tables(state_, gva_, access, memory_);
  }

  UINT64 gva_ = 0xFFFF'8000'0020'1234;
  UINT64 last_ = 7;
  PagingState state_{kPaging | kWriteProtect, 0x1000, kPae, kLongMode | kNoExecuteEnabled, false};
  Memory memory_;
};

TEST_F(FourLevels, LeadToThePage) { EXPECT_EQ(walk(), 0xABC234u); }

TEST_F(FourLevels, RefuseWhatIsNotPresentOrNotCanonical) {
  last_ = 6;
  EXPECT_EQ(walk(), std::nullopt);
  last_ = 7;
  gva_ = 0x0000'8000'0020'1234;
  EXPECT_EQ(walk(), std::nullopt);
}

TEST_F(FourLevels, RightsAreThoseOfTheAccess) {
  last_ = 1 | UINT64{1} << 63;  // read-only, supervisor, no execute
  EXPECT_TRUE(walk());
  EXPECT_FALSE(walk(WHvMemoryAccessWrite));
  EXPECT_FALSE(walk(WHvMemoryAccessExecute));
  state_.cr0 &= ~kWriteProtect;
  EXPECT_TRUE(walk(WHvMemoryAccessWrite));
  state_.efer &= ~kNoExecuteEnabled;
  EXPECT_TRUE(walk(WHvMemoryAccessExecute));
  state_.user = true;
  EXPECT_FALSE(walk());
}

TEST_F(FourLevels, LargePagesEndTheWalk) {
  memory_.put<UINT64>(0x3000 + 8, 0x40'0087);
  EXPECT_EQ(walk(), 0x40'1234u);
  memory_.put<UINT64>(0x2000, 0x8000'0087);
  EXPECT_EQ(walk(), 0x8020'1234u);
}

TEST_F(FourLevels, TablesThatAreNoMemoryMapNothing) {
  memory_.put<UINT64>(0x3000 + 8, 0xFFFF'F007);
  EXPECT_EQ(walk(), std::nullopt);
}

TEST_F(FourLevels, FiveLevelsHaveOneMore) {
  state_.cr4 |= kLa57;
  state_.cr3 = 0x5000;
  memory_.put<UINT64>(0x5000 + 511 * 8, 0x1007);
  EXPECT_EQ(walk(), 0xABC234u);
}

TEST(PageWalk, WithoutPagingAddressesAreTheirOwn) {
  const Memory memory;
  EXPECT_EQ(walk_page_tables({}, 0x1'2345'6789, WHvMemoryAccessWrite, memory), 0x2345'6789u);
}

TEST(PageWalk, PaeHasFourPointersWithoutRights) {
  Memory memory;
  memory.put<UINT64>(0x1020 + 3 * 8, 0x2001);
  memory.put<UINT64>(0x2000, 0x3003);
  memory.put<UINT64>(0x3000, 0x7003);
  const PagingState state{kPaging | kWriteProtect, 0x1020, kPae, 0, false};
  EXPECT_EQ(walk_page_tables(state, 0xC000'0567, WHvMemoryAccessWrite, memory), 0x7567u);
  EXPECT_EQ(walk_page_tables(state, 0x8000'0567, WHvMemoryAccessWrite, memory), std::nullopt);
}

TEST(PageWalk, ThirtyTwoBitsHaveTwoLevels) {
  Memory memory;
  memory.put<UINT32>(0x1000 + 4, 0x2003);
  memory.put<UINT32>(0x2000 + 8, 0x7003);
  memory.put<UINT32>(0x1000 + 8, 0x00C0'0083 | 1u << 13);  // 4 MiB, above 4 GiB
  const PagingState state{kPaging | kWriteProtect, 0x1000, kPse, 0, false};
  EXPECT_EQ(walk_page_tables(state, 0x0040'2567, WHvMemoryAccessWrite, memory), 0x7567u);
  EXPECT_EQ(walk_page_tables(state, 0x0081'2345, WHvMemoryAccessRead, memory), 0x1'00C1'2345u);
}

}  // namespace
}  // namespace runhv::winhv_linux
