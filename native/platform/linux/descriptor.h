#pragma once

#include "platform/handle.h"

namespace runhv::platform {

// The descriptor that an open handle is on Linux.
inline int number(const UniqueHandle& handle) { return static_cast<int>(handle.get()); }

}  // namespace runhv::platform
