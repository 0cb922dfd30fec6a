// Who may call the engine now: one thread at a time, in the order in which they asked.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>

namespace runhv::winhv_linux {

enum class Turn {
  kFair,  // a processor's next slice: behind all that wait
  kNext   // a short call: before every slice
};

// A mutex is not enough: the thread that gives it back would win it again, and a processor that
// runs slice after slice would starve the others.
class Baton {
 public:
  // `interrupt_holder()` is called, from this thread, if somebody else has the baton.
  template <class F>
  void take(Turn turn, F interrupt_holder) {
    std::unique_lock lock(mutex_);
    if (!held_) {
      held_ = true;
      return;
    }
    Waiter self;
    enqueue(turn, self);
    interrupt_holder();
    self.woken.wait(lock, [&] { return self.has_baton; });
    if (turn == Turn::kNext) next_waiting_.fetch_sub(1);
  }

  void give();

  // Whether a short call waits: the holder should give the baton back soon. Any thread.
  bool wanted() const { return next_waiting_.load() != 0; }

 private:
  struct Waiter {
    std::condition_variable woken;
    bool has_baton = false;
  };
  void enqueue(Turn turn, Waiter& waiter);

  std::mutex mutex_;
  bool held_ = false;                // guarded by mutex_
  std::deque<Waiter*> next_, fair_;  // guarded by mutex_
  std::atomic<std::uint32_t> next_waiting_{0};
};

}  // namespace runhv::winhv_linux
