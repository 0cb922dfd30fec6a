#include "container/watchdog.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::container {
namespace {

using ::testing::HasSubstr;
using For = Watchdog::For;

constexpr std::uint64_t kMemory = 1000;

// The number of ticks after which `look` is too much; 0 = never, within `limit`.
template <class Look>
unsigned ticks_until_fault(Watchdog& watchdog, unsigned limit, Look look) {
  for (unsigned tick = 1; tick <= limit; ++tick) {
    if (watchdog.tick(look(tick))) return tick;
  }
  return 0;
}

TEST(Watchdog, EndsWithAnAgentThatNeverSpeaks) {
  Watchdog watchdog(kMemory);
  const auto silent = [](unsigned) { return Watchdog::Look{.what = For::kHello}; };
  EXPECT_EQ(ticks_until_fault(watchdog, 1000, silent), Watchdog::kStartTicks + 1);
  EXPECT_THAT(watchdog.tick(silent(0)).value_or(""), HasSubstr("has not spoken"));
}

TEST(Watchdog, EndsWithAnAgentThatNeverStartsTheProgram) {
  Watchdog watchdog(kMemory);
  const auto hello = [](unsigned) { return Watchdog::Look{.what = For::kHello}; };
  EXPECT_EQ(ticks_until_fault(watchdog, Watchdog::kStartTicks, hello), 0u);
  const auto started = [](unsigned) { return Watchdog::Look{.what = For::kStarted}; };
  EXPECT_EQ(ticks_until_fault(watchdog, 1000, started), Watchdog::kStartTicks + 1)
      << "counted anew";
  EXPECT_THAT(watchdog.tick(started(0)).value_or(""), HasSubstr("has not started"));
}

TEST(Watchdog, EndsWithAnAgentThatNeverPreparesTheContainer) {
  Watchdog watchdog(kMemory);
  const auto silent = [](unsigned) { return Watchdog::Look{.what = For::kPrepared}; };
  EXPECT_EQ(ticks_until_fault(watchdog, 1000, silent), Watchdog::kStartTicks + 1);
  EXPECT_THAT(watchdog.tick(silent(0)).value_or(""), HasSubstr("has not prepared"));
}

TEST(Watchdog, HasNoEndWhileTheProgramRuns) {
  Watchdog watchdog(kMemory);
  EXPECT_EQ(ticks_until_fault(watchdog, 100'000,
                              [](unsigned tick) {
                                return Watchdog::Look{.what = For::kNothing,
                                                      .output_bytes = tick * kMemory};
                              }),
            0u);
}

TEST(Watchdog, EndsWithOutputsThatStayOpenAndSilent) {
  Watchdog watchdog(kMemory);
  const auto look = [](unsigned) {
    return Watchdog::Look{.what = For::kOutput, .output_bytes = 7};
  };
  EXPECT_EQ(ticks_until_fault(watchdog, 1000, look), Watchdog::kOutputTicks + 1);
  EXPECT_THAT(watchdog.tick(look(0)).value_or(""), HasSubstr("keeps its output open"));
}

TEST(Watchdog, WaitsForAReaderOfTheHostAsLongAsItTakes) {
  Watchdog watchdog(kMemory);
  const auto slow = [](unsigned) {
    return Watchdog::Look{.what = For::kOutput, .host_is_slow = true};
  };
  EXPECT_EQ(ticks_until_fault(watchdog, 100'000, slow), 0u);
  const auto read = [](unsigned) { return Watchdog::Look{.what = For::kOutput}; };
  EXPECT_EQ(ticks_until_fault(watchdog, 1000, read), Watchdog::kOutputTicks);
}

TEST(Watchdog, EachByteIsASignOfLifeUntilThereAreTooMany) {
  Watchdog watchdog(kMemory);
  const auto trickle = [](unsigned tick) {
    return Watchdog::Look{.what = For::kOutput, .output_bytes = 50'000 + tick};
  };
  EXPECT_EQ(ticks_until_fault(watchdog, 100'000, trickle), kMemory + 2);
  EXPECT_THAT(watchdog.tick(trickle(5000)).value_or(""), HasSubstr("more output than its memory"));
}

TEST(Watchdog, OutputThatOthersShareMayBeAnyNumberOfBytes) {
  Watchdog watchdog(kMemory);
  const auto trickle = [](unsigned tick) {
    return Watchdog::Look{.what = For::kSharedOutput, .output_bytes = tick};
  };
  EXPECT_EQ(ticks_until_fault(watchdog, 10 * kMemory, trickle), 0u);
  const auto silent = [](unsigned) { return Watchdog::Look{.what = For::kSharedOutput}; };
  EXPECT_EQ(ticks_until_fault(watchdog, 1000, silent), Watchdog::kOutputTicks + 1);
}

}  // namespace
}  // namespace runhv::container
