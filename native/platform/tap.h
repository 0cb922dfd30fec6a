// An Ethernet interface of the host's kernel whose cable ends in this process.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"
#include "platform/event_loop.h"
#include "platform/handle.h"
#include "platform/readiness.h"
#include "platform/stream.h"

namespace runhv::platform {

// A frame begins with the header of virtio 1.2 §5.1.6, 12 bytes, of which the last two are not
// written. Threads: as Stream.
class Tap {
 public:
  static constexpr std::size_t kMaxParts = 1024;

  // In the calling thread's network namespace, and gone with this object. kConflict: somebody has
  // an interface of that name, which has at most 15 characters.
  static Result<Tap> create(const std::string& name);
  // One that another process has made so. kInvalidArgument: the descriptor is no tap, or frames of
  // another form go through it.
  static Result<Tap> adopt_owned(UniqueHandle handle);
  OsHandle handle() const { return handle_.get(); }

  // What the kernel may leave to the reader of a frame.
  Result<void> leave_to_reader(bool checksum, bool tcp4, bool tcp6);

  // One frame each, in at most kMaxParts parts. read() cuts off what does not fit. kFailed of
  // write(): the kernel refuses the frame.
  IoResult read(std::span<const std::span<std::byte>> parts);
  IoResult write(std::span<const std::span<const std::byte>> parts);

  // A source (platform/event_loop.h).
  Result<void> bind(EventLoop& loop) { return readiness_.bind(loop, handle_.get()); }
  void on_readable(Handler handler) { readiness_.on_readable(std::move(handler)); }
  void on_writable(Handler handler) { readiness_.on_writable(std::move(handler)); }

 private:
  explicit Tap(UniqueHandle handle) : handle_(std::move(handle)) {}
  UniqueHandle handle_;
  Readiness readiness_;
};

}  // namespace runhv::platform
