#include "memory/guest_memory.h"

#include <algorithm>
#include <string>
#include <utility>

namespace runhv::memory {

Result<std::shared_ptr<GuestMemory>> GuestMemory::create(std::vector<GuestRange> ranges,
                                                         MemoryWriteObserver* observer) {
  std::uint64_t free_from = 0;
  for (const GuestRange& range : ranges) {
    const std::uint64_t size = range.region.size_bytes();
    const std::optional<Gpa> end = range.first.plus(size);
    if (size == 0 || !end || range.first.value % kPageSize != 0 || size % kPageSize != 0 ||
        range.first.value < free_from) {
      return Fail{Error{Code::kInvalidArgument, "lay out guest memory",
                        "range at " + std::to_string(range.first.value) + " of " +
                            std::to_string(size) + " bytes"}};
    }
    free_from = end->value;
  }
  return std::shared_ptr<GuestMemory>(new GuestMemory(std::move(ranges), observer));
}

std::optional<std::span<const std::byte>> GuestMemory::read_view(Gpa gpa,
                                                                 std::uint64_t size_bytes) const {
  const std::span<std::byte> bytes = find(gpa, size_bytes);
  if (bytes.empty()) return std::nullopt;
  return bytes;
}

std::optional<std::span<std::byte>> GuestMemory::write_view(Gpa gpa,
                                                            std::uint64_t size_bytes) const {
  const std::span<std::byte> bytes = find(gpa, size_bytes);
  if (bytes.empty()) return std::nullopt;
  return bytes;
}

// Empty where the bytes are not wholly in one range, and for none.
std::span<std::byte> GuestMemory::find(Gpa gpa, std::uint64_t size_bytes) const {
  if (size_bytes == 0) return {};
  for (const GuestRange& range : ranges_) {
    if (gpa < range.first) continue;
    const std::uint64_t offset = gpa.value - range.first.value;
    const std::uint64_t size = range.region.size_bytes();
    if (offset >= size || size - offset < size_bytes) continue;
    return range.region.bytes().subspan(static_cast<std::size_t>(offset),
                                        static_cast<std::size_t>(size_bytes));
  }
  return {};
}

std::uint64_t GuestMemory::resident_bytes() const {
  std::uint64_t sum = 0;
  for (const GuestRange& range : ranges_) {
    if (!range.shows_files) sum += range.region.resident_bytes();
  }
  return sum;
}

const GuestRange* GuestMemory::range_that_shows_files() const {
  const auto found = std::ranges::find(ranges_, true, &GuestRange::shows_files);
  return found == ranges_.end() ? nullptr : &*found;
}

}  // namespace runhv::memory
