#include "machine/timeline.h"

namespace runhv {

void Timeline::mark(Stage stage, std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  std::uint64_t& start = state_.start_ns[static_cast<std::size_t>(stage)];
  if (start == 0) start = now_ns;
}

void Timeline::mark_first_instruction(std::uint64_t now_ns, const Counts& counts) {
  const std::lock_guard lock(mutex_);
  std::uint64_t& start = state_.start_ns[static_cast<std::size_t>(Stage::kFirstInstruction)];
  if (start != 0) return;
  start = now_ns;
  state_.to_first_instruction = counts;
}

void Timeline::finish(std::uint64_t now_ns, const Counts& total) {
  const std::lock_guard lock(mutex_);
  if (state_.end_ns != 0) return;
  state_.end_ns = now_ns;
  state_.total = total;
}

TimelineSnapshot Timeline::snapshot() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

}  // namespace runhv
