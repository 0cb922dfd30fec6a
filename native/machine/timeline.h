// The waterfall of one start: when each stage began, with the counts at that moment.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>

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
  Counts total;
};

// Threads: any; each stage is marked once, later marks are ignored.
class Timeline {
 public:
  void mark(Stage stage, std::uint64_t now_ns);
  // With the counts to keep for Stage::kFirstInstruction.
  void mark_first_instruction(std::uint64_t now_ns, const Counts& counts);
  void finish(std::uint64_t now_ns, const Counts& total);
  TimelineSnapshot snapshot() const;

 private:
  mutable std::mutex mutex_;
  TimelineSnapshot state_;
};

}  // namespace runhv
