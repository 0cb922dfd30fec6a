// How a source that has a descriptor takes part in an EventLoop: a member of the source. Used
// within platform/ only.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "platform/event_loop.h"
#include "platform/handle.h"

namespace runhv::platform {

class Readiness {
 public:
  Readiness() = default;
  Readiness(Readiness&& other) noexcept;
  Readiness& operator=(Readiness&& other) noexcept;
  // REQUIRES: before the handle is closed; so it is declared behind it.
  ~Readiness();

  // REQUIRES: not bound. A handle that the system cannot watch is always ready.
  Result<void> bind(EventLoop& loop, OsHandle handle);
  bool is_bound() const { return core_ != nullptr; }

  // As event_loop.h says of every source. REQUIRES: bound. Threads: any.
  void on_readable(Handler handler);
  void on_writable(Handler handler);

 private:
  std::shared_ptr<EventLoop::Core> core_;
  std::uint64_t id_ = 0;
};

}  // namespace runhv::platform
