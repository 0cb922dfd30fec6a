// Threads for the calls of the host that may wait: disks, files on a network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/thread.h"

namespace runhv::platform {

// Runs jobs in the order of their posting: one after another, or where it may have several threads,
// as many at once. A job owns all that it touches (shared_ptr): it may hang in the kernel and
// outlive the worker.
class Worker {
 public:
  // With one thread; the others begin when a job finds none idle, as far as the host has room for
  // them. kOutOfMemory where it refuses the first (Thread::start).
  static Result<std::unique_ptr<Worker>> create(const char* name, std::size_t most_threads = 1);

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  // Where stop() was not called: as stop() without a deadline.
  ~Worker();

  // False, and `job` is dropped, after stop(). Threads: any, also the worker's.
  bool post(std::function<void()> job);

  // Takes no more jobs, drops those that have not begun, and waits for the running ones up to the
  // deadline (monotonic_ns). False: one hangs; its thread is abandoned and ends when the job does.
  // REQUIRES: on another thread than the worker's, once.
  bool stop(std::uint64_t deadline_ns);

 private:
  struct Queue;
  Worker(const char* name, std::size_t most_threads);
  Result<void> add_thread();

  const std::string name_;
  const std::size_t most_threads_;
  std::shared_ptr<Queue> queue_;  // also the threads', which may outlive this worker
  std::vector<Thread> threads_;   // of the queue's mutex
  bool stopped_ = false;
};

}  // namespace runhv::platform
