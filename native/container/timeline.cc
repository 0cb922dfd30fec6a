#include "container/timeline.h"

#include <atomic>

namespace runhv::container {
namespace {

// atomic_ref takes no const before C++26.
std::uint64_t load(const std::uint64_t& value,
                   std::memory_order order = std::memory_order_relaxed) {
  return std::atomic_ref(const_cast<std::uint64_t&>(value)).load(order);
}

void store(std::uint64_t& value, std::uint64_t to,
           std::memory_order order = std::memory_order_relaxed) {
  std::atomic_ref(value).store(to, order);
}

}  // namespace

void Timeline::describe(std::uint32_t processor_count, std::uint64_t memory_bytes) {
  page_.processor_count = processor_count;
  page_.memory_bytes = memory_bytes;
}

void Timeline::mark(Stage stage, std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  std::uint64_t& start = page_.stage_start_ns[static_cast<std::size_t>(stage)];
  if (load(start) == 0) store(start, now_ns, std::memory_order_release);
}

void Timeline::mark_first_instruction(std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  std::uint64_t& start = page_.stage_start_ns[static_cast<std::size_t>(Stage::kFirstInstruction)];
  if (load(start) != 0) return;
  const Counts counts = sum();
  for (std::size_t i = 0; i < machine::kExitReasonCount; ++i) {
    store(page_.exits_to_first_instruction[i], counts.exits[i]);
  }
  store(page_.instructions_to_first_instruction, counts.instructions);
  store(start, now_ns, std::memory_order_release);
}

void Timeline::finish(std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  if (load(page_.end_ns) == 0) store(page_.end_ns, now_ns, std::memory_order_release);
}

void Timeline::set_resident_bytes(std::uint64_t bytes) {
  store(page_.guest_memory_resident_bytes, bytes);
}

Counts Timeline::sum() const {
  Counts sum{.exits = {}, .instructions = 0};
  for (std::uint32_t i = 0; i < page_.processor_count; ++i) {
    const machine::ProcessorCounts& counts = page_.processors[i];
    for (std::size_t reason = 0; reason < machine::kExitReasonCount; ++reason) {
      sum.exits[reason] += load(counts.exits[reason]);
    }
    const std::uint64_t instructions = load(counts.instructions);
    const bool counted =
        instructions != machine::kNotCounted && sum.instructions != machine::kNotCounted;
    sum.instructions = counted ? sum.instructions + instructions : machine::kNotCounted;
  }
  return sum;
}

TimelineSnapshot Timeline::snapshot() const {
  const std::lock_guard lock(mutex_);
  TimelineSnapshot snapshot;
  for (std::size_t i = 0; i < kStageCount; ++i) {
    snapshot.start_ns[i] = load(page_.stage_start_ns[i]);
  }
  snapshot.end_ns = load(page_.end_ns);
  for (std::size_t i = 0; i < machine::kExitReasonCount; ++i) {
    snapshot.to_first_instruction.exits[i] = load(page_.exits_to_first_instruction[i]);
  }
  snapshot.to_first_instruction.instructions = load(page_.instructions_to_first_instruction);
  snapshot.total = sum();
  return snapshot;
}

}  // namespace runhv::container
