// A fuzz target is one function of bytes: the bytes are the program of somebody hostile.
//
// runhv_fuzz() in CMake makes a test of it, which replays the target's corpus and then mutations of
// it; with the preset `fuzz` (tools/dev fuzz) the same target is driven by libFuzzer. What must
// hold is checked with RUNHV_CHECK: it ends the process in both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace runhv::testing {

// Each target defines it once. Must not depend on anything but `input`.
void fuzz(std::span<const std::byte> input);

// Takes values off the front of the input; zeros once it has ended.
class FuzzInput {
 public:
  explicit FuzzInput(std::span<const std::byte> bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }

  template <class T>
  T take() {
    std::byte copy[sizeof(T)] = {};
    const std::span<const std::byte> part = take_bytes(sizeof(T));
    for (std::size_t i = 0; i < part.size(); ++i) copy[i] = part[i];
    return load_le<T>(copy);
  }
  std::uint8_t byte() { return take<std::uint8_t>(); }
  // 0..limit - 1; limit at most 65536.
  std::uint32_t below(std::uint32_t limit) {
    return limit <= 256 ? byte() % limit : take<std::uint16_t>() % limit;
  }
  // The next `size` bytes, or as many as there are.
  std::span<const std::byte> take_bytes(std::size_t size) {
    const auto part = rest_.first(size < rest_.size() ? size : rest_.size());
    rest_ = rest_.subspan(part.size());
    return part;
  }

 private:
  std::span<const std::byte> rest_;
};

}  // namespace runhv::testing
