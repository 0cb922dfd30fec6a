// Anonymous memory of the host: guest RAM.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace runhv::platform {

// Reserved, zero, page-aligned, committed on first touch. An access right before or behind it
// faults. Move-only owner.
class MemoryRegion {
 public:
  static Result<MemoryRegion> reserve(std::uint64_t size_bytes);

  MemoryRegion(MemoryRegion&& other) noexcept;
  MemoryRegion& operator=(MemoryRegion&& other) noexcept;
  ~MemoryRegion();

  std::byte* data() const { return data_; }
  std::uint64_t size_bytes() const { return size_bytes_; }
  std::span<std::byte> bytes() const { return {data_, static_cast<std::size_t>(size_bytes_)}; }

  // Gives the whole pages among `bytes`, which are of any region, back to the host, as far as it
  // takes them: those are zero from then on, or what they were where it takes them later (Windows),
  // and committed again on the next touch. Threads: any, also while the guest uses them.
  static void give_back(std::span<std::byte> bytes);

  // Bytes of this region that the host really holds for this process.
  std::uint64_t resident_bytes() const;

 private:
  MemoryRegion(std::byte* data, std::uint64_t size_bytes) : data_(data), size_bytes_(size_bytes) {}
  std::byte* data_ = nullptr;
  std::uint64_t size_bytes_ = 0;
};

}  // namespace runhv::platform
