#include "platform/memory_region.h"

#include <windows.h>

#include <psapi.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "platform/os_error.h"

namespace runhv::platform {
namespace {

// A hypervisor maps memory that begins at a large page by large pages.
constexpr std::uint64_t kLargePage = 2ull << 20;

// Before and behind the memory of a guest there is nothing: an access of ours that strays from it
// faults.
constexpr std::uint64_t kGuardBytes = kLargePage;

std::uint64_t page_bytes() {
  SYSTEM_INFO info;
  ::GetSystemInfo(&info);
  return info.dwPageSize;
}

}  // namespace

Result<MemoryRegion> MemoryRegion::reserve(std::uint64_t size_bytes) {
  const auto failed = [&] {
    return Fail{last_os_error("reserve " + std::to_string(size_bytes) + " bytes of guest memory")};
  };
  void* const block = ::VirtualAlloc(nullptr, size_bytes + 2 * kGuardBytes + kLargePage,
                                     MEM_RESERVE, PAGE_NOACCESS);
  if (block == nullptr) return failed();
  auto* first = static_cast<std::byte*>(block);
  first += -reinterpret_cast<std::uintptr_t>(first) & (kLargePage - 1);
  std::byte* const data = first + kGuardBytes;
  // Promised whole, and given page by page as they are touched.
  if (::VirtualAlloc(data, size_bytes, MEM_COMMIT, PAGE_READWRITE) == nullptr) {
    auto error = failed();
    ::VirtualFree(block, 0, MEM_RELEASE);
    return error;
  }
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
  MEMORY_BASIC_INFORMATION info;
  if (data_ != nullptr && ::VirtualQuery(data_, &info, sizeof info) != 0) {
    ::VirtualFree(info.AllocationBase, 0, MEM_RELEASE);
  }
}

void MemoryRegion::give_back(std::span<std::byte> bytes) {
  const std::uint64_t page = page_bytes();
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t first = (begin + page - 1) & ~(page - 1);
  const std::uintptr_t end = (begin + bytes.size()) & ~(page - 1);
  if (first >= end) return;
  auto* const pages = reinterpret_cast<void*>(first);
  // Not MEM_DECOMMIT: a guest that comes back to the page would find nothing there. What is reset
  // stays until the system wants it; to unlock what is not locked takes it out of the working set,
  // and is then said to have failed.
  if (::VirtualAlloc(pages, end - first, MEM_RESET, PAGE_READWRITE) != nullptr) {
    ::VirtualUnlock(pages, end - first);
  }
}

std::uint64_t MemoryRegion::resident_bytes() const {
  const std::uint64_t page = page_bytes();
  std::uint64_t pages = 0;
  std::vector<PSAPI_WORKING_SET_EX_INFORMATION> asked;
  constexpr std::uint64_t kPagesAtOnce = 16 * 1024;
  for (std::uint64_t at = 0; at < size_bytes_; at += kPagesAtOnce * page) {
    const std::uint64_t left = (size_bytes_ - at + page - 1) / page;
    asked.resize(static_cast<std::size_t>(std::min(left, kPagesAtOnce)));
    std::byte* address = data_ + at;
    for (auto& one : asked) {
      one = {address, {}};
      address += page;
    }
    if (::QueryWorkingSetEx(::GetCurrentProcess(), asked.data(),
                            static_cast<DWORD>(asked.size() * sizeof asked.front())) == 0) {
      return 0;
    }
    pages += static_cast<std::uint64_t>(std::ranges::count_if(
        asked, [](const auto& one) { return one.VirtualAttributes.Valid != 0; }));
  }
  return pages * page;
}

}  // namespace runhv::platform
