#include "winhv_linux/partition_clock.h"

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

void wait_for_a_tick() {
  const std::uint64_t start = platform::monotonic_ns();
  while (platform::monotonic_ns() == start) {
  }
}

TEST(PartitionClock, RunsAsTheHosts) {
  const PartitionClock clock;
  const std::uint64_t before = platform::monotonic_ns();
  const std::uint64_t now = clock.now_ns();
  EXPECT_GE(now, before);
  EXPECT_LE(now, platform::monotonic_ns());
  EXPECT_EQ(clock.host_ns(5), 5u);
}

TEST(PartitionClock, StandsStillWhileSuspendedAndGoesOnFromThere) {
  PartitionClock clock;
  clock.suspend();
  const std::uint64_t stopped = clock.now_ns();
  wait_for_a_tick();
  clock.suspend();  // again: nothing
  EXPECT_EQ(clock.now_ns(), stopped);
  clock.resume();
  const std::uint64_t resumed = clock.now_ns();
  EXPECT_GE(resumed, stopped);
  EXPECT_LT(resumed, platform::monotonic_ns());
  clock.resume();
  EXPECT_GE(clock.now_ns(), resumed);
}

TEST(PartitionClock, TellsWhenTheHostsClockShowsATime) {
  PartitionClock clock;
  clock.suspend();
  wait_for_a_tick();
  clock.resume();
  const std::uint64_t now = clock.now_ns();
  const std::uint64_t lost = platform::monotonic_ns() - now;  // at most
  EXPECT_GT(clock.host_ns(1000), 1000u);
  EXPECT_LE(clock.host_ns(1000), 1000 + lost);
  EXPECT_EQ(clock.host_ns(UINT64_MAX), UINT64_MAX);
}

}  // namespace
}  // namespace runhv::winhv_linux
