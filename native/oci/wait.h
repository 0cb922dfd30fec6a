// Waiting for another process.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace runhv::oci {

// Whether it has ended, by the deadline (monotonic_ns) at the latest. One that is not there has.
Result<bool> wait_for_end(std::uint64_t pid, std::uint64_t deadline_ns);

}  // namespace runhv::oci
