#include "platform/clock.h"

#include <windows.h>

namespace runhv::platform {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint64_t kNsPerFileTime = 100;
// FILETIME counts from 1601-01-01 UTC.
constexpr std::uint64_t kFileTimeOf1970 = 116'444'736'000'000'000;

std::uint64_t since_1970_ns(const FILETIME& time) {
  const std::uint64_t ticks =
      std::uint64_t{time.dwHighDateTime} << 32 | std::uint64_t{time.dwLowDateTime};
  return (ticks - kFileTimeOf1970) * kNsPerFileTime;
}

}  // namespace

// Also what the C++ library's steady_clock counts.
std::uint64_t monotonic_ns() {
  LARGE_INTEGER frequency;
  LARGE_INTEGER count;
  ::QueryPerformanceFrequency(&frequency);  // neither fails on any Windows that we run on
  ::QueryPerformanceCounter(&count);
  const auto hz = static_cast<std::uint64_t>(frequency.QuadPart);
  const auto ticks = static_cast<std::uint64_t>(count.QuadPart);
  return ticks / hz * kNsPerSecond + ticks % hz * kNsPerSecond / hz;
}

std::uint64_t realtime_ns() {
  FILETIME now;
  ::GetSystemTimePreciseAsFileTime(&now);
  return since_1970_ns(now);
}

std::uint64_t thread_time_ns() {
  FILETIME created;
  FILETIME ended;
  FILETIME in_kernel;
  FILETIME in_user;
  if (::GetThreadTimes(::GetCurrentThread(), &created, &ended, &in_kernel, &in_user) == 0) return 0;
  const auto ns = [](const FILETIME& time) {
    return (static_cast<std::uint64_t>(time.dwHighDateTime) << 32 | time.dwLowDateTime) * 100;
  };
  return ns(in_kernel) + ns(in_user);
}

std::uint64_t process_start_ns() {
  const std::uint64_t monotonic = monotonic_ns();
  FILETIME created;
  FILETIME ended;
  FILETIME in_kernel;
  FILETIME in_user;
  if (::GetProcessTimes(::GetCurrentProcess(), &created, &ended, &in_kernel, &in_user) == 0) {
    return monotonic;
  }
  const std::uint64_t now = realtime_ns();
  const std::uint64_t start = since_1970_ns(created);
  const std::uint64_t age = now > start ? now - start : 0;  // somebody may have set the clock
  return monotonic > age ? monotonic - age : 0;
}

}  // namespace runhv::platform
