#include "api/conversions.h"

#include <cstddef>

#include "platform/clock.h"
#include "platform/process.h"

namespace runhv::api {
namespace {

static_assert(container::kStageCount == RUNHV_STAGE_COUNT);
static_assert(static_cast<int>(container::Stage::kExit) == RUNHV_STAGE_EXIT);
static_assert(static_cast<int>(container::ContainerStatus::kStopped) == RUNHV_STATUS_STOPPED);
static_assert(static_cast<int>(machine::ExitReason::kOther) == RUNHV_EXIT_OTHER);
static_assert(container::kMaxProcesses == RUNHV_MAX_PROCESSES);
static_assert(container::kMaxIdBytes == RUNHV_MAX_ID_BYTES);
static_assert(container::kMaxProcessJsonBytes == RUNHV_MAX_PROCESS_JSON_BYTES);
static_assert(machine::kNotCounted == RUNHV_NOT_COUNTED);
static_assert(container::kFirstProcess == RUNHV_FIRST_PROCESS);
static_assert(machine::MachineLimits::kMaxProcessors == RUNHV_MAX_CPUS);
static_assert(machine::MachineLimits::kMaxDisks == RUNHV_MAX_DISKS);
static_assert(machine::MachineLimits::kMinMemoryBytes == RUNHV_MIN_MEMORY_BYTES);
static_assert(machine::MachineLimits::kMaxMemoryBytes == RUNHV_MAX_MEMORY_BYTES);
static_assert(container::kMaxScratchBytes == RUNHV_MAX_SCRATCH_BYTES);

// The page that readers see is the container's own.
static_assert(container::StatisticsPage::kVersion == RUNHV_STATISTICS_PAGE_VERSION);
static_assert(sizeof(container::StatisticsPage) == sizeof(runhv_statistics_page));
static_assert(sizeof(machine::ProcessorCounts) == sizeof(runhv_processor_counts));
#define RUNHV_SAME_PLACE(field)                               \
  static_assert(offsetof(container::StatisticsPage, field) == \
                offsetof(runhv_statistics_page, field))
RUNHV_SAME_PLACE(version);
RUNHV_SAME_PLACE(processor_count);
RUNHV_SAME_PLACE(memory_bytes);
RUNHV_SAME_PLACE(guest_memory_resident_bytes);
RUNHV_SAME_PLACE(stage_start_ns);
RUNHV_SAME_PLACE(end_ns);
RUNHV_SAME_PLACE(exits_to_first_instruction);
RUNHV_SAME_PLACE(instructions_to_first_instruction);
RUNHV_SAME_PLACE(reserved);
RUNHV_SAME_PLACE(processors);
#undef RUNHV_SAME_PLACE
static_assert(offsetof(machine::ProcessorCounts, instructions) ==
              offsetof(runhv_processor_counts, instructions));

constexpr std::int32_t kOurFailure = 125;

runhv_exit_counts exit_counts(const machine::ExitCounts& counts) {
  const auto of = [&counts](machine::ExitReason reason) {
    return counts[static_cast<std::size_t>(reason)];
  };
  runhv_exit_counts result{};
  result.io_port = of(machine::ExitReason::kIoPort);
  result.mmio = of(machine::ExitReason::kMmio);
  result.cpuid = of(machine::ExitReason::kCpuid);
  result.msr = of(machine::ExitReason::kMsr);
  result.halt = of(machine::ExitReason::kHalt);
  result.interrupt_window = of(machine::ExitReason::kInterruptWindow);
  result.apic_eoi = of(machine::ExitReason::kApicEoi);
  result.canceled = of(machine::ExitReason::kCanceled);
  result.other = of(machine::ExitReason::kOther);
  for (const std::uint64_t count : counts) result.all += count;
  return result;
}

void fill_stages(const container::TimelineSnapshot& timeline, runhv_statistics& out) {
  std::uint64_t next = timeline.end_ns != 0 ? timeline.end_ns : platform::monotonic_ns();
  for (std::size_t i = container::kStageCount; i-- > 0;) {
    const std::uint64_t start = timeline.start_ns[i];
    if (start == 0) continue;
    out.stages[i].start_ns = start;
    out.stages[i].duration_ns = next > start ? next - start : 0;
    next = start;
  }
}

runhv_event event_of(runhv_event_kind kind, container::ProcessNumber process = 0) {
  auto event = sized<runhv_event>();
  event.kind = kind;
  event.process = process;
  event.at_ns = platform::monotonic_ns();
  event.status = sized<runhv_exit_status>();
  event.error = sized<runhv_error>();
  return event;
}

}  // namespace

runhv_exit_status to_abi(const container::ExitStatus& status) {
  auto result = sized<runhv_exit_status>();
  switch (status.kind) {
    case container::ExitStatus::Kind::kExited:
      result.end = RUNHV_END_EXITED;
      break;
    case container::ExitStatus::Kind::kSignaled:
      result.end = RUNHV_END_SIGNALED;
      break;
    case container::ExitStatus::Kind::kNotStarted:
      result.end = RUNHV_END_NOT_STARTED;
      break;
  }
  result.value = status.value;
  result.exit_status = status.shell_status();
  result.oom_kills = status.oom_kills;
  return result;
}

AbiEnd to_abi(const Result<container::ExitStatus>& end) {
  AbiEnd result;
  if (end) {
    result.status = to_abi(*end);
    if (end->reason) result.error = to_abi(*end->reason);
    return result;
  }
  result.code = static_cast<std::int32_t>(end.error().code);
  result.status.value = kOurFailure;
  result.status.exit_status = kOurFailure;
  result.error = to_abi(end.error());
  return result;
}

runhv_state to_abi(const std::string& id, const container::ContainerState& state,
                   const std::optional<Result<container::ExitStatus>>& end) {
  auto result = sized<runhv_state>();
  result.status = static_cast<std::int32_t>(state.status);
  copy_text(result.id, id);
  result.pid = static_cast<std::int64_t>(platform::current_process_id());
  result.created_at_ns = state.created_at_ns;
  result.started_at_ns = state.started_at_ns;
  result.ended_at_ns = state.ended_at_ns;
  result.process_count = state.process_count;
  result.end = sized<runhv_exit_status>();
  if (end) {
    const AbiEnd told = to_abi(*end);
    result.end_code = told.code;
    result.end = told.status;
  }
  return result;
}

runhv_statistics to_abi(const container::ContainerStatistics& from) {
  auto result = sized<runhv_statistics>();
  copy_text(result.engine, from.engine);
  copy_text(result.kernel, from.kernel);
  result.processor_count = from.processor_count;
  result.memory_bytes = from.memory_bytes;
  result.spawned_at_ns = from.timeline.start_ns[static_cast<std::size_t>(container::Stage::kSpawn)];
  fill_stages(from.timeline, result);
  result.exits_to_first_instruction = exit_counts(from.timeline.to_first_instruction.exits);
  result.exits_total = exit_counts(from.timeline.total.exits);
  result.instructions_to_first_instruction = from.timeline.to_first_instruction.instructions;
  result.instructions_total = from.timeline.total.instructions;
  result.private_bytes = from.private_bytes;
  result.guest_memory_resident_bytes = from.guest_memory_resident_bytes;
  for (const auto& disk : from.disks) {
    result.disks[result.disk_count++] = {.reads = disk.reads,
                                         .read_bytes = disk.read_bytes,
                                         .writes = disk.writes,
                                         .written_bytes = disk.written_bytes,
                                         .flushes = disk.flushes};
  }
  return result;
}

runhv_event ended_event(const Result<container::ExitStatus>& end) {
  runhv_event event = event_of(RUNHV_EVENT_ENDED);
  const AbiEnd told = to_abi(end);
  event.code = told.code;
  event.status = told.status;
  event.error = told.error;
  return event;
}

void AbiEvents::on_created() { on_event(event_of(RUNHV_EVENT_CREATED)); }

void AbiEvents::on_started() { on_event(event_of(RUNHV_EVENT_STARTED)); }

void AbiEvents::on_process_started(container::ProcessNumber process) {
  on_event(event_of(RUNHV_EVENT_PROCESS_STARTED, process));
}

void AbiEvents::on_process_ended(container::ProcessNumber process,
                                 const container::ExitStatus& status) {
  runhv_event event = event_of(RUNHV_EVENT_PROCESS_ENDED, process);
  event.status = to_abi(status);
  if (status.reason) event.error = to_abi(*status.reason);
  on_event(event);
}

void AbiEvents::on_out_of_memory(std::uint32_t kills) {
  runhv_event event = event_of(RUNHV_EVENT_OUT_OF_MEMORY);
  event.oom_kills = kills;
  on_event(event);
}

void AbiEvents::on_paused() { on_event(event_of(RUNHV_EVENT_PAUSED)); }

void AbiEvents::on_resumed() { on_event(event_of(RUNHV_EVENT_RESUMED)); }

void AbiEvents::on_warning(container::ProcessNumber process, const Error& warning) {
  runhv_event event = event_of(RUNHV_EVENT_WARNING, process);
  event.error = to_abi(warning);
  on_event(event);
}

void AbiEvents::on_ended(const Result<container::ExitStatus>& end) { on_event(ended_event(end)); }

}  // namespace runhv::api
