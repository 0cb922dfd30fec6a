#include "platform/clock.h"

#include <chrono>

#include "gtest/gtest.h"

namespace runhv::platform {
namespace {

TEST(ClockTest, TheProcessStartedBeforeNow) {
  EXPECT_LE(process_start_ns(), monotonic_ns());
  EXPECT_GT(process_start_ns(), 0u);
}

// Deadlines of the one are waited for by the other.
TEST(ClockTest, TheMonotonicClockIsTheCppLibrarys) {
  const auto steady_ns = [] {
    return static_cast<std::uint64_t>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
  };
  const std::uint64_t first = monotonic_ns();
  const std::uint64_t second = steady_ns();
  const std::uint64_t third = monotonic_ns();
  EXPECT_LE(first, second);
  EXPECT_LE(second, third);
}

TEST(ClockTest, TheOtherClockIsThatOfTheWorld) {
  constexpr std::uint64_t kYearNs = 365ull * 24 * 3600 * 1'000'000'000;
  EXPECT_GT(realtime_ns(), 55 * kYearNs);   // 2025
  EXPECT_LT(realtime_ns(), 200 * kYearNs);  // later than this code
}

}  // namespace
}  // namespace runhv::platform
