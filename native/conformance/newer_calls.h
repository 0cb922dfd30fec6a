// Functions of WHP that came after Windows 10 1803, looked up at run time: a program that is linked
// to one that its Windows lacks does not start there (field guide §9, row 36).
#pragma once

#include "whpapi/runhv_extensions.h"
#include "whpapi/whp.h"

namespace runhv::conformance {

#define RUNHV_NEWER_CALLS(X)                                    \
  X(suspend_time, WHvSuspendPartitionTime)                      \
  X(resume_time, WHvResumePartitionTime)                        \
  X(reset, WHvResetPartition)                                   \
  X(map2, WHvMapGpaRange2)                                      \
  X(dirty_bitmap, WHvQueryGpaRangeDirtyBitmap)                  \
  X(get_xsave, WHvGetVirtualProcessorXsaveState)                \
  X(set_xsave, WHvSetVirtualProcessorXsaveState)                \
  X(get_apic, WHvGetVirtualProcessorInterruptControllerState)   \
  X(set_apic, WHvSetVirtualProcessorInterruptControllerState)   \
  X(get_apic2, WHvGetVirtualProcessorInterruptControllerState2) \
  X(set_apic2, WHvSetVirtualProcessorInterruptControllerState2) \
  X(get_state, WHvGetVirtualProcessorState)                     \
  X(set_state, WHvSetVirtualProcessorState)                     \
  X(partition_counters, WHvGetPartitionCounters)                \
  X(processor_counters, WHvGetVirtualProcessorCounters)         \
  /* ours */                                                    \
  X(memory_written, WHvRunhvMemoryWritten)

struct NewerCalls {
#define RUNHV_NEWER_MEMBER(member, name) decltype(&::name) member = nullptr;
  RUNHV_NEWER_CALLS(RUNHV_NEWER_MEMBER)
#undef RUNHV_NEWER_MEMBER
};

// Null members: the library that answers does not export them.
const NewerCalls& newer_calls();

}  // namespace runhv::conformance
