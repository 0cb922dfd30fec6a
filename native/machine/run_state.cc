#include "machine/run_state.h"

#include <chrono>

#include "platform/clock.h"

namespace runhv::machine {

bool RunState::end(MachineEnd reason, std::optional<Error> error) {
  {
    const std::lock_guard lock(mutex_);
    if (reason_) return false;
    reason_ = reason;
    error_ = std::move(error);
    ending_.store(true, std::memory_order_release);
    held_.store(true, std::memory_order_release);
  }
  changed_.notify_all();
  halt_gate_.open();
  return true;
}

std::optional<MachineEnd> RunState::reason() const {
  const std::lock_guard lock(mutex_);
  return reason_;
}

std::optional<Error> RunState::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

bool RunState::wait_at_gate() {
  std::unique_lock lock(mutex_);
  ++waiting_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !paused_ || reason_.has_value(); });
  --waiting_;
  return !reason_.has_value();
}

bool RunState::leave() {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
  return --present_ == 0;
}

void RunState::enter(std::uint32_t count) {
  const std::lock_guard lock(mutex_);
  present_ = count;
}

void RunState::hold() {
  const std::lock_guard lock(mutex_);
  paused_ = true;
  held_.store(true, std::memory_order_release);
  // Out of its wait, to the gate.
  halt_gate_.open();
}

bool RunState::wait_until_held(std::uint64_t deadline_ns) {
  std::unique_lock lock(mutex_);
  const auto held = [this] { return waiting_ == present_; };
  const std::uint64_t now = platform::monotonic_ns();
  const std::chrono::nanoseconds left(deadline_ns > now ? deadline_ns - now : 0);
  return changed_.wait_for(lock, left, held);
}

void RunState::resume() {
  {
    const std::lock_guard lock(mutex_);
    paused_ = false;
    held_.store(reason_.has_value(), std::memory_order_release);
  }
  changed_.notify_all();
}

}  // namespace runhv::machine
