#include "winhv_linux/engines/baton.h"

namespace runhv::winhv_linux {

void Baton::enqueue(Turn turn, Waiter& waiter) {
  if (turn == Turn::kNext) {
    next_.push_back(&waiter);
    next_waiting_.fetch_add(1);
  } else {
    fair_.push_back(&waiter);
  }
}

void Baton::give() {
  const std::lock_guard lock(mutex_);
  std::deque<Waiter*>& queue = next_.empty() ? fair_ : next_;
  if (queue.empty()) {
    held_ = false;
    return;
  }
  Waiter* waiter = queue.front();
  queue.pop_front();
  waiter->has_baton = true;
  waiter->woken.notify_one();  // under the lock: the waiter lives on its thread's stack
}

}  // namespace runhv::winhv_linux
