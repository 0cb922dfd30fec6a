#include "platform/handle.h"

#include <unistd.h>

namespace runhv::platform {

void close_handle(OsHandle handle) { ::close(static_cast<int>(handle)); }

}  // namespace runhv::platform
