// Which Windows this is. Internal to platform/windows.
#pragma once

#include <windows.h>

namespace runhv::platform {

// All zeros where it does not say. GetVersionEx tells a program without a manifest that this is
// Windows 8; ntdll tells the truth.
OSVERSIONINFOW system_version();

}  // namespace runhv::platform
