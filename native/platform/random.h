#pragma once

#include <cstddef>
#include <span>

namespace runhv::platform {

// Bytes from the operating system's generator. Never fails: a system that cannot give entropy is a
// broken invariant.
void fill_random(std::span<std::byte> out);

// What a device needs instead of the global function, so that its test can say which bytes come.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual void fill(std::span<std::byte> out) = 0;
};

class OsRandomSource final : public RandomSource {
 public:
  void fill(std::span<std::byte> out) override { fill_random(out); }
};

}  // namespace runhv::platform
