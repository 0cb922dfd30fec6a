#include "vmm_main/options.h"

#include <vector>

#include "gtest/gtest.h"

namespace runhv::vmm_main {
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
                                                   "--root",
                                                   "/r",
                                                   "--join",
                                                   "pod",
                                                   "--spawned-at-ns",
                                                   "12345",
                                                   "--end-with",
                                                   "77",
                                                   "--preserve-fds",
                                                   "2",
                                                   "--debug",
                                                   "--created",
                                                   "--own-network",
                                                   "--terminal",
                                                   "--timings=json",
                                                   "--keep",
                                                   "--remove-bundle",
                                                   "--control-fd",
                                                   "9",
                                                   "--control-connect",
                                                   "/c",
                                                   "--control-listen",
                                                   "/l",
                                                   "--lock-fd",
                                                   "8",
                                                   "--lease-fd",
                                                   "7"};
  const auto options = parse_vmm_options(arguments);
  ASSERT_TRUE(options) << options.error().detail;
  EXPECT_EQ(options->id, "web");
  EXPECT_EQ(options->bundle, "/b");
  EXPECT_EQ(options->root, "/r");
  EXPECT_EQ(options->join, "pod");
  EXPECT_EQ(options->engine, "soft");
  EXPECT_EQ(options->kernel, "/k");
  EXPECT_EQ(options->initrd, "/i");
  EXPECT_EQ(options->modules, "/m");
  EXPECT_EQ(options->timings, TimingsFormat::kJson);
  EXPECT_TRUE(options->debug);
  EXPECT_TRUE(options->remove_bundle);
  EXPECT_TRUE(options->created);
  EXPECT_TRUE(options->own_network);
  EXPECT_TRUE(options->terminal);
  EXPECT_TRUE(options->keep);
  EXPECT_EQ(options->spawned_at_ns, 12345u);
  EXPECT_EQ(options->end_with, 77u);
  EXPECT_EQ(options->preserve_fds, 2u);
  const LauncherOptions launcher = find_launcher_options(arguments);
  EXPECT_EQ(launcher.control_fd, 9);
  EXPECT_EQ(launcher.lock_fd, 8);
  EXPECT_EQ(launcher.preserve_fds, 2);
  EXPECT_EQ(launcher.lease_fd, 7);
  EXPECT_EQ(launcher.control_connect, "/c");
  EXPECT_EQ(launcher.control_listen, "/l");
}

TEST(VmmOptions, TheLauncherIsFoundWhateverElseIsWrong) {
  const std::vector<std::string_view> wrong = {"--what", "--end-with", "x", "--control-connect",
                                               "/c",     "--id"};
  EXPECT_FALSE(parse_vmm_options(wrong));
  EXPECT_EQ(find_launcher_options(wrong).control_connect, "/c");
  // A value that looks like the option is a value.
  const std::vector<std::string_view> value = {"--id", "--control-connect", "/c"};
  EXPECT_EQ(find_launcher_options(value).control_connect, "");
  for (const std::string_view number : {"2", "-1", "x", "9x", ""}) {
    const std::vector<std::string_view> arguments = {"--control-fd", number};
    EXPECT_FALSE(find_launcher_options(arguments).control_fd) << number;
  }
}

TEST(VmmOptions, MistakesAreNamed) {
  EXPECT_EQ(complaint({}), "--id and --bundle are required");
  EXPECT_EQ(complaint({"--id"}), "--id needs a value");
  EXPECT_EQ(complaint({"--what"}), "unknown option --what");
  EXPECT_EQ(complaint({"--timings=xml"}), "--timings=xml: expected json");
  EXPECT_EQ(complaint({"--spawned-at-ns", "1s"}), "--spawned-at-ns 1s: expected a decimal number");
  EXPECT_EQ(complaint({"--timings=json:/t"}), "--timings=json:/t: expected json");
  EXPECT_EQ(complaint({"--control-fd", "x"}), "--control-fd x: expected a decimal number");
  EXPECT_EQ(complaint({"--end-with", "-1"}), "--end-with -1: expected a decimal number");
  EXPECT_EQ(complaint({"--preserve-fds", "14"}), "--preserve-fds 14: at most 13 are possible");
}

}  // namespace
}  // namespace runhv::vmm_main
