// Windows has WHP itself, and with it no choice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hv/engine_choice.h"

namespace runhv::hv {
namespace {

TEST(EngineChoice, OnWindowsItIsTheSystems) {
  for (const char* engine : {"auto", "whp"}) {
    const auto choice = choose_engine(engine);
    ASSERT_TRUE(choice);
    EXPECT_EQ(choice->engine, "whp");
    EXPECT_FALSE(choice->libraries.empty());
  }
}

TEST(EngineChoice, EnginesOfLinuxAreRefused) {
  for (const char* engine : {"soft", "kvm"}) {
    const auto choice = choose_engine(engine);
    ASSERT_FALSE(choice);
    EXPECT_EQ(choice.error().code, Code::kHypervisorAbsent);
    EXPECT_THAT(choice.error().detail, ::testing::HasSubstr("is for Linux; use --engine whp"));
  }
}

}  // namespace
}  // namespace runhv::hv
