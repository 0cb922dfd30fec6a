// The functions of WHP that runhv calls: this table is the whole list.
// Internal to hv/.
#pragma once

#include "whpapi/runhv_extensions.h"
#include "whpapi/whp.h"

namespace runhv::hv {

struct WhpFunctions {
  decltype(&::WHvGetCapability) get_capability;
  decltype(&::WHvCreatePartition) create_partition;
  decltype(&::WHvSetPartitionProperty) set_partition_property;
  decltype(&::WHvSetupPartition) setup_partition;
  decltype(&::WHvDeletePartition) delete_partition;
  decltype(&::WHvMapGpaRange) map_gpa_range;
  decltype(&::WHvCreateVirtualProcessor) create_virtual_processor;
  decltype(&::WHvDeleteVirtualProcessor) delete_virtual_processor;
  decltype(&::WHvRunVirtualProcessor) run_virtual_processor;
  decltype(&::WHvCancelRunVirtualProcessor) cancel_run_virtual_processor;
  decltype(&::WHvGetVirtualProcessorRegisters) get_registers;
  decltype(&::WHvSetVirtualProcessorRegisters) set_registers;
  decltype(&::WHvTranslateGva) translate_gva;
  decltype(&::WHvRequestInterrupt) request_interrupt;

  // Our own implementation's extensions; null with Windows' library.
  SelectEngineFunction select_engine;
  GetInstructionCountFunction get_instruction_count;
  MemoryWrittenFunction memory_written;
};

}  // namespace runhv::hv
