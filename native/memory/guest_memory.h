// Guest RAM as the host sees it. The only way from a guest-physical address to a pointer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/guest_address.h"
#include "base/result.h"
#include "platform/memory_region.h"

namespace runhv::memory {

// Told after the host has written guest RAM on a device's behalf: an engine that keeps decoded
// instructions must forget those of these bytes. Threads: any.
class MemoryWriteObserver {
 public:
  virtual ~MemoryWriteObserver() = default;
  virtual void written(Gpa first, std::uint64_t size_bytes) = 0;
};

struct GuestRange {
  Gpa first;
  platform::MemoryRegion region;
  bool shows_files = false;  // no RAM: a device puts files of the host there
};

// Threads: any; the bytes themselves are shared with the running guest, which may change them at
// any moment: read once, then check. Shared: whoever still may touch a view (a disk that hangs in
// the host's kernel) keeps the memory alive.
class GuestMemory {
 public:
  // Owns `ranges`: page-aligned, ascending, not overlapping, none beyond the last address.
  // `observer` may be null; it outlives the last call of written().
  static Result<std::shared_ptr<GuestMemory>> create(std::vector<GuestRange> ranges,
                                                     MemoryWriteObserver* observer);
  GuestMemory(const GuestMemory&) = delete;
  GuestMemory& operator=(const GuestMemory&) = delete;

  // The bytes [gpa, gpa + size_bytes), where all of them lie in one range and there is at least
  // one.
  std::optional<std::span<const std::byte>> read_view(Gpa gpa, std::uint64_t size_bytes) const;
  // The same to be written to: taking it announces the first write, so that memory which is not
  // this guest's own yet can become so here and nowhere else.
  std::optional<std::span<std::byte>> write_view(Gpa gpa, std::uint64_t size_bytes) const;

  // Whoever wrote through a view says so here before the guest learns of it.
  void written(Gpa first, std::uint64_t size_bytes) const {
    if (observer_ != nullptr) observer_->written(first, size_bytes);
  }

  std::span<const GuestRange> ranges() const { return ranges_; }
  // Null where there is none.
  const GuestRange* range_that_shows_files() const;
  // Of RAM.
  std::uint64_t resident_bytes() const;

 private:
  std::span<std::byte> find(Gpa gpa, std::uint64_t size_bytes) const;
  GuestMemory(std::vector<GuestRange> ranges, MemoryWriteObserver* observer)
      : ranges_(std::move(ranges)), observer_(observer) {}
  const std::vector<GuestRange> ranges_;
  MemoryWriteObserver* const observer_;
};

}  // namespace runhv::memory
