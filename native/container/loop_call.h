// A call that any thread may ask of the loop's thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "platform/event_loop.h"

namespace runhv::container {

// However often it is requested before it runs, it runs once. Made and destroyed on the loop's
// thread; it never runs afterwards.
class LoopCall {
 public:
  LoopCall(platform::EventLoop& loop, std::function<void()> call)
      : loop_(loop), state_(std::make_shared<State>()) {
    state_->call = std::move(call);
  }
  LoopCall(const LoopCall&) = delete;
  LoopCall& operator=(const LoopCall&) = delete;
  ~LoopCall() { state_->call = nullptr; }

  // Threads: any.
  void request() {
    if (state_->requested.exchange(true, std::memory_order_acq_rel)) return;
    loop_.post([state = state_] {
      state->requested.store(false, std::memory_order_release);
      // A copy: the call may end its owner.
      if (const auto call = state->call) call();
    });
  }

 private:
  struct State {
    std::atomic<bool> requested{false};
    std::function<void()> call;  // of the loop's thread
  };
  platform::EventLoop& loop_;
  std::shared_ptr<State> state_;  // also of the posted call, which may outlive us
};

}  // namespace runhv::container
