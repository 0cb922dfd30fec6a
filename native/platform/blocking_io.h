// Reads and writes that last as long as the system takes for them. Used within platform/ only.
#pragma once

#include <cstddef>
#include <span>

#include "platform/handle.h"
#include "platform/stream.h"

namespace runhv::platform {

// As Stream's, but they wait in place of kWouldBlock. REQUIRES: the span is not empty. Threads:
// any, on a handle one at a time.
IoResult read_waiting(OsHandle handle, std::span<std::byte> out);
IoResult write_waiting(OsHandle handle, std::span<const std::byte> in);

}  // namespace runhv::platform
