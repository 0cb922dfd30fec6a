// The layout that Windows' WinHvPlatform.dll uses, so that a header that changed, or a compiler
// that packs bit fields another way, is found here and not in a guest.
#include <cstddef>
#include <type_traits>

#include "whpapi/runhv_extensions.h"
#include "whpapi/whp.h"

static_assert(sizeof(WHV_RUN_VP_EXIT_CONTEXT) == 224);
static_assert(offsetof(WHV_RUN_VP_EXIT_CONTEXT, ExitReason) == 0);
static_assert(offsetof(WHV_RUN_VP_EXIT_CONTEXT, VpContext) == 8);
static_assert(offsetof(WHV_RUN_VP_EXIT_CONTEXT, IoPortAccess) == 48);
static_assert(offsetof(WHV_RUN_VP_EXIT_CONTEXT, MemoryAccess) == 48);
static_assert(offsetof(WHV_RUN_VP_EXIT_CONTEXT, Hypercall) == 48);

static_assert(sizeof(WHV_VP_EXIT_CONTEXT) == 40);
static_assert(offsetof(WHV_VP_EXIT_CONTEXT, Cs) == 8);
static_assert(offsetof(WHV_VP_EXIT_CONTEXT, Rip) == 24);
static_assert(offsetof(WHV_VP_EXIT_CONTEXT, Rflags) == 32);

static_assert(sizeof(WHV_X64_IO_PORT_ACCESS_CONTEXT) == 96);
static_assert(offsetof(WHV_X64_IO_PORT_ACCESS_CONTEXT, InstructionBytes) == 4);
static_assert(offsetof(WHV_X64_IO_PORT_ACCESS_CONTEXT, AccessInfo) == 20);
static_assert(offsetof(WHV_X64_IO_PORT_ACCESS_CONTEXT, PortNumber) == 24);
static_assert(offsetof(WHV_X64_IO_PORT_ACCESS_CONTEXT, Rax) == 32);
static_assert(offsetof(WHV_X64_IO_PORT_ACCESS_CONTEXT, Rdi) == 56);
static_assert(offsetof(WHV_X64_IO_PORT_ACCESS_CONTEXT, Ds) == 64);
static_assert(offsetof(WHV_X64_IO_PORT_ACCESS_CONTEXT, Es) == 80);

static_assert(sizeof(WHV_MEMORY_ACCESS_CONTEXT) == 40);
static_assert(offsetof(WHV_MEMORY_ACCESS_CONTEXT, InstructionBytes) == 4);
static_assert(offsetof(WHV_MEMORY_ACCESS_CONTEXT, AccessInfo) == 20);
static_assert(offsetof(WHV_MEMORY_ACCESS_CONTEXT, Gpa) == 24);
static_assert(offsetof(WHV_MEMORY_ACCESS_CONTEXT, Gva) == 32);

static_assert(sizeof(WHV_X64_MSR_ACCESS_CONTEXT) == 24);
static_assert(offsetof(WHV_X64_MSR_ACCESS_CONTEXT, MsrNumber) == 4);
static_assert(offsetof(WHV_X64_MSR_ACCESS_CONTEXT, Rax) == 8);
static_assert(sizeof(WHV_X64_CPUID_ACCESS_CONTEXT) == 64);
static_assert(offsetof(WHV_X64_CPUID_ACCESS_CONTEXT, DefaultResultRax) == 32);
static_assert(offsetof(WHV_X64_CPUID_ACCESS_CONTEXT, DefaultResultRcx) == 40);
static_assert(offsetof(WHV_X64_CPUID_ACCESS_CONTEXT, DefaultResultRdx) == 48);
static_assert(offsetof(WHV_X64_CPUID_ACCESS_CONTEXT, DefaultResultRbx) == 56);

static_assert(sizeof(WHV_REGISTER_VALUE) == 16 && alignof(WHV_REGISTER_VALUE) == 16);
static_assert(sizeof(WHV_X64_SEGMENT_REGISTER) == 16);
static_assert(offsetof(WHV_X64_SEGMENT_REGISTER, Limit) == 8);
static_assert(offsetof(WHV_X64_SEGMENT_REGISTER, Selector) == 12);
static_assert(offsetof(WHV_X64_SEGMENT_REGISTER, Attributes) == 14);
static_assert(sizeof(WHV_X64_TABLE_REGISTER) == 16);
static_assert(offsetof(WHV_X64_TABLE_REGISTER, Limit) == 6);
static_assert(offsetof(WHV_X64_TABLE_REGISTER, Base) == 8);

static_assert(sizeof(WHV_INTERRUPT_CONTROL) == 16);
static_assert(offsetof(WHV_INTERRUPT_CONTROL, Destination) == 8);
static_assert(offsetof(WHV_INTERRUPT_CONTROL, Vector) == 12);

static_assert(sizeof(WHV_X64_CPUID_RESULT) == 32);
static_assert(sizeof(WHV_X64_CPUID_RESULT2) == 48);
static_assert(offsetof(WHV_X64_CPUID_RESULT2, Output) == 16);
static_assert(offsetof(WHV_X64_CPUID_RESULT2, Mask) == 32);
static_assert(sizeof(WHV_MSR_ACTION_ENTRY) == 8);
static_assert(offsetof(WHV_MSR_ACTION_ENTRY, WriteAction) == 5);
static_assert(sizeof(WHV_SYNTHETIC_PROCESSOR_FEATURES_BANKS) == 16);
static_assert(sizeof(WHV_PROCESSOR_FEATURES_BANKS) == 24);

// The enums cross the interface as 32-bit numbers.
static_assert(sizeof(WHV_RUN_VP_EXIT_REASON) == 4);
static_assert(sizeof(WHV_REGISTER_NAME) == 4);
static_assert(sizeof(WHV_PARTITION_PROPERTY_CODE) == 4);
static_assert(sizeof(WHV_MAP_GPA_RANGE_FLAGS) == 4);
static_assert(std::is_signed_v<HRESULT> && sizeof(HRESULT) == 4);
