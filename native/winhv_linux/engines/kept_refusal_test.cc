#include "winhv_linux/engines/kept_refusal.h"

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "platform/file.h"
#include "platform/random_name.h"

namespace runhv::winhv_linux {
namespace {

constexpr std::uint64_t kThen = 1'700'000'000'000'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;

class KeptRefusalTest : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(platform::remove_tree(folder)); }

  const std::string folder =
      platform::temporary_directory() + "/runhv-test-" + platform::random_name<8>();
  const KeptRefusal kept{folder};
};

TEST_F(KeptRefusalTest, IsThereForTenMinutes) {
  EXPECT_EQ(kept.get(kThen), std::nullopt) << "nothing was put";
  kept.put("it is emulated", kThen);
  EXPECT_EQ(KeptRefusal(folder).get(kThen + 3 * kSecond), "it is emulated (seen 3 s ago)");
  EXPECT_EQ(kept.get(kThen + KeptRefusal::kKeptNs), "it is emulated (seen 600 s ago)");
  EXPECT_EQ(kept.get(kThen + KeptRefusal::kKeptNs + 1), std::nullopt);
  EXPECT_EQ(kept.get(kThen - 1), std::nullopt) << "the clock was set back";
  kept.put("it could not run", kThen + kSecond);
  EXPECT_EQ(kept.get(kThen + kSecond), "it could not run (seen 0 s ago)");
}

TEST_F(KeptRefusalTest, WhatIsNoneIsPassedOver) {
  kept.put("it is emulated", kThen);
  for (const std::string& text :
       {std::string(), std::string("1700000000000000000"), std::string("1700000000000000000 "),
        std::string("-1 x"), std::string("99999999999999999999999 x"), std::string("x"),
        "1700000000000000000 " + std::string(5000, 'x')}) {
    std::ofstream(folder + "/kvm-refused", std::ios::trunc) << text;
    EXPECT_EQ(kept.get(kThen), std::nullopt) << text.substr(0, 40);
  }
}

TEST_F(KeptRefusalTest, AFolderThatOthersMayEnterSaysNothing) {
  kept.put("it is emulated", kThen);
  std::filesystem::permissions(folder, std::filesystem::perms{0755});
  EXPECT_EQ(kept.get(kThen), std::nullopt);
  std::filesystem::permissions(folder, std::filesystem::perms{0700});
  EXPECT_NE(kept.get(kThen), std::nullopt);
}

TEST_F(KeptRefusalTest, WhereNothingCanBeKeptThereIsNone) {
  const KeptRefusal nowhere("");
  nowhere.put("it is emulated", kThen);
  EXPECT_EQ(nowhere.get(kThen), std::nullopt);
  const KeptRefusal below_a_file("/dev/null/runhv");
  below_a_file.put("it is emulated", kThen);
  EXPECT_EQ(below_a_file.get(kThen), std::nullopt);
}

}  // namespace
}  // namespace runhv::winhv_linux
