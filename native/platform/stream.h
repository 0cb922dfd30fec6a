// One end of a byte stream that the host gave us (a pipe, a terminal, a socket, a file), used
// without ever blocking and without changing the flags that other processes share with us.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"
#include "platform/handle.h"

namespace runhv {

enum class IoStatus { kDone, kWouldBlock, kEnd, kFailed };

struct IoResult {
  IoStatus status;
  std::size_t bytes = 0;  // > 0 with kDone
  int os_code = 0;        // with kFailed: raw
};

class Stream {
 public:
  // Duplicates `handle`; the caller keeps its own.
  static Result<Stream> adopt(OsHandle handle, bool for_reading);

  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&&) noexcept = default;

  // kEnd: the writers have closed.
  IoResult read(std::span<std::byte> out);
  // kEnd: the readers have closed (EPIPE). Never raises SIGPIPE.
  IoResult write(std::span<const std::byte> in);

  // For Poller. False where the system has nothing to wait for (a regular file is always ready).
  bool pollable() const { return pollable_; }
  OsHandle handle() const { return handle_.get(); }

 private:
  enum class Kind { kSocket, kNonBlocking, kPollFirst };
  Stream(UniqueHandle handle, Kind kind, bool pollable)
      : handle_(std::move(handle)), kind_(kind), pollable_(pollable) {}
  UniqueHandle handle_;
  Kind kind_;
  bool pollable_;
};

}  // namespace runhv
