#pragma once

#include <cstdint>

namespace runhv::platform {

// Nanoseconds of the host's monotonic clock; the same clock in every process of this boot.
std::uint64_t monotonic_ns();

// Nanoseconds of a processor that the calling thread has had.
std::uint64_t thread_time_ns();

// Nanoseconds since 1970-01-01 UTC.
std::uint64_t realtime_ns();

// When the kernel started this process, on the monotonic clock. Resolution: the system's (10 ms on
// Linux), so only a fallback for a start whose launcher did not say.
std::uint64_t process_start_ns();

}  // namespace runhv::platform
