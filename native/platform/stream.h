// One end of a byte stream that the host gave us (a pipe, a terminal, a socket, a file), used
// without ever blocking and without changing the flags that other processes share with us.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "platform/event_loop.h"
#include "platform/handle.h"

namespace runhv::platform {

// What the handle was opened for: true to be read, false to be written. An error where that is
// both, as of every socket, or neither: it is closed, or no bytes come of it (a folder).
Result<bool> is_for_reading(OsHandle handle);

enum class IoStatus { kDone, kWouldBlock, kEnd, kFailed };

struct IoResult {
  IoStatus status;
  std::size_t bytes = 0;  // > 0 with kDone of a read or write
  int os_code = 0;        // with kFailed: raw
};

// A regular file and a block device are never told to be busy by the system and yet wait for a disk
// or a server. Bound to a loop, such a stream has a thread of its own (Worker) that does: write()
// puts up to kFilePendingBytes aside for it, and it reads up to kFileAheadBytes ahead once read()
// or on_readable() was called. Not bound, it is read and written at once.
//
// On Windows a pipe or a console that was not opened for overlapped I/O, as a process's standard
// streams are, always has such a thread, bound or not: what is read comes a little later there.
//
// Threads: any; not two at a time in the same call, and none while it is moved or destroyed.
class Stream {
 public:
  static constexpr std::size_t kFilePendingBytes = 256 * 1024;
  static constexpr std::size_t kFileAheadBytes = 64 * 1024;

  // Duplicates `handle`; the caller keeps its own.
  static Result<Stream> adopt(OsHandle handle, bool for_reading);
  // The same of a handle that is ours to keep, such as one that came over a LocalConnection.
  static Result<Stream> adopt_owned(UniqueHandle handle, bool for_reading);

  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  // Waits for nothing: what flush() calls pending may be lost. close() is who waits.
  ~Stream();

  // It is a terminal or a socket, whose end is that of both directions. REQUIRES: not yet bound.
  bool ends_both_ways() const;

  // kEnd: the writers have closed, or the file has ended. kWouldBlock also for an empty `out`.
  IoResult read(std::span<std::byte> out);
  // kEnd: the readers have closed (EPIPE). kWouldBlock also for an empty `in`. kFailed of a bound
  // file: that or an earlier write failed; bytes are lost, and none is taken any more. On a Thread,
  // and from a socket anywhere, no SIGPIPE is raised.
  IoResult write(std::span<const std::byte> in);
  // kDone: all that write() took has been handed to the system. kWouldBlock: not yet. kFailed: some
  // of it could not be.
  IoResult flush();

  // A source (platform/event_loop.h). kOutOfMemory where the host refuses a file's thread.
  Result<void> bind(EventLoop& loop);
  // After kWouldBlock of read(), write() or flush() respectively. REQUIRES: bound.
  void on_readable(Handler handler);
  void on_writable(Handler handler);
  void on_flushed(Handler handler);

  // Closes once all is handed to the system, and waits for that until the deadline (monotonic_ns).
  // Errors: as flush(), kTimedOut. A file that hangs is left to its thread. Afterwards, reads and
  // writes fail.
  Result<void> close(std::uint64_t deadline_ns);

  // Waits until write() takes something again. False: not by the deadline (monotonic_ns). REQUIRES:
  // not bound.
  bool wait_for_room(std::uint64_t deadline_ns) const;
  // Waits until all that write() took has been handed to the system, or never will be.
  void wait_until_flushed(std::uint64_t deadline_ns) const;

  // kInvalidHandle of a file that is bound.
  OsHandle handle() const;

 private:
  struct State;
  explicit Stream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;  // empty once moved from
};

}  // namespace runhv::platform
