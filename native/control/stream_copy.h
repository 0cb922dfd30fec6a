// Bytes from one stream to another one: for a client whose system lets no handle go over a
// connection, between its own streams and those that the VMM has.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "platform/event_loop.h"
#include "platform/stream.h"

namespace runhv::control {

// Threads: the loop's. Nothing is read that the other side has no room for, but one buffer.
class StreamCopy {
 public:
  // `loop` outlives it.
  static Result<std::unique_ptr<StreamCopy>> begin(platform::EventLoop& loop, platform::Stream from,
                                                   platform::Stream to);
  StreamCopy(const StreamCopy&) = delete;
  StreamCopy& operator=(const StreamCopy&) = delete;

  // `from` has ended and the system has all of it, or `to` takes no more. Both are closed then: as
  // with a pipe, each side sees the other's end.
  bool has_ended() const { return ended_; }
  // Why bytes are lost. A reader that has gone did not want them.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  StreamCopy(platform::EventLoop& loop, platform::Stream from, platform::Stream to);
  void go_on();
  void flush();
  void end();

  std::array<std::byte, 64 * 1024> buffer_;
  std::span<const std::byte> rest_;  // of what was read
  std::optional<platform::Stream> from_, to_;
  platform::Timer turn_;
  std::optional<Error> failure_;
  bool ended_ = false;
};

}  // namespace runhv::control
