// What the processors of a running machine share: whether to go on, and how it ended.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "machine/halt_gate.h"
#include "machine/machine.h"

namespace runhv {

// Threads: any.
class RunState {
 public:
  bool ending() const { return ending_.load(std::memory_order_acquire); }

  // The first reason counts. `error`: of kTripleFault, kGuestStuck and kFailed. True for the first.
  bool end(MachineEnd reason, std::optional<Error> error);

  std::optional<MachineEnd> reason() const;
  std::optional<Error> error() const;

  HaltGate& halt_gate() { return halt_gate_; }

 private:
  std::atomic<bool> ending_{false};
  mutable std::mutex mutex_;
  std::optional<MachineEnd> reason_;
  std::optional<Error> error_;
  HaltGate halt_gate_;
};

}  // namespace runhv
