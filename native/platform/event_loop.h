// One thread that serves whatever happens outside: streams, timers, processes, signals, requests of
// other threads.
//
// Readiness belongs to objects (Stream, Event, ProcessEnd, SignalQueue, LocalListener,
// LocalConnection), never to raw handles, so that a completion port can serve the same interface.
// Each such source has bind(EventLoop&), once, and on_…(handler):
//  - the handler runs once, on the loop's thread, when a call of the source may give something new.
//    It may have come for nothing; the call tells. To hear again, say on_… again: what has become
//    ready before that is not missed;
//  - an empty handler takes the request back;
//  - destroying the source is forgetting it: no handler of it begins afterwards. On the loop's
//  thread
//    that means none runs; destroyed on another thread, one that has begun goes on and owns what it
//    captured. A handler may destroy any source, its own too.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/result.h"

namespace runhv::platform {

using Handler = std::function<void()>;

// Handlers run one after another. Sources and timers may outlive their loop; then they are silent.
class EventLoop {
 public:
  static Result<std::unique_ptr<EventLoop>> create();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  // REQUIRES: run() has returned.
  ~EventLoop();

  // Serves on the calling thread until stop(). An error is the host's, and final.
  Result<void> run();
  // Waits until something happens or the deadline (monotonic_ns) has passed, and serves all that
  // has happened. Without a deadline: as long as it takes.
  Result<void> run_once(std::optional<std::uint64_t> deadline_ns);

  // Makes run() return once the running handler does: now or, before run(), as soon as it begins.
  // Threads: any.
  void stop();
  // Runs `handler` on the loop's thread, in the order of posting, after what is ready now. It is
  // dropped where the loop ends before. Threads: any, also the loop's.
  void post(Handler handler);
  // Whether the calling thread is within run() or run_once().
  bool in_loop_thread() const;

 private:
  friend class Readiness;
  friend class Timer;
  friend class FileStream;  // of Stream, which is a source in two ways
  class Core;
  explicit EventLoop(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;  // also each source's, which may outlive the loop
};

// Runs its handler on the loop's thread when a deadline has passed. Threads: any; a handler that
// has begun is not stopped by another thread's cancel() or destruction.
class Timer {
 public:
  Timer(EventLoop& loop, Handler handler);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();

  // Once, when monotonic_ns() has reached `deadline_ns`; in place of an earlier set().
  void set(std::uint64_t deadline_ns);
  void cancel();

 private:
  std::shared_ptr<EventLoop::Core> core_;
  std::uint64_t id_;
};

}  // namespace runhv::platform
