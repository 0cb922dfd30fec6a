#include "winhv_linux/processor_features.h"

#include "gtest/gtest.h"

namespace runhv::winhv_linux {
namespace {

constexpr CpuidWords kAll{~0u, ~0u, ~0u, ~0u};

TEST(ProcessorFeatures, EachIsToldByOneBitAndHiddenByIt) {
  const FeatureSets known = features_of([](std::uint32_t, std::uint32_t) { return kAll; });
  unsigned features = 0;
  for (std::size_t set = 0; set < known.size(); ++set) {
    for (unsigned number = 0; number < 64; ++number) {
      if ((known[set] >> number & 1) == 0) continue;
      ++features;
      FeatureSets hidden{};
      hidden[set] = UINT64{1} << number;
      const FeatureSets left = features_of([&](std::uint32_t function, std::uint32_t index) {
        CpuidWords words = kAll;
        hide_features(hidden, function, index, words);
        return words;
      });
      EXPECT_EQ(known[set] & ~left[set] & hidden[set], hidden[set]) << set << " " << number;
      FeatureSets others = known;
      others[set] &= ~hidden[set];
      FeatureSets shown = left;
      // Without XSAVE there is nothing of its leaf.
      if (set == 2 && number == 0) shown[2] |= known[2] & ~UINT64{1};
      EXPECT_EQ(shown, others) << set << " " << number;
    }
  }
  EXPECT_GE(features, 40u);
}

TEST(ProcessorFeatures, AnIndexCountsOnlyWhereALeafHasThem) {
  WHV_PROCESSOR_FEATURES sse3{};
  sse3.Sse3Support = 1;
  CpuidWords words = kAll;
  hide_features({sse3.AsUINT64, 0, 0}, 1, 5, words);
  EXPECT_EQ(words[2], ~1u);
  WHV_PROCESSOR_FEATURES bmi1{};
  bmi1.Bmi1Support = 1;
  words = kAll;
  hide_features({bmi1.AsUINT64, 0, 0}, 7, 1, words);
  EXPECT_EQ(words, kAll);
}

TEST(ProcessorFeatures, WithoutAvxItsStateIsNotThere) {
  WHV_PROCESSOR_XSAVE_FEATURES avx{};
  avx.AvxSupport = 1;
  const FeatureSets hidden{0, 0, avx.AsUINT64};
  CpuidWords words{7, 832, 832, 0};
  hide_features(hidden, 0xD, 0, words);
  EXPECT_EQ(words, (CpuidWords{3, 576, 576, 0}));
  words = {256, 576, 0, 0};
  hide_features(hidden, 0xD, 2, words);
  EXPECT_EQ(words, CpuidWords{});
}

}  // namespace
}  // namespace runhv::winhv_linux
