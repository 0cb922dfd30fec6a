#include "machine/run_state.h"

namespace runhv {

bool RunState::end(MachineEnd reason, std::optional<Error> error) {
  {
    const std::lock_guard lock(mutex_);
    if (reason_) return false;
    reason_ = reason;
    error_ = std::move(error);
  }
  ending_.store(true, std::memory_order_release);
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

}  // namespace runhv
