// How long a guest that is silent is waited for, for one process. The guest is hostile: it may say
// nothing at all, or say that the process has ended and then keep its outputs open for ever.
//
// Time is counted in ticks of the event loop, a second each, not read off a clock: a VMM that was
// stopped, or a host that slept, has not waited.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace runhv::container {

class Watchdog {
 public:
  // A kernel of somebody else's on a software CPU of a busy host takes tens of seconds.
  static constexpr unsigned kStartTicks = 120;
  static constexpr unsigned kOutputTicks = 10;

  // What only the guest can bring about; kSharedOutput: of a process that may have left others of
  // its container behind, which hold its outputs.
  enum class For { kHello, kPrepared, kStarted, kNothing, kOutput, kSharedOutput };
  struct Look {
    For what = For::kNothing;
    std::uint64_t output_bytes = 0;  // from the guest, all in all
    bool host_is_slow = false;       // a reader of ours does not take what the guest has sent
  };

  // `guest_memory_bytes`: more than that cannot have waited inside the guest for its delivery.
  explicit Watchdog(std::uint64_t guest_memory_bytes) : guest_memory_bytes_(guest_memory_bytes) {}

  // Once for each tick. What the guest has done wrong, where it was too much.
  std::optional<std::string> tick(const Look& now);

 private:
  const std::uint64_t guest_memory_bytes_;
  For what_ = For::kNothing;
  unsigned quiet_ticks_ = 0;
  std::uint64_t first_bytes_ = 0;  // output_bytes when this wait began
  std::uint64_t last_bytes_ = 0;   // at the last tick
};

}  // namespace runhv::container
