#include "devices/bus.h"

#include <algorithm>
#include <string>

namespace runhv::devices {

Result<void> Bus::add(std::uint64_t first, std::uint64_t size, BusDevice& device) {
  const auto fail = [&](const char* detail) {
    return Fail{Error{Code::kInvalidArgument, "add a device at " + std::to_string(first), detail}};
  };
  if (size == 0 || first + (size - 1) < first) return fail("empty range, or past the last address");
  const auto next = std::lower_bound(
      entries_.begin(), entries_.end(), first,
      [](const Entry& entry, std::uint64_t address) { return entry.first < address; });
  if (next != entries_.end() && next->first - first < size) return fail("taken");
  if (next != entries_.begin() && first - std::prev(next)->first < std::prev(next)->size) {
    return fail("taken");
  }
  entries_.insert(next, {first, size, &device});
  return {};
}

const Bus::Entry* Bus::find(std::uint64_t address, unsigned size_bytes) const {
  for (const Entry& entry : entries_) {
    if (address < entry.first) break;
    const std::uint64_t offset = address - entry.first;
    if (offset < entry.size && entry.size - offset >= size_bytes) return &entry;
  }
  return nullptr;
}

std::uint64_t Bus::read(std::uint64_t address, unsigned size_bytes) {
  const Entry* entry = find(address, size_bytes);
  if (entry != nullptr) return entry->device->read(address - entry->first, size_bytes);
  return UINT64_MAX;
}

bool Bus::write(std::uint64_t address, unsigned size_bytes, std::uint64_t value) {
  if (size_bytes < 8) value &= (std::uint64_t{1} << (8 * size_bytes)) - 1;
  const Entry* entry = find(address, size_bytes);
  return entry == nullptr || entry->device->write(address - entry->first, size_bytes, value);
}

}  // namespace runhv::devices
