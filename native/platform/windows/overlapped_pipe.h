// One end of a named pipe that was opened for overlapped I/O: a source in two ways.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

#include "base/result.h"
#include "platform/event_loop.h"
#include "platform/handle.h"
#include "platform/readiness.h"
#include "platform/stream.h"

namespace runhv::platform {

// Whether the handle is of a pipe, and was opened for overlapped I/O.
bool is_overlapped_pipe(OsHandle handle);

// Nothing is read ahead, so that the handle can go on to another owner at any time. What write()
// took while the pipe was full is still given to the peer after this object has ended, as long as
// the process lives. Threads: as Stream.
class OverlappedPipe {
 public:
  // REQUIRES: is_overlapped_pipe(), or a pipe of ours.
  static Result<std::unique_ptr<OverlappedPipe>> create(UniqueHandle handle);
  OverlappedPipe(const OverlappedPipe&) = delete;
  OverlappedPipe& operator=(const OverlappedPipe&) = delete;
  ~OverlappedPipe();

  IoResult read(std::span<std::byte> out);
  IoResult write(std::span<const std::byte> in);
  // kDone: what write() took is with the peer, or in the pipe, where it stays when we have gone.
  IoResult flush();

  Result<void> bind(EventLoop& loop);
  void on_readable(Handler handler);
  void on_writable(Handler handler);
  void on_flushed(Handler handler);
  // Until write() takes something again, which is when flush() is done.
  bool wait_for_room(std::uint64_t deadline_ns) const;

  OsHandle handle() const { return handle_.get(); }
  // Ends this object's part.
  UniqueHandle release();

 private:
  struct Call;
  OverlappedPipe(UniqueHandle handle, std::unique_ptr<Call> look, std::unique_ptr<Call> taking);
  void begin_to_look();
  void end_calls();

  std::mutex mutex_;
  UniqueHandle handle_;
  std::unique_ptr<Call> look_;  // a read of no bytes, which ends when there are some
  std::unique_ptr<Call> read_;
  std::unique_ptr<Call> write_;  // the last one; it may still be under way
  Readiness readable_;           // of look_'s event, and declared behind it
  Readiness writable_;           // of write_'s
  Readiness flushed_;            // of the same
};

}  // namespace runhv::platform
