// Waiting for another process.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace runhv::oci {

// What has been told to end has done so by then.
inline constexpr std::uint64_t kEndNs = 10'000'000'000;

// Whether it has ended, by the deadline (monotonic_ns) at the latest. One that is not there has.
Result<bool> wait_for_end(std::uint64_t pid, std::uint64_t deadline_ns);

}  // namespace runhv::oci
