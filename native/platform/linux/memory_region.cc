#include "platform/memory_region.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include "platform/os_error.h"

namespace runhv::platform {
namespace {

constexpr std::uint64_t kLargePage = 2ull << 20;

// Before and behind the memory of a guest there is nothing: an access of ours that strays from it
// faults. As large as a large page, so that the memory between two of them can begin at one.
constexpr std::uint64_t kGuardBytes = kLargePage;

}  // namespace

Result<MemoryRegion> MemoryRegion::reserve(std::uint64_t size_bytes) {
  const auto failed = [&] {
    return Fail{last_os_error("reserve " + std::to_string(size_bytes) + " bytes of guest memory")};
  };
  const std::uint64_t mapped_bytes = size_bytes + 2 * kGuardBytes;
  void* const block = ::mmap(nullptr, mapped_bytes + kLargePage, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block == MAP_FAILED) return failed();
  auto* first = static_cast<std::byte*>(block);
  const std::uint64_t skipped = -reinterpret_cast<std::uintptr_t>(first) & (kLargePage - 1);
  if (skipped != 0) ::munmap(first, skipped);
  first += skipped;
  ::munmap(first + mapped_bytes, kLargePage - skipped);
  std::byte* const data = first + kGuardBytes;
  if (::mprotect(data, size_bytes, PROT_READ | PROT_WRITE) != 0) {
    const auto error = failed();
    ::munmap(first, mapped_bytes);
    return error;
  }
  // A core file of a VMM must not hold its guest's secrets.
  ::madvise(data, size_bytes, MADV_DONTDUMP);
  // A guest touches its memory in large pieces from the start: 14 page faults in place of 5400. A
  // system without large pages refuses, and nothing is lost.
  ::madvise(data, size_bytes, MADV_HUGEPAGE);
  return MemoryRegion(data, size_bytes);
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
  if (data_ != nullptr) ::munmap(data_ - kGuardBytes, size_bytes_ + 2 * kGuardBytes);
}

void MemoryRegion::give_back(std::span<std::byte> bytes) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t first = (begin + page - 1) & ~(page - 1);
  const std::uintptr_t end = (begin + bytes.size()) & ~(page - 1);
  // Refused, the pages stay, and nobody is worse off than before.
  if (first < end) ::madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
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

}  // namespace runhv::platform
