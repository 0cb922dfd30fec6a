// Threads of our own: named, without the signals that belong to the process, and refused with an
// Error where the host has no room for one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"

namespace runhv::platform {

// Move-only owner of one thread. Whoever owns it ends it by join(), join_until() or abandon()
// before it is destroyed; anything else is a bug of ours.
class Thread {
 public:
  // Runs `work` on a new thread called `name` (at most 15 characters are kept). The thread has the
  // forwarded signals (platform/signals.h) blocked, and SIGPIPE and SIGXFSZ too: there, a write
  // fails with EPIPE or EFBIG and never ends the process. kOutOfMemory where the host refuses one
  // more thread.
  static Result<Thread> start(const char* name, std::function<void()> work);

  Thread(Thread&&) noexcept;
  Thread& operator=(Thread&&) noexcept;
  ~Thread();

  // Waits for the end of `work`. REQUIRES: on another thread, once.
  void join();
  // The same, up to the deadline (monotonic_ns). False: it still runs, and still has to be joined
  // or abandoned.
  bool join_until(std::uint64_t deadline_ns);
  // Lets the thread go on alone: for one that hangs in the kernel. REQUIRES: `work` owns all that
  // it still uses.
  void abandon();

 private:
  struct State;
  explicit Thread(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;  // empty once joined, abandoned or moved from
};

}  // namespace runhv::platform
