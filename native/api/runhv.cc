// runhv.h over container/: handles, structure sizes, errors.
#include "runhv/runhv.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include "api/conversions.h"
#include "api/vm_table.h"
#include "platform/clock.h"

namespace runhv::api {
namespace {

// Never destroyed: at exit() a thread may still be in runhv_vm_wait.
VmTable& vms() {
  static VmTable& table = *new VmTable;
  return table;
}

std::int32_t fail(runhv_error* out, const Error& error) {
  if (out != nullptr) fill(out, to_abi(error));
  return static_cast<std::int32_t>(error.code);
}

std::int32_t invalid(runhv_error* out, const char* operation, const std::string& detail) {
  return fail(out, Error{Code::kInvalidArgument, operation, detail});
}

std::int32_t finish(runhv_error* out, const Result<void>& result) {
  return result ? RUNHV_OK : fail(out, result.error());
}

std::string text_or_empty(const char* text) { return text == nullptr ? "" : text; }

// What is wrong with a structure that the caller hands over; empty = nothing.
template <class T>
std::string wrong_with(const T* structure, const std::string& name) {
  if (structure == nullptr) return name + " is null";
  if (structure->struct_size < sizeof structure->struct_size) {
    return name + ".struct_size is not set";
  }
  return "";
}

// REQUIRES: nothing is wrong with it.
template <class T>
T copy_of(const T& structure) {
  T copy{};
  std::memcpy(&copy, &structure, std::min<std::size_t>(structure.struct_size, sizeof copy));
  return copy;
}

// The ends of stdio, duplicated. A terminal's first end carries both directions.
Result<container::HostStreams> adopt_streams(const std::int64_t (&stdio)[3], bool terminal) {
  container::HostStreams streams;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const std::int64_t handle = terminal && i == 1 ? stdio[0] : stdio[i];
    if (handle == platform::kInvalidHandle || (terminal && i == 2)) continue;
    RUNHV_TRY_ASSIGN(streams[i],
                     platform::Stream::adopt(static_cast<platform::OsHandle>(handle), i == 0));
  }
  return streams;
}

Result<container::ContainerConfig> container_config(const runhv_vm_config& config) {
  container::ContainerConfig result;
  result.id = config.id;
  result.bundle = config.bundle;
  result.engine = text_or_empty(config.engine);
  result.default_kernel = text_or_empty(config.default_kernel);
  result.default_initrd = text_or_empty(config.default_initrd);
  result.default_scratch = text_or_empty(config.default_scratch);
  result.default_modules = text_or_empty(config.default_modules);
  result.console = (config.flags & RUNHV_FLAG_CONSOLE) != 0;
  RUNHV_TRY_ASSIGN(result.streams, adopt_streams(config.stdio, false));
  result.spawned_at_ns = config.spawned_at_ns;
  return result;
}

// Calls of a container that answer nothing but an error.
template <class F>
std::int32_t on_container(runhv_vm vm, runhv_error* error, const F& work) {
  const auto call = vms().enter(vm);
  return call ? finish(error, (*call)->call(work)) : fail(error, call.error());
}

}  // namespace
}  // namespace runhv::api

using runhv::Code;
using runhv::Result;
using runhv::api::fail;
using runhv::api::fill;
using runhv::api::invalid;
using runhv::api::on_container;
using runhv::api::vms;
using runhv::api::wrong_with;
using runhv::container::Container;

std::int32_t runhv_vm_create(const runhv_vm_config* config, runhv_vm* vm, runhv_error* error) {
  constexpr const char* kOperation = "create a VM";
  if (vm == nullptr) return invalid(error, kOperation, "vm is null");
  *vm = 0;
  if (const auto wrong = wrong_with(config, "config"); !wrong.empty()) {
    return invalid(error, kOperation, wrong);
  }
  const runhv_vm_config copy = runhv::api::copy_of(*config);
  if (copy.id == nullptr) return invalid(error, kOperation, "config.id is null");
  if (copy.bundle == nullptr) return invalid(error, kOperation, "config.bundle is null");
  if ((copy.flags & ~std::uint32_t{RUNHV_FLAG_CONSOLE}) != 0) {
    return invalid(error, kOperation, "config.flags has an unknown bit");
  }
  auto made = runhv::api::container_config(copy);
  if (!made) return fail(error, made.error());
  const auto handle = vms().create(std::move(*made));
  if (!handle) return fail(error, handle.error());
  *vm = *handle;
  return RUNHV_OK;
}

