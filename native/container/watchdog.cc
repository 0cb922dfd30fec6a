#include "container/watchdog.h"

#include <utility>

namespace runhv::container {

std::optional<std::string> Watchdog::tick(const Look& now) {
  if (now.what != what_) {
    what_ = now.what;
    quiet_ticks_ = 0;
    first_bytes_ = last_bytes_ = now.output_bytes;
    return std::nullopt;
  }
  ++quiet_ticks_;
  switch (now.what) {
    case For::kNothing:
      return std::nullopt;
    case For::kHello:
      if (quiet_ticks_ < kStartTicks) return std::nullopt;
      return "the guest's agent has not spoken for " + std::to_string(kStartTicks) +
             " seconds; --debug shows what the kernel says";
    case For::kPrepared:
      if (quiet_ticks_ < kStartTicks) return std::nullopt;
      return "the guest's agent has not prepared the container for " + std::to_string(kStartTicks) +
             " seconds";
    case For::kStarted:
      if (quiet_ticks_ < kStartTicks) return std::nullopt;
      return "the guest's agent has not started the program for " + std::to_string(kStartTicks) +
             " seconds";
    case For::kOutput:
    case For::kSharedOutput:
      break;
  }
  if (now.what == For::kOutput && now.output_bytes - first_bytes_ > guest_memory_bytes_) {
    return "after the end of the program the guest sent more output than its memory holds";
  }
  const bool moved = std::exchange(last_bytes_, now.output_bytes) != now.output_bytes;
  if (moved || now.host_is_slow) quiet_ticks_ = 0;
  if (quiet_ticks_ < kOutputTicks) return std::nullopt;
  return "the program has ended, but the guest keeps its output open and has sent nothing for " +
         std::to_string(kOutputTicks) + " seconds";
}

}  // namespace runhv::container
