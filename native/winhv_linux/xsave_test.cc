#include "winhv_linux/xsave.h"

#include <cstring>

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

// AVX; one that lies far behind it and is not aligned; one that is.
const XsaveLayout kLayout({{2, 256, 576, false}, {9, 8, 2688, false}, {11, 64, 3008, true}});

constexpr std::size_t kXstateBv = 512;
constexpr std::size_t kXcompBv = 520;
constexpr std::uint64_t kCompacted = std::uint64_t{1} << 63;

class Area {
 public:
  explicit Area(std::size_t bytes) : bytes_(bytes) {}
  void put(std::size_t offset, std::uint64_t value) {
    std::memcpy(bytes_.data() + offset, &value, sizeof value);
  }
  std::uint64_t at(std::size_t offset) const {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  std::span<std::byte> all() { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

TEST(XsaveLayout, BothFormsHaveTheirSizes) {
  EXPECT_EQ(kLayout.standard_bytes(), 3072u);
  EXPECT_EQ(kLayout.compacted_bytes(), 896u + 64u);  // 576 + 256 + 8, and then aligned
  EXPECT_EQ(XsaveLayout({}).standard_bytes(), 576u);
  EXPECT_EQ(XsaveLayout({}).compacted_bytes(), 576u);
}

TEST(XsaveLayout, ComponentsMoveTogether) {
  Area standard(kLayout.standard_bytes());
  standard.put(24, 0x1F80);
  standard.put(kXstateBv, 0xA07);
  standard.put(576, 1);
  standard.put(2688, 2);
  standard.put(3008, 3);
  Area compacted(kLayout.compacted_bytes());
  kLayout.compact(standard.all(), compacted.all());
  EXPECT_EQ(compacted.at(24), 0x1F80u);
  EXPECT_EQ(compacted.at(kXstateBv), 0xA07u);
  EXPECT_EQ(compacted.at(kXcompBv), kCompacted | 0xA07);
  EXPECT_EQ(compacted.at(576), 1u);
  EXPECT_EQ(compacted.at(832), 2u);
  EXPECT_EQ(compacted.at(896), 3u);

  Area back(kLayout.standard_bytes());
  ASSERT_TRUE(kLayout.expand(compacted.all(), back.all()));
  EXPECT_EQ(std::memcmp(back.all().data(), standard.all().data(), back.all().size()), 0);
}

TEST(XsaveLayout, WhatIsLeftOutIsNotInUse) {
  Area compacted(kLayout.compacted_bytes());
  compacted.put(kXstateBv, 0x201);
  compacted.put(kXcompBv, kCompacted | 0x203);
  compacted.put(576, 7);  // of component 9: there is no AVX before it
  Area standard(kLayout.standard_bytes());
  ASSERT_TRUE(kLayout.expand(compacted.all(), standard.all()));
  EXPECT_EQ(standard.at(kXstateBv), 0x201u);
  EXPECT_EQ(standard.at(kXcompBv), 0u);
  EXPECT_EQ(standard.at(576), 0u);
  EXPECT_EQ(standard.at(2688), 7u);
}

TEST(XsaveLayout, OtherAreasAreRefused) {
  Area standard(kLayout.standard_bytes());
  const auto is_one = [&](std::uint64_t xstate_bv, std::uint64_t xcomp_bv, std::size_t bytes,
                          std::uint64_t reserved = 0) {
    Area compacted(kLayout.compacted_bytes());
    compacted.put(kXstateBv, xstate_bv);
    compacted.put(kXcompBv, xcomp_bv);
    compacted.put(568, reserved);
    return kLayout.expand(compacted.all().first(bytes), standard.all());
  };
  const std::size_t whole = kLayout.compacted_bytes();
  EXPECT_TRUE(is_one(7, kCompacted | 0xA07, whole));
  EXPECT_TRUE(is_one(7, kCompacted | 7, 832));
  EXPECT_FALSE(is_one(7, 7, whole));                       // of the standard form
  EXPECT_FALSE(is_one(7, kCompacted | 3, whole));          // in use, and not there
  EXPECT_FALSE(is_one(7, kCompacted | 0xF, whole));        // no such component
  EXPECT_FALSE(is_one(7, kCompacted | 0xA07, whole - 1));  // too short
  EXPECT_FALSE(is_one(0, kCompacted, 575));
  EXPECT_FALSE(is_one(7, kCompacted | 0xA07, whole, 1));
}

}  // namespace
}  // namespace runhv::winhv_linux