std::int32_t runhv_vm_boot(runhv_vm vm, runhv_error* error) {
  const auto call = vms().enter(vm);
  return call ? runhv::api::finish(error, (*call)->boot()) : fail(error, call.error());
}

std::int32_t runhv_vm_start(runhv_vm vm, runhv_error* error) {
  const auto call = vms().enter(vm);
  return call ? runhv::api::finish(error, (*call)->start()) : fail(error, call.error());
}

std::int32_t runhv_vm_event(runhv_vm vm, runhv_event* event, runhv_error* error) {
  constexpr const char* kOperation = "take an event";
  if (const auto wrong = wrong_with(event, "event"); !wrong.empty()) {
    return invalid(error, kOperation, wrong);
  }
  const auto call = vms().enter(vm);
  if (!call) return fail(error, call.error());
  const auto next = (*call)->next_event();
  if (!next) return fail(error, {Code::kNotFound, kOperation, "there is none now"});
  fill(event, *next);
  return RUNHV_OK;
}

std::int32_t runhv_vm_event_handle(runhv_vm vm, std::int64_t* handle, runhv_error* error) {
  if (handle == nullptr) return invalid(error, "find the handle of events", "handle is null");
  const auto call = vms().enter(vm);
  if (!call) return fail(error, call.error());
  *handle = (*call)->event_handle();
  return RUNHV_OK;
}

std::int32_t runhv_vm_wait(runhv_vm vm, std::uint32_t timeout_ms, runhv_exit_status* status,
                           runhv_error* error) {
  constexpr const char* kOperation = "wait for a VM";
  if (const auto wrong = wrong_with(status, "status"); !wrong.empty()) {
    return invalid(error, kOperation, wrong);
  }
  const auto call = vms().enter(vm);
  if (!call) return fail(error, call.error());
  std::optional<std::uint64_t> deadline;
  if (timeout_ms != std::numeric_limits<std::uint32_t>::max()) {
    deadline = runhv::platform::monotonic_ns() + std::uint64_t{timeout_ms} * 1'000'000;
  }
  const auto end = (*call)->wait(deadline);
  if (!end) return fail(error, end.error());
  if (!end->has_value()) {
    return fail(error, {Code::kTimedOut, kOperation,
                        "it still runs after " + std::to_string(timeout_ms) + " ms"});
  }
  if (error != nullptr) fill(error, (*end)->error);
  if ((*end)->code == RUNHV_OK) fill(status, (*end)->status);
  return (*end)->code;
}

std::int32_t runhv_vm_state(runhv_vm vm, runhv_state* state, runhv_error* error) {
  if (const auto wrong = wrong_with(state, "state"); !wrong.empty()) {
    return invalid(error, "read the state", wrong);
  }
  return on_container(vm, error, [state](Container& container) -> Result<void> {
    fill(state, runhv::api::to_abi(container.id(), container.state(), container.end()));
    return {};
  });
}

std::int32_t runhv_vm_signal(runhv_vm vm, runhv_process process, std::int32_t signal,
                             runhv_error* error) {
  return on_container(vm, error,
                      [=](Container& container) { return container.signal(process, signal); });
}

std::int32_t runhv_vm_stop(runhv_vm vm, std::int32_t signal, std::uint32_t grace_ms,
                           runhv_error* error) {
  return on_container(vm, error,
                      [=](Container& container) { return container.stop(signal, grace_ms); });
}

std::int32_t runhv_vm_pause(runhv_vm vm, runhv_error* error) {
  return on_container(vm, error, [](Container& container) { return container.pause(); });
}

std::int32_t runhv_vm_resume(runhv_vm vm, runhv_error* error) {
  return on_container(vm, error, [](Container& container) { return container.resume(); });
}

