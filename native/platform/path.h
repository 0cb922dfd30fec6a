// Names of files as this system writes them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace runhv::platform {

// Whether the path names the same file wherever the process's folder is: from / on Linux, from a
// drive or a share on Windows.
bool is_absolute_path(std::string_view path);

// What the program `name` is called as a file: NAME on Linux, NAME.exe on Windows.
std::string program_file(const std::string& name);

// Our paths are UTF-8 everywhere; std::filesystem would read a std::string in the user's code page
// on Windows. REQUIRES: there, valid UTF-8.
inline std::filesystem::path filesystem_path(std::string_view path) {
  return std::u8string_view(reinterpret_cast<const char8_t*>(path.data()), path.size());
}
inline std::string path_text(const std::filesystem::path& path) {
  const std::u8string text = path.u8string();
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

}  // namespace runhv::platform
