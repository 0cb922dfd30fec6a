// What the processors of a running machine share: whether to go on, how it ended, and the counts.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/error.h"
#include "machine/halt_gate.h"
#include "machine/machine.h"
#include "machine/timeline.h"

namespace runhv {

// One processor's counts. Written by its own thread only, read by any.
class ProcessorCounts {
 public:
  void add_exit(ExitReason reason) {
    auto& count = exits_[static_cast<std::size_t>(reason)];
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void set_instructions(std::uint64_t count) {
    instructions_.store(count, std::memory_order_relaxed);
  }
  void add_to(Counts& sum) const;

 private:
  std::array<std::atomic<std::uint64_t>, kExitReasonCount> exits_{};
  std::atomic<std::uint64_t> instructions_{0};
};

// Threads: any.
class RunState {
 public:
  explicit RunState(std::uint32_t processor_count) : counts_(processor_count) {}

  bool ending() const { return ending_.load(std::memory_order_acquire); }

  // The first reason counts. `error`: of kTripleFault and kFailed. True for the first.
  bool end(MachineEnd reason, std::optional<Error> error);

  std::optional<MachineEnd> reason() const;
  std::optional<Error> error() const;

  ProcessorCounts& counts_of(std::uint32_t processor) { return counts_[processor]; }
  Counts sum() const;

  HaltGate& halt_gate() { return halt_gate_; }

 private:
  std::atomic<bool> ending_{false};
  mutable std::mutex mutex_;
  std::optional<MachineEnd> reason_;
  std::optional<Error> error_;
  std::vector<ProcessorCounts> counts_;
  HaltGate halt_gate_;
};

}  // namespace runhv
