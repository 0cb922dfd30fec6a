#include "winhv_linux/gpa_map.h"

#include <iterator>

namespace runhv::winhv_linux {

GpaMap::Ranges::const_iterator GpaMap::containing(std::uint64_t gpa) const {
  auto after = ranges_.upper_bound(gpa);
  if (after == ranges_.begin()) return ranges_.end();
  const auto range = std::prev(after);
  return gpa - range->first < range->second.size ? range : ranges_.end();
}

void GpaMap::map(std::uint64_t gpa, const GpaRange& range) {
  unmap(gpa, range.size);
  ranges_.emplace(gpa, range);
}

void GpaMap::unmap(std::uint64_t gpa, std::uint64_t size) {
  const std::uint64_t end = gpa + size;
  if (const auto before = containing(gpa); before != ranges_.end() && before->first < gpa) {
    const auto [start, range] = *before;
    const std::uint64_t kept = gpa - start;
    ranges_[start].size = kept;
    ranges_.emplace(gpa, GpaRange{range.size - kept, range.host + kept, range.flags});
  }
  auto at = ranges_.lower_bound(gpa);
  while (at != ranges_.end() && at->first < end) {
    const auto [start, range] = *at;
    at = ranges_.erase(at);
    if (start + range.size > end) {
      const std::uint64_t cut = end - start;
      ranges_.emplace(end, GpaRange{range.size - cut, range.host + cut, range.flags});
      return;
    }
  }
}

bool GpaMap::covers(std::uint64_t gpa, std::uint64_t size, std::uint32_t flags) const {
  const std::uint64_t end = gpa + size;
  while (gpa < end) {
    const auto range = containing(gpa);
    if (range == ranges_.end() || (range->second.flags & flags) != flags) return false;
    gpa = range->first + range->second.size;
  }
  return true;
}

std::optional<std::uint32_t> GpaMap::flags_at(std::uint64_t gpa) const {
  const auto range = containing(gpa);
  if (range == ranges_.end()) return std::nullopt;
  return range->second.flags;
}

std::byte* GpaMap::host_at(std::uint64_t gpa) const {
  const auto range = containing(gpa);
  return range == ranges_.end() ? nullptr : range->second.host + (gpa - range->first);
}

}  // namespace runhv::winhv_linux
