#include "platform/handle.h"

#include <unistd.h>

namespace runhv {

void close_handle(OsHandle handle) { ::close(static_cast<int>(handle)); }

}  // namespace runhv
