#include "platform/blocking_io.h"

#include <cerrno>

#include <unistd.h>

#include "platform/linux/io_result.h"

namespace runhv::platform {
namespace {

template <class Call>
IoResult uninterrupted(Call call) {
  ssize_t count = 0;
  do {
    count = call();
  } while (count < 0 && errno == EINTR);
  // Whoever made it non-blocking did not mean a file.
  if (count < 0 && errno == EAGAIN) return {IoStatus::kFailed, 0, EAGAIN};
  return io_result(count);
}

}  // namespace

IoResult read_waiting(OsHandle handle, std::span<std::byte> out) {
  return uninterrupted([&] { return ::read(static_cast<int>(handle), out.data(), out.size()); });
}

IoResult write_waiting(OsHandle handle, std::span<const std::byte> in) {
  const IoResult result =
      uninterrupted([&] { return ::write(static_cast<int>(handle), in.data(), in.size()); });
  // A file that takes nothing of what is not empty has failed.
  if (result.status == IoStatus::kEnd && result.os_code == 0) return {IoStatus::kFailed, 0, EIO};
  return result;
}

}  // namespace runhv::platform
