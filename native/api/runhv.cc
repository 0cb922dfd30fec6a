// runhv.h over container/: handles, structure sizes, errors.
#include "runhv/runhv.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "api/vm_table.h"
#include "container/container.h"
#include "platform/clock.h"

namespace runhv {
namespace {

static_assert(static_cast<int>(Code::kHostFailed) == RUNHV_HOST_FAILED);
static_assert(static_cast<int>(Domain::kGuestErrno) == RUNHV_DOMAIN_GUEST_ERRNO);
static_assert(static_cast<int>(Stage::kExit) == RUNHV_STAGE_EXIT);

VmTable& vms() {
  static VmTable table;
  return table;
}

// Copies as much of `text` as fits, cut between characters of UTF-8, and a NUL.
template <std::size_t N>
void copy_text(char (&out)[N], std::string_view text) {
  std::size_t size = std::min(text.size(), N - 1);
  if (size < text.size()) {
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  }
  std::memcpy(out, text.data(), size);
  out[size] = '\0';
}

// Fills what the caller's version of the structure has room for; struct_size stays.
template <class T>
void fill(T* out, const T& value) {
  const std::size_t size = std::min<std::size_t>(out->struct_size, sizeof(T));
  constexpr std::size_t kHead = sizeof(out->struct_size);
  if (size > kHead) {
    std::memcpy(reinterpret_cast<char*>(out) + kHead, reinterpret_cast<const char*>(&value) + kHead,
                size - kHead);
  }
}

void fill_error(runhv_error* out, const Error& error) {
  if (out == nullptr) return;
  runhv_error value{};
  value.code = static_cast<std::int32_t>(error.code);
  value.domain = static_cast<std::int32_t>(error.domain);
  value.os_code = error.os_code;
  copy_text(value.operation, error.operation);
  copy_text(value.detail, error.detail);
  fill(out, value);
}

std::int32_t fail(runhv_error* out, const Error& error) {
  fill_error(out, error);
  return static_cast<std::int32_t>(error.code);
}

std::int32_t invalid(runhv_error* out, const char* operation, const char* detail) {
  return fail(out, Error{Code::kInvalidArgument, operation, detail});
}

std::int32_t finish(runhv_error* out, const Result<void>& result) {
  return result ? RUNHV_OK : fail(out, result.error());
}

std::string text_or_empty(const char* text) { return text == nullptr ? "" : text; }

ContainerConfig container_config(const runhv_vm_config& config) {
  ContainerConfig result;
  result.id = config.id;
  result.bundle = config.bundle;
  result.engine = text_or_empty(config.engine);
  result.default_kernel = text_or_empty(config.default_kernel);
  result.default_initrd = text_or_empty(config.default_initrd);
  result.default_scratch = text_or_empty(config.default_scratch);
  result.default_modules = text_or_empty(config.default_modules);
  result.console = (config.flags & RUNHV_FLAG_CONSOLE) != 0;
  std::ranges::transform(config.stdio, result.stdio.begin(),
                         [](std::int64_t handle) { return static_cast<OsHandle>(handle); });
  result.spawned_at_ns = config.spawned_at_ns;
  return result;
}

runhv_exit_counts exit_counts(const ExitCounts& counts) {
  const auto of = [&counts](ExitReason reason) { return counts[static_cast<std::size_t>(reason)]; };
  runhv_exit_counts result{};
  result.io_port = of(ExitReason::kIoPort);
  result.mmio = of(ExitReason::kMmio);
  result.cpuid = of(ExitReason::kCpuid);
  result.msr = of(ExitReason::kMsr);
  result.halt = of(ExitReason::kHalt);
  result.interrupt_window = of(ExitReason::kInterruptWindow);
  result.apic_eoi = of(ExitReason::kApicEoi);
  result.canceled = of(ExitReason::kCanceled);
  result.other = of(ExitReason::kOther);
  for (const std::uint64_t count : counts) result.all += count;
  return result;
}

void fill_stages(const TimelineSnapshot& timeline, runhv_statistics& out) {
  std::uint64_t next = timeline.end_ns != 0 ? timeline.end_ns : monotonic_ns();
  for (std::size_t i = kStageCount; i-- > 0;) {
    const std::uint64_t start = timeline.start_ns[i];
    if (start == 0) continue;
    out.stages[i].start_ns = start;
    out.stages[i].duration_ns = next > start ? next - start : 0;
    next = start;
  }
}

runhv_statistics statistics(const ContainerStatistics& from) {
  runhv_statistics result{};
  copy_text(result.engine, from.engine);
  copy_text(result.kernel, from.kernel);
  result.processor_count = from.processor_count;
  result.memory_bytes = from.memory_bytes;
  result.spawned_at_ns = from.timeline.start_ns[static_cast<std::size_t>(Stage::kSpawn)];
  fill_stages(from.timeline, result);
  result.exits_to_first_instruction = exit_counts(from.timeline.to_first_instruction.exits);
  result.exits_total = exit_counts(from.timeline.total.exits);
  result.instructions_to_first_instruction = from.timeline.to_first_instruction.instructions;
  result.instructions_total = from.timeline.total.instructions;
  result.private_bytes = from.private_bytes;
  result.guest_memory_resident_bytes = from.guest_memory_resident_bytes;
  return result;
}

runhv_exit_status exit_status(const ContainerEnd& end) {
  runhv_exit_status result{};
  result.value = end.value;
  result.exit_status = end.value;
  result.oom_kills = end.oom_kills;
  switch (end.kind) {
    case ContainerEnd::Kind::kExited:
      result.end = RUNHV_END_EXITED;
      break;
    case ContainerEnd::Kind::kSignaled:
      result.end = RUNHV_END_SIGNALED;
      result.exit_status = 128 + end.value;
      break;
    case ContainerEnd::Kind::kNotStarted:
      result.end = RUNHV_END_NOT_STARTED;
      break;
  }
  return result;
}

}  // namespace
}  // namespace runhv

