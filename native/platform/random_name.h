#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "platform/random.h"

namespace runhv::platform {

// Two hexadecimal digits a byte; of 16 bytes nobody can guess it.
template <std::size_t kBytes = 16>
std::string random_name() {
  constexpr char kDigits[] = "0123456789abcdef";
  std::array<std::byte, kBytes> bytes;
  fill_random(bytes);
  std::string name;
  for (const std::byte byte : bytes) {
    name += kDigits[std::to_integer<unsigned>(byte) >> 4];
    name += kDigits[std::to_integer<unsigned>(byte) & 0xF];
  }
  return name;
}

}  // namespace runhv::platform
