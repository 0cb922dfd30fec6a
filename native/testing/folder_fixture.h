// A folder of a test's own that only this user may enter, gone after it.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

#include "platform/file.h"
#include "platform/random_name.h"

namespace runhv::testing {

class FolderFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = platform::temporary_directory() + "/runhv-test-" + platform::random_name<8>();
    const auto made = platform::make_private_directory(folder_);
    ASSERT_TRUE(made) << to_string(made.error());
  }
  void TearDown() override {
    const auto removed = platform::remove_tree(folder_);
    EXPECT_TRUE(removed) << to_string(removed.error());
  }

  std::string folder_;
};

}  // namespace runhv::testing
