#include "machine/engine_probe.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "testing/environment.h"

namespace runhv::machine {
namespace {

class EngineProbeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::set_environment("RUNHV_WINHV", RUNHV_TEST_WINHV);
    testing::set_environment("RUNHV_SOFTCPU", RUNHV_TEST_ENGINE_LIBRARY);
  }

  Result<void> probe(EngineProbe what) {
    return probe_engine(what, [this](const char* stage, std::uint64_t ns) {
      stages_.emplace_back(stage);
      EXPECT_GT(ns, 0u) << stage;
    });
  }

  std::vector<std::string> stages_;
};

TEST_F(EngineProbeTest, AnEngineThatWorksComesThroughAllStages) {
  const auto probed = probe(
      {.engine = "soft", .kernel_path = RUNHV_TEST_KERNEL, .initrd_paths = {RUNHV_TEST_INITRD}});
  ASSERT_TRUE(probed) << to_string(probed.error());
  EXPECT_EQ(stages_, (std::vector<std::string>{std::begin(kProbeStages), std::end(kProbeStages)}));
}

TEST_F(EngineProbeTest, TheErrorIsOfTheFirstStageThatFails) {
  const auto probed = probe({.engine = "soft", .kernel_path = "/no/such/kernel"});
  ASSERT_FALSE(probed);
  EXPECT_EQ(probed.error().code, Code::kNotFound);
  EXPECT_EQ(stages_, (std::vector<std::string>{"library", "partition", "guest"}));
}

TEST_F(EngineProbeTest, AnEngineOfAnotherSystemHasNoLibrary) {
  const auto probed = probe({.engine = "whp", .kernel_path = RUNHV_TEST_KERNEL});
  ASSERT_FALSE(probed);
  EXPECT_EQ(probed.error().code, Code::kHypervisorAbsent);
  EXPECT_TRUE(stages_.empty());
}

// Without an agent the kernel has nothing to run, and panics.
TEST_F(EngineProbeTest, AKernelThatDoesNotComeUpIsAnError) {
  const auto probed = probe({.engine = "soft", .kernel_path = RUNHV_TEST_KERNEL});
  ASSERT_FALSE(probed);
  EXPECT_EQ(probed.error().code, Code::kGuestFailed);
  EXPECT_EQ(stages_.size(), 3u);
}

}  // namespace
}  // namespace runhv::machine
