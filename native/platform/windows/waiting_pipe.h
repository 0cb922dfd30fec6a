// One end of a named pipe for threads that wait.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/result.h"
#include "platform/handle.h"
#include "platform/stream.h"
#include "platform/windows/system.h"

namespace runhv::platform {

// Threads: any; one that reads and one that writes do not wait for one another.
class WaitingPipe {
 public:
  // Duplicates `handle`; kInvalidArgument unless it is of a pipe, and was opened for overlapped
  // I/O.
  static Result<std::unique_ptr<WaitingPipe>> adopt(OsHandle handle);
  // The same of a handle that is ours to keep.
  static Result<std::unique_ptr<WaitingPipe>> adopt_owned(UniqueHandle handle);

  // Waits until something comes: kDone. kEnd: the other side has closed, or close() was called.
  IoResult read(std::span<std::byte> out);
  // Waits until all of it is with the peer or in the pipe, where it stays when we have gone: kDone.
  // kEnd: as read().
  IoResult write(std::span<const std::byte> in);
  // Ends the calls that wait, and all later ones. The handle goes with the object.
  void close();

 private:
  WaitingPipe(UniqueHandle handle, UniqueHandle closed)
      : handle_(std::move(handle)), closed_(std::move(closed)) {}
  template <class Begin>
  IoResult wait_for(const Begin& begin);

  UniqueHandle handle_;
  UniqueHandle closed_;  // an event
};

}  // namespace runhv::platform
