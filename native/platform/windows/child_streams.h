// The standard streams that a program gets from the one that starts it.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "platform/event_loop.h"
#include "platform/handle.h"
#include "platform/stream.h"

namespace runhv::platform {

// Of which the child gets one end. Not for overlapped I/O, which few programs expect of theirs.
struct ChildPipe {
  // False with GetLastError().
  bool open();

  UniqueHandle reader, writer;
};

// A child's stdin: all of `text`, which outlives it, and then its end.
class ChildInput {
 public:
  explicit ChildInput(std::string_view text);
  // Takes the writer. `loop` outlives it.
  Result<void> watch(EventLoop& loop, ChildPipe& pipe);

 private:
  void write();

  std::span<const std::byte> rest_;
  std::optional<Stream> stream_;
};

}  // namespace runhv::platform
