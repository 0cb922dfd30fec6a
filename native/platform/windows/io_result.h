#pragma once

#include "platform/stream.h"
#include "platform/windows/system.h"

namespace runhv::platform {

// What a read or write of a stream that has failed with this GetLastError() tells.
inline IoResult failed_io(DWORD code) {
  switch (code) {
    case ERROR_BROKEN_PIPE:         // the other side has closed
    case ERROR_NO_DATA:             // it is closing
    case ERROR_PIPE_NOT_CONNECTED:  // it has been cut off
    case ERROR_HANDLE_EOF:
      return {IoStatus::kEnd, 0, static_cast<int>(code)};
    default:
      return {IoStatus::kFailed, 0, static_cast<int>(code)};
  }
}

}  // namespace runhv::platform
