#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "platform/clock.h"

namespace runhv::platform {

// `deadline_ns` of monotonic_ns() for waits of the C++ library, whose clock may count from another
// moment. Later than that clock can say is never: some 146 years from now.
inline std::chrono::steady_clock::time_point steady_deadline(std::uint64_t deadline_ns) {
  const std::uint64_t now = monotonic_ns();
  const std::uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
  return std::chrono::steady_clock::now() + std::chrono::nanoseconds(static_cast<std::int64_t>(
                                                std::min<std::uint64_t>(left, INT64_MAX / 2)));
}

}  // namespace runhv::platform