std::int32_t runhv_process_start(runhv_vm vm, const runhv_process_config* config,
                                 runhv_process* process, runhv_error* error) {
  constexpr const char* kOperation = "start a process";
  if (process == nullptr) return invalid(error, kOperation, "process is null");
  *process = 0;
  if (const auto wrong = wrong_with(config, "config"); !wrong.empty()) {
    return invalid(error, kOperation, wrong);
  }
  const runhv_process_config copy = runhv::api::copy_of(*config);
  if (copy.json == nullptr) return invalid(error, kOperation, "config.json is null");
  if ((copy.flags & ~std::uint32_t{RUNHV_PROCESS_TERMINAL | RUNHV_PROCESS_ARCHIVE}) != 0) {
    return invalid(error, kOperation, "config.flags has an unknown bit");
  }
  return on_container(vm, error, [&](Container& container) -> Result<void> {
    runhv::container::ProcessConfig made;
    made.json = copy.json;
    made.terminal = (copy.flags & RUNHV_PROCESS_TERMINAL) != 0;
    made.archive = (copy.flags & RUNHV_PROCESS_ARCHIVE) != 0;
    made.columns = copy.columns;
    made.rows = copy.rows;
    RUNHV_TRY_ASSIGN(made.streams, runhv::api::adopt_streams(copy.stdio, made.terminal));
    RUNHV_TRY_ASSIGN(*process, container.start_process(std::move(made)));
    return {};
  });
}

std::int32_t runhv_process_resize(runhv_vm vm, runhv_process process, std::uint16_t columns,
                                  std::uint16_t rows, runhv_error* error) {
  return on_container(
      vm, error, [=](Container& container) { return container.resize(process, columns, rows); });
}

std::int32_t runhv_process_attach(runhv_vm vm, runhv_process process, std::int32_t stream,
                                  std::int64_t handle, runhv_error* error) {
  if (stream < RUNHV_STDIN || stream > RUNHV_STDERR) {
    return invalid(error, "attach a stream", std::to_string(stream) + " is none; they are 0, 1, 2");
  }
  return on_container(vm, error, [=](Container& container) -> Result<void> {
    std::optional<runhv::platform::Stream> end;
    if (handle != runhv::platform::kInvalidHandle) {
      RUNHV_TRY_ASSIGN(
          end, runhv::platform::Stream::adopt(static_cast<runhv::platform::OsHandle>(handle),
                                              stream == RUNHV_STDIN));
    }
    return container.attach(process, stream, std::move(end));
  });
}

std::int32_t runhv_vm_statistics(runhv_vm vm, runhv_statistics* statistics, runhv_error* error) {
  if (const auto wrong = wrong_with(statistics, "statistics"); !wrong.empty()) {
    return invalid(error, "read statistics", wrong);
  }
  return on_container(vm, error, [statistics](Container& container) -> Result<void> {
    fill(statistics, runhv::api::to_abi(container.statistics()));
    return {};
  });
}

std::int32_t runhv_vm_statistics_page(runhv_vm vm, const runhv_statistics_page** page,
                                      std::uint64_t* size_bytes, runhv_error* error) {
  if (page == nullptr || size_bytes == nullptr) {
    return invalid(error, "find the statistics page",
                   page == nullptr ? "page is null" : "size_bytes is null");
  }
  const auto call = vms().enter(vm);
  if (!call) return fail(error, call.error());
  *page = reinterpret_cast<const runhv_statistics_page*>(&(*call)->container().statistics_page());
  *size_bytes = sizeof **page;
  return RUNHV_OK;
}

std::int32_t runhv_vm_guest_memory(runhv_vm vm, std::uint32_t index, runhv_guest_memory* memory,
                                   runhv_error* error) {
  constexpr const char* kOperation = "find guest memory";
  if (const auto wrong = wrong_with(memory, "memory"); !wrong.empty()) {
    return invalid(error, kOperation, wrong);
  }
  const auto call = vms().enter(vm);
  if (!call) return fail(error, call.error());
  const auto piece = (*call)->container().guest_memory(index);
  if (!piece) {
    return fail(error, {Code::kNotFound, kOperation, "there is no piece " + std::to_string(index)});
  }
  auto value = runhv::api::sized<runhv_guest_memory>();
  value.address = piece->first.value;
  value.size_bytes = piece->bytes.size();
  value.bytes = piece->bytes.data();
  fill(memory, value);
  return RUNHV_OK;
}

std::int32_t runhv_vm_destroy(runhv_vm vm, runhv_error* error) {
  return runhv::api::finish(error, vms().destroy(vm));
}
