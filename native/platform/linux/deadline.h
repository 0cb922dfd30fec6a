#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace runhv::platform {

// `deadline_ns` of monotonic_ns() for waits of the C++ library. Later than its clock can say is
// never: some 146 years after the boot.
inline std::chrono::steady_clock::time_point steady_deadline(std::uint64_t deadline_ns) {
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(
      static_cast<std::int64_t>(std::min<std::uint64_t>(deadline_ns, INT64_MAX / 2))));
}

}  // namespace runhv::platform
