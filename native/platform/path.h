// Names of files as this system writes them.
#pragma once

#include <string_view>

namespace runhv::platform {

// Whether the path names the same file wherever the process's folder is: from / on Linux, from a
// drive or a share on Windows.
bool is_absolute_path(std::string_view path);

}  // namespace runhv::platform
