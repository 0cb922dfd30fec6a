// Waits for many handles, for wake-ups from other threads and for a deadline. One thread waits.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "platform/handle.h"

namespace runhv {

class Poller {
 public:
  static Result<std::unique_ptr<Poller>> create();
  virtual ~Poller() = default;

  struct Ready {
    std::uint64_t token;
    bool readable;  // or at its end, or in error: a read tells
    bool writable;
  };

  // Watches `handle` (level-triggered) under `token`; watch again to change the interest; with
  // neither interest the handle stays known and silent. Threads: any.
  virtual Result<void> watch(OsHandle handle, std::uint64_t token, bool readable,
                             bool writable) = 0;
  // REQUIRES: before the handle is closed. Threads: any.
  virtual void forget(OsHandle handle) = 0;

  // Returns what is ready; empty after wake() or when the deadline (monotonic_ns) has passed.
  // Threads: one at a time.
  virtual Result<std::vector<Ready>> wait(std::optional<std::uint64_t> deadline_ns) = 0;

  // Makes wait() return, now or the next time. Coalesces. Threads: any.
  virtual void wake() = 0;
};

}  // namespace runhv
