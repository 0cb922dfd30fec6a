// A device of the operating system that is driven by requests (ioctl(2)), and what it makes: with
// /dev/kvm, a virtual machine and its processors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "platform/handle.h"

namespace runhv::platform {

// Memory that a device shares with this process. Move-only owner.
class DevicePages {
 public:
  DevicePages() = default;
  explicit DevicePages(std::span<std::byte> pages) : pages_(pages) {}
  DevicePages(DevicePages&& other) noexcept : pages_(std::exchange(other.pages_, {})) {}
  DevicePages& operator=(DevicePages&& other) noexcept {
    std::swap(pages_, other.pages_);
    return *this;
  }
  ~DevicePages();

  std::span<std::byte> bytes() const { return pages_; }

 private:
  std::span<std::byte> pages_;
};

// Threads: any.
class DeviceFile {
 public:
  static Result<DeviceFile> open(const std::string& path);
  explicit DeviceFile(UniqueHandle handle) : handle_(std::move(handle)) {}

  // What the request returns, or minus the system's error number. It may be interrupted
  // (-EINTR), and is not tried again.
  long request(unsigned long number, std::uintptr_t argument = 0) const;
  long request(unsigned long number, const void* argument) const {
    return request(number, reinterpret_cast<std::uintptr_t>(argument));
  }
  // Readable and writable.
  Result<DevicePages> share_pages(std::size_t size_bytes) const;

 private:
  UniqueHandle handle_;
};

}  // namespace runhv::platform
