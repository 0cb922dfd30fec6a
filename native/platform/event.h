// Something that has happened, and that an EventLoop or a caller with poll(2) waits for.
#pragma once

#include "base/result.h"
#include "platform/event_loop.h"
#include "platform/handle.h"
#include "platform/readiness.h"

namespace runhv::platform {

class Event {
 public:
  static Result<Event> create();
  Event(Event&&) noexcept = default;
  Event& operator=(Event&& other) noexcept {
    readiness_ = std::move(other.readiness_);  // first: it is bound to the handle
    handle_ = std::move(other.handle_);
    return *this;
  }

  // Threads: any. Idempotent.
  void set();
  // The same.
  void clear();
  // Readable (poll(2)) from set() on, until clear().
  OsHandle handle() const { return handle_.get(); }

  // A source (platform/event_loop.h).
  Result<void> bind(EventLoop& loop) { return readiness_.bind(loop, handle_.get()); }
  void on_set(Handler handler) { readiness_.on_readable(std::move(handler)); }

 private:
  explicit Event(UniqueHandle handle) : handle_(std::move(handle)) {}
  UniqueHandle handle_;
  Readiness readiness_;
};

}  // namespace runhv::platform
