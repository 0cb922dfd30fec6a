// stdin, stdout and stderr of this process.
#pragma once

#include "platform/handle.h"

namespace runhv::platform {

// Connects each of the three that is closed to the null device, so that no file which is opened
// later takes its number; what goes through them is bytes. By the main thread, before it opens
// anything.
void ensure_standard_streams();

// `number` 0, 1, 2.
OsHandle standard_stream(int number);

// The number of the first handle after them, where a caller's more are (--preserve-fds).
inline constexpr OsHandle kFirstPreserved = 3;

bool is_terminal(OsHandle handle);

}  // namespace runhv::platform
