// For tests: the options of `runhv run` as they are read.
#pragma once

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "cli/run_options.h"

namespace runhv::cli {

using Arguments = std::vector<std::string_view>;

inline RunOptions parsed(const Arguments& arguments) {
  const auto options = parse_run_options(arguments);
  EXPECT_TRUE(options) << options.error().detail;
  return options ? *options : RunOptions{};
}

}  // namespace runhv::cli
