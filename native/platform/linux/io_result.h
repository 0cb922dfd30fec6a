#pragma once

#include <cerrno>

#include <sys/types.h>

#include "platform/stream.h"

namespace runhv::platform {

// What a read or write of a stream returned, with its errno.
inline IoResult io_result(ssize_t count) {
  if (count > 0) return {IoStatus::kDone, static_cast<std::size_t>(count), 0};
  if (count == 0) return {IoStatus::kEnd, 0, 0};
  if (errno == EAGAIN || errno == EINTR) return {IoStatus::kWouldBlock, 0, 0};
  // A pseudo-terminal whose other side has closed reads EIO.
  if (errno == EPIPE || errno == ECONNRESET || errno == EIO) return {IoStatus::kEnd, 0, errno};
  return {IoStatus::kFailed, 0, errno};
}

}  // namespace runhv::platform
