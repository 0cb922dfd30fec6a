#include "platform/memory_region.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include "platform/os_error.h"

namespace runhv {

Result<MemoryRegion> MemoryRegion::reserve(std::uint64_t size_bytes) {
  void* data = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return Fail{last_os_error("reserve " + std::to_string(size_bytes) + " bytes of guest memory")};
  }
  // A core file of a VMM must not hold its guest's secrets.
  ::madvise(data, size_bytes, MADV_DONTDUMP);
  return MemoryRegion(static_cast<std::byte*>(data), size_bytes);
}

MemoryRegion::MemoryRegion(MemoryRegion&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

MemoryRegion& MemoryRegion::operator=(MemoryRegion&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

MemoryRegion::~MemoryRegion() {
  if (data_ != nullptr) ::munmap(data_, size_bytes_);
}

std::uint64_t MemoryRegion::resident_bytes() const {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::uint64_t pages = 0;
  std::vector<unsigned char> present(64 * 1024);
  for (std::uint64_t at = 0; at < size_bytes_; at += present.size() * page) {
    const std::uint64_t length = std::min<std::uint64_t>(size_bytes_ - at, present.size() * page);
    if (::mincore(data_ + at, length, present.data()) != 0) return 0;
    pages += static_cast<std::uint64_t>(std::count_if(
        present.begin(), present.begin() + static_cast<std::ptrdiff_t>((length + page - 1) / page),
        [](unsigned char bits) { return (bits & 1) != 0; }));
  }
  return pages * page;
}

}  // namespace runhv
