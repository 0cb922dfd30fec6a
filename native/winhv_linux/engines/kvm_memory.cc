#include "winhv_linux/engines/kvm_memory.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "winhv_linux/engines/kvm_error.h"

namespace runhv::winhv_linux {
namespace {

bool is_tracked(const GpaRange& range) {
  return (range.flags & WHvMapGpaRangeFlagTrackDirtyPages) != 0;
}

}  // namespace

HRESULT KvmMemory::map(UINT64 gpa, const GpaRange& range) {
  const std::lock_guard lock(mutex_);
  if (const HRESULT result = cut(gpa, range.size); FAILED(result)) return result;
  return add(gpa, range);
}

HRESULT KvmMemory::unmap(UINT64 gpa, UINT64 size) {
  const std::lock_guard lock(mutex_);
  return cut(gpa, size);
}

KvmMemory::Slots::const_iterator KvmMemory::containing(UINT64 gpa) const {
  const auto after = slots_.upper_bound(gpa);
  if (after == slots_.begin()) return slots_.end();
  const auto slot = std::prev(after);
  return gpa - slot->first < slot->second.range.size ? slot : slots_.end();
}

// The first slot that reaches beyond `gpa`.
KvmMemory::Slots::const_iterator KvmMemory::first_in(UINT64 gpa) const {
  const auto slot = containing(gpa);
  return slot == slots_.end() ? slots_.lower_bound(gpa) : slot;
}

bool KvmMemory::has_range(UINT64 gpa) const {
  const std::lock_guard lock(mutex_);
  return containing(gpa) != slots_.end();
}

bool KvmMemory::allows(UINT64 gpa, WHV_MEMORY_ACCESS_TYPE access) const {
  const std::lock_guard lock(mutex_);
  const auto slot = containing(gpa);
  if (slot == slots_.end() || slot->second.number == kNoSlot) return false;
  return access != WHvMemoryAccessWrite ||
         (slot->second.range.flags & WHvMapGpaRangeFlagWrite) != 0;
}

bool KvmMemory::read(UINT64 gpa, std::span<std::byte> to) const {
  const std::lock_guard lock(mutex_);
  while (!to.empty()) {
    const auto slot = containing(gpa);
    if (slot == slots_.end()) return false;
    const UINT64 offset = gpa - slot->first;
    const auto size = std::min<UINT64>(to.size(), slot->second.range.size - offset);
    std::memcpy(to.data(), slot->second.range.host + offset, size);
    to = to.subspan(size);
    gpa += size;
  }
  return true;
}

// Takes [gpa, gpa + size) out of all slots; what is left of one becomes slots of their own.
HRESULT KvmMemory::cut(UINT64 gpa, UINT64 size) {
  const UINT64 end = gpa + size;
  auto at = first_in(gpa);
  while (at != slots_.end() && at->first < end) {
    const auto [start, slot] = *at;
    at = slots_.erase(at);
    if (slot.number != kNoSlot) {
      const kvm_userspace_memory_region none{.slot = slot.number,
                                             .flags = 0,
                                             .guest_phys_addr = start,
                                             .memory_size = 0,
                                             .userspace_addr = 0};
      if (const long result = requests_.set_slot(none); result < 0) return kvm_error(result);
      free_.push_back(slot.number);
    }
    const auto& [bytes, host, flags] = slot.range;
    if (start < gpa) {
      const HRESULT result = add_rest(start, {gpa - start, host, flags});
      if (FAILED(result)) return result;
    }
    if (start + bytes > end) {
      const UINT64 cut_off = end - start;
      const HRESULT result = add_rest(end, {bytes - cut_off, host + cut_off, flags});
      if (FAILED(result)) return result;
    }
  }
  return S_OK;
}

HRESULT KvmMemory::add_rest(UINT64 gpa, const GpaRange& range) {
  if (is_tracked(range)) dirty_pages_.mark(gpa, range.size);
  return add(gpa, range);
}

KvmMemory::~KvmMemory() {
  for (auto at = slots_.cbegin(); at != slots_.cend(); ++at) note_written(at);
}

HRESULT KvmMemory::note_written(Slots::const_iterator at) const {
  const auto& [start, slot] = *at;
  if (slot.number == kNoSlot || !is_tracked(slot.range)) return S_OK;
  const UINT64 pages = slot.range.size / kPageBytes;
  std::vector<UINT64> log((pages + 63) / 64);
  if (const long result = requests_.take_log(slot.number, log); result < 0) {
    return kvm_error(result);
  }
  for (UINT64 page = 0; page < pages; ++page) {
    if ((log[page / 64] >> page % 64 & 1) != 0) dirty_pages_.mark(start + page * kPageBytes);
  }
  return S_OK;
}

HRESULT KvmMemory::take_dirty(UINT64 gpa, UINT64 size, std::span<UINT64> bitmap) {
  const std::lock_guard lock(mutex_);
  for (auto at = first_in(gpa); at != slots_.cend() && at->first < gpa + size; ++at) {
    if (const HRESULT result = note_written(at); FAILED(result)) return result;
  }
  dirty_pages_.take(gpa, size, bitmap);
  return S_OK;
}

HRESULT KvmMemory::add(UINT64 gpa, const GpaRange& range) {
  UINT32 number = kNoSlot;
  if ((range.flags & WHvMapGpaRangeFlagRead) != 0) {
    const bool recycled = !free_.empty();
    number = recycled ? free_.back() : used_;
    if (number >= slot_count_) return E_OUTOFMEMORY;
    const bool read_only = (range.flags & WHvMapGpaRangeFlagWrite) == 0;
    const kvm_userspace_memory_region region{
        .slot = number,
        .flags = (read_only ? UINT32{KVM_MEM_READONLY} : 0) |
                 (is_tracked(range) ? UINT32{KVM_MEM_LOG_DIRTY_PAGES} : 0),
        .guest_phys_addr = gpa,
        .memory_size = range.size,
        .userspace_addr = reinterpret_cast<UINT64>(range.host)};
    if (const long result = requests_.set_slot(region); result < 0) return kvm_error(result);
    if (recycled) {
      free_.pop_back();
    } else {
      ++used_;
    }
  }
  slots_.emplace(gpa, Slot{range, number});
  return S_OK;
}

}  // namespace runhv::winhv_linux
