// What an EventLoop waits by: epoll on Linux, a completion port on Windows. Used within platform/
// only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "platform/handle.h"

namespace runhv::platform {

// Threads: wait() on the loop's; everything else on any, but one call at a time.
class Poller {
 public:
  struct Ready {
    std::uint64_t id;
    bool readable;  // with both for an end or an error, and where the system tells no difference
    bool writable;
  };

  static Result<std::unique_ptr<Poller>> create();
  virtual ~Poller() = default;

  // `id`: a number of the caller's, from 2 on, by which `handle` is told to be ready. False: the
  // system cannot watch it, for it is always ready; it is not known here then.
  virtual Result<bool> watch(std::uint64_t id, OsHandle handle) = 0;
  // What wait() tells next, once; in place of what was wanted before.
  virtual void arm(std::uint64_t id, bool readable, bool writable) = 0;
  // REQUIRES: the handle is still open.
  virtual void forget(std::uint64_t id) = 0;
  // All of them; nothing is called afterwards.
  virtual void forget_all() = 0;

  // Ends the wait that is under way, or the next one.
  virtual void wake() = 0;
  // How long the next wait() may last (monotonic_ns): 0 = it does not wait, UINT64_MAX = as long as
  // it takes.
  virtual void prepare(std::uint64_t until_ns) = 0;
  // The wait that was prepared ends then at the latest.
  virtual void end_wait_by(std::uint64_t deadline_ns) = 0;

  // What is ready; valid until the next call. Without a wait: all that is ready by now, as far as
  // there is room. It may come early, with nothing.
  virtual Result<std::span<const Ready>> wait() = 0;
};

}  // namespace runhv::platform
