#include "machine/run_state.h"

namespace runhv {

void ProcessorCounts::add_to(Counts& sum) const {
  for (std::size_t i = 0; i < kExitReasonCount; ++i) {
    sum.exits[i] += exits_[i].load(std::memory_order_relaxed);
  }
  const std::uint64_t instructions = instructions_.load(std::memory_order_relaxed);
  if (instructions == UINT64_MAX || sum.instructions == UINT64_MAX) {
    sum.instructions = UINT64_MAX;
  } else {
    sum.instructions += instructions;
  }
}

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

Counts RunState::sum() const {
  Counts sum;
  sum.instructions = 0;
  for (const ProcessorCounts& counts : counts_) counts.add_to(sum);
  return sum;
}

}  // namespace runhv
