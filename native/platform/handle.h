// The operating system's handle for an open thing: a file descriptor on Linux, a HANDLE on Windows.
#pragma once

#include <cstdint>
#include <utility>

namespace runhv::platform {

using OsHandle = std::intptr_t;
inline constexpr OsHandle kInvalidHandle = -1;

void close_handle(OsHandle handle);

// Owns one OsHandle.
class UniqueHandle {
 public:
  UniqueHandle() = default;
  explicit UniqueHandle(OsHandle handle) : handle_(handle) {}
  UniqueHandle(UniqueHandle&& other) noexcept : handle_(other.release()) {}
  UniqueHandle& operator=(UniqueHandle&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~UniqueHandle() { reset(); }

  OsHandle get() const { return handle_; }
  bool is_open() const { return handle_ != kInvalidHandle; }
  OsHandle release() { return std::exchange(handle_, kInvalidHandle); }
  void reset(OsHandle handle = kInvalidHandle) {
    if (handle_ != kInvalidHandle) close_handle(handle_);
    handle_ = handle;
  }

 private:
  OsHandle handle_ = kInvalidHandle;
};

}  // namespace runhv::platform
