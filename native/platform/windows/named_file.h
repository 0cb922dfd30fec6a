// What calls that name a file have alike.
#pragma once

#include "platform/windows/system.h"

namespace runhv::platform {

// Others may do with an open file what they could do with one of Linux.
inline constexpr DWORD kShareAll = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

inline bool is_missing(DWORD code) {
  return code == ERROR_FILE_NOT_FOUND || code == ERROR_PATH_NOT_FOUND;
}

}  // namespace runhv::platform
