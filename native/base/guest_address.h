// Guest-physical addresses. A guest may choose any 64-bit number: arithmetic on one is checked.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

namespace runhv {

struct Gpa {
  std::uint64_t value = 0;
  auto operator<=>(const Gpa&) const = default;

  std::optional<Gpa> plus(std::uint64_t bytes) const {
    const std::uint64_t sum = value + bytes;
    if (sum < value) return std::nullopt;
    return Gpa{sum};
  }
};

inline constexpr std::uint64_t kPageSize = 4096;

}  // namespace runhv
