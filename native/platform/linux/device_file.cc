#include "platform/device_file.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>

#include "platform/os_error.h"

namespace runhv::platform {

DevicePages::~DevicePages() {
  if (!pages_.empty()) ::munmap(pages_.data(), pages_.size());
}

Result<DeviceFile> DeviceFile::open(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return Fail{last_os_error("open " + path)};
  return DeviceFile(UniqueHandle(file));
}

long DeviceFile::request(unsigned long number, std::uintptr_t argument) const {
  const int result = ::ioctl(static_cast<int>(handle_.get()), number, argument);
  return result < 0 ? -errno : result;
}

Result<DevicePages> DeviceFile::share_pages(std::size_t size_bytes) const {
  void* pages = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                       static_cast<int>(handle_.get()), 0);
  if (pages == MAP_FAILED) return Fail{last_os_error("map the memory of a device")};
  return DevicePages({static_cast<std::byte*>(pages), size_bytes});
}

}  // namespace runhv::platform
