#include "platform/random.h"

#include <array>

#include "gtest/gtest.h"

namespace runhv::platform {
namespace {

TEST(RandomTest, TwoDrawsDiffer) {
  std::array<std::byte, 32> first{}, second{};
  fill_random(first);
  fill_random(second);
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace runhv::platform
