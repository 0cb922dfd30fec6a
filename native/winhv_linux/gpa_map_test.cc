#include "winhv_linux/gpa_map.h"

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

constexpr std::uint64_t kPage = 4096;

std::byte memory_a[8 * kPage];
std::byte memory_b[8 * kPage];

TEST(GpaMap, CoversWhatWasMappedOnly) {
  GpaMap map;
  map.map(4 * kPage, {2 * kPage, memory_a, 7});
  EXPECT_TRUE(map.covers(4 * kPage, 2 * kPage));
  EXPECT_FALSE(map.covers(3 * kPage, 2 * kPage));
  EXPECT_FALSE(map.covers(5 * kPage, 2 * kPage));
  EXPECT_EQ(map.host_at(5 * kPage + 8), memory_a + kPage + 8);
  EXPECT_EQ(map.host_at(6 * kPage), nullptr);
}

TEST(GpaMap, CoversAcrossNeighbours) {
  GpaMap map;
  map.map(0, {kPage, memory_a, 7});
  map.map(kPage, {kPage, memory_b, 1});
  EXPECT_TRUE(map.covers(0, 2 * kPage));
  EXPECT_EQ(map.flags_at(kPage), 1u);
}

TEST(GpaMap, CoversWithTheFlagsOfEveryPage) {
  GpaMap map;
  map.map(0, {kPage, memory_a, 15});
  map.map(kPage, {kPage, memory_b, 7});
  EXPECT_TRUE(map.covers(0, 2 * kPage, 7));
  EXPECT_TRUE(map.covers(0, kPage, 8));
  EXPECT_FALSE(map.covers(0, 2 * kPage, 8));
}

TEST(GpaMap, MappingReplacesTheMiddle) {
  GpaMap map;
  map.map(0, {8 * kPage, memory_a, 7});
  map.map(2 * kPage, {kPage, memory_b, 1});
  EXPECT_TRUE(map.covers(0, 8 * kPage));
  EXPECT_EQ(map.host_at(kPage), memory_a + kPage);
  EXPECT_EQ(map.host_at(2 * kPage), memory_b);
  EXPECT_EQ(map.host_at(3 * kPage), memory_a + 3 * kPage);
  EXPECT_EQ(map.flags_at(3 * kPage), 7u);
}

TEST(GpaMap, UnmapCutsEveryRangeItTouches) {
  GpaMap map;
  map.map(0, {3 * kPage, memory_a, 7});
  map.map(3 * kPage, {3 * kPage, memory_b, 7});
  map.unmap(2 * kPage, 2 * kPage);
  EXPECT_TRUE(map.covers(0, 2 * kPage));
  EXPECT_EQ(map.host_at(2 * kPage), nullptr);
  EXPECT_EQ(map.host_at(3 * kPage), nullptr);
  EXPECT_EQ(map.host_at(4 * kPage), memory_b + kPage);
  map.unmap(0, 8 * kPage);
  EXPECT_TRUE(map.empty());
}

}  // namespace
}  // namespace runhv::winhv_linux
