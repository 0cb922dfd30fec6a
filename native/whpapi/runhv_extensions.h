// What libwinhvplatform.so exports beside WHP. Windows' WinHvPlatform.dll has none of it: users
// look the symbols up at run time and do without where they are absent.
#pragma once

#include "whpapi/whp.h"

#ifndef _WIN32
#pragma GCC visibility push(default)
#endif

extern "C" {

// Chooses the engine of the partitions that this process creates from now on: "soft" (the default)
// or "kvm". E_NOTIMPL: this build has no such engine. E_INVALIDARG: no such name.
// Threads: any, before WHvCreatePartition.
HRESULT WINAPI WHvRunhvSelectEngine(const char* name);

// Guest instructions that the virtual processor has completed. The processor must not be running:
// call it from the thread that runs it, or after that thread was joined.
HRESULT WINAPI WHvRunhvGetInstructionCount(WHV_PARTITION_HANDLE partition, UINT32 vp_index,
                                           UINT64* count);

// The host wrote guest memory at [gpa, gpa + size), as a device does by DMA. Hardware keeps its
// instruction caches coherent; a software processor must be told. Takes effect before any
// instruction that follows an interrupt requested, or a register write made, after this call
// returned. Threads: any, whatever runs; never blocks on a running processor.
HRESULT WINAPI WHvRunhvMemoryWritten(WHV_PARTITION_HANDLE partition, UINT64 gpa, UINT64 size);
}

#ifndef _WIN32
#pragma GCC visibility pop
#endif

namespace runhv {
using SelectEngineFunction = decltype(&WHvRunhvSelectEngine);
using GetInstructionCountFunction = decltype(&WHvRunhvGetInstructionCount);
using MemoryWrittenFunction = decltype(&WHvRunhvMemoryWritten);
}  // namespace runhv
