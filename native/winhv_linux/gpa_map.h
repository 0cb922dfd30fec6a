// Which guest-physical ranges are backed by what host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

namespace runhv::winhv_linux {

inline constexpr std::uint64_t kPageBytes = 4096;

struct GpaRange {
  std::uint64_t size;
  std::byte* host;
  std::uint32_t flags;  // WHV_MAP_GPA_RANGE_FLAGS
};

// All addresses and sizes are multiples of 4 KiB and do not wrap: the caller has checked them.
// Threads: externally serialised.
class GpaMap {
 public:
  // Replaces, page by page, what was mapped in [gpa, gpa + range.size).
  void map(std::uint64_t gpa, const GpaRange& range);
  void unmap(std::uint64_t gpa, std::uint64_t size);

  // Every page of it is mapped, with all of `flags`.
  bool covers(std::uint64_t gpa, std::uint64_t size, std::uint32_t flags = 0) const;
  std::optional<std::uint32_t> flags_at(std::uint64_t gpa) const;
  std::byte* host_at(std::uint64_t gpa) const;  // null: not mapped
  bool empty() const { return ranges_.empty(); }

  using Ranges = std::map<std::uint64_t, GpaRange>;
  const Ranges& ranges() const { return ranges_; }  // by first address; they do not overlap

 private:
  Ranges::const_iterator containing(std::uint64_t gpa) const;

  Ranges ranges_;
};

}  // namespace runhv::winhv_linux
