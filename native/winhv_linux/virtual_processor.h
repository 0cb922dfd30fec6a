// One virtual processor of a partition, beside its state in the engine.
#pragma once

#include <atomic>
#include <cstdint>

namespace runhv::winhv {

struct VirtualProcessor {
  std::atomic<bool> running{false};     // a thread is inside WHvRunVirtualProcessor
  std::atomic<bool> canceled{false};    // sticky, one-shot, not counted (field guide §1.6)
  std::atomic<bool> halted{false};      // its thread sleeps, or is about to, until it can run
  std::uint64_t runs = 0;               // by its running thread only
  bool halt_reported = false;           // by its running thread only
  std::uint32_t cpuid_default[4] = {};  // of the CPUID that exits next; under the baton
};

}  // namespace runhv::winhv
