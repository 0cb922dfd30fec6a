// The statistics of one start, where readers outside the core see them live: when each stage began,
// and what the processors have counted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "machine/machine.h"
#include "machine/processor_counts.h"

namespace runhv::container {

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

// The layout of runhv_statistics_page (runhv/runhv.h says what each field is; api asserts it).
struct StatisticsPage {
  static constexpr std::uint32_t kVersion = 1;

  std::uint32_t version = kVersion;
  std::uint32_t processor_count = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t guest_memory_resident_bytes = 0;
  std::array<std::uint64_t, kStageCount> stage_start_ns{};
  std::uint64_t end_ns = 0;
  machine::ExitCounts exits_to_first_instruction{};
  std::uint64_t instructions_to_first_instruction = machine::kNotCounted;
  std::array<std::uint64_t, 10> reserved{};
  std::array<machine::ProcessorCounts, machine::MachineLimits::kMaxProcessors> processors{};
};

struct Counts {
  machine::ExitCounts exits{};
  std::uint64_t instructions = machine::kNotCounted;
};

struct TimelineSnapshot {
  std::array<std::uint64_t, kStageCount> start_ns{};  // 0 = not reached
  std::uint64_t end_ns = 0;                           // when the last stage ended; 0 = it runs
  Counts to_first_instruction;
  Counts total;  // until now
};

// Owns the page. Threads: any; each stage is marked once, later marks are ignored.
class Timeline {
 public:
  Timeline() = default;
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  // Before the machine runs. At most kMaxProcessors processors.
  void describe(std::uint32_t processor_count, std::uint64_t memory_bytes);

  void mark(Stage stage, std::uint64_t now_ns);
  // Keeps the counts of this moment, too.
  void mark_first_instruction(std::uint64_t now_ns);
  void finish(std::uint64_t now_ns);
  void set_resident_bytes(std::uint64_t bytes);

  // Valid as long as this object.
  std::span<machine::ProcessorCounts> counts() { return page_.processors; }
  const StatisticsPage& page() const { return page_; }

  TimelineSnapshot snapshot() const;

 private:
  Counts sum() const;

  mutable std::mutex mutex_;  // of the stages and what belongs to them, for writers
  alignas(64) StatisticsPage page_;
};

}  // namespace runhv::container
