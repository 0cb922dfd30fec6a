// The Windows Hypervisor Platform's interface, on every system. The one include for its users.
//
// On Windows these are the system's headers. Elsewhere they are mingw-w64's, unchanged, over
// windows_base.h; libwinhvplatform.so implements the functions (native/winhv_linux).
#pragma once

#ifdef _WIN32
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

#ifdef __MINGW32__
#include "whpapi/enum_flag_operators.h"
#endif
#endif

#ifndef _WIN32
#pragma GCC visibility push(default)
#endif
#include <winhvplatform.h>
#ifndef _WIN32
#pragma GCC visibility pop
#endif

#include "whpapi/whp_additions.h"
