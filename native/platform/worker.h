// One thread for the calls of the host that may wait: disks, files on a network.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "platform/thread.h"

namespace runhv {

// Runs jobs one after another, in the order of their posting. A job owns all that it touches
// (shared_ptr): it may hang in the kernel and outlive the worker.
class Worker {
 public:
  // kOutOfMemory where the host refuses one more thread (Thread::start).
  static Result<std::unique_ptr<Worker>> create(const char* name);

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  // Where stop() was not called: as stop() without a deadline.
  ~Worker();

  // False, and `job` is dropped, after stop(). Threads: any, also the worker's.
  bool post(std::function<void()> job);

  // Takes no more jobs, drops those that have not begun, and waits for the running one up to the
  // deadline (monotonic_ns). False: that one hangs; its thread is abandoned and ends when the job
  // does. REQUIRES: on another thread than the worker's, once.
  bool stop(std::uint64_t deadline_ns);

 private:
  struct Queue;
  Worker(std::shared_ptr<Queue> queue, Thread thread);
  std::shared_ptr<Queue> queue_;  // also the thread's, which may outlive this worker
  Thread thread_;
  bool stopped_ = false;
};

}  // namespace runhv
