#include "vmm_main/options.h"

#include <vector>

#include "gtest/gtest.h"

namespace runhv {
namespace {

std::string complaint(std::vector<std::string_view> arguments) {
  const auto options = parse_vmm_options(arguments);
  return options ? "accepted" : options.error().detail;
}

TEST(VmmOptions, EveryOptionIsRead) {
  const std::vector<std::string_view> arguments = {"--id",
                                                   "web",
                                                   "--bundle",
                                                   "/b",
                                                   "--engine",
                                                   "soft",
                                                   "--kernel",
                                                   "/k",
                                                   "--initrd",
                                                   "/i",
                                                   "--modules",
                                                   "/m",
                                                   "--timings=json:/t",
                                                   "--debug",
                                                   "--remove-bundle",
                                                   "--spawned-at-ns",
                                                   "12345",
                                                   "--end-with",
                                                   "77"};
  const auto options = parse_vmm_options(arguments);
  ASSERT_TRUE(options);
  EXPECT_EQ(options->id, "web");
  EXPECT_EQ(options->bundle, "/b");
  EXPECT_EQ(options->engine, "soft");
  EXPECT_EQ(options->kernel, "/k");
  EXPECT_EQ(options->initrd, "/i");
  EXPECT_EQ(options->modules, "/m");
  EXPECT_EQ(options->timings, TimingsFormat::kJson);
  EXPECT_EQ(options->timings_file, "/t");
  EXPECT_TRUE(options->debug);
  EXPECT_TRUE(options->remove_bundle);
  EXPECT_EQ(options->spawned_at_ns, 12345u);
  EXPECT_EQ(options->end_with, 77u);
}

TEST(VmmOptions, MistakesAreNamed) {
  EXPECT_EQ(complaint({}), "--id and --bundle are required");
  EXPECT_EQ(complaint({"--id"}), "--id needs a value");
  EXPECT_EQ(complaint({"--what"}), "unknown option --what");
  EXPECT_EQ(complaint({"--timings=xml"}), "--timings=xml: expected json or json:FILE");
  EXPECT_EQ(complaint({"--spawned-at-ns", "1s"}), "--spawned-at-ns 1s: expected a decimal number");
  EXPECT_EQ(complaint({"--end-with", "-1"}), "--end-with -1: expected a decimal number");
}

}  // namespace
}  // namespace runhv
