// The exported functions: they check arguments and find the partition, nothing else.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "whpapi/runhv_extensions.h"
#include "whpapi/whp.h"
#include "winhv_linux/capabilities.h"
#include "winhv_linux/engines/selection.h"
#include "winhv_linux/partition.h"
#include "winhv_linux/profile.h"
#include "winhv_linux/properties.h"
#include "winhv_linux/registry.h"
#include "winhv_linux/strict.h"
#include "winhv_linux/trace.h"

using runhv::winhv_linux::find_partition;
using runhv::winhv_linux::given;
using runhv::winhv_linux::got;
using runhv::winhv_linux::GpaRange;
using runhv::winhv_linux::handle_of;
using runhv::winhv_linux::number;
using runhv::winhv_linux::Partition;
using runhv::winhv_linux::ProcessorState;
using runhv::winhv_linux::traced;

namespace {

constexpr UINT64 kPageMask = 4095;

bool is_page_range(UINT64 gpa, UINT64 size) {
  return size != 0 && ((gpa | size) & kPageMask) == 0 && gpa + size > gpa;
}

// Real WHP uses aligned SSE moves on register values: a client that passes these gets an access
// violation inside the DLL (field guide §1.7). Here it gets an error and a line that says why.
bool refuse_unaligned(const WHV_REGISTER_VALUE* values, const char* function) {
  if (!runhv::winhv_linux::strictness().enabled || reinterpret_cast<UINT64>(values) % 16 == 0) {
    return false;
  }
  std::fprintf(stderr,
               "winhvplatform: strict: %s: WHV_REGISTER_VALUE array at %p is not 16-byte aligned; "
               "Windows would crash here\n",
               function, static_cast<const void*>(values));
  return true;
}

HRESULT map_range(WHV_PARTITION_HANDLE handle, VOID* source, UINT64 gpa, UINT64 size,
                  WHV_MAP_GPA_RANGE_FLAGS flags) {
  constexpr UINT32 kKnownFlags = WHvMapGpaRangeFlagRead | WHvMapGpaRangeFlagWrite |
                                 WHvMapGpaRangeFlagExecute | WHvMapGpaRangeFlagTrackDirtyPages;
  if (source == nullptr || (reinterpret_cast<UINT64>(source) & kPageMask) != 0 ||
      !is_page_range(gpa, size) || (UINT32{flags} & ~kKnownFlags) != 0) {
    return E_INVALIDARG;
  }
  const auto partition = find_partition(handle);
  if (!partition) return E_HANDLE;
  return partition->map(gpa, GpaRange{size, static_cast<std::byte*>(source), UINT32{flags}});
}

HRESULT get_state(WHV_PARTITION_HANDLE handle, UINT32 vp_index, ProcessorState state, void* buffer,
                  UINT32 size, UINT32* written) {
  if (buffer == nullptr && size != 0) return E_POINTER;
  const auto partition = find_partition(handle);
  return partition ? partition->get_state(vp_index, state, buffer, size, written) : E_HANDLE;
}

HRESULT set_state(WHV_PARTITION_HANDLE handle, UINT32 vp_index, ProcessorState state,
                  const void* buffer, UINT32 size) {
  if (buffer == nullptr) return E_POINTER;
  const auto partition = find_partition(handle);
  if (!partition) return E_HANDLE;
  return partition->set_state(vp_index, state, {static_cast<const std::byte*>(buffer), size});
}

// None: the state of what no partition here has.
std::optional<ProcessorState> state_of(WHV_VIRTUAL_PROCESSOR_STATE_TYPE type) {
  if (type == WHvVirtualProcessorStateTypeXsaveState) return ProcessorState::kXsave;
  if (type == WHvVirtualProcessorStateTypeInterruptControllerState2) return ProcessorState::kApic;
  return std::nullopt;
}

// Whether the version of Windows that we are like has no such call.
bool is_absent(const char* call) {
  const auto* profile = runhv::winhv_linux::configured_profile();
  return profile != nullptr && lacks_call(*profile, call);
}

}  // namespace

