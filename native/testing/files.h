// Files that tests make.
#pragma once

#include <cstddef>
#include <fstream>
#include <span>
#include <string>

namespace runhv::testing {

// False where the file cannot be written whole.
inline bool write_file(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  return !file.fail();
}

}  // namespace runhv::testing
