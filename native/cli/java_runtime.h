// Finds a Java runtime that is new enough, without starting one.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace runhv::cli {

inline constexpr int kLeastJava = 25;

// 25 from `JAVA_VERSION="25.0.1"` in the text of a JDK's `release` file.
std::optional<int> java_major_version(std::string_view release_file);

// The path of a `java`: RUNHV_JAVA, JAVA_HOME, PATH, then the usual folders.
Result<std::string> find_java();

}  // namespace runhv::cli
