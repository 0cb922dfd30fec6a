// What newer Windows SDKs define and mingw-w64 10 does not. Values: WHP field guide, from the
// documentation of the Windows Hypervisor Platform and winerror.h.
#pragma once

// Errors of WHP itself (facility 0x37) and the raw statuses that come through it.
#ifndef WHV_E_UNKNOWN_CAPABILITY
#define WHV_E_UNKNOWN_CAPABILITY (static_cast<HRESULT>(0x80370300))
#define WHV_E_INSUFFICIENT_BUFFER (static_cast<HRESULT>(0x80370301))
#define WHV_E_UNKNOWN_PROPERTY (static_cast<HRESULT>(0x80370302))
#define WHV_E_UNSUPPORTED_HYPERVISOR_CONFIG (static_cast<HRESULT>(0x80370303))
#define WHV_E_INVALID_PARTITION_CONFIG (static_cast<HRESULT>(0x80370304))
#define WHV_E_GPA_RANGE_NOT_FOUND (static_cast<HRESULT>(0x80370305))
#define WHV_E_VP_ALREADY_EXISTS (static_cast<HRESULT>(0x80370306))
#define WHV_E_VP_DOES_NOT_EXIST (static_cast<HRESULT>(0x80370307))
#define WHV_E_INVALID_VP_STATE (static_cast<HRESULT>(0x80370308))
#define WHV_E_INVALID_VP_REGISTER_NAME (static_cast<HRESULT>(0x80370309))
#define WHV_E_UNSUPPORTED_PROCESSOR_CONFIG (static_cast<HRESULT>(0x80370310))
#endif

namespace runhv::whpapi {

// Statuses of the hypervisor and of the virtualization infrastructure driver, passed through raw.
inline constexpr HRESULT kHvInvalidParameter = static_cast<HRESULT>(0xC0350005);
inline constexpr HRESULT kHvNotPresent = static_cast<HRESULT>(0xC0351000);
inline constexpr HRESULT kVidPartitionAlreadyExists = static_cast<HRESULT>(0xC0370008);

// HRESULT_FROM_WIN32 of ERROR_PROC_NOT_FOUND, which a call gives that this version of Windows
// exports but does not have, and of ERROR_INVALID_STATE.
inline constexpr HRESULT kProcNotFound = static_cast<HRESULT>(0x8007007F);
inline constexpr HRESULT kInvalidState = static_cast<HRESULT>(0x8007139F);

inline constexpr auto kWhvCapabilityPhysicalAddressWidth = static_cast<WHV_CAPABILITY_CODE>(0x100A);
inline constexpr auto kWhvPropertyPhysicalAddressWidth =
    static_cast<WHV_PARTITION_PROPERTY_CODE>(0x1011);
inline constexpr auto kWhvStateNested = static_cast<WHV_VIRTUAL_PROCESSOR_STATE_TYPE>(0x1002);

// Bytes of the interrupt controller's standard external state (…InterruptControllerState2): the
// local APIC's register page, of which the first 1024 bytes matter.
inline constexpr UINT32 kWhvInterruptControllerState2Bytes = 4096;

// Size of WHV_RUN_VP_EXIT_CONTEXT in the SDKs of Windows 10 1803 to 1903.
inline constexpr UINT32 kWhvExitContextBytes1803 = 144;

}  // namespace runhv::whpapi
