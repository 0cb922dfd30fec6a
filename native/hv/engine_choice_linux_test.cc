// Linux has no WHP of its own: the engines are those of ours.
#include <gtest/gtest.h>

#include "hv/engine_choice.h"

namespace runhv::hv {
namespace {

TEST(EngineChoice, OnLinuxOurLibraryHasTheEngines) {
  for (const char* engine : {"auto", "soft", "kvm"}) {
    const auto choice = choose_engine(engine);
    ASSERT_TRUE(choice);
    EXPECT_EQ(choice->engine, engine);
    EXPECT_FALSE(choice->libraries.empty());
  }
}

TEST(EngineChoice, SaysWhatAnEngineNeeds) {
  const auto whp = choose_engine("whp");

  ASSERT_FALSE(whp);
  EXPECT_EQ(whp.error().code, Code::kHypervisorAbsent);
  EXPECT_EQ(whp.error().detail,
            "engine whp needs Windows with the Windows Hypervisor Platform feature");
}

}  // namespace
}  // namespace runhv::hv
