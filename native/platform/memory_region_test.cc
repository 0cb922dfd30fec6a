#include "platform/memory_region.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace runhv::platform {
namespace {

TEST(MemoryRegionTest, IsZeroAndCountsWhatWasTouched) {
  auto region = MemoryRegion::reserve(64 << 20);
  ASSERT_TRUE(region);
  EXPECT_EQ(region->resident_bytes(), 0u);
  EXPECT_EQ(region->bytes()[5 << 20], std::byte{0});
  region->bytes()[10 << 20] = std::byte{1};
  EXPECT_GT(region->resident_bytes(), 0u);
}

TEST(MemoryRegionTest, BeginsWhereALargePageMay) {
  const auto region = MemoryRegion::reserve(4096);
  ASSERT_TRUE(region);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(region->data()) % (2u << 20), 0u);
}

TEST(MemoryRegionDeathTest, HasNothingBeforeAndBehindIt) {
  const auto region = MemoryRegion::reserve(1 << 20);
  ASSERT_TRUE(region);
  const auto write = [&](std::ptrdiff_t offset) {
    *const_cast<volatile std::byte*>(region->data() + offset) = std::byte{1};
  };
  write(0);
  write((1 << 20) - 1);
  EXPECT_DEATH(write(-1), "");
  EXPECT_DEATH(write(1 << 20), "");
}

}  // namespace
}  // namespace runhv::platform
