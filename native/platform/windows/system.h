// The system's header, and the two shapes in which it and we write a handle.
#pragma once

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
// The first before the others, which are not whole without it.
// clang-format off
#include <windows.h>
#include <aclapi.h>
#include <psapi.h>
#include <sddl.h>
#include <winioctl.h>
#include <winternl.h>
// clang-format on

#include "platform/handle.h"

namespace runhv::platform {

inline HANDLE native(OsHandle handle) {
  return reinterpret_cast<HANDLE>(handle);  // NOLINT(performance-no-int-to-ptr): what it was
}
inline HANDLE native(const UniqueHandle& handle) { return native(handle.get()); }

// The system's two words for "none", NULL and INVALID_HANDLE_VALUE, are kInvalidHandle.
inline UniqueHandle own(HANDLE handle) {
  return handle == nullptr ? UniqueHandle() : UniqueHandle(reinterpret_cast<OsHandle>(handle));
}

}  // namespace runhv::platform
