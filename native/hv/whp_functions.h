// The functions of WHP that runhv calls: this table is the whole list.
// Internal to hv/.
#pragma once

#include "whpapi/runhv_extensions.h"
#include "whpapi/whp.h"

namespace runhv::hv {

// X(member, export)
#define RUNHV_WHP_FUNCTIONS(X)                                  \
  X(get_capability, WHvGetCapability)                           \
  X(create_partition, WHvCreatePartition)                       \
  X(set_partition_property, WHvSetPartitionProperty)            \
  X(setup_partition, WHvSetupPartition)                         \
  X(delete_partition, WHvDeletePartition)                       \
  X(map_gpa_range, WHvMapGpaRange)                              \
  X(create_virtual_processor, WHvCreateVirtualProcessor)        \
  X(delete_virtual_processor, WHvDeleteVirtualProcessor)        \
  X(run_virtual_processor, WHvRunVirtualProcessor)              \
  X(cancel_run_virtual_processor, WHvCancelRunVirtualProcessor) \
  X(get_registers, WHvGetVirtualProcessorRegisters)             \
  X(set_registers, WHvSetVirtualProcessorRegisters)             \
  X(translate_gva, WHvTranslateGva)                             \
  X(request_interrupt, WHvRequestInterrupt)

// Our own implementation's extensions; null with Windows' library.
#define RUNHV_WHP_EXTENSIONS(X)                         \
  X(select_engine, WHvRunhvSelectEngine)                \
  X(get_engine_error, WHvRunhvGetEngineError)           \
  X(get_engine_name, WHvRunhvGetEngineName)             \
  X(get_engine_reason, WHvRunhvGetEngineReason)         \
  X(get_instruction_count, WHvRunhvGetInstructionCount) \
  X(memory_written, WHvRunhvMemoryWritten)

struct WhpFunctions {
#define RUNHV_WHP_MEMBER(member, name) decltype(&::name) member = nullptr;
  RUNHV_WHP_FUNCTIONS(RUNHV_WHP_MEMBER)
  RUNHV_WHP_EXTENSIONS(RUNHV_WHP_MEMBER)
#undef RUNHV_WHP_MEMBER
};

}  // namespace runhv::hv
