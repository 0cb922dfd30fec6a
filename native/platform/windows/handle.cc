#include "platform/handle.h"

#include <windows.h>

namespace runhv::platform {

void close_handle(OsHandle handle) { ::CloseHandle(reinterpret_cast<HANDLE>(handle)); }

}  // namespace runhv::platform
