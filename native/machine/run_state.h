// What the processors of a running machine share: whether to go on, and how it ended.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "machine/halt_gate.h"
#include "machine/machine.h"

namespace runhv::machine {

// Made paused: resume() lets the processors go. Threads: any.
class RunState {
 public:
  bool ending() const { return ending_.load(std::memory_order_acquire); }

  // The first reason counts. `error`: of kTripleFault, kGuestStuck and kFailed. True for the first.
  bool end(MachineEnd reason, std::optional<Error> error);

  std::optional<MachineEnd> reason() const;
  std::optional<Error> error() const;

  // --- of a processor's thread ---
  // Before each run. Waits while the machine is paused; false where it is ending.
  bool may_run() { return !held_.load(std::memory_order_acquire) || wait_at_gate(); }
  // It runs no more. True for the last of them.
  bool leave();

  // --- of the machine ---
  // `count` threads will call may_run() and, in the end, leave().
  void enter(std::uint32_t count);
  // From now on may_run() waits, until resume().
  void hold();
  // After hold(), and a cancel of every processor: until all of them wait, or have left. False: one
  // still runs at the deadline (monotonic).
  bool wait_until_held(std::uint64_t deadline_ns);
  void resume();

  HaltGate& halt_gate() { return halt_gate_; }

 private:
  bool wait_at_gate();

  std::atomic<bool> ending_{false};
  std::atomic<bool> held_{true};  // paused, or ending
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool paused_ = true;
  std::uint32_t present_ = 0;  // threads that have not left
  std::uint32_t waiting_ = 0;  // of them, at the gate
  std::optional<MachineEnd> reason_;
  std::optional<Error> error_;
  HaltGate halt_gate_;
};

}  // namespace runhv::machine
