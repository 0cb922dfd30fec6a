// What one virtual processor counts, where its owner wants it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace runhv::machine {

enum class ExitReason : std::uint8_t {
  kIoPort,
  kMmio,
  kCpuid,
  kMsr,
  kHalt,
  kInterruptWindow,
  kApicEoi,
  kCanceled,
  kOther
};
inline constexpr std::size_t kExitReasonCount = 9;

using ExitCounts = std::array<std::uint64_t, kExitReasonCount>;

inline constexpr std::uint64_t kNotCounted = UINT64_MAX;  // by an engine that cannot

// Written by its processor's thread alone, each number by one atomic store; 128 bytes, so that
// processors share no cache line. Others read with load(). The layout is that of
// runhv_processor_counts (runhv/runhv.h; api asserts it).
struct ProcessorCounts {
  ExitCounts exits{};
  std::uint64_t instructions = 0;  // as of the last exit, or kNotCounted
  std::array<std::uint64_t, 6> reserved{};

  void add_exit(ExitReason reason) {
    const std::atomic_ref count(exits[static_cast<std::size_t>(reason)]);
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void set_instructions(std::uint64_t count) {
    std::atomic_ref(instructions).store(count, std::memory_order_relaxed);
  }
};
static_assert(sizeof(ProcessorCounts) == 128);

}  // namespace runhv::machine
