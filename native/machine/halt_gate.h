// Where the thread of a halted processor waits when the hypervisor will not.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace runhv::machine {

// WHP has three behaviours at HLT with a local APIC in the hypervisor: no exit; an exit, and the
// next run blocks until an interrupt; an exit, and the next run returns at once with another. Only
// the third needs a wait here, and a short one: the hypervisor's APIC timer wakes nobody in this
// process. Threads: any.
class HaltGate {
 public:
  static constexpr std::chrono::milliseconds kLongestWait{1};

  // Take it before a run; wait() returns at once when someone opened the gate since.
  std::uint64_t ticket() const { return opened_.load(std::memory_order_acquire); }

  void open() {
    opened_.fetch_add(1, std::memory_order_acq_rel);
    if (waiting_.load(std::memory_order_acquire) == 0) return;
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }

  void wait(std::uint64_t ticket) {
    waiting_.fetch_add(1, std::memory_order_acq_rel);
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, kLongestWait, [&] { return opened_.load() != ticket; });
    }
    waiting_.fetch_sub(1, std::memory_order_acq_rel);
  }

 private:
  std::atomic<std::uint64_t> opened_{0};
  std::atomic<std::uint32_t> waiting_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace runhv::machine
