// What an EventLoop and its sources share.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "platform/event_loop.h"
#include "platform/handle.h"
#include "platform/poller.h"

namespace runhv::platform {

class EventLoop::Core {
 public:
  static Result<std::shared_ptr<Core>> create();

  enum class Interest { kReadable, kWritable };

  // Threads: any. The handlers run on the loop's thread.
  Result<std::uint64_t> watch(OsHandle handle);
  void arm(std::uint64_t watch_id, Interest interest, Handler handler);
  void forget(std::uint64_t watch_id);
  std::uint64_t add_timer(Handler handler);
  void set_timer(std::uint64_t timer_id, std::uint64_t deadline_ns);
  void remove_timer(std::uint64_t timer_id);
  void post(Handler handler);
  void stop();

  // One wait, then everything that has happened.
  Result<void> serve(std::optional<std::uint64_t> deadline_ns);
  bool take_stop();
  bool in_loop_thread() const;
  // Nothing is served any more: what is left is dropped.
  void close();

 private:
  // Shared with the call of it, which outlives its place here.
  using SharedHandler = std::shared_ptr<Handler>;
  struct Watch {
    bool always_ready = false;
    bool readable_armed = false;  // the poller tells of it next, once
    bool writable_armed = false;
    SharedHandler readable, writable;
  };
  struct TimerState {
    SharedHandler handler;
    std::uint64_t deadline_ns;
  };

  explicit Core(std::unique_ptr<Poller> poller) : poller_(std::move(poller)) {}
  void prepare_to_wait(std::optional<std::uint64_t> deadline_ns);
  void dispatch(const Poller::Ready& ready);
  void run_due_timers();
  void run_posted();
  // REQUIRES: the mutex is held, of these.
  void update_interest(std::uint64_t watch_id, Watch& watch);
  void post_locked(Handler handler);
  void wake();

  const std::unique_ptr<Poller> poller_;
  std::atomic<std::thread::id> loop_thread_{};

  std::mutex mutex_;  // never held while a handler runs or ends
  bool closed_ = false;
  bool stopped_ = false;
  bool awake_ = false;  // a wake-up is on its way
  std::uint64_t next_id_ = 2;
  std::map<std::uint64_t, Watch> watches_;
  std::map<std::uint64_t, TimerState> timers_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> deadlines_;  // with the timer's id
  std::vector<Handler> posted_;
};

}  // namespace runhv::platform
