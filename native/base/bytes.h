// Little-endian loads and stores on byte spans. The only way that a number is read from, or put
// into, memory that somebody else can see: no struct is laid over foreign bytes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/check.h"

namespace runhv {

static_assert(std::endian::native == std::endian::little, "runhv runs on little-endian hosts only");

// REQUIRES: offset + sizeof(T) <= bytes.size().
template <class T>
  requires std::is_integral_v<T>
T load_le(std::span<const std::byte> bytes, std::size_t offset = 0) {
  RUNHV_CHECK(offset <= bytes.size() && bytes.size() - offset >= sizeof(T));
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// REQUIRES: offset + sizeof(T) <= bytes.size().
template <class T>
  requires std::is_integral_v<T>
void store_le(std::span<std::byte> bytes, std::size_t offset, T value) {
  RUNHV_CHECK(offset <= bytes.size() && bytes.size() - offset >= sizeof(T));
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace runhv
