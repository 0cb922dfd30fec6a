// Something that happens once, for threads that wait with a Poller.
#pragma once

#include "base/result.h"
#include "platform/handle.h"

namespace runhv {

class Event {
 public:
  static Result<Event> create();

  // Threads: any. Idempotent.
  void set();
  // Readable (Poller) from set() on.
  OsHandle handle() const { return handle_.get(); }

 private:
  explicit Event(UniqueHandle handle) : handle_(std::move(handle)) {}
  UniqueHandle handle_;
};

}  // namespace runhv
