// A file of a test's own, gone after it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <span>
#include <string>
#include <utility>

#include "platform/file.h"
#include "testing/files.h"

namespace runhv::testing {

class FileFixture : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  platform::File write(std::span<const std::byte> bytes) {
    EXPECT_TRUE(write_file(path_, bytes));
    auto file = platform::File::open(path_, platform::File::Access::kRead);
    EXPECT_TRUE(file);
    return std::move(*file);
  }

  const std::string path_ =
      (std::filesystem::temp_directory_path() /
       ("runhv-" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) +
        "-" + std::to_string(std::random_device{}())))
          .string();
};

}  // namespace runhv::testing
