#include "container/patience.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv {
namespace {

using testing::HasSubstr;
using For = Patience::For;

constexpr std::uint64_t kMemory = 1000;

// The number of ticks after which `look` is too much; 0 = never, within `limit`.
template <class Look>
unsigned ticks_until_fault(Patience& patience, unsigned limit, Look look) {
  for (unsigned tick = 1; tick <= limit; ++tick) {
    if (patience.tick(look(tick))) return tick;
  }
  return 0;
}

TEST(Patience, EndsWithAnAgentThatNeverSpeaks) {
  Patience patience(kMemory);
  const auto silent = [](unsigned) { return Patience::Look{.what = For::kHello}; };
  EXPECT_EQ(ticks_until_fault(patience, 1000, silent), Patience::kStartTicks + 1);
  EXPECT_THAT(patience.tick(silent(0)).value_or(""), HasSubstr("has not spoken"));
}

TEST(Patience, EndsWithAnAgentThatNeverStartsTheProgram) {
  Patience patience(kMemory);
  const auto hello = [](unsigned) { return Patience::Look{.what = For::kHello}; };
  EXPECT_EQ(ticks_until_fault(patience, Patience::kStartTicks, hello), 0u);
  const auto started = [](unsigned) { return Patience::Look{.what = For::kStarted}; };
  EXPECT_EQ(ticks_until_fault(patience, 1000, started), Patience::kStartTicks + 1)
      << "counted anew";
  EXPECT_THAT(patience.tick(started(0)).value_or(""), HasSubstr("has not started"));
}

TEST(Patience, HasNoEndWhileTheProgramRuns) {
  Patience patience(kMemory);
  EXPECT_EQ(ticks_until_fault(patience, 100'000,
                              [](unsigned tick) {
                                return Patience::Look{.what = For::kNothing,
                                                      .output_bytes = tick * kMemory};
                              }),
            0u);
}

TEST(Patience, EndsWithOutputsThatStayOpenAndSilent) {
  Patience patience(kMemory);
  const auto look = [](unsigned) {
    return Patience::Look{.what = For::kOutput, .output_bytes = 7};
  };
  EXPECT_EQ(ticks_until_fault(patience, 1000, look), Patience::kOutputTicks + 1);
  EXPECT_THAT(patience.tick(look(0)).value_or(""), HasSubstr("keeps its output open"));
}

TEST(Patience, WaitsForAReaderOfTheHostAsLongAsItTakes) {
  Patience patience(kMemory);
  const auto slow = [](unsigned) {
    return Patience::Look{.what = For::kOutput, .host_is_slow = true};
  };
  EXPECT_EQ(ticks_until_fault(patience, 100'000, slow), 0u);
  const auto read = [](unsigned) { return Patience::Look{.what = For::kOutput}; };
  EXPECT_EQ(ticks_until_fault(patience, 1000, read), Patience::kOutputTicks);
}

TEST(Patience, EachByteIsASignOfLifeUntilThereAreTooMany) {
  Patience patience(kMemory);
  const auto trickle = [](unsigned tick) {
    return Patience::Look{.what = For::kOutput, .output_bytes = 50'000 + tick};
  };
  EXPECT_EQ(ticks_until_fault(patience, 100'000, trickle), kMemory + 2);
  EXPECT_THAT(patience.tick(trickle(5000)).value_or(""), HasSubstr("more output than its memory"));
}

}  // namespace
}  // namespace runhv
