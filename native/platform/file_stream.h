// The part of Stream for handles on which a call may wait: a thread of their own calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "platform/event_loop.h"
#include "platform/handle.h"
#include "platform/stream.h"
#include "platform/worker.h"

namespace runhv::platform {

// Everything as Stream says it of a file that is bound, but that bind() may come later: handlers
// run from then on.
class FileStream {
 public:
  static Result<std::unique_ptr<FileStream>> create(UniqueHandle handle);
  ~FileStream();

  void bind(EventLoop& loop);

  IoResult read(std::span<std::byte> out);
  IoResult write(std::span<const std::byte> in);
  IoResult flush();
  void on_readable(Handler handler);
  void on_writable(Handler handler);
  void on_flushed(Handler handler);
  Result<void> close(std::uint64_t deadline_ns);

  // Waits until write() takes something again, or its failure is known. False: not by the deadline
  // (monotonic_ns).
  bool wait_for_room(std::uint64_t deadline_ns);
  // The same for flush().
  bool wait_until_flushed(std::uint64_t deadline_ns);

 private:
  struct State;
  FileStream(std::shared_ptr<State> state, std::unique_ptr<Worker> worker);
  // REQUIRES: the state is locked.
  void start_reading();

  std::shared_ptr<State> state_;  // also the worker's jobs', which may outlive this
  std::unique_ptr<Worker> worker_;
};

}  // namespace runhv::platform
