// Variables of the environment, for tests of what reads them by platform::environment().
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace runhv::testing {

// For the rest of this process; empty: as one that is not set. Not while other threads look.
inline void set_environment(const std::string& name, const std::string& value) {
  // putenv(3), which every system has, keeps the text itself.
  static std::vector<std::unique_ptr<std::string>> kept;
  kept.push_back(std::make_unique<std::string>(name + "=" + value));
  ::putenv(kept.back()->data());
}

// The same, where whoever runs the test has not set it.
inline void set_environment_by_default(const std::string& name, const std::string& value) {
  if (std::getenv(name.c_str()) == nullptr) set_environment(name, value);
}

}  // namespace runhv::testing
