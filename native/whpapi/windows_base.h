// The few Windows types and macros that winhvplatform.h uses, for systems without a Windows SDK.
// Included by the stand-ins for <apiset.h>, <minwindef.h> …; users include whpapi/whp.h.
#pragma once

#include <cstdint>

#include "whpapi/enum_flag_operators.h"

#define WINAPI
#define CALLBACK
#define VOID void
#define WINAPI_FAMILY_PARTITION(partitions) 1
#define WINAPI_PARTITION_DESKTOP 1
#define DECLSPEC_ALIGN(bytes) __attribute__((aligned(bytes)))
#define C_ASSERT(expression) static_assert(expression)
#define ANYSIZE_ARRAY 1
#define __C89_NAMELESS
#define __MINGW_EXTENSION __extension__

using INT8 = std::int8_t;
using INT16 = std::int16_t;
using INT32 = std::int32_t;
using INT64 = std::int64_t;
using UINT8 = std::uint8_t;
using UINT16 = std::uint16_t;
using UINT32 = std::uint32_t;
using UINT64 = std::uint64_t;
using BYTE = std::uint8_t;
using BOOLEAN = std::uint8_t;
using USHORT = std::uint16_t;
using UINT = std::uint32_t;
using LONG = std::int32_t;  // Windows is LLP64: long has 32 bits there
using ULONG = std::uint32_t;
using DWORD = std::uint32_t;
using BOOL = int;
using WINBOOL = int;
using WCHAR = char16_t;
using PVOID = void*;
using HANDLE = void*;
using HRESULT = std::int32_t;

struct GUID {
  UINT32 Data1;
  UINT16 Data2;
  UINT16 Data3;
  UINT8 Data4[8];
};
struct LUID {
  UINT32 LowPart;
  INT32 HighPart;
};
enum DEVICE_POWER_STATE { PowerDeviceUnspecified = 0 };

#define TRUE 1
#define FALSE 0

#define SUCCEEDED(hr) (static_cast<HRESULT>(hr) >= 0)
#define FAILED(hr) (static_cast<HRESULT>(hr) < 0)

#define S_OK (static_cast<HRESULT>(0))
#define E_NOTIMPL (static_cast<HRESULT>(0x80004001))
#define E_POINTER (static_cast<HRESULT>(0x80004003))
#define E_FAIL (static_cast<HRESULT>(0x80004005))
#define E_UNEXPECTED (static_cast<HRESULT>(0x8000FFFF))
#define E_ACCESSDENIED (static_cast<HRESULT>(0x80070005))
#define E_HANDLE (static_cast<HRESULT>(0x80070006))
#define E_OUTOFMEMORY (static_cast<HRESULT>(0x8007000E))
#define E_INVALIDARG (static_cast<HRESULT>(0x80070057))
