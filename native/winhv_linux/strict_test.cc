#include "winhv_linux/strict.h"

#include <map>

#include "gtest/gtest.h"
#include "platform/clock.h"

namespace runhv::winhv_linux {
namespace {

std::map<int, int> spurious(const Strictness& strictness, UINT32 vp, std::uint64_t runs) {
  std::map<int, int> reasons;
  for (std::uint64_t run = 1; run <= runs; ++run) {
    if (const auto reason = strictness.spurious_exit(vp, run)) ++reasons[*reason];
  }
  return reasons;
}

TEST(Strictness, OffItReturnsForNothingNever) {
  EXPECT_TRUE(spurious({.enabled = false, .seed = 1}, 0, 1000).empty());
}

TEST(Strictness, WithoutASeedAFewRunsAreCanceledAndNoneReturnsNone) {
  const Strictness strict{.enabled = true};
  EXPECT_EQ(strict.spurious_exit(3, 97), WHvRunVpExitReasonCanceled);
  EXPECT_EQ(strict.spurious_exit(0, 1), std::nullopt);
  EXPECT_EQ(spurious(strict, 0, 1000), (std::map<int, int>{{WHvRunVpExitReasonCanceled, 10}}));
}

TEST(Strictness, ASeedChoosesAboutAsManyOfBothAndAlwaysTheSame) {
  const Strictness strict{.enabled = true, .seed = 7};
  auto reasons = spurious(strict, 0, 1600);
  EXPECT_EQ(reasons, spurious(strict, 0, 1600));
  for (const auto reason : {WHvRunVpExitReasonNone, WHvRunVpExitReasonCanceled}) {
    EXPECT_GT(reasons[reason], 50);
    EXPECT_LT(reasons[reason], 150);
  }
}

TEST(Strictness, SeedsAndProcessorsDiffer) {
  const auto pattern = [](std::uint64_t seed, UINT32 vp) {
    std::uint64_t bits = 0;
    for (std::uint64_t run = 1; run <= 64; ++run) {
      const Strictness strict{.enabled = true, .seed = seed};
      bits = bits << 1 | (strict.spurious_exit(vp, run) ? 1 : 0);
    }
    return bits;
  };
  EXPECT_NE(pattern(1, 0), pattern(2, 0));
  EXPECT_NE(pattern(1, 0), pattern(1, 1));
}

TEST(Strictness, CostsAreWaitedForWhereTheyAreAskedFor) {
  const Strictness strict{.enabled = true, .costs = true};
  const std::uint64_t start = platform::monotonic_ns();
  strict.pay_for_exit();
  const std::uint64_t after_exit = platform::monotonic_ns();
  EXPECT_GE(after_exit - start, kExitCostNs);
  strict.pay_for_map(std::uint64_t{1} << 28);
  EXPECT_GE(platform::monotonic_ns() - after_exit, kMapCostNsPerGib / 4);
}

}  // namespace
}  // namespace runhv::winhv_linux
