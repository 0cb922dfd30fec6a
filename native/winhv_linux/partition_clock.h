// The time of a partition: the host's monotonic clock, less what it was suspended for.
#pragma once

#include <atomic>
#include <cstdint>

#include "platform/clock.h"

namespace runhv::winhv_linux {

// Threads: any. Nothing blocks.
class PartitionClock {
 public:
  std::uint64_t now_ns() const {
    const std::uint64_t state = state_.load();
    return is_frozen(state) ? state >> 1 : platform::monotonic_ns() - (state >> 1);
  }
  // When the host's clock shows `ns` of this one, provided that it is not suspended until then.
  // UINT64_MAX stays what it is.
  std::uint64_t host_ns(std::uint64_t ns) const {
    const std::uint64_t state = state_.load();
    const std::uint64_t lost = is_frozen(state) ? 0 : state >> 1;
    return ns > UINT64_MAX - lost ? UINT64_MAX : ns + lost;
  }

  void suspend() {
    std::uint64_t state = state_.load();
    while (!is_frozen(state) && !state_.compare_exchange_weak(
                                    state, (platform::monotonic_ns() - (state >> 1)) << 1 | 1)) {
    }
  }
  void resume() {
    std::uint64_t state = state_.load();
    while (is_frozen(state) &&
           !state_.compare_exchange_weak(state, (platform::monotonic_ns() - (state >> 1)) << 1)) {
    }
  }

 private:
  static bool is_frozen(std::uint64_t state) { return (state & 1) != 0; }

  // One word, so that nobody sees half a change. Lowest bit 0: above it are the nanoseconds that
  // were lost; 1: the time at which it stands.
  std::atomic<std::uint64_t> state_{0};
};

}  // namespace runhv::winhv_linux
