// One virtual processor of a partition, beside its state in the engine.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "winhv_linux/engine.h"

namespace runhv::winhv_linux {

struct VirtualProcessor {
  std::atomic<bool> running{false};  // a thread is inside WHvRunVirtualProcessor
  // Notified where it becomes true.
  std::atomic<bool> canceled{false};  // sticky, one-shot, not counted (field guide §1.6)
  std::atomic<std::uint64_t> canceled_outside{0};  // cancels that came while it was not running
  std::atomic<std::uint64_t> instructions{0};      // completed as of its last exit
  std::atomic<std::uint64_t> run_ns{0};            // inside the engine
  std::array<std::atomic<std::uint64_t>, kEngineExitReasons> exits{};  // told, by reason
  // Where the engine has no local APIC: that of the client's own, which guest code never reaches.
  std::atomic<UINT64> apic_base{0};
  std::uint64_t runs = 0;      // by its running thread only
  bool halt_reported = false;  // by its running thread only
};

}  // namespace runhv::winhv_linux
