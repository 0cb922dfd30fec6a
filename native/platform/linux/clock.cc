#include "platform/clock.h"

#include <cstdlib>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <unistd.h>

namespace runhv::platform {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

std::uint64_t read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kNsPerSecond +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

std::uint64_t monotonic_ns() { return read_clock(CLOCK_MONOTONIC); }
std::uint64_t thread_time_ns() { return read_clock(CLOCK_THREAD_CPUTIME_ID); }
std::uint64_t realtime_ns() { return read_clock(CLOCK_REALTIME); }

std::uint64_t process_start_ns() {
  char text[1024] = "";
  const int file = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (file < 0) return monotonic_ns();
  const ssize_t size = ::read(file, text, sizeof text - 1);
  ::close(file);
  // proc(5): the name in parentheses may hold anything; starttime is field 22, in clock ticks since
  // boot (CLOCK_BOOTTIME, so the time spent suspended is taken off).
  const char* at = size > 0 ? std::strrchr(text, ')') : nullptr;
  for (int field = 2; at != nullptr && field < 22; ++field) {
    at = std::strchr(at + 1, ' ');
  }
  const long ticks_per_second = ::sysconf(_SC_CLK_TCK);
  if (at == nullptr || ticks_per_second <= 0) return monotonic_ns();
  const std::uint64_t since_boot = std::strtoull(at, nullptr, 10) *
                                   (kNsPerSecond / static_cast<std::uint64_t>(ticks_per_second));
  const std::uint64_t monotonic = monotonic_ns();
  const std::uint64_t suspended = read_clock(CLOCK_BOOTTIME) - monotonic;
  return since_boot > suspended ? since_boot - suspended : 0;
}

}  // namespace runhv::platform
