#pragma once

#include <filesystem>
#include <string>

namespace runhv::testing {

// Where absolute paths of this host begin: / or a drive.
inline const std::string kHostRoot = std::filesystem::current_path().root_path().generic_string();

}  // namespace runhv::testing