using runhv::fail;
using runhv::invalid;
using runhv::vms;

std::uint32_t runhv_abi_version(void) { return RUNHV_ABI_VERSION; }

const char* runhv_version(void) { return RUNHV_VERSION; }

const char* runhv_code_name(std::int32_t code) {
  if (code == RUNHV_OK) return "ok";
  return runhv::code_name(static_cast<runhv::Code>(code)).data();
}

const char* runhv_stage_name(std::int32_t stage) {
  static constexpr const char* kNames[RUNHV_STAGE_COUNT] = {
      "spawn", "partition",         "memory",       "kernel",
      "agent", "first_instruction", "first_output", "exit"};
  return stage >= 0 && stage < RUNHV_STAGE_COUNT ? kNames[stage] : "unknown";
}

std::int32_t runhv_vm_create(const runhv_vm_config* config, runhv_vm* vm, runhv_error* error) {
  constexpr const char* kOperation = "create a VM";
  if (vm == nullptr) return invalid(error, kOperation, "vm is null");
  *vm = 0;
  if (config == nullptr) return invalid(error, kOperation, "config is null");
  runhv_vm_config copy{};
  if (config->struct_size < sizeof copy.struct_size) {
    return invalid(error, kOperation, "config.struct_size is not set");
  }
  std::memcpy(&copy, config, std::min<std::size_t>(config->struct_size, sizeof copy));
  if (copy.id == nullptr) return invalid(error, kOperation, "config.id is null");
  if (copy.bundle == nullptr) return invalid(error, kOperation, "config.bundle is null");
  if ((copy.flags & ~std::uint32_t{RUNHV_FLAG_CONSOLE}) != 0) {
    return invalid(error, kOperation, "config.flags has an unknown bit");
  }
  const auto handle = vms().create(runhv::container_config(copy));
  if (!handle) return fail(error, handle.error());
  *vm = *handle;
  return RUNHV_OK;
}

