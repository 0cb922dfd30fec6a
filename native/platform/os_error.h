#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace runhv::platform {

// The Error for a system call that just failed with `os_code` (errno, or GetLastError on Windows):
// the code from one table, the system's own words as detail, the raw number kept.
Error os_error(std::string operation, std::int64_t os_code);

// os_error with the calling thread's last error.
Error last_os_error(std::string operation);

}  // namespace runhv::platform
