#include "winhv_linux/gpa_map.h"

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

std::byte memory_a[8 * kPageBytes];
std::byte memory_b[8 * kPageBytes];

TEST(GpaMap, CoversWhatWasMappedOnly) {
  GpaMap map;
  map.map(4 * kPageBytes, {2 * kPageBytes, memory_a, 7});
  EXPECT_TRUE(map.covers(4 * kPageBytes, 2 * kPageBytes));
  EXPECT_FALSE(map.covers(3 * kPageBytes, 2 * kPageBytes));
  EXPECT_FALSE(map.covers(5 * kPageBytes, 2 * kPageBytes));
  EXPECT_EQ(map.host_at(5 * kPageBytes + 8), memory_a + kPageBytes + 8);
  EXPECT_EQ(map.host_at(6 * kPageBytes), nullptr);
}

TEST(GpaMap, CoversAcrossNeighbours) {
  GpaMap map;
  map.map(0, {kPageBytes, memory_a, 7});
  map.map(kPageBytes, {kPageBytes, memory_b, 1});
  EXPECT_TRUE(map.covers(0, 2 * kPageBytes));
  EXPECT_EQ(map.flags_at(kPageBytes), 1u);
}

TEST(GpaMap, CoversWithTheFlagsOfEveryPage) {
  GpaMap map;
  map.map(0, {kPageBytes, memory_a, 15});
  map.map(kPageBytes, {kPageBytes, memory_b, 7});
  EXPECT_TRUE(map.covers(0, 2 * kPageBytes, 7));
  EXPECT_TRUE(map.covers(0, kPageBytes, 8));
  EXPECT_FALSE(map.covers(0, 2 * kPageBytes, 8));
}

TEST(GpaMap, MappingReplacesTheMiddle) {
  GpaMap map;
  map.map(0, {8 * kPageBytes, memory_a, 7});
  map.map(2 * kPageBytes, {kPageBytes, memory_b, 1});
  EXPECT_TRUE(map.covers(0, 8 * kPageBytes));
  EXPECT_EQ(map.host_at(kPageBytes), memory_a + kPageBytes);
  EXPECT_EQ(map.host_at(2 * kPageBytes), memory_b);
  EXPECT_EQ(map.host_at(3 * kPageBytes), memory_a + 3 * kPageBytes);
  EXPECT_EQ(map.flags_at(3 * kPageBytes), 7u);
}

TEST(GpaMap, UnmapCutsEveryRangeItTouches) {
  GpaMap map;
  map.map(0, {3 * kPageBytes, memory_a, 7});
  map.map(3 * kPageBytes, {3 * kPageBytes, memory_b, 7});
  map.unmap(2 * kPageBytes, 2 * kPageBytes);
  EXPECT_TRUE(map.covers(0, 2 * kPageBytes));
  EXPECT_EQ(map.host_at(2 * kPageBytes), nullptr);
  EXPECT_EQ(map.host_at(3 * kPageBytes), nullptr);
  EXPECT_EQ(map.host_at(4 * kPageBytes), memory_b + kPageBytes);
  map.unmap(0, 8 * kPageBytes);
  EXPECT_TRUE(map.empty());
}

}  // namespace
}  // namespace runhv::winhv_linux