std::int32_t runhv_vm_start(runhv_vm vm, runhv_error* error) {
  const auto call = vms().enter(vm);
  return call ? runhv::finish(error, (*call)->start()) : fail(error, call.error());
}

std::int32_t runhv_vm_wait(runhv_vm vm, std::uint32_t timeout_ms, runhv_exit_status* status,
                           runhv_error* error) {
  if (status == nullptr) return invalid(error, "wait for a VM", "status is null");
  if (status->struct_size < sizeof status->struct_size) {
    return invalid(error, "wait for a VM", "status.struct_size is not set");
  }
  const auto call = vms().enter(vm);
  if (!call) return fail(error, call.error());
  std::optional<std::uint64_t> deadline;
  if (timeout_ms != std::numeric_limits<std::uint32_t>::max()) {
    deadline = runhv::monotonic_ns() + std::uint64_t{timeout_ms} * 1'000'000;
  }
  const auto end = (*call)->wait(deadline);
  if (!end) return fail(error, end.error());
  if (!end->has_value()) {
    return fail(error, {runhv::Code::kTimedOut, "wait for a VM",
                        "it still runs after " + std::to_string(timeout_ms) + " ms"});
  }
  runhv::fill(status, runhv::exit_status(**end));
  if ((*end)->reason) runhv::fill_error(error, *(*end)->reason);
  return RUNHV_OK;
}

std::int32_t runhv_vm_signal(runhv_vm vm, std::int32_t signal, runhv_error* error) {
  const auto call = vms().enter(vm);
  return call ? runhv::finish(error, (*call)->signal(signal)) : fail(error, call.error());
}

std::int32_t runhv_vm_statistics(runhv_vm vm, runhv_statistics* statistics, runhv_error* error) {
  if (statistics == nullptr) return invalid(error, "read statistics", "statistics is null");
  if (statistics->struct_size < sizeof statistics->struct_size) {
    return invalid(error, "read statistics", "statistics.struct_size is not set");
  }
  const auto call = vms().enter(vm);
  if (!call) return fail(error, call.error());
  runhv::fill(statistics, runhv::statistics((*call)->statistics()));
  return RUNHV_OK;
}

std::int32_t runhv_vm_statistics_page(runhv_vm vm, const runhv_statistics_page** page,
                                      std::uint64_t* size_bytes, runhv_error* error) {
  if (page == nullptr || size_bytes == nullptr) {
    return invalid(error, "find the statistics page",
                   page == nullptr ? "page is null" : "size_bytes is null");
  }
  const auto call = vms().enter(vm);
  if (!call) return fail(error, call.error());
  *page = &(*call)->statistics_page();
  *size_bytes = sizeof **page;
  return RUNHV_OK;
}

std::int32_t runhv_vm_guest_memory(runhv_vm vm, std::uint32_t index, runhv_guest_memory* memory,
                                   runhv_error* error) {
  constexpr const char* kOperation = "find guest memory";
  if (memory == nullptr) return invalid(error, kOperation, "memory is null");
  if (memory->struct_size < sizeof memory->struct_size) {
    return invalid(error, kOperation, "memory.struct_size is not set");
  }
  const auto call = vms().enter(vm);
  if (!call) return fail(error, call.error());
  const auto piece = (*call)->guest_memory(index);
  if (!piece) {
    return fail(error,
                {runhv::Code::kNotFound, kOperation, "there is no piece " + std::to_string(index)});
  }
  runhv_guest_memory value{};
  value.address = piece->first.value;
  value.size_bytes = piece->bytes.size();
  value.bytes = piece->bytes.data();
  runhv::fill(memory, value);
  return RUNHV_OK;
}

std::int32_t runhv_vm_destroy(runhv_vm vm, runhv_error* error) {
  return runhv::finish(error, vms().destroy(vm));
}
