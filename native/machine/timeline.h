// The statistics of one start, where readers outside the core see them live: when each stage began,
// and what the processors have counted.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "runhv/runhv.h"

namespace runhv {

// In the order of runhv_stage (runhv/runhv.h).
enum class Stage : std::uint8_t {
  kSpawn,
  kPartition,
  kMemory,
  kKernel,
  kAgent,
  kFirstInstruction,
  kFirstOutput,
  kExit
};
inline constexpr std::size_t kStageCount = 8;

// In the order of runhv_exit_reason.
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

struct Counts {
  ExitCounts exits{};
  std::uint64_t instructions = UINT64_MAX;  // UINT64_MAX: the engine cannot count
};

struct TimelineSnapshot {
  std::array<std::uint64_t, kStageCount> start_ns{};  // 0 = not reached
  std::uint64_t end_ns = 0;                           // when the last stage ended; 0 = it runs
  Counts to_first_instruction;
  Counts total;  // until now
};

// One processor's counts, as they lie in the page. Written by its own thread only.
class ProcessorCounts {
 public:
  explicit ProcessorCounts(runhv_processor_counts& counts) : counts_(&counts) {}

  void add_exit(ExitReason reason) {
    const std::atomic_ref count(counts_->exits[static_cast<std::size_t>(reason)]);
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void set_instructions(std::uint64_t count) {
    std::atomic_ref(counts_->instructions).store(count, std::memory_order_relaxed);
  }

 private:
  runhv_processor_counts* counts_;
};

// Owns the page. Threads: any; each stage is marked once, later marks are ignored.
class Timeline {
 public:
  Timeline();
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  // Before the machine runs. At most RUNHV_MAX_CPUS processors.
  void describe(std::uint32_t processor_count, std::uint64_t memory_bytes);

  void mark(Stage stage, std::uint64_t now_ns);
  // Keeps the counts of this moment, too.
  void mark_first_instruction(std::uint64_t now_ns);
  void finish(std::uint64_t now_ns);
  void set_resident_bytes(std::uint64_t bytes);

  // `processor` < processor_count. Valid as long as this object.
  ProcessorCounts counts_of(std::uint32_t processor) {
    return ProcessorCounts(page_.processors[processor]);
  }

  TimelineSnapshot snapshot() const;
  const runhv_statistics_page& page() const { return page_; }

 private:
  Counts sum() const;

  mutable std::mutex mutex_;  // of the stages and what belongs to them, for writers
  alignas(64) runhv_statistics_page page_{};
};

}  // namespace runhv