extern "C" {

HRESULT WINAPI WHvGetCapability(WHV_CAPABILITY_CODE code, VOID* buffer, UINT32 size,
                                UINT32* written) {
  return traced("WHvGetCapability",
                {number("code", static_cast<UINT32>(code)), got("value", buffer, size, written)},
                [&]() -> HRESULT {
                  if (buffer == nullptr && size != 0) return E_POINTER;
                  const auto* profile = runhv::winhv_linux::configured_profile();
                  if (profile == nullptr) return E_INVALIDARG;
                  const auto& engine = runhv::winhv_linux::selected_engine().engine;
                  const runhv::winhv_linux::Capabilities can =
                      engine ? narrowed((*engine)->capabilities(), *profile)
                             : runhv::winhv_linux::Capabilities{};
                  return runhv::winhv_linux::get_capability(engine.has_value(), can, *profile, code,
                                                            buffer, size, written);
                });
}

HRESULT WINAPI WHvCreatePartition(WHV_PARTITION_HANDLE* handle) {
  return traced("WHvCreatePartition", {got("partition", handle, sizeof *handle)}, [&]() -> HRESULT {
    if (handle == nullptr) return E_POINTER;
    const auto* profile = runhv::winhv_linux::configured_profile();
    if (profile == nullptr) return E_INVALIDARG;
    const auto& engine = runhv::winhv_linux::selected_engine().engine;
    if (!engine) {
      // An HRESULT has no room for the reason, and without it nobody can repair this.
      std::fprintf(stderr, "winhvplatform: %s\n", runhv::to_string(engine.error()).c_str());
      return runhv::whpapi::kHvNotPresent;
    }
    *handle = runhv::winhv_linux::add_partition(
        std::make_shared<Partition>(**engine, *profile, runhv::winhv_linux::strictness()));
    return S_OK;
  });
}

HRESULT WINAPI WHvSetupPartition(WHV_PARTITION_HANDLE handle) {
  return traced("WHvSetupPartition", {handle_of(handle)}, [&]() -> HRESULT {
    const auto partition = find_partition(handle);
    return partition ? partition->setup() : E_HANDLE;
  });
}

HRESULT WINAPI WHvResetPartition(WHV_PARTITION_HANDLE handle) {
  return traced("WHvResetPartition", {handle_of(handle)}, [&]() -> HRESULT {
    if (is_absent("WHvResetPartition")) return runhv::whpapi::kProcNotFound;
    const auto partition = find_partition(handle);
    return partition ? partition->reset() : E_HANDLE;
  });
}

HRESULT WINAPI WHvSuspendPartitionTime(WHV_PARTITION_HANDLE handle) {
  return traced("WHvSuspendPartitionTime", {handle_of(handle)}, [&]() -> HRESULT {
    const auto partition = find_partition(handle);
    return partition ? partition->suspend_time() : E_HANDLE;
  });
}

HRESULT WINAPI WHvResumePartitionTime(WHV_PARTITION_HANDLE handle) {
  return traced("WHvResumePartitionTime", {handle_of(handle)}, [&]() -> HRESULT {
    const auto partition = find_partition(handle);
    return partition ? partition->resume_time() : E_HANDLE;
  });
}

HRESULT WINAPI WHvDeletePartition(WHV_PARTITION_HANDLE handle) {
  return traced("WHvDeletePartition", {handle_of(handle)}, [&]() -> HRESULT {
    const auto partition = runhv::winhv_linux::remove_partition(handle);
    if (!partition) return E_HANDLE;
    partition->close();
    return S_OK;
  });
}

HRESULT WINAPI WHvGetPartitionProperty(WHV_PARTITION_HANDLE handle,
                                       WHV_PARTITION_PROPERTY_CODE code, VOID* buffer, UINT32 size,
                                       UINT32* written) {
  return traced("WHvGetPartitionProperty",
                {handle_of(handle), number("code", static_cast<UINT32>(code)),
                 got("value", buffer, size, written)},
                [&]() -> HRESULT {
                  if (buffer == nullptr && size != 0) return E_POINTER;
                  const auto partition = find_partition(handle);
                  return partition ? partition->get_property(code, buffer, size, written)
                                   : E_HANDLE;
                });
}

HRESULT WINAPI WHvSetPartitionProperty(WHV_PARTITION_HANDLE handle,
                                       WHV_PARTITION_PROPERTY_CODE code, const VOID* buffer,
                                       UINT32 size) {
  return traced(
      "WHvSetPartitionProperty",
      {handle_of(handle), number("code", static_cast<UINT32>(code)), given("value", buffer, size)},
      [&]() -> HRESULT {
        if (buffer == nullptr && size != 0) return E_POINTER;
        const auto partition = find_partition(handle);
        return partition ? partition->set_property(code, buffer, size) : E_HANDLE;
      });
}

HRESULT WINAPI WHvMapGpaRange(WHV_PARTITION_HANDLE handle, VOID* source,
                              WHV_GUEST_PHYSICAL_ADDRESS gpa, UINT64 size,
                              WHV_MAP_GPA_RANGE_FLAGS flags) {
  return traced("WHvMapGpaRange",
                {handle_of(handle), number("source", reinterpret_cast<UINT64>(source)),
                 number("gpa", gpa), number("size", size), number("flags", UINT32{flags})},
                [&]() -> HRESULT { return map_range(handle, source, gpa, size, flags); });
}

// The memory of another process, as of hyperlight's surrogates, is not ours to map.
HRESULT WINAPI WHvMapGpaRange2(WHV_PARTITION_HANDLE handle, HANDLE process, VOID* source,
                               WHV_GUEST_PHYSICAL_ADDRESS gpa, UINT64 size,
                               WHV_MAP_GPA_RANGE_FLAGS flags) {
  return traced("WHvMapGpaRange2",
                {handle_of(handle), number("source", reinterpret_cast<UINT64>(source)),
                 number("gpa", gpa), number("size", size), number("flags", UINT32{flags})},
                [&]() -> HRESULT {
                  const HANDLE this_process =
                      reinterpret_cast<HANDLE>(~std::uintptr_t{0});  // GetCurrentProcess()
                  if (process != this_process) return E_INVALIDARG;
                  return map_range(handle, source, gpa, size, flags);
                });
}

HRESULT WINAPI WHvUnmapGpaRange(WHV_PARTITION_HANDLE handle, WHV_GUEST_PHYSICAL_ADDRESS gpa,
                                UINT64 size) {
  return traced("WHvUnmapGpaRange", {handle_of(handle), number("gpa", gpa), number("size", size)},
                [&]() -> HRESULT {
                  if (!is_page_range(gpa, size)) return E_INVALIDARG;
                  const auto partition = find_partition(handle);
                  return partition ? partition->unmap(gpa, size) : E_HANDLE;
                });
}

HRESULT WINAPI WHvQueryGpaRangeDirtyBitmap(WHV_PARTITION_HANDLE handle,
                                           WHV_GUEST_PHYSICAL_ADDRESS gpa, UINT64 size,
                                           UINT64* bitmap, UINT32 bitmap_bytes) {
  return traced(
      "WHvQueryGpaRangeDirtyBitmap",
      {handle_of(handle), number("gpa", gpa), number("size", size),
       got("bitmap", bitmap, bitmap_bytes)},
      [&]() -> HRESULT {
        constexpr UINT64 kPagesPerWord = 64;
        if (!is_page_range(gpa, size) || reinterpret_cast<UINT64>(bitmap) % sizeof *bitmap != 0) {
          return E_INVALIDARG;
        }
        if ((bitmap == nullptr) != (bitmap_bytes == 0)) return E_INVALIDARG;
        const UINT64 words = (size / (kPageMask + 1) + kPagesPerWord - 1) / kPagesPerWord;
        if (bitmap != nullptr && bitmap_bytes / sizeof *bitmap < words) return E_INVALIDARG;
        const auto partition = find_partition(handle);
        if (!partition) return E_HANDLE;
        return partition->query_dirty(gpa, size, {bitmap, bitmap == nullptr ? 0 : words});
      });
}

HRESULT WINAPI WHvTranslateGva(WHV_PARTITION_HANDLE handle, UINT32 vp_index,
                               WHV_GUEST_VIRTUAL_ADDRESS gva, WHV_TRANSLATE_GVA_FLAGS flags,
                               WHV_TRANSLATE_GVA_RESULT* result, WHV_GUEST_PHYSICAL_ADDRESS* gpa) {
  return traced("WHvTranslateGva",
                {handle_of(handle), number("vp", vp_index), number("gva", gva),
                 number("flags", UINT32{flags}), got("result", result, sizeof *result),
                 got("gpa", gpa, sizeof *gpa)},
                [&]() -> HRESULT {
                  if (result == nullptr || gpa == nullptr) return E_POINTER;
                  const auto partition = find_partition(handle);
                  if (!partition) return E_HANDLE;
                  *result = {};
                  *gpa = 0;
                  return partition->translate(vp_index, gva, flags, result->ResultCode, *gpa);
                });
}

HRESULT WINAPI WHvCreateVirtualProcessor(WHV_PARTITION_HANDLE handle, UINT32 vp_index,
                                         UINT32 flags) {
  return traced("WHvCreateVirtualProcessor",
                {handle_of(handle), number("vp", vp_index), number("flags", flags)},
                [&]() -> HRESULT {
                  if (flags != 0) return E_INVALIDARG;
                  const auto partition = find_partition(handle);
                  return partition ? partition->create_processor(vp_index) : E_HANDLE;
                });
}

HRESULT WINAPI WHvDeleteVirtualProcessor(WHV_PARTITION_HANDLE handle, UINT32 vp_index) {
  return traced("WHvDeleteVirtualProcessor", {handle_of(handle), number("vp", vp_index)},
                [&]() -> HRESULT {
                  const auto partition = find_partition(handle);
                  return partition ? partition->delete_processor(vp_index) : E_HANDLE;
                });
}

HRESULT WINAPI WHvRunVirtualProcessor(WHV_PARTITION_HANDLE handle, UINT32 vp_index, VOID* context,
                                      UINT32 size) {
  UINT64 instructions = 0;  // of the guest until the exit, for the trace
  return traced("WHvRunVirtualProcessor",
                {handle_of(handle), number("vp", vp_index), got("context", context, size),
                 got("instructions", &instructions, sizeof instructions)},
                [&]() -> HRESULT {
                  if (context == nullptr) return E_POINTER;
                  if (size != runhv::whpapi::kWhvExitContextBytes1803 &&
                      size < sizeof(WHV_RUN_VP_EXIT_CONTEXT)) {
                    return E_INVALIDARG;
                  }
                  const auto partition = find_partition(handle);
                  if (!partition) return E_HANDLE;
                  WHV_RUN_VP_EXIT_CONTEXT whole{};
                  const HRESULT result = partition->run(vp_index, whole);
                  if (SUCCEEDED(result)) {
                    std::memcpy(context, &whole, size < sizeof whole ? size : sizeof whole);
                    partition->instruction_count(vp_index, instructions);
                  }
                  return result;
                });
}

HRESULT WINAPI WHvCancelRunVirtualProcessor(WHV_PARTITION_HANDLE handle, UINT32 vp_index,
                                            UINT32 flags) {
  return traced("WHvCancelRunVirtualProcessor",
                {handle_of(handle), number("vp", vp_index), number("flags", flags)},
                [&]() -> HRESULT {
                  if (flags != 0) return E_INVALIDARG;
                  const auto partition = find_partition(handle);
                  return partition ? partition->cancel(vp_index) : E_HANDLE;
                });
}

HRESULT WINAPI WHvGetVirtualProcessorRegisters(WHV_PARTITION_HANDLE handle, UINT32 vp_index,
                                               const WHV_REGISTER_NAME* names, UINT32 count,
                                               WHV_REGISTER_VALUE* values) {
  return traced(
      "WHvGetVirtualProcessorRegisters",
      {handle_of(handle), number("vp", vp_index), given("names", names, sizeof *names * count),
       got("values", values, sizeof *values * count)},
      [&]() -> HRESULT {
        if (count != 0 && (names == nullptr || values == nullptr)) return E_POINTER;
        if (refuse_unaligned(values, "WHvGetVirtualProcessorRegisters")) return E_INVALIDARG;
        const auto partition = find_partition(handle);
        return partition ? partition->get_registers(vp_index, {names, count}, values) : E_HANDLE;
      });
}

HRESULT WINAPI WHvSetVirtualProcessorRegisters(WHV_PARTITION_HANDLE handle, UINT32 vp_index,
                                               const WHV_REGISTER_NAME* names, UINT32 count,
                                               const WHV_REGISTER_VALUE* values) {
  return traced(
      "WHvSetVirtualProcessorRegisters",
      {handle_of(handle), number("vp", vp_index), given("names", names, sizeof *names * count),
       given("values", values, sizeof *values * count)},
      [&]() -> HRESULT {
        if (count != 0 && (names == nullptr || values == nullptr)) return E_POINTER;
        if (refuse_unaligned(values, "WHvSetVirtualProcessorRegisters")) return E_INVALIDARG;
        const auto partition = find_partition(handle);
        return partition ? partition->set_registers(vp_index, {names, count}, values) : E_HANDLE;
      });
}

HRESULT WINAPI WHvGetVirtualProcessorXsaveState(WHV_PARTITION_HANDLE handle, UINT32 vp_index,
                                                VOID* buffer, UINT32 size, UINT32* written) {
  return traced("WHvGetVirtualProcessorXsaveState",
                {handle_of(handle), number("vp", vp_index), got("state", buffer, size, written)},
                [&]() -> HRESULT {
                  return get_state(handle, vp_index, ProcessorState::kXsave, buffer, size, written);
                });
}

HRESULT WINAPI WHvSetVirtualProcessorXsaveState(WHV_PARTITION_HANDLE handle, UINT32 vp_index,
                                                const VOID* buffer, UINT32 size) {
  return traced("WHvSetVirtualProcessorXsaveState",
                {handle_of(handle), number("vp", vp_index), given("state", buffer, size)},
                [&]() -> HRESULT {
                  return set_state(handle, vp_index, ProcessorState::kXsave, buffer, size);
                });
}

HRESULT WINAPI WHvGetVirtualProcessorInterruptControllerState(WHV_PARTITION_HANDLE handle,
                                                              UINT32 vp_index, VOID* state,
                                                              UINT32 size, UINT32* written) {
  return traced("WHvGetVirtualProcessorInterruptControllerState",
                {handle_of(handle), number("vp", vp_index), got("state", state, size, written)},
                [&]() -> HRESULT {
                  return get_state(handle, vp_index, ProcessorState::kPackedApic, state, size,
                                   written);
                });
}

HRESULT WINAPI WHvSetVirtualProcessorInterruptControllerState(WHV_PARTITION_HANDLE handle,
                                                              UINT32 vp_index, const VOID* state,
                                                              UINT32 size) {
  return traced("WHvSetVirtualProcessorInterruptControllerState",
                {handle_of(handle), number("vp", vp_index), given("state", state, size)},
                [&]() -> HRESULT {
                  return set_state(handle, vp_index, ProcessorState::kPackedApic, state, size);
                });
}

HRESULT WINAPI WHvGetVirtualProcessorInterruptControllerState2(WHV_PARTITION_HANDLE handle,
                                                               UINT32 vp_index, VOID* state,
                                                               UINT32 size, UINT32* written) {
  return traced("WHvGetVirtualProcessorInterruptControllerState2",
                {handle_of(handle), number("vp", vp_index), got("state", state, size, written)},
                [&]() -> HRESULT {
                  return get_state(handle, vp_index, ProcessorState::kApic, state, size, written);
                });
}

HRESULT WINAPI WHvSetVirtualProcessorInterruptControllerState2(WHV_PARTITION_HANDLE handle,
                                                               UINT32 vp_index, const VOID* state,
                                                               UINT32 size) {
  return traced(
      "WHvSetVirtualProcessorInterruptControllerState2",
      {handle_of(handle), number("vp", vp_index), given("state", state, size)},
      [&]() -> HRESULT { return set_state(handle, vp_index, ProcessorState::kApic, state, size); });
}

HRESULT WINAPI WHvGetVirtualProcessorState(WHV_PARTITION_HANDLE handle, UINT32 vp_index,
                                           WHV_VIRTUAL_PROCESSOR_STATE_TYPE type, VOID* buffer,
                                           UINT32 size, UINT32* written) {
  return traced("WHvGetVirtualProcessorState",
                {handle_of(handle), number("vp", vp_index),
                 number("type", static_cast<UINT32>(type)), got("state", buffer, size, written)},
                [&]() -> HRESULT {
                  const auto state = state_of(type);
                  return state ? get_state(handle, vp_index, *state, buffer, size, written)
                               : E_INVALIDARG;
                });
}

HRESULT WINAPI WHvSetVirtualProcessorState(WHV_PARTITION_HANDLE handle, UINT32 vp_index,
                                           WHV_VIRTUAL_PROCESSOR_STATE_TYPE type,
                                           const VOID* buffer, UINT32 size) {
  return traced("WHvSetVirtualProcessorState",
                {handle_of(handle), number("vp", vp_index),
                 number("type", static_cast<UINT32>(type)), given("state", buffer, size)},
                [&]() -> HRESULT {
                  const auto state = state_of(type);
                  return state ? set_state(handle, vp_index, *state, buffer, size) : E_INVALIDARG;
                });
}

HRESULT WINAPI WHvGetPartitionCounters(WHV_PARTITION_HANDLE handle, WHV_PARTITION_COUNTER_SET set,
                                       VOID* buffer, UINT32 size, UINT32* written) {
  return traced("WHvGetPartitionCounters",
                {handle_of(handle), number("set", static_cast<UINT32>(set)),
                 got("counters", buffer, size, written)},
                [&]() -> HRESULT {
                  if (buffer == nullptr && size != 0) return E_POINTER;
                  const auto partition = find_partition(handle);
                  if (!partition) return E_HANDLE;
                  if (set != WHvPartitionCounterSetMemory) return WHV_E_UNKNOWN_PROPERTY;
                  WHV_PARTITION_MEMORY_COUNTERS counters;
                  if (const HRESULT result = partition->memory_counters(counters); FAILED(result))
                    return result;
                  return runhv::winhv_linux::copy_out(&counters, sizeof counters, buffer, size,
                                                      written);
                });
}

HRESULT WINAPI WHvGetVirtualProcessorCounters(WHV_PARTITION_HANDLE handle, UINT32 vp_index,
                                              WHV_PROCESSOR_COUNTER_SET set, VOID* buffer,
                                              UINT32 size, UINT32* written) {
  return traced("WHvGetVirtualProcessorCounters",
                {handle_of(handle), number("vp", vp_index), number("set", static_cast<UINT32>(set)),
                 got("counters", buffer, size, written)},
                [&]() -> HRESULT {
                  if (buffer == nullptr && size != 0) return E_POINTER;
                  const auto partition = find_partition(handle);
                  return partition
                             ? partition->processor_counters(vp_index, set, buffer, size, written)
                             : E_HANDLE;
                });
}

HRESULT WINAPI WHvRequestInterrupt(WHV_PARTITION_HANDLE handle,
                                   const WHV_INTERRUPT_CONTROL* interrupt, UINT32 size) {
  return traced(
      "WHvRequestInterrupt",
      {handle_of(handle), given("interrupt", interrupt, std::min<UINT32>(size, sizeof *interrupt))},
      [&]() -> HRESULT {
        if (interrupt == nullptr) return E_POINTER;
        if (size != sizeof *interrupt) return E_INVALIDARG;
        const auto partition = find_partition(handle);
        return partition ? partition->request_interrupt(*interrupt) : E_HANDLE;
      });
}

// ---- not of WHP: whpapi/runhv_extensions.h ----

HRESULT WINAPI WHvRunhvSelectEngine(const char* name) {
  return traced("WHvRunhvSelectEngine",
                {given("name", name, name == nullptr ? 0 : std::strlen(name))}, [&]() -> HRESULT {
                  if (name == nullptr) return E_POINTER;
                  return runhv::winhv_linux::select_engine(name) ? S_OK : E_INVALIDARG;
                });
}

const char* WINAPI WHvRunhvGetEngineName() { return runhv::winhv_linux::selected_engine().name; }

const char* WINAPI WHvRunhvGetEngineReason() {
  const auto& reason = runhv::winhv_linux::selected_engine().reason;
  return reason ? reason->c_str() : nullptr;
}

const char* WINAPI WHvRunhvGetEngineError() {
  const std::string& error = runhv::winhv_linux::selected_engine().error;
  return error.empty() ? nullptr : error.c_str();
}

HRESULT WINAPI WHvRunhvGetInstructionCount(WHV_PARTITION_HANDLE handle, UINT32 vp_index,
                                           UINT64* count) {
  return traced("WHvRunhvGetInstructionCount",
                {handle_of(handle), number("vp", vp_index), got("count", count, sizeof *count)},
                [&]() -> HRESULT {
                  if (count == nullptr) return E_POINTER;
                  const auto partition = find_partition(handle);
                  return partition ? partition->instruction_count(vp_index, *count) : E_HANDLE;
                });
}

HRESULT WINAPI WHvRunhvGetCanceledOutsideRun(WHV_PARTITION_HANDLE handle, UINT32 vp_index,
                                             UINT64* count) {
  return traced("WHvRunhvGetCanceledOutsideRun",
                {handle_of(handle), number("vp", vp_index), got("count", count, sizeof *count)},
                [&]() -> HRESULT {
                  if (count == nullptr) return E_POINTER;
                  const auto partition = find_partition(handle);
                  return partition ? partition->canceled_outside_run(vp_index, *count) : E_HANDLE;
                });
}

HRESULT WINAPI WHvRunhvMemoryWritten(WHV_PARTITION_HANDLE handle, UINT64 gpa, UINT64 size) {
  return traced("WHvRunhvMemoryWritten",
                {handle_of(handle), number("gpa", gpa), number("size", size)}, [&]() -> HRESULT {
                  const auto partition = find_partition(handle);
                  return partition ? partition->memory_written(gpa, size) : E_HANDLE;
                });
}
}
