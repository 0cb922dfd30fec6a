// What libwinhvplatform.so exports beside WHP. Windows' WinHvPlatform.dll has none of it: users
// look the symbols up at run time and do without where they are absent.
#pragma once

#include "whpapi/whp.h"

#ifndef _WIN32
#pragma GCC visibility push(default)
#endif

extern "C" {

// Chooses the engine of the partitions that this process creates from now on: "soft", "kvm", or
// "auto": kvm where a probe guest runs on it, else soft. Without a choice it is what
// $RUNHV_WHP_ENGINE says, else soft. E_INVALIDARG: no such name. Whether the engine is there, the
// capability HypervisorPresent tells.
// Threads: any, before WHvCreatePartition.
HRESULT WINAPI WHvRunhvSelectEngine(const char* name);

// The engine that was chosen, never "auto". Threads: any.
const char* WINAPI WHvRunhvGetEngineName(void);

// Why "auto" chose it, in words for people, which stay until the process ends; null where it was
// chosen by its name. Threads: any.
const char* WINAPI WHvRunhvGetEngineReason(void);

// Why WHvCapabilityCodeHypervisorPresent is false, in words for people, which stay until the
// process ends; null where it is true. Threads: any.
const char* WINAPI WHvRunhvGetEngineError(void);

// Guest instructions that the virtual processor had completed at its last exit; UINT64_MAX: the
// engine cannot count. Threads: any, whatever runs; disturbs nothing.
HRESULT WINAPI WHvRunhvGetInstructionCount(WHV_PARTITION_HANDLE partition, UINT32 vp_index,
                                           UINT64* count);

// How often WHvCancelRunVirtualProcessor came while the virtual processor was not inside
// WHvRunVirtualProcessor. Such a cancel ends a later run that it was not meant for. Threads: any.
HRESULT WINAPI WHvRunhvGetCanceledOutsideRun(WHV_PARTITION_HANDLE partition, UINT32 vp_index,
                                             UINT64* count);

// The host wrote guest memory at [gpa, gpa + size), as a device does by DMA. Hardware keeps its
// instruction caches coherent; a software processor must be told. Call it after the write and
// before the guest can learn of it (used ring, interrupt): when it has returned, no processor runs
// old instructions of these bytes. Threads: any, whatever runs, with any lock of the caller's held:
// it waits for the running slice only, and a slice waits for nobody.
HRESULT WINAPI WHvRunhvMemoryWritten(WHV_PARTITION_HANDLE partition, UINT64 gpa, UINT64 size);
}

#ifndef _WIN32
#pragma GCC visibility pop
#endif
